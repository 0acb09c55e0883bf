"""What a worker counts, in Prometheus' default registry: a program that serves it already has these too."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram, start_http_server

from agentspan.errors import ConfigError

_LABELS = ["agent", "tool"]
_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)

POLLS = Counter("agentspan_polls", "Requests for calls of a tool.", _LABELS)
POLL_FAILURES = Counter("agentspan_poll_failures", "Rounds of polling that the server did not answer.")
QUEUE_SECONDS = Histogram(
    "agentspan_call_queue_seconds",
    "From the moment a call was due until a worker took it, by the server's clock; first attempts only.",
    _LABELS,
    buckets=_SECONDS,
)
CALL_SECONDS = Histogram("agentspan_call_seconds", "How long an attempt of a call took.", _LABELS, buckets=_SECONDS)
ATTEMPTS = Counter(
    "agentspan_call_attempts",
    "Attempts that are over: completed, retried (failed, to be tried again), failed (for good), handed_back.",
    [*_LABELS, "outcome"],
)
IN_FLIGHT = Gauge("agentspan_calls_in_flight", "Calls that run now.", _LABELS)


def serve_metrics(port: int, host: str = "127.0.0.1") -> int:
    """Answer scrapes of `/metrics` in the background; the port.

    Args:
        port: Where; 0 takes a free one.
        host: On which address; the default is this machine only.

    Raises:
        ConfigError: The port cannot be had.
    """
    try:
        server, _ = start_http_server(port, addr=host)
    except OSError as error:
        raise ConfigError(
            f"The metrics cannot be served on {host}:{port}: {error.strerror or error}",
            hint="Give another --metrics-port; 0 takes a free one.",
        ) from error
    return int(server.server_port)
