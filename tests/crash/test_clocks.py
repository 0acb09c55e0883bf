"""Clocks that differ from the server's: who serves and who reads goes by the server's, whatever its own shows."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from agentspan.agents import AgentHandle, AgentRuntime
from agentspan.testing import call, say, wait_until
from agentspan.testing.plugin import Stage

from .conftest import Ledger
from .ledger_agent import agent as ledger_agent

SHIFTED = """
import time
_time, _time_ns, _shift = time.time, time.time_ns, {shift}
time.time = lambda: _time() + _shift
time.time_ns = lambda: _time_ns() + int(_shift * 1e9)
"""


@pytest.fixture
def shifted(tmp_path: Path, request: pytest.FixtureRequest) -> dict[str, str]:
    """What lets a Python process have a clock that is so many seconds ahead."""
    folder = tmp_path / "shifted"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SHIFTED.format(shift=request.param))
    return {"PYTHONPATH": str(folder)}


@pytest.mark.parametrize("shifted", [-64, 64], indirect=True, ids=["behind", "ahead"])
def test_a_worker_whose_clock_differs_notices_a_death_in_time(
    runtime: AgentRuntime, model: Stage, ledger: Ledger, shifted: dict[str, str]
) -> None:
    """Nobody else looks after the run: whether it is over is asked of the server."""
    name = model.play([call("work", number=1, seconds=1.5), call("work", number=2, seconds=0), say("done")])
    with ledger.worker() as first:
        handle = runtime.start(dataclasses.replace(ledger_agent, model=name), "Go.", serve=False)
        wait_until(lambda: ledger.begun()[1] == 1, "the call to begin")
        first.kill()
    with ledger.worker(**shifted):
        wait_until(lambda: runtime.client.status(handle.execution_id) == "COMPLETED", "the run to go on", 40)

    assert ledger.ended() == {1: 1, 2: 1}
    assert ledger.begun() == {1: 2, 2: 1}


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_reader_whose_clock_differs_sees_the_server_s_time(
    runtime: AgentRuntime, model: Stage, monkeypatch: pytest.MonkeyPatch, conductor_url: str, hours: int
) -> None:
    import time

    real = time.time
    name = model.play([call("work", number=1, seconds=0), say("done")])
    handle = runtime.start(dataclasses.replace(ledger_agent, model=name), "Go.", serve=False)
    wait_until(lambda: handle.get_status().current_task == "work", "the call to be there")
    with monkeypatch.context() as clock, AgentRuntime(conductor_url) as reader:
        clock.setattr(time, "time", lambda: real() + 3600 * hours)
        status = AgentHandle(handle.execution_id, reader).get_status()
        assert status.elapsed < 30
        assert status.missing_workers == (), "the call has been waiting for less than five seconds"
    handle.cancel()
