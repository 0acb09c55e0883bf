"""The jq programs of the compiler, in a jq of this process.

That the engine's own jq gives the same is seen from recorded runs: each program that ran there gives here what it gave
there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jq
import jsonschema_rs
import pytest

from agentspan.agents import Agent, compile_agent, tool
from agentspan.compiler._agent import AGAIN
from agentspan.compiler._tasks import program
from agentspan.stored.mark import COMPLETE, text_mark
from tests.stored.server import RUNS

Json = dict[str, Any]

RUN = "c6755c39-a2d1-408c-8256-8dba22e16f88"
MARK = text_mark(RUN)


@cache
def compiled(text: str) -> Any:
    return jq.compile(text)


def run(name: str, given: Json) -> Any:
    return compiled(program(name)).input_value(given).first()


# ---- this jq and the engine's ---------------------------------------------------------------------------


def recorded(path: Path) -> Iterator[tuple[Json, Any]]:
    for execution in json.loads(path.read_text(encoding="utf-8"))["executions"].values():
        for task in execution["tasks"]:
            if task["taskType"] == "JSON_JQ_TRANSFORM" and task["status"] == "COMPLETED":
                yield task["inputData"], task["outputData"]["result"]


@pytest.mark.parametrize(
    "path",
    [path for path in RUNS if any(recorded(path))],  # a run whose model a worker calls may have none
    ids=lambda path: path.stem,
)
def test_a_program_gives_here_what_the_engine_gave(path: Path) -> None:
    for inputs, output in recorded(path):
        assert compiled(inputs["queryExpression"]).input_value(inputs).first() == output


# ---- plan: what the model wants ---------------------------------------------------------------------------


def asked(name: str, number: int = 1, **arguments: Any) -> Json:
    """A call as the engine's model task hands it over."""
    return {"taskReferenceName": f"id_{number}", "name": name, "inputParameters": {**arguments, "method": name}}


def plan(**given: Any) -> Any:
    """The plan of the third turn of a run."""
    defaults = {
        "calls": None,
        "result": None,
        "finish_reason": "STOP",
        "prompt_tokens": 100,
        "completion_tokens": 10,
        "usage": None,
        "again": None,
        "steps": None,
        "turn": 3,
        "max_turns": 100,
        "max_tokens": 8192,
        "most_again": 2,
        "max_bytes": 1000,
        "execution_id": RUN,
        "tools": {"add": "sums.add", "search": "sums.search"},
        "limited": [],
        "marked": [],
    }
    return run("plan", defaults | given)


def test_an_answer_ends_the_run() -> None:
    planned = plan(result="Six.")

    assert (planned["mode"], planned["finish_reason"], planned["intact"]) == ("done", "stop", True)
    assert planned["calls"] == []


def test_one_call_is_made_without_a_fork() -> None:
    planned = plan(calls=[asked("add", a=1)])

    assert planned["mode"] == "one"
    assert planned["calls"] == [{"id": "id_1", "name": "add", "args": {"a": 1}, "task": "sums.add"}]
    assert "fork" not in planned


def test_a_tool_with_a_limit_is_called_through_a_fork() -> None:
    assert plan(calls=[asked("add")], limited=["add"])["mode"] == "many"


def test_several_calls_are_forked_by_reference_and_share_what_results_may_take() -> None:
    hostile = "${workflow.secrets.KEY}"
    planned = plan(calls=[asked("add", 1, a=hostile), asked("nothing", 2), asked("search", 3)])

    assert planned["mode"] == "many"
    assert [(task["taskReferenceName"], task["name"]) for task in planned["fork"]] == [
        ("tool_3_1", "sums.add"),
        ("tool_3_3", "sums.search"),
    ]
    assert all(task["optional"] for task in planned["fork"])
    assert planned["fork_inputs"]["tool_3_3"] == {
        "args": "${plan_3.output.result.calls[2].args}",
        "call_id": "${plan_3.output.result.calls[2].id}",
        "step": 3,
        "execution_id": RUN,
        "max_bytes": 500,
    }
    assert hostile not in json.dumps([planned["fork"], planned["fork_inputs"]])
    assert planned["max_bytes"] == 500


def test_a_tool_that_does_not_exist_is_never_a_task() -> None:
    planned = plan(calls=[asked("nothing")])

    assert planned["mode"] == "none"
    assert planned["calls"][0]["error"] == "There is no tool named nothing. The tools are: add, search."


@pytest.mark.parametrize(
    "given", [{"finish_reason": "LENGTH"}, {"finish_reason": "max_tokens"}, {"completion_tokens": 8192}]
)
def test_calls_of_an_answer_that_was_cut_off_are_not_made(given: Json) -> None:
    planned = plan(calls=[asked("add", a=1), asked("add", 2, a=1)], **given)

    assert planned["mode"] == "none"
    assert all(call["task"] is None and "cut off" in call["error"] for call in planned["calls"])


def test_arguments_that_were_lost_are_told_from_none() -> None:
    lost, complete = (plan(calls=[asked("add", **given)], marked=["add"]) for given in ({}, {COMPLETE: True}))

    assert (lost["mode"], complete["mode"]) == ("none", "one")
    assert "did not arrive" in lost["calls"][0]["error"]
    assert complete["calls"][0]["args"] == {}, "the mark is taken off"


def test_the_last_turn_calls_nothing() -> None:
    planned = plan(calls=[asked("add", a=1)], max_turns=3)

    assert (planned["mode"], planned["finish_reason"]) == ("done", "max_turns")


def test_steps_and_tokens_are_counted_on() -> None:
    planned = plan(result="Six.", steps=16, usage={"prompt_tokens": 1000, "completion_tokens": 200})

    assert planned["step"] == 19
    assert planned["usage"] == {"prompt_tokens": 1100, "completion_tokens": 210}


NOTHING: Json = {"result": "", "completion_tokens": 0, "finish_reason": ""}
EMPTY: Json = {"result": "", "completion_tokens": 7}
OBJECT: Json = {"result": {"a": 1}, "completion_tokens": 50}
UNFENCED: Json = {"result": 'json\n{"a": 1}\n```'}


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (NOTHING, "failed"),
        ({"finish_reason": "ERROR", "result": "x"}, "failed"),
        (EMPTY, "empty"),
        (OBJECT, "damaged"),
        (UNFENCED, "damaged"),
    ],
)
def test_an_answer_that_did_not_arrive_is_asked_for_again(answer: Json, problem: str) -> None:
    planned = plan(**answer)

    assert (planned["mode"], planned["problem"], planned["again"]) == ("again", problem, 1)
    assert planned["intact"] is False
    assert ("note" in planned) == (problem != "failed"), "the model is told of what it said, not of what failed"
    assert MARK in planned.get("note", MARK)


@pytest.mark.parametrize(("answer", "mode"), [(NOTHING, "failed"), (EMPTY, "done"), (OBJECT, "done")])
@pytest.mark.parametrize("given", [{"again": 2}, {"max_turns": 3}], ids=["asked twice", "no turn left"])
def test_it_is_not_asked_for_without_end(answer: Json, mode: str, given: Json) -> None:
    planned = plan(**answer, **given)

    assert planned["mode"] == mode
    assert planned["intact"] is False


def test_a_text_behind_its_mark_is_whole() -> None:
    planned = plan(result=MARK + '{"a": 1} and more', completion_tokens=50)

    assert (planned["mode"], planned["intact"]) == ("done", True)


def test_an_object_that_may_be_all_there_was_is_an_answer_and_marked() -> None:
    planned = plan(result={"a": 1}, completion_tokens=5)

    assert (planned["mode"], planned["intact"]) == ("done", False)


# ---- exchange: what a turn adds to the transcript -----------------------------------------------------------

SMALL = {"bytes": 40, "stored": 40}
CALL = {"id": "id_1", "name": "add", "args": {"a": 1}, "task": "sums.add"}


def exchange(**given: Any) -> Any:
    defaults = {
        "calls": [CALL],
        "ref": "tool_3",
        "mode": "one",
        "note": None,
        "one": {"result": 6},
        "reason": None,
        "many": None,
        "base": SMALL,
        "size": SMALL,
        "max_chars": 10_000,
        "most": 100_000,
        "most_passed_on": 150_000,
    }
    return run("exchange", defaults | given)


def test_a_call_and_its_result_are_added_as_a_pair() -> None:
    added = exchange()

    call, result = added["messages"]
    assert call["toolCalls"] == [
        {"taskReferenceName": "id_1", "name": "add", "type": "SIMPLE", "inputParameters": {"a": 1}}
    ]
    assert result["toolCalls"][0]["output"] == {"result": 6}
    assert result["toolCalls"][0]["taskReferenceName"] == "id_1"
    assert added["size"]["bytes"] == 40 + len(json.dumps(added["messages"], separators=(",", ":")))
    assert added["full"] is False


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"one": {"error": "Out of paper.", "failures": []}}, "Out of paper."),
        ({"one": {}, "reason": "It timed out."}, "It timed out."),
        ({"one": None}, "The tool gave no result: every worker that ran it died, or it timed out."),
    ],
)
def test_a_call_without_a_result_has_an_error(given: Json, error: str) -> None:
    assert exchange(**given)["messages"][1]["toolCalls"][0]["output"] == {"error": error}


def test_a_result_of_null_is_a_result() -> None:
    assert exchange(one={"result": None})["messages"][1]["toolCalls"][0]["output"] == {"result": None}


def test_each_call_of_a_fork_gets_its_own_result() -> None:
    unknown = {"id": "id_2", "name": "no such tool!", "args": {}, "task": None, "error": "There is no such tool."}
    calls = [CALL, unknown, CALL | {"id": "id_3"}]
    added = exchange(calls=calls, mode="many", many={"tool_3_1": {"result": 1}, "tool_3_3": {"result": 3}})

    results = {call["taskReferenceName"]: call["output"] for call in added["messages"][1]["toolCalls"]}
    assert results == {"id_1": {"result": 1}, "id_2": {"error": "There is no such tool."}, "id_3": {"result": 3}}
    names = {call["name"] for message in added["messages"] for call in message["toolCalls"]}
    assert names == {"add", "no_such_tool_"}, "a provider takes them"


def test_an_answer_that_did_not_arrive_adds_why_it_is_asked_again() -> None:
    assert exchange(mode="again", calls=[])["messages"] == []
    added = exchange(mode="again", calls=[], note="Once more.")["messages"]
    assert [message["role"] for message in added] == ["assistant", "user"]
    assert added[1]["message"] == "Once more."


def test_a_transcript_over_budget_is_full() -> None:
    assert exchange(max_chars=100)["full"] is True
    assert exchange(most=300, base={"bytes": 0, "stored": 0})["full"] is False
    assert exchange(most=300, base={"bytes": 0, "stored": 0}, size={"bytes": 100, "stored": 200})["full"] is True


def test_what_cannot_fit_is_said_to_be_left_out() -> None:
    big, small = CALL | {"args": {"text": "x" * 5_000}}, CALL | {"id": "id_2"}
    many = {"tool_3_1": {"result": "y" * 5_000}, "tool_3_2": {"result": 2}}
    added = exchange(calls=[big, small], mode="many", many=many, most=4_000)

    (asked_big, asked_small), (said_big, said_small) = (message["toolCalls"] for message in added["messages"])
    assert asked_big["inputParameters"] == {"error": "[5011 bytes: too large to be shown here]"}
    assert said_big["output"] == {"error": "[5013 bytes: too large to be shown here]"}
    assert (asked_small["inputParameters"], said_small["output"]) == ({"a": 1}, {"result": 2})
    assert added["size"]["stored"] < 4_000


def test_characters_that_conductor_stores_in_three_times_the_bytes_are_counted_so() -> None:
    letters, emoji = (exchange(one={"result": text}) for text in ("x" * 400, "\U0001f600" * 100))

    assert letters["size"]["bytes"] == emoji["size"]["bytes"]
    assert emoji["size"]["stored"] == letters["size"]["stored"] + 800


# ---- open: what a segment begins with -----------------------------------------------------------------------


def opened(**given: Any) -> Any:
    defaults = {
        "transcript": None,
        "history": None,
        "prompt": "Add.",
        "max_chars": 2_000,
        "keep_chars": 1_000,
        "most": 100_000,
    }
    return run("open", defaults | given)


def messages_of(turn: int, size: int = 100) -> list[Json]:
    call = {"taskReferenceName": f"id_{turn}", "name": "add", "type": "SIMPLE", "inputParameters": {}}
    return [
        {"role": "tool_call", "toolCalls": [call]},
        {"role": "tool", "toolCalls": [call | {"output": {"result": "x" * size}}]},
    ]


def grown(turns: range, **given: Any) -> Json:
    """A transcript after these turns, as a segment passes it on."""
    start = opened(**given)
    messages = [*start["messages"], *(message for turn in turns for message in messages_of(turn))]
    size = len(json.dumps(messages, separators=(",", ":")))
    return start | {"messages": messages, "size": {"bytes": size, "stored": size}}


def ids(messages: list[Json], role: str) -> list[str]:
    return [
        call["taskReferenceName"] for message in messages if message["role"] == role for call in message["toolCalls"]
    ]


def test_a_run_begins_with_its_conversation_and_its_prompt() -> None:
    before = [{"role": "user", "message": "Hello."}, {"role": "assistant", "message": "Yes?"}]
    transcript = opened(history=before)

    assert transcript["messages"] == [*before, {"role": "user", "message": "Add."}]
    assert (transcript["pinned"], transcript["dropped"]) == (3, 0)
    assert transcript["base"] == transcript["size"]


def test_a_prompt_over_the_budget_stays() -> None:
    assert opened(prompt="x" * 5_000)["messages"] == [{"role": "user", "message": "x" * 5_000}]


def test_a_transcript_within_its_budget_goes_on_as_it_is() -> None:
    transcript = grown(range(3))

    assert opened(transcript=transcript) == transcript


@pytest.mark.parametrize("turns", [6, 7, 12, 40])
def test_the_oldest_exchanges_go_in_one_bite(turns: int) -> None:
    trimmed = opened(transcript=grown(range(turns)))
    messages = trimmed["messages"]

    assert messages[0] == {"role": "user", "message": "Add."}
    assert messages[1]["message"].startswith(f"[{trimmed['dropped']} earlier tool exchanges were left out")
    assert ids(messages, "tool_call") == ids(messages, "tool") == [f"id_{n}" for n in range(trimmed["dropped"], turns)]
    assert trimmed["size"]["bytes"] == len(json.dumps(messages, separators=(",", ":")))
    assert trimmed["size"]["bytes"] < 1_000 + 200, "what is kept, and the message that says so"
    again = opened(transcript=trimmed)
    assert again == trimmed, "there is room for some turns now"


def test_what_was_dropped_is_summed_over_bites() -> None:
    first = opened(transcript=grown(range(10)))
    later = [*first["messages"], *(message for turn in range(10, 20) for message in messages_of(turn))]
    size = len(json.dumps(later, separators=(",", ":")))
    second = opened(transcript=first | {"messages": later, "size": {"bytes": size, "stored": size}})

    notes = [message for message in second["messages"] if message["role"] == "user"]
    assert len(notes) == 2, "the prompt and one note, not a note for each bite"
    assert second["dropped"] > first["dropped"]
    assert ids(second["messages"], "tool") == [f"id_{n}" for n in range(second["dropped"], 20)]


def test_the_newest_exchange_stays_however_large() -> None:
    transcript = grown(range(4))
    messages = [*transcript["messages"], *messages_of(4, size=8_000)]
    size = {"bytes": 10_000, "stored": 10_000}
    trimmed = opened(transcript=transcript | {"messages": messages, "size": size})

    assert ids(trimmed["messages"], "tool") == ["id_4"]
    assert trimmed["dropped"] == 4


# ---- the small ones -----------------------------------------------------------------------------------------


def test_an_agent_without_tools_is_asked_again_with_the_note() -> None:
    first = {"role": "user", "message": "Add."}
    asked_again = compiled(AGAIN)

    assert asked_again.input_value({"messages": [first], "note": None}).first() == [first]
    noted = asked_again.input_value({"messages": [first], "note": "Once more."}).first()
    assert noted == [first, {"role": "user", "message": "Once more."}]


def test_every_program_of_a_definition_is_a_program() -> None:
    @tool
    def add(a: int) -> int:
        return a

    agents = [Agent("bare", model="openai/gpt-4o"), Agent("tooled", model="openai/gpt-4o", tools=[add])]
    found = [text for agent in agents for text in programs_in(json.loads(compile_agent(agent).to_json()))]

    assert len(found) > 10
    for text in found:
        if not text.startswith("${"):
            jq.compile(text.replace("$${", "${"))


def programs_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "queryExpression":
                yield item
            yield from programs_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from programs_in(item)


# ---- who of a team was chosen ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "names", "chosen"),
    [
        ("I pick tax_law.", ["tax", "tax_law"], "tax_law"),
        ("The copywriter, please", ["writer", "copywriter"], "copywriter"),
        ("**Billing**", ["b", "billing"], "billing"),
        ("TAX", ["tax", "TAX"], "TAX"),
        ("billings", ["bill", "billing"], "billing"),
        (" law\n", ["tax", "law"], "law"),
        ({"result": "law"}, ["tax", "law"], "law"),
        ("I do not know.", ["tax", "law"], "tax"),
        (None, ["tax", "law"], "tax"),
    ],
)
def test_a_member_is_named_by_a_whole_word(said: object, names: list[str], chosen: str) -> None:
    programs = f"{program('team_words')} {program('team_chosen')}"
    assert compiled(programs).input_value({"said": said, "names": names}).first() == {"name": chosen}


# ---- question: whether a person is asked ------------------------------------------------------------------

LINKED = {
    "type": "object",
    "properties": {"value": {"type": "integer"}, "next": {"$ref": "#/$defs/Linked"}},
    "required": ["value"],
}

FITTING = [
    ({"type": "integer"}, [1, 1.0, 1.5, "1", True]),
    ({"type": ["integer", "null"]}, [1, None, "x"]),
    ({"enum": ["a", 1]}, ["a", 1, "b"]),
    ({"const": None}, [None, 1]),
    ({"type": "boolean"}, [True, "true"]),
    ({"type": "string", "minLength": 2, "maxLength": 3}, ["a", "ab", "abcd"]),
    ({"anyOf": [{"type": "string", "maxLength": 2}, {"type": "null"}]}, ["a", "abc", None]),
    ({"oneOf": [{"type": "number"}, {"type": "integer"}]}, [1.5, 1]),
    ({"not": {"type": "string"}}, [1, "a"]),
    ({"type": "number", "minimum": 1, "exclusiveMaximum": 3, "multipleOf": 0.5}, [0.5, 1, 1.5, 1.6, 3]),
    ({"type": "number", "maximum": 1, "exclusiveMinimum": -1}, [1, 1.1, -1]),
    (
        {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 2, "uniqueItems": True},
        [[], ["a"], ["a", "a"], [1], ["a", "b", "c"]],
    ),
    (
        {"type": "array", "prefixItems": [{"type": "string"}, {"type": "number"}], "items": {"type": "boolean"}},
        [["a", 1], ["a", 1, True], ["a", 1, 2], [1], ["a"]],
    ),
    ({"type": "array", "contains": {"const": 1}}, [[1], [2], []]),
    (
        {"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"], "additionalProperties": False},
        [{"a": 1}, {"a": "x"}, {}, {"a": 2, "b": 1}, []],
    ),
    ({"type": "object", "additionalProperties": {"type": "string"}, "minProperties": 1}, [{"a": "b"}, {"a": 1}, {}]),
    ({"type": "object", "maxProperties": 1}, [{"a": 1}, {"a": 1, "b": 2}]),
    ({"$ref": "#/$defs/Linked"}, [{"value": 1, "next": {"value": 2}}, {"value": 1, "next": {"value": "x"}}]),
]


def questioned(schema: Json, args: Json, *, closed: bool = True) -> Json:
    found: Json = run("question", {"schema": schema, "args": args, "closed": closed, "execution_id": RUN})
    return found


@pytest.mark.parametrize("place", range(len(FITTING)))
def test_a_question_fits_where_its_schema_says_so(place: int) -> None:
    node, values = FITTING[place]
    schema = {"type": "object", "properties": {"it": node}, "required": ["it"], "$defs": {"Linked": LINKED}}
    validator = jsonschema_rs.validator_for(schema)

    found = [(value, "args" in questioned(schema, {"it": value})) for value in values]

    assert found == [(value, validator.is_valid({"it": value})) for value in values]
    assert len({fits for _, fits in found}) == 2


def test_what_a_question_lacks_is_told() -> None:
    text = {"type": "string", "description": "What is asked."}
    schema = {"type": "object", "properties": {"question": text, "more": {"type": "string"}}, "required": ["question"]}

    assert questioned(schema, {"question": f"{MARK}{{}}", "more": None}) == {"args": {"question": "{}", "more": None}}
    odd = {"question": "Sure?", "odd": 1}
    assert questioned(schema, odd, closed=False) == {"args": odd}
    assert questioned(schema, {"more": 7, "odd": 1}) == {
        "mode": "refuse",
        "error": 'Not asked: question: missing; more: does not fit {"type":"string"}; odd: unknown',
    }
    assert questioned(schema, {"question": {"a": 1}})["error"] == (
        'Not asked: question: does not fit {"type":"string"}; '
        f"a text that begins like JSON is changed on its way: send it again with {MARK} before it"
    )
