"""`run`, `start` and `stream` without an own object: what they are given is checked before anything is sent."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agentspan.agents import Agent, InputError, run, run_async, start, start_async, stream, stream_async

AGENT = Agent("asked", model="openai/gpt-4o")


@pytest.mark.parametrize("begin", [run, start, stream], ids=["run", "start", "stream"])
def test_what_is_no_runtime_is_refused(begin: Any) -> None:
    with pytest.raises(InputError, match="runtime must be an AgentRuntime, not str"):
        begin(AGENT, "hello", runtime="http://localhost:8080/api")


@pytest.mark.parametrize("begin", [run_async, start_async], ids=["run", "start"])
def test_so_it_is_on_an_event_loop(begin: Any) -> None:
    with pytest.raises(InputError, match="runtime must be an AgentRuntime, not str"):
        asyncio.run(begin(AGENT, "hello", runtime="http://localhost:8080/api"))


def test_so_it_is_before_the_first_event() -> None:
    async def read() -> None:
        async for _ in stream_async(AGENT, "hello", runtime="x"):  # type: ignore[arg-type]
            pass

    with pytest.raises(InputError, match="runtime must be an AgentRuntime, not str"):
        asyncio.run(read())
