"""Measures agentspan beside its peer and the engine's floor: `uv run --project benchmarks python -m benchmarks`."""
