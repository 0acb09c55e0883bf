"""The setting `compat`: the upstream SDK's forms, for scripts that expect them."""

from __future__ import annotations

import asyncio
import io
import json
import pickle
from collections.abc import Iterator

import pytest
from click.testing import CliRunner
from pydantic import BaseModel

from agentspan.agents import (
    Agent,
    AgentRuntime,
    ConfigError,
    ExecutionFailed,
    FinishReason,
    Retry,
    Status,
    tool,
)
from agentspan.cli import main
from agentspan.config import load_settings
from agentspan.testing import call, fail, say
from agentspan.testing.plugin import Stage


@tool
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


@pytest.fixture
def compat(conductor_url: str) -> Iterator[AgentRuntime]:
    with AgentRuntime(conductor_url, compat=True) as opened:
        yield opened


def adder(model: Stage) -> Agent:
    return Agent("compatible", model=model.play([call("add", a=1, b=2), say("three")]), tools=[add])


def refused(model: Stage) -> Agent:
    return Agent("refused", model=model.play([fail(400, "no such model")]), model_retry=Retry(1))


def test_outputs_are_dicts(compat: AgentRuntime, model: Stage) -> None:
    agent = adder(model)
    result = compat.run(agent, "1 + 2?")
    printed = io.StringIO()
    result.print_result(printed)

    assert result.output == {"result": "three", "finishReason": "stop"}
    assert (result.is_success, result.is_failed, result.error) == (True, False, None)
    assert result.tool_calls == [{"name": "add", "args": {"a": 1, "b": 2}, "result": 3}]
    assert printed.getvalue().startswith("three\n\nCOMPLETED after 2 steps")
    assert repr(result).startswith("<AgentResult 'three' COMPLETED")
    assert "three" in result._repr_html_()
    assert json.loads(json.dumps(result.to_json()))["output"] == {"result": "three", "finishReason": "stop"}
    assert pickle.loads(pickle.dumps(result)).output == result.output

    handle = compat.handle(result.execution_id)
    assert [event.output for event in handle.stream()] == [None, None, None, None, {"result": "three"}]
    assert handle.get_status().output == {"result": "three"}
    assert "three" in handle._repr_html_()
    # So it is for this runtime, and not for the run.
    assert AgentRuntime(compat.settings.server_url).handle(result.execution_id).result().output == "three"


class Sum(BaseModel):
    total: int


def test_an_answer_with_a_type_is_given_as_json(compat: AgentRuntime, model: Stage) -> None:
    agent = Agent("typed", model=model.play([say('{"total": 3}')]), output_type=Sum)
    result = compat.run(agent, "1 + 2?")
    assert result.output == {"result": {"total": 3}, "finishReason": "stop"}
    assert result.plain.output == Sum(total=3)


def test_a_run_that_failed_gives_a_result(compat: AgentRuntime, runtime: AgentRuntime, model: Stage) -> None:
    agent = refused(model)
    assert asyncio.run(compat.run_async(agent, "?")).is_failed
    result = compat.run(agent, "?")
    assert (result.is_failed, result.status, result.finish_reason) == (True, Status.FAILED, FinishReason.ERROR)
    assert result.output == {"result": "", "finishReason": "error"}
    assert "no such model" in str(result.error)
    printed = io.StringIO()
    result.print_result(printed)
    assert "no such model" in printed.getvalue()
    assert result.events[-1].type == "error"
    assert result.to_json()["error"] == result.error
    with pytest.raises(ExecutionFailed):
        runtime.handle(result.execution_id).result()

    stopped = compat.start(adder(model), "1 + 2?", serve=False)
    stopped.cancel("not needed")
    cancelled = stopped.join(timeout=30)
    assert (cancelled.status, cancelled.finish_reason) == ("TERMINATED", FinishReason.CANCELLED)
    assert "not needed" in str(cancelled.error)


def test_the_setting_comes_from_where_settings_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not load_settings().compat
    monkeypatch.setenv("AGENTSPAN_COMPAT", "1")
    assert load_settings().compat
    monkeypatch.setenv("AGENTSPAN_COMPAT", "perhaps")
    with pytest.raises(ConfigError, match="AGENTSPAN_COMPAT='perhaps': compat must be 1 or 0"):
        load_settings()
    monkeypatch.delenv("AGENTSPAN_COMPAT")
    with pytest.raises(ConfigError, match="compat must be true or false"):
        load_settings(compat="yes")


def test_the_command_line_prints_what_it_always_prints(
    compat: AgentRuntime, model: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = compat.run(adder(model), "1 + 2?").execution_id
    monkeypatch.setenv("AGENTSPAN_COMPAT", "1")
    shown = CliRunner().invoke(main, ["--server", compat.settings.server_url, "agent", "result", run_id, "-o", "json"])
    assert json.loads(shown.stdout)["output"] == "three"
