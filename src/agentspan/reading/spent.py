"""The tokens of one turn's model call, and what they cost."""

from __future__ import annotations

from agentspan.engine.records import TaskRecord, WorkflowRecord
from agentspan.reading.prices import priced_call, priced_sum
from agentspan.reading.run import StoredSegment, StoredTurn
from agentspan.stored.usage import Usage, added


def usage_of(turn: StoredTurn, segment: StoredSegment) -> Usage:
    """What a turn's model call has used, with a summary before it and tries that failed, as far as providers told.

    Args:
        turn: The turn.
        segment: The segment that it is in.
    """
    used = [part.to_json() for task in turn.model for part in (answered(task, segment), failed(task))]
    return Usage.of(added((*used, turn.summary.tokens if turn.summary else {})))


def answered(task: TaskRecord, segment: StoredSegment) -> Usage:
    """What the answer of a model call has used; nothing until it is there."""
    said = task.output_data
    if task.in_worker:
        return Usage.of((said.get("result") or {}).get("tokens"))
    counted = Usage(int(said.get("promptTokens") or 0), int(said.get("completionTokens") or 0))
    return priced_call(counted, segment.record.workflow_definition.get("metadata", {}), task.end_time)


def failed(task: TaskRecord) -> Usage:
    """What the tries of one task have used that failed."""
    return Usage.of(added(failure.tokens for failure in task.notes.failures if failure.tokens))


def segment_usage(segment: StoredSegment) -> Usage:
    """The sums of a run as of its newest segment.

    With what calls have used that no turn has followed yet, and the tries of a model call that has no answer yet.
    """
    open_turn = next((turn for turn in reversed(segment.turns) if turn.plan is None), None)
    lost = () if open_turn is None else (failed(task).to_json() for task in open_turn.model)
    last = next((turn for turn in reversed(segment.turns) if turn.plan is not None), None)
    called = () if last is None else ((call.told or {}).get("usage") or {} for call in last.calls)
    return Usage.of(added((segment.usage or {}, *called, *lost)))


def uncounted(segment: StoredSegment) -> list[str]:
    """The runs of agents that were called last in it and have given no answer: its sums do not have what they used."""
    last = next((turn for turn in reversed(segment.turns) if turn.plan is not None), None)
    calls = () if last is None else last.calls
    return [call.called for call in calls if call.told is None and call.called is not None]


def used_in(run: WorkflowRecord) -> Usage:
    """The sums of a run that is over, where it has left any.

    Args:
        run: The run; its tasks are not needed.
    """
    stored = Usage.of(run.output.get("usage"))
    return priced_sum(stored, run.workflow_definition, int(run.output.get("steps") or 0), run.start_time)
