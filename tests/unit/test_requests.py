"""What a dict has to be that answers a request."""

from __future__ import annotations

from typing import Any

import pytest

from agentspan.agents import Request
from agentspan.schema.output import answer_type

PARCEL = {"type": "object", "properties": {"weight": {"type": "number"}}, "required": ["weight"]}


def request(kind: Any, answer: dict[str, Any] | None = None) -> Request:
    return Request(
        id="id",
        kind=kind,
        agent="shop",
        execution_id="run",
        step=1,
        tool="refund",
        description="Pay back.",
        args={},
        schema={},
        answer_schema=answer,
    )


@pytest.mark.parametrize(
    ("asked", "fields"),
    [
        (request("approval"), ["approved", "reason"]),
        (request("guardrail"), ["approved", "reason"]),
        (request("question"), ["response"]),
        (request("question", answer_type(int, "test").plain), ["response"]),
        (request("question", PARCEL), ["weight"]),
    ],
)
def test_a_decision_and_an_answer_have_fields(asked: Request, fields: list[str]) -> None:
    assert asked.response_schema["type"] == "object"
    assert list(asked.response_schema["properties"]) == fields
    assert asked.takes_fields is (fields != ["response"])
