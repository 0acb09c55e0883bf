"""What an agent with guardrails has more: the check of its prompt, and the ends by what was refused.

Its answers are checked as those of an agent with an `output_type` are. See ADR 0026.
"""

from __future__ import annotations

from typing import Any

from agentspan.compiler import _tasks as t
from agentspan.compiler._ask import asked, verdict
from agentspan.compiler._part import has_requests, of_ask
from agentspan.compiler._tasks import Json, ref
from agentspan.compiler._tools import task_definition
from agentspan.compiler._used import adding, calls_use, of_one
from agentspan.declare.agent import Agent
from agentspan.declare.guardrail import LLMGuardrail, Position
from agentspan.declare.handoff import looks_in_turns
from agentspan.stored.guard import REFUSED
from agentspan.stored.names import input_task_name, tool_reference

ENTRY = "input_1"
"""The check of the prompt."""

_KEPT = "guarded"
"""What is handed from segment to segment: that the prompt was let through, and as what."""


def has_guards(agent: Agent[Any]) -> bool:
    """Whether a guardrail may end a run of the agent; one asks for the tools that are required."""
    own = bool(agent.guardrails or agent.required_tools) or _has_strict_tools(agent)
    return own or looks_in_turns(agent)


def _has_strict_tools(agent: Agent[Any]) -> bool:
    return any(tool.may_end_the_run for tool in agent.tools)


def input_definition(agent: Agent[Any]) -> Json:
    """The task definition of the check of an agent's prompts: with the lease of a tool's."""
    return task_definition(
        input_task_name(agent.name),
        f"What the guardrails of the agent {agent.name} say of its prompts.",
        inputs=["execution_id", "guardrails", "prompt", "step"],
        outputs=["result"],
    )


def refused_end(agent: Agent[Any], reference: str, output: Json) -> Json:
    """Fail, as a guardrail refuses."""
    reason = f"A guardrail of the agent {agent.name} refuses."
    return t.terminate("refused", reference, "FAILED", output, reason)


def refused(answer: Json, by: str) -> Json:
    """What a run leaves that a guardrail refuses: which one, and nothing of what it refused."""
    return {**answer, "result": None, "finish_reason": REFUSED, REFUSED: ref(by)}


# ---- tokens of guardrails that ask models --------------------------------------------------------------


def _asks_models(agent: Agent[Any]) -> bool:
    return any(isinstance(guard, LLMGuardrail) and guard.blocking for guard in agent.guardrails)


def usage_before(agent: Agent[Any], turn: int, before: str) -> Any:
    """Where the tokens of the run before a turn are: a list, newest first, where guardrails may have used some since.

    Args:
        agent: Whose turn.
        turn: Which one of its workflow.
        before: Where the model's calls have them.
    """
    if not _asks_models(agent):
        return ref(before)
    checked = ENTRY if turn == 1 else f"output_{turn - 1}"
    is_there = agent.guards(Position.INPUT if turn == 1 else Position.OUTPUT)
    return [*([ref(f"{checked}.output.result.usage")] if is_there else []), ref(before)]


def usage_after(agent: Agent[Any], turn: int, now: str) -> Any:
    """The same after a turn."""
    return usage_before(agent, turn + 1, now)


def counting(agent: Agent[Any], now: str) -> Json:
    """What the check of an answer takes, so that it can add its own tokens."""
    return {"usage": ref(now)} if _asks_models(agent) else {}


def counted(agent: Agent[Any], answer: Json, turn: int) -> Json:
    """What a run gives, with the tokens of the check of its answer."""
    if not (_asks_models(agent) and agent.guards(Position.OUTPUT)):
        return answer
    return {**answer, "usage": ref(f"output_{turn}.output.result.usage")}


# ---- the prompt ----------------------------------------------------------------------------------------


def entry(agent: Agent[Any], execution_id: str, refusal: Json) -> list[Json]:
    """The check of the prompt, and the end by one that is refused.

    Args:
        agent: Whose prompt.
        execution_id: Where the run's id is.
        refusal: That end.
    """
    inputs: Json = {
        "prompt": ref("workflow.input.prompt"),
        "guardrails": [guard.name for guard in agent.guards(Position.INPUT)],
        "execution_id": execution_id,
        "step": 1,
    }
    return [
        t.task("SIMPLE", input_task_name(agent.name), ENTRY, inputs),
        *asked(agent, Position.INPUT, 1, execution_id, 1),
        t.switch(
            "entered",
            "entered",
            "Whether the prompt is let through.",
            ref(f"{verdict(agent, Position.INPUT)}.mode"),
            {"refused": [refusal]},
        ),
    ]


def single_entry(agent: Agent[Any]) -> list[Json]:
    """The check of the prompt of an agent without tools; nothing where no guardrail looks at it."""
    if not agent.guards(Position.INPUT):
        return []
    output = refused({"steps": 0, **_used(agent)}, f"{verdict(agent, Position.INPUT)}.refused")
    return entry(agent, ref("workflow.workflowId"), refused_end(agent, "refused_0", output))


def _used(agent: Agent[Any]) -> Json:
    return {"usage": ref(f"{ENTRY}.output.result.usage")} if _asks_models(agent) else {}


def segment_entry(agent: Agent[Any]) -> list[Json]:
    """The check of the prompt in a run's first segment, and what it has found, for those after it."""
    if not agent.guards(Position.INPUT):
        return []
    output = refused({"steps": 0, "usage": {}, **_used(agent)}, f"{verdict(agent, Position.INPUT)}.refused")
    end = t.terminate("refused", "refused_0", "COMPLETED", output)
    known = t.switch(
        "known",
        "known",
        "Whether a segment before this one has looked at the prompt.",
        ref(f"workflow.input.{_KEPT}.mode"),
        {"done": []},
    )
    kept = t.jq(
        _KEPT,
        _KEPT,
        "The prompt as the guardrails have left it.",
        "(.before // .now) | {mode, value}",
        before=ref(f"workflow.input.{_KEPT}"),
        now=ref(verdict(agent, Position.INPUT)),
    )
    return [{**known, "defaultCase": entry(agent, ref("workflow.input.execution_id"), end)}, kept]


def kept(agent: Agent[Any]) -> Json:
    """What a segment hands on of the check of the prompt."""
    return {_KEPT: ref(f"{_KEPT}.output.result")} if agent.guards(Position.INPUT) else {}


def handed_on(agent: Agent[Any], segment: str) -> Json:
    """What the loop gives a segment of that."""
    return {_KEPT: ref(f"{segment}.output.{_KEPT}")} if agent.guards(Position.INPUT) else {}


def prompt_of(agent: Agent[Any]) -> str:
    """Where the prompt is, as the model is given it."""
    if not agent.guards(Position.INPUT):
        return ref("workflow.input.prompt")
    return ref(f"{f'{_KEPT}.output.result' if agent.loops else verdict(agent, Position.INPUT)}.value")


def answered(agent: Agent[Any], answer: Json) -> Json:
    """What a run gives with an answer; the prompt where a guardrail may have changed it."""
    return {**answer, "prompt": prompt_of(agent)} if agent.guards(Position.INPUT) else answer


# ---- tools ---------------------------------------------------------------------------------------------


def stop(agent: Agent[Any], turn: int, answer: Json) -> list[Json]:
    """The end by a call that a guardrail of its tool refuses; nothing where none may end a run.

    Args:
        agent: Whose turn.
        turn: Which one of its segment.
        answer: What the run gives with the turn's answer.
    """
    if not _has_strict_tools(agent):
        return []
    found = f"stopped_{turn}"
    left = {**answer, "usage": ref(f"{found}.output.result.usage")} if calls_use(agent) else answer
    end = t.terminate("refused", f"ended_{turn}", "COMPLETED", refused(left, f"{found}.output.result.refused"))
    program = ". as $in | " if calls_use(agent) else ""
    program += (
        f"[.one,{' .asked,' if has_requests(agent) else ''} (.many // {{}} | .[] | .refused?)] | map(values) | "
        '{mode: (if . == [] then "on" else "refused" end), refused: .[0]}'
    )
    return [
        t.jq(
            "stopped",
            found,
            "Whether a guardrail of a tool ends the run.",
            f"{program} | .usage = $in.usage | {adding(_USED_NOW)}" if calls_use(agent) else program,
            one=ref(f"{tool_reference(turn)}.output.refused"),
            many=ref(f"join_{turn}.output"),
            **of_ask(agent, turn, ".refused"),
            **_used_now(agent, turn, answer["usage"]),
        ),
        t.switch(
            "stop",
            f"stop_{turn}",
            "The end, or the next turn.",
            ref(f"{found}.output.result.mode"),
            {"refused": [end]},
        ),
    ]


_USED_NOW = "($in.used | flatten | map(values))"
"""jq: what the calls of the turn have used."""


def _used_now(agent: Agent[Any], turn: int, usage: Any) -> Json:
    """What that takes of the run's tokens, so that those of the turn's calls count."""
    if not calls_use(agent):
        return {}
    alone = (*of_one(agent, turn).values(), *of_ask(agent, turn, ".usage").values())
    return {"usage": usage, "used": [*alone, ref(f"join_{turn}.output[*].usage")]}
