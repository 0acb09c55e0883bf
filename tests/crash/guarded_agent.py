"""An agent whose guardrails take long, the first time: a worker may be killed in each of them."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path

from agentspan.agents import Agent, Guardrail, GuardrailResult, Retry, ToolContext, tool

from ledger_agent import note  # isort: skip - the worker's folder, which is not this package's


def slow(name: str) -> None:
    path = Path(os.environ["LEDGER"]).with_name(f"in-{name}")
    first = not path.exists()
    path.touch()
    if first:
        time.sleep(60)


def prompt(text: str) -> GuardrailResult:
    slow("prompt")
    return GuardrailResult(passed=False, fixed_output=text.replace("1234", "****"))


def arguments(args: dict[str, int]) -> bool:
    slow("arguments")
    return args["number"] > 0


def answer(text: str) -> GuardrailResult:
    slow("answer")
    return GuardrailResult(passed=text == "three", message="it is three")


@tool(retry=Retry(1), guardrails=[Guardrail(arguments, position="input")])
def work(number: int, context: ToolContext) -> int:
    """Do a piece of work."""
    note("begin", number, context)
    note("end", number, context)
    return number


guards = [Guardrail(prompt, position="input", on_fail="fix"), Guardrail(answer)]
served = Agent("guarded_ledger", model="openai/none", tools=[work], guardrails=guards)
agent = Agent("guarded_ledger", model="openai/none", tools=[work], guardrails=guards, model_place="worker")


def beside_the_model(text: str) -> bool:
    slow("beside")
    return "1234" in text


beside = Agent(
    "beside_ledger",
    model="openai/none",
    tools=[dataclasses.replace(work, guardrails=())],
    guardrails=[Guardrail(beside_the_model, position="input", blocking=False)],
    model_place="worker",
)
