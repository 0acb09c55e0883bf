"""What every workflow of an agent has in common, and the task each begins with."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from agentspan.compiler import _tasks as t
from agentspan.compiler._guard import prompt_of
from agentspan.compiler._tasks import Json, ref
from agentspan.declare.agent import Agent
from agentspan.stored.format import PRICES
from agentspan.stored.names import OWNER

MAX_TRANSCRIPT = 5_200_000
"""Bytes a segment may begin with: the task that opens it stores them twice, and no task may exceed 10 MiB."""


def workflow(agent: Agent, name: str, description: str, tasks: list[Json], **fields: Any) -> Json:
    return {
        "name": name,
        "description": description,
        "version": 1,
        "schemaVersion": 2,
        "ownerApp": OWNER,
        "ownerEmail": f"{OWNER}@localhost.localdomain",
        "restartable": True,
        "timeoutSeconds": 0,
        "timeoutPolicy": "ALERT_ONLY",
        "metadata": {"agent": agent.name, "model": agent.model, "max_turns": agent.max_turns, **_carried(agent)},
        "tasks": tasks,
        **fields,
    }


def _carried(agent: Agent) -> Json:
    prices = {model: asdict(price) for model, price in agent.model_settings.prices.items()}
    priced = {PRICES: prices} if prices and agent.place == "server" else {}  # a worker prices its calls itself
    return {**({"metadata": dict(agent.metadata)} if agent.metadata else {}), **priced}


def time_limit(agent: Agent) -> Json:
    if agent.timeout is None:
        return {}
    return {"timeoutSeconds": max(1, round(agent.timeout)), "timeoutPolicy": "TIME_OUT_WF"}


def open_task(agent: Agent, description: str, program: str) -> Json:
    return t.jq(
        "open",
        "open",
        description,
        program,
        transcript=ref("workflow.input.transcript"),
        history=ref("workflow.input.messages"),
        prompt=prompt_of(agent),
        max_chars=agent.context.max_chars,
        keep_chars=agent.context.kept,
        most=MAX_TRANSCRIPT,
    )
