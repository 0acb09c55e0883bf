"""The requests by which a person is asked about what a guardrail refuses: a prompt, an answer, a tool's result."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from agentspan.compiler import _tasks as t
from agentspan.compiler._ask import RESULT, WHAT
from agentspan.compiler._request import asking_about
from agentspan.compiler._tasks import Json, literal, ref
from agentspan.compiler._workflow import workflow
from agentspan.declare.agent import Agent
from agentspan.declare.guardrail import Guardrail, Position
from agentspan.declare.guardrails import asking, time_to_decide
from agentspan.declare.handoff import as_one
from agentspan.schema.output import WRAPPED, AnswerType
from agentspan.stored.names import request_name, result_request_name
from agentspan.stored.output import NOTE
from agentspan.stored.person import DECIDED, PERSON, REQUEST, RequestSpec

_TEXT: Json = {"type": "string", "minLength": 1}


def review_workflows(agent: Agent[Any]) -> tuple[Json, ...]:
    """The workflows of an agent's requests; none where none of its guardrails asks a person."""
    return tuple(_reviews(agent))


def _reviews(agent: Agent[Any]) -> Iterator[Json]:
    whole = as_one(agent)
    for position, what in WHAT.items():
        guards = asking(whole.guards(position))
        if guards:
            schema = _schema(what, _TEXT) if position == Position.INPUT else _answer_schema(whole)
            spec = _spec(position.value, f"The {what} of a run of the agent {agent.name}.", schema, guards)
            yield _workflow(agent, request_name(agent.name, position), what, spec)
    for tool in agent.tools:
        guards = asking(tool.guards(Position.OUTPUT))
        if guards:
            spec = _spec(tool.name, tool.description, _schema(RESULT, {}), guards)
            yield _workflow(agent, result_request_name(agent.name, tool.name), RESULT, spec)


def _spec(tool: str, description: str, schema: Json, guards: tuple[Guardrail, ...]) -> RequestSpec:
    deadline, default = time_to_decide(guards)
    return RequestSpec(
        kind="guardrail", tool=tool, description=description, schema=schema, deadline=deadline, default=default
    )


def _schema(what: str, kind: Json) -> Json:
    """What a person may give instead."""
    found = {"type": "object", "properties": {what: kind}, "required": [what], "additionalProperties": False}
    return {**found, **({"$defs": kind["$defs"]} if "$defs" in kind else {})}


def _answer_schema(agent: Agent[Any]) -> Json:
    what, found = WHAT[Position.OUTPUT], agent.answer_type
    if agent.handoffs and found is not None:  # answers of several types, of which one alone fits who has answered
        return {"type": "object", "not": {}}
    return _schema(what, _TEXT if found is None else _kind(found))


def _kind(found: AnswerType) -> Json:
    schema = found.plain
    if not found.wrapped:
        return schema
    return {**schema["properties"][WRAPPED], **({"$defs": schema["$defs"]} if "$defs" in schema else {})}


def _workflow(agent: Agent[Any], name: str, what: str, spec: RequestSpec) -> Json:
    decided = t.jq(
        DECIDED,
        DECIDED,
        "What was decided, as the verdict that stands then.",
        t.program("reviewed"),
        what=what,
        person=ref(f"{PERSON}.output"),
        **{given: ref(f"workflow.input.{given}") for given in ("args", "asks", "said", "again", "final")},
        note=literal(NOTE),
        deadline=spec.deadline,
        default=spec.default,
    )
    end = t.task("TERMINATE", "finish", "finish", {"terminationStatus": "COMPLETED"})
    end["inputParameters"]["workflowOutput"] = ref(f"{DECIDED}.output.result")
    asks = asking_about(agent, spec, ref("workflow.input.args"), ref("workflow.input.asks"))
    definition = workflow(
        agent,
        name,
        f"What a person decides about the {what}, which a guardrail refuses, of the agent {agent.name}.",
        [*asks, decided, end],
        inputParameters=["args", "asks", "said", "again", "final", "call_id", "step", "execution_id", "call"],
        outputParameters={},
    )
    return {**definition, "metadata": {**definition["metadata"], REQUEST: spec.to_json()}}
