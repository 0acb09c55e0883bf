"""A stored segment as what it stands for: turns, calls, and the tasks that are their attempts.

A record is read here once. Events, steps, status and waits are made from what comes of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from agentspan.declare.approval import Request
from agentspan.engine.records import PENDING, TaskRecord, WorkflowRecord
from agentspan.reading.parts import NO_PARTS
from agentspan.reading.requests import person_tasks, request_of
from agentspan.stored.inputs import SegmentInput
from agentspan.stored.lease import RESPONSE_TIMEOUT
from agentspan.stored.mark import text_mark
from agentspan.stored.names import CREW, SEGMENT
from agentspan.stored.output import Verdict
from agentspan.stored.person import RequestSpec
from agentspan.stored.plan import Plan, PlannedCall
from agentspan.stored.summary import Summary
from agentspan.stored.team import TeamSpec

_Tasks = dict[tuple[str, int], tuple[TaskRecord, ...]]
"""A turn's tasks by their kind and the number of their call, attempts oldest first."""


@dataclass(frozen=True)
class StoredCall:
    """A call of a turn, and the tasks that were made for it, oldest first: one more for each worker that died.

    What is made in a workflow of its own has that as `part`, and its attempts stand there. Where a person is asked
    about what the tool gave, that is `review`.
    """

    planned: PlannedCall
    attempts: tuple[TaskRecord, ...] = ()
    part: WorkflowRecord | None = None
    review: WorkflowRecord | None = None

    @property
    def is_part(self) -> bool:
        """Whether it is made in a workflow of its own, `part`, where that has begun."""
        return bool(self.attempts) and self.attempts[-1].is_part

    @property
    def called(self) -> str | None:
        """The run of the agent that was called, once it has begun."""
        if self.part is None:
            return None
        if is_run(self.part):
            return self.part.workflow_id
        made = self.made
        return made[-1].sub_workflow_id if made and made[-1].is_part else None

    @property
    def request(self) -> Request | None:
        """What a person is, or was, asked about it."""
        return None if self.part is None else request_of(self.part)

    @property
    def checks(self) -> tuple[TaskRecord, ...]:
        """The attempts of the check before a person is asked."""
        return self._tasks(("approval", 1, 1))

    @property
    def made(self) -> tuple[TaskRecord, ...]:
        """The tasks that ran the tool, oldest first."""
        return self._tasks(("tool", 1, 1)) if self.is_part else self.attempts

    @property
    def asked(self) -> tuple[TaskRecord, ...]:
        """The tasks that waited for a person, oldest first."""
        return () if self.part is None else tuple(person_tasks(self.part))

    def _tasks(self, place: tuple[str, int, int]) -> tuple[TaskRecord, ...]:
        return () if self.part is None else tuple(task for task in self.part.tasks if task.place == place)

    @property
    def told(self) -> dict[str, Any] | None:
        """What the model is told of it, `result` or `error`; None while it is at work."""
        if self.planned.task is None:
            said = self.planned
            return {"error": said.error} if said.result is None else {"result": said.result}
        if not self.attempts or self.attempts[-1].status in PENDING:
            return None
        last = self.attempts[-1]
        if last.is_part and last.status != "COMPLETED":  # the run ends by it, and goes on in it when it is retried
            return None
        if "result" in last.output_data or "error" in last.output_data:
            return _unmarked(last.output_data, self.called) if last.is_part else last.output_data
        return {"error": last.reason_for_incompletion or f"The task ended as {last.status}."}


@dataclass(frozen=True)
class StoredTurn:
    """A turn as far as it got.

    Attributes:
        step: Which one of the run, from 1.
        model: The attempts of its model call, oldest first.
        plan: What the model asked for; None until it has answered.
        planned_at: When the plan was made; milliseconds since 1970.
        calls: Its calls, in the model's order.
        failed: The tasks that ended the run for want of an answer, oldest first.
        checks: The attempts of the check of its answer, oldest first.
        asked: The requests about its answer, where a guardrail asks a person, oldest first.
        agent: Who is at work in it, of a run that agents hand over; who was as it began, until it has a plan.
        summaries: The attempts to summarise older exchanges before it, oldest first.
    """

    step: int
    model: tuple[TaskRecord, ...]
    plan: Plan | None
    planned_at: int
    calls: tuple[StoredCall, ...]
    failed: tuple[TaskRecord, ...]
    checks: tuple[TaskRecord, ...] = ()
    agent: str = ""
    asked: tuple[TaskRecord, ...] = ()
    summaries: tuple[TaskRecord, ...] = ()

    @property
    def summary(self) -> Summary | None:
        """The summary that it begins with."""
        done = [task for task in self.summaries if task.status == "COMPLETED"]
        return Summary.of(done[-1].output_data["result"]) if done else None

    @property
    def next(self) -> str:
        """Who goes on after it, so far as that is known."""
        return (self.plan is not None and self.plan.next) or self.agent

    @property
    def verdict(self) -> Verdict | None:
        """What came of its answer, where that has to fit a type; None until it is known."""
        if not self.checks:
            return None if self.plan is None else self.plan.verdict
        found = self.checked
        return None if found is None else found.after(_left_by(self.asked))

    @property
    def checked(self) -> Verdict | None:
        """What the check found of its answer, whatever a person decides after it; None until it is known."""
        return _found_by(self.checks)


@dataclass(frozen=True)
class StoredSegment:
    """A segment, or a run that has none.

    Attributes:
        record: What the server stores of it.
        given: Its input.
        turns: Its turns, as far as they were begun.
        parts: What was made in workflows of its own in it, by their ids.
    """

    record: WorkflowRecord
    given: SegmentInput
    turns: tuple[StoredTurn, ...]
    parts: Mapping[str, WorkflowRecord] = field(default_factory=dict)

    @classmethod
    def of(cls, record: WorkflowRecord, parts: Mapping[str, WorkflowRecord] = NO_PARTS) -> StoredSegment:
        """Read a record, and those of the calls that are made in workflows of their own, by their ids."""
        given = SegmentInput.of(record.input)
        segment = cls(record, given, tuple(turns_of(record.tasks, given.steps, parts)), parts)
        return replace(segment, turns=tuple(_whose(segment))) if segment.is_handed else segment

    @property
    def is_handed(self) -> bool:
        """Whether agents may hand the run over."""
        return CREW in self.record.workflow_definition.get("metadata", {})

    @property
    def first(self) -> str:
        """Who is at work as it begins."""
        metadata = self.record.workflow_definition.get("metadata", {})
        return self.given.agent or str(next(iter(metadata.get(CREW, ())), metadata.get("agent", "")))

    @property
    def entry(self) -> tuple[TaskRecord, ...]:
        """The attempts of the check of the run's prompt, oldest first; it stands before the first turn."""
        return tuple(task for task in self.record.tasks if task.kind == "input")

    @property
    def told(self) -> tuple[TaskRecord, ...]:
        """The attempts to ask a function for the run's instructions, oldest first; they stand before the first turn."""
        return tuple(task for task in self.record.tasks if task.kind == "instructions")

    @property
    def entry_asked(self) -> tuple[TaskRecord, ...]:
        """The requests about the prompt, where a guardrail asks a person, oldest first."""
        return tuple(task for task in self.record.tasks if task.kind == "ask_input")

    @property
    def entry_checked(self) -> Verdict | None:
        """What the check found of the prompt, whatever a person decides after it."""
        return _found_by(self.entry)

    @property
    def verdict(self) -> Verdict | None:
        """What came of the prompt, where guardrails look at it; None until it is known, and after the first segment."""
        found = self.entry_checked
        return None if found is None else found.after(_left_by(self.entry_asked))

    @property
    def team(self) -> TeamSpec | None:
        """How its members work together, where it is the run of a team."""
        return TeamSpec.of(self.record.workflow_definition.get("metadata", {}))

    @property
    def execution_id(self) -> str:
        """The run that it is part of."""
        return self.given.execution_id or self.record.workflow_id

    @property
    def model(self) -> str:
        """The agent's model, `provider/name`."""
        return str(self.record.workflow_definition.get("metadata", {}).get("model", ""))

    @property
    def step(self) -> int:
        """Turns of the run begun so far."""
        return self.turns[-1].step if self.turns else self.given.steps

    @property
    def usage(self) -> dict[str, Any] | None:
        """Tokens of the run so far."""
        counted = [
            (turn.verdict and turn.verdict.usage) or turn.plan.usage for turn in self.turns if turn.plan is not None
        ]
        return counted[-1] if counted else self.given.usage

    @property
    def model_retries(self) -> int:
        """How often a model call is tried again; the server overwrites what the task's own definition says."""
        tasks = self.record.workflow_definition.get("tasks", [])
        return next((int(task.get("retryCount") or 0) for task in tasks if task.get("type") == "LLM_CHAT_COMPLETE"), 0)


def _found_by(checks: Sequence[TaskRecord]) -> Verdict | None:
    last = checks[-1] if checks else None
    return Verdict.of(last.output_data["result"]) if last is not None and last.status == "COMPLETED" else None


def _left_by(requests: Sequence[TaskRecord]) -> dict[str, Any] | None:
    """What the newest request has left; None until it is decided."""
    return requests[-1].output_data if requests and requests[-1].status == "COMPLETED" else None


def _whose(segment: StoredSegment) -> Iterator[StoredTurn]:
    """The turns with who is at work in each."""
    agent = segment.first
    for turn in segment.turns:
        known = replace(turn, agent=(turn.plan is not None and turn.plan.agent) or agent)
        agent = known.next
        yield known


def loops(run: WorkflowRecord) -> bool:
    """Whether a run has segments; that of an agent without tools has none, nor has a team's."""
    definition = run.workflow_definition
    is_team = TeamSpec.of(definition.get("metadata", {})) is not None
    return not is_team and any(task.get("type") == "DO_WHILE" for task in definition.get("tasks", []))


def is_run(record: WorkflowRecord) -> bool:
    """Whether an execution is an agent's run, and no request to a person."""
    metadata = record.workflow_definition.get("metadata", {})
    return "agent" in metadata and RequestSpec.of(metadata) is None


def is_segment(task: TaskRecord) -> bool:
    """Whether a run's task stands for a segment."""
    return task.reference_task_name.startswith(f"{SEGMENT}__")


def newest_segment_id(run: WorkflowRecord) -> str | None:
    """The segment that a run is in, or ended in; of a run that has none the run itself.

    Args:
        run: The run, with its tasks.
    """
    if not loops(run):
        return run.workflow_id
    segments = [task for task in run.tasks if is_segment(task)]
    # The newest one may not have started yet, when the one before it is gone already.
    ids = [task.sub_workflow_id or task.input_data.get("workflowInput", {}).get("previous") for task in segments]
    return next((segment_id for segment_id in reversed(ids) if segment_id), None)


def turns_of(
    tasks: Sequence[TaskRecord], before: int, parts: Mapping[str, WorkflowRecord] = NO_PARTS
) -> Iterator[StoredTurn]:
    """The turns that tasks of one segment stand for.

    Args:
        tasks: The segment's tasks, or the last ones of them.
        before: Turns of the run before the segment.
        parts: Records of the calls that are made in workflows of their own, by their ids.
    """
    turns: dict[int, _Tasks] = {}
    for task in tasks:
        if task.place is not None:
            kind, number, call = task.place
            found = turns.setdefault(number, {})
            found[kind, call] = (*found.get((kind, call), ()), task)
    for number, found in sorted(turns.items()):
        if ("llm", 1) not in found:
            return
        if is_skipped(found["llm", 1][-1]):  # the run is to come to an end: there is no such turn
            continue
        yield _turn(before + number, found, parts)


def is_skipped(task: TaskRecord) -> bool:
    """Whether a task is the model's call of a turn that was passed over, as the run is to come to an end."""
    return task.kind == "llm" and task.status == "SKIPPED"


def _turn(step: int, tasks: _Tasks, parts: Mapping[str, WorkflowRecord]) -> StoredTurn:
    planned = tasks.get(("plan", 1), ()) or tuple(task for task in tasks["llm", 1] if task.in_worker)
    plan = Plan.of(planned[-1].output_data["result"]) if planned and planned[-1].status == "COMPLETED" else None
    calls = plan.calls if plan is not None else ()
    return StoredTurn(
        step=step,
        model=tasks["llm", 1],
        plan=plan,
        planned_at=planned[-1].end_time if planned else 0,
        calls=tuple(_call(call, tasks.get(("tool", number), ()), parts) for number, call in enumerate(calls, 1)),
        failed=tasks.get(("failed", 1), ()),
        checks=tasks.get(("output", 1), ()),
        asked=tasks.get(("ask_output", 1), ()),
        summaries=tasks.get(("summary", 1), ()),
    )


def _call(planned: PlannedCall, attempts: tuple[TaskRecord, ...], parts: Mapping[str, WorkflowRecord]) -> StoredCall:
    part = parts.get(attempts[-1].sub_workflow_id or "") if attempts and attempts[-1].is_part else None
    asked = [task.sub_workflow_id or "" for task in part.tasks if task.kind == "ask_result"] if part else []
    return StoredCall(planned, attempts, part, parts.get(asked[-1]) if asked else None)


def _unmarked(told: dict[str, Any], called: str | None) -> dict[str, Any]:
    """What an agent answered without the mark that its text may begin with."""
    run_id, result = called or str(told.get("subWorkflowId")), told.get("result")
    return {**told, "result": result.removeprefix(text_mark(run_id))} if isinstance(result, str) else told


def death(task: TaskRecord) -> str:
    """Why an attempt ended that reported nothing."""
    reason = task.reason_for_incompletion or ""
    if task.status == "TIMED_OUT" and reason.startswith("responseTimeout"):
        return f"Its worker {task.worker_id} died: no heartbeat for {RESPONSE_TIMEOUT} s."
    return reason or f"The attempt ended as {task.status}."
