"""An agent whose guardrails ask a person about each thing that they look at."""

from __future__ import annotations

from agentspan.agents import Agent, Guardrail, GuardrailResult, Retry, ToolContext, tool

from ledger_agent import note  # isort: skip - the worker's folder, which is not this package's


def asks(text: str) -> GuardrailResult:
    return GuardrailResult(passed=False, message="a person has to look at it")


@tool(retry=Retry(1), guardrails=[Guardrail(asks, position, "human") for position in ("input", "output")])
def work(number: int, context: ToolContext) -> str:
    """Do a piece of work."""
    note("begin", number, context)
    note("end", number, context)
    return f"worked {number}"


guards = [Guardrail(asks, position, "human") for position in ("input", "output")]
served = Agent("asking_ledger", model="openai/none", tools=[work], guardrails=guards)
agent = Agent("asking_ledger", model="openai/none", tools=[work], guardrails=guards, model_place="worker")
