"""The names that scripts know from elsewhere, here."""

from __future__ import annotations

import io
import json
import pickle

import pytest

from agentspan.agents import (
    Agent,
    AgentConfig,
    AgentRuntime,
    EventType,
    ExecutionTerminated,
    FinishReason,
    InputError,
    NotFound,
    Status,
    plan,
    run,
    start,
    stream,
    tool,
)
from agentspan.agents.testing import expect
from agentspan.testing import ModelRequest, Reply, call, say
from agentspan.testing.plugin import Stage


@tool
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


def adder(request: ModelRequest) -> Reply:
    """Adds 1 and 2 once, if it can, then answers."""
    if not request.tool_results and any(offered.name == "add" for offered in request.tools):
        return call("add", a=1, b=2)
    return say("three" if request.tools else "alone")


def test_a_result_has_what_scripts_read(runtime: AgentRuntime, model: Stage) -> None:
    agent = Agent("known_names", model=model.play([call("add", a=1, b=2), say("three")]), tools=[add])
    result = run(agent, "1 + 2?", runtime=runtime, timeout=60)
    printed = io.StringIO()
    result.print_result(printed)

    assert printed.getvalue() == f"three\n\nCOMPLETED after 2 steps, {result.usage.total_tokens:,} tokens\n"
    assert result.is_success
    assert result.token_usage == result.usage
    assert result.status == Status.COMPLETED
    assert result.finish_reason == FinishReason.STOP
    assert [(asked.tool, asked.args, asked.result) for asked in result.tool_calls] == [("add", {"a": 1, "b": 2}, 3)]


def test_a_handle_and_its_events_have_what_scripts_read(runtime: AgentRuntime, model: Stage) -> None:
    agent = Agent("known_events", model=model.play([call("add", a=1, b=2), say("three")]), tools=[add])
    handle = start(agent, "1 + 2?", runtime=runtime)
    assert handle.run_id == handle.execution_id
    assert handle.join(timeout=60).output == "three"
    events = list(stream(agent, "1 + 2?", runtime=runtime))
    assert [event.type for event in events] == [
        EventType.STEP,
        EventType.TOOL_CALL,
        EventType.TOOL_RESULT,
        EventType.STEP,
        EventType.DONE,
    ]
    assert events[-1].content == "three"


def test_a_runtime_comes_back_to_a_run(runtime: AgentRuntime, model: Stage) -> None:
    agent = Agent("resumed_by_id", model=model.play([call("add", a=1, b=2), say("three")]), tools=[add])
    assert runtime.deploy(agent) == {"resumed_by_id": 1}
    handle = runtime.start(agent, "1 + 2?", serve=False)

    assert runtime.handle(handle.execution_id).get_status().agent == "resumed_by_id"
    assert runtime.resume(handle.execution_id, agent).result(timeout=60).output == "three"


def test_a_result_tells_what_happened(runtime: AgentRuntime, model: Stage) -> None:
    agent = Agent("told", model=model.play(adder), tools=[add])
    before = [{"role": "user", "message": "hello"}, {"role": "assistant", "message": "hi"}]
    result = run(agent, "1 + 2?", runtime=runtime, messages=before)

    assert (result.is_failed, result.error, result.sub_results) == (False, None, {})
    assert [event.type for event in result.events] == ["step", "tool_call", "tool_result", "step", "done"]
    said = [*before, {"role": "user", "message": "1 + 2?"}, {"role": "assistant", "message": "three"}]
    assert result.messages == said
    expect(result).completed().no_errors().used_tool("add", args={"a": 1}).event_sequence(["tool_call", "done"])
    assert run(agent, "And 3 + 4?", runtime=runtime, messages=result.messages).messages[:4] == said
    shown = [turn.text for turn in model.requests(agent.model)[-1].messages]
    assert shown[:5] == ["hello", "hi", "1 + 2?", "three", "And 3 + 4?"]

    travelled = pickle.loads(pickle.dumps(result))
    assert (travelled.output, travelled.events, travelled.messages) == ("three", [], [])
    assert "error" not in json.loads(json.dumps(result.to_json()))


def test_a_runtime_is_made_as_scripts_make_it(conductor_url: str, model: Stage) -> None:
    config = AgentConfig(server_url=conductor_url, auto_start_server=False)
    agent = Agent("configured", model=model.play([say("yes")]))
    with AgentRuntime(config=config) as runtime:
        assert runtime.run(agent, "There?").output == "yes"
    with AgentRuntime(
        server_url=conductor_url, api_key="id", api_secret="word", config=AgentConfig.from_env()
    ) as keyed:
        assert (keyed.settings.auth_key, keyed.settings.auth_secret) == ("id", "word")
    with pytest.warns(UserWarning, match=r"AgentConfig: worker_thread_count, daemon_workers has no effect here"):
        AgentConfig(worker_thread_count=4, daemon_workers=False)


def test_a_run_is_known_by_its_id(runtime: AgentRuntime, model: Stage) -> None:
    agent = Agent("known_by_id", model=model.play([call("add", a=1, b=2)]), tools=[add])
    run_id = runtime.start(agent, "1 + 2?", serve=False).execution_id
    assert runtime.get_status(run_id).is_running
    runtime.pause(run_id)
    assert runtime.get_status(run_id).status == Status.PAUSED
    runtime.cancel(run_id, reason="not needed")
    with pytest.raises(ExecutionTerminated, match="not needed"):
        runtime.handle(run_id).result(timeout=30)


def test_an_agent_runs_by_its_name(runtime: AgentRuntime, model: Stage) -> None:
    name = model.play(adder)
    agent = Agent("by_name", model=name, tools=[add])
    other = Agent("by_name", model=name, instructions="Be brief.")
    runtime.serve(agent, blocking=False)
    first = runtime.register(agent)
    runtime.deploy(other)

    assert run("by_name", "1 + 2?", runtime=runtime, version=first).output == "three"
    keyed = [start("by_name", "2 + 2?", runtime=runtime, idempotency_key=name) for _ in range(2)]
    assert keyed[0].execution_id == keyed[1].execution_id
    assert keyed[0].result(timeout=60).output == "alone"
    assert model.requests(name)[-1].system == "Be brief."
    with pytest.raises(NotFound, match=r"has no agent 'by_name\.segment'"):
        runtime.start("by_name.segment", "1 + 2?")
    with pytest.raises(NotFound, match="has no version 999 of an agent 'by_name'"):
        runtime.start("by_name", "1 + 2?", version=999)
    with pytest.raises(InputError, match="version goes with the name"):
        runtime.start(agent, "1 + 2?", version=1)


def test_a_plan_is_what_is_registered(runtime: AgentRuntime, model: Stage) -> None:
    agent = Agent("planned", model=model.play([]), tools=[add])
    planned = runtime.plan(agent)
    assert planned == plan(agent)
    runtime.deploy(agent)
    stored = runtime.client.workflow_definition("planned")
    assert stored is not None
    assert stored["metadata"]["fingerprint"] == planned["workflowDef"]["metadata"]["fingerprint"]
    assert planned["requiredWorkers"] == ["planned.add"]
    assert [each["name"] for each in planned["workflowDefs"]] == ["planned.segment", "planned"]


def test_a_tool_as_scripts_write_it(runtime: AgentRuntime, model: Stage) -> None:
    def note(entry, context):  # type: ignore[no-untyped-def]
        return [entry, context.state["user"], context.agent_name]

    with pytest.warns(UserWarning, match="tool 'note', parameter 'entry' has no type hint"):
        bare = tool(note)
    name = model.play([call("note", entry={"list": [1, None, "x"]}), say("noted")])
    agent = Agent("bare_tools", model=name, tools=[bare])
    result = run(agent, "Note it.", runtime=runtime, context={"user": "u-7"})

    assert [each.result for each in result.tool_calls] == [[{"list": [1, None, "x"]}, "u-7", "bare_tools"]]
    (offered,) = model.requests(name)[0].tools
    assert offered.schema["properties"] == {"entry": {}}
