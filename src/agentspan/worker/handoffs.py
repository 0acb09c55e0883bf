"""Who is at work in a run that agents hand over: it follows from its turns, and is decided where one is over."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from agentspan.declare.agent import Agent
from agentspan.declare.guardrail import Guardrail, LLMGuardrail, RegexGuardrail
from agentspan.declare.handoff import (
    Handoff,
    HandoffContext,
    OnTextMention,
    OnToolResult,
    When,
    as_one,
    crew,
    entry_guards,
    transitions,
)
from agentspan.declare.state import StateType, seen
from agentspan.schema.arguments import ArgumentError
from agentspan.schema.output import AnswerError
from agentspan.stored.output import CheckInput
from agentspan.stored.plan import CALLING
from agentspan.stored.request import ModelRequest
from agentspan.stored.state import STATE
from agentspan.worker.guards import OTHERS
from agentspan.worker.output import Output
from agentspan.worker.transcript import Transcript

Json = dict[str, Any]

_OTHERS = "Its agents hand over in other ways."


@dataclass(frozen=True)
class Crew:
    """The agents that may be at work in the runs of one, as a worker serves them.

    Attributes:
        outputs: What the answers of each have to be, by its name; None where any text will do, whoever answers.
        handoffs: How others take over from each.
        states: The type of the run's state, as each of them sees it.
        guards: What looks at the prompt in the first turn of each of them: as it takes over, or beside that turn.
    """

    outputs: Mapping[str, Output | None]
    handoffs: Mapping[str, tuple[Handoff, ...]]
    states: Mapping[str, StateType | None]
    guards: Mapping[str, tuple[Guardrail, ...]]

    @classmethod
    def of(cls, agent: Agent[Any]) -> Crew | None:
        """Those of an agent; None of one that hands nothing over."""
        if not agent.handoffs:
            return None
        anything = Output(None, (), 0) if as_one(agent).judges_answers else None
        agents = crew(agent)
        outputs = {name: Output.of(each) or anything for name, each in agents.items()}
        states = {name: each.shared_state for name, each in agents.items()}
        return cls(outputs, transitions(agent), states, entry_guards(agent))

    @property
    def functions(self) -> tuple[Callable[..., Any], ...]:
        """The functions that decide whether an agent takes over, and those that look at the prompt then."""
        found = (each.when for handoffs in self.handoffs.values() for each in handoffs)
        decide = (when for when in found if when is not None and not isinstance(when, OnTextMention | OnToolResult))
        guards = (guard for guards in self.guards.values() for guard in guards)
        look = (guard.func for guard in guards if not isinstance(guard, RegexGuardrail | LLMGuardrail))
        return (*decide, *look)

    def refuse_another(self, asked: Mapping[str, ModelRequest]) -> None:
        """See that the run's agents hand over as they do here.

        Raises:
            ArgumentError: They do not: another version of the agent is served.
        """
        theirs = {name: [(each.agent, each.tool) for each in request.transfers] for name, request in asked.items()}
        ours = {name: [(each.agent.name, each.tool) for each in found] for name, found in self.handoffs.items()}
        if theirs != ours:
            raise ArgumentError(_OTHERS)
        looking = {name: tuple(guard.name for guard in guards) for name, guards in self.guards.items()}
        if looking != {name: request.guardrails for name, request in asked.items()}:
            raise ArgumentError(OTHERS)

    def output(self, whole: Output, given: CheckInput, agent: str) -> tuple[Output, CheckInput]:
        """What the answer of one of them has to be, and the check of it as of an agent that hands nothing over.

        Args:
            whole: What the answers of all of them have to be, as one.
            given: The check.
            agent: Who answered.

        Raises:
            ArgumentError: Another version of the agent is served.
        """
        whole.refuse_another(given)
        own = self.outputs[agent] or whole
        kind = None if own.type is None else own.type.fingerprint
        return own, replace(given, answer_type=kind, guardrails=tuple(guard.name for guard in own.guards))

    # ---- who begins a turn ---------------------------------------------------------------------------------

    async def begin(self, transcript: Transcript, step: int) -> Json:
        """Have the agent asked that is at work in a turn; what the turn's plan keeps of that."""
        self.refuse_another(transcript.crew)
        last = transcript.exchanges[-1] if transcript.exchanges else None
        source = last.next if last is not None else transcript.first
        target = None
        # Of a turn that had calls, and by which nobody has taken over.
        if last is not None and last.told and last.next == last.agent and not transcript.stopped:
            results = tuple((call.tool, told.get("result", {"error": told.get("error")})) for call, told in last.told)
            text = "".join(part["content"] for part in last.said.get("parts", ()) if part.get("part_kind") == "text")
            state = seen(self.states[source], transcript.state)
            context = HandoffContext(agent=source, step=step - 1, text=text, results=results, state=state)
            target = await self._first(context, lambda when: not isinstance(when, OnTextMention))
        transcript.ask_as(target or source)
        return {"agent": source} if target is None else {"agent": target, "came_from": source}

    # ---- who goes on after it ------------------------------------------------------------------------------

    async def end(self, turn: Awaitable[Json], transcript: Transcript) -> Json:
        """The plan of a turn with who goes on after it."""
        planned, name = await turn, transcript.agent
        is_last = planned["finish_reason"] == "stopped" or planned["step"] >= transcript.request.max_turns
        state = seen(self.states[name], planned.get(STATE))
        context = HandoffContext(agent=name, step=planned["step"], text=planned["text"], state=state)
        if planned["mode"] in CALLING:
            planned, target = self._called(planned, name)
            target = target or await self._first(context, lambda when: isinstance(when, OnTextMention))
        elif planned["mode"] == "done" and not is_last:
            target = await self._first(context, lambda when: not isinstance(when, OnToolResult))
        else:
            target = None
        if target is not None and planned["mode"] == "done":  # what it said is no answer: the run goes on
            planned = {**{key: value for key, value in planned.items() if key != "verdict"}, "mode": "none"}
        return {**planned, "next": target or name}

    def _called(self, planned: Json, name: str) -> tuple[Json, str | None]:
        """The plan with what the model is told of its calls for other agents, and the first one that takes over."""
        known = {each.tool: each for each in self.handoffs[name]}
        target: str | None = None
        calls = []
        for call in planned["calls"]:
            handoff = known.get(call["name"])
            if handoff is None:
                calls.append(call)
                continue
            error = "Not done: another agent takes over already." if target else _unfit(handoff, call)
            own = {key: value for key, value in call.items() if key != "error"}
            if error is None:
                target = handoff.agent.name
                calls.append({**own, "result": f"{target} takes over."})
            else:
                calls.append({**own, "error": error})
        return {**planned, "calls": calls}, target

    async def _first(self, context: HandoffContext, looks: Callable[[When], bool]) -> str | None:
        """The first agent, in the order of the declaration, that takes over by a condition that looks now."""
        for each in self.handoffs[context.agent]:
            if each.when is not None and looks(each.when) and await _holds(each.when, context):
                return each.agent.name
        return None


def _unfit(handoff: Handoff, call: Json) -> str | None:
    unmade: str | None = call.get("error")
    if unmade is not None or handoff.arguments is None:
        return unmade
    try:
        handoff.arguments.checked(call["args"])
    except AnswerError as error:
        return f"Not done: the arguments do not fit: {error}"
    return None


async def _holds(when: When, context: HandoffContext) -> bool:
    if isinstance(when, OnTextMention):
        return when.text.casefold() in context.text.casefold()
    if isinstance(when, OnToolResult):
        found = (result for tool, result in context.results if tool == when.tool_name)
        return any(when.result_contains is None or when.result_contains in _text(result) for result in found)
    said = when(context) if inspect.iscoroutinefunction(when) else await asyncio.to_thread(when, context)
    return bool(await said if inspect.isawaitable(said) else said)


def _text(result: Any) -> str:
    return result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)
