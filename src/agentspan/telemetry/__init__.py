"""What a process tells about the runs it starts, serves and waits for: traces, metrics, log fields.

`traces` does nothing unless the extra `otel` is installed and the process has a TracerProvider. `metrics` counts
in Prometheus' default registry. `logs` gives log records the call they belong to. docs/observability.md.
"""
