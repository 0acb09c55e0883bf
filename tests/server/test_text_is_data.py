"""Text of users, models and tools is data: it arrives as it was, wherever it is put, and opens nothing.

Conductor reads templates (`${…}`) in definitions and in the inputs of a dynamic fork, and turns text that
looks like JSON into structures. What it changes all the same has a test of its own here, so that we
learn when it stops.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from agentspan.agents import Agent, AgentRuntime, ToolFailed, tool
from agentspan.testing import ModelRequest, Reply, call, calls, say
from agentspan.testing.plugin import Stage

TEMPLATES = {
    "input template": "${workflow.input.prompt}",
    "template in a text": "before ${workflow.input.prompt} after",
    "task template": "${llm_1.output.toolCalls[0].inputParameters}",
    "environment": "${PATH} ${HOME}",
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
    "a segment's answer": "finish_reason: null",
    "1 MB": '${a} 😀 "x" \\ ' * 58_000,
}

plain = pytest.mark.parametrize("text", CORPUS.values(), ids=CORPUS.keys())


class Seen(list[str]):
    """What a tool received."""


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def talker(model: Stage, seen: Seen) -> Agent:
    """Says its prompt to its tools, alone and many at once, and to the user."""

    @tool
    def echo(text: str) -> str:
        """Give a text back."""
        seen.append(text)
        return text

    @tool
    async def wrap(value: dict[str, list[str]]) -> dict[str, Any]:
        """Give a text back that stands somewhere inside."""
        seen.append(value["in"][0])
        return {value["in"][0]: [value]}

    @tool
    def refuse(text: str) -> str:
        """Fail with a text."""
        seen.append(text)
        raise ToolFailed(text)

    name = model.play(_say_the_prompt, name="talker")
    return Agent("talker", model=name, tools=[echo, wrap, refuse])


def _say_the_prompt(request: ModelRequest) -> Reply:
    text = request.prompt
    echo, wrap, refuse = call("echo", text=text), call("wrap", value={"in": [text]}), call("refuse", text=text)
    return [echo, calls(echo, wrap, refuse), wrap, refuse, say(text)][request.turn - 1]


@plain
def test_a_conversation_carries_any_text(
    runtime: AgentRuntime, model: Stage, talker: Agent, seen: Seen, text: str
) -> None:
    before = len(model.requests(talker.model))
    history = [{"role": "user", "message": text}, {"role": "assistant", "message": f"I say {text}!"}]

    handle = runtime.start(talker, text, messages=history, context={text[:100]: text})
    result = handle.result(timeout=60)

    assert result.output == text
    assert seen == [text] * 6
    asked = model.requests(talker.model)[before:]
    told, failed = {"result": text}, {"error": text}
    wrapped = {"result": {text: [{"in": [text]}]}}
    assert [[r.output for r in request.tool_results] for request in asked] == [
        [],
        [told],
        [told, wrapped, failed],
        [wrapped],
        [failed],
    ]
    opening = [("user", text), ("assistant", f"I say {text}!"), ("user", text)]
    assert [[(turn.role, turn.text) for turn in request.messages[:3]] for request in asked] == [opening] * 5
    assert list(_said(asked[-1])) == [{"text": text}, {"text": text}, {"value": {"in": [text]}}, {"text": text}] + [
        {"value": {"in": [text]}},
        {"text": text},
    ]
    events = list(handle.stream())
    assert [e.args for e in events if e.type == "tool_call"] == list(_said(asked[-1]))
    results = [e.error or e.result for e in events if e.type == "tool_result"]
    assert results == [text, text, wrapped["result"], text, wrapped["result"], text]
    assert events[-1].output == text
    assert handle.get_status().output == text


def _said(request: ModelRequest) -> Iterator[dict[str, Any]]:
    for turn in request.messages:
        yield from (asked.arguments for asked in turn.tool_calls)
