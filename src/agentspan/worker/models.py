"""Calling the models of agents in this worker: the transcript of each run, and the plan of its next turn."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from agentspan.declare.agent import Agent
from agentspan.declare.places import why_called
from agentspan.declare.tool import Tool, tool
from agentspan.engine.client import Conductor
from agentspan.errors import NotFound, ServerError, ToolFailed
from agentspan.reading.run import StoredSegment, is_skipped, turns_of
from agentspan.schema.values import MAX_BYTES
from agentspan.stored.names import TURNS_PER_SEGMENT, tool_reference
from agentspan.stored.plan import Plan
from agentspan.stored.request import ModelInput, ModelRequest, Part
from agentspan.stored.state import CHANGED, STATE
from agentspan.stored.summary import DUE
from agentspan.stored.usage import added
from agentspan.worker import hooks
from agentspan.worker.answer import Answer, check_installed, provider
from agentspan.worker.branch import begun
from agentspan.worker.call import Call, ModelUncalled
from agentspan.worker.callers import Callers
from agentspan.worker.entering import counted, entered, let_in, looking, once_passed, to_ask, turned_away
from agentspan.worker.fallback import first_answer
from agentspan.worker.guards import Means
from agentspan.worker.instructions import asked_with, with_the_call
from agentspan.worker.last_turn import last_turn
from agentspan.worker.outbox import pause_after
from agentspan.worker.output import Output, refuse_another, typed_plan
from agentspan.worker.required import missing, required_plan
from agentspan.worker.stored_turns import before, exchange_of, prompt_of, who
from agentspan.worker.summaries import summarised
from agentspan.worker.tokens import Listeners, Telling
from agentspan.worker.too_long import TooLong
from agentspan.worker.transcript import Exchange, LeftOut, Transcript
from agentspan.worker.unmade import planned_call, why_ended

log: logging.Logger = logging.getLogger("agentspan.worker")

Json = dict[str, Any]

KEPT = 256
"""Runs whose transcripts are kept."""

KEPT_CHARS = 200_000_000
"""Characters of all transcripts that are kept."""


def model() -> None:
    """Call the model."""


def model_tool(agent: Agent) -> Tool[..., Any]:
    """What stands for an agent's model among the tools that a worker serves.

    Raises:
        ConfigError: The extra `models` is not installed.
    """
    check_installed(why_called(agent))
    return tool(model, retry=agent.model_retry)


_MODELS = 100
"""More than the models of one agent."""


class Models:
    """Makes the model calls of a worker host.

    Args:
        client: The server.
        worker_id: What the server calls this host.
        recall: What this host has reported of a call, by its run, step and reference name; None when it is not kept.
        callers: Are told whose call a run is that is read.
        listeners: Who wants to know what models say while they say it.
    """

    def __init__(
        self,
        client: Conductor,
        worker_id: str,
        recall: Callable[[str, int, str], Json | None],
        callers: Callers,
        listeners: Listeners,
    ) -> None:
        self._client = client
        self._listeners = listeners
        self._worker_id = worker_id
        self._recall = recall
        self._callers = callers
        self._kept: OrderedDict[str, Transcript] = OrderedDict()
        self._lock = threading.Lock()

    def answer(self, call: Call, means: Means) -> Awaitable[Json]:
        """The plan of a turn; what has to be read for it is read now, the model is asked when it is awaited."""
        given = ModelInput.of(call.task.input_data)
        transcript = self._known(given)
        # What the agents have used that were called in the turn before counts from here on.
        given = replace(given, usage=added((given.usage, *transcript.used())))
        crew, output = call.served.crew, call.served.output
        beside: Json = {}
        if crew is not None:
            beside = means.wait(crew.begin(transcript, given.steps + given.turn))
            call.member, output = call.served.members[transcript.agent], crew.outputs[transcript.agent]
        guards = to_ask(call, transcript)
        entry = entered(call, guards, transcript, means)
        if entry is not None and entry.refused is not None:
            away = _ready(turned_away(call, given, beside, entry))
            return away if crew is None else crew.end(away, transcript)
        if entry is not None:
            given, beside = replace(given, usage=counted(given, entry)), beside | let_in(entry)
        begins = not transcript.exchanges or transcript.agent != transcript.exchanges[-1].agent
        hooks.before_model(call, means.wait, begins=begins)
        beside |= with_the_call(call, transcript, means.wait)
        asked_with(transcript, beside)
        telling = self._telling(call, transcript.request)
        planned = self._turn(call, given, transcript, output, beside, telling)
        look = looking(call, guards, transcript, means)
        planned = planned if look is None else once_passed(planned, look, call, given, beside, telling)
        return planned if crew is None else crew.end(planned, transcript)

    def summary(self, call: Call) -> Awaitable[Json]:
        """A summary of what the model is not shown any more; what has to be read for it is read now."""
        transcript, asks = self._known(ModelInput.of(call.task.input_data)), provider()

        async def ask(request: ModelRequest, message: Json) -> Answer:
            return await asks.ask(request, (message,), (), LeftOut(), None)

        return summarised(transcript, ask, call.lost_tokens, last=call.is_last)

    def _turn(
        self,
        call: Call,
        given: ModelInput,
        transcript: Transcript,
        output: Output | None,
        beside: Json,
        telling: Telling | None,
    ) -> Awaitable[Json]:
        asks = provider()
        refuse_another(transcript.request.output, output)
        last = last_turn(call, transcript, given)
        if transcript.stopped and not given.usage:  # the turn before was passed over, and hands nothing on
            given = replace(given, usage=transcript.usage)
        summed = () if given.summary is None else (given.summary.tokens,)
        given = replace(given, usage=added((given.usage, *summed, *call.lost_tokens)))
        if transcript.is_long():
            beside = {**beside, "summarise": DUE}

        async def ask(request: ModelRequest) -> Answer:
            hear = None if telling is None else telling.again()
            left_out = LeftOut(transcript.left_out(), transcript.summary)
            said = transcript.exchanges[left_out.count :]
            if last is None:
                return await asks.ask(request, transcript.opening, said, left_out, hear)
            answer = await asks.ask(last.asked(request), transcript.opening, [*said, last.exchange], left_out, hear)
            return replace(answer, calls=last.calls(answer.calls))

        async def ask_for_less(request: ModelRequest) -> Answer:
            try:
                return await ask(request)
            except ModelUncalled as error:
                raise ToolFailed(f"{error} {call.whose.why}".rstrip()) from error
            except TooLong as error:
                if not transcript.cut():
                    raise
                log.warning("%s: %s It is asked again with less of the conversation.", call, error)
                return await ask(request)

        planned = _planned_turn(transcript.request, given, ask_for_less, telling)
        checked = planned if output is None else _typed(planned, transcript, output)
        lacking = missing(transcript) if last is None or last.reason == "max_turns" else ()
        if lacking:
            checked = required_plan(checked, transcript, lacking)
        ended = checked if last is None else last.ended(checked)
        ended = ended if transcript.lent is None else _given_back(ended, transcript)
        return _beside(ended, beside) if beside else ended

    def _telling(self, call: Call, request: ModelRequest) -> Telling | None:
        execution_id, listeners = call.given.execution_id, self._listeners
        wanted = listeners.are_here(execution_id) or listeners.are_elsewhere(call.task.task_def_name)
        if not (wanted or request.settings.get("stream")):
            return None
        return Telling(call.task, execution_id, _MODELS * call.attempt, listeners)

    def _known(self, given: ModelInput) -> Transcript:
        trouble = 0
        while True:
            try:
                return self._transcript(given)
            except NotFound:
                raise
            except ServerError as error:
                log.debug("The transcript of %s cannot be read yet: %s", given.execution_id, error)
                trouble = pause_after(trouble)

    def _transcript(self, given: ModelInput) -> Transcript:
        with self._lock:
            kept = self._kept.pop(given.execution_id, None)
        found = kept if kept is not None and self._goes_on(kept, given) else self._read(given)
        found.take(given.summary)
        with self._lock:
            self._kept[given.execution_id] = found
            while len(self._kept) > 1 and self._is_much():
                self._kept.popitem(last=False)
        return found

    def _is_much(self) -> bool:
        return len(self._kept) > KEPT or sum(each.chars for each in self._kept.values()) > KEPT_CHARS

    def _goes_on(self, kept: Transcript, given: ModelInput) -> bool:
        """Add the turn before this one, where the others are known."""
        if len(kept.exchanges) == given.steps + given.turn - 1 and kept.segment == given.segment:
            return True  # the same call, once more
        if given.turn == 1:
            # The last turn of the segment before.
            return len(kept.exchanges) == given.steps - 1 and self._add(kept, given.steps, given)
        step = given.steps + given.turn
        return len(kept.exchanges) == step - 2 and self._add(kept, step - 1, given)

    def _add(self, kept: Transcript, step: int, given: ModelInput) -> bool:
        known = self._recalled(step, given)
        if known is not None:
            kept.add(known)
            kept.move_to(given)
            return True
        tasks = self._client.tasks(kept.segment, kept.read)
        turns = [turn for turn in turns_of(tasks, step - kept.turn - 1) if turn.step == step]
        if not turns or turns[0].plan is None:
            return False
        kept.add(exchange_of(turns[0]))
        kept.read += before(tasks, given.turn)
        kept.move_to(given)
        return True

    def _recalled(self, step: int, given: ModelInput) -> Exchange | None:
        """The turn before, where this worker has made all its calls itself and has not forgotten them."""
        if given.model_by != self._worker_id:
            return None
        turn = given.turn - 1 or TURNS_PER_SEGMENT
        said = self._recall(given.execution_id, step, f"llm_{turn}")
        if said is None:
            return None
        result = said["outputData"]["result"]
        plan = Plan.of(result)
        if plan.mode != "one" or given.tool_by != self._worker_id:
            return None
        told = self._recall(given.execution_id, step, tool_reference(turn))
        return None if told is None else Exchange.of(result, ((plan.calls[0], told["outputData"]),), **who(plan))

    def _read(self, given: ModelInput) -> Transcript:
        """Read the whole run: no worker of this process has made its last call."""
        alone = given.segment == given.execution_id  # the run of an agent without tools has no segments
        run = self._client.workflow(given.execution_id, tasks=alone)
        self._callers.learn(run)
        request = ModelRequest.of(run.workflow_definition["metadata"], run.workflow_version)
        segments = [StoredSegment.of(run)] if alone else self._segments(given.segment)
        beginning = (*(run.input.get("messages") or ()), prompt_of(run.input, segments[0].verdict))
        found = Transcript(request, beginning, segment=given.segment, turn=given.turn - 1, crew=request.agents)
        found.lent = run.input.get(STATE)
        for segment in segments:
            for turn in segment.turns:
                if turn.step < given.steps + given.turn:
                    found.take(turn.summary)
                    found.add(exchange_of(turn))
                    found.usage = turn.plan.usage if turn.plan is not None else found.usage
            found.read = before(segment.record.tasks, given.turn)
        found.stopped = any(is_skipped(task) for segment in segments for task in segment.record.tasks)
        return found

    def _segments(self, newest: str) -> list[StoredSegment]:
        found: list[StoredSegment] = []
        current: str | None = newest
        while current is not None:
            found.append(StoredSegment.of(self._client.workflow(current)))
            current = found[-1].given.previous
        return found[::-1]


async def _planned_turn(
    request: ModelRequest,
    given: ModelInput,
    ask: Callable[[ModelRequest], Awaitable[Answer]],
    telling: Telling | None,
) -> Json:
    try:
        answer, passed_over = await first_answer(request, ask)
    finally:
        if telling is not None:
            telling.end()
    passed = [each.to_json() for each in passed_over]
    used = added((answer.usage, *(each.tokens for each in passed_over if each.tokens)))
    return plan(request, given, replace(answer, usage=used)) | ({"passed_over": passed} if passed else {})


async def _given_back(planned: Awaitable[Json], transcript: Transcript) -> Json:
    """An answer with what its run has changed of the state that it was lent."""
    found = await planned
    return {**found, CHANGED: transcript.changed} if found["mode"] == "done" else found


async def _ready(planned: Json) -> Json:
    return planned


async def _beside(planned: Awaitable[Json], beside: Json) -> Json:
    return {**await planned, **beside}


async def _typed(planned: Awaitable[Json], transcript: Transcript, output: Output) -> Json:
    rejected = transcript.rejected()
    found = await planned
    return typed_plan(found, output, rejected, found["step"] >= transcript.request.max_turns)


def plan(request: ModelRequest, given: ModelInput, answer: Answer) -> Json:
    """What comes next, as the turn's route and readers take it."""
    step = given.steps + given.turn
    calls = [planned_call(request, answer, call) for call in answer.calls]
    known = [place for place, call in enumerate(calls) if call["task"] is not None]
    over = bool(calls) and step >= request.max_turns
    mode = "done"
    if calls and not over:
        forked = len(calls) > 1 or calls[0]["name"] in request.limited
        mode = "none" if not known else "many" if forked else "one"
        if mode == "many" and len(calls) == 1 and _is_alone(request.parts.get(calls[0]["name"])):
            mode = "ask"
    max_bytes = MAX_BYTES // max(1, len(known))
    found: Json = {
        "mode": mode,
        "step": step,
        "text": answer.text,
        "finish_reason": "max_turns" if over else why_ended(answer.finish_reason, said=bool(calls or answer.text)),
        "calls": calls,
        "max_bytes": max_bytes,
        "usage": added((given.usage, answer.usage)),
        "tokens": answer.usage,
        "model": answer.model,
        "message": answer.message,
    }
    if mode == "ask":
        return {**found, "workflow": request.parts[calls[0]["name"]].workflow}
    return {**found, **_fork(request, given, calls, known, step, max_bytes)} if mode == "many" else found


def _is_alone(part: Part | None) -> bool:
    """Whether a call is begun without a fork, where it is its turn's only one."""
    return part is not None and bool(part.alone)


def _fork(
    request: ModelRequest, given: ModelInput, calls: list[Json], known: list[int], step: int, max_bytes: int
) -> Json:
    fork, inputs = [], {}
    for place in known:
        reference = f"{tool_reference(given.turn)}_{place + 1}"
        planned = f"llm_{given.turn}.output.result.calls[{place}]"
        # By reference only: the fork expands templates in its inputs, and text from a model is data.
        of_call = {
            "args": f"${{{planned}.args}}",
            "call_id": f"${{{planned}.id}}",
            "step": step,
            "execution_id": given.execution_id,
            "max_bytes": max_bytes,
        } | ({STATE: f"${{llm_{given.turn}.output.result.{STATE}}}"} if request.state else {})
        part = request.parts.get(calls[place]["name"])
        kind = {"name": calls[place]["task"], "type": "SIMPLE", "optional": True}
        if part is not None:
            kind, of_call = begun(part, request.version, reference, of_call)
        fork.append({**kind, "taskReferenceName": reference})
        inputs[reference] = of_call
    return {"fork": fork, "fork_inputs": inputs}
