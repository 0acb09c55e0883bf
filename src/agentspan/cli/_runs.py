"""Find runs of agents on the server."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from agentspan.errors import InputError, NotFound
from agentspan.reading.index import PAGE, Owned, read_moment, started
from agentspan.stored.names import request_name, segment_name
from agentspan.stored.usage import Usage

if TYPE_CHECKING:
    from agentspan.engine.client import Conductor
    from agentspan.engine.records import RunSummary, WorkflowRecord
    from agentspan.reading.asking import Asking
    from agentspan.runtime.runtime import AgentRuntime

_ID = re.compile(r"[\w-]+")
_SHOWN = 5
_WHOLE = 36
"""Characters of an id."""


def find_id(runtime: AgentRuntime, given: str) -> str:
    """The id of the run that `given` names: the id itself, or a beginning that only one run has.

    Raises:
        InputError: It is no id, or several runs begin so.
        NotFound: No run begins so.
    """
    if not _ID.fullmatch(given):
        raise InputError(f"{given!r} is not an execution id.", hint="`agentspan agent list` shows the runs there are.")
    try:
        return _run_of(runtime.client.workflow(given, tasks=False))
    except NotFound as error:
        matches = _beginning_with(runtime.client, given)
        if not matches:
            raise error from None
    return _only(matches, given, "runs")


def find_request_id(runtime: AgentRuntime, given: str) -> str:
    """The id of the request that `given` names: the id itself, or a beginning that only one request has.

    Raises:
        InputError: It is no id, or several requests begin so.
    """
    if not _ID.fullmatch(given):
        raise InputError(f"{given!r} is not a request's id.", hint="`agentspan request list` shows those that wait.")
    if len(given) >= _WHOLE:
        return given
    names = request_name("*", "*")
    found = runtime.client.search(f'workflowId="{given}*" AND workflowType="{names}"', size=PAGE)
    matches = [each for each in found if each.workflow_id.startswith(given)]
    return _only(matches, given, "requests") if matches else given


def _only(matches: list[RunSummary], given: str, what: str) -> str:
    if len(matches) > 1:
        listed = ", ".join(run.workflow_id for run in matches[:_SHOWN])
        more = ", …" if len(matches) > _SHOWN else ""
        raise InputError(f"Several {what} begin with {given!r}: {listed}{more}", hint="Give more of the id.")
    return matches[0].workflow_id


def _run_of(record: WorkflowRecord) -> str:
    """The run's id, also when that of one of its segments was given, which the server's own UI shows too."""
    parent = record.input.get("execution_id")
    is_segment = record.workflow_name == segment_name(record.workflow_name.partition(".")[0])
    return str(parent) if is_segment and parent else record.workflow_id


def _beginning_with(client: Conductor, prefix: str) -> list[RunSummary]:
    found = client.search(f'workflowId="{prefix}*" AND parentWorkflowId=""', size=PAGE)
    owned = Owned(client)
    return [run for run in found if run.workflow_id.startswith(prefix) and run.workflow_type in owned]


def ended(run: RunSummary) -> datetime | None:
    """When the run was over."""
    return read_moment(run.end_time) if run.end_time else None


def elapsed(run: RunSummary, now: datetime) -> float:
    """Seconds from its start to its end, or to now."""
    return max(0.0, ((ended(run) or now) - started(run)).total_seconds())


def as_json(run: RunSummary, now: datetime) -> dict[str, Any]:
    """What a list says about a run."""
    over = ended(run)
    return {
        "execution_id": run.workflow_id,
        "agent": run.workflow_type,
        "version": run.version,
        "status": run.status,
        "started": started(run).isoformat(),
        "ended": over.isoformat() if over else None,
        "elapsed": round(elapsed(run, now), 3),
    }


def asking_as_json(asking: Sequence[Asking]) -> dict[str, Any]:
    """What a list says of the people that a run waits for."""
    return {"asking": [each.to_json() for each in asking]}


def asking_cell(asking: Sequence[Asking]) -> str:
    """The same for people."""
    return ", ".join(each.told for each in asking) or "-"


def usage_as_json(usage: Usage | None) -> dict[str, dict[str, Any] | None]:
    """What a list says of what a run has used; None where that is not read."""
    return {"usage": None if usage is None else usage.to_json()}


def usage_cells(usage: Usage | None) -> tuple[str, str]:
    """The same for people: tokens, and what they cost."""
    if usage is None:
        return ("-", "-")
    without = "+" if usage.unpriced else ""  # calls that nobody knows the price of
    return (f"{usage.total_tokens:,}", "-" if usage.cost is None else f"${usage.cost:.4f}{without}")
