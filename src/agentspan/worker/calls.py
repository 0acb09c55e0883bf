"""The calls that a worker host has begun and not yet reported."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from agentspan.worker.call import Call

MODEL_CALLS = 500
"""Calls of models that may be at work at once; they wait for their providers, and take no tool's place."""

LAST = 8
"""The last eighth of the places is for tools that have less than their share of them."""


class Calls:
    """Calls by their task's id, behind one lock.

    A call that only waits for another run needs no place: that run's calls may need one here.

    Args:
        most: How many may be at work at once.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._calls: dict[str, Call] = {}
        self._waiting: Counter[int] = Counter()  # a call may wait for several runs at once
        self._lock = threading.Lock()

    def __len__(self) -> int:
        with self._lock:
            return len(self._calls)

    def room(self, queue: str, queues: int) -> int:
        """How many more calls of a queue may begin, so that slow tools leave room for quick ones.

        Args:
            queue: The calls' queue.
            queues: How many queues share the places.
        """
        with self._lock:
            at_work = Counter(
                call.task.task_def_name
                for call in self._calls.values()
                if id(call) not in self._waiting and not call.served.is_model
            )
        free = max(0, self.most - at_work.total())
        if queues == 1:
            return free
        of_its_share = max(0, self.most // queues - at_work[queue])
        return min(free, max(of_its_share, free - self.most // LAST))

    def room_for_models(self) -> int:
        """How many more calls of models may begin."""
        with self._lock:
            return max(0, MODEL_CALLS - sum(call.served.is_model for call in self._calls.values()))

    @contextmanager
    def waiting(self, call: Call) -> Iterator[None]:
        """While a call waits for a run."""
        with self._lock:
            self._waiting[id(call)] += 1
        try:
            yield
        finally:
            with self._lock:
                self._waiting[id(call)] -= 1
                self._waiting += Counter()  # drops what is down to none

    def all(self) -> list[Call]:
        """Those of this moment."""
        with self._lock:
            return list(self._calls.values())

    def get(self, task_id: str) -> Call | None:
        """The call that reports for a task."""
        with self._lock:
            return self._calls.get(task_id)

    def twin_of(self, call: Call) -> Call | None:
        """Another attempt of the same call that is at work here."""
        with self._lock:
            return next((other for other in self._calls.values() if other.key == call.key), None)

    def add(self, call: Call) -> None:
        """A call has begun, or reports for another task from now on."""
        with self._lock:
            self._calls[call.task.task_id] = call

    def drop(self, task_id: str) -> None:
        """No call reports for the task any more."""
        with self._lock:
            self._calls.pop(task_id, None)

    def end(self, call: Call) -> None:
        """A call is reported. A try that is to be repeated may have been handed out again already: that one stays."""
        with self._lock:
            if self._calls.get(call.task.task_id) is call:
                del self._calls[call.task.task_id]

    def any_of(self, workflow_id: str) -> bool:
        """Whether a call of a segment is at work here."""
        with self._lock:
            return any(call.task.workflow_instance_id == workflow_id for call in self._calls.values())
