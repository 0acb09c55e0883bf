"""What members beside each other have more of their team's budget: the look at what all of them have used.

What a member has used itself is looked at by the engine, as that of any member. What the others have used stands in
their runs, which a worker reads. See ADR 0030.
"""

from __future__ import annotations

from typing import Any

from agentspan.compiler import _tasks as t
from agentspan.compiler._tasks import Json, ref
from agentspan.compiler._tools import task_definition
from agentspan.declare.agent import Agent
from agentspan.declare.budget import Pooled
from agentspan.stored.names import pool_task_name
from agentspan.stored.pool import BEGUN, TOGETHER, counted_reference


def is_pooled(agent: Agent[Any]) -> bool:
    """Whether it uses a budget up together with members beside it."""
    return isinstance(agent.budget, Pooled)


def pool_definition(agent: Agent[Any]) -> Json:
    """The task definition of the looks: with the lease of a tool's."""
    return task_definition(
        pool_task_name(agent.name),
        f"Looks before a turn of the agent {agent.name} at what the members beside it have used of the budget.",
        inputs=["called_by", "execution_id", "own", "steps", "turn", "warn_at"],
        outputs=["result"],
    )


def pool_before(agent: Agent[Any], turn: int, own: str, execution_id: str) -> list[Json]:
    """The look before a turn; nothing where nobody works beside the agent.

    Args:
        agent: Whose turn.
        turn: Which one of its workflow.
        own: Where it stands what it has used itself.
        execution_id: Where the run's id is.
    """
    if not is_pooled(agent) or agent.budget is None:
        return []
    inputs = {
        "execution_id": execution_id,
        "steps": ref("workflow.input.steps"),
        "turn": turn,
        "called_by": ref("workflow.input.called_by"),
        "own": ref(own),
        "warn_at": agent.budget.warn_at,
    }
    return [t.task("SIMPLE", pool_task_name(agent.name), f"pool_{turn}", inputs)]


def looked_at(agent: Agent[Any], turn: int) -> str:
    """Where it stands before a turn what is used of the budget, and whether it is used up."""
    return f"{'pool' if is_pooled(agent) else 'spent'}_{turn}.output.result"


def idle_before(agent: Agent[Any], turn: int) -> Json:
    """What the look after a turn takes of it: how long it was put off, while others asked a person."""
    return {"idle": ref(f"pool_{turn}.output.result.idle")} if is_pooled(agent) else {}


def pool_handed_on(agent: Agent[Any]) -> Json:
    """What the loop gives a segment: in which team its run stands."""
    return {"called_by": ref("workflow.input.called_by")} if is_pooled(agent) else {}


# ---- in the workflow of their team -------------------------------------------------------------------------------


def begun(look: str, warn_at: float, handed: Json) -> Json:
    """What was used before they began.

    Args:
        look: The program of a member's look.
        warn_at: The part of a limit from which on that is told.
        handed: What those have left that were at work before.
    """
    return t.jq(BEGUN, BEGUN, "What was used before.", look, **_beginning(warn_at), handed=handed["budget"])


def given() -> Json:
    """What each of them is given of it."""
    return {"budget": {"before": ref(f"{BEGUN}.output.result")}}


def counted(look: str, warn_at: float, number: int) -> Json:
    """What one of them had used once it was done; the arguments are those of `begun`."""
    about, left = "What was used when it was done.", ref(f"member_{number}.output.budget")
    return t.jq("counted", counted_reference(number), about, look, **_beginning(warn_at), handed=left)


def _beginning(warn_at: float) -> Json:
    return {"after": None, "limits": {}, "warn_at": warn_at, "steps": 0, "turn": 0}


def together(warn_at: float, members: int) -> Json:
    """What all of them have used."""
    found = [ref(f"{counted_reference(number)}.output.result") for number in range(1, members + 1)]
    inputs = {"begun": ref(f"{BEGUN}.output.result"), "counted": found, "warn_at": warn_at}
    return t.jq(TOGETHER, TOGETHER, "What all have used.", t.program("team_together"), **inputs)
