"""What an agent with a budget has more: before each turn what is used of it, and the request when it is used up.

See ADR 0030.
"""

from __future__ import annotations

from typing import Any

from agentspan.compiler import _tasks as t
from agentspan.compiler._guard import usage_before
from agentspan.compiler._part import has_requests, of_ask
from agentspan.compiler._pool import idle_before, is_pooled, looked_at, pool_before, pool_handed_on
from agentspan.compiler._request import asking_about
from agentspan.compiler._tasks import Json, ref
from agentspan.compiler._used import calls_ask_models, of_one
from agentspan.compiler._workflow import workflow
from agentspan.declare.agent import Agent
from agentspan.declare.budget import Budget, Share
from agentspan.stored.budget import BUDGET, OVER_BUDGET
from agentspan.stored.names import SEGMENT, TURNS_PER_SEGMENT, ask_reference, request_name, tool_reference
from agentspan.stored.person import DECIDED, PERSON, REQUEST, RequestSpec

_NUMBER: Json = {"type": "number", "exclusiveMinimum": 0}
_WHOLE: Json = {"type": "integer", "minimum": 1}
_REASON = "The budget of the agent {} was used up, and it was decided to end the run."
_SHARED_REASON = "The budget of the team was used up when its member {} was at work, and it was decided to end the run."


def budget_before(agent: Agent[Any], turn: int, execution_id: str, end: Json) -> list[Json]:
    """What stands before a turn's model call; nothing where there is no budget.

    Args:
        agent: Whose turn.
        turn: Which one of its workflow.
        execution_id: Where the run's id is.
        end: What ends the workflow when that is decided.
    """
    if agent.budget is None:
        return []
    spent, asked, look = f"spent_{turn}", f"{BUDGET}_{turn}", looked_at(agent, turn)
    given = {
        "args": {name: ref(f"{look}.{name}") for name in ("spent", "limits", "over")},
        "step": ref(f"{spent}.output.result.step"),
        "execution_id": execution_id,
        "call_id": BUDGET,
        "call": asked,
    }
    after = _after(agent, turn - 1) if turn > 1 else _before(agent)
    over = [
        t.sub_workflow(BUDGET, asked, request_name(agent.name, BUDGET), 1, given),
        t.switch(
            "ended", f"ended_{asked}", "Whether the run is ended.", ref(f"{asked}.output.mode"), {"cancel": [end]}
        ),
    ]
    return [
        t.jq(
            "spent",
            spent,
            "What is used of the budget.",
            look_program(agent),
            after=after,
            limits={} if has_share(agent) else agent.budget.limits,
            warn_at=agent.budget.warn_at,
            steps=ref("workflow.input.steps"),
            turn=turn,
            **(_handed(agent) if turn == 1 else {}),
        ),
        *pool_before(agent, turn, f"{spent}.output.result", execution_id),
        t.switch("within", f"within_{turn}", "Whether it is used up.", ref(f"{look}.mode"), {"over": over}),
    ]


def _before(agent: Agent[Any]) -> str | None:
    """What the look before the first turn of a workflow takes of the segment before it."""
    return ref("workflow.input.budget") if agent.loops else None


def _after(agent: Agent[Any], turn: int) -> Json:
    """What the look before the next turn takes of a turn."""
    said = f"llm_{turn}.output.result"
    alone = (ask_reference(turn),) if has_requests(agent) else ()
    done = (f"llm_{turn}", *((tool_reference(turn), *alone, f"join_{turn}") if agent.loops else ()))
    used = {"used": ref(f"join_{turn}.output[*].usage"), **of_ask(agent, turn, ".usage"), **of_one(agent, turn)}
    called: Json = {**used, "calls": ref(f"{said}.calls[*].task")}
    return {
        "before": ref(f"spent_{turn}.output.result"),
        "decided": ref(f"{BUDGET}_{turn}.output"),
        "usage": usage_before(agent, turn + 1, f"{said}.usage"),
        **(called if agent.loops else {}),
        "prompt": ref(f"{said}.tokens.prompt_tokens"),
        "step": ref(f"{said}.step"),
        # The engine's jq knows no clock; the first of these is that of the run's beginning, where it is the first turn.
        "times": [ref(f"llm_{turn}.scheduledTime"), *(ref(f"{task}.endTime") for task in done)],
        **idle_before(agent, turn),
    }


def look_program(agent: Agent[Any]) -> str:
    """The program of an agent's look before a turn."""
    program = t.program("budget")
    alone = [*(["asked"] if has_requests(agent) else []), *(["one"] if calls_ask_models(agent) else [])]
    for name in alone:
        program = program.replace("$after.used // []", f"[$after.{name} // empty] + ($after.used // [])", 1)
    if not has_share(agent):
        return program
    if is_pooled(agent):
        return f"{t.program('budget_share')} | {t.program('budget_pool')} | ({program}) + {{base: .base, warn: []}}"
    return f"{t.program('budget_share')} | ({program}) + {{base: .base}}"


def budget_kept(agent: Agent[Any]) -> Json:
    """What a segment hands on of that."""
    return {} if agent.budget is None else {"budget": _after(agent, TURNS_PER_SEGMENT)}


def budget_handed_on(agent: Agent[Any]) -> Json:
    """What the loop gives a segment of that."""
    own = {} if agent.budget is None else {"budget": ref(f"{SEGMENT}.output.budget")}
    return {**own, "handed": ref("workflow.input.budget"), **pool_handed_on(agent)} if has_share(agent) else own


def ending(agent: Agent[Any], turn: int) -> Json:
    """What a model's call is told: whether it was decided that the model answers with what there is."""
    if agent.budget is None:
        return {}
    return {"ending": [ref(f"{looked_at(agent, turn)}.ending"), ref(f"{BUDGET}_{turn}.output.mode")]}


def over_budget(agent: Agent[Any], turn: int) -> Json:
    """What a run leaves that is ended so before a turn."""
    before = f"llm_{turn - 1}.output.result." if turn > 1 else "workflow.input."
    return {
        "result": None,
        "finish_reason": OVER_BUDGET,
        "usage": ref(f"{before}usage"),
        "steps": ref(f"{before}{'step' if turn > 1 else 'steps'}"),
        **({"budget": {"decided": ref(f"{BUDGET}_{turn}.output")}} if has_share(agent) else {}),
    }


def over_budget_end(agent: Agent[Any], reference: str, output: Json) -> Json:
    """Fail, as that was decided."""
    reason = _SHARED_REASON if has_share(agent) else _REASON
    return t.terminate(OVER_BUDGET, reference, "FAILED", output, reason.format(agent.name))


def budget_ends(agent: Agent[Any], output: Json) -> dict[str, list[Json]]:
    """The end of a run whose last segment was ended so."""
    return {} if agent.budget is None else {OVER_BUDGET: [over_budget_end(agent, OVER_BUDGET, output)]}


# ---- the budget of a team, which its members share --------------------------------------------------------------


def has_share(agent: Agent[Any]) -> bool:
    """Whether it is a member of a team with a budget."""
    return isinstance(agent.budget, Share)


def budget_of_team(team: Agent[Any], *members: str) -> Json:
    """What a member is given of the team's budget, and what the team leaves: the first one of these that is there.

    Args:
        team: The team.
        *members: Where those may have left it that were at work before, the newest first.
    """
    if team.budget is None:
        return {}
    begun = ref("workflow.input.budget") if has_share(team) else {"before": {"limits": team.budget.limits}}
    return {"budget": [*(ref(f"{member}.budget") for member in members), begun]}


def budget_left(agent: Agent[Any], turn: int) -> Json:
    """What a member leaves of it with its answer.

    Args:
        agent: The member.
        turn: Whose answer it is, of its workflow.
    """
    return {"budget": _after(agent, turn)} if has_share(agent) else {}


def budget_told(agent: Agent[Any]) -> Json:
    """The same of a member with segments: what its last one has left."""
    return {"budget": ref(f"{SEGMENT}.output.budget")} if has_share(agent) else {}


def _handed(agent: Agent[Any]) -> Json:
    """What the look before the first turn of a workflow takes of the members before."""
    name = "handed" if agent.loops else "budget"
    return {"handed": ref(f"workflow.input.{name}")} if has_share(agent) else {}


# ---- the request ---------------------------------------------------------------------------------------


def budget_requests(agent: Agent[Any]) -> tuple[Json, ...]:
    """The workflow of the request; none where there is no budget."""
    if agent.budget is None:
        return ()
    spec = _spec(agent.budget)
    decided = t.jq(
        DECIDED,
        DECIDED,
        "More of the budget, a last answer, or the end.",
        t.program("budget_decided"),
        person=ref(f"{PERSON}.output"),
        to=ref(f"{PERSON}.endTime"),
        deadline=spec.deadline,
        default=spec.default,
        **{"from": ref(f"{PERSON}.scheduledTime")},
    )
    found = {name: ref(f"{DECIDED}.output.result.{name}") for name in ("mode", "extend", "waited", "decision")}
    end = t.terminate("finish", "finish", "COMPLETED", found)  # which cancels a notice that nobody needs any more
    definition = workflow(
        agent,
        request_name(agent.name, BUDGET),
        f"What a person decides when the budget of the agent {agent.name} is used up.",
        [*asking_about(agent, spec, ref("workflow.input.args")), decided, end],
        inputParameters=["args", "call_id", "step", "execution_id", "call"],
        outputParameters={},
    )
    return ({**definition, "metadata": {**definition["metadata"], REQUEST: spec.to_json()}},)


def _spec(budget: Budget) -> RequestSpec:
    more = {name: _NUMBER if name in ("cost", "time") else _WHOLE for name in budget.limits}
    return RequestSpec(
        kind="budget",
        tool=BUDGET,
        description="What a run may use.",
        schema={"type": "object", "properties": more, "minProperties": 1, "additionalProperties": False},
        deadline=budget.deadline,
        default=None if budget.deadline is None else budget.default,
    )
