"""What an agent has more whose instructions a function gives, where the server calls its model: a task that asks it.

It runs once, before the first turn. Where a worker calls the model, the call of the model asks the function itself. See
ADR 0031.
"""

from __future__ import annotations

from typing import Any

from agentspan.compiler import _tasks as t
from agentspan.compiler._guard import prompt_of
from agentspan.compiler._output import instructions
from agentspan.compiler._tasks import Json, literal, ref
from agentspan.compiler._tools import task_definition
from agentspan.declare.agent import Agent
from agentspan.stored.names import instructions_task_name

ASKED = "instructions_1"
"""The task that asks the function."""

_TOLD = "told"
"""What is handed from segment to segment: what the function gave."""


def is_asked(agent: Agent[Any]) -> bool:
    """Whether a task asks a function for the agent's instructions."""
    return callable(agent.instructions) and agent.place == "server"


def instructions_definition(agent: Agent[Any]) -> Json:
    """The task definition of that task: with the lease of a tool's."""
    return task_definition(
        instructions_task_name(agent.name),
        f"Asks for the instructions of the agent {agent.name}.",
        inputs=["after", "execution_id", "prompt", "step"],
        outputs=["result"],
    )


def single_instructions(agent: Agent[Any]) -> list[Json]:
    """The task of an agent without tools; nothing where its instructions are a text."""
    return [_asked(agent, ref("workflow.workflowId"))] if is_asked(agent) else []


def segment_instructions(agent: Agent[Any]) -> list[Json]:
    """The task in a run's first segment, and what it gave, for those after it."""
    if not is_asked(agent):
        return []
    known = t.switch(
        "asked",
        "asked",
        "Whether a segment before this one has asked for the instructions.",
        ref(f"workflow.input.{_TOLD}.mode"),
        {"done": []},
    )
    told = t.jq(
        _TOLD,
        _TOLD,
        "The instructions.",
        ".before // .now",
        before=ref(f"workflow.input.{_TOLD}"),
        now=ref(f"{ASKED}.output.result"),
    )
    return [{**known, "defaultCase": [_asked(agent, ref("workflow.input.execution_id"))]}, told]


def told(agent: Agent[Any]) -> Json:
    """What a segment hands on of them."""
    return {_TOLD: ref(f"{_TOLD}.output.result")} if is_asked(agent) else {}


def told_on(agent: Agent[Any], segment: str) -> Json:
    """What the loop gives a segment of them: the text, or what the function gave in a segment before."""
    if is_asked(agent):
        return {_TOLD: ref(f"{segment}.output.{_TOLD}")}
    return {"instructions": literal(instructions(agent))}


def text(agent: Agent[Any]) -> str:
    """The system prompt of an agent without tools, for its model's task."""
    return ref(f"{ASKED}.output.result.text") if is_asked(agent) else literal(instructions(agent))


def segment_text(agent: Agent[Any]) -> str:
    """Where a segment has the system prompt."""
    return ref(f"{_TOLD}.output.result.text" if is_asked(agent) else "workflow.input.instructions")


def _asked(agent: Agent[Any], execution_id: str) -> Json:
    inputs: Json = {
        "prompt": prompt_of(agent),
        "after": literal(instructions(agent)),
        "execution_id": execution_id,
        "step": 1,
    }
    return t.task("SIMPLE", instructions_task_name(agent.name), ASKED, inputs)
