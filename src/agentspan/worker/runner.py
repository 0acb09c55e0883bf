"""Running a call: each in a thread of its own, which waits there for what an asynchronous tool awaits on the loop."""

from __future__ import annotations

import inspect
import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from agentspan import forks
from agentspan.declare.agent import Agent
from agentspan.declare.content import without_forged
from agentspan.declare.guardrail import Guardrail, Position
from agentspan.engine.client import Conductor
from agentspan.engine.records import WorkflowRecord
from agentspan.errors import NotFound, RetryTool, ServerError
from agentspan.reading.pool import Pools
from agentspan.schema.arguments import ArgumentError
from agentspan.schema.values import to_jsonable
from agentspan.stored.guard import Guarded
from agentspan.stored.names import CREW
from agentspan.stored.output import ANSWERED_BY, CheckInput
from agentspan.telemetry.calls import CallTelemetry
from agentspan.worker import approval, hooks
from agentspan.worker.attempts import look_back
from agentspan.worker.call import (
    FINAL,
    Call,
    Json,
    PutOff,
    completed,
    failed,
    put_off,
    raised,
    text_of,
    timed_out,
)
from agentspan.worker.callers import Callers
from agentspan.worker.credentials import handed_to
from agentspan.worker.guard_model import ruling
from agentspan.worker.guards import Means, arguments, entered, found_by, let_through
from agentspan.worker.instructions import before_the_first_turn
from agentspan.worker.loop import ToolLoop
from agentspan.worker.models import Models
from agentspan.worker.other_versions import is_another, is_another_of_crew, mismatched
from agentspan.worker.outbox import Outbox, pause_after
from agentspan.worker.output import checked
from agentspan.worker.pool import looked
from agentspan.worker.state import guardrail_context
from agentspan.worker.tokens import Listeners

log: logging.Logger = logging.getLogger("agentspan.worker")


class Runner:
    """Runs calls and gives what came of them to the outbox.

    Args:
        client: The server.
        worker_id: What the server calls this host.
        outbox: Takes the outcomes.
        callers: Know whose call a run is.
        telemetry: Is told when a call begins.
        listeners: Who wants to know what models say while they say it.
        on_end: Called when a call has been reported.
    """

    def __init__(
        self,
        client: Conductor,
        worker_id: str,
        outbox: Outbox,
        callers: Callers,
        telemetry: CallTelemetry,
        listeners: Listeners,
        on_end: Callable[[Call], None],
    ) -> None:
        self._client = client
        self._worker_id = worker_id
        self._outbox = outbox
        self._telemetry = telemetry
        self._on_end = on_end
        self._loop = ToolLoop()
        self._models = Models(client, worker_id, outbox.recall, callers, listeners)
        pools = Pools(client)
        self._makers: dict[str | None, Callable[[Call], Any]] = {
            "summary": self._models.summary,
            "pool": lambda call: looked(client, pools, call),
        }
        self._model_loop = ToolLoop()  # which no tool can hold
        self._pid = os.getpid()

    def run(self, call: Call) -> None:
        """Begin a call."""
        call.thread = _in_thread(call, lambda: self._serve(call))

    def report_again(self, call: Call, outcome: Json) -> None:
        """Give the server an outcome that it did not take when it was first told."""
        call.thread = _in_thread(call, lambda: self._finish(call, outcome))

    def look(self, call: Call) -> None:
        """End a call that has met its tool's time limit, or whose thread is gone; called now and then."""
        limit = call.served.tool.timeout
        if call.thread is not None and not call.thread.is_alive():
            call.thread = _in_thread(call, lambda: self._outbox.report(call))
        elif limit is not None and time.monotonic() - call.started > limit and not call.finished.is_set():
            call.lost.set()
            outcome = raised(call, timed_out(call))
            try:
                _in_thread(call, lambda: self._finish(call, outcome))
            except RuntimeError:  # the interpreter ends, and starts no thread any more
                self._finish(call, outcome)

    def look_at_loop(self) -> None:
        """Replace an event loop that a tool holds; called now and then."""
        self._loop.look()

    def stop(self) -> None:
        """End the event loop; what is left on it is cancelled."""
        self._loop.stop()
        self._model_loop.stop()

    def _serve(self, call: Call) -> None:
        try:
            outcome = self._outcome(call)
        except _Broken:
            self._outbox.give_up(call)
            return
        except BaseException as error:  # noqa: BLE001 - whatever goes wrong, the server waits for a report
            outcome = failed(call, f"{type(error).__name__}: {text_of(error)}", final=True)
        self._finish(call, outcome)

    def _outcome(self, call: Call) -> Json:
        look_back(self._client, call)
        self._telemetry.begins(call)
        try:
            return completed(call, self._value(call))
        except PutOff as later:
            return put_off(call, later)
        except ArgumentError as error:
            return self._unfit(call, error)
        except BaseException as error:
            if self._outbox.stopping and _is_of_the_end(error):
                raise _Broken from error
            return self._raised(call, error)

    def _value(self, call: Call) -> Any:
        def wait(awaitable: Awaitable[Any]) -> Any:
            return self._loop.result(call, awaitable)

        hooks.before(call, wait)
        try:
            value = self._made(call)
        except Exception as error:
            hooks.after_failure(call, error, wait)
            raise
        hooks.after(call, value, wait)
        return value

    def _made(self, call: Call) -> Any:
        with self._telemetry.running(call):
            guards, asks = call.served.tool.guards, call.given.asks
            before = tuple(guard for guard in guards(Position.INPUT) if guard.name not in asks)  # a person has decided
            args = self._guarded(call, before, call.given.args, "The call was", arguments)
            value = without_forged(self._waited(call, self._invoked(call, args)))
            return self._guarded(call, guards(Position.OUTPUT), value, "The call was made, and its result was")

    def _guarded(
        self,
        call: Call,
        guards: tuple[Guardrail, ...],
        value: Any,
        what: str,
        plain: Callable[[Any], Any] = to_jsonable,
    ) -> Any:
        """What a tool's guardrails let through of a call's arguments, or of its result."""
        if not guards:
            return value
        shown = call.credentials.masked(to_jsonable(value))  # they may ask a model, and quote what they saw
        found = found_by(guards, shown, self._means(call), plain=plain)
        call.note(found.guards)
        call.asks = [told for guard, told in found.asks if guard.name in call.given.asks]
        # In a run of a version in which nobody is asked, the model is told.
        found.sent_back += [each for each in found.asks if each[0].name not in call.given.asks]
        return let_through(found, what)

    def _refusing(self, call: Call, guards: Sequence[Guardrail], args: Json) -> list[Guarded]:
        """The guardrails of a tool that refuse a call, of those by which a person is asked before it."""
        found = found_by(guards, args, self._means(call))
        call.note(found.guards)
        return [told for _, told in found.asks]

    def _means(self, call: Call) -> Means:
        return Means(
            wait=lambda awaitable: self._waited(call, awaitable),
            ask=lambda guard, text: call.counting(self._model_loop.result(call, ruling(guard, text))),
            context=lambda: guardrail_context(call),
        )

    def _waited(self, call: Call, value: Any) -> Any:
        if not inspect.isawaitable(value):
            return value
        try:
            loop = self._model_loop if call.served.is_model else self._loop
            return loop.result(call, value)
        except TimeoutError as error:
            if call.served.tool.timeout is not None and time.monotonic() - call.started > call.served.tool.timeout:
                raise timed_out(call) from error
            raise

    def _invoked(self, call: Call, args: Json) -> Any:
        error: BaseException | None = None
        try:
            if call.task.kind == "llm":
                means = replace(self._means(call), wait=lambda awaitable: self._loop.result(call, awaitable))
                return self._models.answer(call, means)
            if call.task.kind in self._makers:
                return self._makers[call.task.kind](call)
            if call.task.kind == "instructions":
                return before_the_first_turn(call, lambda awaitable: self._waited(call, awaitable))
            if call.task.kind == "input":
                return entered(call.served.guards, call.task.input_data, self._means(call), call.lost_tokens)
            if call.task.kind == "output" and call.served.output is not None:
                given = CheckInput.of(call.task.input_data).after(call.lost_tokens)
                output = call.served.output
                if call.served.crew is not None:
                    output, given = call.served.crew.output(output, given, call.task.input_data[ANSWERED_BY])
                return checked(output, given, call.given.execution_id, self._means(call))
            if call.served.of is not None:
                return self._of_request(call, call.served.of)
            call.credentials = handed_to(call.served, self._client.settings.credentials)
            return call.served.tool.invoke(args, call.tool_context())
        except BaseException as raised_:
            error = raised_
            raise
        finally:
            if os.getpid() != self._pid:  # the tool has forked, and this is the child
                forks.end_child(error)

    def _of_request(self, call: Call, agent: Agent[Any]) -> Any:
        """The check before a person is asked, or a notice of the request."""
        given = call.task.input_data
        if "request" in given and agent.on_request is not None:
            return approval.told(self._client, agent.on_request, given["request"])
        return approval.checked(
            {tool.name: tool for tool in agent.tools},
            given,
            lambda guards, args: self._refusing(call, guards, args),
            lambda awaitable: self._waited(call, awaitable),
        )

    def _raised(self, call: Call, error: BaseException) -> Json:
        outcome = raised(call, error)
        try:
            if isinstance(error, FINAL):
                log.info("%s failed for good: %s", call, text_of(error))
            elif isinstance(error, RetryTool):  # nobody's code is at fault
                log.warning("%s failed in attempt %d: %s", call, call.attempt, text_of(error))
            else:
                log.warning("%s raised in attempt %d", call, call.attempt, exc_info=error)
        except Exception:  # noqa: BLE001, S110 - a log that fails on it must not take the report along
            pass
        return outcome

    def _finish(self, call: Call, outcome: Json) -> None:
        if self._outbox.finish(call, outcome):
            self._outbox.hasten(call)
            self._on_end(call)

    def _unfit(self, call: Call, error: ArgumentError) -> Json:
        """The model's mistake, unless it was shown other parameters than the tool has that is served here."""
        trouble = 0
        while True:
            try:
                segment = self._client.workflow(call.task.workflow_instance_id, tasks=False)
                another = self._is_another(call, segment)
            except NotFound:
                return self._raised(call, error)
            except ServerError as away:
                log.debug("What the model was shown for %s cannot be read yet: %s", call, away)
                trouble = pause_after(trouble)
                continue
            if not another:
                return self._raised(call, error)
            log.warning("%s is left to a worker with version %d of the agent", call, segment.workflow_version)
            return mismatched(call, segment.workflow_version, error, self._worker_id)

    def _is_another(self, call: Call, segment: WorkflowRecord) -> bool:
        """Whether the run knows another version of what is served here."""
        if call.task.kind == "tool" and CREW in segment.workflow_definition.get("metadata", {}):
            return is_another_of_crew(self._client.workflow(call.given.execution_id, tasks=False), call.served)
        return segment.workflow_version != call.served.version and is_another(segment, call.served.tool)


class _Broken(Exception):
    """The end of the interpreter broke the call: that is no attempt of its tool."""


_OF_THE_END = ("can't create new thread at interpreter shutdown", "cannot schedule new futures after", "can't fork at")


def _is_of_the_end(error: BaseException | None) -> bool:
    """Whether a tool could not have a thread or a process any more (CPython 3.12.0 to 3.12.2 and, late, any)."""
    while error is not None:
        if isinstance(error, RuntimeError) and str(error).startswith(_OF_THE_END):
            return True
        error = error.__cause__ or error.__context__
    return False


def _in_thread(call: Call, target: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=target, name=f"agentspan-{call.served.tool.name}", daemon=True)
    thread.start()
    return thread
