"""What an agent with an `output_type` has more: the check of an answer, another turn where it does not fit, the end.

An agent without one compiles to what it did before there were any. See ADR 0021.
"""

from __future__ import annotations

import json
from typing import Any

from agentspan.compiler import _tasks as t
from agentspan.compiler._ask import asked, verdict
from agentspan.compiler._guard import answered, counted, counting, refused, usage_before
from agentspan.compiler._part import exchange_with_parts, plan_with_parts
from agentspan.compiler._state import seen_by_guards
from agentspan.compiler._tasks import Json, ref
from agentspan.compiler._tools import task_definition
from agentspan.compiler._used import used_passed_on
from agentspan.declare.agent import Agent
from agentspan.declare.guardrail import Position
from agentspan.stored.names import output_task_name
from agentspan.stored.output import INVALID, TYPED, OutputRequest


def instructions(agent: Agent[Any]) -> str:
    """The system prompt: the server's model task hands no schema on, so it is told there."""
    if agent.answer_type is None:
        return agent.fixed_instructions
    asked = (
        "Your final answer is one JSON object and nothing beside it: no other text, no code fence. It fits this JSON "
        f"Schema:\n{json.dumps(agent.answer_type.schema, ensure_ascii=False)}"
    )
    return f"{agent.fixed_instructions}\n\n{asked}" if agent.fixed_instructions else asked


def output_request(agent: Agent[Any]) -> OutputRequest | None:
    """What a worker tells the model of its answer's type."""
    found = agent.answer_type
    if found is None:
        return None
    return OutputRequest(
        name=found.name, description=found.description, schema=found.plain, retries=agent.output_retries
    )


def marked(agent: Agent[Any], definition: Json) -> Json:
    """A definition whose readers are told that its answers have a type."""
    if agent.answer_type is None:
        return definition
    return {**definition, "metadata": {**definition["metadata"], TYPED: agent.answer_type.name}}


def output_definition(agent: Agent[Any]) -> Json:
    """The task definition of the checks of an agent's answers: with the lease of a tool's."""
    return task_definition(
        output_task_name(agent.name),
        f"Checks the answers of the agent {agent.name}.",
        inputs=[
            "answer",
            "answer_type",
            "execution_id",
            "finish_reason",
            *_guards(agent),
            "last",
            "max_turns",
            "rejected",
            "step",
            *counting(agent, ""),
            "verdict",
        ],
        outputs=["result"],
    )


def check(agent: Agent[Any], turn: int, ends: dict[str, list[Json]], **inputs: Any) -> list[Json]:
    """The check of a turn's answer, and what follows it: an end, or nothing where the model is asked again.

    Args:
        agent: Whose answer.
        turn: Which one of its workflow.
        ends: What follows an answer that fits (`done`), and one by which the run fails (`invalid`).
        **inputs: Where the answer is, and what else the check takes.
    """
    inputs = {**inputs, "answer_type": agent.answer_type.fingerprint if agent.answer_type else None, **_guards(agent)}
    inputs |= seen_by_guards(agent, turn)
    task = t.task("SIMPLE", output_task_name(agent.name), f"output_{turn}", inputs)
    found = t.switch(
        "checked",
        f"checked_{turn}",
        "Whether the answer fits: the end, another turn, or the failure of the run.",
        ref(f"{verdict(agent, Position.OUTPUT, turn)}.mode"),
        ends,
    )
    return [task, *asked(agent, Position.OUTPUT, turn, inputs["execution_id"], inputs["step"]), found]


def _guards(agent: Agent[Any]) -> Json:
    """The guardrails that look at an answer: a worker that has others hands it on."""
    names = [guard.name for guard in agent.guards(Position.OUTPUT)]
    return {"guardrails": names} if names else {}


def checked_ends(agent: Agent[Any], done: Json, invalid: Json, refusal: Json) -> dict[str, list[Json]]:
    """What may follow the check of an answer: only what the agent's checks may find."""
    found = {"done": [done]}
    if agent.answer_type is not None:
        found["invalid"] = [invalid]
    if agent.guards(Position.OUTPUT):
        found["refused"] = [refusal]
    return found


def fitting(answer: Json, by: str) -> Json:
    """What a run gives whose answer fits: the answer's value in the place of its text."""
    return {**answer, "result": ref(f"{by}.value")}


def unfit(answer: Json, by: str) -> Json:
    """What a run leaves whose answers did not fit: the last one, and what was wrong with it."""
    return {
        **answer,
        "result": ref(f"{by}.said"),
        "finish_reason": INVALID,
        "problems": ref(f"{by}.problems"),
    }


def invalid_end(agent: Agent[Any], reference: str, output: Json) -> Json:
    """Fail, as no answer fits."""
    times = agent.output_retries + 1
    reason = (
        f"The answer of the agent {agent.name} does not fit its output_type. Answers that do not fit are sent back, "
        f"{times - 1} in a row at most."
    )
    return t.terminate("invalid", reference, "FAILED", output, reason)


# ---- where the server calls the model ------------------------------------------------------------------


def server_checks(
    agent: Agent[Any], turn: int, answer: Json, invalid: Json, refusal: Json, **inputs: Any
) -> list[Json]:
    """What follows the answer of a turn whose model the server calls.

    Args:
        agent: Whose answer.
        turn: Which one of its workflow.
        answer: What the run gives with it.
        invalid: The end by one that does not fit.
        refusal: The end by one that a guardrail refuses.
        **inputs: What the check takes beside the answer.
    """
    done = t.terminate("finish", f"finish_{turn}", "COMPLETED", answered(agent, _served(agent, answer, turn)))
    return check(
        agent,
        turn,
        checked_ends(agent, done, invalid, refusal),
        answer=ref(f"llm_{turn}.output.result"),
        finish_reason=ref(f"plan_{turn}.output.result.finish_reason"),
        step=ref(f"plan_{turn}.output.result.step"),
        **counting(agent, f"plan_{turn}.output.result.usage"),
        **inputs,
    )


def _served(agent: Agent[Any], answer: Json, turn: int) -> Json:
    intact = answer["intact"] if agent.answer_type is None else True
    return {**fitting(counted(agent, answer, turn), verdict(agent, Position.OUTPUT, turn)), "intact": intact}


def server_refused(agent: Agent[Any], answer: Json, turn: int) -> Json:
    """What a run leaves whose answer a guardrail refuses, where the server calls the model."""
    return refused(counted(agent, answer, turn), f"{verdict(agent, Position.OUTPUT, turn)}.refused")


def server_unfit(agent: Agent[Any], answer: Json, turn: int) -> Json:
    """What a run leaves whose answers did not fit, where the server calls the model."""
    return unfit(counted(agent, answer, turn), verdict(agent, Position.OUTPUT, turn))


def sent_back(agent: Agent[Any], turn: int) -> Json:
    """What the exchange of a turn takes more: what came of its answer."""
    return {"checked": ref(verdict(agent, Position.OUTPUT, turn))} if agent.judges_answers else {}


def rejected_before(agent: Agent[Any], turn: int) -> str:
    """Where it stands how many answers before a turn's, in a row, did not fit."""
    return ref("workflow.input.rejected" if turn == 1 else f"{verdict(agent, Position.OUTPUT, turn - 1)}.again")


def passed_on(agent: Agent[Any], turn: int) -> Json:
    """What a segment that ends after `turn` leaves to the next one beside the transcript."""
    judged = {"rejected": ref(f"{verdict(agent, Position.OUTPUT, turn)}.again")} if agent.judges_answers else {}
    return judged | used_passed_on(agent, turn)


def plan_program(agent: Agent[Any]) -> str:
    """The plan of a turn; an answer that has a type is passed on as it arrived, and checked after that."""
    newest = '(.usage |= (if type == "array" then flatten | map(values) | .[0] else . end)) | '
    program = (newest if isinstance(usage_before(agent, 1, ""), list) else "") + plan_with_parts(
        agent, t.program("plan")
    )
    if agent.answer_type is None:
        return program
    arrived = '.mode == "again" and .problem != "failed"'
    return f'{program} | if {arrived} then .mode = "done" | del(.again, .problem, .note) else . end'


def exchange_program(agent: Agent[Any]) -> str:
    """What a turn adds to the transcript; of an answer that did not fit, that and what is wrong with it."""
    program = exchange_with_parts(agent, t.program("exchange"))
    if not agent.judges_answers:
        return program
    back = '.mode = "again" | .note = .checked.note | .said = .checked.said'
    given = f'(if .checked.mode? == "again" then {back} else . end) as $in'
    return program.replace(". as $in", given, 1).replace(_NOT_WHOLE, f"($in.said // {_NOT_WHOLE})", 1)


_NOT_WHOLE = '"[an answer that did not arrive whole]"'

ASKED_AGAIN = (
    '.messages + (if .checked.mode? == "again" then '
    '[{role: "assistant", message: .checked.said}, {role: "user", message: .checked.note}] '
    'elif .note != null then [{role: "user", message: .note}] else [] end)'
)
"""The conversation of an agent without tools, with the answer that did not fit."""
