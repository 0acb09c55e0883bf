"""A worker process of a test that does not come to serve is not left behind."""

from __future__ import annotations

import os

import pytest

from agentspan.testing import WorkerProcess

NOWHERE = "http://127.0.0.1:9"


def test_one_that_is_not_ready_in_time_is_ended() -> None:
    worker = WorkerProcess("no_such_module:agent", NOWHERE)
    with pytest.raises(AssertionError, match="in vain for the worker to be ready"):
        worker.start(timeout=0)
    with pytest.raises(ProcessLookupError):
        os.kill(worker.pid, 0)


def test_one_that_ends_says_what_it_wrote() -> None:
    with pytest.raises(AssertionError, match="ended by itself") as caught:
        WorkerProcess("no_such_module:agent", NOWHERE).start()
    assert "no_such_module" in caught.value.__notes__[0]
