"""The workflow of an agent: one model call, or a loop over segments when it has tools."""

from __future__ import annotations

from collections.abc import Mapping

from agentspan.compiler import _tasks as t
from agentspan.compiler._budget import budget_ends
from agentspan.compiler._guard import handed_on, has_guards, refused_end, single_entry
from agentspan.compiler._instructions import single_instructions, text, told_on
from agentspan.compiler._model import model_call
from agentspan.compiler._output import (
    ASKED_AGAIN,
    exchange_program,
    invalid_end,
    marked,
    plan_program,
    rejected_before,
    sent_back,
    server_checks,
    server_refused,
    server_unfit,
)
from agentspan.compiler._part import parts
from agentspan.compiler._plan import answer_of, counts_before, failed, finish, plan
from agentspan.compiler._segment import segment, transcript_path
from agentspan.compiler._tasks import Json, literal, ref
from agentspan.compiler._tools import limited, needs_mark, tool_spec, tool_tasks
from agentspan.compiler._used import calls_use
from agentspan.compiler._workflow import open_task, time_limit, workflow
from agentspan.declare.agent import Agent
from agentspan.declare.guardrail import Position
from agentspan.stored.guard import REFUSED
from agentspan.stored.names import LOOP, SEGMENT, segment_name
from agentspan.stored.output import INVALID

ASKED = 4
"""How often an agent without tools can ask its model: three times in a row, and once more when it is retried."""


def single(agent: Agent) -> Json:
    opened = open_task(agent, "The conversation so far and the prompt.", literal(t.program("open")))
    tasks = [*single_entry(agent), *single_instructions(agent), opened]
    most = ASKED + agent.most_sent_back
    for turn in range(1, most + 1):
        tasks += _asked(agent, turn, most)
    definition = workflow(
        agent,
        agent.name,
        agent.description or f"Agent {agent.name}: one call of {agent.model}.",
        tasks,
        inputParameters=["prompt", "messages", "context"],
        outputParameters={},
        **time_limit(agent),
    )
    return marked(agent, definition)


def _asked(agent: Agent, turn: int, most: int) -> list[Json]:
    checked = agent.judges_answers
    messages = "open.output.result.messages" if turn == 1 else f"exchange_{turn - 1}.output.result"
    call = model_call(agent, f"llm_{turn}", instructions=text(agent), messages=ref(messages))
    last = turn == most
    planned = plan(
        agent,
        turn,
        literal(plan_program(agent)),
        counts_before(turn),
        execution_id=ref("workflow.workflowId"),
        tools={},
        limited=[],
        max_turns=most,
    )
    mode = ref(f"plan_{turn}.output.result.mode")
    done = [finish(agent, turn)]
    if checked:
        invalid = invalid_end(agent, f"invalid_{turn}", server_unfit(agent, answer_of(turn), turn))
        refusal = refused_end(agent, f"guarded_{turn}", server_refused(agent, answer_of(turn), turn))
        given = {"execution_id": ref("workflow.workflowId"), "rejected": rejected_before(agent, turn), "last": last}
        done = server_checks(agent, turn, answer_of(turn), invalid, refusal, **given)
    ends = {"done": done, "failed": [failed(turn, last=last)]}
    route = t.switch("route", f"route_{turn}", "The answer, or one that did not arrive.", mode, ends)
    if last:
        return [call, planned, route]
    again = t.jq(
        "exchange",
        f"exchange_{turn}",
        "The conversation, and why the model is asked once more.",
        ASKED_AGAIN if checked else AGAIN,
        messages=ref(messages),
        note=ref(f"plan_{turn}.output.result.note"),
        **sent_back(agent, turn),
    )
    return [call, planned, route, again]


AGAIN = '.messages + (if .note == null then [] else [{role: "user", message: .note}] end)'


def looping(agent: Agent, versions: Mapping[str, int]) -> tuple[Json, ...]:
    return segment(agent), _agent_workflow(agent, versions)


def loop(agent: Agent, inputs: Json) -> Json:
    """The loop over segments, each begun with these inputs."""
    one_segment = t.sub_workflow("segment", SEGMENT, segment_name(agent.name), 1, inputs)
    return t.do_while("turns", LOOP, f"$.{SEGMENT}['finish_reason'] == null", [one_segment], keep_last=1)


def failures(agent: Agent, output: Json) -> list[Json]:
    """Fail where the turns were used up, where no answer fits, or where a guardrail refuses."""
    failed = t.terminate(
        "out_of_turns",
        "out_of_turns",
        "FAILED",
        output,
        f"The agent {agent.name} used all of its {agent.max_turns} turns and still asked for a tool.",
    )
    invalid = {} if agent.answer_type is None else {INVALID: [invalid_end(agent, "invalid", output)]}
    refusal = {REFUSED: [refused_end(agent, "refused", output)]} if has_guards(agent) else {}
    ends = {**({"max_turns": [failed]} if agent.on_max_turns == "fail" else {}), **invalid, **refusal}
    ends |= budget_ends(agent, output)
    reason = ref(f"{SEGMENT}.output.finish_reason")
    told = "Whether the model answered, or ran out of turns."
    return [t.switch("ended_by", "ended_by", told, reason, ends)] if ends else []  # Conductor takes none without a case


def answer(agent: Agent) -> Json:
    """What a run gives: what its last segment gave."""
    names = ["result", "finish_reason", "intact", "steps", "usage"]
    names += [] if agent.answer_type is None else ["problems"]
    names += [REFUSED] if has_guards(agent) else []
    found = {key: ref(f"{SEGMENT}.output.{key}") for key in names}
    return {**found, "prompt": ref(f"{SEGMENT}.output.prompt")} if agent.guards(Position.INPUT) else found


def _agent_workflow(agent: Agent, versions: Mapping[str, int]) -> Json:
    inputs: Json = {
        "execution_id": ref("workflow.workflowId"),
        "prompt": ref("workflow.input.prompt"),
        "messages": ref("workflow.input.messages"),
        "transcript": ref(f"{SEGMENT}.output.transcript"),
        "usage": ref(f"{SEGMENT}.output.usage"),
        "steps": ref(f"{SEGMENT}.output.steps"),
        "again": ref(f"{SEGMENT}.output.again"),
        "previous": ref(f"{SEGMENT}.output.subWorkflowId"),
        **told_on(agent, SEGMENT),
        "tools": [tool_spec(tool) for tool in agent.tools],
        "tool_tasks": tool_tasks(agent),
        "limited": limited(agent),
        "marked": [tool.name for tool in agent.tools if needs_mark(tool)],
        "programs": {
            "open": literal(t.program("open")),
            "plan": literal(plan_program(agent)),
            "exchange": literal(exchange_program(agent)),
        },
        "transcript_path": transcript_path(),
    }
    if calls := parts(agent, versions):
        inputs["parts"] = {name: part.to_json() for name, part in calls.items()}
    if calls_use(agent):
        inputs["used"] = ref(f"{SEGMENT}.output.used")
    inputs |= handed_on(agent, SEGMENT)
    if agent.judges_answers:
        inputs["rejected"] = ref(f"{SEGMENT}.output.rejected")
    output = answer(agent)
    definition = workflow(
        agent,
        agent.name,
        agent.description or f"Agent {agent.name}: {agent.model} with {len(agent.tools)} tools.",
        [loop(agent, inputs), *failures(agent, output)],
        inputParameters=["prompt", "messages", "context"],
        outputParameters=output,
        **time_limit(agent),
    )
    return marked(agent, definition)
