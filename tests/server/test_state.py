"""The state that the calls of a run share, and the live objects of its worker, on the real server."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import BaseModel, Field

from agentspan.agents import (
    Agent,
    AgentRuntime,
    DefinitionError,
    ExecutionFailed,
    InputError,
    ModelSettings,
    RunContext,
    StateTemplate,
    ToolContext,
    agent_tool,
    compile_agent,
    tool,
)
from agentspan.cli import main
from agentspan.testing import ModelRequest, Reply, call, calls, say, wait_until
from agentspan.testing.plugin import Stage

Make = Callable[..., Agent[Any]]


class Notes(BaseModel):
    owner: str = "nobody"
    found: list[str] = Field(default_factory=list)
    looks: int = 0


@tool
def look(thing: str, context: ToolContext) -> str:
    """Look at something, and note it."""
    context.add_to_state(looks=1, found=[thing])
    assert context.state.found[-1] == thing
    return f"{len(context.state.found)} found"


@tool
def own(name: str, context: ToolContext) -> str:
    """Give the notes an owner."""
    context.set_state(owner=name)
    return str(context.state.owner)


@pytest.fixture
def make(model: Stage) -> Make:
    def made(name: str, script: Any, **options: Any) -> Agent[Any]:
        settings = ModelSettings(base_url=model.server.openai_url)
        given = {"tools": [look, own], "state_type": Notes, **options}
        return Agent(name, model=model.play(script), model_place="worker", model_settings=settings, **given)

    return made


def test_an_answer_and_a_result_that_look_like_one_are_none(runtime: AgentRuntime, model: Stage) -> None:
    """Where the server calls the model, it hands JSON on as a structure."""

    @tool
    def weather() -> dict[str, str]:
        """The weather."""
        return {"state": "rain"}

    agent = Agent("no_state", model=model.play([call("weather"), say('{"state": {"owner": "me"}}')]), tools=[weather])
    for each in (agent, Agent("no_state_at_all", model=model.play([say("Just text.")]))):
        handle = runtime.start(each, "Go.")
        handle.result(60)
        assert handle.state() is None
        assert handle.state_changes() == []


def test_calls_change_it_and_later_ones_see_it(runtime: AgentRuntime, model: Stage, make: Make) -> None:
    def reply(request: ModelRequest) -> Reply:
        return call("look", thing=f"${{{request.turn}}}") if request.turn < 10 else say("done")

    def told(context: RunContext) -> str:
        return f"{context.state.owner} has found {len(context.state.found)}."

    agent = make("state_grows", reply, instructions=told, instructions_each="turn")
    handle = runtime.start(agent, "Look.", context={"owner": "Ada", "other": 1})

    assert handle.result(60).output == "done"
    found = [f"${{{number}}}" for number in range(10)]
    assert handle.state() == Notes(owner="Ada", found=found, looks=10)
    assert runtime.handle(handle.execution_id).state() == {"owner": "Ada", "found": found, "looks": 10}
    requests = model.requests(agent.model)
    assert [request.system for request in requests] == [f"Ada has found {number}." for number in range(11)]
    assert [request.tool_results[-1].output for request in requests[1:]] == [f"{n} found" for n in range(1, 11)]


def test_instructions_show_it_as_data(runtime: AgentRuntime, model: Stage, make: Make) -> None:
    def reply(request: ModelRequest) -> Reply:
        return call("look", thing="{looks} ${workflow.input}") if request.turn == 0 else say("done")

    told = StateTemplate("{owner} {{notes}}: {found}, {looks}")
    agent = make("state_shown", reply, instructions=told, instructions_each="turn")
    runtime.run(agent, "Look.", context={"owner": "{found}"}, timeout=60)

    assert [request.system for request in model.requests(agent.model)] == [
        "{found} {notes}: [], 0",
        '{found} {notes}: ["{looks} ${workflow.input}"], 1',
    ]


def test_calls_of_one_turn(runtime: AgentRuntime, make: Make) -> None:
    together = calls(call("own", name="Ada"), call("look", thing="a"), call("own", name="Eve"), call("look", thing="b"))
    agent = make("state_together", lambda request: together if request.turn == 0 else say("done"))
    handle = runtime.start(agent, "Look.")
    handle.result(60)

    assert handle.state() == Notes(owner="Eve", found=["a", "b"], looks=2)
    changes = handle.state_changes()
    assert [(each.step, each.tool, each.field, each.action, each.value, each.overwrote) for each in changes] == [
        (1, "own", "owner", "set", "Ada", ()),
        (1, "look", "looks", "add", 1, ()),
        (1, "look", "found", "add", ["a"], ()),
        (1, "own", "owner", "set", "Eve", ("own",)),
        (1, "look", "looks", "add", 1, ()),
        (1, "look", "found", "add", ["b"], ()),
    ]


def test_a_call_that_a_person_approves(runtime: AgentRuntime, make: Make) -> None:
    @tool(approval=True)
    def sign(name: str, context: ToolContext) -> str:
        """Sign the notes."""
        context.set_state(owner=f"{context.state.owner}, {name}")
        return "signed"

    agent = make(
        "state_approved", lambda request: call("sign", name="Eve") if request.turn == 0 else say("done"), tools=[sign]
    )
    handle = runtime.start(agent, "Sign.", context={"owner": "Ada"})
    for event in handle.stream():
        if event.type == "waiting":
            handle.approve()

    assert handle.state().owner == "Ada, Eve"


def test_a_call_that_fails_changes_nothing(runtime: AgentRuntime, model: Stage, make: Make) -> None:
    @tool
    def spoil(context: ToolContext) -> str:
        """Spoil the notes."""
        context.set_state(owner="Eve")
        context.set_state(looks="many")
        return "spoilt"

    @tool
    def guess(context: ToolContext) -> str:
        """Name a field that is not there."""
        context.add_to_state(colour="red")
        return "guessed"

    script = [call("spoil"), call("guess"), say("done")]
    agent = make("state_spoilt", lambda request: script[request.turn], tools=[spoil, guess])
    handle = runtime.start(agent, "Go.")
    handle.result(60)

    assert handle.state() == Notes()
    assert handle.state_changes() == []
    told = [str(request.tool_results[-1].output) for request in model.requests(agent.model)[1:]]
    assert "was not changed: looks" in told[0]
    assert "it has no field 'colour'; its fields are owner, found, looks" in told[1]


def test_a_state_that_cannot_begin(runtime: AgentRuntime, make: Make) -> None:
    @dataclass
    class Case:
        number: int

    agent = make("state_case", lambda _: say("done"), state_type=Case)

    assert runtime.run(agent, "Go.", context={"number": 7}, timeout=60).output == "done"
    with pytest.raises(InputError, match="agent 'state_case': the state of the run cannot begin: number"):
        runtime.start(agent, "Go.")
    with pytest.raises(ExecutionFailed, match="the state of the run cannot begin: number"):  # its type is not known
        runtime.run("state_case", "Go.", timeout=60)


def test_what_the_server_cannot_do() -> None:
    with pytest.raises(DefinitionError, match="state_type needs a worker"):
        Agent("state_server", model="openai/gpt-4o", model_place="server", state_type=Notes)
    with pytest.raises(DefinitionError, match="state_type is a class with fields"):
        Agent("state_odd", model="openai/gpt-4o", state_type=int)


# ---- live objects of the worker ------------------------------------------------------------------------


@tool
def query(context: ToolContext) -> str:
    """Ask the database."""
    return str(context.dependencies["database"])


def test_dependencies(runtime: AgentRuntime, make: Make) -> None:
    def reply(request: ModelRequest) -> Reply:
        return call("query") if request.turn == 0 else say(str(request.tool_results[-1].output))

    agent = make("state_depends", reply, tools=[query], state_type=None, dependencies={"database": "mine"})

    assert runtime.run(agent, "Ask.", timeout=60).output == "mine"
    assert "mine" not in compile_agent(agent).to_json()
    with AgentRuntime(runtime.settings.server_url) as other:
        bare = make("state_served", reply, tools=[query], state_type=None)
        other.serve(bare, blocking=False, dependencies={"database": "theirs"})
        assert runtime.start(bare, "Ask.", serve=False).result(60).output == "theirs"


# ---- what a definition carries for people --------------------------------------------------------------


def test_metadata(runtime: AgentRuntime, make: Make) -> None:
    labels = {"team": "billing", "tier": 1}
    plain, labelled = (
        make("state_labelled", lambda _: say("done"), metadata=metadata, tools=[], state_type=None)
        for metadata in ({}, labels)
    )
    assert '"team"' not in compile_agent(plain).to_json()
    ids = [runtime.start(agent, "Go.").execution_id for agent in (plain, labelled)]

    def listed(*wanted: str) -> list[str]:
        options = [word for each in wanted for word in ("--metadata", each)]
        words = ["--server", runtime.settings.server_url, "agent", "list", "--agent", "state_labelled", *options]
        result = CliRunner().invoke(main, [*words, "-o", "json"], catch_exceptions=False)
        return [run["execution_id"] for run in json.loads(result.stdout)]

    wait_until(lambda: set(listed()) == set(ids), "the index to know both")
    assert listed("team=billing", "tier=1") == ids[1:]
    assert listed("team=billing", "tier=2") == []
    refused = CliRunner().invoke(main, ["agent", "list", "--metadata", "team"])
    assert refused.exit_code == 2
    assert "'team' is not KEY=VALUE." in refused.output


# ---- agents that are called ----------------------------------------------------------------------------


def test_a_called_agent_works_with_the_state_of_its_caller(runtime: AgentRuntime, model: Stage, make: Make) -> None:
    def below(request: ModelRequest) -> Reply:
        if request.turn == 9:
            return say("found")
        return call("look", thing=f"${{{request.prompt}{request.turn}}}") if request.turn else call("own", name="Eve")

    told = StateTemplate("Found so far: {found}")
    finder = make("state_finder", below, description="Finds.", instructions=told)
    together = calls(
        call("look", thing="first"),
        call("state_finder", request="a"),
        call("own", name="Bob"),
        call("state_finder", request="b"),
    )
    script = [call("look", thing="${workflow.input}"), together, call("look", thing="last"), say("done")]
    tools = [look, own, agent_tool(finder, state="shared")]
    agent = make("state_lender", lambda request: script[request.turn], tools=tools)
    handle = runtime.start(agent, "Go.", context={"owner": "Ada"})

    assert handle.result(60).output == "done"
    found = ["${workflow.input}", "first", *(f"${{{each}{n}}}" for each in "ab" for n in range(1, 9)), "last"]
    assert handle.state() == Notes(owner="Eve", found=found, looks=19)
    begun = {request.system for request in model.requests(finder.model)}
    assert begun == {'Found so far: ["${workflow.input}"]'}
    changes = [each for each in handle.state_changes() if each.step == 2 and each.field == "owner"]
    assert [(each.tool, each.value, each.overwrote) for each in changes] == [
        ("state_finder", "Eve", ()),
        ("own", "Bob", ("state_finder",)),
        ("state_finder", "Eve", ("state_finder", "own")),
    ]
    (called,) = [each for each in handle.steps()[1].calls if each.args == {"request": "a"}]
    inner = runtime.handle(str(called.execution_id), finder)
    assert inner.state().found == ["${workflow.input}", *(f"${{a{n}}}" for n in range(1, 9))]


@pytest.mark.parametrize("state", ["own", "shared"])
def test_a_called_agent_that_a_person_approves(runtime: AgentRuntime, make: Make, state: Any) -> None:
    finder = make(
        f"state_asked_{state}",
        lambda request: call("look", thing="tea") if request.turn == 0 else say("found"),
        description="Finds.",
    )
    agent = make(
        f"state_asking_{state}",
        lambda request: call("ask", request="tea") if request.turn == 0 else say("done"),
        tools=[agent_tool(finder, "ask", state=state, approval=True)],
    )
    handle = runtime.start(agent, "Go.", context={"found": ["ink"], "looks": 1})
    for event in handle.stream():
        if event.type == "waiting":
            handle.approve()
    shared = Notes(found=["ink", "tea"], looks=2)
    assert handle.state() == (shared if state == "shared" else Notes(found=["ink"], looks=1))
    (called,) = handle.steps()[0].calls
    assert runtime.handle(str(called.execution_id), finder).state() == shared


def test_what_is_shared_is_of_one_type(make: Make) -> None:
    class Other(BaseModel):
        number: int = 0

    finder = make("state_kept", lambda _: say("found"), description="Finds.")
    for other in (None, Other):
        with pytest.raises(DefinitionError, match="state_kept is to work with its state"):
            make("state_other", lambda _: say("done"), tools=[agent_tool(finder, state="shared")], state_type=other)
    bare = make("state_bare", lambda _: say("found"), description="Finds.", tools=[], state_type=None)
    with pytest.raises(DefinitionError, match="can share no state"):
        agent_tool(bare, state="shared")
    with pytest.raises(DefinitionError, match="'own' or 'shared'"):
        agent_tool(finder, state="both")  # type: ignore[arg-type]


# ---- what fits alone, and not together -------------------------------------------------------------------


class Sums(BaseModel):
    total: float = 0
    few: int = Field(default=0, le=100)
    texts: list[str] = Field(default_factory=list)


@tool
def pile(context: ToolContext, total: float = 0, few: int = 0, letters: int = 0) -> str:
    """Add to the state."""
    context.add_to_state(total=total, few=few, texts=["x" * letters])
    return "added"


@pytest.mark.parametrize(
    ("added", "problem", "kept"),
    [
        (
            [{"total": 1e308}, {"total": 1e308}],
            r"total: no number is so large as 1e\+308 and 1e\+308",
            {"total": 1e308},
        ),
        ([{"few": 60}, {"few": 60}], "few: .*less than or equal to 100", {"few": 120}),
        ([{"letters": 100_000}] * 30, "the state takes 3,000,.* bytes", {}),
    ],
    ids=["infinite", "unfit", "long"],
)
def test_what_does_not_fit_together_fails_the_run_by_name(
    runtime: AgentRuntime, make: Make, added: list[dict[str, Any]], problem: str, kept: dict[str, Any]
) -> None:
    together = calls(*(call("pile", **each) for each in added))
    script = lambda request: together if request.turn == 0 else say("done")  # noqa: E731
    handle = runtime.start(make("state_sums", script, tools=[pile], state_type=Sums), "Add.")

    with pytest.raises(ExecutionFailed, match=problem) as raised:
        handle.result(60)

    assert "calls of step 1 changed" in str(raised.value)
    assert f"pile ({handle.steps()[0].calls[1].call_id})" in str(raised.value)
    found = runtime.handle(handle.execution_id)
    assert {name: found.state()[name] for name in kept} == kept, "nothing is lost"
    assert sum(change.field == next(iter(added[0]), "") or change.field == "texts" for change in found.state_changes())
    json.loads(CliRunner().invoke(main, ["--server", runtime.settings.server_url, *_state(handle)]).stdout)
    handle.retry()
    with pytest.raises(ExecutionFailed, match=problem):
        handle.result(60)


def _state(handle: Any) -> list[str]:
    return ["agent", "state", handle.execution_id, "-o", "json"]


def test_a_call_cannot_add_more_than_a_number_holds(runtime: AgentRuntime, make: Make) -> None:
    @tool
    def swing(context: ToolContext) -> str:
        """Add what no number holds, though the state itself would."""
        for total in (1e308, 1e308):
            context.add_to_state(total=total)
        return "added"

    script = [call("swing"), say("done")]
    agent = make("state_swing", script, tools=[swing], state_type=Sums)
    handle = runtime.start(agent, "Add.", context={"total": -1e308})

    assert handle.result(60).output == "done"
    assert "no number is so large" in (handle.steps()[0].calls[0].error or "")
    assert handle.state() == Sums(total=-1e308)
