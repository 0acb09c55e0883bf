"""What a run is to do. The plan stands in the prompt, so that the model's script needs to know nothing else."""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Literal, get_args

from agentspan.testing import ModelRequest, Reply, call, calls, say

Together = Literal["sequence", "parallel", "swarm", "guardrail"]
TOGETHER: tuple[Together, ...] = get_args(Together)

HANDOFFS = 6
"""How often the members of a swarm hand over."""

INSTRUCTIONS = "Work on what you are given."
"""What those that work together are told."""

REFUSED = "Unfit."
"""How an answer begins that the guardrail refuses."""

_numbers = itertools.count(1)
_MARK = "Follow this plan: "
_RESULT = re.compile(r"step=(\d+) entered=(\d+\.\d+) left=(\d+\.\d+)")


@dataclass(frozen=True)
class Plan:
    """A run of `steps` steps with tool calls, and a last one in which the model answers.

    Attributes:
        steps: Steps in which the model calls a tool.
        tool: The tool it calls.
        parallel: Calls in each of these steps.
        seconds: How long a call takes.
        size: Characters that a result is padded to.
        model_seconds: How long the model takes.
        slow_after: After this step, a call takes `slow_seconds` instead; 0 is never.
        slow_seconds: How long that is.
        keep: Whether the requests are kept whole, to be compared.
        together: Who works on it, instead of one agent with a tool; empty for that one.
        run: The run's name in the model's book.
    """

    steps: int = 0
    tool: str = "work"
    parallel: int = 1
    seconds: float = 0.0
    size: int = 0
    model_seconds: float = 0.0
    slow_after: int = 0
    slow_seconds: float = 0.0
    keep: bool = False
    together: Together | Literal[""] = ""
    run: str = field(default_factory=lambda: f"run-{next(_numbers)}")

    def prompt(self) -> str:
        """The prompt that carries the plan."""
        return _MARK + json.dumps(asdict(self))

    @classmethod
    def of(cls, prompt: str) -> Plan:
        """The plan in a prompt. What stands after it is padding; what stands before it was put there by the peer."""
        fields, _ = json.JSONDecoder().raw_decode(prompt[prompt.index(_MARK) + len(_MARK) :])
        return cls(**fields)

    @classmethod
    def in_request(cls, request: ModelRequest) -> Plan:
        """The plan in a request; a member of a team may find it in what another has said."""
        texts = (request.prompt, *(turn.text for turn in request.messages), request.system)
        return cls.of(next(text for text in texts if _MARK in text))

    def reply_together(self, request: ModelRequest, asked: int) -> Reply:
        """What the model answers to those that work together, asked so many times before; the plan is handed on."""
        if self.together == "swarm" and asked < HANDOFFS:
            ways = sorted(tool.name for tool in request.tools if "transfer_to_" in tool.name)
            return call(ways[asked % len(ways)])
        said = REFUSED if self.together == "guardrail" and asked == 0 else "Done."
        return say(f"{said} {self.prompt()}")

    def reply(self, request: ModelRequest) -> Reply:
        """What the model answers; it depends on the request alone."""
        done = steps_done(request)
        if done >= self.steps:
            return say("Done.").after(self.model_seconds)
        slow = self.slow_after and done >= self.slow_after
        seconds = self.slow_seconds if slow else self.seconds
        asked = call(self.tool, number=done + 1, seconds=seconds, size=self.size)
        return calls(*[asked] * self.parallel).after(self.model_seconds)


@dataclass(frozen=True)
class Span:
    """One call of a tool, on the clock that all processes of the machine share."""

    step: int
    entered: float
    left: float


def work(number: int, seconds: float = 0.0, size: int = 0) -> str:
    """Do the work of one step.

    Args:
        number: The step.
        seconds: How long it takes.
        size: Characters that the result is padded to.
    """
    entered = time.monotonic()
    if seconds:
        time.sleep(seconds)
    return f"step={number} entered={entered:.6f} left={time.monotonic():.6f}".ljust(size, ".")


def newest_spans(request: ModelRequest) -> list[Span]:
    """The calls of the step before this request; the floor has their results in a user's message."""
    for turn in reversed(request.messages):
        found = list(_spans(turn.text)) + [span for result in turn.tool_results for span in _spans(result.text)]
        if found:
            return found
    return []


def steps_done(request: ModelRequest) -> int:
    """How many steps are over, also when the transcript was trimmed."""
    return max((span.step for span in newest_spans(request)), default=0)


def _spans(text: str) -> Iterator[Span]:
    for step, entered, left in _RESULT.findall(text):
        yield Span(int(step), float(entered), float(left))
