"""Options of this suite; the fixtures come from agentspan.testing.plugin."""

from __future__ import annotations

import signal

import pytest


def pytest_configure() -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell's background jobs are deaf to Ctrl-C, and so would be the processes that tests interrupt.
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="Run the tests that take many minutes, too.")
    parser.addoption("--update-goldens", action="store_true", help="Write workflow_defs/ anew.")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--long"):
        skip = pytest.mark.skip(reason="takes many minutes; run with --long")
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(skip)
