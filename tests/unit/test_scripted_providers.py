"""The scripted model, asked by the providers' own clients: what they read is what the script said."""

from __future__ import annotations

import asyncio
import threading

import pytest
from pydantic_ai.direct import model_request, model_request_stream
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import (
    ModelRequest,
    ModelResponse,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters, infer_model
from pydantic_ai.providers import infer_provider_class
from pydantic_ai.tools import ToolDefinition

from agentspan.testing import ScriptedModel, call, calls, fail, refuse, say, stream, wait_until

MODELS = {
    "openai": "openai-responses:gpt-5",
    "chat": "openai-chat:llama",
    "anthropic": "anthropic:claude-sonnet-4-6",
    "gemini": "google:gemini-3-pro-preview",
}
TOOL = ToolDefinition(
    name="search",
    description="Finds.",
    parameters_json_schema={"type": "object", "properties": {"query": {"type": "string"}}},
)
THINKS = {"anthropic_thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 4096}


class Client:
    """A conversation through one provider's client."""

    def __init__(self, provider: str, script, *, streams: bool = False, **settings) -> None:
        self.scripted = ScriptedModel(script).start()
        url = self.scripted.openai_url if provider in ("openai", "chat") else self.scripted.anthropic_url
        self.model = infer_model(
            MODELS[provider], lambda kind: infer_provider_class(kind)(base_url=url, api_key="none")
        )
        self.settings = {"max_retries": 0, **settings}
        self.streams = streams
        self.messages = []
        self.deltas = []

    def ask(self, *parts) -> ModelResponse:
        self.messages.append(ModelRequest(parts=list(parts)))
        answer = asyncio.run(self._ask())
        self.messages.append(answer)
        return answer

    async def _ask(self) -> ModelResponse:
        asked = {
            "model_settings": self.settings,
            "model_request_parameters": ModelRequestParameters(function_tools=[TOOL]),
        }
        async with self.model:
            if not self.streams:
                return await model_request(self.model, self.messages, **asked)
            async with model_request_stream(self.model, self.messages, **asked) as stream:
                async for event in stream:
                    if isinstance(event, PartStartEvent) and isinstance(event.part, TextPart):
                        self.deltas.append(event.part.content)
                    if isinstance(event, PartDeltaEvent) and isinstance(event.delta, TextPartDelta):
                        self.deltas.append(event.delta.content_delta)
                return stream.get()

    def prompt(self, text: str = "Go.") -> ModelResponse:
        return self.ask(UserPromptPart(text))

    def results(self) -> ModelResponse:
        made = [part for part in self.messages[-1].parts if isinstance(part, ToolCallPart)]
        return self.ask(*(ToolReturnPart(part.tool_name, "found", part.tool_call_id) for part in made))

    def refused(self, ask) -> str:
        """What the provider says; the only thing that the script has against it."""
        with pytest.raises(ModelHTTPError) as raised:
            ask()
        assert raised.value.status_code == 400
        assert len(self.scripted.errors) == 1
        return str(raised.value)


@pytest.fixture
def client(request):
    opened = []

    def open_one(*args, **settings) -> Client:
        opened.append(Client(*args, **settings))
        return opened[-1]

    yield open_one
    for one in opened:
        one.scripted.stop()


def said(response: ModelResponse) -> tuple:
    texts = "".join(part.content for part in response.parts if isinstance(part, TextPart))
    thoughts = "".join(part.content for part in response.parts if isinstance(part, ThinkingPart))
    made = [(part.tool_name, part.args_as_dict()) for part in response.parts if isinstance(part, ToolCallPart)]
    return thoughts, texts, made


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("provider", list(MODELS))
def test_thinking_text_and_calls_and_back(client, provider: str, streams: bool) -> None:
    script = [
        calls(
            call("search", query="whales that sing at night"), call("search", query="b"), text="I look it up."
        ).thought("Which whales, I wonder."),
        call("search", query="c").thought("One more."),
        say("Whales sing."),
    ]
    one = client(provider, script, streams=streams, **THINKS)

    made = [("search", {"query": "whales that sing at night"}), ("search", {"query": "b"})]
    assert said(one.prompt()) == ("Which whales, I wonder.", "I look it up.", made)
    assert said(one.results()) == ("One more.", "", [("search", {"query": "c"})])
    assert said(one.results()) == ("", "Whales sing.", [])
    assert one.scripted.errors == []
    assert [request.streamed for request in one.scripted.requests] == [streams] * 3
    second = one.scripted.requests[1]
    assert (second.system, second.prompt, second.turn) == ("", "Go.", 1)
    assert [result.name for result in second.tool_results] == ["search", "search"]
    assert [tool.name for tool in second.tools] == ["search"]


@pytest.mark.parametrize("provider", list(MODELS))
def test_a_text_comes_in_the_pieces_of_the_script(client, provider: str) -> None:
    one = client(provider, [stream("Wha", 0.0, "les", " sing.")], streams=True)
    assert said(one.prompt()) == ("", "Whales sing.", [])
    assert [delta for delta in one.deltas if delta] == ["Wha", "les", " sing."]


def test_a_piece_waits_for_its_event(client) -> None:
    seen = threading.Event()
    one = client("openai", [stream("Whales ", seen, "sing.")], streams=True)
    asked = threading.Thread(target=one.prompt)
    asked.start()
    wait_until(lambda: one.deltas, "the first piece", 20)
    assert one.deltas == ["Whales "]
    seen.set()
    asked.join(20)
    assert one.deltas == ["Whales ", "sing."]


@pytest.mark.parametrize("provider", list(MODELS))
def test_a_stream_that_breaks(client, provider: str) -> None:
    one = client(provider, [stream("Whales ", "si", dropped=True)], streams=True)
    with pytest.raises(Exception, match=r"(?i)peer closed|connection error|incomplete"):
        one.prompt()


ENDS = {
    "openai": ["stop", "length", "content_filter", "stop"],
    "chat": ["stop", "length", "content_filter", "tool_call"],
    "anthropic": ["stop", "length", "content_filter", "tool_call"],
    "gemini": ["stop", "length", "content_filter", "stop"],
}


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("provider", list(MODELS))
def test_why_it_ended(client, provider: str, streams: bool) -> None:
    replies = [say("a"), say("a", finish="length"), say("a", finish="content_filter"), call("search")]
    found = [client(provider, [reply], streams=streams).prompt().finish_reason for reply in replies]
    assert found == ENDS[provider]


@pytest.mark.parametrize("provider", list(MODELS))
def test_a_refusal_of_the_model(client, provider: str) -> None:
    answer = client(provider, [refuse("I can't help with that.")]).prompt()
    assert "I can't help with that." in repr(answer)


@pytest.mark.parametrize(
    ("provider", "drop", "sentence"),
    [
        ("anthropic", ThinkingPart, "Expected `thinking` or `redacted_thinking`, but found `tool_use`"),
        ("openai", ThinkingPart, "was provided without its required 'reasoning' item: 'rs_"),
        ("openai", ToolCallPart, "of type 'reasoning' was provided without its required following item."),
    ],
)
def test_what_was_said_must_come_back(client, provider: str, drop: type, sentence: str) -> None:
    one = client(provider, [call("search").thought("Hm."), say("done")], **THINKS)
    one.prompt()
    answer = one.messages[-1]
    answer.parts = [part for part in answer.parts if not isinstance(part, drop)]
    assert sentence in one.refused(one.results if drop is ThinkingPart else one.prompt)


@pytest.mark.parametrize(
    ("provider", "sentence"),
    [
        ("anthropic", "Invalid `signature` in `thinking` block"),
        ("openai", "could not be verified"),
        ("gemini", "Corrupted thought signature."),
    ],
)
def test_signatures_are_checked(client, provider: str, sentence: str) -> None:
    one = client(provider, [call("search").thought("Hm."), say("done")], **THINKS)
    one.prompt()
    for part in one.messages[-1].parts:
        if isinstance(part, ThinkingPart) and part.signature:
            part.signature = "c2lnbmVk"
        if isinstance(part, ToolCallPart) and part.provider_details:
            part.provider_details["thought_signature"] = "c2lnbmVk"
    assert sentence in one.refused(one.results)


def test_a_refused_call_has_the_form_of_gemini(client) -> None:
    with pytest.raises(ModelHTTPError, match="RESOURCE_EXHAUSTED") as raised:
        client("gemini", [fail(429, "slow down", retry_after=7)]).prompt()
    assert raised.value.status_code == 429
