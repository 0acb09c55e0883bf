"""Tracing where there is no OpenTelemetry: nothing happens, and nothing is asked of the server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agentspan.engine.client import Conductor

if TYPE_CHECKING:
    from agentspan.worker.call import Call


@dataclass
class Start:
    """A run that is being started.

    Attributes:
        inputs: What its input must carry, so that every process continues its trace.
        execution_id: Its id, once it has one.
    """

    inputs: dict[str, Any] = field(default_factory=dict)
    execution_id: str | None = None


class Attempt:
    """One attempt of a tool call, as a trace sees it."""

    @contextmanager
    def active(self) -> Iterator[None]:
        """What happens inside belongs to the attempt."""
        yield

    def end(self, report: dict[str, Any] | None, error_type: str) -> None:
        """Tell how it ended.

        Args:
            report: What the server is told; None when the call was handed back.
            error_type: Kind of the failure, where it failed.
        """


class Recorder:
    """Writes the spans that no process lives through, from the runs as they are stored."""

    def served(self, call: Call) -> None:
        """Follow the run of this call until it is over."""

    def round(self) -> None:
        """Look at the runs that are due."""

    def finish(self) -> None:
        """Look at all of them, and at the segments they are in: the worker ends."""


class Traces:
    """Traces of runs, for the modules that start, serve and wait for them."""

    def export(self) -> None:
        """Send this process's traces to the OTLP endpoint that the environment names, if it names one.

        For the command line; a program of your own sets a TracerProvider. The variables are OpenTelemetry's:
        OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS, OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER, ….
        """

    @contextmanager
    def starting(self, agent: str) -> Iterator[Start]:
        """The start of a run, by whoever asks for it."""
        yield Start()

    def attempt(self, call: Call, client: Conductor, worker_id: str) -> Attempt:
        """The attempt that begins now."""
        return Attempt()

    def recorder(self, client: Conductor, worker_id: str) -> Recorder:
        """What writes down the model calls of the runs that a worker serves."""
        return Recorder()

    def ended(self, client: Conductor, execution_id: str) -> None:
        """Write down the end of a run that somebody has waited for."""
