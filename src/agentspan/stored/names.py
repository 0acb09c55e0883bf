"""Names that the definitions, the worker host and the readers of a run agree on."""

from __future__ import annotations

import re

OWNER = "agentspan"
"""`ownerApp` of everything we register; a definition of our name with another owner is refused."""

TURNS_PER_SEGMENT = 8
"""Turns unrolled in one segment; measured in docs/decisions/0002-segments.md."""

LOOP = "turns"
SEGMENT = "segment"

CREW = "crew"
"""In the metadata of a definition: the agents that may be at work in its runs, where there are several."""

OUTPUT_TOOL = "final_result"
"""The tool by which a model gives its answer, where its provider takes no JSON Schema for one."""

_KINDS = (
    "llm|plan|tool|ask|exchange|failed|output|input|instructions|approval|member|choose|until|spent|pool|budget|summary"
    "|ask_input|ask_output|ask_result"
)
_TURN_REF = re.compile(rf"^({_KINDS})_(\d+)(?:_(\d+))?(?:__\d+)?$")


def segment_name(agent: str) -> str:
    """Name of the workflow that holds one agent's unrolled turns."""
    return f"{agent}.segment"


def model_task_name(agent: str) -> str:
    """Task definition of an agent's model calls."""
    return f"{agent}.model"


def output_task_name(agent: str) -> str:
    """Task definition of the checks of an agent's answers."""
    return f"{agent}.output"


def input_task_name(agent: str) -> str:
    """Task definition of what an agent's guardrails say of its prompts."""
    return f"{agent}.input"


def instructions_task_name(agent: str) -> str:
    """Task definition of what asks for an agent's instructions; no tool's has two dots."""
    return f"{agent}.run.instructions"


def summary_task_name(agent: str) -> str:
    """Task definition of the summaries of what an agent's model is not shown any more; no tool's has two dots."""
    return f"{agent}.run.summary"


def tool_task_name(agent: str, tool: str) -> str:
    """Task definition, and so queue, of one tool of one agent.

    Queues are global on a server. Neither part can hold a dot, so two pairs never share a name.
    """
    return f"{agent}.{tool}"


def transfer_name(agent: str) -> str:
    """What a model calls to hand a run over to an agent."""
    return f"transfer_to_{agent}"


def request_name(agent: str, tool: str) -> str:
    """Name of the workflow of a call that needs a person."""
    return f"{agent}.request.{tool}"


def result_request_name(agent: str, tool: str) -> str:
    """Name of the workflow by which a person is asked about what a tool gave."""
    return f"{request_name(agent, tool)}.result"


def pool_task_name(agent: str) -> str:
    """Task definition of the looks at what members beside each other have used together; no tool's has two dots."""
    return f"{agent}.run.budget"


_AS_TOOL = ".as.tool"


def part_name(agent: str) -> str:
    """Name of an agent's workflow as other agents call it."""
    return f"{agent}{_AS_TOOL}"


def router_task_name(team: str) -> str:
    """Task definition of the function that chooses a member of a team."""
    return f"{team}.choose.member"


def until_task_name(team: str) -> str:
    """Task definition of the function that says when a team is done."""
    return f"{team}.until.done"


def approval_task_name(agent: str) -> str:
    """Task definition of what decides whether a person is asked; no tool's has two dots."""
    return f"{agent}.request.check"


def notice_task_name(agent: str) -> str:
    """Task definition of what tells somebody that a person is asked."""
    return f"{agent}.request.notice"


def tool_of_task(task_name: str) -> str:
    """The tool a task definition of ours stands for, or the workflow of a call that needs a person, or is an agent."""
    if task_name.endswith(_AS_TOOL):
        return task_name.removesuffix(_AS_TOOL)
    return task_name.partition(".")[2].removeprefix("request.").removeprefix("run.")


def turn_of(reference: str) -> tuple[str, int, int] | None:
    """Read a reference name back: kind, turn in the segment (from 1), call in the turn (from 1)."""
    match = _TURN_REF.match(reference)
    if match is None:
        return None
    kind, turn, call = match.groups()
    return "tool" if kind == "ask" else kind, int(turn), int(call or 1)


def tool_reference(turn: int) -> str:
    """Reference name of a turn's only call; those of several have their number behind it."""
    return f"tool_{turn}"


def ask_reference(turn: int) -> str:
    """Reference name of a turn's only call, where it needs a person."""
    return f"ask_{turn}"


def call_key(execution_id: str, step: int, reference: str) -> str:
    """What tells a call of a run from all others: a tool's `idempotency_key`."""
    return f"{execution_id}/{step}/{reference}"


def is_forked(reference: str) -> bool:
    """Whether a tool's call runs beside other calls of its turn."""
    match = _TURN_REF.match(reference)
    return match is not None and match[1] == "tool" and match[3] is not None
