from __future__ import annotations

import asyncio
import copy
import dataclasses
import functools
import inspect
import pickle
from typing import Any

import pytest

from agentspan.errors import DefinitionError
from agentspan.schema import ArgumentError
from agentspan.tool import RateLimit, Retry, Tool, ToolContext, current_tool_context, tool


@tool
def add(a: int, b: int = 1) -> int:
    """Add numbers.

    Args:
        a: The first.
    """
    return a + b


@tool(name="charge-card", retry=Retry(5, delay=2), timeout=60.0, concurrency=2, rate_limit=RateLimit(10, 60))
async def charge(amount: int, call: ToolContext) -> dict[str, Any]:
    await asyncio.sleep(0)
    return {"amount": amount, "key": call.idempotency_key, "same": current_tool_context() is call}


def plain(text: str) -> str:
    return text


def a_context(**changes: Any) -> ToolContext:
    names = {name: name for name in ("idempotency_key", "execution_id", "agent", "tool", "call_id")}
    return ToolContext(**{**names, "step": 3, **changes})


def test_bare_decorator():
    assert (add.name, add.description) == ("add", "Add numbers.")
    assert add.parameters["properties"]["a"] == {"type": "integer", "description": "The first."}
    assert (add.retry, add.timeout, add.concurrency, add.rate_limit) == (Retry(), None, None, None)
    assert not add.is_async
    assert repr(add) == "<Tool add(a, b)>"


def test_decorator_with_arguments():
    assert (charge.name, charge.description, charge.is_async) == ("charge-card", "", True)
    assert (charge.retry, charge.timeout, charge.concurrency) == (Retry(5, delay=2), 60, 2)
    assert charge.rate_limit == RateLimit(10, 60)
    assert list(charge.parameters["properties"]) == ["amount"]


def test_a_tool_is_still_the_function():
    assert add(2, b=3) == 5
    assert add.__name__ == "add"  # type: ignore[attr-defined]
    assert (add.__doc__ or "").startswith("Add numbers.")
    assert inspect.signature(add) == inspect.signature(add.function)
    assert asyncio.run(charge(1, a_context()))["amount"] == 1


def test_invoke_checks_arguments_and_injects_the_context():
    @tool
    def who(query: str, c: ToolContext, d: ToolContext | None = None) -> object:
        return query, c, d, current_tool_context()

    context = a_context()
    assert who.invoke({"query": "q"}, context) == ("q", context, context, context)
    assert current_tool_context() is None
    with pytest.raises(ArgumentError, match="c: unknown"):
        who.invoke({"query": "q", "c": {}}, context)


def test_invoke_of_an_asynchronous_tool():
    result = asyncio.run(charge.invoke({"amount": "7"}, a_context()))
    assert result == {"amount": 7, "key": "idempotency_key", "same": True}
    with pytest.raises(ArgumentError, match="amount: missing"):
        charge.invoke({}, a_context())  # before anything is awaited


def test_the_context_is_taken_back_after_a_failure():
    @tool
    def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        fail.invoke({}, a_context())
    assert current_tool_context() is None


def test_a_context_delegates():
    seen: list[str] = []
    context = a_context(
        on_heartbeat=lambda: seen.append("beat"), on_progress=seen.append, check_cancelled=lambda: bool(seen)
    )
    assert not context.cancelled
    context.heartbeat()
    context.progress("half")
    assert (seen, context.cancelled, context.attempt) == (["beat", "half"], True, 1)
    a_context().heartbeat()
    a_context().progress("nobody watches")
    assert not a_context().cancelled


def test_local_types_are_found_from_both_forms_of_the_decorator():
    @dataclasses.dataclass
    class Local:
        n: int

    @tool
    def one(it: Local) -> int:
        return it.n

    @tool(name="second")
    def two(it: Local) -> int:
        return it.n

    assert one.invoke({"it": {"n": 1}}, a_context()) == 1
    assert two.invoke({"it": {"n": 2}}, a_context()) == 2


def test_names():
    def nameless(x: int) -> int:
        return x

    assert tool(nameless, name="two words-2".replace(" ", "_")).name == "two_words-2"
    assert tool(functools.partial(nameless, x=1), name="bound").name == "bound"
    assert tool(lambda: 1, name="one").invoke({}, a_context()) == 1
    for wrong in ["two words", "", "ä", "x" * 65, "a.b"]:
        with pytest.raises(DefinitionError, match="need a name"):
            tool(nameless, name=wrong)
    with pytest.raises(DefinitionError, match="<lambda>") as caught:
        tool(lambda: 1)
    assert "name=" in (caught.value.hint or "")
    with pytest.raises(DefinitionError, match="partial"):
        tool(functools.partial(nameless, x=1))


def test_what_is_no_function_is_refused():
    with pytest.raises(DefinitionError, match="a tool is a function"):
        tool(dict)
    with pytest.raises(DefinitionError, match="a tool is a function"):
        tool("add")  # type: ignore[call-overload]
    with pytest.raises(DefinitionError, match="already"):
        tool(add)


def test_options_are_checked():
    for options, words in [
        ({"timeout": 0.5}, "timeout must be whole seconds"),
        ({"timeout": 0}, "at least 1"),
        ({"timeout": float("nan")}, "whole seconds"),
        ({"concurrency": 0}, "concurrency"),
        ({"description": "a\0"}, "NUL"),
    ]:
        with pytest.raises(DefinitionError, match=f"tool 'plain': .*{words}"):
            tool(plain, **options)  # type: ignore[call-overload]


def test_retry_and_rate_limit_are_checked():
    assert Retry(1).attempts == 1
    assert Retry(11, delay=0, backoff="fixed").delay == 0
    assert isinstance(Retry(delay=2.0).delay, int)
    for arguments in [
        {"attempts": 0},
        {"attempts": 12},
        {"attempts": 1.5},
        {"attempts": True},
        {"delay": 0.5},
        {"delay": -1},
        {"delay": 2**31},
        {"backoff": "quadratic"},
        {"delay": 10, "max_delay": 5},
        {"max_delay": 0},
    ]:
        with pytest.raises(DefinitionError, match="Retry: "):
            Retry(**arguments)  # type: ignore[arg-type]
    for calls, seconds in [(0, 1), (1, 0), (1, 1.5)]:
        with pytest.raises(DefinitionError, match="RateLimit: "):
            RateLimit(calls, seconds)


def test_tools_are_frozen_values():
    with pytest.raises(dataclasses.FrozenInstanceError):
        add.name = "x"  # type: ignore[misc]
    assert tool(plain) == tool(plain)
    assert hash(tool(plain)) == hash(tool(plain))
    assert tool(plain) != tool(plain, timeout=1)
    assert dataclasses.replace(add, name="plus").name == "plus"
    with pytest.raises(DefinitionError, match="need a name"):
        dataclasses.replace(add, name="p l u s")


def test_tools_survive_pickling_where_their_functions_do():
    assert pickle.loads(pickle.dumps(add)) is add
    assert copy.deepcopy(charge) is charge
    made: Tool[..., Any] = tool(plain, name="other", retry=Retry(2), timeout=5)
    again = pickle.loads(pickle.dumps(made))
    assert again == made
    assert again.parameters == made.parameters
