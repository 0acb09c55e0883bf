"""What guardrails know of the run: its state, its context, and the worker's live objects."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from agentspan.agents import (
    Agent,
    AgentRuntime,
    Guardrail,
    GuardrailContext,
    GuardrailResult,
    ModelSettings,
    ToolContext,
    tool,
)
from agentspan.testing import call, say, wait_until
from agentspan.testing.plugin import Stage


class Trip(BaseModel):
    city: str
    spent: int = 0


@tool
def book(price: int, context: ToolContext) -> int:
    """Book something."""
    context.add_to_state(spent=price)
    return price


def test_guardrails_see_the_state_and_change_nothing(runtime: AgentRuntime, model: Stage) -> None:
    seen: list[tuple[Any, ...]] = []

    def note(context: GuardrailContext) -> bool:
        about = (context.agent, context.step, context.tool, context.state.spent, context.context["user"])
        seen.append((*about, context.dependencies))
        return True

    def prompt(text: str, context: GuardrailContext) -> bool:
        return note(context)

    async def affordable(args: dict[str, int], context: GuardrailContext) -> GuardrailResult:
        note(context)
        return GuardrailResult(passed=context.state.spent + args["price"] <= 100, message="too much")

    def costly(args: dict[str, int], context: GuardrailContext) -> bool:
        return note(context) and args["price"] < 50

    def result(value: int, context: GuardrailContext) -> bool:
        note(context)
        context.state.spent = 99  # of a copy
        return True

    def answer(text: str, context: GuardrailContext) -> GuardrailResult:
        note(context)
        return GuardrailResult(passed=False, fixed_output=f"{context.state.city}: {context.state.spent}")

    guards = [
        Guardrail(costly, "input", "human"),
        Guardrail(affordable, position="input"),
        Guardrail(result),
    ]
    settings = ModelSettings(base_url=model.server.openai_url)
    agent = Agent(
        "seeing",
        model=model.play([call("book", price=40), call("book", price=60), say("done")]),
        model_place="worker",
        model_settings=settings,
        state_type=Trip,
        dependencies="live",
        tools=[tool(book.function, guardrails=guards)],
        guardrails=[Guardrail(prompt, position="input"), Guardrail(answer, on_fail="fix")],
    )
    handle = runtime.start(agent, "Go.", context={"city": "Oslo", "user": "ann"})
    wait_until(lambda: handle.requests(), "the request", 30)
    handle.approve()

    assert handle.result(60).output == "Oslo: 100"
    assert handle.state() == Trip(city="Oslo", spent=100)
    assert seen == [
        ("seeing", 1, None, 0, "ann", "live"),
        ("seeing", 1, "book", 0, "ann", "live"),
        ("seeing", 1, "book", 0, "ann", "live"),
        ("seeing", 1, "book", 40, "ann", "live"),
        ("seeing", 2, "book", 40, "ann", "live"),
        ("seeing", 2, "book", 40, "ann", "live"),
        ("seeing", 2, "book", 100, "ann", "live"),
        ("seeing", 3, None, 100, "ann", "live"),
    ]
