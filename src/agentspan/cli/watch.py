"""`agentspan agent watch`: a run, live."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import click

from agentspan.cli._agent import agent_id, handle_of
from agentspan.cli._app import INTERRUPTED, RUN_ENDED_BADLY, Session
from agentspan.cli._events import show_event
from agentspan.cli._output import Output, answer, emit_all, example, output_option, say, status_lines
from agentspan.cli._picture import Picture
from agentspan.cli._text import cut
from agentspan.cli.inspect import timeline_lines
from agentspan.reading.durations import duration
from agentspan.reading.events import Event
from agentspan.reading.result import AgentStatus
from agentspan.reading.timeline import Step
from agentspan.runtime.handle import AgentHandle
from agentspan.runtime.waiting import Waiting

_STEPS = 10
"""Steps that are read for the screen."""


@click.command("watch", epilog=example("agentspan agent watch 7744cf11"))
@agent_id
@output_option
@click.pass_context
def watch(context: click.Context, execution_id: str, output: Output) -> None:
    """Watch a run live, until its end.

    On a terminal its state and its newest steps are drawn again and again; elsewhere each event is a line as it comes.
    A server that is restarted meanwhile is waited for. Ctrl-C stops watching and changes nothing for the run. The exit
    code is 3 when the run ends without an answer.
    """
    handle = handle_of(context, execution_id)
    live = output == "text" and sys.stdout.isatty()
    try:
        (_Screen(handle) if live else _Lines(handle, output)).follow()
    except KeyboardInterrupt:
        program = context.ensure_object(Session).program
        say(f"\nDetached. The run goes on; `{program} agent watch {handle.execution_id}` comes back to it.")
        context.exit(INTERRUPTED)
    context.exit(0 if handle.get_status().status == "COMPLETED" else RUN_ENDED_BADLY)


class _Lines:
    """Prints each event once."""

    def __init__(self, handle: AgentHandle, output: Output) -> None:
        self._handle = handle
        self._output = output
        self._away = False

    def follow(self) -> None:
        """Print until the run is over."""
        events = self._noting(self._handle.stream(on_away=self._note_away))
        if self._output == "text":
            for event in events:
                show_event(event)
        else:
            emit_all((event.to_json() for event in events), self._output)

    def _noting(self, events: Iterable[Event]) -> Iterator[Event]:
        for event in events:
            if self._away:
                self._away = False
                say("The server is back.")
            yield event

    def _note_away(self) -> None:
        if not self._away:
            self._away = True
            say("The server does not answer; waiting for it. The run is not lost.")


@dataclass(frozen=True)
class _Reading:
    """A run as it was read at one moment."""

    status: AgentStatus
    steps: list[Step]
    at: float


class _Screen:
    """Draws a run's state and its newest steps, over and over at the same place."""

    def __init__(self, handle: AgentHandle) -> None:
        self._handle = handle
        self._picture = Picture()
        self._reading: _Reading | None = None
        self._away_since: float | None = None

    def follow(self) -> None:
        """Draw until the run is over."""
        waiting = Waiting(self._handle.runtime.client, self._handle.execution_id, None, self._note_away)
        while True:
            reading = waiting.reading(self._read)
            moved = self._reading is None or reading.steps != self._reading.steps
            self._reading, self._away_since = reading, None
            self._draw(reading)
            if reading.status.is_complete:
                break
            waiting.pause(moved=moved)
        if reading.status.output is not None:
            answer(reading.status.output)

    def _read(self) -> _Reading:
        return _Reading(self._handle.get_status(), self._handle.steps(_STEPS), time.monotonic())

    def _note_away(self) -> None:
        self._away_since = self._away_since or time.monotonic()
        if self._reading is not None:
            self._draw(self._reading)

    def _draw(self, reading: _Reading) -> None:
        columns, rows = shutil.get_terminal_size()
        self._picture.show([cut(line, columns) for line in self._lines(reading, columns, rows)])

    def _lines(self, reading: _Reading, columns: int, rows: int) -> list[str]:
        now = time.monotonic()
        status = reading.status
        if not status.is_complete:
            status = replace(status, elapsed=status.elapsed + now - reading.at)
        moment = self._handle.runtime.client.moment()
        head = list(status_lines(replace(status, output=None), moment))
        if self._away_since is not None:
            head.append(f"  server   does not answer, since {duration(now - self._away_since)}; the run is not lost")
        tail = list(timeline_lines(reading.steps, moment, columns))
        return head + tail[-max(1, rows - len(head) - 2) :]
