"""Which tools serve a call: those its run was started with here, or those that are served by name."""

from __future__ import annotations

import operator
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any

from agentspan.declare.agent import Agent
from agentspan.declare.guardrail import LLMGuardrail, RegexGuardrail
from agentspan.declare.instructions import StateTemplate
from agentspan.schema.arguments import innermost
from agentspan.stored.names import model_task_name
from agentspan.stored.status import ENDED
from agentspan.worker.call import Served
from agentspan.worker.served import served_by

KEPT = 512
"""Runs whose tools are kept without asking whether they are over."""

ASKED = 64
"""Runs that are asked about at a time, when there are more."""

Queues = Mapping[str, Served]


@dataclass
class _Start:
    """A start that is on its way: its run may have calls before its id is known here."""

    agents: frozenset[str]
    over: threading.Event = field(default_factory=threading.Event)


class Roster:
    """The tools of a worker host: by name, and for each run that this process has started.

    A tool may hold values of the one run it was made for: the user whom a web request came from, say. So it serves that
    run, and no other: a run of another process gets what was served by name, or a function that holds nothing.
    """

    def __init__(self) -> None:
        self._by_name: dict[str, Served] = {}
        self._anybody: dict[str, Served] = {}
        self._queues: dict[str, Served] = {}
        self._runs: OrderedDict[str, Queues] = OrderedDict()
        self._starts: list[_Start] = []
        self._lock = threading.Lock()

    def serve(self, agent: Agent[Any], versions: Mapping[str, int]) -> None:
        """Let an agent's tools serve the calls of any run, from now on."""
        with self._lock:
            self._by_name |= self._added(agent, versions)

    @contextmanager
    def starting(self, agent: Agent[Any], versions: Mapping[str, int]) -> Iterator[Callable[[str], None]]:
        """A start of a run of the agent; what it gives is to be called with the run's id."""
        start = _Start(frozenset(versions))
        with self._lock:
            tools = self._added(agent, versions)
            self._anybody |= {name: served for name, served in tools.items() if is_anybodys(served)}
            self._starts.append(start)

        def started(execution_id: str) -> None:
            with self._lock:
                self._runs.setdefault(execution_id, tools)

        try:
            yield started
        finally:
            with self._lock:
                self._starts.remove(start)
            start.over.set()

    def _added(self, agent: Agent[Any], versions: Mapping[str, int]) -> dict[str, Served]:
        tools = served_by(agent, versions)
        self._queues |= tools
        return tools

    def queues(self) -> list[str]:
        """The queues to poll."""
        with self._lock:
            return list(self._queues)

    def model_queues(self) -> list[str]:
        """Those of the models that are called here."""
        with self._lock:
            return [name for name, served in self._queues.items() if served.is_model]

    @property
    def all_expected(self) -> bool:
        """Whether a report from here comes before each call: no agent's model is called by the server."""
        with self._lock:
            return all(model_task_name(served.agent) in self._queues for served in self._queues.values())

    def served(self) -> Queues:
        """The newest tool of each queue."""
        with self._lock:
            return dict(self._queues)

    def in_queue(self, name: str) -> Served:
        """The newest tool of a queue, for what only asks whose it is."""
        with self._lock:
            return self._queues[name]

    def agents(self) -> list[str]:
        """Whose tools are here."""
        with self._lock:
            return sorted({served.agent for served in self._queues.values()})

    def of(self, name: str, execution_id: str) -> Served | None:
        """What serves a run's call; None when nothing here may."""
        with self._lock:
            of_run = self._runs.get(execution_id)
            if of_run is not None and name in of_run:
                return of_run[name]
            return self._by_name.get(name) or self._anybody.get(name)

    def pending_starts(self, name: str, execution_id: str) -> list[threading.Event]:
        """Ends of the starts whose run this may be; none when it is known."""
        with self._lock:
            if execution_id in self._runs:
                return []
            agent = self._queues[name].agent
            return [start.over for start in self._starts if agent in start.agents]

    def oldest(self) -> list[str]:
        """Runs that may be over and need not be kept; none while there are few."""
        with self._lock:
            return list(self._runs)[:ASKED] if len(self._runs) > KEPT else []

    def is_now(self, execution_id: str, status: str | None) -> None:
        """Forget a run that is over; None for one that the server no longer has. One that failed may be retried."""
        with self._lock:
            if execution_id not in self._runs:
                return
            many = len(self._runs) > 4 * KEPT
            if status is None or status == "COMPLETED" or (many and status in ENDED):
                del self._runs[execution_id]
            else:
                self._runs.move_to_end(execution_id)


def is_anybodys(served: Served) -> bool:
    """Whether a tool, and all functions beside it, are the same whoever makes them, so that they may serve any run."""
    asked = (served, *served.members.values())
    if any(each.dependencies is not None or each.hooks for each in asked):
        return False
    return all(map(holds_nothing, _functions(served))) and all(map(holds_nothing, _functions_of_people(served.of)))


def _functions(served: Served) -> Iterator[Callable[..., Any]]:
    """What is called where the tool is: itself, guardrails, and what gives instructions, hands over and ends a run."""
    yield served.asks or served.tool.function
    answers = () if served.output is None or served.is_model else served.output.guards
    for guard in (*served.tool.guardrails, *served.guards, *answers):
        if not isinstance(guard, RegexGuardrail | LLMGuardrail):
            yield guard.func
    for each in (served, *served.members.values()):
        if each.instructions is not None and not isinstance(each.instructions, StateTemplate):
            yield each.instructions
        if each.termination is not None:
            yield from each.termination.functions
    if served.crew is not None and served.is_model:
        yield from served.crew.functions


def _functions_of_people(agent: Agent[Any] | None) -> Iterator[Callable[..., Any]]:
    """What says whether a person is asked about a call, and tells somebody of it."""
    if agent is None:
        return
    if agent.on_request is not None:
        yield agent.on_request
    for each in agent.tools:
        if each.approval is not None and each.approval.when is not None:
            yield each.approval.when


def holds_nothing(function: Callable[..., Any]) -> bool:
    """Whether a function is the same whoever makes it: it stands in a module, or has no values around it."""
    if not isinstance(function, FunctionType):  # a bound method, a partial, an object that can be called
        return False
    if _stands_in_its_module(function):
        return True
    is_plain = innermost(function) is function
    return is_plain and not (function.__closure__ or function.__defaults__ or function.__kwdefaults__)


def _stands_in_its_module(function: FunctionType) -> bool:
    try:
        found = operator.attrgetter(function.__qualname__)(sys.modules[function.__module__])
    except (KeyError, AttributeError):
        return False
    # `@tool` and `@guardrail` have replaced it there.
    return any(each is function for each in (found, getattr(found, "function", None), getattr(found, "func", None)))
