"""Traces, metrics and log fields of real runs, with several processes and a killed one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan
from prometheus_client.parser import text_string_to_metric_families
from traced_agent import agent

from agentspan.agents import AgentRuntime
from agentspan.testing import ModelRequest, Reply, WorkerProcess, call, say, wait_until
from agentspan.testing.plugin import Stage

HERE = Path(__file__).parent
SECRET = "the-secret-of-the-customer"


@dataclass(frozen=True)
class Span:
    """A span as the collector got it."""

    name: str
    trace: str
    id: str
    parent: str
    attributes: dict[str, Any]
    failed: bool
    message: str

    @classmethod
    def of(cls, span: OtlpSpan) -> Span:
        attributes = {pair.key: _value(pair.value) for pair in span.attributes}
        ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
        return cls(span.name, *ids, attributes, span.status.code == 2, span.status.message)

    def __getitem__(self, name: str) -> Any:
        return self.attributes[name]


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return [_value(item) for item in value.array_value.values] if kind == "array_value" else getattr(value, kind)


@dataclass
class Collector:
    """What an OpenTelemetry collector is to a process: an OTLP endpoint."""

    url: str = ""
    received: list[Span] = field(default_factory=list)

    def spans(self) -> list[Span]:
        """Those received, each once: who writes a span twice writes the same one."""
        distinct: dict[str, Span] = {}
        for span in self.received:
            known = distinct.setdefault(span.id, span)
            assert (known.name, known.trace, known.parent) == (span.name, span.trace, span.parent)
        return list(distinct.values())

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans() if span.name == name]

    def one(self, name: str) -> Span:
        (span,) = self.named(name)
        return span


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    collector.received += [Span.of(span) for span in scope.spans]
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        collector.url = f"http://127.0.0.1:{server.server_port}"
        yield collector
        server.shutdown()


@dataclass
class Setting:
    """Processes that send their traces to the collector, and serve or call `traced_agent`."""

    url: str
    folder: Path
    collector: Collector

    def environment(self, model: str, **more: str) -> dict[str, str]:
        return {
            "MODEL": model,
            "BEGUN": str(self.folder),
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "50",
            **more,
        }

    def worker(self, model: str, *options: str, **more: str) -> WorkerProcess:
        environment = self.environment(model, **more)
        return WorkerProcess("traced_agent:agent", self.url, environment=environment, cwd=HERE, options=options)

    def agentspan(self, model: str, *words: str, **more: str) -> Any:
        """What the command prints as JSON."""
        command = [sys.executable, "-m", "agentspan", "--server", self.url, *words, "-o", "json"]
        environment = {**os.environ, **self.environment(model, **more)}
        done = subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def begun(self, name: str) -> bool:
        return (self.folder / name).exists()


@pytest.fixture
def setting(conductor_url: str, tmp_path: Path, collector: Collector) -> Setting:
    return Setting(conductor_url, tmp_path, collector)


def working(*numbers: int) -> Callable[[ModelRequest], Reply]:
    def reply(request: ModelRequest) -> Reply:
        if request.turn < len(numbers):
            return call("work", number=numbers[request.turn], secret=SECRET)
        return say(f"{SECRET} is done")

    return reply


def by_step(spans: list[Span]) -> list[Span]:
    return sorted(spans, key=lambda span: span["agentspan.step"])


def why(span: Span) -> str:
    return str(span["error.type"])


def test_a_run_is_one_trace_across_its_invoker_a_killed_worker_and_the_next(setting: Setting, model: Stage) -> None:
    collector = setting.collector
    name = model.play(working(0, 1, 7))
    with setting.worker(name, SLOW="1") as first:
        started = setting.agentspan(name, "agent", "start", "traced_agent:agent", SECRET)
        wait_until(lambda: setting.begun("1.1") and collector.named("execute_tool work"), "the second call")
        first.kill()
    with setting.worker(name) as second:
        setting.agentspan(name, "agent", "result", started["execution_id"], "--wait")
        second.terminate()

    start, run = collector.one("start traced"), collector.one("invoke_agent traced")
    assert {span.trace for span in collector.spans()} == {start.trace}
    assert (start.parent, run.parent) == ("", start.id)
    assert start["agentspan.execution_id"] == run["agentspan.execution_id"] == started["execution_id"]
    assert run["gen_ai.operation.name"] == "invoke_agent"
    assert (run["agentspan.status"], run["agentspan.steps"], run.failed) == ("COMPLETED", 4, False)

    chats = by_step(collector.named(f"chat {name[7:]}"))
    assert [(span["agentspan.step"], span["agentspan.attempt"]) for span in chats] == [(1, 1), (2, 1), (3, 1), (4, 1)]
    assert {span.parent for span in chats} == {run.id}
    assert {(span["gen_ai.provider.name"], span["gen_ai.agent.name"]) for span in chats} == {("openai", "traced")}
    assert chats[-1]["gen_ai.response.finish_reasons"] == ["stop"]
    for side in ("input", "output"):
        used = sum(span[f"gen_ai.usage.{side}_tokens"] for span in chats)
        assert used == run[f"gen_ai.usage.{side}_tokens"] > 0

    tools = collector.named("execute_tool work")
    tries = {step: [span for span in tools if span["agentspan.step"] == step] for step in (1, 2, 3)}
    for spans in tries.values():
        spans.sort(key=lambda span: span["agentspan.attempt"])
        assert [span["agentspan.attempt"] for span in spans] == list(range(1, len(spans) + 1))
        assert not spans[-1].failed
    # A machine that stands still for seconds loses a lease on its own, so there may be more of them.
    assert all(why(span) == "worker_lost" for span in [*tries[1][:-1], *tries[2][:-1]])
    assert [why(span) for span in tries[3][:-1] if why(span) != "worker_lost"] == ["LookupError"]
    killed, *again = tries[2]
    assert killed["agentspan.worker_id"].endswith(f"-{first.pid}")
    assert all(span["agentspan.worker_id"].endswith(f"-{second.pid}") for span in [*again, *tries[3]])
    assert {span.parent for span in tools} == {run.id}
    assert len({span["gen_ai.tool.call.id"] for span in tools}) == 3

    inner = [span for span in collector.named("query the warehouse") if span.parent]
    assert {span.parent for span in inner} >= {spans[-1].id for spans in tries.values()}
    assert SECRET not in str(collector.received)


def test_a_run_that_nobody_traced_at_its_start_is_one_trace_all_the_same(
    setting: Setting, model: Stage, runtime: AgentRuntime
) -> None:
    name = model.play(working(0))
    handle = runtime.start(replace(agent, model=name), "Go.", serve=False)
    with setting.worker(name) as worker:
        handle.result(timeout=120)
        wait_until(lambda: setting.collector.named("invoke_agent traced"), "the worker to see the run's end")
        worker.terminate()

    run = setting.collector.one("invoke_agent traced")
    assert run.parent == ""
    assert "trace" not in runtime.client.workflow(handle.execution_id).input
    others = [span for span in setting.collector.spans() if span.name.startswith(("chat", "execute_tool"))]
    assert sorted(span.name for span in others) == [f"chat {name[7:]}", f"chat {name[7:]}", "execute_tool work"]
    assert {(span.trace, span.parent) for span in others} == {(run.trace, run.id)}


def test_content_is_in_spans_only_where_it_is_asked_for(setting: Setting, model: Stage) -> None:
    name = model.play(working(0))
    asked = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true"}
    setting.agentspan(name, "agent", "run", "traced_agent:agent", "Where is it?", **asked)

    run, tool = setting.collector.one("invoke_agent traced"), setting.collector.one("execute_tool work")
    assert json.loads(run["gen_ai.input.messages"])[0]["parts"] == [{"type": "text", "content": "Where is it?"}]
    assert json.loads(run["gen_ai.output.messages"])[0]["parts"][0]["content"] == f"{SECRET} is done"
    assert json.loads(tool["gen_ai.tool.call.arguments"]) == {"number": 0, "secret": SECRET}
    assert json.loads(tool["gen_ai.tool.call.result"]) == {"found": f"{SECRET} found"}
    asking, answering = by_step(setting.collector.named(f"chat {name[7:]}"))
    (said,) = json.loads(asking["gen_ai.output.messages"])[0]["parts"]
    assert (said["type"], said["arguments"]) == ("tool_call", {"number": 0, "secret": SECRET})
    assert SECRET in answering["gen_ai.output.messages"]


def test_an_agent_without_tools_is_traced_by_who_waits_for_it(setting: Setting, model: Stage) -> None:
    name = model.play([say("Hello.")])
    setting.agentspan(name, "agent", "run", "traced_agent:talker", SECRET)

    start, run = setting.collector.one("start talker"), setting.collector.one("invoke_agent talker")
    chat = setting.collector.one(f"chat {name[7:]}")
    assert (run.parent, chat.parent) == (start.id, run.id)
    assert len(setting.collector.received) == 3


def test_the_program_of_the_documentation_sends_one_trace(setting: Setting, model: Stage) -> None:
    """The block of docs/observability.md, as a program of its own; a run below the caller's span."""
    page = (HERE.parents[1] / "docs/observability.md").read_text(encoding="utf-8")
    program = page.partition("<!-- traced.py -->\n```python\n")[2].partition("```")[0]
    name = model.play([call("stock_of", sku="AB-1234"), say("There are 7 pieces.")])
    environment = {**os.environ, **setting.environment(name), "AGENTSPAN_SERVER_URL": setting.url}
    command = [sys.executable, "-c", program.replace("openai/gpt-4o", name)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)

    assert (done.stdout, done.returncode) == ("There are 7 pieces.\n", 0), done.stderr
    root = setting.collector.one("nightly report")
    # Other tests may have left runs of an agent of that name, which the program serves, too.
    received = [span for span in setting.collector.received if span.trace == root.trace]
    spans = {span.id: span for span in received}
    above = {span.name: spans[span.parent].name for span in spans.values() if span.parent}
    assert above == {
        "start shop": "nightly report",
        "invoke_agent shop": "start shop",
        f"chat {name[7:]}": "invoke_agent shop",
        "execute_tool stock_of": "invoke_agent shop",
        "query the warehouse": "execute_tool stock_of",
    }
    assert len(received) == 7, "who serves and waits in one process writes nothing twice"


def test_a_worker_counts_for_prometheus(setting: Setting, model: Stage, runtime: AgentRuntime) -> None:
    name = model.play(working(0, 7))
    with setting.worker(name, "--metrics-port", "0") as worker:
        runtime.start(replace(agent, model=name), "Go.", serve=False)
        address = next(line.split()[-1] for line in worker.log.splitlines() if line.startswith("Metrics are at "))
        assert address.startswith("http://127.0.0.1:")
        wait_until(lambda: scrape(address).get("agentspan_call_attempts_total/completed") == 2, "two calls to be over")
        found = scrape(address)

    assert found["agentspan_call_attempts_total/retried"] == 1
    assert "agentspan_call_attempts_total/failed" not in found
    assert found["agentspan_call_seconds_count"] == 3
    assert found["agentspan_call_queue_seconds_count"] == 2
    assert found["agentspan_polls_total"] >= 3
    assert found["agentspan_calls_in_flight"] == 0


def scrape(address: str) -> dict[str, float]:
    """The samples of the tool, by name and outcome."""
    found = {}
    for family in text_string_to_metric_families(httpx.get(address).text):
        for sample in family.samples:
            if sample.labels.get("agent") == "traced" and "le" not in sample.labels:
                assert sample.labels["tool"] == "work"
                outcome = sample.labels.get("outcome")
                found[sample.name + (f"/{outcome}" if outcome else "")] = sample.value
    return found


def test_log_lines_say_which_call_they_belong_to(setting: Setting, model: Stage, runtime: AgentRuntime) -> None:
    name = model.play(working(7))
    with setting.worker(name, "--log-format", "json") as worker:
        handle = runtime.start(replace(agent, model=name), "Go.", serve=False)
        handle.result(timeout=120)
        worker.terminate()
        lines = [json.loads(line) for line in worker.log.splitlines()]

    own = [line for line in lines if line["logger"] == "warehouse"]
    (ours,) = [line for line in lines if "raised in attempt" in line["message"]]
    assert [(line["message"], line["attempt"]) for line in own] == [("working on 7", 1), ("working on 7", 2)]
    assert (ours["level"], ours["attempt"]) == ("warning", 1)
    assert "LookupError" in ours["error"]
    for line in [*own, ours]:
        assert (line["execution_id"], line["step"]) == (handle.execution_id, 1)
        assert (line["agent"], line["tool"]) == ("traced", "work")
        assert line["call_id"] == own[0]["call_id"]
    assert {line["logger"] for line in lines} <= {"warehouse", "agentspan.worker"}
    assert "execution_id" not in lines[0]


def test_without_opentelemetry_there_are_no_traces_and_nothing_else_is_missing(
    setting: Setting, model: Stage, runtime: AgentRuntime
) -> None:
    name = model.play(working(0))
    program = f"""
import sys
sys.modules["opentelemetry"] = None
from agentspan.agents import Agent, AgentRuntime, tool

@tool
def work(number: int, secret: str) -> int:
    "Work."
    return number

with AgentRuntime({setting.url!r}) as runtime:
    print(runtime.run(Agent("untraced", model={name!r}, tools=[work]), "Go.").execution_id)
"""
    environment = {**os.environ, **setting.environment(name)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stderr
    assert runtime.client.workflow(done.stdout.strip()).input == {"prompt": "Go."}
    assert setting.collector.received == []
