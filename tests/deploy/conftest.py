"""Fixtures shared with the crash tests: workers that write down what they do."""

from tests.crash.conftest import ledger

__all__ = ["ledger"]
