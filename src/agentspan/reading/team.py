"""The run of a team: who was called, and what came of it."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from itertools import groupby

from agentspan.engine.records import TaskRecord, WorkflowRecord
from agentspan.reading.asked import person_drafts
from agentspan.reading.drafts import Draft, Within
from agentspan.reading.result import AgentStatus, Progress
from agentspan.reading.run import StoredSegment, is_run
from agentspan.stored.team import TeamSpec
from agentspan.stored.usage import Usage, added


def called_in(record: WorkflowRecord) -> list[TaskRecord]:
    """The tasks that stand for members and for what chose them, in the order in which they were called."""
    return [task for task in record.tasks if task.kind in ("member", "choose")]


def members_in(record: WorkflowRecord) -> list[TaskRecord]:
    """Those of members."""
    return [task for task in record.tasks if task.kind == "member"]


def is_unfinished(task: TaskRecord) -> bool:
    """Whether one of those is at work, or has ended without an answer."""
    return task.status != "COMPLETED" and not task.retried


def member_of(task: TaskRecord) -> str:
    """Who was called: a member, or what chooses one."""
    return str(task.input_data.get("subWorkflowName") or task.task_def_name)


def unfinished(record: WorkflowRecord, begun: Mapping[str, WorkflowRecord]) -> list[tuple[str, str]]:
    """Those that are at work, or have ended without an answer: who, and the run.

    Args:
        record: The run of the team, with its tasks.
        begun: What these tasks have begun, by their ids.
    """
    tasks = [(member_of(task), task.sub_workflow_id or "") for task in called_in(record) if is_unfinished(task)]
    return [(name, run_id) for name, run_id in tasks if run_id in begun and is_run(begun[run_id])]


def steps_of_answers(record: WorkflowRecord) -> int:
    """The turns of those that have given their answer."""
    return sum(int(task.output_data.get("steps") or 0) for task in called_in(record) if not is_unfinished(task))


def team_drafts(segment: StoredSegment, team: TeamSpec) -> Iterator[Draft | Within]:
    """The events of a team's run, as far as it got.

    Members that work beside each other are told of first; then follows what each did, one after the other, and at last
    what the one did that makes one answer of theirs.

    Args:
        segment: The run.
        team: How its members work together.
    """
    beside = team.strategy == "parallel"

    def together(task: TaskRecord) -> str:
        return "all" if beside and member_of(task) in team.agents else task.task_id

    step = 0
    for _, group in groupby(called_in(segment.record), key=together):
        tasks = list(group)
        for task in tasks:
            step += task.kind == "member"
            if task.kind == "member":
                target = member_of(task)
                yield Draft(type="handoff", step=step, at=task.scheduled_time, details={"target": target})
        for place, task in enumerate(tasks):
            done = yield from _within(segment.parts, task, step - len(tasks) + 1 + place if beside else max(step, 1))
            if not done:
                return


def _within(parts: Mapping[str, WorkflowRecord], task: TaskRecord, step: int) -> Generator[Draft | Within, None, bool]:
    part = parts.get(task.sub_workflow_id or "")
    if part is not None and not is_run(part):
        yield from person_drafts(part, step)
    elif task.sub_workflow_id is not None:
        yield Within(task.sub_workflow_id, member_of(task))
    return task.status == "COMPLETED"


def _used_in(record: WorkflowRecord, unfinished: Sequence[Usage]) -> Usage:
    """What members have used so far.

    Args:
        record: The run, with its tasks.
        unfinished: What those have used that have given no answer.
    """
    done = [task.output_data.get("usage") or {} for task in called_in(record) if not is_unfinished(task)]
    return Usage.of(added([*done, *(usage.to_json() for usage in unfinished)]))


def team_progress(
    record: WorkflowRecord, team: TeamSpec, unfinished: Sequence[tuple[str, AgentStatus]], *, is_over: bool
) -> Progress:
    """How far a team has come.

    Args:
        record: Its run, with its tasks.
        team: How its members work together.
        unfinished: Those that have given no answer, and how far they have come.
        is_over: Whether none of them is at work any more.
    """
    doing = [f"{name}: {status.current_task}" if status.current_task else name for name, status in unfinished]
    return Progress(
        current_task=None if is_over else ", ".join(doing) or None,
        step=len(members_in(record)),
        max_steps=team.turns,
        usage=_used_in(record, [status.usage for _, status in unfinished]),
    )
