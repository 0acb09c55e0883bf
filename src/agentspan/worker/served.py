"""What a worker serves of an agent: its tools, and what else of it is made in workers, by queue."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agentspan.declare.agent import Agent, with_dependencies
from agentspan.declare.budget import Pooled
from agentspan.declare.called import agents_around
from agentspan.declare.guardrail import Guardrail, LLMGuardrail, Position
from agentspan.declare.guardrails import asking, beside
from agentspan.declare.handoff import as_one, crew
from agentspan.declare.places import why_called, why_worker
from agentspan.declare.team import Team
from agentspan.declare.tool import Tool, tool
from agentspan.errors import ToolFailed
from agentspan.schema.values import shown
from agentspan.stored.names import (
    approval_task_name,
    input_task_name,
    instructions_task_name,
    model_task_name,
    notice_task_name,
    output_task_name,
    pool_task_name,
    router_task_name,
    summary_task_name,
    tool_task_name,
    until_task_name,
)
from agentspan.worker.approval import approval_tool, notice_tool
from agentspan.worker.call import Served
from agentspan.worker.guard_model import check_can_ask
from agentspan.worker.guards import input_tool
from agentspan.worker.handoffs import Crew
from agentspan.worker.instructions import function_of, instructions_tool
from agentspan.worker.models import model_tool
from agentspan.worker.output import Output, output_tool
from agentspan.worker.pool import pool_tool
from agentspan.worker.summaries import summary_tool


def served_by(agent: Agent[Any], versions: Mapping[str, int]) -> dict[str, Served]:
    """What is served of an agent, and of those that it calls.

    Args:
        agent: The agent.
        versions: The versions that all of them are registered as, by their names.

    Raises:
        ConfigError: Something that it needs is not installed here.
    """
    found: dict[str, Served] = {}
    for part in (_tools, _model, _checks, _people, _team):
        found |= dict(part(agent, versions[agent.name]))
    for called in agents_around(agent):
        given = agent.dependencies if called.dependencies is None else called.dependencies
        below = served_by(with_dependencies(called, given), versions)
        found |= {name: replace(each, caller=each.caller or agent.name) for name, each in below.items()}
    if agent.handoffs:
        members = {name: found[model_task_name(name)] for name in crew(agent)}
        whole = found[model_task_name(agent.name)]
        found[model_task_name(agent.name)] = replace(whole, members=members, state=as_one(agent).shared_state)
    return found


def _tools(agent: Agent[Any], version: int) -> Iterator[tuple[str, Served]]:
    files = agent.place == "worker"
    for each in agent.tools:
        if each.is_served:
            served = Served(
                agent.name,
                version,
                each,
                shows_files=files,
                state=agent.shared_state,
                dependencies=agent.dependencies,
                hooks=agent.hooks,
            )
            yield tool_task_name(agent.name, each.name), served


def _model(agent: Agent[Any], version: int) -> Iterator[tuple[str, Served]]:
    function = function_of(agent)
    if agent.place == "worker":
        model = Served(agent.name, version, model_tool(agent), Output.of(agent), is_model=True, instructions=function)
        model = replace(model, termination=agent.termination, state=agent.shared_state, guards=beside(agent.guardrails))
        why = why_called(agent) if why_worker(agent) else ""
        model = replace(model, dependencies=agent.dependencies, hooks=agent.hooks, why=why)
        yield model_task_name(agent.name), replace(model, crew=Crew.of(agent))
        if isinstance(agent.budget, Pooled):
            yield pool_task_name(agent.name), Served(agent.name, version, pool_tool(agent))
        if agent.context.summarise and agent.loops:
            yield summary_task_name(agent.name), Served(agent.name, version, summary_tool(agent), is_model=True)
    elif function is not None:
        asks = Served(agent.name, version, instructions_tool(agent), instructions=function)
        asks = replace(asks, dependencies=agent.dependencies)
        yield instructions_task_name(agent.name), asks


def _checks(agent: Agent[Any], version: int) -> Iterator[tuple[str, Served]]:
    for guard in (*agent.guardrails, *(guard for each in agent.tools for guard in each.guardrails)):
        if isinstance(guard, LLMGuardrail):
            check_can_ask(guard, agent.name)
    whole = as_one(agent)
    if whole.checks_answers:
        served = Served(agent.name, version, output_tool(agent), Output.of(whole), crew=Crew.of(agent))
        served = _seeing(served, agent, whole.guards(Position.OUTPUT))
        yield output_task_name(agent.name), served
    guards = agent.guards(Position.INPUT)
    if guards:
        checks = Served(agent.name, version, input_tool(agent), guards=guards)
        yield input_task_name(agent.name), _seeing(checks, agent, guards)


def _seeing(served: Served, agent: Agent[Any], guards: Sequence[Guardrail]) -> Served:
    """With the state and the live objects, where one of these guardrails wants to know of the run."""
    if not any(guard.takes_context for guard in guards):
        return served
    return replace(served, state=agent.shared_state, dependencies=agent.dependencies)


def _people(agent: Agent[Any], version: int) -> Iterator[tuple[str, Served]]:
    if any(each.asks_first for each in agent.tools):
        checks = Served(agent.name, version, approval_tool(agent), of=agent)
        guards = tuple(guard for each in agent.tools for guard in asking(each.guards(Position.INPUT)))
        yield approval_task_name(agent.name), _seeing(replace(checks, guards=guards), agent, guards)
    if agent.on_request is not None:
        yield notice_task_name(agent.name), Served(agent.name, version, notice_tool(agent), of=agent)


def _team(agent: Agent[Any], version: int) -> Iterator[tuple[str, Served]]:
    if not isinstance(agent, Team):
        return
    if agent.router_function is not None:
        chooses, names = agent.router_function, [each.name for each in agent.agents]

        def member(said: Any) -> str:
            if said not in names:
                message = f"The router of the team {agent.name} chose {shown(repr(said), 200)}, who is no member of it"
                raise ToolFailed(f"{message}: its members are {', '.join(names)}.")
            return str(said)

        yield router_task_name(agent.name), Served(agent.name, version, _of_prompt(chooses, member), asks=chooses)
    if callable(agent.until):
        until = agent.until
        yield until_task_name(agent.name), Served(agent.name, version, _of_prompt(until, bool), asks=until)


def _of_prompt(function: Callable[[str], Any], meant: Callable[[Any], Any]) -> Tool[..., Any]:
    """What stands for a function of a team.

    Args:
        function: The function.
        meant: What is made of what it says.
    """

    async def later(said: Any) -> Any:
        return meant(await said)

    def asked(prompt: str) -> Any:
        said = function(prompt)
        return later(said) if inspect.isawaitable(said) else meant(said)

    return tool(asked)
