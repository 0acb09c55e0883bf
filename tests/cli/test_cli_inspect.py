"""`agentspan agent inspect`, on runs of the real server."""

from __future__ import annotations

import json
import re
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import BaseModel

from agentspan.agents import Agent, AgentHandle, AgentRuntime, ExecutionFailed, Retry, ToolContext, ToolFailed, tool
from agentspan.cli import main
from agentspan.cli._text import columns_of
from agentspan.testing import ModelRequest, Reply, call, calls, fail, say
from agentspan.testing.plugin import Stage

HOSTILE = "\x1b[2Jgone \x9b31m [red]not red[/red] \u202egnirts"


def invoke(runtime: AgentRuntime, *words: str, columns: int = 200) -> str:
    environ = {"COLUMNS": str(columns)}
    result = CliRunner().invoke(main, ["--server", runtime.settings.server_url, "agent", *words], env=environ)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def run(runtime: AgentRuntime, model: Stage) -> AgentHandle:
    """A retried run: a tool that raised, calls at once, a call of no tool, a refusing model, hostile texts."""
    tries: list[int] = []
    refusals: list[int] = []

    @tool(retry=Retry(attempts=3, delay=0))
    def flaky(text: str) -> str:
        """Fail once."""
        tries.append(1)
        if len(tries) == 1:
            raise OSError(f"no luck {HOSTILE}")
        return f"{text} back"

    @tool
    def double(number: int) -> int:
        """Double a number."""
        if number == 13:
            raise ToolFailed("Not that one.")
        return 2 * number

    def replies(request: ModelRequest) -> Reply:
        if request.turn == 2 and not refusals:
            refusals.append(1)
            return fail(401, "no such key")
        both = calls(call("double", number=4), call("double", number=13), call("nosuch"))
        return [call("flaky", text=HOSTILE), both, say(f"It is 8. {HOSTILE}")][request.turn]

    agent = Agent("inspected", model=model.play(replies), tools=[flaky, double], model_retry=Retry(1))
    handle = runtime.start(agent, "Go.")
    with pytest.raises(ExecutionFailed):
        handle.result(timeout=90)
    handle.retry()
    handle.result(timeout=90)
    return handle


def test_the_timeline_has_every_step_attempt_worker_and_token(run: AgentHandle, runtime: AgentRuntime) -> None:
    lines = invoke(runtime, "inspect", run.execution_id, columns=1000).splitlines()

    assert re.fullmatch(r"COMPLETED  step 3 / 100  elapsed \d+s", lines[0])
    worker = re.escape(runtime._serving.host().worker_id)
    took = r"\d+\.\d+s"
    steps = "\n".join(lines[lines.index("") + 1 :])
    head = rf"step {{}}  \d\d:\d\d:\d\d UTC  openai/scripted-\d+  {took}{{}}  [\d,]+ tokens in, \d+ out"
    assert re.fullmatch(
        "\n".join(
            [
                head.format(1, ""),
                rf'  → flaky  (done|{took}) on {worker}, attempt 2  text="\\u001b\[2Jgone \\x9b31m .*"',
                rf"    ↻ attempt 1 failed after {took}: OSError: no luck \\x1b\[2Jgone .*",
                r'    ← "\\u001b\[2Jgone .* back"',
                "",
                head.format(2, ""),
                rf"  → double  {took} on {worker}  number=4",
                "    ← 8",
                rf"  → double  {took} on {worker}  number=13",
                r"    ← error: Not that one\.",
                "  → nosuch",
                r"    ← error: There is no tool named nosuch\. The tools are: double, flaky\.",
                "",
                head.format(3, ", attempt 2"),
                rf"    ↻ attempt 1 failed after {took}: The model's provider answered 401: no such key",
                r"    It is 8\. \\x1b\[2Jgone .*",
            ]
        ),
        steps,
    )


def test_no_text_reaches_the_terminal_as_a_command(run: AgentHandle, runtime: AgentRuntime) -> None:
    for output in ("text", "json", "jsonl"):
        shown = invoke(runtime, "inspect", run.execution_id, "-o", output)
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", shown)
    assert "[red]not red[/red]" in shown
    for verb in ("status", "stream"):
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", invoke(runtime, verb, run.execution_id, "-o", "jsonl"))
    assert "\x1b" not in invoke(runtime, "status", run.execution_id)


def test_lines_fit_the_terminal(run: AgentHandle, runtime: AgentRuntime) -> None:
    lines = invoke(runtime, "inspect", run.execution_id, columns=60).splitlines()
    timeline = lines[lines.index("") :]

    assert max(map(columns_of, timeline)) == 60
    assert any(line.endswith("…") for line in timeline)


STEP = {"step": int, "segment_id": str, "model": dict, "calls": list}
MODEL = {
    "model": str,
    "attempts": list,
    "prompt_tokens": int,
    "completion_tokens": int,
    "answer": str | None,
}
CALL = {"call_id": str, "tool": str, "args": dict, "attempts": list, "result": object, "error": str | None}
ATTEMPT = {
    "number": int,
    "status": str,
    "scheduled": str,
    "started": str | None,
    "ended": str | None,
    "seconds": float | None,
    "worker": str | None,
    "error": str | None,
}


def assert_shape(value: dict[str, Any], shape: dict[str, Any]) -> None:
    assert list(value) == list(shape)
    for name, kind in shape.items():
        assert isinstance(value[name], kind), name


def test_the_schema_of_the_steps(run: AgentHandle, runtime: AgentRuntime) -> None:
    whole = json.loads(invoke(runtime, "inspect", run.execution_id, "-o", "json"))
    lines = [json.loads(line) for line in invoke(runtime, "inspect", run.execution_id, "-o", "jsonl").splitlines()]

    assert whole["execution_id"] == run.execution_id
    assert whole["steps"] == lines == [step.to_json() for step in run.steps()]
    for step in lines:
        assert_shape(step, STEP)
        assert_shape(step["model"], MODEL)
        for asked in step["calls"]:
            assert_shape(asked, CALL)
        for attempt in [*step["model"]["attempts"], *(each for asked in step["calls"] for each in asked["attempts"])]:
            assert_shape(attempt, ATTEMPT)
            assert attempt["status"] in ("done", "failed")
    assert [asked["result"] for asked in lines[1]["calls"]] == [8, None, None]
    assert lines[0]["calls"][0]["args"] == {"text": HOSTILE}
    assert [attempt["status"] for attempt in lines[2]["model"]["attempts"]] == ["failed", "done"]
    begun = [datetime.fromisoformat(step["model"]["attempts"][0]["scheduled"]) for step in lines]
    assert all(before < after for before, after in pairwise(begun))


def test_the_last_steps_of_a_long_run(runtime: AgentRuntime, model: Stage) -> None:
    @tool
    def double(number: int) -> int:
        """Double a number."""
        return 2 * number

    script = [*(call("double", number=number) for number in range(1, 20)), say("done")]
    handle = runtime.start(Agent("long_run", model=model.play(script), tools=[double]), "Go.")
    handle.result(timeout=90)

    steps = [json.loads(line) for line in invoke(runtime, "inspect", handle.execution_id, "-o", "jsonl").splitlines()]
    assert [step["step"] for step in steps] == list(range(1, 21))
    assert [asked["result"] for step in steps for asked in step["calls"]] == [2 * number for number in range(1, 20)]
    assert len({step["segment_id"] for step in steps}) == 3
    last = invoke(runtime, "inspect", handle.execution_id, "--last", "6", "-o", "jsonl").splitlines()
    assert [json.loads(line) for line in last] == steps[-6:]
    assert handle.steps(last=1) == handle.steps()[-1:]


def test_an_agent_without_tools_has_one_step(runtime: AgentRuntime, model: Stage) -> None:
    handle = runtime.start(Agent("plain", model=model.play([say("Hello.")])), "Go.")
    handle.result(timeout=60)

    (step,) = handle.steps()
    assert (step.number, step.segment_id, step.model.answer, step.calls) == (1, handle.execution_id, "Hello.", ())


class Trip(BaseModel):
    city: str
    booked: list[str] = []
    by: str = ""


@pytest.mark.usefixtures("scripted_openai")
def test_the_state_of_a_run_and_who_changed_it(runtime: AgentRuntime, model: Stage) -> None:
    @tool
    def book(what: str, context: ToolContext) -> str:
        """Book."""
        context.add_to_state(booked=[what])
        context.set_state(by=what)
        return "Booked."

    script = [calls(call("book", what=HOSTILE), call("book", what="bus")), say("Done.")]
    agent = Agent("cli_state", model=model.play(script), model_place="worker", tools=[book], state_type=Trip)
    handle = runtime.start(agent, "Go.", context={"city": "Oslo"})
    handle.result(60)

    head, *lines = invoke(runtime, "state", handle.execution_id[:20]).splitlines()
    assert head.startswith("COMPLETED  step 2 / ")
    assert lines[0] == '  city    "Oslo"'
    assert lines[2] == '  by      "bus"'
    assert lines[-2:] == ['step 1  book  by = "bus", in place of what book gave', 'step 1  book  booked + ["bus"]']
    assert "\x1b" not in "".join(lines)
    whole = json.loads(invoke(runtime, "state", handle.execution_id, "-o", "json"))
    assert whole["state"] == {"city": "Oslo", "booked": [HOSTILE, "bus"], "by": "bus"}
    assert [(each["field"], each["action"]) for each in whole["changes"]] == [("by", "set"), ("booked", "add")] * 2
    (newest,) = invoke(runtime, "state", handle.execution_id, "-o", "jsonl", "--last", "1").splitlines()
    assert json.loads(newest) == whole["changes"][-1]
    assert all(
        columns_of(line) <= 40 for line in invoke(runtime, "state", handle.execution_id, columns=40).splitlines()
    )


def test_a_run_without_a_state_says_so(run: AgentHandle, runtime: AgentRuntime) -> None:
    assert "It has no state" in invoke(runtime, "state", run.execution_id)
    whole = json.loads(invoke(runtime, "state", run.execution_id, "-o", "json"))
    assert (whole["state"], whole["changes"]) == (None, [])
