"""Looking before a member's turn at what all members beside each other have used of their budget.

Where it is used up one of them asks a person, and the others wait for that. Which one is settled by what each of them
stores with its look, and reads of the others after that: who wants to ask claims it; who sees a claim of a member
before it in the team gives its own up, and who sees one of a member after it waits until that is given up (Lamport's
one-bit algorithm). So no two of them ask at once, whatever is killed on the way.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from agentspan.declare.agent import Agent
from agentspan.declare.tool import Tool, tool
from agentspan.engine.client import Conductor
from agentspan.errors import NotFound, ServerError
from agentspan.reading.pool import Pool, Pools, Standing
from agentspan.stored.pool import PoolInput, PoolNotes
from agentspan.stored.status import ENDED
from agentspan.worker.call import Call, PutOff
from agentspan.worker.outbox import pause_after

log: logging.Logger = logging.getLogger("agentspan.worker")

_T = TypeVar("_T")

Json = dict[str, Any]

SOON, SELDOM = 1, 5
"""Seconds until a look that was put off is made again: at first, and once it has been for a minute."""


def budget() -> None:
    """Look at what is used of the budget."""


def pool_tool(agent: Agent[Any]) -> Tool[..., Any]:
    """What stands for these looks among what a worker serves."""
    return tool(budget, retry=agent.model_retry)


def looked(client: Conductor, pools: Pools, call: Call) -> Json:
    """What all have used before a turn, and whether this member asks a person before it.

    Args:
        client: The server.
        pools: Reads what members have used.
        call: The look.

    Raises:
        PutOff: Another member asks, or may do so: it is to be looked at again.
    """
    given = PoolInput.of(call.task.input_data)
    look = _Look(call, given)
    if given.team is None:  # somebody has begun this version of the agent by itself: nobody has given it limits
        return look.result(Pool(begun=given.own, standings=()))
    if look.notes.waits_for and _is_open(client, look.notes.waits_for[-1]):
        raise look.put_off()
    team, own = given.team, Standing(member=given.member, found=given.own, decided={})
    pool = _read(lambda: pools.of(team, own))
    if pool is None:
        raise look.put_off(after=0 if look.notes.since == 0 else SOON)
    found = look.result(pool)
    if not found["over"] or pool.ending:
        return found
    look.claim(pool.standings)
    return {**found, "mode": "over"}


def _read(read: Callable[[], _T]) -> _T:
    """What is read of the server, however long it is away."""
    trouble = 0
    while True:
        try:
            return read()
        except NotFound:
            raise
        except ServerError as error:
            log.debug("What members have used cannot be read yet: %s", error)
            trouble = pause_after(trouble)


def _is_open(client: Conductor, request: str) -> bool:
    try:
        return _read(lambda: client.status(request)) not in ENDED
    except NotFound:  # somebody has deleted it
        return False


class _Look:
    """A look, as far as it has come.

    Args:
        call: Its call.
        given: Its input.
    """

    def __init__(self, call: Call, given: PoolInput) -> None:
        self._given = given
        self._now = int(call.host.now() * 1000)
        self.notes = PoolNotes.of(call.task.output_data)

    @property
    def _idle(self) -> float:
        return (self._now - self.notes.since) / 1000 if self.notes.since else 0.0

    def result(self, pool: Pool) -> Json:
        """What it gives, as the turn and its readers take it, where the turn begins."""
        limits, spent = pool.limits, pool.spent(self._given.own.get("spent") or {})
        over = [name for name, most in limits.items() if spent[name] >= most]
        warn = [name for name, most in limits.items() if spent[name] >= most * self._given.warn_at]
        told = {name for name in pool.begun.get("warned") or () if limits[name] == pool.begun["limits"][name]}
        return {
            "mode": "on",
            "spent": spent,
            "limits": limits,
            "over": over,
            "warn": [name for name in warn if name not in over and name not in told],
            "ending": pool.ending,
            "idle": self._idle,
            "team": self._given.team,
            "waits_for": list(self.notes.waits_for),
        }

    def claim(self, standings: Sequence[Standing]) -> None:
        """Come to be the one who asks.

        Raises:
            PutOff: Another one asks, or this look has to be made again before that is settled.
        """
        place = next(place for place, each in enumerate(standings) if each.member == self._given.member)
        for each in standings:
            if each.request is not None:
                raise self.put_off(each.request)
        if any(each.claims for each in standings[:place]):
            raise self.put_off()
        if not self.notes.claims:
            raise self.put_off(claims=True, after=0)
        if any(each.claims for each in standings[place + 1 :]):
            raise self.put_off(claims=True)

    def put_off(self, request: str = "", *, claims: bool = False, after: int | None = None) -> PutOff:
        """That it is to be made again, with what it has found.

        Args:
            request: By which another member asks.
            claims: Whether this one would ask.
            after: Seconds until then.
        """
        waits_for = (*self.notes.waits_for, *([request] if request and request not in self.notes.waits_for else []))
        notes = replace(self.notes, since=self.notes.since or self._now, claims=claims, waits_for=waits_for)
        seconds = (SOON if self._idle < 60 else SELDOM) if after is None else after
        return PutOff(notes.to_json(), seconds)
