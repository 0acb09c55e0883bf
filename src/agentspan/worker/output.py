"""Checking answers: of agents that have an `output_type` as the model is called, and of any in tasks of their own."""

from __future__ import annotations

import inspect
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from agentspan.declare.agent import Agent
from agentspan.declare.guardrail import Guardrail, Position
from agentspan.declare.output import Validator
from agentspan.declare.tool import Tool, tool
from agentspan.reading.result import answer_text
from agentspan.reading.run import StoredTurn
from agentspan.schema.arguments import ArgumentError
from agentspan.schema.output import AnswerError, AnswerType
from agentspan.schema.values import to_jsonable
from agentspan.stored.mark import text_mark
from agentspan.stored.names import OUTPUT_TOOL
from agentspan.stored.output import INVALID, CheckInput, OutputRequest, Verdict
from agentspan.stored.plan import PlannedCall
from agentspan.worker.guards import OTHERS, Means, found_by

Json = dict[str, Any]

LONGEST = 20_000
"""Characters of an answer that does not fit which are kept."""

_ANOTHER = "Its answers have another output_type."

CUT_OFF = "the answer was cut off at its longest: say less"


def output() -> None:
    """Check the answer."""


def output_tool(agent: Agent[Any]) -> Tool[..., Any]:
    """What stands for the checks of an agent's answers among the tools that a worker serves."""
    return tool(output, retry=agent.model_retry)


@dataclass(frozen=True)
class Output:
    """What an agent's answers have to be.

    Attributes:
        type: Their type; None where any text will do.
        validators: What else is checked.
        retries: How often in a row the model is asked once more.
        guards: What looks at them after that.
    """

    type: AnswerType | None
    validators: tuple[Validator, ...]
    retries: int
    guards: tuple[Guardrail, ...] = ()

    @classmethod
    def of(cls, agent: Agent[Any]) -> Output | None:
        """Those of an agent; None where any text will do, and nothing looks at it."""
        if not agent.judges_answers:
            return None
        return cls(agent.answer_type, agent.output_validators, agent.output_retries, agent.guards(Position.OUTPUT))

    def read(self, value: Any) -> Any:
        """The typed value of a stored one."""
        return value if self.type is None else self.type.read(value)

    def plain(self, value: Any) -> Any:
        """What is stored of an answer that a guardrail gives.

        Raises:
            ValueError: It is of another type.
        """
        found = to_jsonable(value)
        if self.type is not None:
            return self.type.checked(found)
        if not isinstance(found, str):
            raise ValueError(f"the answer is a text, not {type(value).__name__}")
        return found

    def refuse_another(self, given: CheckInput) -> None:
        """See that the run's answers are checked as its version has it.

        Raises:
            ArgumentError: They are not: another version of the agent is served.
        """
        if given.answer_type != (None if self.type is None else self.type.fingerprint):
            raise ArgumentError(_ANOTHER)
        if given.guardrails != tuple(guard.name for guard in self.guards):
            raise ArgumentError(OTHERS)


def refuse_another(asked: OutputRequest | None, served: Output | None) -> None:
    """See that the run's model is asked for answers of the type that is checked here.

    Raises:
        ArgumentError: It is not: another version of the agent is served.
    """
    here = None if served is None or served.type is None else served.type.plain
    if (None if asked is None else asked.schema) != here:
        raise ArgumentError(_ANOTHER)


def judged(output: Output, found: Any, *, finish_reason: str, rejected: int, last: bool) -> Verdict:
    """Whether an answer is of the type.

    Args:
        output: What it has to be.
        found: The answer: a text, or JSON that was read.
        finish_reason: Why the model stopped.
        rejected: How many answers before it, in a row, did not fit.
        last: Whether no other turn can follow.
    """
    if output.type is None:
        return Verdict(mode="done", value=answer_text(found))
    try:
        value = output.type.parse(found) if isinstance(found, str) else output.type.checked(found)
    except AnswerError as error:
        problems = error.problems if finish_reason not in ("length", "max_tokens") else (CUT_OFF, *error.problems)
        return _rejected(output, found, problems, rejected=rejected, last=last)
    return Verdict(mode="done", value=value)


def _rejected(output: Output, found: Any, problems: Sequence[str], *, rejected: int, last: bool) -> Verdict:
    said = found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)
    said = said.encode(errors="backslashreplace").decode().replace("\0", "\\x00")[:LONGEST]
    given_up = last or rejected >= output.retries
    return Verdict(mode="invalid" if given_up else "again", said=said, problems=tuple(problems), again=rejected + 1)


# ---- as the model is called ---------------------------------------------------------------------------


def typed_plan(plan: Json, output: Output, rejected: int, last: bool) -> Json:
    """The plan of a turn whose model answers by a type: its answer is checked, unless it calls tools.

    Args:
        plan: The plan of the turn as of one whose answer is any text.
        output: What the answer has to be.
        rejected: How many answers before it, in a row, did not fit.
        last: Whether no other turn can follow.
    """
    calls = plan["calls"]
    answers = [call for call in calls if call["name"] == OUTPUT_TOOL]
    if len(answers) < len(calls):
        alone = "Not taken: give the final result alone, once the results of your other calls are here."
        told = [{**call, "error": alone} if call["name"] == OUTPUT_TOOL else call for call in calls]
        return {**plan, "calls": told}
    found = answers[0]["args"] if answers else plan["text"]
    reason = plan["finish_reason"]
    broken = answers[0].get("error") if answers else None
    if broken is None:
        verdict = judged(output, found, finish_reason=reason, rejected=rejected, last=last)
    else:
        problems = (CUT_OFF, broken) if reason == "length" else (broken,)
        verdict = _rejected(output, found, problems, rejected=rejected, last=last)
    ended = {"max_turns": "stop", "tool_call": "stop"}.get(reason, reason)
    return {
        **plan,
        "mode": verdict.mode,
        "calls": [],
        "answers": [{"id": call["id"], "name": call["name"]} for call in answers],
        "finish_reason": INVALID if verdict.mode == "invalid" else ended,
        "verdict": verdict.to_json(),
        "rejected": rejected,
        "last": last,
    }


def sent_back(turn: StoredTurn) -> tuple[str, tuple[tuple[PlannedCall, Json], ...]]:
    """What the model is told of an answer that did not fit, and that as results where it was given as calls."""
    if turn.verdict is None or turn.verdict.mode == "done":
        return "", ()
    note = turn.verdict.note
    answers = turn.model[-1].output_data["result"].get("answers", ())
    return note, tuple(
        (PlannedCall(id=call["id"], name=call["name"], args={}, task=None, error=note), {"error": note})
        for call in answers
    )


# ---- in a task of its own -----------------------------------------------------------------------------


def checked(output: Output, given: CheckInput, execution_id: str, means: Means) -> Json:
    """The verdict on a stored answer, by the type, by the agent's validators and by its guardrails.

    Raises:
        ArgumentError: The run has another type or other guardrails: another version of the agent is served.
        ToolFailed: A guardrail gives what is not to be taken.
        Exception: What a validator raised that is no ValueError, or what a guardrail raised.
    """
    output.refuse_another(given)
    return _checked(output, given, execution_id, means).counting(given.usage).to_json()


def _checked(output: Output, given: CheckInput, execution_id: str, means: Means) -> Verdict:
    if given.out_of_turns:
        return Verdict(mode="done")
    verdict = given.verdict
    if verdict is None:
        answer = given.answer or ""
        answer = answer.removeprefix(text_mark(execution_id)) if isinstance(answer, str) else answer
        reason = given.finish_reason.lower()
        verdict = judged(output, answer, finish_reason=reason, rejected=given.rejected, last=given.last)
    if verdict.mode != "done":
        return verdict
    problems = [found for each in output.validators if (found := _problem(each, output, verdict.value, means))]
    if problems:
        verdict = _rejected(output, verdict.value, problems, rejected=given.rejected, last=given.last)
    elif output.guards:
        verdict = _guarded(output, verdict.value, given, means)
    return verdict


def _problem(validator: Validator, output: Output, value: Any, means: Means) -> str | None:
    try:
        found = validator(output.read(value))
        if inspect.isawaitable(found):
            means.wait(found)
    except ValueError as error:
        return str(error) or type(error).__name__
    return None


def _guarded(output: Output, value: Any, given: CheckInput, means: Means) -> Verdict:
    found = found_by(output.guards, value, means, typed=output.read, plain=output.plain)
    guards, refused = tuple(found.guards), found.refused
    for guard, told in found.sent_back:
        if refused is None and (given.last or given.rejected >= guard.max_retries):
            refused = told
    if refused is not None:
        return Verdict(mode="refused", guards=guards, refused=refused)
    said = answer_text(value)[:LONGEST]
    if found.asks and not found.sent_back:
        final = given.last or any(given.rejected >= guard.max_retries for guard, _ in found.asks)
        asks = tuple(told for _, told in found.asks)
        asked = Verdict(mode="ask", value=found.value, said=said, again=given.rejected + 1, asks=asks, final=final)
        return replace(asked, guards=guards)
    if not found.sent_back:
        return Verdict(mode="done", value=found.value, guards=guards)
    problems = tuple(told.message for _, told in found.sent_back)
    return Verdict(mode="again", said=said, problems=problems, again=given.rejected + 1, guards=guards)
