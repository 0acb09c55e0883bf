"""Deciding requests: approve, reject, answer, from any process, once."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import jsonschema_rs

from agentspan.declare.approval import Request
from agentspan.engine.client import Conductor
from agentspan.engine.records import PENDING, TaskRecord, WorkflowRecord
from agentspan.errors import Conflict, InputError
from agentspan.reading.requests import decision_of, find_request, person_task, request_of
from agentspan.schema.output import WRAPPED
from agentspan.schema.values import check_value
from agentspan.stored.person import Decision, RequestSpec

COMING = 10.0
"""Seconds that a request gets to be asked, and a decision to be taken."""

LOOK, SELDOM = 0.02, 1.0
"""Seconds between two looks at it, at first, and once the engine is asked to look, too."""

_VERBS = {
    "approval": "approved or rejected",
    "question": "answered or rejected",
    "budget": "extended, finished or rejected",
    "guardrail": "approved or rejected",
}


def approve(
    client: Conductor, request_id: str, *, args: Mapping[str, Any] | None = None, by: str | None = None
) -> None:
    """Have a call made, or what a guardrail refuses taken.

    Args:
        client: The server.
        request_id: The request.
        args: Other arguments than the model's, all of them; of a guardrail what is taken instead, in their form.
        by: Who decides.

    Raises:
        Conflict: It is decided already, or its run is over.
        InputError: The arguments do not fit the tool, or it is a question.
        NotFound: There is no such request.
    """
    request, task = waiting(client, request_id, "approval", "guardrail")
    edited: dict[str, Any] = {}
    if args is not None:
        what = "what is to be taken instead" if request.kind == "guardrail" else f"the arguments of {request.tool}"
        check(dict(args), request.schema, what, request.id)
        edited = {"args": dict(args)}
    decide(client, request, task, {"approved": True, **edited}, by)


def reject(client: Conductor, request_id: str, reason: str = "", *, by: str | None = None) -> None:
    """Have a call not made, leave a question without an answer, or end a run whose budget is used up.

    What a guardrail refuses is not taken: the model is told so, and of a prompt the run fails.

    Args:
        client: The server.
        request_id: The request.
        reason: Why; the model reads it where the run goes on.
        by: Who decides.

    Raises:
        Conflict: It is decided already, or its run is over.
        NotFound: There is no such request.
    """
    request, task = waiting(client, request_id)
    decide(client, request, task, {"approved": False, **({"reason": reason} if reason else {})}, by)


def answer(client: Conductor, request_id: str, value: Any, *, by: str | None = None) -> None:
    """Answer a question.

    Args:
        client: The server.
        request_id: The request.
        value: The answer, as JSON; it has to fit the type that the question has.
        by: Who answers.

    Raises:
        Conflict: It is answered already, or its run is over.
        InputError: It does not fit, or nothing was asked but an approval.
        NotFound: There is no such request.
    """
    request, task = waiting(client, request_id, "question")
    check(_in_object(request, value), request.answer_schema or {"type": "string"}, "the answer", request.id)
    decide(client, request, task, {"approved": True, "answer": value}, by)


def _in_object(request: Request, value: Any) -> Any:
    """The answer as its schema describes it: in an object's only field where it is none itself."""
    properties = (request.answer_schema or {}).get("properties", {})
    return {WRAPPED: value} if list(properties) == [WRAPPED] else value


def check(value: Any, schema: Mapping[str, Any], what: str, request_id: str) -> None:
    """Refuse what does not fit.

    Args:
        value: What somebody gave.
        schema: The JSON Schema that it has to fit.
        what: What messages call it.
        request_id: The request that it is for.

    Raises:
        InputError: It says why.
    """
    check_value(value, what)
    validator = jsonschema_rs.validator_for({**schema})
    problems = [
        f"{'.'.join(str(each) for each in error.instance_path if each != WRAPPED) or what}: {error.message}"
        for error in validator.iter_errors(value)
    ]
    if problems:
        raise InputError(
            f"Not taken: {'; '.join(problems)}", hint=f"`agentspan request show {request_id}` prints what fits."
        )


def waiting(client: Conductor, request_id: str, *kinds: str) -> tuple[Request, TaskRecord]:
    """The request, once it is asked, and the task that waits for its decision.

    Args:
        client: The server.
        request_id: The request.
        *kinds: Of which kind it has to be; none for any.

    Raises:
        Conflict: It is decided already, or its run is over.
        InputError: It is of another kind.
        NotFound: There is no such request.
    """
    record = find_request(client, request_id)
    spec = RequestSpec.of(record.workflow_definition["metadata"])
    if spec is not None and kinds and spec.kind not in kinds:
        verbs = _VERBS[spec.kind]
        article = "an" if spec.kind == "approval" else "a"
        raise InputError(f"Request {request_id} of {spec.tool} is {article} {spec.kind}: it can be {verbs}.")
    deadline = time.monotonic() + COMING
    while True:
        request, task = request_of(record), person_task(record)
        if request is not None and task is not None and request.status == "waiting" and task.status in PENDING:
            return request, task
        is_over = record.ended or (task is not None and task.status == "COMPLETED")
        if is_over or time.monotonic() > deadline:
            raise Conflict(_too_late(record, request))
        time.sleep(LOOK)
        record = client.workflow(request_id)


def decide(client: Conductor, request: Request, task: TaskRecord, said: dict[str, Any], by: str | None) -> None:
    """Decide a request, and wait until that is what counts.

    Args:
        client: The server.
        request: The request.
        task: The task that waits for its decision.
        said: The decision.
        by: Who decides.

    Raises:
        Conflict: Another decision arrived before, or the run is over.
    """
    mine = uuid4().hex
    output = {**said, "id": mine, **({"by": by} if by else {})}
    check_value(output, "the decision")
    client.update_task(
        {
            "taskId": task.task_id,
            "workflowInstanceId": request.id,
            "status": "COMPLETED",
            "outputData": output,
        }
    )
    # Conductor takes a second report without a word, and of two at once either; what was decided by is what counts.
    deadline = time.monotonic() + COMING
    while True:
        record = client.workflow(request.id)
        decision = decision_of(record)
        if decision is None and (record.status == "PAUSED" or time.monotonic() > deadline):
            decision = _given(record)  # what the engine will take once it goes on
        if decision is not None and decision.id == mine:
            if record.ended and record.parent_workflow_id is not None:  # nothing is called: the run goes on at once
                client.decide(record.parent_workflow_id)
            return
        if decision is not None or record.ended:
            raise Conflict(_too_late(record, request_of(record)))
        late = time.monotonic() > deadline - COMING / 2
        if late:
            client.decide(request.id)
        time.sleep(SELDOM if late else LOOK)


def _given(record: WorkflowRecord) -> Decision | None:
    """What somebody has given the request, whether or not the engine has gone on with it."""
    kept = person_task(record)
    return Decision.of(kept.output_data) if kept is not None and kept.status == "COMPLETED" else None


def _too_late(record: WorkflowRecord, request: Request | None) -> str:
    named = f"Request {record.workflow_id}"
    decision = None if request is None else request.decision or _given(record)
    if request is None:
        return f"{named} asks nobody: " + (
            "its call is over." if record.ended else "no worker has checked its call yet."
        )
    named = f"{named} about the budget" if request.kind == "budget" else f"{named} of {request.tool}"
    if decision is None:
        return f"{named} is void: it ended as {record.status} without a decision."
    who = "by its deadline" if decision.overdue else f"by {decision.by}" if decision.by else "by somebody"
    return f"{named} is {decision.verb(request.kind)} already, {who}."
