"""Teams: agents that work one after the other, beside each other, or in turns, as one agent."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, get_args

from agentspan.declare.agent import Agent
from agentspan.declare.agent_tool import agent_tool
from agentspan.declare.budget import Budget, Pooled, Share
from agentspan.declare.called import check_called
from agentspan.declare.guardrails import of_prompt
from agentspan.declare.handoff import Transitions
from agentspan.declare.human_tool import human_tool
from agentspan.declare.settings import ModelSettings
from agentspan.declare.strategy import Strategy
from agentspan.declare.tool import Tool
from agentspan.errors import DefinitionError

Way: TypeAlias = Literal["sequential", "parallel", "router", "round_robin", "random", "manual", "swarm"]
"""How members work together."""

Router: TypeAlias = Callable[[str], "str | Awaitable[str]"]
"""Chooses a member by its name, from the prompt."""

Until: TypeAlias = "str | Callable[[str], bool | Awaitable[bool]]"
"""When members that take turns stop: a text that one of them says, or a function of what was said last."""

_ONCE = ("sequential", "parallel", "router")
IN_TURNS: tuple[Way, ...] = ("round_robin", "random", "manual")
"""The strategies whose members take turns."""

_AND_THEN = "_then_"
_LONGEST = 100
"""Characters of an agent's name."""

CHOOSE = "who_goes_on"
"""The question by which a person chooses."""


@dataclass(frozen=True, init=False, repr=False)
class Team(Agent[Any]):
    """Agents that work together as one: it runs, streams, nests and is a tool as any other.

        pipeline = Team("article", [researcher, writer, editor])          # the same as researcher >> writer >> editor
        review = Team("review", [lawyer, engineer], strategy="parallel")
        desk = Team("desk", [billing, refunds], strategy="router", model="openai/gpt-4o")
        crew = Team("crew", [triage, billing, refunds], strategy="swarm")

    A variant of a team is another `Team`: `dataclasses.replace` makes those of agents only.

    Attributes:
        agents: Its members.
        strategy: How they work together.
        router: Who chooses the member (`router`): an agent, or a function of the prompt.
        until: When members that take turns stop before their turns are used up.
        synthesis: Who makes one answer of the members' (`parallel`).
    """

    agents: tuple[Agent[Any], ...]
    strategy: Way
    router: Agent[Any] | Router | None
    until: Until | None
    synthesis: Agent[Any] | None

    def __init__(
        self,
        name: str,
        agents: Sequence[Agent[Any]],
        *,
        strategy: Way | Strategy = "sequential",
        router: Agent[Any] | Router | None = None,
        model: str = "",
        instructions: str = "",
        description: str = "",
        max_turns: int | None = None,
        timeout: float | None = None,
        until: Until | None = None,
        synthesis: Agent[Any] | str | None = None,
        allowed_transitions: Transitions | None = None,
        budget: Budget | None = None,
    ) -> None:
        """Declare a team.

        Args:
            name: Its name, which is also the name of its workflow.
            agents: Its members, two or more; each name once.
            strategy: `sequential`: each is given the prompt and what the one before it answered, and the last answer is
                the team's. `parallel`: all are given the prompt at once, and their answers stand below each other, or
                `synthesis` makes one of them.
                `router`: one of them is chosen. `round_robin`, `random` and `manual`: one after the other, each is
                given the prompt and all that was said, for `max_turns` turns; whose turn it is goes round, is drawn,
                or is chosen by a person, through the inbox. `swarm`: the first one begins, and they hand over to each
                other, in one conversation; workers call their models.
            router: Who chooses (`router`): an agent that answers with a name, or a function of the prompt, plain or
                `async`, that runs in a worker. The `model` chooses where there is none.
            model: The model that chooses (`router`), or follows the instructions of `synthesis`; there it is that of
                the first member unless given.
            instructions: What that model is told beside the names and descriptions of the members.
            description: For people, and for agents that may call this one.
            max_turns: Turns of all members together; as many as there are members unless given, and as many as the
                first one may have in a `swarm`.
            timeout: Seconds the whole run may take.
            until: Members that take turns stop before `max_turns` once this text stands in what one of them says, or
                once this function of what was said last, plain or `async`, gives True; it runs in a worker.
            synthesis: An agent that is given the prompt and the answers of members beside each other (`parallel`), and
                whose answer is the team's; or instructions for one that has no tools.
            allowed_transitions: Who may hand over to whom in a `swarm`, by names; each to each other one unless given.
            budget: What its members may use together before a person is asked, where workers call their models.

        Raises:
            DefinitionError: A value makes no sense.
        """
        what = f"team {name!r}"
        members = _members(agents, what)
        if strategy not in get_args(Way):
            raise DefinitionError(f"{what}: strategy is {', '.join(get_args(Way))}, not {strategy!r}")
        if max_turns is not None and strategy in _ONCE:
            raise DefinitionError(f"{what}: max_turns is for members that take turns, and these are {strategy}")
        if until is not None and (strategy not in IN_TURNS or not _is_end(until)):
            raise DefinitionError(f"{what}: until is a text or a function, for members that take turns")
        swarms = strategy == "swarm"
        if not swarms and allowed_transitions is not None:
            raise DefinitionError(f"{what}: allowed_transitions is for strategy='swarm'")
        chooser = _chooser(name, members, router, model, instructions) if strategy == "router" else None
        if strategy != "router" and (router is not None or (model and not isinstance(synthesis, str))):
            raise DefinitionError(f"{what}: router and model choose where strategy='router'")
        if synthesis is not None and strategy != "parallel":
            raise DefinitionError(f"{what}: synthesis makes one answer where strategy='parallel'")
        gathers = None if synthesis is None else _synthesis(name, members, synthesis, model)
        first = members[0]
        most = first.max_turns if swarms else 1 if chooser else len(members)
        super().__init__(
            name,
            model=first.model,
            description=description,
            max_turns=most if max_turns is None else max_turns,
            timeout=timeout,
            **(_swarm(members, allowed_transitions, budget) if swarms else {"budget": budget}),
        )
        self.__dict__.update(agents=members, strategy=str(strategy), router=chooser, until=until, synthesis=gathers)
        if budget is not None and not swarms:
            self.__dict__.update(vars(_sharing(self, Share.of(budget), what)), budget=budget)
        last = members[-1] if strategy == "sequential" else gathers
        self.__dict__["answer_type"] = None if last is None else last.answer_type
        check_called(name, (), self.members)

    @property
    def members(self) -> tuple[Agent[Any], ...]:
        """The agents with runs of their own in its runs: its members, who chooses, who sums up; none of a swarm."""
        if self.strategy == "swarm":
            return ()
        return (*self.agents, *(each for each in (self.router, self.synthesis) if isinstance(each, Agent)))

    @property
    def has_turns(self) -> bool:
        """None: they are those of its members."""
        return False

    @property
    def checks_answers(self) -> bool:
        """Whether the answers of a swarm are checked; other members see to theirs themselves."""
        return self.strategy == "swarm" and super().checks_answers

    @property
    def asks(self) -> Tool[..., Any] | None:
        """The question by which a person chooses (`manual`)."""
        if self.strategy != "manual":
            return None
        names = tuple(agent.name for agent in self.agents)
        return human_tool(CHOOSE, f"Who of the team {self.name} goes on?", answer=Literal[names])

    @property
    def needs_worker(self) -> bool:
        """Whether a worker serves calls of its members, or its function that chooses."""
        own = self.router_function is not None or callable(self.until) or self.strategy == "swarm"
        return own or any(agent.needs_worker for agent in self.members)

    @property
    def router_function(self) -> Router | None:
        """The function that chooses."""
        return None if self.router is None or isinstance(self.router, Agent) else self.router

    def having(self, made: Callable[[Agent[Any]], Agent[Any]]) -> Team:
        """The same with what is made of each of its agents."""
        team = copy.copy(self)
        router = made(self.router) if isinstance(self.router, Agent) else self.router
        synthesis = None if self.synthesis is None else made(self.synthesis)
        handoffs = tuple(replace(each, agent=made(each.agent)) for each in self.handoffs)
        agents = tuple(each.agent for each in handoffs) or tuple(map(made, self.agents))
        team.__dict__.update(agents=agents, router=router, handoffs=handoffs, synthesis=synthesis)
        return team

    def __repr__(self) -> str:
        return f"<Team {self.name} ({self.strategy}: {', '.join(agent.name for agent in self.agents)})>"


def _swarm(members: Sequence[Agent[Any]], allowed: Transitions | None, budget: Budget | None) -> dict[str, Any]:
    """What an agent has that is a swarm: all hand over to all, and what goes for the run is the first one's."""
    to_all = {}
    for each in members:
        targets = (*(handoff.agent.name for handoff in each.handoffs), *(other.name for other in members))
        to_all[each.name] = tuple(dict.fromkeys(name for name in targets if name != each.name))
    first = members[0]
    return {
        "handoffs": members,
        "allowed_transitions": {**to_all, **(allowed or {})},
        "budget": budget or first.budget,
        "model_retry": first.model_retry,
        "on_max_turns": first.on_max_turns,
        "termination": first.termination,
        "guardrails": of_prompt(first.guardrails),
        "on_request": first.on_request,
        "hooks": first.hooks,
    }


def _sharing(team: Team, share: Share, what: str) -> Team:
    """A team whose members share a budget.

    Raises:
        DefinitionError: One of them has a budget of its own, or works beside others and is a team.
    """
    beside = {each.name for each in team.agents} if team.strategy == "parallel" else set()

    def shared(agent: Agent[Any]) -> Agent[Any]:
        own = Pooled.of(share) if agent.name in beside else share
        if agent.budget is not None:
            raise DefinitionError(
                f"{what}: a budget, and its member {agent.name} has one of its own",
                hint="Leave out one of them; an agent that a member calls may have its own.",
            )
        if not isinstance(agent, Team):
            return replace(agent, budget=own)
        if agent.strategy != "swarm" and agent.name in beside:
            raise DefinitionError(
                f"{what}: a budget, and {agent.name}, which works beside others in {team.name}, is a team: what those "
                "beside each other use is added up of agents and swarms",
                hint=f"Make {agent.name} an agent that calls its members, or a swarm, or give each its own budget.",
            )
        made = copy.copy(agent) if agent.strategy == "swarm" else _sharing(agent, own, what)
        made.__dict__["budget"] = own
        return made

    return team.having(shared)


def _is_end(until: Until) -> bool:
    return bool(until) if isinstance(until, str) else callable(until)


def scatter_gather(name: str, worker: Agent[Any], *, model: str, instructions: str = "", **options: Any) -> Agent[Any]:
    """An agent that gives the parts of a task to a worker agent, several at once, and makes one answer of theirs.

    Args:
        name: Its name.
        worker: The agent that is called for each part.
        model: The model that splits the task, and puts the answers together.
        instructions: How.
        **options: Other options of `Agent`; `tools` come beside the worker.

    Raises:
        DefinitionError: A value makes no sense.
    """
    asked = f"{instructions}\n\n" if instructions else ""
    asked += f"Split the task into parts, call {worker.name} for each of them at once, and make one answer of theirs."
    described = worker.description or f"Does a part of the task: {worker.fixed_instructions[:300]}"
    tools = (agent_tool(worker, description=described), *options.pop("tools", ()))
    return Agent(name, model=model, instructions=asked, tools=tools, **options)


def in_sequence(first: Agent[Any], second: Agent[Any]) -> Team:
    """`first >> second`: a team whose members work one after the other; one that was made so is made longer."""
    if not isinstance(second, Agent):
        raise DefinitionError(f"agent {first.name!r} >> {second!r}: that is no agent")
    members = [*_parts(first), *_parts(second)]
    return Team(_sequence_name(members), members)


def _parts(agent: Agent[Any]) -> tuple[Agent[Any], ...]:
    if not isinstance(agent, Team) or agent.budget is not None:
        return (agent,)
    return agent.agents if agent.name == _sequence_name(agent.agents) else (agent,)


def _sequence_name(members: Sequence[Agent[Any]]) -> str:
    """The names of all; of many as much of that as a name may have, and what tells it from others."""
    name = _AND_THEN.join(agent.name for agent in members)
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 9]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _members(agents: Sequence[Agent[Any]], what: str) -> tuple[Agent[Any], ...]:
    if not isinstance(agents, Sequence) or not all(isinstance(agent, Agent) for agent in agents):
        raise DefinitionError(f"{what}: agents is a list of agents, not {agents!r}")
    if len(agents) < 2:
        raise DefinitionError(f"{what}: a team has two members or more")
    names = [agent.name for agent in agents]
    for name in names:
        if names.count(name) > 1:
            raise DefinitionError(f"{what}: two members are named {name!r}", hint="Give each a name of its own.")
    return tuple(agents)


def _chooser(
    name: str, members: Sequence[Agent[Any]], router: Agent[Any] | Router | None, model: str, instructions: str
) -> Agent[Any] | Router:
    if router is not None:
        if model:
            raise DefinitionError(f"team {name!r}: either router chooses, or model does")
        if not isinstance(router, Agent) and not callable(router):
            raise DefinitionError(f"team {name!r}: router is an agent, or a function of the prompt, not {router!r}")
        return router
    if not model:
        raise DefinitionError(f"team {name!r}: nobody chooses", hint="Give it a model, or a router.")
    known = "\n".join(f"- {agent.name}: {agent.description or agent.fixed_instructions[:300]}" for agent in members)
    told = f"{instructions}\n\n" if instructions else ""
    asked = f"{told}Choose who answers the user. Answer with one of these names, and nothing else:\n{known}"
    return Agent(f"{name}_router", model=model, instructions=asked, **_called_as(members[0], model))


def _synthesis(name: str, members: Sequence[Agent[Any]], synthesis: Agent[Any] | str, model: str) -> Agent[Any]:
    if isinstance(synthesis, Agent):
        return synthesis
    if not isinstance(synthesis, str) or not synthesis.strip():
        raise DefinitionError(f"team {name!r}: synthesis is an agent, or instructions, not {synthesis!r}")
    first = members[0]
    asked = (
        f"{synthesis}\n\nBelow the request stands what others have answered, each with a name. Make one answer of it."
    )
    model = model or first.model
    return Agent(f"{name}_synthesis", model=model, instructions=asked, **_called_as(first, model))


def _called_as(first: Agent[Any], model: str) -> dict[str, Any]:
    """Who calls the model of an agent that its team makes, and where it is: as the first member's, of one provider."""
    base_url = first.model_settings.base_url if model.partition("/")[0] == first.provider else None
    return {"model_place": first.model_place, "model_settings": ModelSettings(base_url=base_url)}
