"""What an agent has more whose older exchanges are summarised: before each turn a look whether that is due."""

from __future__ import annotations

from typing import Any

from agentspan.compiler import _tasks as t
from agentspan.compiler._tasks import Json, ref
from agentspan.compiler._tools import task_definition
from agentspan.declare.agent import Agent
from agentspan.stored.names import SEGMENT, TURNS_PER_SEGMENT, summary_task_name
from agentspan.stored.summary import DUE, SUMMARY

_WANTED = "summarise"


def summary_definition(agent: Agent[Any]) -> Json:
    """The task definition of the summaries: with the lease of a tool's."""
    return task_definition(
        summary_task_name(agent.name),
        f"Summarises what the model of the agent {agent.name} is not shown any more.",
        inputs=["execution_id", "model_by", "segment", "steps", "tool_by", "turn", "usage"],
        outputs=["result"],
    )


def summary_before(agent: Agent[Any], turn: int, inputs: Json) -> list[Json]:
    """What stands before a turn's model call; nothing where nothing is summarised.

    Args:
        agent: Whose turn.
        turn: Which one of its segment.
        inputs: What the model's call is given.
    """
    if not agent.context.summarise:
        return []
    wanted = ref(f"workflow.input.{_WANTED}") if turn == 1 else _wanted(turn - 1)
    # The run does not fail by it: the model is then told only how much it is not shown.
    made = t.task("SIMPLE", summary_task_name(agent.name), f"summary_{turn}", inputs, optional=True)
    about = "Whether older exchanges are summarised before the model is asked."
    return [t.switch("long", f"long_{turn}", about, wanted, {DUE: [made]})]


def _wanted(turn: int) -> str:
    return ref(f"llm_{turn}.output.result.{_WANTED}")


def summary_given(agent: Agent[Any], turn: int) -> Json:
    """What the model's call is given of it."""
    return {SUMMARY: ref(f"summary_{turn}.output.result")} if agent.context.summarise else {}


def summary_kept(agent: Agent[Any]) -> Json:
    """What a segment hands on: whether the first turn of the next one has to make one."""
    return {_WANTED: _wanted(TURNS_PER_SEGMENT)} if agent.context.summarise else {}


def summary_handed_on(agent: Agent[Any]) -> Json:
    """What the loop gives a segment of that."""
    return {_WANTED: ref(f"{SEGMENT}.output.{_WANTED}")} if agent.context.summarise else {}
