"""Sessions: runs of an agent in which each one goes on with the conversation of the last.

The runs of a session are found by their correlation id, in the stored rows rather than in the index; so the session
lives on the server, and any process goes on with it.
"""

from __future__ import annotations

import hashlib
from typing import Any

from agentspan.declare.agent import Agent
from agentspan.declare.settings import ContextBudget
from agentspan.engine.client import Conductor
from agentspan.errors import InputError
from agentspan.reading.history import conversation
from agentspan.schema.values import check_text


def correlation_of(session_id: object) -> str:
    """What the runs of a session have in common on the server.

    Raises:
        InputError: The id is no text, or empty.
    """
    if not check_text(session_id, "session_id").strip():
        raise InputError("session_id is empty: all callers without one would share a conversation")
    return hashlib.sha256(f"session\n{session_id}".encode()).hexdigest()


def before(client: Conductor, agent: Agent[Any] | str, session: str | None) -> list[dict[str, str]]:
    """What was said before a new run: the session so far, which began with what the agent's memory held then.

    Args:
        client: The server.
        agent: The agent, or its name.
        session: What the session's runs have in common; None of a run without one.
    """
    name, budget = (agent, ContextBudget()) if isinstance(agent, str) else (agent.name, agent.context)
    said = [] if session is None else _so_far(client, name, session, budget.kept)
    if said or isinstance(agent, str) or agent.memory is None:
        return said
    return agent.memory.for_run()


def _so_far(client: Conductor, agent: str, correlation_id: str, most: int) -> list[dict[str, str]]:
    """The conversation of the session's last run that has an answer, in `most` characters."""
    for run_id in reversed(client.correlated(agent, correlation_id)):
        run = client.workflow(run_id, tasks=False)
        if run.status == "COMPLETED":
            return _newest(conversation(run), most)
    return []


def _newest(messages: list[dict[str, str]], most: int) -> list[dict[str, str]]:
    kept: list[dict[str, str]] = []
    for message in reversed(messages):
        most -= len(message["message"])
        if most < 0:
            break
        kept.insert(0, message)
    while kept and kept[0]["role"] != "user":  # a conversation begins with the user
        del kept[0]
    return kept
