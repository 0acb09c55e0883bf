"""What follows a model call: the plan, which says what the model wants, and the end of a model that gives no answer."""

from __future__ import annotations

from typing import Any

from agentspan.compiler import _tasks as t
from agentspan.compiler._guard import answered, usage_before
from agentspan.compiler._tasks import Json, ref
from agentspan.declare.agent import Agent
from agentspan.schema.values import MAX_BYTES

ASKED_AGAIN = 2
"""How often in a row the model is asked once more, when no answer arrives, or none that is whole."""

MAX_TOKENS = 8192
"""Tokens of an answer at most, where the agent's settings do not say: Conductor's own default."""


def plan(agent: Agent, turn: int, program: str, before: str, **inputs: Any) -> Json:
    """The plan of a turn.

    Args:
        agent: Whose turn.
        turn: Which one of its workflow.
        program: The jq program, or a reference to it.
        before: Where the counts of the turn before are: `usage` and `again`.
        **inputs: What else it takes.
    """
    llm = f"llm_{turn}.output"
    given: Json = {
        "calls": ref(f"{llm}.toolCalls"),
        "result": ref(f"{llm}.result"),
        "finish_reason": ref(f"{llm}.finishReason"),
        "prompt_tokens": ref(f"{llm}.promptTokens"),
        "completion_tokens": ref(f"{llm}.completionTokens"),
        "usage": usage_before(agent, turn, f"{before}.usage"),
        "again": ref(f"{before}.again"),
        "turn": turn,
        "max_turns": agent.max_turns,
        "max_tokens": agent.model_settings.max_tokens or MAX_TOKENS,
        "most_again": ASKED_AGAIN,
        "max_bytes": MAX_BYTES,
    }
    description = "What the model asks for: which tools, with what arguments, or the end."
    return t.jq("plan", f"plan_{turn}", description, program, **{**given, **inputs})


def counts_before(turn: int) -> str:
    return "workflow.input" if turn == 1 else f"plan_{turn - 1}.output.result"


def finish(agent: Agent, turn: int) -> Json:
    """End with the model's answer."""
    return t.terminate("finish", f"finish_{turn}", "COMPLETED", answered(agent, answer_of(turn)))


def answer_of(turn: int) -> Json:
    """What a run gives with a turn's answer."""
    found = f"plan_{turn}.output.result"
    return {
        "result": ref(f"llm_{turn}.output.result"),
        "finish_reason": ref(f"{found}.finish_reason"),
        "intact": ref(f"{found}.intact"),
        "steps": ref(f"{found}.step"),
        "usage": ref(f"{found}.usage"),
    }


def failed(turn: int, *, last: bool = False) -> Json:
    """Fail, as the model's provider did; when the run is retried, pass, and the model is asked again.

    Conductor makes a task's inputs anew for each attempt, so the second one sees how the first one ended (3.32.3,
    tried).
    """
    reference = f"failed_{turn}"
    inputs: Json = {} if last else {"before": ref(f"{reference}.status")}
    reason = "The model's provider answered without an answer, again and again: Conductor does not keep what it said."
    program = "if .before == null then error(.reason) else {} end"
    return t.jq("failed", reference, "The model has given no answer.", program, reason=reason, **inputs)
