"""Handoffs: who may take a run over from an agent, when, and with what arguments."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from agentspan.declare.guardrail import Guardrail, OnFail, Position
from agentspan.declare.guardrails import beside, of_prompt
from agentspan.errors import DefinitionError
from agentspan.schema.output import AnswerType, answer_type
from agentspan.stored.names import transfer_name

if TYPE_CHECKING:
    from agentspan.declare.agent import Agent

_LONGEST = 64
"""Characters of a tool's name that all providers take."""


@dataclass(frozen=True, kw_only=True)
class HandoffContext:
    """A turn that is over, as a function is asked about it that decides whether another agent takes over.

    Attributes:
        agent: Who was at work.
        step: Which step of the run it was, from 1.
        text: What its model said.
        results: Its calls in their order: the tool, and what it returned; of one that failed `{"error": …}`.
        state: The state of the run, of the `state_type` of its agents, as far as it is known then: with what these
            calls have changed where there are `results`. None where they have none.
    """

    agent: str
    step: int
    text: str
    results: tuple[tuple[str, Any], ...] = ()
    state: Any = field(default=None, repr=False)


@dataclass(frozen=True)
class OnTextMention:
    """The agent's model says something: its text holds `text`, in upper or lower case.

    Attributes:
        text: The text.
        target: The name of who takes over, where it stands in `allowed_transitions`; `handoff(agent, when=…)` names the
            agent itself.
    """

    text: str
    target: str | None = None


@dataclass(frozen=True)
class OnToolResult:
    """A tool of the agent returned something.

    Attributes:
        tool_name: The tool.
        result_contains: A text that its result holds, as JSON where it is no text itself; None for any result.
        target: The name of who takes over, where it stands in `allowed_transitions`.
    """

    tool_name: str
    result_contains: str | None = None
    target: str | None = None


When: TypeAlias = OnTextMention | OnToolResult | Callable[[HandoffContext], "bool | Awaitable[bool]"]
"""What makes an agent take over, other than a call of the model."""

Transitions: TypeAlias = Mapping[str, Sequence["str | OnTextMention | OnToolResult"]]
"""Who may hand over to whom, by names: by a call of the model, or by a condition that has a `target`."""


@dataclass(frozen=True, kw_only=True)
class Handoff:
    """An agent that may take over; `handoff()` makes one.

    Attributes:
        agent: The agent.
        when: What makes it take over; None where the model calls for it.
        description: What the model is told of it.
        input_type: The type of what the model says with it; None where it says nothing.
    """

    agent: Agent[Any]
    when: When | None = None
    description: str = ""
    input_type: Any = None
    arguments: AnswerType | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        found = None if self.input_type is None else answer_type(self.input_type, "handoff: input_type")
        object.__setattr__(self, "arguments", found)

    @property
    def tool(self) -> str | None:
        """What models call for it; None where something else makes the agent take over."""
        return transfer_name(self.agent.name) if self.when is None else None


def handoff(agent: Agent[Any], *, when: When | None = None, input_type: Any = None, description: str = "") -> Handoff:
    """An agent that may take over, with when and how.

        by_name = handoff(boss, when=OnTextMention("the boss"))
        Agent("triage", model="openai/gpt-4o", handoffs=[billing, handoff(refunds, input_type=Reason), by_name])

    Args:
        agent: Who takes over.
        when: What makes it do so: a text that the model says, the result of a tool, or a function of the turn that is
            over, plain or `async`, which runs in a worker. None for the model, which calls `transfer_to_NAME`.
        input_type: What the model has to say as it calls for it: a pydantic model, or whatever pydantic takes. Who
            takes over reads it in the conversation, and events show it.
        description: What the model is told of the agent; the agent's own description unless given.

    Raises:
        DefinitionError: There is a condition, and arguments that nobody gives.
    """
    if when is not None and input_type is not None:
        raise DefinitionError(
            "handoff: input_type is what a model says as it calls for an agent, and with when it does not call"
        )
    if not (when is None or callable(when) or isinstance(when, OnTextMention | OnToolResult)):
        raise DefinitionError(f"handoff: when is OnTextMention, OnToolResult, or a function of the turn, not {when!r}")
    return Handoff(agent=agent, when=when, input_type=input_type, description=description)


def as_handoffs(given: Sequence[Any], kind: type[Agent[Any]], what: str) -> tuple[Handoff, ...]:
    """The handoffs of an agent, as values.

    Args:
        given: Agents, and what `handoff` makes of them.
        kind: What an agent is.
        what: What messages call the agent.

    Raises:
        DefinitionError: One is neither, or cannot take over.
    """
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise DefinitionError(f"{what}: handoffs is a list of agents, not {given!r}")
    found = tuple(each if isinstance(each, Handoff) else Handoff(agent=each) for each in given)
    for each in found:
        if not isinstance(each.agent, kind):
            raise DefinitionError(f"{what}: handoffs has agents, and handoff(agent), not {each.agent!r}")
        if not each.agent.has_turns:
            raise DefinitionError(
                f"{what}: the team {each.agent.name} cannot take over", hint="agent_tool(team) asks it instead."
            )
        if each.agent.model_place == "server":
            raise DefinitionError(
                f"{what}: the Conductor server calls the model of {each.agent.name}, and cannot take over",
                hint="A worker can: leave out its model_place.",
            )
    return found


def crew(agent: Agent[Any]) -> dict[str, Agent[Any]]:
    """The agents that may be at work in a run of this one, by their names; who begins it is first."""
    begin = {agent.name: agent} if agent.has_turns else {each.agent.name: each.agent for each in agent.handoffs}
    found = {agent.name: agent} if agent.has_turns else {}
    for each in agent.handoffs:
        found = {**crew(each.agent), **found} if each.agent.name not in found else found
    return {**begin, **found}


def transitions(agent: Agent[Any]) -> dict[str, tuple[Handoff, ...]]:
    """The handoffs of each agent that may be at work in a run of this one, by its name."""
    agents = crew(agent)
    allowed: dict[str, Sequence[str | OnTextMention | OnToolResult]] = {}
    for each in (*reversed(agents.values()), agent):
        allowed |= each.allowed_transitions or {}
    return {
        name: each.handoffs if name not in allowed else tuple(_between(each, allowed[name], agents))
        for name, each in agents.items()
    }


def _between(
    source: Agent[Any], targets: Sequence[str | OnTextMention | OnToolResult], agents: Mapping[str, Agent[Any]]
) -> Iterator[Handoff]:
    for target in targets:
        if isinstance(target, str):
            own = [each for each in source.handoffs if each.agent.name == target]
            yield from own or [Handoff(agent=agents[target])]
        else:
            yield Handoff(agent=agents[_name_of(target)], when=replace(target, target=None))


def _name_of(target: str | OnTextMention | OnToolResult) -> str:
    return target if isinstance(target, str) else target.target or ""


def looks_in_turns(agent: Agent[Any]) -> bool:
    """Whether guardrails look at the prompt of its runs in turns: beside one, or as an agent takes over."""
    return any(entry_guards(agent).values())


def entry_guards(agent: Agent[Any]) -> dict[str, tuple[Guardrail, ...]]:
    """What looks at the prompt in the first turn of each of its agents; of who begins, only what does so beside it."""
    agents = crew(agent)
    first = next(iter(agents), None)
    return {name: (beside if name == first else of_prompt)(each.guardrails) for name, each in agents.items()}


def mixes_types(agent: Agent[Any]) -> bool:
    """Whether the answers of its runs are of several types, whoever gives them."""
    kinds = [each.output_type for each in crew(agent).values()]
    return any(kind != kinds[0] for kind in kinds)


def check_handoffs(agent: Agent[Any]) -> None:
    """Refuse handoffs that cannot be made.

    Raises:
        DefinitionError: It says which one, and why.
    """
    what, agents = f"agent {agent.name!r}", crew(agent)
    _check_state(agents, what)
    _check_entry(agent, what)
    for source, targets in (agent.allowed_transitions or {}).items():
        names = () if isinstance(targets, str) else tuple(map(_name_of, targets))
        if not set(names) <= agents.keys() - {source} or source not in agents or isinstance(targets, str):
            raise DefinitionError(
                f"{what}: allowed_transitions has {source!r}: {targets!r}",
                hint=f"It has a list of other agents for each one, of these: {', '.join(agents)}.",
            )
    for source, handoffs in transitions(agent).items():
        _check_source(agents[source], handoffs, what)


def _check_entry(agent: Agent[Any], what: str) -> None:
    """Refuse guardrails that ask a person as an agent takes over: that is decided within a call of a model."""
    for name, guards in entry_guards(agent).items():
        for guard in guards:
            if guard.on_fail == OnFail.HUMAN:
                raise DefinitionError(
                    f"{what}: {name} takes runs over, and its guardrail {guard.name} asks a person about the prompt",
                    hint="Who begins the run can: give that agent the guardrail, or use on_fail='raise'.",
                )


def _check_state(agents: Mapping[str, Agent[Any]], what: str) -> None:
    """Refuse states of several types: the agents of a run share one."""
    first: Agent[Any] | None = None
    for each in agents.values():
        if each.shared_state is None:
            continue
        first = first or each
        if first.shared_state is None or each.shared_state.fingerprint != first.shared_state.fingerprint:
            raise DefinitionError(
                f"{what}: agents that hand over share the state of their run, and {each.name} has another state_type "
                f"than {first.name}",
                hint="Give them the same one; one that needs no state has none.",
            )


def _check_source(source: Agent[Any], handoffs: Sequence[Handoff], what: str) -> None:
    tools = [tool.name for tool in source.tools]
    for each in handoffs:
        target = each.agent.name
        if isinstance(each.when, OnToolResult) and each.when.tool_name not in tools:
            raise DefinitionError(
                f"{what}: {source.name} hands over by a result of {each.when.tool_name!r}, which is no tool of it"
            )
        if each.tool is None:
            continue
        if [other.tool for other in handoffs].count(each.tool) > 1 or each.tool in tools:
            raise DefinitionError(f"{what}: {source.name} has two tools named {each.tool!r}")
        if len(each.tool) > _LONGEST:
            raise DefinitionError(f"{what}: models call {each.tool!r} for {target}, which is too long: rename it")
        if not (each.description or each.agent.description).strip():
            raise DefinitionError(
                f"{what}: {target} may take over from {source.name}, and nothing says what it does",
                hint="Give it a description, or handoff(agent, description=...) one.",
            )


def as_one(agent: Agent[Any]) -> Agent[Any]:
    """What all agents of its runs need together, as one agent: its workflow is made for that.

    Of an agent without handoffs it is that agent.
    """
    if not agent.handoffs:
        return agent
    agents = crew(agent).values()
    types = {each.name: each.answer_type for each in agents if each.answer_type is not None}
    first = next(iter(types.values()), None)
    schemas = {name: dict(found.schema) for name, found in types.items()}
    states = (each.shared_state for each in agents if each.shared_state is not None)
    made = copy.copy(agent)
    made.__dict__.update(
        tools=tuple(tool for each in agents for tool in each.tools),
        guardrails=(
            *of_prompt(agent.guardrails),
            *(guard for each in agents for guard in each.guards(Position.OUTPUT)),
        ),
        answer_type=None if first is None else replace(first, schema=schemas),
        output_validators=tuple(check for each in agents for check in each.output_validators),
        required_tools=tuple(name for each in agents for name in each.required_tools),
        output_retries=max(each.output_retries for each in agents),
        shared_state=next(states, None),
    )
    return made
