"""The demo, scene by scene."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from agentspan.agents import AgentHandle, AgentRuntime, AgentspanError, AgentStatus, Event
from agentspan.demo import ledger, stage
from agentspan.demo.agent import PROMPT, analyze_chunk, feedback_analyst
from agentspan.demo.stage import Model, Worker
from agentspan.errors import WorkerError
from agentspan.server import Progress, ServerState

DEADLY_CALL = 3
"""The worker dies during its third call of `analyze_chunk`."""

INTO_THE_CALL = 0.4
"""Seconds after which it dies: the tool is in the middle of its work."""

STANDING_STILL = 3.0
"""Seconds for which the run is shown without a worker."""

PATIENCE = 180.0
"""Seconds without any progress after which the demo gives up."""


class Narrator(Protocol):
    """Who tells the user what is going on."""

    def scene(self, title: str) -> None:
        """A new scene begins."""

    def tell(self, text: str) -> None:
        """Something happens."""

    def event(self, event: Event) -> None:
        """The run has come further."""

    def status(self, status: AgentStatus) -> None:
        """The run at one moment."""

    def progress(self) -> AbstractContextManager[Progress]:
        """The server is being made ready."""


@dataclass(frozen=True)
class Death:
    """How the first worker died.

    Attributes:
        pid: Its process.
        step: The step the run was at.
        tool: The tool it was calling.
        about: What the call was about.
        at: When, in seconds since 1970.
    """

    pid: int
    step: int
    tool: str
    about: str
    at: float


@dataclass(frozen=True)
class Summary:
    """What the demo showed.

    Attributes:
        execution_id: The run.
        model: The model.
        scripted: Whether that was the demo's script.
        steps: Steps the run took.
        report: The agent's answer.
        death: How the first worker died; None when the model asked for too few calls.
        seconds_to_go_on: From the kill until the next worker took the call up.
        calls: Every tool call, with its attempts.
        server_url: The server.
        data_dir: Its data.
        kept: Whether it is still running.
    """

    execution_id: str
    model: str
    scripted: bool
    steps: int
    report: str
    death: Death | None
    seconds_to_go_on: float | None
    calls: list[ledger.Call]
    server_url: str
    data_dir: Path
    kept: bool

    @property
    def repeated(self) -> list[ledger.Call]:
        """Calls that ran more than once."""
        return [call for call in self.calls if len(call.attempts) > 1]

    def to_json(self) -> dict[str, Any]:
        """The summary as JSON-able values."""
        ran = {"ran_once": len(self.calls) - len(self.repeated), "ran_twice": len(self.repeated)}
        return {**asdict(self), "data_dir": str(self.data_dir), **ran}


def play(folder: Path, model: Model, narrator: Narrator, *, keep: bool = False) -> Summary:
    """Play the demo.

    Args:
        folder: Where the demo's server keeps its data.
        model: The agent's model.
        narrator: Told everything as it happens.
        keep: Leave the server running.

    Raises:
        AgentspanError: The server cannot be started, or the run does not come to its end.
    """
    with stage.cleaned_up() as stack:
        stack.enter_context(stage.only_demo(folder))
        urls = stack.enter_context(stage.model_urls(model))
        with narrator.progress() as progress:
            state = stack.enter_context(stage.server(folder, urls, progress, keep=keep))
        narrator.tell(f"Conductor {state.version} is running at {state.url}, process {state.pid}.")
        return _Play(stack, state, model, narrator).perform(keep)


class _Play:
    """The run, its workers, and what the audience has seen of them."""

    def __init__(self, stack: ExitStack, state: ServerState, model: Model, narrator: Narrator) -> None:
        self._stack = stack
        self._state = state
        self._model = model
        self._narrator = narrator
        self._book = state.data_dir / "ledger.jsonl"
        self._book.unlink(missing_ok=True)
        self._log = state.data_dir / "worker.log"
        self._runtime = stack.enter_context(AgentRuntime(state.url, compat=False))
        self._events: queue.Queue[Event | Exception | None] = queue.Queue()
        self._over = False

    def perform(self, keep: bool) -> Summary:
        self._narrator.scene("An agent starts to work")
        first = self._worker("A")
        self._handle = self._start()
        death = self._kill_in_the_middle(first)
        gap = self._go_on(death) if death else None
        self._watch(lambda: False)
        result = self._handle.result(timeout=PATIENCE)
        return Summary(
            execution_id=self._handle.execution_id,
            model=self._model.name,
            scripted=self._model.scripted,
            steps=result.steps,
            report=result.output,
            death=death,
            seconds_to_go_on=gap,
            calls=ledger.calls(self._lines()),
            server_url=self._state.url,
            data_dir=self._state.data_dir,
            kept=keep,
        )

    def _worker(self, name: str) -> Worker:
        worker = Worker(self._state, self._model, self._book, self._log)
        self._stack.callback(worker.stop)
        self._narrator.tell(f"Worker {name} is process {worker.pid}: agentspan worker start {stage.WORKER_TARGET}")
        return worker

    def _start(self) -> AgentHandle:
        agent = replace(feedback_analyst, model=self._model.name)
        handle = self._runtime.start(agent, PROMPT, serve=False)
        self._narrator.tell(f"STARTED  execution_id={handle.execution_id}")
        threading.Thread(target=self._follow, args=[handle], daemon=True).start()
        return handle

    def _follow(self, handle: AgentHandle) -> None:
        try:
            for event in handle.stream():
                self._events.put(event)
        except AgentspanError as error:
            self._events.put(error)
        finally:
            self._events.put(None)

    def _watch(self, until: Callable[[], bool]) -> None:
        """Narrate the run until something holds, or the run is over."""
        deadline = time.monotonic() + PATIENCE
        while not self._over and not until():
            try:
                event = self._events.get(timeout=0.05)
            except queue.Empty:
                if time.monotonic() > deadline:
                    raise WorkerError("The run has not come further.", hint=f"See {self._log}.") from None
                continue
            deadline = time.monotonic() + PATIENCE
            if isinstance(event, Exception):
                raise event
            self._over = event is None
            if event is not None:
                self._narrator.event(event)

    def _kill_in_the_middle(self, worker: Worker) -> Death | None:
        self._watch(lambda: self._deadly_call(worker) is not None)
        self._watch(_in(INTO_THE_CALL))
        line = self._deadly_call(worker)
        if line is None:
            self._narrator.tell("The model asked for too few calls: nothing was killed.")
            return None
        step = self._handle.get_status().step
        worker.kill()
        died = time.time()
        self._narrator.scene("Its worker is killed")
        self._narrator.tell(f"kill -9 {worker.pid}")
        self._narrator.tell(f"Worker A is gone, in the middle of {line.tool} ({line.about}). The run stands there:")
        for _ in range(round(STANDING_STILL)):
            self._watch(_in(1.0))
            self._narrator.status(self._handle.get_status())
        return Death(worker.pid, step, line.tool, line.about, died)

    def _lines(self) -> list[ledger.Line]:
        return ledger.read(self._book, self._handle.execution_id)

    def _deadly_call(self, worker: Worker) -> ledger.Line | None:
        """The call during which the worker is to die, while it runs."""
        if not worker.alive:
            raise WorkerError("The first worker ended by itself.", hint=f"See {self._log}.")
        lines = self._lines()
        begun = [line for line in lines if line.mark == "start" and line.tool == analyze_chunk.name]
        running = [line for line in ledger.in_flight(lines) if line.tool == analyze_chunk.name]
        return running[-1] if len(begun) >= DEADLY_CALL and running else None

    def _go_on(self, death: Death) -> float:
        self._narrator.scene("Another worker takes over")
        second = self._worker("B")
        self._watch(lambda: self._first_line_of(second) is not None)
        line = self._first_line_of(second)
        if line is None:
            raise WorkerError("The second worker got nothing to do.", hint=f"See {self._log}.")
        gap = line.at - death.at
        self._narrator.tell(
            f"Worker B has taken up {line.tool} ({line.about}), {gap:.1f} s after the kill: "
            f"attempt {line.attempt}, in step {death.step}, where the run was."
        )
        return gap

    def _first_line_of(self, worker: Worker) -> ledger.Line | None:
        return next((line for line in self._lines() if line.pid == worker.pid), None)


def _in(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end
