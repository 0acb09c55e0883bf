"""Older exchanges are summarised before they are left out, once for each trim, in a task of its own."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from agentspan.agents import Agent, AgentHandle, AgentRuntime, ContextBudget, DefinitionError, Retry, tool
from agentspan.engine.records import TaskRecord
from agentspan.testing import ModelRequest, Reply, call, fail, refuse, say
from agentspan.testing.plugin import Stage

TURNS = 20
BUDGET = ContextBudget(max_chars=6_000, keep_chars=2_000, summarise=True)
ABOUT = re.compile(r"\[The first (\d+) tool exchanges were left out\. This was written down of them, as data:\]\n(.*)")


@tool
def look(number: int) -> dict[str, Any]:
    """Look at something."""
    return {"number": number, "text": "${workflow.secrets.key} x" * 12}


def is_summary(request: ModelRequest) -> bool:
    return request.system.startswith("You keep the record")


def record(request: ModelRequest) -> str:
    """The newest call that there is in what is to be summarised, and how many."""
    given = json.loads(request.messages[-1].text)
    numbers = [made["args"]["number"] for each in given["exchanges"] for made in each["calls"]]
    before = f" after {given['record']}" if "record" in given else ""
    return f"looked at {numbers[0]} to {numbers[-1]} ${{workflow.input.prompt}}{before}"


def explore(request: ModelRequest) -> Reply:
    if is_summary(request):
        return say(record(request))
    step = 1 + max([shown(request)[0], *(result.output["number"] for result in request.tool_results)])
    return call("look", number=step) if step <= TURNS else say("done")


def shown(request: ModelRequest) -> tuple[int, str]:
    """How many exchanges a request has summarised, and the summary."""
    found = [match for turn in request.messages if (match := ABOUT.match(turn.text))]
    return (int(found[0][1]), found[0][2]) if found else (0, "")


@pytest.fixture(autouse=True)
def found(scripted_openai: None) -> None:
    """The scripted models are where workers look."""


def agent(name: str, model: str, **options: Any) -> Agent:
    return Agent(name, model=model, model_place="worker", tools=[look], context=BUDGET, **options)


def tasks_of(handle: AgentHandle) -> list[TaskRecord]:
    client = handle.runtime.client
    segments = {step.segment_id: None for step in handle.steps()}
    return [task for each in segments for task in client.workflow(each).tasks if task.kind == "summary"]


def test_what_goes_is_summarised_and_shown(runtime: AgentRuntime, model: Stage) -> None:
    played = model.play(explore)
    handle = runtime.start(agent("chronicle", played), "Look around.")
    result = handle.result(timeout=120)

    assert (result.output, result.steps) == ("done", TURNS + 1)
    requests = model.requests(played)
    summaries = [request for request in requests if is_summary(request)]
    assert 2 <= len(summaries) <= TURNS / 4, "rare"
    made = tasks_of(handle)
    assert [task.output_data["result"]["text"] for task in made] == [record(request) for request in summaries]
    assert {task.task_def_name for task in made} == {"chronicle.run.summary"}

    # Each exchange is either in the summary or whole, and nothing is summarised twice.
    for request in requests:
        if not is_summary(request):
            through, _ = shown(request)
            numbers = [result.output["number"] for turn in request.messages for result in turn.tool_results]
            assert numbers == list(range(through + 1, through + 1 + len(numbers)))
            assert not any("were left out to keep" in turn.text for turn in request.messages)
    last = shown(requests[-1])[1]
    assert "looked at 1 to" in last
    assert "${workflow.input.prompt}" in last, "data"

    events = [event for event in handle.stream() if event.type == "summary"]
    assert [event.text for event in events] == [record(request) for request in summaries]
    assert [step.summary for step in handle.steps() if step.summary] == [event.text for event in events]
    used = [event.usage for event in handle.stream() if event.usage]
    assert sum(usage.prompt_tokens for usage in used) == result.usage.prompt_tokens
    assert sum(step.model.usage.prompt_tokens for step in handle.steps()) == result.usage.prompt_tokens
    assert result.usage.prompt_tokens == sum(request.tokens for request in requests)


def test_another_worker_goes_on_with_the_summary(runtime: AgentRuntime, model: Stage, conductor_url: str) -> None:
    broken = [True]

    def script(request: ModelRequest) -> Reply:
        reply = explore(request)
        late = not is_summary(request) and reply == call("look", number=18)
        return fail(401, "no such key") if broken[0] and late else reply

    played = model.play(script)
    chronicle = agent("chronicle_elsewhere", played, model_retry=Retry(1))
    with AgentRuntime(conductor_url) as first:
        handle = first.start(chronicle, "Look around.")
        with pytest.raises(Exception, match=r"no such key|null"):
            handle.result(timeout=120)
    summed = len(tasks_of(AgentHandle(handle.execution_id, runtime)))
    broken[0] = False
    before = len(model.requests(played))
    runtime.serve(chronicle, blocking=False)
    again = AgentHandle(handle.execution_id, runtime)
    again.retry()

    assert again.result(timeout=120).output == "done"
    failed, went_on = model.requests(played)[before - 1 : before + 1]
    assert went_on.body == failed.body, "as it was stored, to the byte"
    assert summed >= 1


def test_a_summary_that_is_refused_leaves_the_run_at_work(runtime: AgentRuntime, model: Stage) -> None:
    played = model.play(lambda request: fail(400, "no summaries") if is_summary(request) else explore_blind(request))
    handle = runtime.start(agent("chronicle_refused", played), "Look around.")

    assert handle.result(timeout=120).output == "done"
    events = [event for event in handle.stream() if event.type == "summary"]
    assert events
    assert all("no summaries" in (event.error or "") for event in events)
    assert len(events) == len([request for request in model.requests(played) if is_summary(request)]), "once for a trim"
    assert "[What followed could not be summarised.]" in shown(model.requests(played)[-1])[1]


@pytest.mark.parametrize(
    ("reply", "text", "error"),
    [
        (refuse("I would rather not."), "[What followed could not be summarised.]", "I would rather not."),
        (say("Sorry.", finish="content_filter"), "[What followed could not be summarised.]", "Sorry."),
        (say("Looked at", finish="length"), "Looked at\n[The record was cut off here.]", ""),
        (say("ab " * 2000), "ab ab", ""),
    ],
    ids=["refused", "filtered", "cut", "long"],
)
def test_a_summary_that_is_none_is_not_taken_for_one(
    runtime: AgentRuntime, model: Stage, request: pytest.FixtureRequest, reply: Reply, text: str, error: str
) -> None:
    played = model.play(lambda asked: reply if is_summary(asked) else explore_blind(asked))
    name = f"chronicle_{request.node.callspec.id}"
    handle = runtime.start(agent(name, played, model_retry=Retry(1)), "Look around.")

    assert handle.result(timeout=120).output == "done"
    event = next(event for event in handle.stream() if event.type == "summary")
    assert event.text.startswith(text)
    assert len(event.text) < 2 * BUDGET.kept
    assert error in (event.error or "")
    assert bool(event.error) == bool(error)


def test_a_summary_that_fails_for_good_is_waited_for_once(runtime: AgentRuntime, model: Stage) -> None:
    """All tries the first time, one for each trim after it; and once it is made again, it goes on from there."""
    failing = iter([True] * 4)
    tries: list[ModelRequest] = []

    def script(request: ModelRequest) -> Reply:
        if not is_summary(request):
            return explore_blind(request)
        tries.append(request)
        return fail(503, "busy") if next(failing, False) else say(f"summary {len(tries)}")

    played = model.play(script)
    handle = runtime.start(agent("chronicle_failing", played, model_retry=Retry(3, delay=0)), "Look around.")
    result = handle.result(timeout=120)

    assert result.output == "done"
    made = [task.output_data for task in tasks_of(handle)]
    assert [len(each["result"].get("error", "")) > 0 for each in made] == [True, True, *[False] * (len(made) - 2)]
    assert [len(each.get("failures", ())) for each in made] == [2, *[0] * (len(made) - 1)]
    assert len(made) >= 3
    assert len(tries) == len(made) + 2
    events = [event for event in handle.stream() if event.type == "summary"]
    assert [event.text for event in events[:3]] == [*["[What followed could not be summarised.]"] * 2, "summary 5"]
    assert "busy" in (events[0].error or "")
    assert all(event.error is None for event in events[2:])


def explore_blind(request: ModelRequest) -> Reply:
    step = 1 + max([shown(request)[0], *(result.output["number"] for result in request.tool_results)])
    return call("look", number=step) if step <= TURNS else say("done")


def test_the_server_summarises_nothing() -> None:
    with pytest.raises(DefinitionError, match="summarise needs a worker"):
        Agent("chronicle_there", model="openai/gpt-4o", model_place="server", tools=[look], context=BUDGET)
