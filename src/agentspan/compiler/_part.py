"""Calls that are workflows: those that need a person, and other agents. And an agent as others call it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentspan.compiler._state import is_lent
from agentspan.compiler._tasks import Json, ref
from agentspan.compiler._tools import is_part
from agentspan.compiler._used import used_before, with_used, with_used_before
from agentspan.declare.agent import Agent
from agentspan.declare.team import Team
from agentspan.declare.tool import PROMPT, Tool
from agentspan.stored.names import ask_reference, part_name, request_name
from agentspan.stored.request import Part


def parts(agent: Agent[Any], versions: Mapping[str, int]) -> dict[str, Part]:
    """What makes the calls of its tools that are workflows, by the tool's name.

    Args:
        agent: The agent that calls.
        versions: The versions of the agents among its tools, by their names.
    """
    return {tool.name: part for tool in agent.tools if (part := _part(agent, tool, versions)) is not None}


def _part(agent: Agent[Any], tool: Tool[..., Any], versions: Mapping[str, int]) -> Part | None:
    if needs_person(tool):
        return Part(workflow=request_name(agent.name, tool.name), alone=True)
    if tool.agent is not None:
        version = versions.get(tool.agent.name, 1)
        return Part(workflow=part_name(tool.agent.name), version=version, prompt=PROMPT, state=is_lent(tool) or None)
    return None


def has_parts(agent: Agent[Any]) -> bool:
    """Whether any of its calls are workflows."""
    return any(is_part(tool) for tool in agent.tools)


def needs_person(tool: Tool[..., Any]) -> bool:
    """Whether its calls need a person, or some of them do."""
    return tool.asks_first or tool.question is not None


def has_requests(agent: Agent[Any]) -> bool:
    """Whether any of its calls need a person."""
    return any(needs_person(tool) for tool in agent.tools)


def waits_for_people(agent: Agent[Any]) -> bool:
    """Whether any of its calls do, or those of an agent that it calls."""
    below = (tool.agent for tool in agent.tools if tool.agent is not None)
    members = agent.agents if isinstance(agent, Team) else ()
    return has_requests(agent) or any(waits_for_people(each) for each in (*below, *members))


def as_it_is(definition: Json) -> Json:
    """The workflow of an agent that is started by itself."""
    return definition


def as_part(definition: Json) -> Json:
    """The same as other agents call it: where it fails by its own answers, the caller is told so, and goes on."""
    return {**definition, "name": part_name(definition["name"]), "tasks": [_told(task) for task in definition["tasks"]]}


def _told(task: Json) -> Json:
    cases = task.get("decisionCases")
    if cases is not None:
        return {**task, "decisionCases": {name: [_told(each) for each in case] for name, case in cases.items()}}
    inputs = task["inputParameters"]
    if task["type"] != "TERMINATE" or inputs["terminationStatus"] != "FAILED":
        return task
    left = {name: value for name, value in inputs["workflowOutput"].items() if name != "result"}
    told = {**left, "error": inputs["terminationReason"]}
    return {**task, "inputParameters": {"terminationStatus": "COMPLETED", "workflowOutput": told}}


# ---- where the server calls the model ------------------------------------------------------------------


def plan_with_parts(agent: Agent[Any], program: str) -> str:
    """The program of the plan, for an agent that has calls which are workflows; else the same."""
    if not has_parts(agent):
        return with_used_before(agent, program)
    program = f"{program} | {_BEGUN}"
    if has_requests(agent):
        program = f"{program} | {_ALONE}"
    return with_used_before(agent, _with(program, "elif $cut then", f"{_NO_PROMPT} elif $cut then"))


def plan_inputs(agent: Agent[Any], turn: int) -> Json:
    """What that program takes more."""
    used = used_before(agent, turn)
    if not has_parts(agent):
        return used
    return {"parts": ref("workflow.input.parts"), "version": ref("workflow.version"), **used}


def exchange_with_parts(agent: Agent[Any], program: str) -> str:
    """The program of what a turn adds to the transcript, for such an agent; else the same."""
    if not has_parts(agent):
        return with_used(agent, program, asked=False)
    found, found_one = "else $in.many[$forked] end)", 'elif $in.mode == "one" then $in.one'
    program = _with(program, found, f"else ($in.many[$forked] | {_UNMARKED}) end)")
    if not has_requests(agent):
        return with_used(agent, program, asked=False)
    program = _with(program, found_one, f'{found_one} elif $in.mode == "ask" then ($in.asked | {_UNMARKED})')
    return with_used(agent, program, asked=True)


def of_ask(agent: Agent[Any], turn: int, path: str = "") -> Json:
    """What looks at a turn's results takes more: that of its only call, where it needs a person.

    Args:
        agent: Whose turn.
        turn: Which one of its segment.
        path: Of what it gives.
    """
    return {"asked": ref(f"{ask_reference(turn)}.output{path}")} if has_requests(agent) else {}


def _with(program: str, found: str, instead: str) -> str:
    if found not in program:
        raise ValueError(f"the program has no {found!r}")
    return program.replace(found, instead, 1)


_BEGUN = (
    '(.calls // []) as $calls | if .mode == "many" then reduce (.fork | to_entries[]) as $branch (.; '
    "$branch.value.taskReferenceName as $call "
    '| $in.parts[$calls[($call | split("_")[2] | tonumber) - 1].name] as $part | if $part == null then . else '
    '.fork[$branch.key] += {name: $part.workflow, type: "SUB_WORKFLOW", optional: false, '
    "subWorkflowParam: {name: $part.workflow, version: ($part.version // $in.version)}} "
    "| .fork_inputs[$call] |= (if $part.prompt == null then . + {call: $call} else "
    '{prompt: (.args[:-1] + "." + $part.prompt + "}"), '
    "called_by: {call: $call, step: .step, execution_id: .execution_id}} end) end) else . end"
)
"""jq: calls that are workflows are begun as such, with the call's name beside its values.

Not optional: Conductor's retry does not go on from an optional sub-workflow to what has begun it (3.32.3, read)."""

_NO_PROMPT = (
    "elif ($in.parts[.name].prompt? // null) as $name "
    '| $name != null and (($given[$name]? // null) | type != "string" or test("^\\\\s*$")) '
    'then .task = null | .error = "Not called: it needs a text that says what is asked of it."'
)
"""jq: an agent is asked something."""

_ALONE = (
    'if .mode == "many" and ($calls | length) == 1 then $in.parts[$calls[0].name] as $part '
    '| if $part.alone? then del(.fork) | del(.fork_inputs) | . + {mode: "ask", workflow: $part.workflow} '
    "else . end else . end"
)
"""jq: a call that needs a person, and is its turn's only one, is begun without a fork."""

_UNMARKED = (
    'if type == "object" and (.result | type) == "string" and .subWorkflowId != null '
    'then (("text-" + .subWorkflowId[:8] + ":") as $mark | .result |= ltrimstr($mark)) else . end'
)
"""jq: an agent's answer without the mark that it may begin with."""
