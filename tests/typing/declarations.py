"""A user's declarations of tools and agents. Type checkers read it; it is never run."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Literal, assert_type

from agentspan.agents import Agent, ContextBudget, ModelSettings, Retry, Tool, ToolContext, tool


@tool
def bare(city: str, days: int = 1) -> list[str]:
    return [city] * days


@tool(retry=Retry(2), timeout=5)
def configured(city: str) -> int:
    return len(city)


@tool
async def asynchronous(city: str, context: ToolContext) -> int:
    return len(city) + context.attempt


def plain(text: str) -> str:
    return text


# A tool keeps the signature of its function.
assert_type(bare("Rome", days=2), list[str])
assert_type(configured("Rome"), int)
assert_type(tool(plain, name="other")("x"), str)
bare(1)  # type: ignore[arg-type]
bare("Rome", nights=2)  # type: ignore[call-arg]
configured()  # type: ignore[call-arg]


async def awaits(context: ToolContext) -> None:
    assert_type(await asynchronous("Rome", context), int)
    coroutine: Coroutine[Any, Any, int] = asynchronous.invoke({"city": "Rome"}, context)
    await coroutine
    assert_type(bare.invoke({"city": "Rome"}, context), list[str])
    await asynchronous("Rome")  # type: ignore[call-arg]


# An agent takes tools and functions, in lists and tuples, and keeps tools.
mixed: list[Tool[..., Any] | Callable[..., Any]] = [bare, asynchronous, plain]
agent = Agent(name="a", model="openai/gpt-4o", tools=[bare, configured, asynchronous, plain])
assert_type(agent.tools, tuple[Tool[..., Any], ...])
Agent("a", model="openai/gpt-4o", tools=(bare,), context=ContextBudget(max_chars=10_000))
Agent("a", model="openai/gpt-4o", tools=[bare])
Agent("a", model="openai/gpt-4o", tools=[plain])
Agent("a", model="openai/gpt-4o", tools=mixed)
Agent("a", model="openai/gpt-4o", max_tokens=500, temperature=0.2, timeout_seconds=60)
Agent("a", model="openai/gpt-4o", max_tokens="500")  # type: ignore[call-overload]
tool(plain, name="slow", timeout_seconds=5, retry_count=1, retry_delay_seconds=2, isolated=True)
tool(plain, name="slow", retries=5)  # type: ignore[call-overload]
Agent("a", "openai/gpt-4o")  # type: ignore  # its code differs between versions of mypy
Agent("a", model="openai/gpt-4o", tools=["bare"])  # type: ignore[list-item]
Agent("a", model="openai/gpt-4o", modl_settings=ModelSettings())  # type: ignore[call-overload]
Agent("a", model="openai/gpt-4o", model_settings={"temperature": 1})  # type: ignore[call-overload]
Retry(backoff="quadratic")  # type: ignore[arg-type]
agent.model = "openai/o3"  # type: ignore[misc]


class Invoice:
    number: str


# An agent is of the type of its answers.
assert_type(agent, Agent[str])
assert_type(Agent("a", model="openai/gpt-4o", output_type=Invoice), Agent[Invoice])
assert_type(Agent("a", model="openai/gpt-4o", output_type=list[Invoice], tools=[bare]), Agent[list[Invoice]])
assert_type(Agent("a", model="openai/gpt-4o", output_type=int, output_retries=0), Agent[int])
# Type checkers have no word for a union as a value: its type is written down.
either: Agent[Invoice | str] = Agent("a", model="openai/gpt-4o", output_type=Invoice | str)
one_of: Agent[Literal["yes", "no"]] = Agent("a", model="openai/gpt-4o", output_type=Literal["yes", "no"])
Agent("a", model="openai/gpt-4o", output_type=Invoice, output_validators=[lambda invoice: None])
Agent("a", model="openai/gpt-4o", output_retries="2")  # type: ignore[call-overload]
