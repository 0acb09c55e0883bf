"""How members beside each other stand with the budget that they use up together, from their stored runs."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agentspan.engine.client import Conductor
from agentspan.engine.records import PENDING, TaskRecord
from agentspan.reading.run import is_segment, loops
from agentspan.reading.team import members_in
from agentspan.stored.names import TURNS_PER_SEGMENT
from agentspan.stored.pool import BEGUN, PoolNotes, counted_reference

Json = dict[str, Any]

KEPT = 512
"""Runs of members of which it is kept what is known of their newest segment."""

_KINDS = ("spent", "pool", "budget")

_OF_ONE_REQUEST = "input_tokens_per_request"
_LONGEST = "time"
"""The limit that is used by members beside each other at the same time."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a member stands.

    Attributes:
        member: The reference name of its task in the run of the team.
        found: What its newest look at what it has used itself gave.
        decided: What was decided after that about the budget.
        request: The request by which it asks a person now; empty where that is about to begin, None where it asks none.
        claims: Whether it would ask one, unless another member does.
    """

    member: str
    found: Json
    decided: Json
    request: str | None = None
    claims: bool = False


@dataclass(frozen=True, kw_only=True)
class Pool:
    """What members beside each other had used before they began, and how each of them stands."""

    begun: Json
    standings: tuple[Standing, ...]

    @property
    def ending(self) -> bool:
        """Whether it was decided that the models answer with what there is."""
        found = (self.begun, *(each.found for each in self.standings))
        decided = any(each.decided.get("mode") == "finish" for each in self.standings)
        return decided or any(each.get("ending") for each in found)

    @property
    def limits(self) -> Json:
        """The limits, with all extensions."""
        limits = self._added("limits")
        for each in self.standings:
            for name, more in (each.decided.get("extend") or {}).items():
                limits[name] += more
        return limits

    def spent(self, own: Mapping[str, Any]) -> Json:
        """What all have used together.

        Args:
            own: What that one had used which looks at it, whose own request's size counts.
        """
        spent = self._added("spent")
        if _LONGEST in spent:
            spent[_LONGEST] = max(each.found["spent"].get(_LONGEST) or 0 for each in self.standings)
        if _OF_ONE_REQUEST in spent:
            spent[_OF_ONE_REQUEST] = own.get(_OF_ONE_REQUEST) or 0
        return spent

    def _added(self, name: str) -> Json:
        before = self.begun[name]
        return {
            key: value + sum((each.found[name].get(key) or 0) - value for each in self.standings)
            for key, value in before.items()
        }


@dataclass(frozen=True, kw_only=True)
class _Segment:
    """What is known of a member's newest segment; of a member without segments of its run.

    Attributes:
        id: Which one it is.
        left: What the segment before it has left.
        retried: When the team was retried last, which may have begun the segment anew.
        many: How many of its first tasks change no more.
        tasks: Those of them that have to do with the budget.
    """

    id: str
    left: Json
    retried: int
    many: int = 0
    tasks: tuple[TaskRecord, ...] = ()

    @property
    def may_be_over(self) -> bool:
        """Whether there may be another one after it."""
        return TURNS_PER_SEGMENT in _newest(self.tasks, "spent")


class Pools:
    """Reads the pools of teams; of a segment that is known only what has come since.

    Args:
        client: The server.
    """

    def __init__(self, client: Conductor) -> None:
        self._client = client
        self._known: OrderedDict[str, _Segment] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, team: str, known: Standing) -> Pool | None:
        """The pool of a team's members; None while the run of one of them is between two of its workflows.

        Args:
            team: The run of the team.
            known: How that member stands which wants to know it.
        """
        record = self._client.workflow(team)
        newest = {task.reference_task_name: task for task in record.tasks}
        begun = newest[BEGUN].output_data["result"]
        members = (task for task in members_in(record) if not task.retried)
        standings: list[Standing] = []
        for task in members:
            counted = newest.get(counted_reference((task.place or ("", 0, 0))[1]))
            standing: Standing | None = known
            if task.reference_task_name != known.member:
                standing = _done(task, counted) or self._at_work(task, begun, record.last_retried_time)
            if standing is None:
                return None
            standings.append(standing)
        return Pool(begun=begun, standings=tuple(standings))

    def _at_work(self, member: TaskRecord, begun: Json, retried: int) -> Standing | None:
        run = member.sub_workflow_id
        if member.status == "COMPLETED" or not run:
            return None
        known = self._known.get(run)
        if known is None or known.retried != retried or known.may_be_over:
            newest = self._newest(run, retried)
            if newest is None:
                return None
            known = newest if known is None or known.id != newest.id or known.retried != retried else known
        tasks = self._client.tasks(known.id, known.many)
        settled = next((place for place, task in enumerate(tasks) if not task.is_settled), len(tasks))
        found = [(place, task) for place, task in enumerate(tasks, 1) if task.kind in _KINDS]
        kept = (*known.tasks, *(task for place, task in found if place <= settled))
        self._keep(run, replace(known, many=known.many + settled, tasks=kept))
        before, decided = known.left.get("before") or begun, known.left.get("decided") or {}
        return _standing(member, [*known.tasks, *(task for _, task in found)], before, decided)

    def _newest(self, run_id: str, retried: int) -> _Segment | None:
        run = self._client.workflow(run_id)
        if not loops(run):
            return _Segment(id=run_id, left={}, retried=retried)
        segments = [task for task in run.tasks if is_segment(task)]
        newest = segments[-1].sub_workflow_id if segments else None
        if newest is None:
            return None
        left = segments[-1].input_data.get("workflowInput", {}).get("budget") or {}
        return _Segment(id=newest, left=left, retried=retried)

    def _keep(self, run_id: str, known: _Segment) -> None:
        with self._lock:
            self._known[run_id] = known
            self._known.move_to_end(run_id)
            while len(self._known) > KEPT:
                self._known.popitem(last=False)


def _done(member: TaskRecord, counted: TaskRecord | None) -> Standing | None:
    """How a member stands that is done; None while it is not."""
    if counted is None or counted.status != "COMPLETED":
        return None
    return Standing(member=member.reference_task_name, found=counted.output_data["result"], decided={})


def _standing(member: TaskRecord, tasks: Sequence[TaskRecord], found: Json, decided: Json) -> Standing:
    """How a member stands that is at work.

    Args:
        member: Its task.
        tasks: The tasks of its newest segment.
        found: What its newest look before that gave.
        decided: What was decided after that look.
    """
    name = member.reference_task_name
    looks = {turn: look for turn, look in _newest(tasks, "spent").items() if look.status == "COMPLETED"}
    if not looks:
        return Standing(member=name, found=found, decided=decided)
    turn = max(looks)
    found = looks[turn].output_data["result"]
    asked = _newest(tasks, "budget").get(turn)
    if asked is not None and asked.status == "COMPLETED":
        return Standing(member=name, found=found, decided=asked.output_data)
    look = _newest(tasks, "pool").get(turn)
    if look is None:
        return Standing(member=name, found=found, decided={})
    if look.status in PENDING:
        return Standing(member=name, found=found, decided={}, claims=PoolNotes.of(look.output_data).claims)
    asks = look.status == "COMPLETED" and look.output_data["result"]["mode"] == "over"
    request = (asked.sub_workflow_id if asked is not None else None) or ""
    return Standing(member=name, found=found, decided={}, request=request if asks else None)


def _newest(tasks: Sequence[TaskRecord], kind: str) -> dict[int, TaskRecord]:
    """The newest attempts of the tasks of a kind, by their turns."""
    return {task.place[1]: task for task in tasks if task.place is not None and task.kind == kind}
