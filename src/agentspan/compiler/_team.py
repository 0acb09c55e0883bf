"""A team: a workflow of its members' workflows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentspan.compiler import _tasks as t
from agentspan.compiler._budget import budget_of_team, look_program
from agentspan.compiler._part import waits_for_people
from agentspan.compiler._pool import begun, counted, given, together
from agentspan.compiler._request import request_workflows
from agentspan.compiler._tasks import Json, literal, ref
from agentspan.compiler._tools import task_definition
from agentspan.compiler._workflow import time_limit, workflow
from agentspan.declare.agent import Agent
from agentspan.declare.team import CHOOSE, IN_TURNS, Team
from agentspan.stored.names import request_name, router_task_name, until_task_name
from agentspan.stored.pool import TOGETHER
from agentspan.stored.team import TEAM, TeamSpec

_LEFT = ("result", "answers", "steps", "usage", "finish_reason")
"""What the program of its end tells."""

_NO_BUDGET: Json = {}
_FINISHES = (
    'def ends: {}; (.budget | finishing) as $finishing | ends | if $finishing then .finish_reason = "budget" else . end'
)
_SAYS = "{} | .budget = $said.budget | .going = (.going and (.budget | finishing | not))"


def team(agent: Team, versions: Mapping[str, int]) -> tuple[Json, ...]:
    """The workflow of a team, after that of the question by which a person chooses."""
    body = {
        "sequential": _sequence,
        "parallel": _parallel,
        "router": _routed,
        "round_robin": _in_turns,
        "random": _in_turns,
        "manual": _in_turns,
    }[agent.strategy](agent, versions)
    definition = workflow(
        agent,
        agent.name,
        agent.description or f"Team {agent.name}: {agent.strategy} of {', '.join(each.name for each in agent.agents)}.",
        body,
        inputParameters=["prompt", "messages", "context"],
        outputParameters={
            **{name: ref(f"end.output.result.{name}") for name in _LEFT},
            "intact": True,
            **budget_of_team(agent, *_at_work(agent)),
        },
        **time_limit(agent),
    )
    spec = TeamSpec(strategy=agent.strategy, agents=tuple(each.name for each in agent.agents), turns=_most(agent))
    asked = request_workflows(agent, () if agent.asks is None else (agent.asks,), versions)
    return (*asked, {**definition, "metadata": {**definition["metadata"], TEAM: spec.to_json()}})


def team_tasks(agent: Team) -> tuple[Json, ...]:
    """The task definitions of its functions: the one that chooses, and the one that says when it is done."""
    served = {}
    if agent.router_function is not None:
        served[router_task_name(agent.name)] = f"Chooses who of the team {agent.name} answers."
    if callable(agent.until):
        served[until_task_name(agent.name)] = f"Says whether the team {agent.name} is done."
    inputs = ["execution_id", "prompt", "step"]
    return tuple(task_definition(name, about, inputs=inputs, outputs=["result"]) for name, about in served.items())


def _program(name: str) -> str:
    return f"{t.program('team_words')} {t.program(f'team_{name}')}"


def _with_budget(agent: Team, name: str, form: str) -> str:
    """A program of a team, which does more where the team has a budget."""
    if agent.budget is None:
        return _program(name)
    return f"{t.program('team_words')} {t.program('team_budget')} {form.format(t.program(f'team_{name}'))}"


def _most(agent: Team) -> int:
    called = len(agent.agents) + (agent.synthesis is not None)
    return called if agent.strategy in ("sequential", "parallel") else agent.max_turns


def _member(
    agent: Agent[Any],
    versions: Mapping[str, int],
    number: int,
    prompt: str,
    kind: str = "member",
    budget: Json = _NO_BUDGET,
) -> Json:
    inputs = {
        "prompt": prompt,
        "messages": ref("workflow.input.messages"),
        "called_by": {"execution_id": ref("workflow.workflowId"), "step": number, "call": f"{kind}_{number}"},
        **budget,
    }
    return t.sub_workflow(agent.name, f"{kind}_{number}", agent.name, versions.get(agent.name, 1), inputs)


def _at_work(agent: Team) -> tuple[str, ...]:
    """Where its members leave what they have used of its budget, the newest one first."""
    newest: tuple[str, ...] = ("said.output.result",) if agent.strategy in IN_TURNS else ()
    chooser = ("choose_1.output",) if isinstance(agent.router, Agent) else ()
    members = tuple(f"member_{number}.output" for number in range(len(agent.agents), 0, -1))
    if agent.strategy == "parallel":
        newest = (*_synthesis_at_work(agent), f"{TOGETHER}.output.result")
    return (*newest, *members, *chooser)


def _synthesis_at_work(agent: Team) -> tuple[str, ...]:
    return () if agent.synthesis is None else (f"member_{len(agent.agents) + 1}.output",)


def _names(agent: Team) -> list[str]:
    return [each.name for each in agent.agents]


def _said(agent: Team) -> list[str]:
    return [ref(f"member_{number}.output") for number in range(1, len(agent.agents) + 1)]


def _end(agent: Team, program: str = "end", **inputs: Any) -> Json:
    about = "What the team answers."
    query = _with_budget(agent, program, _FINISHES)
    inputs |= budget_of_team(agent, *_at_work(agent))
    return t.jq("end", "end", about, query, names=_names(agent), said=_said(agent), **inputs)


def _sequence(agent: Team, versions: Mapping[str, int]) -> list[Json]:
    tasks: list[Json] = []
    prompt = ref("workflow.input.prompt")
    budget = budget_of_team(agent)
    for number, each in enumerate(agent.agents, 1):
        if number > 1:
            budget = budget_of_team(agent, f"member_{number - 1}.output")
            before = {"prompt": ref("workflow.input.prompt"), "said": ref(f"member_{number - 1}.output")}
            told = f"What {each.name} is told: the prompt, and what was answered before."
            tasks.append(t.jq("hand_on", f"hand_on_{number}", told, _program("hand_on"), **before))
            prompt = ref(f"hand_on_{number}.output.result.prompt")
        tasks.append(_member(each, versions, number, prompt, budget=budget))
    return [*tasks, _end(agent)]


def _parallel(agent: Team, versions: Mapping[str, int]) -> list[Json]:
    prompt = ref("workflow.input.prompt")
    branches = [[_member(each, versions, number, prompt)] for number, each in enumerate(agent.agents, 1)]
    before, after = [], []
    if agent.budget is not None:
        look, warn_at = look_program(agent.agents[0]), agent.budget.warn_at
        before, after = [begun(look, warn_at, budget_of_team(agent))], [together(warn_at, len(branches))]
        branches = [
            [_member(each, versions, number, prompt, budget=given()), counted(look_program(each), warn_at, number)]
            for number, each in enumerate(agent.agents, 1)
        ]
    rarely = waits_for_people(agent) or agent.budget is not None
    return [
        *before,
        t.task("FORK_JOIN", "beside", "beside", forkTasks=branches),
        t.join("all", "all", rarely=rarely, joinOn=[branch[-1]["taskReferenceName"] for branch in branches]),
        *after,
        *([_end(agent, together=True)] if agent.synthesis is None else _as_one(agent, agent.synthesis, versions)),
    ]


def _as_one(agent: Team, synthesis: Agent[Any], versions: Mapping[str, int]) -> list[Json]:
    number = len(agent.agents) + 1
    about = f"What {synthesis.name} is told: the prompt, and what was answered."
    given = {"prompt": ref("workflow.input.prompt"), "names": _names(agent), "said": _said(agent)}
    return [
        t.jq("gather", "gather", about, _program("gather"), **given),
        _member(synthesis, versions, number, ref("gather.output.result.prompt"), budget=_after_all(agent)),
        _end(agent, "synthesis", synthesis=ref(f"member_{number}.output")),
    ]


def _after_all(agent: Team) -> Json:
    """What the one that makes one answer is given of the budget."""
    return budget_of_team(agent, f"{TOGETHER}.output.result")


def _routed(agent: Team, versions: Mapping[str, int]) -> list[Json]:
    prompt = ref("workflow.input.prompt")
    if isinstance(agent.router, Agent):
        choose = _member(agent.router, versions, 1, prompt, "choose", budget_of_team(agent))
        said, chosen_by = ref("choose_1.output"), {"chosen_by": ref("choose_1.output")}
        budget = budget_of_team(agent, "choose_1.output")
    else:
        inputs = {"prompt": prompt, "execution_id": ref("workflow.workflowId"), "step": 1}
        choose = t.task("SIMPLE", router_task_name(agent.name), "choose_1", inputs)
        said, chosen_by = ref("choose_1.output.result"), {}
        budget = budget_of_team(agent)
    chosen = t.jq("chosen", "chosen", "Who answers.", _program("chosen"), said=said, names=_names(agent))
    cases = _cases(agent, versions, prompt, budget)
    route = t.switch("route", "route", "The one that was chosen.", ref("chosen.output.result.name"), cases)
    return [choose, chosen, route, _end(agent, **chosen_by)]


def _in_turns(agent: Team, versions: Mapping[str, int]) -> list[Json]:
    prompt = ref(ref("next.output.result.told"))  # what that names: the run's prompt, or that with all that was said
    names = _names(agent)
    before = ref("said.output.result.said")
    tasks = [
        t.jq(
            "next",
            "next",
            "Whose turn it is.",
            _program("next"),
            before=before,
            names=names,
            how=agent.strategy,
            execution_id=ref("workflow.workflowId"),
        )
    ]
    name = ref("next.output.result.name")
    if agent.strategy == "manual":
        args = {
            "args": {"question": prompt},
            "call_id": CHOOSE,
            "step": ref("next.output.result.turn"),
            "execution_id": ref("workflow.workflowId"),
            "call": "choose_1",
        }
        tasks.append(t.sub_workflow(CHOOSE, "choose_1", request_name(agent.name, CHOOSE), 1, args))
        tasks.append(
            t.jq(
                "chosen", "chosen", "Who goes on.", _program("chosen"), said=ref("choose_1.output.result"), names=names
            )
        )
        name = ref("chosen.output.result.name")
    cases = _cases(agent, versions, prompt, budget_of_team(agent, "said.output.result"))
    tasks.append(t.switch("route", "route", "The one whose turn it is.", name, cases))
    outputs = {each.name: ref(f"member_{number}.output") for number, each in enumerate(agent.agents, 1)}
    tasks.append(
        t.jq(
            "said",
            "said",
            "What was said.",
            _with_budget(agent, "said", _SAYS),
            before=before,
            told=prompt,
            member=name,
            outputs=outputs,
            most=agent.max_turns,
            until=literal(agent.until) if isinstance(agent.until, str) else None,
        )
    )
    goes_on = "$.said['result']['going'] == true"
    if callable(agent.until):
        given = {"prompt": ref("said.output.result.last"), "execution_id": ref("workflow.workflowId")}
        tasks.append(
            t.task("SIMPLE", until_task_name(agent.name), "until_1", {**given, "step": ref("next.output.result.turn")})
        )
        goes_on += " && $.until_1['result'] != true"
    rounds = t.do_while("turns", "turns", goes_on, tasks, keep_last=agent.max_turns)
    query, budget = _with_budget(agent, "last", _FINISHES), budget_of_team(agent, *_at_work(agent))
    return [rounds, t.jq("end", "end", "What the team answers.", query, said=before, outputs=outputs, **budget)]


def _cases(agent: Team, versions: Mapping[str, int], prompt: str, budget: Json) -> dict[str, list[Json]]:
    """Each of its members, of which one is called, by its name."""
    members = enumerate(agent.agents, 1)
    return {each.name: [_member(each, versions, number, prompt, budget=budget)] for number, each in members}
