"""The one seam to OpenTelemetry: `TRACES` does nothing where the extra `otel` is not installed."""

from __future__ import annotations

from agentspan.telemetry._quiet import Attempt, Recorder, Start, Traces

try:
    from agentspan.telemetry._otel import OtelTraces as _Traces
except ImportError:
    from agentspan.telemetry._quiet import Traces as _Traces  # type: ignore[assignment]

__all__ = ["TRACES", "Attempt", "Recorder", "Start", "Traces"]

TRACES: Traces = _Traces()
"""What this process's runtimes, worker hosts and handles tell their traces to."""
