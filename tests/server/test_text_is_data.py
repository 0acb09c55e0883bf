"""Text of users, models and tools is data: it arrives as it was, wherever it is put, and opens nothing.

Conductor reads templates (`${…}`) in definitions and in the inputs of a dynamic fork, and turns text that
looks like JSON into structures. What it changes all the same has a test of its own here, so that we
learn when it stops.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import requests
from pydantic import BaseModel, Field

from agentspan.agents import Agent, AgentRuntime, ModelSettings, ToolContext, ToolFailed, tool
from agentspan.server import LocalServer
from agentspan.testing import ModelRequest, Reply, ToolCall, call, calls, say
from agentspan.testing.plugin import Stage

TEMPLATES = {
    "input template": "${workflow.input.prompt}",
    "template in a text": "before ${workflow.input.prompt} after",
    "task template": "${llm_1.output.toolCalls[0].inputParameters}",
    "environment": "${PATH} ${HOME} ${CONDUCTOR_CANARY}",
    "secret": "${workflow.secrets.CANARY}",
    "secret in a text": "key=${workflow.secrets.CANARY};",
    "environment of Conductor": "${workflow.env.CANARY}",
    "engine's own variable": "${CPEWF_TASK_ID}",
    "escaped": "$${x}",
    "escaped twice": "$$${x} $$$${x}",
    "empty template": "${}",
    "blank template": "${ }",
    "nested templates": "${a.${b}.c} ${${x}}",
    "template without an end": "${workflow.input.prompt",
    "braces the wrong way round": "}{ }${ {$",
    "shell": 'for f in "${files[@]}"; do echo "${f%.txt}" $(cat \'$f\') `id` $HOME; done',
    "JavaScript": "const s = `${a} of ${b.map(x => `${x}`)}`; // $.x",
}

CORPUS = TEMPLATES | {
    "quotes": "'single' \"double\" `back` «angle» “curly”",
    "backslashes": r"C:\new\table \\ \" \u0041 \${x}",
    "other templates": "{{x}} {% x %} #{x} <%= x %> %s %(x)s {0} {x} :x ?",
    "paths": "$.x $['x'] @.y .. .transcript",
    "SQL": "'; DROP TABLE workflow; --",
    "markup": "<script>alert('x')</script>&amp;&lt;<![CDATA[x]]><!-- -->",
    "lines": "a\nb\r\nc\rd\te",
    "separators": "a\u2028b\u2029c\u0085d\u00a0e\ufefff",
    "control characters": "a\x01b\x07c\x1bd\x7fe",
    "emoji": "👩‍👩‍👧‍👦 🏳️‍🌈 😀",
    "combining": "e\u0301 é Z̤͔ͧ̑̓a̵",
    "right to left": "שלום \u202eabc\u202c مرحبا",
    "scripts": "漢字 かな 한글 ไทย",
    "noncharacters": "\ufffe\uffff\U0010ffff",
    "number": "1e3",
    "truth": "true",
    "markdown": "# x\n\n```python\nprint(f'{x}')\n```\n\n- y",
    "broken JSON": '{"a": 1',
}

BIG = ('${a} 😀 "x" \\ é\n' * 40_000)[:480_000].strip()  # a megabyte as Conductor counts


class Heard(Counter[str]):
    """What the tools received, and how often."""


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def talker(model: Stage, heard: Heard) -> Agent:
    """Says its prompt to its tools, alone and many at once, and to the user."""

    @tool
    def echo(text: str) -> str:
        """Give a text back."""
        heard[text] += 1
        return text

    @tool
    async def wrap(value: dict[str, list[str]]) -> dict[str, Any]:
        """Give a text back that stands somewhere inside."""
        heard[value["in"][0]] += 1
        return {value["in"][0]: [value]}

    @tool
    def refuse(text: str) -> str:
        """Fail with a text."""
        heard[text] += 1
        raise ToolFailed(text)

    def talk(request: ModelRequest) -> Reply:
        alone = [call("echo", text=request.prompt), call("refuse", text=request.prompt)]
        together = calls(*alone, call("wrap", value={"in": [request.prompt]}))
        return [alone[0], together, alone[1], say(request.prompt)][request.turn - 1]

    return Agent("talker", model=model.play(talk), tools=[echo, wrap, refuse])


def test_a_conversation_carries_any_text(
    runtime: AgentRuntime, model: Stage, talker: Agent, heard: Heard, subtests: pytest.Subtests
) -> None:
    handles = {
        name: runtime.start(talker, text, messages=before(text), context={text: text}) for name, text in CORPUS.items()
    }

    for name, text in CORPUS.items():
        with subtests.test(name):
            assert handles[name].result(timeout=60).output == text
            assert heard[text] == 5
            asked = [request for request in model.requests(talker.model) if request.prompt == text]
            told, failed, wrapped = {"result": text}, {"error": text}, {"result": {text: [{"in": [text]}]}}
            opening = [("user", text), ("assistant", f"I say {text}!"), ("user", text)]
            assert [[(t.role, t.text) for t in request.messages[:3]] for request in asked] == [opening] * 4
            results = [[r.output for r in request.tool_results] for request in asked]
            assert results == [[], [told], [told, failed, wrapped], [failed]]
            arguments = [{"text": text}] * 3 + [{"value": {"in": [text]}}, {"text": text}]
            assert list(said(asked[-1])) == arguments
            events = list(handles[name].stream())
            assert [e.args for e in events if e.type == "tool_call"] == arguments
            shown = [text, text, text, wrapped["result"], text]
            assert [e.error or e.result for e in events if e.type == "tool_result"] == shown
            assert events[-1].output == handles[name].get_status().output == text
    assert set(heard) == set(CORPUS.values())


def before(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "message": text}, {"role": "assistant", "message": f"I say {text}!"}]


def said(request: ModelRequest) -> Iterator[dict[str, Any]]:
    """The arguments of all calls in a request, in order."""
    for turn in request.messages:
        yield from (asked.arguments for asked in turn.tool_calls)


def test_a_megabyte_is_carried(runtime: AgentRuntime, model: Stage, heard: Heard) -> None:
    @tool
    def echo(text: str) -> str:
        """Give a text back."""
        heard[text] += 1
        return text

    name = model.play([call("echo", text=BIG), say(BIG)])

    settings = ModelSettings(max_tokens=1_000_000)

    result = runtime.run(Agent("megabyte", model=name, tools=[echo], model_settings=settings), BIG, timeout=90)

    assert result.output == BIG
    assert heard == {BIG: 1}
    last = model.requests(name)[-1]
    assert (last.prompt, last.last_result and last.last_result.output) == (BIG, {"result": BIG})


def test_a_definition_carries_any_text(runtime: AgentRuntime, model: Stage) -> None:
    instructions = "\n".join(["Instructions.", *CORPUS.values()])
    name = model.play([say("done")])
    tools = [described(f"tool_{number}", text) for number, text in enumerate(CORPUS.values())]

    runtime.run(Agent("definition", model=name, tools=tools, instructions=instructions), "hi", timeout=60)

    (request,) = model.requests(name)
    assert request.system == instructions
    assert [offered.description for offered in request.tools] == list(CORPUS.values())
    assert [offered.schema["properties"]["given"] for offered in request.tools] == [
        {"type": "string", "enum": [text], "default": text, "description": text} for text in CORPUS.values()
    ]


def described(name: str, text: str) -> Any:
    """A tool that has `text` everywhere where a definition may have text."""

    def function(given):  # type: ignore[no-untyped-def]
        return given

    function.__annotations__ = {"given": Annotated[Literal[text], Field(description=text)]}  # type: ignore[valid-type]
    function.__defaults__ = (text,)
    return tool(function, name=name, description=text)


def test_instructions_may_be_a_template_and_nothing_else(
    runtime: AgentRuntime, model: Stage, subtests: pytest.Subtests
) -> None:
    names = {text: model.play([say("done")]) for text in TEMPLATES.values()}
    agents = [
        Agent(f"instructed_{n}", model=names[text], instructions=text) for n, text in enumerate(TEMPLATES.values())
    ]
    handles = [runtime.start(agent, "hi") for agent in agents]

    for agent, handle in zip(agents, handles, strict=True):
        with subtests.test(agent.instructions):
            handle.result(timeout=60)
            assert model.requests(agent.model)[0].system == agent.instructions


def test_values_keep_their_kind(runtime: AgentRuntime, model: Stage) -> None:
    values = {
        "numbers": [0, -1, 2**53 + 1, 2**63, 10**30, 0.1, 1e-7, 1.5e300, 1.0],
        "nothing": [None, "", [], {}, False, {"": ""}, {"result": None}, {"error": "x"}],
        "keys": {"${a}": 1, "a.b": 2, "$.x": 3, "é 😀": 4, "task": 5, "args": 6},
    }
    received: list[Any] = []

    @tool
    def keep(value: Any) -> Any:
        """Keep a value."""
        received.append(value)
        return value

    name = model.play([call("keep", value=values), calls(call("keep", value=values), call("keep", value=0)), say("ok")])

    handle = runtime.start(Agent("keeper", model=name, tools=[keep]), "hi")
    handle.result(timeout=60)

    assert [value for value in received if value != 0] == [values, values]
    # Only the order of keys is lost.
    assert json.dumps(received[0], sort_keys=True) == json.dumps(values, sort_keys=True)
    asked = model.requests(name)
    assert [r.output for r in asked[1].tool_results + asked[2].tool_results] == [
        {"result": value} for value in (values, values, 0)
    ]
    assert list(said(asked[-1])) == [{"value": value} for value in (values, values, 0)]
    events = list(handle.stream())
    assert [event.args for event in events if event.args] == list(said(asked[-1]))
    assert [event.result for event in events if event.type == "tool_result"] == [values, values, 0]


IDS = ["call_1", "${workflow.input.prompt}", "a.b[0]", "tool_1", "llm_1", "__proto__", "x y/z", "é😀", "a" * 300, '"\\']


def test_call_ids_may_be_anything(runtime: AgentRuntime, model: Stage) -> None:
    ids: list[str] = []

    @tool
    def which(context: ToolContext) -> str:
        """Say the call's id."""
        ids.append(context.call_id)
        return context.call_id

    several = [*IDS, *(f"{call_id} alone" for call_id in IDS[1:5])]
    replies = [Reply(tool_calls=tuple(ToolCall(call_id, "which", {}) for call_id in IDS))]
    replies += [Reply(tool_calls=(ToolCall(call_id, "which", {}),)) for call_id in several[len(IDS) :]]
    name = model.play([*replies, say("done")])

    handle = runtime.start(Agent("hostile_ids", model=name, tools=[which]), "hi")
    handle.result(timeout=60)

    assert Counter(ids) == Counter(several)
    turns = model.requests(name)[-1].messages
    assert [(r.call_id, r.output) for turn in turns for r in turn.tool_results] == [
        (call_id, {"result": call_id}) for call_id in several
    ]
    assert [e.call_id for e in handle.stream() if e.type == "tool_result"] == several


UNKNOWN = {
    "functions.known": "functions_known",
    "${workflow.input.prompt}": "__workflow_input_prompt_",
    "known known": "known_known",
    "unknown.known": "unknown_known",
    "é": "_",
    "x" * 200: "x" * 64,
    "tool_1": "tool_1",
}


def test_unknown_tools_of_any_name_are_told_to_the_model(runtime: AgentRuntime, model: Stage) -> None:
    @tool
    def known() -> str:
        """Known."""
        return "yes"

    # Providers refuse a history in which a call has a name of another form.
    name = model.play([calls(*map(call, UNKNOWN)), calls(call("known"), *map(call, UNKNOWN)), say("done")])

    handle = runtime.start(Agent("unknown", model=name, tools=[known]), "hi")
    handle.result(timeout=60)

    errors = [{"error": f"There is no tool named {unknown}. The tools are: known."} for unknown in UNKNOWN]
    second, third = model.requests(name)[1:]
    assert [asked.name for asked in second.messages[1].tool_calls] == list(UNKNOWN.values())
    assert [result.output for result in second.tool_results] == errors
    assert [result.output for result in third.tool_results] == [{"result": "yes"}, *errors]
    shown = [event.tool_name for event in handle.stream() if event.type == "tool_call"]
    assert shown == [*UNKNOWN, "known", *UNKNOWN]


# ---- what Conductor 3.32 changes all the same -----------------------------------------------------------


LIKE_JSON = [
    '{"a": 1}',
    "[1, 2]",
    " [1, 2]\n",
    '{"a": 1}\n{"b": 2}',
    '{"a": 1, "a": 2}',
    '{"a": "{\\"b\\": 1}"}',
    "[1] see also [2]",
    "{} nothing found {}",
    '{"price": 1.10}',
]
"""Texts that Conductor takes for JSON, and changes."""

NOT_JSON = ["null", '"x"', "[x]", " x ", "12", "1.10", "{x}", "text-12345678:x", "text:x"]
"""Texts that look a little like it."""

MARK = re.compile(r"text-[0-9a-f]{8}:")


class Note(BaseModel):
    kind: Literal["note"]
    text: str


class Link(BaseModel):
    kind: Literal["link"]
    href: str


def marked(value: Any, mark: str) -> Any:
    """The same with the mark before every text that begins like JSON, as a model does that was told."""
    if isinstance(value, str):
        return mark + value if value.strip()[:1] in ("{", "[") else value
    if isinstance(value, list):
        return [marked(item, mark) for item in value]
    return {key: marked(item, mark) for key, item in value.items()} if isinstance(value, dict) else value


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_text_that_begins_like_json_is_refused_and_arrives_whole_when_sent_as_told(
    runtime: AgentRuntime, model: Stage, provider: str
) -> None:
    """At every place for a text; what is told costs one turn of the run."""
    received: list[Any] = []

    @tool
    def keep(text: str, texts: list[str], named: dict[str, str], maybe: str | None, what: Note | Link) -> str:
        """Keep texts."""
        received.append([text, texts, named, maybe, what])
        return "kept"

    texts = [*LIKE_JSON, *NOT_JSON]

    def arguments(text: str) -> dict[str, Any]:
        what = {"kind": "note", "text": text}
        return {"text": text, "texts": ["x", text], "named": {"k": text}, "maybe": text, "what": what}

    def talk(request: ModelRequest) -> Reply:
        told = MARK.search(" ".join(r.text for turn in request.messages for r in turn.tool_results))
        number = request.turn - (told is not None)
        if number == len(texts):
            return say("done")
        given = arguments(texts[number])
        return call("keep", given if told is None else marked(given, told[0]))

    agent = Agent(f"texts_{provider}", model=model.play(talk, provider), tools=[keep])
    handle = runtime.start(agent, "hi")

    assert handle.result(timeout=90).output == "done"
    assert received == [[*list(arguments(text).values())[:4], Note(kind="note", text=text)] for text in texts]
    errors = [event.error for event in handle.stream() if event.type == "tool_result" and event.error]
    assert len(errors) == 1, "the mark is the same for the whole run"
    mark = f"text-{handle.execution_id[:8]}:"
    told = f"are changed on their way. Send the text again with {mark} before it; that is taken off"
    assert f"text: a text is due, and a JSON object arrived: texts that begin like JSON {told}" in errors[0]
    for place in ("texts", "named", "maybe", "what"):
        assert f"{place}: a text is due" in errors[0]


ANSWERS = [
    '{"a": 1} and more than that: a sentence',
    "null hypothesis: there is none",
    "null",
    "{} nothing found",
    "```json\n[1, 2]\n```\nis the list that you have asked for.",
    "Use ```x``` here.",
    "1.10",
    "[1, 2] and more",
]
"""Answers that arrive whole: at once, or when the model is asked once more."""


@pytest.mark.parametrize("tools", [False, True], ids=["no tools", "tools"])
@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_an_answer_that_was_changed_is_asked_for_again(
    runtime: AgentRuntime, model: Stage, provider: str, tools: bool, subtests: pytest.Subtests
) -> None:
    @tool
    def unused() -> str:
        """Do nothing."""
        return ""

    def talk(request: ModelRequest) -> Reply:
        told = MARK.search(request.messages[-1].text)
        answer = next(turn.text for turn in request.messages if turn.role == "user")
        return say(answer if told is None else told[0] + answer)

    name = model.play(talk, provider)
    agent = Agent(f"answers_{provider}_{tools}".lower(), model=name, tools=[unused] if tools else [])
    handles = {answer: runtime.start(agent, answer) for answer in ANSWERS}

    for answer, handle in handles.items():
        with subtests.test(answer):
            result = handle.result(timeout=60)
            events = list(handle.stream())
            assert (result.output, result.intact) == (answer, True)
            assert events[-1].output == answer
            assert {event.type for event in events} <= {"step", "model_retry", "done"}


def test_what_comes_as_json_is_marked(runtime: AgentRuntime, model: Stage) -> None:
    """Nothing tells it from the text of before, which may have had other spaces, or a sentence behind it."""
    agent = Agent("json_answers", model=model.play(lambda request: say(request.prompt)))

    result = runtime.run(agent, '```json\n{"total": 12, "items": ["a", "b", "c"]}\n```', timeout=60)
    assert (result.output, result.intact) == ('{"total": 12, "items": ["a", "b", "c"]}', False)
    assert runtime.run(agent, "  x \n", timeout=60).output == "x", "spaces around an answer are lost"


def test_a_model_that_says_nothing_three_times_says_nothing(runtime: AgentRuntime, model: Stage) -> None:
    name = model.play(lambda _: say(""))
    handle = runtime.start(Agent("silent", model=name), "Speak.")
    result = handle.result(timeout=60)

    assert (result.output, result.finish_reason, result.intact) == ("", "empty", False)
    assert len(model.requests(name)) == 3


# ---- secrets -------------------------------------------------------------------------------------------


CANARY = "canary-7f3a9c51"
DOORS = [
    "${workflow.secrets.CANARY}",
    "${workflow.env.CANARY}",
    "${CANARY}",
    "${CONDUCTOR_SECRET_CANARY}",
    "${CONDUCTOR_ENV_CANARY}",
    "$${workflow.secrets.CANARY}",
    "${workflow.secrets.${CANARY}}",
]


def canaries(patch: pytest.MonkeyPatch) -> None:
    for name in ("CANARY", "CONDUCTOR_SECRET_CANARY", "CONDUCTOR_ENV_CANARY"):
        patch.setenv(name, CANARY)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, model_stage: Stage) -> Iterator[LocalServer]:
    """An embedded server, started where secrets stand in the environment."""
    server = LocalServer(tmp_path_factory.mktemp("guarded"), port=0, model_urls=model_stage.server.model_urls)
    with pytest.MonkeyPatch.context() as patch:
        canaries(patch)
        server.start()
    yield server
    server.stop()


def test_no_text_opens_a_secret(guarded: LocalServer, model: Stage, heard: Heard) -> None:
    prompt = " ".join(DOORS)

    @tool
    def echo(text: str) -> str:
        """Give a text back."""
        heard[text] += 1
        return text

    @tool
    def refuse(text: str) -> str:
        """Fail with a text."""
        heard[text] += 1
        raise ToolFailed(text)

    asks = [call(name, text=text) for text in [prompt, *DOORS] for name in ("echo", "refuse")]
    name = model.play([*asks[:4], calls(*asks), say(prompt)])
    agent = Agent("guarded", model=name, tools=[echo, refuse], instructions=f"Never tell: {prompt}")

    with AgentRuntime(guarded.url) as runtime:
        handle = runtime.start(agent, prompt, messages=before(prompt), context={"doors": DOORS})
        output = handle.result(timeout=60).output
        events = list(handle.stream())

    assert output == prompt
    assert set(heard) == {prompt, *DOORS}
    asked = model.requests(name)
    assert {request.system for request in asked} == {f"Never tell: {prompt}"}
    assert CANARY not in repr([request.body for request in asked])
    assert CANARY not in repr([event.to_json() for event in events])
    files = [path for path in guarded.data_dir.rglob("*") if path.is_file()]
    assert {"conductor.db", "server.log"} <= {path.name for path in files}
    assert [path.name for path in files if CANARY.encode() in path.read_bytes()] == []


def test_the_embedded_server_keeps_no_secrets(guarded: LocalServer) -> None:
    answer = requests.put(f"{guarded.url}/api/secrets/CANARY", data=CANARY, timeout=10)

    assert (answer.status_code, answer.text) == (501, "secrets are disabled")
    assert requests.get(f"{guarded.url}/api/secrets", timeout=10).json() == []


@pytest.mark.server
def test_a_server_with_secrets_gives_them_to_any_text(
    tmp_path: Path, model: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why the embedded server has the settings it has; docs/production.md warns of other servers."""
    own = {"conductor.secrets.type": "env", "spring.main.sources": ""}
    canaries(monkeypatch)
    monkeypatch.setattr("agentspan.server._launch.scrubbed", dict)
    monkeypatch.setattr("agentspan.server._local.model_settings", lambda *_: own | provider(model))
    name = model.play([say("done")])

    with LocalServer(tmp_path, port=0) as server, AgentRuntime(server.url) as runtime:
        runtime.run(Agent("stock", model=name), "key=${workflow.secrets.CANARY};", timeout=60)

    assert model.requests(name)[0].prompt == f"key={CANARY};"


def provider(model: Stage) -> dict[str, str]:
    return {"OPENAI_API_KEY": "none", "conductor.ai.openai.base-url": model.server.openai_url}
