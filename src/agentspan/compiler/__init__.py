"""Agent → Conductor definitions: pure, offline, byte-identical.

An agent with tools becomes two workflows. `X` loops over segments; `X.segment` holds eight turns
side by side: model call, plan, the tools, and the transcript the next model call gets. An agent
without tools is one model call. docs/architecture.md draws both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agentspan.compiler._agent import looping, single
from agentspan.compiler._budget import budget_requests
from agentspan.compiler._guard import input_definition
from agentspan.compiler._instructions import instructions_definition, is_asked
from agentspan.compiler._output import output_definition
from agentspan.compiler._part import as_it_is, as_part
from agentspan.compiler._pool import is_pooled, pool_definition
from agentspan.compiler._request import request_tasks, request_workflows
from agentspan.compiler._review import review_workflows
from agentspan.compiler._summary import summary_definition
from agentspan.compiler._tasks import Json
from agentspan.compiler._team import team, team_tasks
from agentspan.compiler._thin import model_definition, thin
from agentspan.compiler._tools import tool_definition
from agentspan.declare.agent import Agent
from agentspan.declare.guardrail import Position
from agentspan.declare.handoff import as_one
from agentspan.declare.team import Team
from agentspan.errors import DefinitionError, InputError
from agentspan.schema.values import check_value
from agentspan.stored.names import request_name, segment_name

__all__ = ["Definition", "compile_agent", "compile_part"]


@dataclass(frozen=True)
class Definition:
    """What one agent is on a Conductor server.

    Attributes:
        agent: The agent's name, which is also the workflow's.
        workflows: Workflow definitions, in the order they must be registered.
        tasks: Task definitions of the tools.
        fingerprint: SHA-256 over the content, without versions: equal content, equal fingerprint.
    """

    agent: str
    workflows: tuple[Json, ...]
    tasks: tuple[Json, ...]
    fingerprint: str

    def at_version(self, version: int) -> tuple[Json, ...]:
        """The workflow definitions as version `version`, each naming the others by it."""
        return tuple(_numbered(workflow, self.agent, version, self.fingerprint) for workflow in self.workflows)

    def to_json(self) -> str:
        """The whole as JSON text: sorted keys, two spaces, a newline at the end."""
        content = {"workflows": list(self.at_version(1)), "tasks": list(self.tasks)}
        return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def compile_agent(agent: Agent[Any], versions: Mapping[str, int] | None = None) -> Definition:
    """Compile an agent. No clock, network, environment or randomness takes part.

    Args:
        agent: The agent.
        versions: The versions of the agents that it calls, by their names; 1 unless given.

    Example:
        >>> compile_agent(Agent(name="greeter", model="openai/gpt-4o")).workflows[0]["name"]
        'greeter'

    Raises:
        DefinitionError: Conductor would not carry its texts intact, or all of them together are too long.
    """
    return _compiled(agent, versions or {}, as_it_is)


def compile_part(agent: Agent[Any], versions: Mapping[str, int]) -> Definition:
    """Compile an agent as other agents call it.

    Args:
        agent: The agent that is called.
        versions: The versions of the agents that it calls itself.

    Raises:
        DefinitionError: As `compile_agent`.
    """
    return _compiled(agent, versions, as_part)


def _compiled(agent: Agent[Any], versions: Mapping[str, int], form: Callable[[Json], Json]) -> Definition:
    if isinstance(agent, Team) and agent.members:
        *below, own = team(agent, versions)
        return _definition(agent, (*below, form(own)), *team_tasks(agent))
    if agent.place == "worker":
        *below, own = thin(agent, versions)
        asked = (*_requests(agent, versions), *budget_requests(agent))
        looks = (pool_definition(agent),) if is_pooled(agent) else ()
        return _definition(agent, (*below, *asked, form(own)), model_definition(agent), *looks)
    *below, own = looping(agent, versions) if agent.tools else (single(agent),)
    return _definition(agent, (*below, *_requests(agent, versions), form(own)))


def _requests(agent: Agent[Any], versions: Mapping[str, int]) -> tuple[Json, ...]:
    return (*request_workflows(agent, agent.tools, versions), *review_workflows(agent))


def _definition(agent: Agent[Any], workflows: tuple[Json, ...], *tasks_besides: Json) -> Definition:
    for workflow in workflows:
        _check(agent, workflow)
    if as_one(agent).checks_answers:
        tasks_besides = (*tasks_besides, output_definition(as_one(agent)))
    if agent.context.summarise and agent.loops:
        tasks_besides = (*tasks_besides, summary_definition(agent))
    if agent.guards(Position.INPUT):
        tasks_besides = (*tasks_besides, input_definition(agent))
    if is_asked(agent):
        tasks_besides = (*tasks_besides, instructions_definition(agent))
    tools = (tool_definition(agent, tool) for tool in agent.tools if tool.question is None and tool.agent is None)
    tasks = (*tasks_besides, *request_tasks(agent), *tools)
    return Definition(agent.name, workflows, tasks, _fingerprint(workflows, tasks))


def _check(agent: Agent[Any], workflow: Json) -> None:
    try:
        check_value(workflow, f"agent {agent.name!r}: its definition")
    except InputError as error:
        raise DefinitionError(error.message, hint="Look at its instructions and at what its tools say.") from error


def _fingerprint(*content: tuple[Json, ...]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _numbered(workflow: Json, agent: str, version: int, fingerprint: str) -> Json:
    numbered: Json = json.loads(json.dumps(workflow))
    numbered["version"] = version
    numbered["metadata"] = {**numbered["metadata"], "fingerprint": fingerprint}
    for task in _walk(numbered["tasks"]):
        if task["type"] == "SUB_WORKFLOW" and _is_own(task["subWorkflowParam"]["name"], agent):
            task["subWorkflowParam"]["version"] = version
    return numbered


def _is_own(name: str, agent: str) -> bool:
    # What is named by a value is one of its requests.
    return name == segment_name(agent) or name.startswith((request_name(agent, ""), "${"))


def _walk(tasks: list[Json]) -> Iterator[Json]:
    for task in tasks:
        yield task
        yield from _walk(task.get("loopOver", []))
        for case in (*task.get("decisionCases", {}).values(), task.get("defaultCase", [])):
            yield from _walk(case)
