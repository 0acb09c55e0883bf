"""Immutable versions: the same content keeps its version, other content gets the next one."""

from __future__ import annotations

import threading
from typing import Any

from agentspan import forks
from agentspan.compiler import Definition, compile_agent, compile_part
from agentspan.compiler._tasks import Json
from agentspan.declare.agent import Agent
from agentspan.declare.called import agents_around, members_of
from agentspan.declare.places import Place
from agentspan.declare.placing import placed
from agentspan.engine.client import Conductor
from agentspan.errors import Conflict, NotFound
from agentspan.stored.format import IN_WORKER, format_of
from agentspan.stored.names import OWNER


class Registering:
    """Puts agents on the server, those that they call first, and remembers their versions.

    Args:
        client: The server.
        place: Who calls the models of agents that do not say; None where each has what it needs.
    """

    def __init__(self, client: Conductor, place: Place | None) -> None:
        self._client = client
        self._place: Place | None = place
        self._known: dict[str, int] = {}
        self._lock = threading.Lock()
        forks.tell(self)

    def after_fork(self) -> None:
        """Another thread of the parent may have held the lock."""
        self._lock = threading.Lock()

    def placed(self, agent: Agent[Any]) -> Agent[Any]:
        """The agent, and those around it, with who calls their models.

        Raises:
            DefinitionError: The setting has the server call a model that only a worker calls as it is meant.
        """
        return placed(agent, self._place)

    def versions(self, agent: Agent[Any]) -> dict[str, int]:
        """The versions of an agent and of those that it calls, by their names, once all are registered.

        Raises:
            Conflict: A name belongs to a definition that is not an agent's.
            ServerError: The server cannot be reached, or refuses.
        """
        agent = self.placed(agent)
        below = self._below(agent)
        return {**below, agent.name: self._version(compile_agent(agent, below))}

    def _below(self, agent: Agent[Any]) -> dict[str, int]:
        compiled = compile_agent if members_of(agent) else compile_part
        found: dict[str, int] = {}
        own: dict[str, int] = {}
        for each in agents_around(agent):
            below = self._below(each)
            found |= below
            own[each.name] = self._version(compiled(each, below))
        return {**found, **own}  # one that another one calls, too, is two definitions; this one begins its own

    def _version(self, definition: Definition) -> int:
        with self._lock:
            known = self._known.get(definition.fingerprint)
        if known is None:
            known = register(self._client, definition)
            with self._lock:
                self._known[definition.fingerprint] = known
        return known


_MANY_RACES = 50
_LOOKED_BACK = 20
"""How many of the newest versions are searched for the same content; older content gets a new version."""


def register(client: Conductor, definition: Definition) -> int:
    """Put a definition on the server and return the version that holds exactly its content.

    Two processes may do so at once: whoever creates the first workflow of a version owns that
    version, the other one looks again.

    Raises:
        Conflict: The name belongs to a definition that is not an agent's.
    """
    newest = client.workflow_definition(definition.workflows[0]["name"])
    if newest is not None and _holds(newest, definition):
        _complete(client, definition, newest["version"])
        return int(newest["version"])
    _refuse_foreign(client, definition)
    for task in definition.tasks:
        _put_task(client, task)
    for _ in range(_MANY_RACES):
        versions = _versions(client, definition)
        version = _version_with(client, definition, versions[-_LOOKED_BACK:])
        if version is None:
            version = max(versions, default=0) + 1
            if not client.create_workflow_definition(definition.at_version(version)[0]):
                continue
        _complete(client, definition, version)
        return version
    raise Conflict(f"Other processes keep registering other versions of the agent {definition.agent}.")


def registered_version(client: Conductor, name: str, version: int | None) -> int:
    """The version of an agent that is registered: a given one, or the newest.

    Raises:
        NotFound: There is none.
    """
    found = client.workflow_definition(name, version)
    if found is None or found.get("metadata", {}).get("agent") != name:
        which = f"agent {name!r}" if version is None else f"version {version} of an agent {name!r}"
        raise NotFound(
            f"The server at {client.settings.address} has no {which}.",
            hint="`runtime.deploy(agent)` registers one; so does starting it by its object.",
        )
    return int(found["version"])


def is_in_worker(client: Conductor, agent: Agent[Any] | str, version: int) -> bool:
    """Whether a worker calls the model of an agent, or of a version of a registered one."""
    if isinstance(agent, Agent):
        return agent.place == "worker"
    found = client.workflow_definition(agent, version) or {}
    return format_of(found.get("metadata", {})) == IN_WORKER


def _holds(found: Json, definition: Definition) -> bool:
    return bool(found.get("metadata", {}).get("fingerprint") == definition.fingerprint)


def _versions(client: Conductor, definition: Definition) -> list[int]:
    names = [workflow["name"] for workflow in definition.workflows]
    return sorted({version for name in names for version in client.workflow_versions(name)})


def _version_with(client: Conductor, definition: Definition, versions: list[int]) -> int | None:
    name = definition.workflows[0]["name"]
    for version in reversed(versions):
        found = client.workflow_definition(name, version)
        if found is not None and _holds(found, definition):
            return version
    return None


def _complete(client: Conductor, definition: Definition, version: int) -> None:
    """Create what a process that died in between may have left out."""
    for workflow in definition.at_version(version)[1:]:
        if client.workflow_definition(workflow["name"], version) is None:
            client.create_workflow_definition(workflow)


def _refuse_foreign(client: Conductor, definition: Definition) -> None:
    for workflow in definition.workflows:
        _refuse("workflow", workflow["name"], client.workflow_definition(workflow["name"]), definition)
    for task in definition.tasks:
        _refuse("task", task["name"], client.task_definition(task["name"]), definition)


def _refuse(kind: str, name: str, found: Json | None, definition: Definition) -> None:
    owner = (found or {}).get("ownerApp") or (found or {}).get("ownerEmail")
    if found is not None and found.get("ownerApp") != OWNER:
        raise Conflict(
            f"The agent {definition.agent} cannot be registered: the server already has a {kind} definition "
            f"{name!r} that belongs to {owner or 'somebody else'}, not to agentspan.",
            hint="Rename the agent or the tool.",
        )


def _put_task(client: Conductor, task: Json) -> None:
    found = client.task_definition(task["name"])
    if found is None or any(found.get(key) != value for key, value in task.items()):
        client.put_task_definition(task)
