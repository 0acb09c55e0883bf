"""Agents whose model a worker calls: a turn is the model's task, a route, and the tools.

The model's task is given a reference to its turn and no transcript: a worker has that in memory, or reads it from the
turns before. It leaves the provider's message whole, and the plan of what comes next. See ADR 0020.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace

from agentspan.compiler import _tasks as t
from agentspan.compiler._agent import answer, failures, loop
from agentspan.compiler._ask import verdict as verdict_of
from agentspan.compiler._budget import (
    budget_before,
    budget_handed_on,
    budget_kept,
    budget_left,
    budget_told,
    ending,
    over_budget,
    over_budget_end,
)
from agentspan.compiler._crew import (
    at_work_given,
    at_work_left,
    crew_known,
    handing_over,
    whose_answer,
    whose_answer_kept,
    whose_answer_left,
)
from agentspan.compiler._guard import (
    answered,
    counted,
    counting,
    handed_on,
    kept,
    refused,
    refused_end,
    segment_entry,
    single_entry,
    stop,
    usage_after,
    usage_before,
)
from agentspan.compiler._output import check, checked_ends, fitting, invalid_end, marked, output_request, unfit
from agentspan.compiler._part import parts
from agentspan.compiler._segment import tools_of
from agentspan.compiler._state import changes_kept, changes_left, state_known, with_state
from agentspan.compiler._summary import summary_before, summary_given, summary_handed_on, summary_kept
from agentspan.compiler._tasks import Json, ref
from agentspan.compiler._tools import limited, task_definition, tool_tasks
from agentspan.compiler._workflow import time_limit, workflow
from agentspan.declare.agent import Agent
from agentspan.declare.guardrail import Position
from agentspan.declare.guardrails import beside
from agentspan.declare.handoff import as_one, crew, looks_in_turns
from agentspan.declare.tool import Tool
from agentspan.errors import DefinitionError
from agentspan.stored.format import IN_WORKER
from agentspan.stored.names import SEGMENT, TURNS_PER_SEGMENT, model_task_name, segment_name
from agentspan.stored.request import ModelRequest, Part

NO_VERSIONS: Mapping[str, int] = {}

_End = Callable[[Json], Json]
"""An end, from what the run leaves then."""


def thin(agent: Agent, versions: Mapping[str, int]) -> tuple[Json, ...]:
    if not agent.loops:
        return (_single(agent),)
    if agent.handoffs and any(each.context.summarise for each in crew(agent).values()):
        raise DefinitionError(
            f"agent {agent.name!r}: summarise, and agents that take over: each has its own view of the conversation",
            hint="Leave out ContextBudget(summarise=True).",
        )
    whole = as_one(agent)
    segment, looping = _segment(whole), _looping(whole)
    return crew_known(agent, segment), crew_known(agent, _declared(agent, looping, versions))


def model_definition(agent: Agent) -> Json:
    """The task definition of the model's calls: with the lease of a tool's."""
    return task_definition(
        model_task_name(agent.name),
        f"Calls the model of the agent {agent.name}.",
        inputs=["execution_id", "model_by", "segment", "steps", "tool_by", "turn", "usage"],
        outputs=["result"],
    )


def _single(agent: Agent) -> Json:
    asked = [*_look(agent, 1), _model(agent, 1, ref("workflow.workflowId"))]
    tasks, output = asked, {**answered(agent, _answer(1)), **budget_left(agent, 1)}
    if agent.judges_answers or beside(agent.guardrails):
        turns = range(1, agent.most_sent_back + 2)
        tasks, output = [task for turn in turns for task in _asked(agent, turn)], {}
    tasks = [*single_entry(agent), *tasks]
    return _declared(
        agent,
        workflow(
            agent,
            agent.name,
            agent.description or f"Agent {agent.name}: one call of {agent.model}.",
            tasks,
            inputParameters=["prompt", "messages", "context"],
            outputParameters=output,
            **time_limit(agent),
        ),
    )


def _asked(agent: Agent, turn: int) -> list[Json]:
    """A turn of an agent without tools whose answer is checked."""
    planned = f"llm_{turn}.output.result"

    def invalid(output: Json) -> Json:
        return invalid_end(agent, f"invalid_{turn}", output)

    def refusal(output: Json) -> Json:
        return refused_end(agent, f"guarded_{turn}", output)

    ends = _ends(agent, turn, invalid, refusal)
    route = t.switch("route", f"route_{turn}", "The answer, or one that does not fit.", ref(f"{planned}.mode"), ends)
    return [*_look(agent, turn), _model(agent, turn, ref("workflow.workflowId")), route]


def _look(agent: Agent, turn: int) -> list[Json]:
    """What an agent without tools has before a turn of its budget."""
    ended = over_budget_end(agent, f"over_{turn}", over_budget(agent, turn))
    return budget_before(agent, turn, ref("workflow.workflowId"), ended)


def _ends(agent: Agent, turn: int, invalid: _End, refusal: _End) -> dict[str, list[Json]]:
    """What follows an answer, by the plan's mode.

    Args:
        agent: Whose answer.
        turn: Which one of its workflow.
        invalid: The end by an answer that does not fit, from what the run leaves then.
        refusal: The end by one that a guardrail refuses.
    """
    found, verdict = _answer(turn), f"llm_{turn}.output.result.verdict"
    unmet = {"refused": [_unmet(agent, turn, found)]} if agent.required_tools or looks_in_turns(agent) else {}
    if not agent.judges_answers:
        return {"done": [_finish(agent, turn, found)], **unmet}
    ends: dict[str, list[Json]] = {"done": [_finish(agent, turn, fitting(found, verdict))]}
    if agent.answer_type is not None:
        ends["invalid"] = [invalid(unfit(found, verdict))]
    ends |= unmet
    if not agent.checks_answers:
        return ends
    after = verdict_of(agent, Position.OUTPUT, turn)
    checks = check(
        agent,
        turn,
        checked_ends(
            agent,
            _finish(agent, turn, fitting(counted(agent, found, turn), after)),
            {**invalid(unfit(counted(agent, found, turn), after)), "taskReferenceName": f"refused_{turn}"},
            refusal(refused(counted(agent, found, turn), f"{after}.refused")),
        ),
        **whose_answer(agent, turn),
        execution_id=ref("workflow.workflowId" if not agent.loops else "workflow.input.execution_id"),
        step=ref(f"llm_{turn}.output.result.step"),
        verdict=ref(verdict),
        rejected=ref(f"llm_{turn}.output.result.rejected"),
        last=ref(f"llm_{turn}.output.result.last"),
        **counting(agent, f"llm_{turn}.output.result.usage"),
    )
    return {**ends, "done": checks}


def _unmet(agent: Agent, turn: int, found: Json) -> Json:
    """End as a required tool was not called, or as the prompt is refused."""
    output = refused(found, f"llm_{turn}.output.result.verdict.refused")
    if not agent.loops:
        return refused_end(agent, f"unmet_{turn}", output)
    return t.terminate("unmet", f"unmet_{turn}", "COMPLETED", output)


def _finish(agent: Agent, turn: int, output: Json) -> Json:
    given = {**output, **whose_answer_left(agent, turn), **changes_left(agent, turn), **budget_left(agent, turn)}
    return t.terminate("finish", f"finish_{turn}", "COMPLETED", answered(agent, given))


def _looping(agent: Agent) -> Json:
    one_segment: Json = {
        "execution_id": ref("workflow.workflowId"),
        "previous": ref(f"{SEGMENT}.output.subWorkflowId"),
        "usage": ref(f"{SEGMENT}.output.usage"),
        "steps": ref(f"{SEGMENT}.output.steps"),
        "model_by": ref(f"{SEGMENT}.output.model_by"),
        "tool_by": ref(f"{SEGMENT}.output.tool_by"),
        **_entering(agent),
        **summary_handed_on(agent),
        **budget_handed_on(agent),
        **at_work_given(agent),
    }
    output = {**answer(agent), **whose_answer_kept(agent), **changes_kept(agent), **budget_told(agent)}
    return workflow(
        agent,
        agent.name,
        agent.description or f"Agent {agent.name}: {agent.model} with {len(agent.tools)} tools.",
        [loop(agent, one_segment), *failures(agent, output)],
        inputParameters=["prompt", "messages", "context"],
        outputParameters=output,
        **time_limit(agent),
    )


def _entering(agent: Agent) -> Json:
    """What the loop gives a segment for the check of the prompt."""
    found = handed_on(agent, SEGMENT)
    return {"prompt": ref("workflow.input.prompt"), **found} if found else {}


def _segment(agent: Agent) -> Json:
    last = f"llm_{TURNS_PER_SEGMENT}.output.result"
    return workflow(
        agent,
        segment_name(agent.name),
        f"{TURNS_PER_SEGMENT} turns of the agent {agent.name}.",
        [*segment_entry(agent), *(task for turn in range(1, TURNS_PER_SEGMENT + 1) for task in _turn(agent, turn))],
        inputParameters=[
            *("execution_id", "usage", "steps", "previous", "model_by", "tool_by"),
            *_entering(agent),
            *summary_handed_on(agent),
            *budget_handed_on(agent),
            *at_work_given(agent),
        ],
        outputParameters={
            "usage": usage_after(agent, TURNS_PER_SEGMENT, f"{last}.usage"),
            "steps": ref(f"{last}.step"),
            **_by(TURNS_PER_SEGMENT),
            **kept(agent),
            **summary_kept(agent),
            **budget_kept(agent),
            **at_work_left(agent),
        },
    )


def _turn(agent: Agent, turn: int) -> list[Json]:
    planned = f"llm_{turn}.output.result"

    def end(name: str) -> _End:
        return lambda output: t.terminate(name, f"{name}_{turn}", "COMPLETED", output)

    ends = _ends(agent, turn, end("unfit"), end("guarded"))
    route = t.switch(
        "route",
        f"route_{turn}",
        "The end, one tool, several tools, or none that can be called.",
        ref(f"{planned}.mode"),
        {**ends, **with_state(agent, planned, tools_of(agent, turn, planned))},
    )
    before = budget_before(agent, turn, ref("workflow.input.execution_id"), end("over")(over_budget(agent, turn)))
    model = _model(agent, turn, ref("workflow.input.execution_id"))
    long = summary_before(agent, turn, {**model["inputParameters"]})
    model["inputParameters"] |= summary_given(agent, turn)
    return [*before, *long, model, route, *stop(agent, turn, _answer(turn))]


def _model(agent: Agent, turn: int, execution_id: str) -> Json:
    before = "workflow.input.usage" if turn == 1 else f"llm_{turn - 1}.output.result.usage"
    inputs = {
        "execution_id": execution_id,
        "segment": ref("workflow.workflowId"),
        "turn": turn,
        "steps": ref("workflow.input.steps"),
        "usage": usage_before(agent, turn, before),
    }
    if agent.loops:
        given = {name: ref(f"workflow.input.{name}") for name in _by(1)}
        inputs |= _by(turn - 1) if turn > 1 else given
    return t.task("SIMPLE", model_task_name(agent.name), f"llm_{turn}", {**inputs, **ending(agent, turn)})


def _by(turn: int) -> Json:
    """Which workers made the calls of a turn: who has made them all knows what they gave."""
    return {"model_by": ref(f"llm_{turn}.workerId"), "tool_by": ref(f"tool_{turn}.workerId")}


def _answer(turn: int) -> Json:
    said = f"llm_{turn}.output.result"
    return {
        "result": ref(f"{said}.text"),
        "finish_reason": ref(f"{said}.finish_reason"),
        "intact": True,
        "steps": ref(f"{said}.step"),
        "usage": ref(f"{said}.usage"),
    }


def _declared(agent: Agent, definition: Json, versions: Mapping[str, int] = NO_VERSIONS) -> Json:
    """With what a worker needs to know of the agent, whatever version of it the worker has itself."""
    asked = handing_over(agent, lambda each: _asked_for(each, versions, own=each.name == agent.name))
    metadata = {**definition["metadata"], "format": IN_WORKER, "request": asked.to_json()}
    return marked(as_one(agent), {**definition, "metadata": metadata})


def _asked_for(agent: Agent, versions: Mapping[str, int], *, own: bool) -> ModelRequest:
    """How the model of an agent is asked; `own` where the definition is its own."""
    calls = parts(agent, versions)
    return ModelRequest(
        model=agent.model,
        fallback_models=agent.fallback_models,
        instructions=agent.fixed_instructions,
        state=state_known(agent),
        instructions_each=agent.instructions_each if callable(agent.instructions) else None,
        tools=tuple(_tool(tool) for tool in agent.tools),
        tool_tasks=tool_tasks(agent),
        limited=tuple(limited(agent)),
        parts=calls if own else {name: _of_taker(part, versions.get(agent.name, 1)) for name, part in calls.items()},
        settings=_settings(agent),
        max_turns=agent.max_turns if agent.loops else agent.most_sent_back + 1,
        max_chars=agent.context.max_chars,
        keep_chars=agent.context.kept,
        summarise=agent.context.summarise and agent.loops,
        output=output_request(agent),
        on_max_turns=agent.on_max_turns,
        termination=repr(agent.termination) if agent.termination is not None else "",
        required_tools=agent.required_tools,
        guardrails=tuple(guard.name for guard in beside(agent.guardrails)),
    )


def _of_taker(part: Part, version: int) -> Part:
    """The workflow of a call of an agent that takes over: its own ones have its version, not the definition's."""
    return replace(part, version=version, alone=None) if part.version is None else part


def _tool(tool: Tool[..., object]) -> Json:
    return {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}


def _settings(agent: Agent) -> Json:
    prices = {model: asdict(price) for model, price in agent.model_settings.prices.items()}
    given = {**vars(agent.model_settings), "prices": prices or None}
    return {name: value for name, value in given.items() if value not in (None, (), False)}
