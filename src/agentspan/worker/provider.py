"""Asking a model, by pydantic-ai: one request, its messages whole, no agent and no tries of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from pydantic_ai.direct import model_request, model_request_stream
from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError, UnexpectedModelBehavior, UserError
from pydantic_ai.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequestPart,
    ModelResponse,
    PartDeltaEvent,
    PartStartEvent,
    SystemPromptPart,
    TextPart,
    TextPartDelta,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.messages import ModelRequest as Said
from pydantic_ai.models import Model, infer_model
from pydantic_ai.providers import Provider, infer_provider_class

from agentspan.clock import wait_told
from agentspan.declare.providers import find_provider
from agentspan.errors import ToolFailed
from agentspan.reading.prices import load_table
from agentspan.stored.request import ModelRequest
from agentspan.worker.answer import Answer
from agentspan.worker.call import Json, ModelAway, ModelUncalled
from agentspan.worker.call_ids import with_own_ids
from agentspan.worker.carried import carried
from agentspan.worker.files import with_files
from agentspan.worker.odd_answers import refusal_of, whole
from agentspan.worker.offer import parameters, with_called
from agentspan.worker.prices import with_cost
from agentspan.worker.quick import hurry
from agentspan.worker.thinking import own_thoughts, with_thinking
from agentspan.worker.too_long import TooLong, is_too_long
from agentspan.worker.transcript import Exchange, LeftOut

_NAMES = {
    "google_gemini": "google",
    "vertex_ai": "google-cloud",
    "azure_openai": "azure",
    "Grok": "xai",
}
"""Conductor's names of providers that are not the library's."""

_SETTINGS = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "stop": "stop_sequences",
    "reasoning_effort": "thinking",
    "tool_choice": "tool_choice",
}

_AGAIN = frozenset({408, 409, 425, 429})
"""Answers below 500 that another try may change."""

load_table()  # rather than with the first answer, on the event loop

LONGEST = 600.0
"""Seconds that an answer may take."""


async def ask(
    request: ModelRequest,
    beginning: Sequence[Json],
    exchanges: Sequence[Exchange],
    left_out: LeftOut,
    hear: Callable[[str], None] | None = None,
) -> Answer:
    """Ask the model once; see `agentspan.worker.answer.Provider`."""
    opened = _opened(request)
    request = with_called(request, exchanges)
    try:
        messages = own_thoughts(opened.model, _messages(request, beginning, exchanges, left_out))
        response = await (model_request if hear is None else _streamed(request, hear))(
            opened.model,
            messages,
            model_settings=with_thinking(opened.model, _settings(request), messages) | opened.tries,
            model_request_parameters=parameters(request, opened.model),
        )
    except ModelHTTPError as error:
        raise _refusal(error) from error
    except UserError as error:  # what this model does not take
        raise ToolFailed(f"The worker cannot call {request.model}: {error}") from error
    except ModelAPIError as error:
        raise _away(error) from error
    except UnexpectedModelBehavior as error:
        raise ModelAway(f"The model's provider answered without an answer: {error.message}") from error
    taken = (call.id for exchange in exchanges for call, _ in exchange.told)
    try:
        return _answer(request, with_own_ids(whole(response), left_out.count + len(exchanges) + 1, taken))
    except ModelAway as error:
        raise error.having_used(_used(request, response)) from None


def _streamed(request: ModelRequest, hear: Callable[[str], None]) -> Callable[..., Awaitable[ModelResponse]]:
    async def streamed(*asked: Any, **how: Any) -> ModelResponse:
        async with model_request_stream(*asked, **how) as stream:
            try:
                async for event in stream:
                    if isinstance(event, PartStartEvent) and isinstance(event.part, TextPart):
                        hear(event.part.content)
                    elif isinstance(event, PartDeltaEvent) and isinstance(event.delta, TextPartDelta):
                        hear(event.delta.content_delta)
            except ModelAPIError as error:
                if isinstance(error, ModelHTTPError):
                    raise
                raise _away(error).having_used(_used_so_far(request, stream.get())) from error
            return stream.get()

    return streamed


def _away(error: ModelAPIError) -> ModelAway:
    return ModelAway(f"The model's provider did not answer: {error.message}")


def _refusal(error: ModelHTTPError) -> Exception:
    message = f"The model's provider answered {error.status_code}: {_told(error)}"
    if error.status_code < 500 and error.status_code not in _AGAIN:
        code = _inner(error).get("code")
        return TooLong(message) if is_too_long(error.status_code, message, code) else ToolFailed(message)
    headers = error.headers or {}
    return ModelAway(message, after=wait_told(headers.get("retry-after"), headers.get("date")))


def _told(error: ModelHTTPError) -> str:
    inner = _inner(error)
    return str(inner.get("message", inner) if inner else error.body)[:1000]


def _inner(error: ModelHTTPError) -> Json:
    body: Any = error.body
    inner = body.get("error", body) if isinstance(body, dict) else None
    return inner if isinstance(inner, dict) else {}


def _messages(
    request: ModelRequest, beginning: Sequence[Json], exchanges: Sequence[Exchange], left_out: LeftOut
) -> list[ModelMessage]:
    system: list[ModelRequestPart] = [SystemPromptPart(request.instructions)] if request.instructions else []
    found: list[ModelMessage] = [Said(parts=system)] if system else []
    for message in beginning:
        if message["role"] == "user":
            found.append(Said(parts=[UserPromptPart(with_files(message.get("content") or message["message"]))]))
        else:
            found.append(ModelResponse(parts=[TextPart(message["message"])]))
    if left_out.note:
        found.append(Said(parts=[UserPromptPart(left_out.note)]))
    for exchange in exchanges:
        if "messages" not in exchange.kept:
            exchange.kept["messages"] = _said(exchange)
        found += exchange.kept["messages"]
    return found


def _said(exchange: Exchange) -> list[ModelMessage]:
    found = list(ModelMessagesTypeAdapter.validate_python([exchange.said] if exchange.said else []))
    if exchange.told:
        found.append(Said(parts=[_returned(call.name, call.id, told) for call, told in exchange.told]))
    elif exchange.remark:
        found.append(Said(parts=[UserPromptPart(exchange.remark)]))
    return found


def _returned(name: str, call_id: str, told: Json) -> ToolReturnPart:
    content = with_files(told["result"]) if "result" in told else {"error": told.get("error")}
    return ToolReturnPart(tool_name=name, content=content, tool_call_id=call_id)


def _settings(request: ModelRequest) -> Any:
    given = request.settings
    found: Json = {theirs: given[ours] for ours, theirs in _SETTINGS.items() if ours in given}
    budget = given.get("thinking_tokens")
    if budget is not None:
        found["anthropic_thinking"] = {"type": "enabled", "budget_tokens": budget}
        found["google_thinking_config"] = {"thinking_budget": budget}
    if "reasoning_summary" in given:
        found["openai_reasoning_summary"] = given["reasoning_summary"]
    longest = given.get("timeout", LONGEST)
    if longest > LONGEST:  # which is when the providers' clients give up by themselves
        found["timeout"] = longest
    # The growing transcript is what is sent each time.
    return {**found, "request_timeout": longest, "cache": True}


@dataclass(frozen=True)
class _Open:
    """A model with its connections, what keeps it from tries of its own, and the task that closes it with its loop."""

    model: Model
    tries: Json
    held: asyncio.Task[None]


_models: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, str | None], _Open]] = WeakKeyDictionary()
"""Connections belong to the event loop that they were made on."""
_making = threading.Lock()


def _opened(request: ModelRequest) -> _Open:
    key = request.model, request.settings.get("base_url")
    with _making:
        known = _models.setdefault(asyncio.get_running_loop(), {})
        if key not in known:
            try:
                model = _made(*key)
            except Exception as error:  # each SDK has errors of its own for a key that is missing; no try mends that
                raise ModelUncalled(f"The worker cannot call {request.model}: {error}") from error
            # The engine makes the tries.
            tries = {} if hurry(model) else {"max_retries": 0}
            known[key] = _Open(model, tries, asyncio.ensure_future(_hold(model)))
        return known[key]


async def _hold(model: Model) -> None:
    async with model:
        await asyncio.Event().wait()


def _made(model: str, base_url: str | None) -> Model:
    provider, _, name = model.partition("/")
    conductors = find_provider(provider) or provider
    chosen = _NAMES.get(conductors, conductors)
    if base_url is None:
        return infer_model(f"{chosen}:{name}")
    # What stands in for OpenAI speaks its older API.
    chosen = "openai-chat" if chosen == "openai" else chosen

    def at(kind: str) -> Provider[Any]:
        made: Any = infer_provider_class(kind)  # whose arguments are those of its kind
        provider: Provider[Any] = made(base_url=base_url)
        return provider

    return infer_model(f"{chosen}:{name}", at)


def _answer(request: ModelRequest, response: ModelResponse) -> Answer:
    stored = carried(response)
    calls = [part for part in response.parts if isinstance(part, ToolCallPart)]
    return Answer(
        message=stored.message,
        text=stored.text or refusal_of(response),
        calls=tuple(
            (part.tool_call_id, part.tool_name, args) for part, args in zip(calls, stored.arguments, strict=True)
        ),
        finish_reason=response.finish_reason or "stop",
        usage=_used(request, response),
        model=_who(request, response),
    )


def _who(request: ModelRequest, response: ModelResponse) -> str:
    provider, _, name = request.model.partition("/")
    return f"{provider}/{response.model_name or name}"


def _used(request: ModelRequest, response: ModelResponse) -> Json:
    usage = response.usage
    counted = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "cached_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "reasoning_tokens": usage.output_reasoning_tokens or (usage.details or {}).get("reasoning_tokens", 0),
    }
    return with_cost(request, _who(request, response), counted)


def _used_so_far(request: ModelRequest, response: ModelResponse) -> Json | None:
    """The same of an answer that broke off; None where the provider had told nothing of it yet."""
    return _used(request, response) if response.usage.has_values() else None
