"""What a provider answers when it gives no answer, or half of one: none of it looks like a good one."""

from __future__ import annotations

from typing import Any

import pytest

from agentspan.agents import Agent, AgentRuntime, ExecutionFailed, ModelSettings, Retry, tool
from agentspan.testing import ModelRequest, Reply, call, calls, raw, say
from agentspan.testing.plugin import Stage


@tool
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


def openai(output: list[dict[str, Any]], *, status: str = "completed", reason: str | None = None) -> Reply:
    usage = {"input_tokens": 9, "output_tokens": 5, "total_tokens": 14}
    failed = {"code": "server_error", "message": "The model had an error."} if status == "failed" else None
    details = {"reason": reason} if reason else None
    return raw(
        {
            "id": "resp_1",
            "object": "response",
            "created_at": 1,
            "status": status,
            "error": failed,
            "incomplete_details": details,
            "model": "x",
            "output": output,
            "usage": usage,
        }
    )


def message(*content: dict[str, Any]) -> dict[str, Any]:
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": list(content)}


FAILED = {
    "status failed": ("openai", openai([], status="failed")),
    "an error as the body": ("openai", raw({"error": {"message": "Overloaded.", "type": "server_error"}})),
    "an error of Anthropic": ("anthropic", raw({"type": "error", "error": {"type": "api_error", "message": "Oh."}})),
}


@pytest.mark.parametrize("tools", [False, True], ids=["no tools", "tools"])
@pytest.mark.parametrize("kind", FAILED)
def test_a_failure_with_status_200_is_tried_again(runtime: AgentRuntime, model: Stage, kind: str, tools: bool) -> None:
    provider, failure = FAILED[kind]
    replies = iter([failure, failure])
    name = model.play(lambda _: next(replies, say("here I am")), provider)
    handle = runtime.start(Agent("unsteady", model=name, tools=[add] if tools else []), "Are you there?")
    result = handle.result(timeout=60)

    assert (result.output, result.intact) == ("here I am", True)
    events = list(handle.stream())
    assert [event.type for event in events] == ["step", "model_retry"] * 2 + ["step", "done"]
    assert events[1].error == "The model's provider answered without an answer. It is asked again."
    assert [event.attempt for event in events if event.type == "model_retry"] == [1, 2]


@pytest.mark.parametrize("tools", [False, True], ids=["no tools", "tools"])
def test_a_failure_that_lasts_fails_the_run_and_a_retry_goes_on(
    runtime: AgentRuntime, model: Stage, tools: bool
) -> None:
    repaired: list[bool] = []

    def script(request: ModelRequest) -> Reply:
        if tools and request.turn == 0:
            return call("add", a=1, b=2)
        return say("three") if repaired else openai([], status="failed")

    handle = runtime.start(Agent("lasting", model=model.play(script), tools=[add] if tools else []), "1 + 2?")
    with pytest.raises(ExecutionFailed, match="answered without an answer, again and again"):
        handle.result(timeout=60)
    before = list(handle.stream())
    assert before[-1].type == "error"
    repaired.append(True)
    handle.retry()

    assert handle.result(timeout=60).output == "three"
    events = list(handle.stream())
    assert events[: len(before)] == before, "what a reader has seen stays as it was"
    assert [event.type for event in events[len(before) :]] == ["resumed", "step", "done"]
    assert sum(event.type == "tool_call" for event in events) == tools


NO_TEXT = {
    "a refusal": openai([message({"type": "refusal", "refusal": "I can't help with that."})]),
    "a content filter": openai([], status="incomplete", reason="content_filter"),
    "nothing": openai([]),
}


@pytest.mark.parametrize("kind", NO_TEXT)
def test_an_answer_without_text_is_marked(runtime: AgentRuntime, model: Stage, kind: str) -> None:
    """Conductor keeps neither the refusal's words nor that it was one."""
    result = runtime.run(Agent("wordless", model=model.play(lambda _: NO_TEXT[kind])), "Speak.", timeout=60)

    assert (result.output, result.finish_reason, result.intact) == ("", "empty", False)


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_calls_that_were_cut_off_are_not_made(runtime: AgentRuntime, model: Stage, provider: str) -> None:
    made: list[str] = []

    @tool
    def delete(path: str = "/everything", reason: str = "") -> str:
        """Delete."""
        made.append(path)
        return "gone"

    long = call("delete", path="/tmp/x", reason="because " * 40)
    broken = call("delete", '{"path": "/tmp/x", "reason": "' + "because " * 40) if provider == "openai" else long
    short = call("delete", {"path": "/tmp/x", "arguments-complete": True})
    name = model.play([calls(broken, broken), short, say("done")], provider)
    settings = ModelSettings(max_tokens=50)
    handle = runtime.start(Agent("cut_off", model=name, tools=[delete], model_settings=settings), "Delete /tmp/x.")

    assert handle.result(timeout=60).output == "done"
    assert made == ["/tmp/x"]
    errors = [event.error for event in handle.stream() if event.type == "tool_result" and event.error]
    assert len(errors) == 2
    assert all(error.startswith("Not called: your answer was cut off at its longest") for error in errors)


def test_a_tool_that_needs_no_argument_is_not_run_without_those_that_were_lost(
    runtime: AgentRuntime, model: Stage
) -> None:
    """Conductor makes no arguments of what is no JSON; what the model must always give is missing then."""
    made: list[str] = []

    @tool
    def delete(path: str = "/everything") -> str:
        """Delete."""
        made.append(path)
        return "gone"

    complete = {"arguments-complete": True}
    script = [call("delete", '{"path": "x/y'), call("delete", {"path": "x/y", **complete}), call("delete", complete)]
    name = model.play([*script, say("done")])
    handle = runtime.start(Agent("careful", model=name, tools=[delete]), "Delete x/y.")

    assert handle.result(timeout=60).output == "done"
    assert made == ["x/y", "/everything"], "and its defaults hold when the model means them"
    events = list(handle.stream())
    (error,) = [event.error for event in events if event.type == "tool_result" and event.error]
    assert error.startswith("Not called: its arguments did not arrive as a JSON object.")
    assert [event.args for event in events if event.type == "tool_call"] == [{}, {"path": "x/y"}, {}]
    (offered,) = model.requests(name)[0].tools
    assert offered.schema["required"] == ["arguments-complete"]


def test_null_instead_of_arguments_is_tried_again_and_then_told(runtime: AgentRuntime, model: Stage) -> None:
    replies = iter([call("add", "null")])
    steady = model.play(lambda request: next(replies, say("done")))
    agent = Agent("null_once", model=steady, tools=[add], model_retry=Retry(2, delay=1))
    assert runtime.run(agent, "1 + 2?", timeout=60).output == "done"

    agent = Agent("null_always", model=model.play(lambda _: call("add", "null")), tools=[add], model_retry=Retry(1))
    with pytest.raises(ExecutionFailed, match="called a tool with null instead of arguments"):
        runtime.run(agent, "1 + 2?", timeout=60)
