"""The answer of a run whose agent has an `output_type`, as it is stored and as values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from agentspan.engine.failure import reason_text
from agentspan.engine.records import WorkflowRecord
from agentspan.errors import GuardrailError, OutputInvalid
from agentspan.reading.result import AgentResult, answer_text
from agentspan.schema.output import AnswerError, AnswerType
from agentspan.stored.guard import REFUSED, Guarded
from agentspan.stored.output import INVALID, is_typed

START_ANEW = "Start a new run, with more output_retries or clearer instructions."
"""What to do about a run that failed by its answers: no call of it failed."""

ANOTHER_PROMPT = "Start a new run, with another prompt or other guardrails."
"""What to do about a run that a guardrail has ended: no call of it failed."""

ANOTHER_BUDGET = "Start a new run, with a larger budget."
"""What to do about a run that was ended as its budget was used up."""


def answer_of(run: WorkflowRecord) -> Any:
    """The answer of a run: a text, or JSON where it has a type.

    Args:
        run: The run; its tasks are not needed.
    """
    found = run.output.get("result")
    return found if is_typed(run.workflow_definition["metadata"]) else answer_text(found, run.workflow_id)


def problems_of(run: WorkflowRecord) -> tuple[str, ...] | None:
    """What was wrong with the last answer of a run that failed by it; None of any other run."""
    if run.output.get("finish_reason") != INVALID:
        return None
    return tuple(run.output.get("problems") or ())


def refused_by(run: WorkflowRecord) -> Guarded | None:
    """The guardrail by which a run ended; None of any other run."""
    found = run.output.get(REFUSED) if run.output.get("finish_reason") == REFUSED else None
    return Guarded.of(found) if found else None


def failure_text(run: WorkflowRecord) -> str:
    """Why a run ended without an answer."""
    guard = refused_by(run)
    if guard is not None:
        return f"The guardrail {guard.name} refuses: {guard.message}"
    text = reason_text(run.reason_for_incompletion or run.status)
    problems = problems_of(run)
    return text if problems is None else f"{text} The last one: {'; '.join(problems)}"


def invalid(run: WorkflowRecord, result: AgentResult[Any]) -> OutputInvalid | None:
    """The error of a run that failed by its answers; None where it did not."""
    problems = problems_of(run)
    if problems is None:
        return None
    return OutputInvalid(
        f"Run {run.workflow_id} of agent {run.workflow_name}: {failure_text(run)}",
        execution_id=run.workflow_id,
        raw=run.output.get("result"),
        reasons=problems,
        hint="The answer is `raw` of this exception. Look at the output_type, its descriptions and the instructions.",
        result=result,
    )


def refusal(run: WorkflowRecord, result: AgentResult[Any]) -> GuardrailError | None:
    """The error of a run that ended by a guardrail; None where it did not."""
    guard = refused_by(run)
    if guard is None:
        return None
    return GuardrailError(
        f"Run {run.workflow_id} of agent {run.workflow_name}: {failure_text(run)}",
        execution_id=run.workflow_id,
        guardrail=guard.name,
        position=guard.position,
        reason=guard.message,
        hint=f"`agentspan agent stream {run.workflow_id}` shows what its guardrails said.",
        result=result,
    )


def typed(result: AgentResult[Any], answer: AnswerType) -> AgentResult[Any]:
    """The result with its answer as a value of the type.

    Raises:
        OutputInvalid: It does not fit: the run had another output_type, or none.
    """
    try:
        json = (answer.parse(result.output),) if result.json is None else result.json
        return replace(result, output=answer.read(json[0]), json=json)
    except AnswerError as error:
        raise OutputInvalid(
            f"The answer of run {result.execution_id} is no {answer.name}: {'; '.join(error.problems)}",
            execution_id=result.execution_id,
            raw=result.output,
            reasons=error.problems,
            hint="The run was started with another output_type; without one, the answer is what is stored.",
            result=result,
        ) from error
