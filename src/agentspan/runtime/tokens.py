"""A reader's view of an answer that is still being given: from this process at once, from another by the call's log."""

from __future__ import annotations

import threading
import time

from agentspan.engine.client import Conductor
from agentspan.engine.records import PENDING, TaskRecord, WorkflowRecord
from agentspan.errors import ServerError
from agentspan.reading.events import TextDelta, TextVoided
from agentspan.reading.run import StoredSegment
from agentspan.stored.tokens import Piece, pieces_of, readers_queue, text_of
from agentspan.worker.tokens import Listeners

SIGN = 2.0
"""Seconds between two signs that somebody reads."""

PAUSE = 0.1
"""Seconds between two looks at an answer that is being given."""

Provisional = TextDelta | TextVoided


class Tokens:
    """The text of a run's open model call, in the pieces that are new.

    Args:
        client: The server.
        listeners: Those of this process.
        execution_id: The run.
    """

    def __init__(self, client: Conductor, listeners: Listeners, execution_id: str) -> None:
        self._client = client
        self._listeners = listeners
        self._execution_id = execution_id
        self._here: dict[str, list[Piece]] = {}
        self._arrived = threading.Event()
        self._call: tuple[str, int] = ("", 0)
        self._step = 0
        self._given = 0
        self._signed = 0.0
        listeners.add(execution_id, self._hear)

    def close(self) -> None:
        """Listen no more."""
        self._listeners.remove(self._execution_id, self._hear)

    def wait(self, seconds: float) -> None:
        """Wait until something is said in this process, at most so long."""
        self._arrived.wait(min(seconds, PAUSE))

    def fresh(self, newest: WorkflowRecord | None, seq: int) -> list[Provisional]:
        """What has been said since it was last asked; events are given the `seq` of the last stored one.

        Args:
            newest: The run's newest segment, as it was just read.
            seq: That of the last stored event.
        """
        self._arrived.clear()
        found = _open_call(newest)
        if found is None:
            return []
        task, step = found
        self._give_a_sign(task)
        attempt, text = text_of(self._here.get(task.task_id) or self._stored(task))
        return self._new(task.task_id, step, attempt, text, seq)

    def heard(self, seq: int) -> list[Provisional]:
        """What has been said in this process, of the call that was open at the last look; reads nothing."""
        pieces = self._here.get(self._call[0])
        if not pieces:
            return []
        self._arrived.clear()
        attempt, text = text_of(pieces)
        return self._new(self._call[0], self._step, attempt, text, seq)

    def _hear(self, task_id: str, piece: Piece) -> None:
        self._here.setdefault(task_id, []).append(piece)
        self._arrived.set()

    def _give_a_sign(self, task: TaskRecord) -> None:
        if time.monotonic() - self._signed > SIGN:
            self._signed = time.monotonic()
            self._client.show_reading(readers_queue(task.task_def_name), self._execution_id)

    def _stored(self, task: TaskRecord) -> list[Piece]:
        try:
            return pieces_of(self._client.task_log(task.task_id))
        except ServerError:  # text that nobody has to see; the next look reads the run, and says what is wrong
            return []

    def _new(self, task_id: str, step: int, attempt: int, text: str, seq: int) -> list[Provisional]:
        found: list[Provisional] = []
        run, now = self._execution_id, self._client.moment()
        if (task_id, attempt) != self._call:
            if self._given and self._step == step:
                found.append(TextVoided(execution_id=run, seq=seq, step=step, timestamp=now))
            if task_id != self._call[0]:
                self._here.pop(self._call[0], None)
            self._call, self._step, self._given = (task_id, attempt), step, 0
        if len(text) > self._given:
            said = text[self._given :]
            found.append(TextDelta(execution_id=run, seq=seq, step=step, timestamp=now, text=said))
            self._given = len(text)
        return found


def _open_call(newest: WorkflowRecord | None) -> tuple[TaskRecord, int] | None:
    """The model call that is at work in a worker, and its step."""
    if newest is None:
        return None
    turns = StoredSegment.of(newest).turns
    if not turns or not turns[-1].model:
        return None
    task = turns[-1].model[-1]
    return (task, turns[-1].step) if task.in_worker and task.status in PENDING else None
