"""How far a run has come, from its newest segment."""

from __future__ import annotations

from collections.abc import Iterable

from agentspan.engine.records import TaskRecord, WorkflowRecord
from agentspan.reading.prices import priced_sum
from agentspan.reading.result import Progress
from agentspan.reading.run import StoredSegment, loops
from agentspan.reading.spent import segment_usage, used_in
from agentspan.stored.names import tool_of_task
from agentspan.stored.usage import Usage, added


def run_progress(
    run: WorkflowRecord, segment: StoredSegment | None, pending: list[TaskRecord], below: Iterable[Usage]
) -> Progress:
    """How far a run has come.

    Args:
        run: The run; its tasks are not needed.
        segment: Its newest segment; None before there is one.
        pending: The tasks of that which are at work, or wait for it.
        below: What agents have used that were called, and that its sums do not have yet.
    """
    step = 0 if segment is None else segment.step
    return Progress(
        current_task=_current_task(pending, segment),
        step=step,
        # Without tools there is one turn, and one more for each answer that is sent back.
        max_steps=run.workflow_definition["metadata"]["max_turns"] if loops(run) else max(1, step),
        usage=_usage(run, segment, below),
    )


def _current_task(pending: list[TaskRecord], segment: StoredSegment | None) -> str | None:
    names = []
    for task in pending:
        if task.kind in ("llm", "tool", "output", "input", "instructions", "summary"):
            names.append("model" if task.kind == "llm" else tool_of_task(task.task_def_name))
    doing = ", ".join(dict.fromkeys(names)) or None
    if doing is None or segment is None or not segment.is_handed:
        return doing
    turn = segment.turns[-1] if segment.turns else None
    return f"{turn.agent if turn is not None else segment.first}: {doing}"


def _usage(run: WorkflowRecord, segment: StoredSegment | None, below: Iterable[Usage]) -> Usage:
    if run.status == "COMPLETED" or segment is None:
        return used_in(run)
    own = priced_sum(segment_usage(segment), run.workflow_definition, segment.step, run.start_time)
    return Usage.of(added(each.to_json() for each in (own, *below)))
