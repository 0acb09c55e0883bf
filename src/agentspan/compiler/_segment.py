"""A segment: eight turns side by side. A turn is a model call, the plan, the tools and the exchange they add."""

from __future__ import annotations

from agentspan.compiler import _tasks as t
from agentspan.compiler._guard import kept, segment_entry, stop, usage_after
from agentspan.compiler._instructions import segment_instructions, segment_text, told
from agentspan.compiler._model import model_call
from agentspan.compiler._output import (
    passed_on,
    rejected_before,
    sent_back,
    server_checks,
    server_refused,
    server_unfit,
)
from agentspan.compiler._part import has_parts, has_requests, of_ask, plan_inputs, waits_for_people
from agentspan.compiler._plan import answer_of, counts_before, failed, finish, plan
from agentspan.compiler._tasks import Json, ref
from agentspan.compiler._workflow import MAX_TRANSCRIPT, open_task, workflow
from agentspan.declare.agent import Agent
from agentspan.stored.inputs import SEGMENT_INPUT
from agentspan.stored.lease import LEASE
from agentspan.stored.names import OWNER, TURNS_PER_SEGMENT, ask_reference, segment_name, tool_reference

MAX_PASSED_ON = 7_800_000
"""Bytes a segment may leave to the next one: its input holds them, and the instructions and tools."""

_TRANSCRIPT = "$[{}].output.result.messages[*]"
"""JsonPath of the messages of several tasks as one list; tasks that have not run are passed over."""


def segment(agent: Agent) -> Json:
    opened = open_task(agent, "The transcript this segment begins with.", ref("workflow.input.programs.open"))
    tasks = [*segment_entry(agent), *segment_instructions(agent), opened]
    for turn in range(1, TURNS_PER_SEGMENT + 1):
        tasks += _turn(agent, turn)
    last = TURNS_PER_SEGMENT
    return workflow(
        agent,
        segment_name(agent.name),
        f"{TURNS_PER_SEGMENT} turns of the agent {agent.name}.",
        tasks,
        inputParameters=[
            *SEGMENT_INPUT,
            *passed_on(agent, last),
            *(["parts"] if has_parts(agent) else []),
            *kept(agent),
            *told(agent),
        ],
        outputParameters=_passed_on(agent, last),
    )


def transcript_path() -> str:
    made_by = ["open", *(f"exchange_{turn}" for turn in range(1, TURNS_PER_SEGMENT + 1))]
    return _TRANSCRIPT.format(",".join(f"'{task}'" for task in made_by))


def _passed_on(agent: Agent, turn: int) -> Json:
    """What a segment that ends after `turn` leaves to the next one."""
    return {
        "transcript": {
            "messages": _MESSAGES,
            "size": ref(f"exchange_{turn}.output.result.size"),
            **{key: ref(f"open.output.result.{key}") for key in ("pinned", "base", "dropped")},
        },
        "usage": usage_after(agent, turn, f"plan_{turn}.output.result.usage"),
        "again": ref(f"plan_{turn}.output.result.again"),
        "steps": ref(f"plan_{turn}.output.result.step"),
        **passed_on(agent, turn),
        **kept(agent),
        **told(agent),
    }


_MESSAGES = ref(ref("workflow.input.transcript_path"))
"""The messages of all exchanges so far. A definition may not name several tasks in one path; a value may."""


def _turn(agent: Agent, turn: int) -> list[Json]:
    call = model_call(
        agent,
        f"llm_{turn}",
        instructions=segment_text(agent),
        messages=_MESSAGES,
        tools=ref("workflow.input.tools"),
    )
    stops = stop(agent, turn, answer_of(turn))
    tasks = [call, _plan(agent, turn), _route(agent, turn), *stops, _exchange(agent, turn)]
    return tasks if turn == TURNS_PER_SEGMENT else [*tasks, _room(agent, turn)]


def _plan(agent: Agent, turn: int) -> Json:
    return plan(
        agent,
        turn,
        ref("workflow.input.programs.plan"),
        counts_before(turn),
        steps=ref("workflow.input.steps"),
        execution_id=ref("workflow.input.execution_id"),
        tools=ref("workflow.input.tool_tasks"),
        limited=ref("workflow.input.limited"),
        marked=ref("workflow.input.marked"),
        **plan_inputs(agent, turn),
    )


def _route(agent: Agent, turn: int) -> Json:
    planned = f"plan_{turn}.output.result"
    return t.switch(
        "route",
        f"route_{turn}",
        "The end, one tool, several tools, none that can be called, or an answer that did not arrive.",
        ref(f"{planned}.mode"),
        {"done": _done(agent, turn), **tools_of(agent, turn, planned), "failed": [failed(turn)]},
    )


def _done(agent: Agent, turn: int) -> list[Json]:
    if not agent.judges_answers:
        return [finish(agent, turn)]
    return server_checks(
        agent,
        turn,
        answer_of(turn),
        t.terminate("unfit", f"unfit_{turn}", "COMPLETED", server_unfit(agent, answer_of(turn), turn)),
        t.terminate("guarded", f"guarded_{turn}", "COMPLETED", server_refused(agent, answer_of(turn), turn)),
        execution_id=ref("workflow.input.execution_id"),
        rejected=rejected_before(agent, turn),
        max_turns=agent.max_turns,
    )


def tools_of(agent: Agent, turn: int, planned: str) -> dict[str, list[Json]]:
    """The tasks of a turn's calls, by the plan's mode.

    Args:
        agent: Whose turn.
        turn: Which one of its segment.
        planned: Where the plan is.
    """
    of_call = {
        "args": ref(f"{planned}.calls[0].args"),
        "call_id": ref(f"{planned}.calls[0].id"),
        "step": ref(f"{planned}.step"),
        "execution_id": ref("workflow.input.execution_id"),
        "max_bytes": ref(f"{planned}.max_bytes"),
    }
    one = t.dynamic(
        "tool",
        tool_reference(turn),
        ref(f"{planned}.calls[0].task"),
        of_call,
        # Without it Conductor gives a DYNAMIC task a definition that knows no lease and no retries (3.32.3, tried).
        {"name": "tool", "ownerApp": OWNER, **LEASE},
    )
    many = [
        t.dynamic_fork("fork", f"fork_{turn}", ref(f"{planned}.fork"), ref(f"{planned}.fork_inputs")),
        t.join("join", f"join_{turn}", rarely=waits_for_people(agent)),
    ]
    if not has_requests(agent):
        return {"one": [one], "many": many}
    reference = ask_reference(turn)
    # Begun without a fork: a join would be looked at again and again for as long as the person thinks.
    ask = t.sub_workflow("ask", reference, ref(f"{planned}.workflow"), 1, {**of_call, "call": reference})
    return {"one": [one], "ask": [ask], "many": many}


def _exchange(agent: Agent, turn: int) -> Json:
    before = "open" if turn == 1 else f"exchange_{turn - 1}"
    return t.jq(
        "exchange",
        f"exchange_{turn}",
        "What this turn adds to the transcript: the calls and their results.",
        ref("workflow.input.programs.exchange"),
        calls=ref(f"plan_{turn}.output.result.calls"),
        ref=tool_reference(turn),
        mode=ref(f"plan_{turn}.output.result.mode"),
        note=ref(f"plan_{turn}.output.result.note"),
        one=ref(f"tool_{turn}.output"),
        reason=ref(f"tool_{turn}.reasonForIncompletion"),
        many=ref(f"join_{turn}.output"),
        base=ref("open.output.result.base"),
        size=ref(f"{before}.output.result.size"),
        max_chars=agent.context.max_chars,
        most=MAX_TRANSCRIPT,
        most_passed_on=MAX_PASSED_ON,
        **sent_back(agent, turn),
        **of_ask(agent, turn),
    )


def _room(agent: Agent, turn: int) -> Json:
    """End the segment when its transcript is over budget: the next one begins with trimming it."""
    trim = t.terminate("trim", f"trim_{turn}", "COMPLETED", _passed_on(agent, turn))
    full = ref(f"exchange_{turn}.output.result.full")
    return t.switch("full", f"full_{turn}", "Whether the transcript has to be trimmed.", full, {"true": [trim]})
