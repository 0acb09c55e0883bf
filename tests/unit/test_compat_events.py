"""What the setting `compat` makes of events."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from agentspan import compat
from agentspan.agents import RunDone, ToolReturned, Waiting

SAID: dict[str, Any] = {"execution_id": "run", "step": 1, "timestamp": datetime(2026, 1, 1, tzinfo=UTC)}


def test_a_stream_waits_for_people_only() -> None:
    """A script that is told of `waiting` approves what the run asks."""
    worker = Waiting(seq=1, error="No worker has taken the call.", tool_name="look", **SAID)
    person = Waiting(seq=2, error="A person decides.", tool_name="pay", request_id="r-1", **SAID)
    returned = ToolReturned(seq=3, tool_name="pay", call_id="c", result=4, **SAID)

    assert compat.events([worker, person, returned]) == [person, returned]


def test_an_answer_is_in_a_dict() -> None:
    done = RunDone(seq=4, output="Paid.", **SAID)
    assert [each.output for each in compat.events([done])] == [{"result": "Paid."}]
