"""Tracing with OpenTelemetry; imported only where the extra `otel` is installed.

A run has one trace, whatever processes take part: its input carries the context of its start, and the id of its own
span is derived from its execution id, so every process knows its parent without asking another process. So are the ids
of the spans that are read from the stored execution: who writes one twice writes the same span.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import Tracer, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from agentspan.engine.client import Conductor
from agentspan.engine.records import WorkflowRecord
from agentspan.errors import NotFound, ServerError
from agentspan.reading.run import StoredSegment, newest_segment_id
from agentspan.stored.notes import Notes
from agentspan.telemetry import _spans
from agentspan.telemetry._quiet import Attempt, Recorder, Start, Traces

if TYPE_CHECKING:
    from agentspan.worker.call import Call

log: logging.Logger = logging.getLogger("agentspan.telemetry")

CARRIED = "trace"
"""Where the run's input has the context of its start, as W3C trace context: `{"traceparent": …}`."""

CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
"""OpenTelemetry's own variable: `true` puts prompts, arguments, results and answers into spans."""

REMEMBERED = 10_000
"""Runs whose trace is known, and stored spans that were written; the oldest are forgotten."""

FIRST, LAST = 2.0, 30.0
"""Seconds between looks at a run whose calls were served here: at first, and once nothing happens for long."""

_W3C = TraceContextTextMapPropagator()
_UNTRACED = ("llm", "pool")
"""Of what workers make: a model's call is read from what is stored, as the server's; a look is no work of the run's."""

_KINDS = {"client": SpanKind.CLIENT, "internal": SpanKind.INTERNAL}


class OtelTraces(Traces):
    """Writes to the process's TracerProvider; silent until one is set."""

    def __init__(self) -> None:
        self._parents: OrderedDict[str, Context] = OrderedDict()
        self._written: OrderedDict[str, None] = OrderedDict()

    def export(self) -> None:
        """Set a TracerProvider that sends to the endpoint in the environment, unless there is a provider."""
        named = any(
            os.environ.get(name) for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
        )
        if named and isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
            provider = TracerProvider()
            provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
            trace.set_tracer_provider(provider)

    @contextmanager
    def starting(self, agent: str) -> Iterator[Start]:
        """A span around the start, and its context for the run's input."""
        start = Start()
        tracer = _tracer()
        if tracer is None:
            yield start
            return
        attributes = {_spans.AGENT: agent}
        with tracer.start_as_current_span(f"start {agent}", kind=SpanKind.PRODUCER, attributes=attributes) as span:
            carrier: dict[str, str] = {}
            _W3C.inject(carrier)
            start.inputs[CARRIED] = carrier
            yield start
            span.set_attribute(_spans.EXECUTION, str(start.execution_id))

    def attempt(self, call: Call, client: Conductor, worker_id: str) -> Attempt:
        """A span from now to the attempt's end; none where the run's trace cannot be learned."""
        tracer = _tracer()
        if tracer is None or call.task.kind in _UNTRACED:
            return Attempt()
        task = call.task
        try:
            parent = self._parent(client, call.given.execution_id)
        except ServerError as error:
            log.debug("%s is not traced: %s", call, error)
            return Attempt()
        attributes = {
            **_spans.tool_attributes(call.served.agent, call.served.tool.name, call.given),
            _spans.ATTEMPT: call.attempt,
            _spans.WORKER: worker_id,
            **(_spans.arguments_of(call.given) if _with_content() else {}),
        }
        key = _spans.attempt_key(task)
        _keep(self._written, key, None)  # whatever the server thinks of this worker meanwhile
        with _Ids.of(key, attributes[_spans.EXECUTION]):
            span = tracer.start_span(f"execute_tool {call.served.tool.name}", context=parent, attributes=attributes)
        return OtelAttempt(span)

    def recorder(self, client: Conductor, worker_id: str) -> Recorder:
        """What writes down the model calls of the runs that a worker serves."""
        return OtelRecorder(self, client, worker_id)

    def ended(self, client: Conductor, execution_id: str) -> None:
        """Write the run's own span and its last model call, which no worker may have seen."""
        if _tracer() is None:
            return
        try:
            run = client.workflow(execution_id)
            newest = newest_segment_id(run)
            if newest is not None:
                record = run if newest == execution_id else client.workflow(newest)
                self.write_last_model_call(run, StoredSegment.of(record))
            self.write_run(run)
        except ServerError as error:
            log.debug("The end of run %s is not traced: %s", execution_id, error)

    def write_run(self, run: WorkflowRecord) -> None:
        """The run's own span."""
        stored = _spans.invoke_agent(run, content=_with_content())
        self._write(stored, self._carried(run) if stored.key == run.workflow_id else self._parent_of(run))

    def write_segment(self, run: WorkflowRecord, segment: StoredSegment) -> None:
        """A segment's model calls, and the attempts whose workers died."""
        parent = self._parent_of(run)
        for stored in _spans.model_calls(segment, content=_with_content()):
            self._write(stored, parent)
        for stored in _spans.dead_attempts(segment):
            self._write(stored, parent)

    def write_last_model_call(self, run: WorkflowRecord, segment: StoredSegment) -> None:
        """The attempts of the newest model call: the answer, or what the run failed of."""
        stored = list(_spans.model_calls(segment, content=_with_content()))
        for call in stored:
            if call.attributes[_spans.STEP] == stored[-1].attributes[_spans.STEP]:
                self._write(call, self._parent_of(run))

    def _write(self, stored: _spans.StoredSpan, parent: Context) -> None:
        tracer = _tracer()
        if tracer is None or stored.key in self._written:
            return
        _keep(self._written, stored.key, None)
        with _Ids.of(stored.key, stored.attributes[_spans.EXECUTION]):
            span = tracer.start_span(
                stored.name,
                context=parent,
                kind=_KINDS[stored.kind],
                attributes=stored.attributes,
                start_time=stored.start * 1_000_000,
            )
        if stored.error_type is not None:
            span.set_attribute("error.type", stored.error_type)
            span.set_status(Status(StatusCode.ERROR, stored.error))
        span.end(stored.end * 1_000_000)

    def _parent(self, client: Conductor, execution_id: str) -> Context:
        known = self._parents.get(execution_id)
        return self._parent_of(client.workflow(execution_id, tasks=False)) if known is None else known

    def _parent_of(self, run: WorkflowRecord) -> Context:
        """The run's own span as a parent: its id is known before it is written."""
        known = self._parents.get(run.workflow_id)
        if known is not None:
            return known
        above = trace.get_current_span(self._carried(run)).get_span_context()
        trace_id = above.trace_id if above.is_valid else _number(run.workflow_id, 16)
        own = SpanContext(
            trace_id,
            _number(run.workflow_id, 8),  # its key in _spans.invoke_agent
            is_remote=True,
            trace_flags=above.trace_flags if above.is_valid else _flags(trace_id),
            trace_state=above.trace_state,
        )
        context = trace.set_span_in_context(NonRecordingSpan(own), Context())
        _keep(self._parents, run.workflow_id, context)
        return context

    def _carried(self, run: WorkflowRecord) -> Context:
        """The context of the run's start; empty where nobody traced it."""
        carrier = run.input.get(CARRIED)
        if not isinstance(carrier, dict):
            return Context()
        return _W3C.extract({key: value for key, value in carrier.items() if isinstance(value, str)}, Context())


class OtelAttempt(Attempt):
    """One attempt of a tool call with its span."""

    def __init__(self, span: Span) -> None:
        self._span = span

    @contextmanager
    def active(self) -> Iterator[None]:
        """Spans that the tool makes are children of the attempt's."""
        with trace.use_span(self._span, record_exception=False, set_status_on_exception=False):
            yield

    def end(self, report: dict[str, Any] | None, error_type: str) -> None:
        """The attempt is over, though the tool may hang on."""
        if report is None:
            self._span.set_attribute("agentspan.handed_back", True)
        elif report["status"] != "COMPLETED":
            self._span.set_attribute("error.type", error_type)
            said = Notes.of(report["outputData"]).failures[-1].error if _with_content() else None
            self._span.set_status(Status(StatusCode.ERROR, said))
        elif _with_content():
            self._span.set_attributes(_spans.result_of(report["outputData"]))
        self._span.end()


@dataclass
class _Followed:
    """A run whose calls were served here.

    Attributes:
        segments: Those with calls served here, whose model calls are not written yet.
        pause: Seconds until the look after the next.
        due: When the next look is.
    """

    segments: set[str] = field(default_factory=set)
    pause: float = FIRST
    due: float = 0.0

    def put_off(self, seconds: float) -> None:
        """Look again after so many seconds."""
        self.pause, self.due = seconds, time.monotonic() + seconds


class OtelRecorder(Recorder):
    """Writes what a worker knows of the runs that it serves.

    So that each span is written once however many workers there are, a segment belongs to the worker of its last tool
    call, and the end of a run to the worker of the run's last one. Whoever waits for a run writes its end as well.
    """

    def __init__(self, traces: OtelTraces, client: Conductor, worker_id: str) -> None:
        self._traces = traces
        self._client = client
        self._worker_id = worker_id
        self._followed: dict[str, _Followed] = {}

    def served(self, call: Call) -> None:
        """Follow the run of this call until it is over."""
        if _tracer() is not None:
            followed = self._followed.setdefault(call.given.execution_id, _Followed())
            followed.segments.add(call.task.workflow_instance_id)
            followed.put_off(FIRST)

    def round(self) -> None:
        """Look at the runs that are due; the server's errors are the caller's."""
        for execution_id, followed in list(self._followed.items()):
            if followed.due <= time.monotonic():
                self._look(execution_id, followed)

    def finish(self) -> None:
        """Look at all of them, and at the segments they are in: the worker ends."""
        for execution_id, followed in list(self._followed.items()):
            self._look(execution_id, followed, also_unfinished=True)

    def _look(self, execution_id: str, followed: _Followed, *, also_unfinished: bool = False) -> None:
        followed.put_off(min(LAST, followed.pause * 1.5))
        try:
            run = self._client.workflow(execution_id)
            newest = newest_segment_id(run)
            complete = run.ended or also_unfinished
            for segment_id in [name for name in followed.segments if complete or name != newest]:
                segment = StoredSegment.of(self._client.workflow(segment_id))
                if _spans.last_worker(segment) == self._worker_id:
                    self._traces.write_segment(run, segment)
                followed.segments.discard(segment_id)
            if run.ended:
                self._followed.pop(execution_id, None)
                self._write_end(run, newest)
        except NotFound:
            self._followed.pop(execution_id, None)

    def _write_end(self, run: WorkflowRecord, newest: str | None) -> None:
        if newest is None:
            return
        segment = StoredSegment.of(self._client.workflow(newest))
        worker = _spans.last_worker(segment)
        previous = segment.given.previous
        if worker is None and previous:
            worker = _spans.last_worker(StoredSegment.of(self._client.workflow(previous)))
        if worker == self._worker_id:
            self._traces.write_last_model_call(run, segment)
            self._traces.write_run(run)


class _Ids(IdGenerator):
    """Gives the next span the id that was derived for it; all others get the provider's."""

    _next: ContextVar[tuple[int, int] | None] = ContextVar("agentspan_span_ids", default=None)

    def __init__(self, usual: IdGenerator) -> None:
        self._usual = usual

    @classmethod
    @contextmanager
    def of(cls, key: str, execution_id: str) -> Iterator[None]:
        """The span that is started inside gets the id of `key`; as a root, it opens the run's own trace."""
        token = cls._next.set((_number(key, 8), _number(execution_id, 16)))
        try:
            yield
        finally:
            cls._next.reset(token)

    def generate_span_id(self) -> int:
        ids = self._next.get()
        return self._usual.generate_span_id() if ids is None else ids[0]

    def generate_trace_id(self) -> int:
        ids = self._next.get()
        return self._usual.generate_trace_id() if ids is None else ids[1]

    def is_trace_id_random(self) -> bool:
        return self._usual.is_trace_id_random()


def _tracer() -> Tracer | None:
    """Our tracer of the process's provider; None while there is none that records."""
    tracer = trace.get_tracer("agentspan")
    if not isinstance(tracer, Tracer):
        return None
    if not isinstance(tracer.id_generator, _Ids):
        tracer.id_generator = _Ids(tracer.id_generator)
    return tracer


def _flags(trace_id: int) -> TraceFlags:
    """Whether a run that nobody traced at its start is sampled: every process's sampler answers by its trace id."""
    tracer = _tracer()
    if tracer is None or tracer.sampler.should_sample(None, trace_id, "invoke_agent").decision is Decision.DROP:
        return TraceFlags(TraceFlags.DEFAULT)
    return TraceFlags(TraceFlags.SAMPLED)


def _with_content() -> bool:
    return os.environ.get(CONTENT, "").lower() == "true"


def _number(text: str, size: int) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:size]) or 1


def _keep(store: OrderedDict[str, Any], key: str, value: Any) -> None:
    store[key] = value
    while len(store) > REMEMBERED:
        store.popitem(last=False)
