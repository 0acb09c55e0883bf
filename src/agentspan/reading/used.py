"""What a run and all its parts have used: by each model that was asked, and by each agent that asked it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from agentspan.engine.client import Conductor
from agentspan.engine.records import TaskRecord
from agentspan.errors import NotFound
from agentspan.reading.drafts import Within
from agentspan.reading.history import History
from agentspan.reading.run import StoredCall, StoredSegment
from agentspan.reading.spent import failed, usage_of
from agentspan.reading.team import called_in, member_of
from agentspan.reading.turns import model_of
from agentspan.stored.guard import Guarded
from agentspan.stored.usage import Usage, added

UNKNOWN = "unknown"
"""The model of a guardrail whose run was stored before that was, or whose try failed."""


@dataclass(frozen=True)
class Used:
    """What one model was asked for, by one agent."""

    agent: str
    model: str
    usage: Usage


def used_in(client: Conductor, execution_id: str) -> list[Used]:
    """What a run has used, each request to a model by itself, with those of agents that it called, in order.

    Raises:
        NotFound: The server has no such run.
    """
    found: list[Used] = []
    for segment in History(client, execution_id).segments():
        found[:0] = chain.from_iterable(_within(client, each) for each in _used_by(segment))
    return found


def by_model(found: Iterable[Used]) -> dict[str, Usage]:
    """The sums of each model."""
    return _sums((each.model, each.usage) for each in found)


def by_agent(found: Iterable[Used]) -> dict[str, Usage]:
    """The sums of each agent."""
    return _sums((each.agent, each.usage) for each in found)


def _sums(found: Iterable[tuple[str, Usage]]) -> dict[str, Usage]:
    sums: dict[str, list[Usage]] = {}
    for name, usage in found:
        sums.setdefault(name, []).append(usage)
    return {name: Usage.of(added(each.to_json() for each in usages)) for name, usages in sums.items()}


def _within(client: Conductor, found: Used | Within) -> list[Used]:
    if isinstance(found, Used):
        return [found]
    try:
        return used_in(client, found.execution_id)
    except NotFound:  # somebody is deleting it
        return []


def _used_by(segment: StoredSegment) -> Iterator[Used | Within]:
    """What one segment has used; an agent that was called, or a member of a team, stands for its own run."""
    if segment.team is not None:
        called = [(task.sub_workflow_id, member_of(task)) for task in called_in(segment.record)]
        yield from (Within(execution_id, name) for execution_id, name in called if execution_id)
    checked = segment.entry_checked
    yield from _by_checks(segment.first, segment.entry, () if checked is None else checked.guards)
    for turn in segment.turns:
        agent = turn.agent or segment.first
        yield from _by_guards(agent, () if turn.plan is None or turn.plan.entered is None else turn.plan.entered.guards)
        yield Used(agent, model_of(turn, segment), usage_of(turn, segment))
        known = turn.checked or turn.verdict
        yield from _by_checks(agent, turn.checks, () if known is None else known.guards)
        for call in turn.calls:
            yield from _by_guards(agent, _looked_at(call))
            yield from _lost(agent, (*call.checks, *call.made))
            if call.called is not None:
                yield Within(call.called, call.planned.tool)


def _by_checks(agent: str, checks: Iterable[TaskRecord], guards: Iterable[Guarded]) -> Iterator[Used]:
    """What the guardrails of a prompt or an answer have used, with tries that gave no ruling."""
    yield from _by_guards(agent, guards)
    yield from _lost(agent, checks)


def _lost(agent: str, tasks: Iterable[TaskRecord]) -> Iterator[Used]:
    """What guardrails have used in tries that failed: which of them, and so which model, is not stored."""
    yield from (Used(agent, UNKNOWN, usage) for usage in map(failed, tasks) if usage.total_tokens)


def _by_guards(agent: str, guards: Iterable[Guarded]) -> Iterator[Used]:
    yield from (Used(agent, each.model or UNKNOWN, Usage.of(each.usage)) for each in guards if each.usage)


def _looked_at(call: StoredCall) -> Iterator[Guarded]:
    """What guardrails said of a call: before a person was asked, and as it was made."""
    for tasks in (call.checks, call.made):
        if tasks:
            yield from tasks[-1].notes.guards
