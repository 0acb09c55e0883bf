from __future__ import annotations

import asyncio
import copy
import dataclasses
import functools
import inspect
import pickle
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest

from agentspan.declare.tool import RateLimit, Retry, Tool, ToolContext, current_tool_context, tool
from agentspan.errors import DefinitionError, InputError, RetryTool
from agentspan.schema.arguments import ArgumentError


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


def decorated(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def awaited_by_itself(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return asyncio.run(function(*args, **kwargs))

    return wrapper


async def later(amount: int) -> tuple[int, ToolContext | None]:
    await asyncio.sleep(0)
    return amount, current_tool_context()


class Later:
    async def __call__(self, amount: int) -> object:
        return await later(amount)


class Promise:
    """Something to await that is no coroutine."""

    def __init__(self, amount: int) -> None:
        self.amount = amount

    def __await__(self) -> Any:
        return later(self.amount).__await__()


def promised(amount: int) -> Promise:
    return Promise(amount)


async def promised_later(amount: int) -> Promise:
    return Promise(amount)


@pytest.mark.parametrize(
    ("function", "is_async"),
    [
        (later, True),
        (functools.partial(later), True),
        (Later(), True),
        (functools.partial(Later()), True),
        (promised_later, True),
        (decorated(later), False),
        (decorated(Later()), False),
        (functools.partial(decorated(later)), False),
        (functools.partial(tool(later)), False),
        (lambda amount: later(amount), False),
        (promised, False),
        (awaited_by_itself(later), False),
    ],
)
def test_what_is_awaitable_is_awaited(function: Any, is_async: bool) -> None:
    if getattr(function, "__name__", "") == "<lambda>":
        function.__annotations__ = {"amount": int}
    made: Tool[..., Any] = tool(function, name="made")
    context = a_context()

    assert made.is_async is is_async
    given = made.invoke({"amount": "7"}, context)
    assert current_tool_context() is None
    if inspect.isawaitable(given):
        assert inspect.iscoroutine(given)
        given = asyncio.run(given)
    assert given == (7, context)


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
        ({"timeout": 10**400}, "timeout must be whole seconds"),
        ({"description": "a\0"}, "NUL"),
        ({"description": 5}, "must be a str"),
        ({"retry": 3}, "retry must be a Retry, not 3"),
        ({"retry": None}, "retry must be a Retry"),
        ({"rate_limit": 5}, "rate_limit must be a RateLimit, not 5"),
        ({"rate_limit": (5, 60)}, "rate_limit must be a RateLimit"),
        ({"concurrency": "2"}, "concurrency must be a whole number"),
    ]:
        with pytest.raises(DefinitionError, match=f"tool 'plain': .*{words}"):
            tool(plain, **options)  # type: ignore[call-overload]
        with pytest.raises(DefinitionError, match=words):
            dataclasses.replace(tool(plain), **options)  # type: ignore[arg-type]
    with pytest.raises(DefinitionError) as caught:
        tool(plain, retry=3)  # type: ignore[call-overload]
    assert caught.value.hint == "Such as Retry(5)."


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
        {"attempts": "3"},
        {"attempts": None},
        {"delay": 2**31},
        {"delay": 10**400},
        {"delay": float("nan")},
        {"delay": float("inf")},
        {"delay": "1"},
        {"delay": None},
        {"delay": True},
        {"delay": timedelta(seconds=1)},
        {"max_delay": timedelta(seconds=1)},
        {"max_delay": float("nan")},
        {"backoff": None},
        {"backoff": ["fixed"]},
        {"backoff": "quadratic"},
        {"delay": 10, "max_delay": 5},
        {"max_delay": 0},
    ]:
        with pytest.raises(DefinitionError, match="Retry: "):
            Retry(**arguments)  # type: ignore[arg-type]
    for calls, seconds in [(0, 1), (1, 0), (1, 1.5), (1.5, 1), ("5", 1), (None, 1), (1, "1"), (1, timedelta(1))]:
        with pytest.raises(DefinitionError, match="RateLimit: "):
            RateLimit(calls, seconds)  # type: ignore[arg-type]
    with pytest.raises(DefinitionError) as caught:
        RateLimit(1, timedelta(minutes=1))  # type: ignore[arg-type]
    assert "total_seconds" in (caught.value.hint or "")


def test_no_retry_waits_longer_than_conductor_can() -> None:
    longest = 2**31 - 1
    assert Retry(11, delay=longest).delay_before(11) == longest
    assert Retry(11, delay=2, max_delay=9).delay_before(11) == 9
    assert [Retry(5, delay=2).delay_before(attempt) for attempt in (2, 3, 4)] == [2, 4, 8]


@pytest.mark.parametrize(
    ("after", "seconds"),
    [
        (None, None),
        (0, 0),
        (60, 60),
        (0.2, 1),
        (2.5, 3),
        (2.0, 2),
        (timedelta(minutes=1), 60),
        (timedelta(milliseconds=1), 1),
        (2**31 - 1, 2**31 - 1),
    ],
)
def test_a_tool_may_ask_for_another_try_after_a_time(after: Any, seconds: int | None) -> None:
    error = RetryTool("closed", after=after)

    assert (str(error), error.after, type(error.after)) == ("closed", seconds, type(seconds))
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.after) == ("closed", seconds)


def test_a_subclass_need_not_know_of_the_time() -> None:
    class Closed(RetryTool):
        def __init__(self) -> None:
            Exception.__init__(self, "closed")

    assert Closed().after is None


@pytest.mark.parametrize(
    "after",
    ["1", float("nan"), float("inf"), 10**12, 10**400, -1, -0.5, True, [1], timedelta(-1), timedelta.max],
)
def test_a_time_that_is_none_is_refused_with_the_message_in_it(after: Any) -> None:
    with pytest.raises(InputError, match=r"RetryTool\('closed'\): after must be seconds"):
        RetryTool("closed", after=after)


@pytest.mark.parametrize(
    "module", ["declare.tool", "schema.arguments", "declare.policy", "declare.agent", "stored.names", "reading.events"]
)
def test_any_module_may_be_imported_first(module: str) -> None:
    subprocess.run([sys.executable, "-c", f"import agentspan.{module}"], check=True, timeout=60)


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
