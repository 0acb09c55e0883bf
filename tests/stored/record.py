"""Record runs of every kind as a server stores them: `uv run python -m tests.stored.record [NAME …]`.

The recordings are what `test_stored_runs.py` reads without a server. One that exists is never made anew: it is what a
version of the past has left on somebody's server, and later versions must read it as that version did.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from socket import gethostname
from typing import Any

import agentspan
from agentspan.agents import (
    Agent,
    AgentHandle,
    AgentRuntime,
    ContextBudget,
    ExecutionError,
    Guardrail,
    GuardrailResult,
    ModelSettings,
    RegexGuardrail,
    Retry,
    RetryTool,
    ToolFailed,
    tool,
)
from agentspan.server import LocalServer
from agentspan.testing import ModelRequest, Reply, ScriptedModel, call, calls, fail, say, wait_until

RUNS = Path(__file__).parent / "runs"

Scenario = Callable[[AgentRuntime], AgentHandle]

MODEL = ScriptedModel(lambda request: SCRIPTS[request.model](request))

SCENARIOS: dict[str, Scenario] = {}
SCRIPTS: dict[str, Callable[[ModelRequest], Reply]] = {}


def scenario(function: Scenario) -> Scenario:
    SCENARIOS[function.__name__] = function
    return function


def agent(name: str, script: list[Reply] | Callable[[ModelRequest], Reply], tools: Any = (), **options: Any) -> Agent:
    """An agent whose model follows a script; a list is answered turn by turn, its last reply again and again."""
    replies = script
    SCRIPTS[name] = replies if callable(replies) else lambda request: replies[min(request.turn, len(replies) - 1)]
    options.setdefault("instructions", "Be brief.")
    return Agent(name, model=f"openai/{name}", tools=tools, **options)


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool(retry=Retry(3, delay=1))
def flaky(number: int) -> str:
    """Fail twice, then work."""
    flaky.__dict__.setdefault("seen", []).append(number)
    if len(flaky.__dict__["seen"]) < 3:
        raise RetryTool(f"not yet, {number}", after=0)
    return f"at last: {number}"


@tool
def broken() -> str:
    """Fail for good."""
    raise ToolFailed("The printer is on fire.")


@tool
def page(number: int) -> dict[str, Any]:
    """A page of 1 KB."""
    return {"number": number, "text": f"{number:04}" * 256}


def ended(handle: AgentHandle) -> AgentHandle:
    wait_until(lambda: handle.get_status().is_complete, "the run to end", 120)
    return handle


@scenario
def one_answer(runtime: AgentRuntime) -> AgentHandle:
    return ended(runtime.start(agent("greeter", [say("Hello, Ann.")]), "I am Ann.", context={"ticket": 7}))


@scenario
def one_call(runtime: AgentRuntime) -> AgentHandle:
    return ended(runtime.start(agent("adder", [call("add", a=1, b=2), say("3")], [add]), "1 + 2?"))


@scenario
def many_calls(runtime: AgentRuntime) -> AgentHandle:
    asked = calls(call("add", a=1, b=2), call("broken"), call("add", a=3, b="four"), call("add", a=5, b=6))
    return ended(runtime.start(agent("forker", [asked, say("done")], [add, broken]), "Add."))


@scenario
def unknown_tools(runtime: AgentRuntime) -> AgentHandle:
    script = [call("multiply", a=1), calls(call("divide", a=1), call("add", a=1, b=1)), say("2")]
    return ended(runtime.start(agent("guesser", script, [add]), "1 * 2?"))


@scenario
def three_segments(runtime: AgentRuntime) -> AgentHandle:
    def script(request: ModelRequest) -> Reply:
        return call("add", a=request.turn, b=1) if request.turn < 20 else say("done")

    return ended(runtime.start(agent("counter", script, [add]), "Count to twenty."))


@scenario
def tool_tried_again(runtime: AgentRuntime) -> AgentHandle:
    return ended(runtime.start(agent("patient", [call("flaky", number=4), say("ok")], [flaky]), "Try."))


@scenario
def worker_died(runtime: AgentRuntime) -> AgentHandle:
    mortal = agent("mortal", [call("add", a=1, b=2), say("3")], [add])
    handle = runtime.start(mortal, "1 + 2?", serve=False)
    wait_until(lambda: runtime.client.poll("mortal.add", "laptop-4711", 1), "a call to be polled and never reported")
    runtime.serve(mortal, blocking=False)
    list(handle.stream())
    return handle


@scenario
def calls_of_a_fork_died(runtime: AgentRuntime) -> AgentHandle:
    asked = calls(call("add", a=1, b=2), call("add", a=3, b=4), call("add", a=5, b=6))
    forked = agent("forked", [asked, say("done")], [add])
    handle = runtime.start(forked, "Add.", serve=False)
    wait_until(lambda: runtime.client.poll("forked.add", "laptop-4712", 2), "calls to be polled and never reported")
    runtime.serve(forked, blocking=False)
    list(handle.stream())
    return handle


@scenario
def model_tried_again(runtime: AgentRuntime) -> AgentHandle:
    # Each attempt of the server is up to four requests: its HTTP client tries again by itself.
    replies = iter([fail(503)] * 5)
    busy = agent("busy", lambda _: next(replies, say("here I am")), model_retry=Retry(3, delay=1))
    return ended(runtime.start(busy, "Are you there?"))


@scenario
def model_refused(runtime: AgentRuntime) -> AgentHandle:
    return ended(runtime.start(agent("locked_out", [fail(401, "wrong key")]), "Hello?"))


@scenario
def retried_by_hand(runtime: AgentRuntime) -> AgentHandle:
    keys: list[str] = []

    def script(request: ModelRequest) -> Reply:
        if request.turn == 0:
            return call("add", a=1, b=2)
        return say("3") if keys else fail(401, "wrong key")

    handle = ended(runtime.start(agent("again", script, [add]), "1 + 2?"))
    keys.append("the right one")
    handle.retry()
    return ended(handle)


@scenario
def cancelled(runtime: AgentRuntime) -> AgentHandle:
    began = threading.Event()

    @tool
    def endless() -> str:
        """Go on for long."""
        began.set()
        time.sleep(3)
        return "too late"

    handle = runtime.start(agent("stopped", [call("endless"), say("done")], [endless]), "Go.")
    began.wait(60)
    handle.cancel("changed our mind")
    return ended(handle)


@scenario
def cancelled_and_retried(runtime: AgentRuntime) -> AgentHandle:
    went_on = agent("went_on", [calls(call("add", a=1, b=2), call("add", a=3, b=4)), say("done")], [add])
    handle = runtime.start(went_on, "Go.", serve=False)
    wait_until(lambda: handle.get_status().current_task == "add", "the calls to be there")
    handle.cancel("wait a moment")
    ended(handle)
    handle.retry()
    runtime.serve(went_on, blocking=False)
    return ended(handle)


@scenario
def version_mismatch(runtime: AgentRuntime) -> AgentHandle:
    def book(room: int) -> str:
        """Book a room."""
        return f"room {room}"

    def book_nights(room: int, nights: int) -> str:
        """Book a room for some nights."""
        return f"room {room} for {nights}"

    script = [call("book", room=7, nights=2), say("done")]
    older, newer = agent("hotel", script, [book]), agent("hotel", script, [tool(book_nights, name="book")])
    with AgentRuntime(runtime.settings.server_url) as old:
        old.serve(older, blocking=False)
        handle = runtime.start(newer, "Go.", serve=False)
        wait_until(lambda: handle.get_status().is_waiting, "the status to say that it waits")
    runtime.serve(newer, blocking=False)
    return ended(handle)


@scenario
def trimmed(runtime: AgentRuntime) -> AgentHandle:
    def script(request: ModelRequest) -> Reply:
        pages = len(SEEN)
        SEEN.append(1)
        return call("page", number=pages) if pages < 12 else say("done")

    reader = agent("reader", script, [page], context=ContextBudget(max_chars=5_000))
    return ended(runtime.start(reader, "Read twelve pages."))


SEEN: list[int] = []


@scenario
def out_of_turns(runtime: AgentRuntime) -> AgentHandle:
    return ended(runtime.start(agent("tireless", [call("add", a=1, b=1)], [add], max_turns=3), "Never stop."))


@scenario
def waits_for_a_worker(runtime: AgentRuntime) -> AgentHandle:
    handle = runtime.start(agent("lonely", [call("add", a=1, b=2), say("3")], [add]), "1 + 2?", serve=False)
    wait_until(lambda: handle.get_status().is_waiting, "the status to say that it waits", 30)
    return handle


@scenario
def waited_for_a_worker(runtime: AgentRuntime) -> AgentHandle:
    late = agent("late", [call("add", a=1, b=2), say("3")], [add])
    handle = runtime.start(late, "1 + 2?", serve=False)
    wait_until(lambda: handle.get_status().is_waiting, "the status to say that it waits", 30)
    runtime.serve(late, blocking=False)
    return ended(handle)


@scenario
def paused(runtime: AgentRuntime) -> AgentHandle:
    def script(request: ModelRequest) -> Reply:
        return call("add", a=request.turn, b=1).after(0.2)

    handle = runtime.start(agent("resting", script, [add]), "Go.")
    wait_until(lambda: handle.get_status().step >= 2, "step 2")
    handle.pause()
    wait_until(lambda: handle.get_status().current_task is None, "what runs now to finish")
    return handle


def people(text: str) -> GuardrailResult:
    return GuardrailResult(passed="fine" in text, message="a person has to look at it")


@tool(approval=True)
def pay(amount: int) -> str:
    """Pay an amount."""
    return f"paid {amount}"


@tool(guardrails=[Guardrail(people, "input", "human"), Guardrail(people, "output", "human")])
def send(text: str) -> str:
    """Send a text."""
    return f"sent {text}"


@tool(
    guardrails=[
        RegexGuardrail("99", "block", "input", message="that is too much"),
        RegexGuardrail("4111", on_fail="fix"),
    ]
)
def charge(amount: int) -> str:
    """Charge an amount."""
    return f"charged {amount} to 4111"


def decided(handle: AgentHandle, *decisions: Any) -> AgentHandle:
    """Decide one request after the other: a reason to reject it, what is taken instead, or None to approve it."""
    seen: set[str] = set()
    for decision in decisions:
        wait_until(lambda: {each.id for each in handle.requests()} - seen, "the next request", 120)
        request = next(each for each in handle.requests() if each.id not in seen)
        seen.add(request.id)
        if isinstance(decision, str):
            handle.runtime.reject(request.id, decision, by="ann")
        else:
            handle.runtime.approve(request.id, args=decision, by="ann")
    return ended(handle)


@scenario
def approved(runtime: AgentRuntime) -> AgentHandle:
    script = [calls(call("pay", amount=1), call("pay", amount=2), call("add", a=1, b=2)), say("done")]
    return decided(runtime.start(agent("payer", script, [pay, add]), "Pay."), {"amount": 3}, "not that one")


@scenario
def guarded(runtime: AgentRuntime) -> AgentHandle:
    script = [calls(call("charge", amount=99), call("charge", amount=1)), say("a secret"), say("fine")]
    guards = [
        RegexGuardrail(r"\d{4}", position="input", on_fail="fix", name="cards"),
        RegexGuardrail("secret", name="secrets", message="keep it"),
    ]
    return ended(runtime.start(agent("guarded", script, [charge], guardrails=guards), "My card is 4111."))


@scenario
def refused_prompt(runtime: AgentRuntime) -> AgentHandle:
    words = RegexGuardrail("password", position="input", on_fail="raise", name="words", message="no passwords here")
    return ended(runtime.start(agent("strict", [say("hello")], [add], guardrails=[words]), "My password is x."))


@scenario
def asked_by_guardrails(runtime: AgentRuntime) -> AgentHandle:
    script = [call("send", text="one"), call("send", text="two"), say("three"), say("four")]
    guards = [Guardrail(people, "input", "human"), Guardrail(people, "output", "human")]
    handle = runtime.start(agent("careful", script, [send], guardrails=guards), "Send.")
    return decided(handle, {"prompt": "Send it."}, None, {"result": "sent"}, "not two", "not three", None)


@scenario
def team(runtime: AgentRuntime) -> AgentHandle:
    first = agent("first", [call("add", a=1, b=2), say("3")], [add])
    return ended(runtime.start(first >> agent("second", [say("It is 3.")]), "1 + 2?"))


@scenario
def handed_over(runtime: AgentRuntime) -> AgentHandle:
    in_worker: dict[str, Any] = {"model_place": "worker", "model_settings": ModelSettings(base_url=MODEL.openai_url)}
    replies = [say("never"), call("add", a=1, b=2), say("It is 3.")]
    billing = agent("billing", replies, [add], description="Knows sums.", **in_worker)
    desk = agent("desk", [call("transfer_to_billing")], handoffs=[billing], **in_worker)
    return ended(runtime.start(desk, "1 + 2?"))


def recorded(handle: AgentHandle, name: str) -> dict[str, Any]:
    """Everything that the server holds of a run, and what this version reads out of it."""
    ended_run = handle.get_status().is_complete
    executions = dict(_executions(handle.runtime, handle.execution_id))
    definitions = {}
    for execution in executions.values():
        definition = execution["workflowDefinition"]
        definitions[definition["name"]] = definition
        execution["workflowDefinition"] = definition["name"]
    events = list(handle.stream()) if ended_run else _so_far(handle)
    try:
        result: dict[str, Any] = handle.result(timeout=1).to_json() if ended_run else {}
    except ExecutionError as error:
        result = {"error": type(error).__name__, "message": error.message}
    return {
        "scenario": name,
        "recorded_with": {"agentspan": agentspan.__version__, "conductor": "3.32.3"},
        "execution_id": handle.execution_id,
        "status": handle.get_status().to_json(),
        "result": result,
        "events": [event.to_json() for event in events],
        "steps": [step.to_json() for step in handle.steps()],
        "executions": executions,
        "definitions": definitions,
    }


def _so_far(handle: AgentHandle) -> list[Any]:
    history = AgentHandle(handle.execution_id, handle.runtime)._history  # what a stream would have shown by now
    return history.events(history.look())


def _executions(runtime: AgentRuntime, execution_id: str) -> Iterator[tuple[str, Any]]:
    """The run and all that it has begun; without the copy of its definition that each task carries."""
    raw = runtime.client.call("GET", f"/workflow/{execution_id}", [("includeTasks", True)])
    for task in raw["tasks"]:
        task.pop("workflowTask", None)
    yield execution_id, raw
    begun = [task["subWorkflowId"] for task in raw["tasks"] if task.get("subWorkflowId")]
    before = raw["input"].get("previous")  # the loop keeps its newest segment
    for each in [*begun, *([before] if before else [])]:
        yield from _executions(runtime, each)


def main(names: list[str]) -> None:
    wanted = [name for name in names or SCENARIOS if not (RUNS / f"{name}.json").exists()]
    MODEL.start()
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalServer(Path(folder), port=0, model_urls=MODEL.model_urls) as server,
    ):
        for name in wanted:
            with AgentRuntime(server.url) as runtime:
                handle = SCENARIOS[name](runtime)
                found = recorded(handle, name)
                if not handle.get_status().is_complete:
                    handle.cancel()
            text = json.dumps(found, ensure_ascii=False, indent=1, sort_keys=True).replace(gethostname(), "laptop")
            (RUNS / f"{name}.json").write_text(text + "\n", encoding="utf-8")
            print(name, found["status"]["status"], len(found["events"]), f"{len(text):,}", flush=True)
    MODEL.stop()


if __name__ == "__main__":
    main(sys.argv[1:])
