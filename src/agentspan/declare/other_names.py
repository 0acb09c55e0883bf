"""The names that scripts written for another SDK have for options of agents and tools: each with what it stands for."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypedDict

from agentspan.declare.callbacks import CallbackHandler
from agentspan.declare.commands import CliConfig, CodeExecutionConfig
from agentspan.declare.memory import ConversationMemory
from agentspan.declare.policy import Backoff, Retry, check_count
from agentspan.errors import DefinitionError


class AgentNames(TypedDict, total=False):
    """Other names of an agent's options, and what stands beside its definition; None leaves one as it is.

    Attributes:
        max_tokens: `ModelSettings.max_tokens`.
        temperature: `ModelSettings.temperature`.
        thinking_budget_tokens: `ModelSettings.thinking_tokens`.
        reasoning_effort: `ModelSettings.reasoning_effort`.
        timeout_seconds: `Agent.timeout`; 0 sets no limit.
        stop_when: `Agent.termination`, as a function.
        memory: Messages that each run begins with.
        callbacks: What `run()` calls while it waits.
        credentials: `Tool.credentials` of each of its tools.
        cli_commands: Whether its model may run commands, where they are named.
        cli_allowed_commands: Which ones: a `cli_tool` with these.
        cli_config: The same, and more of it.
        local_code_execution: A `code_tool`, with a network.
        allowed_languages: What its programs are written in.
        code_execution: The same, and more of it.
    """

    max_tokens: int | None
    temperature: float | None
    thinking_budget_tokens: int | None
    reasoning_effort: str | None
    timeout_seconds: float | None
    stop_when: Callable[..., bool] | None
    memory: ConversationMemory | None
    callbacks: Sequence[CallbackHandler] | None
    credentials: Sequence[str] | None
    cli_commands: bool | None
    cli_allowed_commands: Sequence[str] | None
    cli_config: CliConfig | None
    local_code_execution: bool | None
    allowed_languages: Sequence[str] | None
    code_execution: CodeExecutionConfig | None


class ToolNames(TypedDict, total=False):
    """Other names of a tool's options; None leaves one as it is.

    Attributes:
        timeout_seconds: `Tool.timeout`.
        retry_count: `Retry.attempts` without the first one.
        retry_delay_seconds: `Retry.delay`.
        retry_policy: `Retry.backoff`: `fixed`, `linear_backoff` or `exponential_backoff`.
        approval_required: `approval=True`.
        isolated: Says nothing here: a tool runs in a thread of its worker, or on its event loop.
    """

    timeout_seconds: float | None
    retry_count: int | None
    retry_delay_seconds: float | None
    retry_policy: str | None
    approval_required: bool | None
    isolated: bool | None


_MODEL_SETTINGS = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "thinking_budget_tokens": "thinking_tokens",
    "reasoning_effort": "reasoning_effort",
}

_BACKOFFS: dict[str, Backoff] = {"fixed": "fixed", "linear_backoff": "linear", "exponential_backoff": "exponential"}

_INSTEAD = {
    "agents": "Team(name, [a, b], strategy=…) has agents; Agent(tools=[agent_tool(a), …]) asks them.",
    "strategy": "Team(name, [a, b], strategy=…) has one.",
    "router": "Team(name, [a, b], strategy='router', router=…) has one.",
    "allowed_commands": "The commands that a model may run: tools=[cli_tool(['ls', 'git status'])].",
}
_PAGE = "docs/migrating.md says what there is here."


def agent_values(what: str, given: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    """The options of an agent that `others` stand for.

    Args:
        what: What messages call the agent.
        given: Its options under their own names.
        others: Its options under other names.

    Raises:
        DefinitionError: An option has two values.
        TypeError: There is no such name; the note says what there is in its place.
    """
    _refuse_unknown("Agent()", others, AgentNames.__annotations__)
    named = _given(others)
    values: dict[str, Any] = {}
    settings = {_MODEL_SETTINGS[name]: value for name, value in named.items() if name in _MODEL_SETTINGS}
    if settings:
        own = given["model_settings"]
        for name in settings:
            _refuse_two(what, f"model_settings.{name}", getattr(own, name))
        values["model_settings"] = replace(own, **settings)
    if "timeout_seconds" in named:
        _refuse_two(what, "timeout", given["timeout"])
        values["timeout"] = named["timeout_seconds"] or None
    if "stop_when" in named:
        _refuse_two(what, "termination", given["termination"])
        values["termination"] = named["stop_when"]
    memory, callbacks = named.get("memory"), tuple(named.get("callbacks", ()))
    if memory is not None and not isinstance(memory, ConversationMemory):
        raise DefinitionError(f"{what}: memory must be a ConversationMemory, not {memory!r}")
    for each in callbacks:
        if not isinstance(each, CallbackHandler):
            raise DefinitionError(f"{what}: callbacks are objects of a subclass of CallbackHandler, not {each!r}")
    return {**values, "memory": memory, "callbacks": callbacks}


def tool_policy(
    what: str, retry: Retry, timeout: float | None, others: Mapping[str, Any]
) -> tuple[Retry, float | None]:
    """A tool's retry and timeout, with what `others` say of them.

    Raises:
        DefinitionError: An option has two values.
        TypeError: There is no such name; the note says what there is in its place.
    """
    _refuse_unknown("tool()", others, ToolNames.__annotations__)
    named = _given(others)
    if "timeout_seconds" in named:
        _refuse_two(what, "timeout", timeout)
        timeout = named["timeout_seconds"] or None
    if named.keys() & {"retry_count", "retry_delay_seconds", "retry_policy"}:
        _refuse_two(what, "retry", None if retry == Retry() else retry)
        retry = _retry(what, **{name: value for name, value in named.items() if name.startswith("retry_")})
    return retry, timeout


def worker_task(function: Callable[..., Any]) -> tuple[Callable[..., Any], str | None]:
    """A function that conductor-python's `@worker_task` decorated, without the decorator, and the task's name.

    Any other function stays as it is, and has None for a name. That package is not imported for it.
    """
    made_in = getattr(function, "__globals__", {}).get("__name__")
    if made_in != "conductor.client.worker.worker_task" or not hasattr(function, "__wrapped__"):
        return function, None
    return function.__wrapped__, inspect.getclosurevars(function).nonlocals["task_definition_name"]


def _retry(
    what: str, retry_count: int = 2, retry_delay_seconds: float = 2, retry_policy: str = "linear_backoff"
) -> Retry:
    if retry_policy not in _BACKOFFS:
        raise DefinitionError(f"{what}: retry_policy is {', '.join(_BACKOFFS)}, not {retry_policy!r}")
    check_count(retry_count, f"{what}: retry_count", 0, 10)
    return Retry(retry_count + 1, delay=retry_delay_seconds, backoff=_BACKOFFS[retry_policy])


def _given(others: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in others.items() if value is not None}


def _refuse_unknown(call: str, others: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    for name in others:
        if name not in known:
            error = TypeError(f"{call} got an unexpected keyword argument {name!r}")
            error.add_note(_INSTEAD.get(name, _PAGE))
            raise error


def _refuse_two(what: str, name: str, value: object) -> None:
    if value is not None:
        raise DefinitionError(f"{what}: {name} is given twice, under two names")
