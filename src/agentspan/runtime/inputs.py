"""What a run is started with: the prompt, what was said before it, and values of the caller."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentspan.declare.agent import Agent
from agentspan.declare.content import File, Prompt, holds_files, stored_form, words_of
from agentspan.declare.handoff import as_one
from agentspan.errors import InputError
from agentspan.schema.values import check_text, check_value


def run_input(prompt: Prompt, messages: object, context: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a run is started with, checked.

    Raises:
        InputError: It cannot be carried intact.
    """
    inputs = _prompted(prompt)
    if messages:
        before = check_value(messages, "messages")
        inputs["messages"] = [_message(item, f"messages[{number}]") for number, item in enumerate(before)]
    if context is not None and not isinstance(context, Mapping):
        raise InputError(f"context must be a dict, not {type(context).__name__}")
    if context:
        inputs["context"] = check_value(dict(context), "context")
    check_value(inputs, "prompt, messages and context together")
    return inputs


def check_state(agent: Agent[Any], context: Mapping[str, Any] | None) -> None:
    """Refuse a context that the agent's state cannot begin with.

    Raises:
        InputError: A field has neither a value there nor a default, or another type.
    """
    state = as_one(agent).shared_state
    if state is not None:
        state.begun(context or {}, f"agent {agent.name!r}")


def _prompted(prompt: Prompt) -> dict[str, Any]:
    inputs: dict[str, Any]
    if isinstance(prompt, list | tuple):
        wrong = [type(part).__name__ for part in prompt if not isinstance(part, str | File)]
        if wrong:
            raise InputError(f"prompt is a str, or a list of str, Image and File; there is a {wrong[0]} in it")
        text, parts = words_of(prompt), [part if isinstance(part, str) else stored_form(part) for part in prompt]
        inputs = {"prompt": check_text(text, "prompt")} | ({"content": parts} if holds_files(parts) else {})
    else:
        inputs = {"prompt": check_text(prompt, "prompt")}
    if not inputs["prompt"].strip():
        raise InputError("prompt is empty", hint="Models refuse a conversation in which the user says nothing.")
    return inputs


def files_refused(agent: str) -> InputError:
    """What is said of images and files where the Conductor server makes the model's call."""
    return InputError(
        f"The model of the agent {agent} is called by the Conductor server, which takes no images and files",
        hint="Declare it with model_place='worker'.",
    )


def preceded(inputs: dict[str, Any], before: list[dict[str, str]]) -> dict[str, Any]:
    """The inputs of a run whose conversation began before its own messages.

    Raises:
        InputError: All of them together are too long.
    """
    if not before:
        return inputs
    said = [_message(item, f"what was said before, message {number}") for number, item in enumerate(before, 1)]
    whole = {**inputs, "messages": [*said, *inputs.get("messages", [])]}
    check_value(whole, "prompt, messages and context together")
    return whole


def check_key(key: object, session_id: object) -> None:
    """Refuse an idempotency key that makes no sense.

    Raises:
        InputError: It is no text, empty, or that of a run in a session.
    """
    if key is None:
        return
    if session_id is not None:
        raise InputError("idempotency_key and session_id do not go together: a run is found by the one or the other")
    if not check_text(key, "idempotency_key").strip():
        raise InputError(
            "idempotency_key is empty: all callers without a key would share one run",
            hint="Leave it out, or pass None, where there is no key.",
        )


def _message(item: Any, what: str) -> dict[str, str]:
    if not isinstance(item, dict) or set(item) != {"role", "message"} or item["role"] not in ("user", "assistant"):
        raise InputError(f"{what} must be {{'role': 'user' or 'assistant', 'message': str}}, not {str(item)[:100]}")
    if not check_text(item["message"], f"{what}: message").strip():
        raise InputError(f"{what}: message is empty")
    return item
