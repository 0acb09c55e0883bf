"""What a row of the server's index tells of a run's tokens."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentspan.engine.records import RunSummary
from agentspan.reading.index import Owned
from agentspan.reading.rows import Rows
from agentspan.stored.usage import Usage

OF_JAVA = "{result=Done., intact=true, finish_reason=stop, usage={prompt_tokens=201, cost=1.5E-4, unpriced=2}, steps=2}"
AS_JSON = json.dumps({"result": "Done.", "usage": {"prompt_tokens": 201, "cost": 1.5e-4, "unpriced": 2}, "steps": 2})
OF_SERVER = "{result=Done., usage={completion_tokens=100, prompt_tokens=1000}, steps=2}"


class Server:
    """Has one definition."""

    def __init__(self, **metadata: Any) -> None:
        self.metadata = {"agent": "shop", "model": "openai/nobody-knows-it", **metadata}

    def workflow_definition(self, name: str, version: int | None = None) -> dict[str, Any]:
        return {"name": name, "version": version or 1, "ownerApp": "agentspan", "metadata": self.metadata}


def used(output: str, status: str = "COMPLETED", **metadata: Any) -> Usage | None:
    row = {"workflowId": "7", "workflowType": "shop", "version": 1, "status": status, "output": output}
    run = RunSummary.model_validate({**row, "startTime": "2026-11-30T14:37:50.889Z"})
    return Rows(Owned(Server(**metadata))).used(run)  # type: ignore[arg-type]


@pytest.mark.parametrize("output", [OF_JAVA, AS_JSON, AS_JSON.replace(" ", "")])
def test_it_is_read_as_the_server_writes_it(output: str) -> None:
    assert used(output, format=2) == Usage(201, cost=1.5e-4, unpriced=2)


@pytest.mark.parametrize(
    "output",
    [
        "",
        "{usage=null, steps=null}",
        "{result=As usage={prompt_tokens=9}, steps=9} says., usage={prompt_tokens=201}, steps=2}",
        "{result=As usage={prompt_tokens=9} says., usage=null, steps=2}",
        "{result=So it says, usage={prompt_tokens=}, steps=1}",
    ],
)
def test_what_is_not_certain_is_not_told(output: str) -> None:
    assert used(output, format=2) is None


def test_a_run_that_is_not_over_has_no_sums_in_its_row() -> None:
    assert used(OF_JAVA, "RUNNING", format=2) is None


def test_the_servers_own_calls_are_priced_as_they_are_read() -> None:
    assert used(OF_SERVER) == Usage(1000, 100)
    prices = {"openai/nobody-knows-it": {"input": 2.0, "output": 10.0}}
    assert used(OF_SERVER, prices=prices) == Usage(1000, 100, cost=0.003)
    known = used(OF_SERVER, model="openai/gpt-4o")
    assert known is not None
    assert known.cost


def test_prices_of_long_calls_are_not_those_of_many_short_ones() -> None:
    many = used("{usage={prompt_tokens=300000, completion_tokens=5}, steps=10}", model="gemini/gemini-2.5-pro")
    long = used("{usage={prompt_tokens=300000, completion_tokens=5}, steps=1}", model="gemini/gemini-2.5-pro")
    assert many is not None
    assert long is not None
    assert 0 < (many.cost or 0) < (long.cost or 0)


def test_sums_of_several_kinds_are_not_taken_apart() -> None:
    mixed = used("{usage={prompt_tokens=300, cost=0.25, unpriced=1}, steps=4}", model="openai/gpt-4o")
    assert mixed == Usage(300, cost=0.25, unpriced=5)
