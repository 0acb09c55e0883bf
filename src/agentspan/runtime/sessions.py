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
from agentspan.engine.records import WorkflowRecord
from agentspan.errors import InputError
from agentspan.reading.history import conversation
from agentspan.schema.values import check_text

MOST = 1_000_000
"""Bytes of a conversation that a run begins with, whatever its agent's budget: its prompt has to fit beside it."""


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
    """The conversation of the session's last run that has an answer, in `most` bytes.

    What runs beside it said is in it, where they ended too late for it to know.
    """
    runs = [run for run in client.correlated(agent, correlation_id) if run.status == "COMPLETED"]
    if not runs:
        return []
    *others, last = runs
    before, own = _parted(client.workflow(last.workflow_id, tasks=False))
    for other in others:
        if other.end_time > last.create_time:
            before += _parted(client.workflow(other.workflow_id, tasks=False))[1]
    return _newest([*before, *own], min(most, MOST))


def _parted(run: WorkflowRecord) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """What was said before a run, and what was said in it."""
    said = conversation(run)
    begins = max(place for place, message in enumerate(said) if message["role"] == "user")
    return said[:begins], said[begins:]


def _newest(messages: list[dict[str, str]], most: int) -> list[dict[str, str]]:
    """The newest messages, in so many bytes; of the newest exchange its beginnings, where it is longer by itself."""
    kept: list[dict[str, str]] = []
    left = most
    for message in reversed(messages):
        left -= len(message["message"].encode())
        if left < 0:
            break
        kept.insert(0, message)
    while kept and kept[0]["role"] != "user":  # a conversation begins with the user
        del kept[0]
    newest = messages[-2:] if messages[-1]["role"] == "assistant" else messages[-1:]
    return kept or [_cut(message, most // len(newest)) for message in newest]


def _cut(message: dict[str, str], most: int) -> dict[str, str]:
    text = message["message"]
    if len(text.encode()) <= most:
        return message
    begins = text.encode()[:most].decode(errors="ignore")
    return {**message, "message": f"{begins}\n[Cut: {len(begins):,} of {len(text):,} characters.]"}
