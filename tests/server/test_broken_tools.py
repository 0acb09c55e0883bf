"""Whatever goes wrong around a call, the model is told, and nothing stays "running" for ever."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from agentspan.agents import Agent, AgentRuntime, Retry, RetryTool, Tool, tool
from agentspan.testing import call, say
from agentspan.testing.plugin import Stage
from agentspan.worker import runner


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class NoText(Exception):
    def __str__(self) -> str:
        return 7  # type: ignore[return-value]


class Unwritable:
    def __repr__(self) -> str:
        raise RuntimeError("no form")


def cannot_be_told() -> str:
    """Fail."""
    raise Unspeakable


def says_a_number() -> str:
    """Fail."""
    raise NoText


def gives_what_has_no_form() -> Any:
    """Fail."""
    return Unwritable()


def exits() -> str:
    """Fail."""
    raise SystemExit(3)


def is_interrupted() -> str:
    """Fail."""
    raise KeyboardInterrupt


def ends_its_generator() -> str:
    """Fail."""
    raise GeneratorExit


async def exits_asynchronously() -> str:
    """Fail."""
    raise SystemExit(3)


def comes_back_at_a_silly_time() -> str:
    """Fail."""
    error = RetryTool("later")
    error.after = float("nan")
    raise error


BROKEN: list[tuple[Any, str]] = [
    (cannot_be_told, "Unspeakable: (what it says cannot be read: its __str__ raised RuntimeError)"),
    (says_a_number, "NoText: (what it says cannot be read: its __str__ raised TypeError)"),
    (gives_what_has_no_form, "Unwritable"),
    (exits, "SystemExit: 3"),
    (is_interrupted, "KeyboardInterrupt: "),
    (ends_its_generator, "GeneratorExit: "),
    (exits_asynchronously, "SystemExit: 3"),
    (comes_back_at_a_silly_time, "later"),
]


@pytest.mark.parametrize(("function", "told"), BROKEN, ids=[function.__name__ for function, _ in BROKEN])
def test_the_model_is_told_of_any_failure(runtime: AgentRuntime, model: Stage, function: Any, told: str) -> None:
    failing: Tool[..., Any] = tool(function, retry=Retry(2, delay=0))
    agent = Agent("broken", model=model.play([call(failing.name), say("I see.")]), tools=[failing])
    handle = runtime.start(agent, "Try.")

    assert handle.result(timeout=60).output == "I see."
    (result,) = [event for event in handle.stream() if event.type == "tool_result"]
    assert told in result.error


class Failing(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise RuntimeError("the log is full")


@pytest.fixture
def failing_log() -> Iterator[None]:
    handler = Failing(logging.INFO)
    logging.getLogger("agentspan.worker").addHandler(handler)
    yield
    logging.getLogger("agentspan.worker").removeHandler(handler)


@pytest.mark.usefixtures("failing_log")
def test_a_log_that_fails_takes_no_report_along(runtime: AgentRuntime, model: Stage) -> None:
    @tool(retry=Retry(1))
    def fails() -> str:
        """Fail."""
        raise ValueError("as always")

    agent = Agent("unlogged", model=model.play([call("fails"), say("I see.")]), tools=[fails])
    handle = runtime.start(agent, "Try.")

    assert handle.result(timeout=60).output == "I see."
    assert [event.error for event in handle.stream() if event.type == "tool_result"] == ["ValueError: as always"]


def test_a_call_whose_thread_is_gone_is_reported(
    runtime: AgentRuntime, model: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However that could be: the lease is given up, and the model is told."""
    gone = threading.Event()

    def serve(self: runner.Runner, call: Any) -> None:
        gone.set()

    @tool
    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    monkeypatch.setattr(runner.Runner, "_serve", serve)
    agent = Agent("vanished", model=model.play([call("add", a=1, b=2), say("I see.")]), tools=[add])
    handle = runtime.start(agent, "1 + 2?")

    assert handle.result(timeout=60).output == "I see."
    assert gone.is_set()
    (result,) = [event for event in handle.stream() if event.type == "tool_result"]
    assert result.error == "The call ended without a report."
