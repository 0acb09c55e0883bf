"""Teams: agents that work one after the other, beside each other, or in turns, as one agent."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from agentspan.declare.agent import Agent
from agentspan.declare.agent_tool import agent_tool
from agentspan.declare.called import check_called
from agentspan.declare.human_tool import human_tool
from agentspan.declare.tool import Tool
from agentspan.errors import DefinitionError

Strategy = Literal["sequential", "parallel", "router", "round_robin", "random", "manual"]

Router: TypeAlias = Callable[[str], "str | Awaitable[str]"]
"""Chooses a member by its name, from the prompt."""

Until: TypeAlias = "str | Callable[[str], bool | Awaitable[bool]]"
"""When members that take turns stop: a text that one of them says, or a function of what was said last."""

_AND_THEN = "_then_"

CHOOSE = "who_goes_on"
"""The question by which a person chooses."""


@dataclass(frozen=True, init=False, repr=False)
class Team(Agent[Any]):
    """Agents that work together as one: it runs, streams, nests and is a tool as any other.

        pipeline = Team("article", [researcher, writer, editor])          # the same as researcher >> writer >> editor
        review = Team("review", [lawyer, engineer], strategy="parallel")
        desk = Team("desk", [billing, refunds], strategy="router", model="openai/gpt-4o")

    Attributes:
        agents: Its members.
        strategy: How they work together.
        router: Who chooses the member (`router`): an agent, or a function of the prompt.
    """

    agents: tuple[Agent[Any], ...]
    strategy: Strategy
    router: Agent[Any] | Router | None
    until: Until | None

    def __init__(
        self,
        name: str,
        agents: Sequence[Agent[Any]],
        *,
        strategy: Strategy = "sequential",
        router: Agent[Any] | Router | None = None,
        model: str = "",
        instructions: str = "",
        description: str = "",
        max_turns: int | None = None,
        timeout: float | None = None,
        until: Until | None = None,
    ) -> None:
        """Declare a team.

        Args:
            name: Its name, which is also the name of its workflow.
            agents: Its members, two or more; each name once.
            strategy: `sequential`: each is given the prompt and what the one before it answered, and the last answer is
                the team's. `parallel`: all are given the prompt at once, and their answers stand below each other.
                `router`: one of them is chosen. `round_robin`, `random` and `manual`: one after the other, each is
                given the prompt and all that was said, for `max_turns` turns; whose turn it is goes round, is drawn,
                or is chosen by a person, through the inbox.
            router: Who chooses (`router`): an agent that answers with a name, or a function of the prompt, plain or
                `async`, that runs in a worker. The `model` chooses where there is none.
            model: The model that chooses (`router`).
            instructions: What that model is told beside the names and descriptions of the members.
            description: For people, and for agents that may call this one.
            max_turns: Turns of all members together; as many as there are members unless given.
            timeout: Seconds the whole run may take.
            until: Members that take turns stop before `max_turns` once this text stands in what one of them says, or
                once this function of what was said last, plain or `async`, gives True; it runs in a worker.

        Raises:
            DefinitionError: A value makes no sense.
        """
        what = f"team {name!r}"
        members = _members(agents, what)
        if strategy not in get_args(Strategy):
            raise DefinitionError(f"{what}: strategy is {', '.join(get_args(Strategy))}, not {strategy!r}")
        if max_turns is not None and strategy in ("sequential", "parallel", "router"):
            raise DefinitionError(f"{what}: max_turns is for members that take turns, and these are {strategy}")
        if until is not None and (strategy in ("sequential", "parallel", "router") or not _is_end(until)):
            raise DefinitionError(f"{what}: until is a text or a function, for members that take turns")
        chooser = _chooser(name, members, router, model, instructions) if strategy == "router" else None
        if strategy != "router" and (router is not None or model):
            raise DefinitionError(f"{what}: router and model choose where strategy='router'")
        first = members[0]
        turns = len(members) if max_turns is None else max_turns
        super().__init__(
            name, model=first.model, description=description, max_turns=1 if chooser else turns, timeout=timeout
        )
        self.__dict__.update(agents=members, strategy=strategy, router=chooser, until=until)
        check_called(name, (), self.members)

    @property
    def members(self) -> tuple[Agent[Any], ...]:
        """Its members, and the agent that chooses one of them."""
        return (*self.agents, *([self.router] if isinstance(self.router, Agent) else []))

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
        own = self.router_function is not None or callable(self.until)
        return own or any(agent.needs_worker for agent in self.members)

    @property
    def router_function(self) -> Router | None:
        """The function that chooses."""
        return None if self.router is None or isinstance(self.router, Agent) else self.router

    def having(self, agents: Sequence[Agent[Any]], router: Agent[Any] | Router | None) -> Team:
        """The same with these members."""
        made = copy.copy(self)
        made.__dict__.update(agents=tuple(agents), router=router)
        return made

    def __repr__(self) -> str:
        return f"<Team {self.name} ({self.strategy}: {', '.join(agent.name for agent in self.agents)})>"


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
    return Team(_AND_THEN.join(agent.name for agent in members), members)


def _parts(agent: Agent[Any]) -> tuple[Agent[Any], ...]:
    made = isinstance(agent, Team) and agent.name == _AND_THEN.join(each.name for each in agent.agents)
    return agent.agents if isinstance(agent, Team) and made else (agent,)


def _members(agents: Sequence[Agent[Any]], what: str) -> tuple[Agent[Any], ...]:
    if not isinstance(agents, Sequence) or not all(isinstance(agent, Agent) for agent in agents):
        raise DefinitionError(f"{what}: agents is a list of agents, not {agents!r}")
    if len(agents) < 2:
        raise DefinitionError(f"{what}: a team has two members or more")
    names = [agent.name for agent in agents]
    for name in names:
        if names.count(name) > 1:
            raise DefinitionError(f"{what}: two members are named {name!r}", hint="Rename one: dataclasses.replace.")
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
    return Agent(f"{name}_router", model=model, instructions=asked, model_place=members[0].model_place)
