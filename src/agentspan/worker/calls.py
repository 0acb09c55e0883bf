"""The calls that a worker host has begun and not yet reported."""

from __future__ import annotations

import threading

from agentspan.call import Call


class Calls:
    """Calls by their task's id, behind one lock.

    Args:
        most: How many may run at once.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._calls: dict[str, Call] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        with self._lock:
            return len(self._calls)

    @property
    def free(self) -> int:
        """How many more may be begun."""
        return self.most - len(self)

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
