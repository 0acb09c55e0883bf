"""A call that needs a person: a workflow of its own beside the other calls of its turn, whose id names the request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from agentspan.compiler import _tasks as t
from agentspan.compiler._ask import asked_of_result
from agentspan.compiler._state import given_state, lent_to, told_state
from agentspan.compiler._tasks import Json, literal, ref
from agentspan.compiler._tools import task_definition
from agentspan.compiler._used import asks_models
from agentspan.compiler._workflow import workflow
from agentspan.declare.agent import Agent
from agentspan.declare.guardrail import Position
from agentspan.declare.guardrails import asking, time_to_decide
from agentspan.declare.handoff import as_one
from agentspan.declare.tool import PROMPT, Tool
from agentspan.schema.foreign import is_free
from agentspan.stored.names import (
    approval_task_name,
    notice_task_name,
    part_name,
    request_name,
    result_request_name,
    tool_task_name,
)
from agentspan.stored.person import DECIDED, PERSON, REQUEST, RequestSpec

_INPUT = ("args", "call_id", "step", "execution_id", "max_bytes", "call")

_TOLD = (
    'if .decided.mode == "answered" then {result: .decided.result} '
    'elif .decided.mode == "refuse" then {error: .decided.error} '
    'elif (.said | type) == "object" and (.said | has("result")) then .said as $said '
    '| {result: (if ($said.result | type) == "string" and $said.subWorkflowId != null '
    'then ($said.result | ltrimstr("text-" + $said.subWorkflowId[:8] + ":")) else $said.result end)} '
    "else {error: ((.said.error? // .reason) "
    '// "The tool gave no result: every worker that ran it died, or it timed out.")} end '
    "+ (if .decided.decision then {decision: .decided.decision} else {} end) "
    "+ (if .said.usage? then {usage: .said.usage} else {} end) "
    "+ (if .said.refused? then {refused: .said.refused} else {} end)"
)
"""jq: what the model is told of the call, and who decided."""

_USED_BY_ALL = (
    "+ (if .said.usage? then {usage: .said.usage} else {} end) ",
    "+ (reduce ((.said.usage?, .checked) | values | to_entries[]) as $each "
    "({}; .usage[$each.key] = ((.usage[$each.key] // 0) + $each.value))) ",
)
"""The same where guardrails ask models before a person is asked: what those have used counts, too."""

_OF_RESULT = (
    'if .asked.mode? == "done" then .said.result = .asked.value elif .asked.mode? == "again" then '
    '.said |= (del(.result) + {error: ("The call was made, and its result was refused: " + $in.asked.problems[0])}) '
    "else . end | "
)
"""jq, before that: what a person decided about what the tool gave."""


def request_workflows(
    agent: Agent[Any], tools: Iterable[Tool[..., Any]], versions: Mapping[str, int]
) -> tuple[Json, ...]:
    """The workflows of those of these tools that need a person."""
    return tuple(_workflow(agent, tool, spec, versions) for tool in tools if (spec := spec_of(tool)) is not None)


def request_tasks(agent: Agent[Any]) -> tuple[Json, ...]:
    """The task definitions of the checks before a person is asked, and of the notices."""
    found: list[Json] = []
    if any(tool.asks_first for tool in agent.tools):
        found.append(
            task_definition(
                approval_task_name(agent.name),
                f"Says whether a person is asked about a call of the agent {agent.name}.",
                inputs=["args", "call", "call_id", "execution_id", "step", "tool"],
                outputs=["result"],
            )
        )
    asks = agent.budget is not None or any(spec_of(tool) is not None for tool in agent.tools)
    asks = asks or bool(asking(as_one(agent).guardrails))
    if agent.on_request is not None and asks:
        found.append(
            task_definition(
                notice_task_name(agent.name),
                f"Tells somebody that the agent {agent.name} asks a person.",
                inputs=["args", "call", "call_id", "execution_id", "request", "step", "tool"],
                outputs=["result"],
            )
        )
    return tuple(found)


def spec_of(tool: Tool[..., Any]) -> RequestSpec | None:
    """What a person is asked before a tool's call, or in its place; None where nobody is."""
    asked: Json = {"tool": tool.name, "description": tool.description, "schema": dict(tool.parameters)}
    if tool.question is not None:
        question = tool.question
        answer = None if question.answer is None else question.answer.plain
        wrapped = question.answer is not None and question.answer.wrapped
        more: Json = {"answer": answer, "wrapped": wrapped, "deadline": question.deadline, "default": question.default}
        return RequestSpec(kind="question", **asked, **more)
    if tool.asks_first:
        by = (*asking(tool.guards(Position.INPUT)), *(() if tool.approval is None else (tool.approval,)))
        deadline, default = time_to_decide(by)
        return RequestSpec(kind="approval", **asked, deadline=deadline, default=default)
    return None


def _workflow(agent: Agent[Any], tool: Tool[..., Any], spec: RequestSpec, versions: Mapping[str, int]) -> Json:
    definition = workflow(
        agent,
        request_name(agent.name, tool.name),
        f"A call of {tool.name} by the agent {agent.name}, which needs a person.",
        [
            _check(agent, tool),
            _whether(agent, tool, spec),
            _decided(spec),
            *_made(agent, tool, versions),
            *_end(agent, tool),
        ],
        inputParameters=[*_INPUT, *given_state(agent)],
        outputParameters={},
    )
    return {**definition, "metadata": {**definition["metadata"], REQUEST: spec.to_json()}}


def _check(agent: Agent[Any], tool: Tool[..., Any]) -> Json:
    if tool.question is not None:
        given = {name: ref(f"workflow.input.{name}") for name in ("args", "execution_id")}
        fitting = {"schema": literal(dict(tool.parameters)), "closed": not is_free(tool.arguments)}
        description = "Whether it says what it must."
        return t.jq("check", "approval_1", description, t.program("question"), **fitting, **given)
    state = given_state(agent) if asking(tool.guards(Position.INPUT)) else ()
    return t.task("SIMPLE", approval_task_name(agent.name), "approval_1", _of_call(tool, "args", "max_bytes", *state))


def _whether(agent: Agent[Any], tool: Tool[..., Any], spec: RequestSpec) -> Json:
    mode = ref("approval_1.output.result.mode")
    run_or_refuse: dict[str, list[Json]] = {"run": [], "refuse": []}
    switch = t.switch("whether", "whether", "Whether a person is asked.", mode, run_or_refuse)
    args, guards = (ref(f"approval_1.output.result.{name}") for name in ("args", "asks"))
    return {**switch, "defaultCase": asking_about(agent, spec, args, guards if asking(tool.guardrails) else None)}


def asking_about(agent: Agent[Any], spec: RequestSpec, args: str, guards: str | None = None) -> list[Json]:
    """Ask a person, and tell somebody of it where the agent says whom.

    Args:
        agent: The agent that asks.
        spec: What for.
        args: Where that is what the person is told.
        guards: Where it stands what guardrails said of it; None where none was asked.
    """
    asked: Json = {"tool": spec.tool, "args": args, "execution_id": ref("workflow.input.execution_id")}
    asked |= {} if guards is None else {"guards": guards}
    asks = _person(spec, asked)
    if agent.on_request is None:
        return [asks]
    told = {**asked, "request": ref("workflow.workflowId"), **_of_call(None)}
    notice = t.task("SIMPLE", notice_task_name(agent.name), "approval_2", told, optional=True)
    # The join waits for nothing: one that waited for the person would be looked at again and again.
    return [
        t.task("FORK_JOIN", "ask", "ask", forkTasks=[[notice]]),
        t.join("asked", "asked", joinOn=[]),
        asks,
    ]


def _person(spec: RequestSpec, asked: Json) -> Json:
    """The task that a person completes, or, where there is a deadline, time."""
    if spec.deadline is None:
        return t.task("HUMAN", spec.kind, PERSON, asked)
    return t.task("WAIT", spec.kind, PERSON, {**asked, "duration": f"{spec.deadline} seconds"})


def _decided(spec: RequestSpec) -> Json:
    return t.jq(
        DECIDED,
        DECIDED,
        "Whether the call is made, and why not.",
        t.program("decided"),
        kind=spec.kind,
        check=ref("approval_1.output.result"),
        person=ref(f"{PERSON}.output"),
        args=ref("workflow.input.args"),
        deadline=spec.deadline,
        default=literal(spec.default),
    )


def _made(agent: Agent[Any], tool: Tool[..., Any], versions: Mapping[str, int]) -> list[Json]:
    if tool.question is not None:
        return []
    args = f"{DECIDED}.output.result.args"
    if tool.agent is not None:
        called_by = {name: ref(f"workflow.input.{name}") for name in ("call", "step", "execution_id")}
        given = {"prompt": ref(f"{args}.{PROMPT}"), "called_by": called_by, **lent_to(tool)}
        made = t.sub_workflow(tool.name, "tool_1", part_name(tool.agent.name), versions.get(tool.agent.name, 1), given)
    else:
        inputs = {**_of_call(None, "max_bytes", *given_state(agent)), "args": ref(args), **_asks(tool)}
        made = t.task("SIMPLE", tool_task_name(agent.name, tool.name), "tool_1", inputs, optional=True)
    mode = ref(f"{DECIDED}.output.result.mode")
    reviewed = asking(tool.guards(Position.OUTPUT))
    of_result = [asked_of_result(result_request_name(agent.name, tool.name))] if reviewed else []
    return [t.switch("made", "made", "Whether the call is made.", mode, {"run": [made, *of_result]})]


def _asks(tool: Tool[..., Any]) -> Json:
    """The guardrails whose refusals are brought to a person here: where others are, the model is told."""
    names = [guard.name for guard in asking(tool.guardrails)]
    return {"asks": names} if names else {}


def _of_call(tool: Tool[..., Any] | None, *more: str) -> Json:
    named: Json = {} if tool is None else {"tool": tool.name}
    return named | {name: ref(f"workflow.input.{name}") for name in ("call", "call_id", "step", "execution_id", *more)}


def _end(agent: Agent[Any], tool: Tool[..., Any]) -> list[Json]:
    inputs: Json = {"decided": ref(f"{DECIDED}.output.result")}
    if tool.question is None:
        inputs |= {"said": ref("tool_1.output"), "reason": ref("tool_1.reasonForIncompletion")}
    program = told_state(agent, _TOLD)
    if tool.asks_first and asks_models(tool):
        inputs, program = {**inputs, "checked": ref("approval_1.output.usage")}, program.replace(*_USED_BY_ALL)
    if asking(tool.guards(Position.OUTPUT)):
        inputs, program = {**inputs, "asked": ref("ask_result_1.output")}, f". as $in | {_OF_RESULT}{program}"
    told = t.jq("told", "told", "What the model is told of the call.", program, **inputs)
    end = t.task("TERMINATE", "finish", "finish", {"terminationStatus": "COMPLETED"})
    end["inputParameters"]["workflowOutput"] = ref("told.output.result")
    return [told, end]
