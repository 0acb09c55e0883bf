"""Credentials of tools on a real server: handed to the call, and nowhere else to be found."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator

import pytest

from agentspan.agents import Agent, AgentRuntime, ConfigError, Guardrail, GuardrailResult, Retry, ToolContext, tool
from agentspan.testing import call, calls, say
from agentspan.testing.plugin import Stage


@pytest.fixture
def secret() -> str:
    return f"canary-{uuid.uuid4().hex}"


@pytest.fixture
def vault(conductor_url: str, secret: str) -> Iterator[AgentRuntime]:
    """A runtime whose credentials come from a function."""
    with AgentRuntime(conductor_url, credentials={"SHOP_TOKEN": secret}.__getitem__) as opened:
        yield opened


def test_a_credential_reaches_its_call_and_nobody_else(
    vault: AgentRuntime, model: Stage, secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    seen: list[str] = []

    @tool(credentials=("SHOP_TOKEN",))
    def leak(context: ToolContext) -> dict[str, str]:
        """Tell it."""
        token = context.credentials["SHOP_TOKEN"]
        seen.append(token)
        context.progress(f"using {token}")
        return {"header": f"Bearer {token}", token: "as a key"}

    @tool(credentials=("SHOP_TOKEN",), retry=Retry(2, delay=0))
    async def refuse(context: ToolContext) -> str:
        """Fail with it."""
        raise ConnectionError(f"401 for {context.credentials['SHOP_TOKEN']}")

    @tool
    def other(context: ToolContext) -> int:
        """Asks for nothing."""
        return len(context.credentials)

    name = model.play([calls(call("leak"), call("refuse"), call("other")), say("done")])
    handle = vault.start(Agent("leaky", model=name, tools=[leak, refuse, other]), "Go.")
    assert handle.result(timeout=90).output == "done"

    assert seen == [secret]
    told = [result.output for result in model.requests(name)[-1].tool_results]
    assert told == [
        {"result": {"header": "Bearer ***", "***": "as a key"}},
        {"error": "ConnectionError: 401 for ***"},
        {"result": 0},
    ]
    client = vault.client
    segments = [step.segment_id for step in handle.steps()]
    stored = [client.workflow(each) for each in (handle.execution_id, *segments)]
    logs = [client.task_log(task.task_id) for each in stored for task in each.tasks]
    assert "using ***" in repr(logs)
    assert "attempt 1" in caplog.text
    shown = [list(handle.stream()), handle.get_status(), handle.steps(), stored, logs, caplog.text]
    assert secret not in repr(shown)


def test_guardrails_of_a_tool_see_no_credential(vault: AgentRuntime, model: Stage, secret: str) -> None:
    seen: list[str] = []

    def look(text: str) -> GuardrailResult:
        seen.append(text)
        return GuardrailResult(passed=False, message=f"not this: {text}")

    @tool(credentials=("SHOP_TOKEN",), guardrails=[Guardrail(look, position="output")])
    def leak(context: ToolContext) -> str:
        """Tell it."""
        return f"Bearer {context.credentials['SHOP_TOKEN']}"

    name = model.play([call("leak"), say("done")])
    handle = vault.start(Agent("guarded_leak", model=name, tools=[leak]), "Go.")
    handle.result(timeout=90)

    assert seen == ["Bearer ***"]
    assert secret not in repr([list(handle.stream()), model.requests(name)])


def test_a_run_does_not_begin_without_a_credential_of_its_tools(
    runtime: AgentRuntime, model: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOT_THERE", raising=False)

    @tool(credentials=("NOT_THERE",))
    def push() -> str:
        """Push."""
        return "pushed"

    name = model.play([call("push"), say("done")])
    agent = Agent("unready", model=name, tools=[push])

    with pytest.raises(ConfigError, match="The tool push of the agent unready needs the credential NOT_THERE"):
        runtime.start(agent, "Go.")
    with pytest.raises(ConfigError, match="NOT_THERE"):
        runtime.serve(agent, blocking=False)
    assert model.requests(name) == []


def test_a_call_that_misses_its_credential_fails_once_and_says_so(
    conductor_url: str, model: Stage, secret: str
) -> None:
    values = iter([secret])  # one for the look before the run, none for the call

    @tool(credentials=("SHOP_TOKEN",), retry=Retry(5, delay=0))
    def push() -> str:
        """Push."""
        return "pushed"

    name = model.play([call("push"), say("done")])
    with AgentRuntime(conductor_url, credentials=lambda _: next(values, None)) as runtime:
        handle = runtime.start(Agent("revoked", model=name, tools=[push]), "Go.")
        assert handle.result(timeout=90).output == "done"

    told = [result.output for result in model.requests(name)[-1].tool_results]
    assert told == [
        {
            "error": "The tool push of the agent revoked needs the credential SHOP_TOKEN, "
            "and its worker has none of that name."
        }
    ]
    assert len(handle.steps()[0].calls[0].attempts) == 1
