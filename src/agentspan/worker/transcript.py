"""The conversation of a run, as a worker keeps it to ask the model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import takewhile
from typing import Any

from agentspan.declare.content import holds_files, is_file
from agentspan.stored.plan import ENTERED, PlannedCall
from agentspan.stored.request import ModelInput, ModelRequest
from agentspan.stored.state import STATE, Folded, fold, together
from agentspan.stored.summary import Summary

Json = dict[str, Any]


@dataclass(frozen=True)
class Exchange:
    """What one turn added to a transcript.

    Attributes:
        said: The provider's message, as JSON.
        told: The model's calls with what it is told of each: `result` or `error`.
        note: Why its answer was sent back; empty where it was not.
        agent: Whose turn it was, of a run that agents hand over.
        next: Who goes on after it.
    """

    said: Json
    told: tuple[tuple[PlannedCall, Json], ...]
    note: str = ""
    agent: str = ""
    next: str = ""
    instructions: str | None = None
    """What a function gave for it, where one was asked."""
    state: Json | None = None
    """The state of the run that it began with."""

    prompt: str | None = None
    """The prompt as guardrails of the agent have left it, where it took over and they looked at it."""

    kept: Json = field(default_factory=dict, compare=False)
    """What the provider's module makes of it, once."""

    @property
    def remark(self) -> str:
        """What is said to the model after it, where that is no result of a call."""
        return self.note or (f"[{self.next} takes over, and goes on here.]" if self.next != self.agent else "")

    @classmethod
    def of(
        cls,
        result: Json,
        told: tuple[tuple[PlannedCall, Json], ...],
        note: str = "",
        *,
        agent: str = "",
        next: str = "",
    ) -> Exchange:
        """What a turn added, from the plan that is stored of it, and whose it was where there are several agents."""
        prompt = result.get(ENTERED, {}).get("value")
        return cls(result["message"], told, note, agent, next, result.get("instructions"), result.get(STATE), prompt)

    @cached_property
    def chars(self) -> int:
        """Its length, about what a model is sent of it: letters beyond ASCII count as the bytes that they take."""
        return _length(self.said) + sum(_weight(told.get("result", told.get("error"))) for _, told in self.told)

    def within(self, most: int) -> Exchange:
        """The exchange, its longest results cut so that it is about that long; what is stored stays as it is."""
        if self.chars <= most or not self.told:
            return self
        share = max(_LEAST, (most - _length(self.said)) // len(self.told))
        return replace(self, told=tuple((call, _cut(told, share)) for call, told in self.told), kept={})


@dataclass(frozen=True)
class LeftOut:
    """The oldest exchanges of a conversation that a model is not shown.

    Attributes:
        count: How many there are.
        summary: What was written down of the first of them.
    """

    count: int = 0
    summary: Summary | None = None

    @property
    def note(self) -> str:
        """What the model is told of them; empty where there are none."""
        summary = self.summary
        rest = self.count - (summary.exchanges if summary else 0)
        note = (
            f"[{rest} earlier tool exchanges were left out to keep this conversation within its budget.]"
            if rest
            else ""
        )
        if summary is None or not summary.text:
            return note
        about = f"[The first {summary.exchanges} tool exchanges were left out. This was written down of them, as data:]"
        return "\n".join(part for part in (about, summary.text, note) if part)


@dataclass
class Transcript:
    """The conversation of a run, up to a turn of a segment.

    Attributes:
        request: How its model is asked.
        beginning: The conversation before the run, and its prompt: `role` and `message`.
        exchanges: What its turns added.
        sizes: The length of each.
        chars: The length of all.
        segment: The newest segment that was read.
        turn: The newest turn of that segment that is in it.
        read: Tasks of that segment before that of the turn after.
        summary: What was written down of the oldest exchanges.
        stopped: Whether somebody wants the run to come to an end.
        usage: Tokens of the run as of the last turn that was read.
        crew: How the models of all agents are asked that may be at work, by their names, where there are several.
        agent: Which one of them `request` asks.
        instructions: What a function last gave for each of them; for the only one by the name "".
        prompts: The prompt as the guardrails of each of them have left it that took over, where it has some.
        prompt: The prompt for whom `request` asks; None where it is as it was when the run began.
        state: The state of the run; None before its first turn, and where it has none.
        lent: The state that its caller has lent it; None of a run with a state of its own, or none.
        changed: What its calls have changed of that.
        changes: What the calls of its newest turn have changed of the state, with the call; the first ones first.
    """

    request: ModelRequest
    beginning: tuple[Json, ...]
    exchanges: list[Exchange] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    chars: int = 0
    segment: str = ""
    turn: int = 0
    read: int = 0
    stopped: bool = False
    summary: Summary | None = None
    usage: Json = field(default_factory=dict)
    crew: Mapping[str, ModelRequest] = field(default_factory=dict)
    agent: str = ""
    instructions: dict[str, str] = field(default_factory=dict)
    prompts: dict[str, str] = field(default_factory=dict)
    prompt: str | None = None
    state: Json | None = None
    lent: Json | None = None
    changed: Json = field(default_factory=dict)
    changes: tuple[tuple[PlannedCall, Folded], ...] = ()

    @property
    def first(self) -> str:
        """The agent that the run was begun with."""
        return next(iter(self.crew), "")

    @property
    def opening(self) -> tuple[Json, ...]:
        """What the conversation of the agent begins with that is asked."""
        before, last = self.beginning[:-1], self.beginning[-1]
        return self.beginning if self.prompt is None else (*before, said_as(last, self.prompt))

    def ask_as(self, agent: str) -> None:
        """Have an agent of the crew asked from now on."""
        if agent != self.agent:
            self.agent, self.request = agent, self.crew[agent]

    def add(self, exchange: Exchange) -> None:
        """Go on with a turn that is over."""
        if exchange.agent:
            self.ask_as(exchange.agent)
        exchange = exchange.within(self.request.max_chars)
        if exchange.instructions is not None:
            self.instructions[exchange.agent] = exchange.instructions
        if exchange.prompt is not None:
            self.prompts[exchange.agent] = exchange.prompt
        if exchange.state is not None:
            reports = [told.get(STATE) or {} for _, told in exchange.told]
            self.state, self.changed = dict(exchange.state), together((self.changed, *reports))
            self.changes = tuple((exchange.told[made.place][0], made) for made in fold(self.state, reports))
        self.exchanges.append(exchange)
        self.sizes.append(exchange.chars)
        self.chars += self.sizes[-1]

    def used(self) -> tuple[Json, ...]:
        """What the agents have used that the last turn called."""
        last = self.exchanges[-1].told if self.exchanges else ()
        return tuple(told["usage"] for _, told in last if "usage" in told)

    def move_to(self, given: ModelInput) -> None:
        """All before a turn is known."""
        if self.segment != given.segment:
            self.segment, self.read = given.segment, 0
        self.turn = given.turn - 1

    def cut(self) -> bool:
        """Make the budget two thirds of what was sent, which was more than the model takes; False if it is no help."""
        sent = sum(self.sizes[self.left_out() :])
        if not sent:
            return False
        self.request = replace(self.request, max_chars=max(1, sent * 2 // 3), keep_chars=max(1, sent // 2))
        self.exchanges = [exchange.within(self.request.max_chars) for exchange in self.exchanges]
        self.sizes = [exchange.chars for exchange in self.exchanges]
        self.chars = sum(self.sizes)
        return sum(self.sizes[self.left_out() :]) < sent

    def rejected(self) -> int:
        """How many of the newest answers, in a row, were sent back."""
        return sum(1 for _ in takewhile(lambda exchange: exchange.note, reversed(self.exchanges)))

    def left_out(self) -> int:
        """How many of the oldest exchanges are left out, so that the rest is within the budget.

        They go in large, rare bites, and the newest one never; the same however often it is asked.
        """
        first = self._summarised
        total = 0
        for place, size in enumerate(self.sizes[first:], first):
            total += size
            if total > self.request.max_chars:
                while first < place and total > self.request.keep_chars:
                    total -= self.sizes[first]
                    first += 1
        return first

    @property
    def _summarised(self) -> int:
        return self.summary.exchanges if self.summary else 0

    def take(self, summary: Summary | None) -> None:
        """Go on with a summary, where one was made."""
        if summary is not None:
            self.summary = summary

    def is_long(self) -> bool:
        """Whether the next turn is to begin with a summary, before exchanges have to be left out without one."""
        size = sum(self.sizes[self._summarised :])
        return (
            self.request.summarise and size > _LONG * self.request.max_chars and self.to_summarise() > self._summarised
        )

    def to_summarise(self) -> int:
        """How many of the oldest exchanges a summary made now is about: the rest is what a trim would leave."""
        first, total = self._summarised, sum(self.sizes[self._summarised :])
        while first < len(self.sizes) - 1 and total > self.request.keep_chars:
            total -= self.sizes[first]
            first += 1
        return first


_LONG = 0.8
"""The share of the budget from which on a summary is made."""


def said_as(message: Json, text: str) -> Json:
    """A message of the user with another text, and the same files."""
    if text == message["message"]:
        return message
    files = {"content": [text, *filter(is_file, message["content"])]} if "content" in message else {}
    return {**message, "message": text, **files}


def _length(value: object) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))


_FILE = 6_000
"""What a file counts for, whatever its bytes: about what an image takes in a model's context."""


def _weight(result: object) -> int:
    if not holds_files(result):
        return _length(result)
    items = result if isinstance(result, list) else [result]
    return sum(_FILE if is_file(item) else _length(item) for item in items)


_LEAST = 200
"""Characters of a result that are left in any case."""


def _cut(told: Json, most: int) -> Json:
    name = "result" if "result" in told else "error"
    value = told.get(name)
    if holds_files(value):
        return told
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if _length(text) <= most:
        return told
    shown = text.encode("utf-8", "surrogatepass")[:most].decode("utf-8", "ignore")
    note = f"[Cut: {len(shown):,} of {len(text):,} characters, to keep this conversation within its budget.]"
    return {**told, name: f"{shown}\n{note}"}
