"""Requests to people: those of one run, or all that wait on a server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from agentspan.declare.approval import Request
from agentspan.engine.records import TaskRecord, WorkflowRecord
from agentspan.errors import NotFound
from agentspan.reading.durations import moment
from agentspan.reading.tree import open_below
from agentspan.stored.budget import Spent
from agentspan.stored.guard import Guarded
from agentspan.stored.names import request_name
from agentspan.stored.person import DECIDED, PERSON, Decision, RequestSpec

if TYPE_CHECKING:
    from agentspan.engine.client import Conductor

Json = dict[str, Any]

_PAGE = 100


def request_of(record: WorkflowRecord) -> Request | None:
    """The request that an execution stands for; None where a person is not asked, or not yet.

    Args:
        record: The execution, with its tasks.
    """
    spec = RequestSpec.of(record.workflow_definition.get("metadata", {}))
    asked = person_task(record)
    if spec is None or asked is None:
        return None
    decision = decision_of(record)
    due = moment(asked.scheduled_time) + timedelta(seconds=spec.deadline) if spec.deadline is not None else None
    return Request(
        id=record.workflow_id,
        kind=spec.kind,
        agent=record.workflow_definition["metadata"]["agent"],
        execution_id=str(record.input.get("execution_id")),
        step=int(record.input.get("step") or 0),
        tool=spec.tool,
        description=spec.description,
        args=asked.input_data.get("args") or {},
        schema=spec.schema,
        answer_schema=spec.answer,
        asked=moment(asked.scheduled_time),
        due=due,
        default=spec.default,
        status="decided" if decision is not None else "void" if record.ended else "waiting",
        decision=decision,
        decided=None if decision is None else moment(decided_at(record)),
        guardrails=tuple(Guarded.of(each) for each in asked.input_data.get("guards") or ()),
    )


def asking(request: Request) -> str:
    """What a person is asked, in a sentence."""
    if request.kind == "budget":
        return f"The budget is used up: {Spent.of(request.args).over_told}."
    if request.kind == "question":
        return f"{request.tool} asks a person."
    why = "; ".join(f"the guardrail {each.name} refuses: {each.message.rstrip('.')}" for each in request.guardrails)
    if request.kind == "guardrail":
        what = "result" if "result" in request.args else "answer" if "answer" in request.args else "prompt"
        of = f" of {request.tool}" if what == "result" else ""
        return f"A person decides about the {what}{of}: {why}."
    return f"A person decides whether {request.tool} is called{': ' if why else ''}{why}."


def person_tasks(record: WorkflowRecord) -> list[TaskRecord]:
    """The tasks of a request that a person completes, oldest first: one more for each time that its run was retried."""
    return [task for task in record.tasks if task.reference_task_name == PERSON]


def person_task(record: WorkflowRecord) -> TaskRecord | None:
    """The newest one; None before it is there."""
    found = person_tasks(record)
    return found[-1] if found else None


def decision_of(record: WorkflowRecord) -> Decision | None:
    """What was decided on a request: the first decision that arrived, which is the one that counts."""
    for task in reversed(record.tasks):
        if task.reference_task_name == DECIDED and task.status == "COMPLETED":
            found = (task.output_data.get("result") or {}).get("decision")
            return Decision.of(found, _given(record, found)) if found else None
    return None


def _given(record: WorkflowRecord, decision: Json) -> Any:
    """What the person gave whose decision it is: the answer, or what is taken instead."""
    for task in person_tasks(record):
        said = task.output_data
        if task.status == "COMPLETED" and said.get("id") == decision.get("id"):
            return said.get("answer", said.get("args"))
    return None


def decided_at(record: WorkflowRecord) -> int:
    """When; milliseconds since 1970."""
    return max((task.end_time for task in record.tasks if task.reference_task_name == DECIDED), default=0)


def find_request(client: Conductor, request_id: str) -> WorkflowRecord:
    """The execution of a request.

    Raises:
        NotFound: There is none of that id, or it is no request's.
    """
    try:
        record = client.workflow(request_id)
    except NotFound:
        raise NotFound(
            f"The server at {client.settings.address} has no request {request_id!r}.",
            hint="`agentspan request list` shows the requests that wait.",
        ) from None
    if RequestSpec.of(record.workflow_definition.get("metadata", {})) is None:
        raise NotFound(
            f"{request_id!r} is an execution of {record.workflow_name}, not a request to a person.",
            hint="`agentspan request list` shows the requests that wait.",
        )
    return record


def waiting_requests(client: Conductor, agent: str | None = None) -> Iterator[Request]:
    """The requests that wait on the server, oldest first.

    Args:
        client: The server.
        agent: Only those of this agent.
    """
    # The server's index takes a pattern for a name (3.32.3, tried).
    names = request_name("*" if agent is None else agent, "*")
    found: dict[str, Request] = {}
    start = 0
    while True:
        page = client.search(f'workflowType="{names}" AND status IN (RUNNING,PAUSED)', start=start, size=_PAGE)
        for row in page:
            if row.workflow_id not in found:
                request = _read(client, row.workflow_id)
                if request is not None and request.status == "waiting" and agent in (None, request.agent):
                    found[row.workflow_id] = request
        if len(page) < _PAGE:
            break
        start += len(page)
    yield from sorted(found.values(), key=lambda request: (request.asked is None, request.asked, request.id))


def requests_of(client: Conductor, execution_id: str) -> Iterator[Request]:
    """The requests of one run that wait now, in the order of its calls; reads the run and its newest segment.

    Args:
        client: The server.
        execution_id: The run.
    """
    for record in open_below(client, execution_id):
        request = request_of(record)
        if request is not None and request.status == "waiting":
            yield request


def _read(client: Conductor, request_id: str) -> Request | None:
    try:
        return request_of(client.workflow(request_id))
    except NotFound:  # it was deleted meanwhile
        return None
