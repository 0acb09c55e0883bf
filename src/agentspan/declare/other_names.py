"""The names that scripts written for another SDK have for options of agents and tools: each with what it stands for."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypedDict

from agentspan.declare.callbacks import CallbackHandler, as_handlers
from agentspan.declare.commands import CliConfig, CodeExecutionConfig
from agentspan.declare.memory import ConversationMemory
from agentspan.declare.policy import Backoff, Retry, check_count
from agentspan.errors import DefinitionError


class Declared(type):
    """The type of agents: `Agent(agents=…)` makes what scripts for another SDK mean by it, which may be a team."""

    if not TYPE_CHECKING:

        def __call__(cls, *args: Any, **options: Any) -> Any:
            """Make one."""
            if not options.get("agents") or "agents" in cls.__dataclass_fields__:
                return super().__call__(*args, **options)
            return import_module("agentspan.declare.members").of_members(*args, **options)  # which needs agents


class AgentNames(TypedDict, total=False):
    """Other names of an agent's options, and what stands beside its definition; None leaves one as it is.

    Attributes:
        max_tokens: `ModelSettings.max_tokens`.
        temperature: `ModelSettings.temperature`.
        thinking_budget_tokens: `ModelSettings.thinking_tokens`.
        reasoning_effort: `ModelSettings.reasoning_effort`.
        base_url: `ModelSettings.base_url`.
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
        agents: Others that it works with; `Team`, or `agent_tool`.
        strategy: How: one of `Strategy`; `handoff` unless given.
        router: Who chooses one of them.
        introduction: `Agent.description`.
        stateful: Says nothing here: a run is served by the process that has started it while that lives.
        include_contents: Says nothing here: an agent that is asked sees what it is asked.
    """

    max_tokens: int | None
    temperature: float | None
    thinking_budget_tokens: int | None
    reasoning_effort: str | None
    base_url: str | None
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
    agents: Sequence[Any] | None
    strategy: str | None
    router: Any
    introduction: str | None
    stateful: bool | None
    include_contents: str | None


class ToolNames(TypedDict, total=False):
    """Other names of a tool's options; None leaves one as it is.

    Attributes:
        timeout_seconds: `Tool.timeout`.
        retry_count: `Retry.attempts` without the first one.
        retry_delay_seconds: `Retry.delay`.
        retry_policy: `Retry.backoff`: `fixed`, `linear_backoff` or `exponential_backoff`.
        approval_required: `approval=True`.
        isolated: Says nothing here: a tool runs in a thread of its worker, or on its event loop.
        stateful: Says nothing here: a run is served by the process that has started it while that lives.
        max_calls: Has no effect here, and a warning says so.
    """

    timeout_seconds: float | None
    retry_count: int | None
    retry_delay_seconds: float | None
    retry_policy: str | None
    approval_required: bool | None
    isolated: bool | None
    stateful: bool | None
    max_calls: int | None


_MODEL_SETTINGS = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "thinking_budget_tokens": "thinking_tokens",
    "reasoning_effort": "reasoning_effort",
    "base_url": "base_url",
}

_BACKOFFS: dict[str, Backoff] = {"fixed": "fixed", "linear_backoff": "linear", "exponential_backoff": "exponential"}

_INSTEAD = {
    "allowed_commands": "The commands that a model may run: tools=[cli_tool(['ls', 'git status'])].",
    "gate": "Team(…, strategy='router', router=function) chooses what goes on; or run the parts one by one.",
    "planner": "Say in the instructions that it is to make a plan first.",
    "before_agent_callback": "hooks=[handler] of a CallbackHandler that has on_agent_start.",
    "after_agent_callback": "hooks=[handler] of a CallbackHandler that has on_agent_end.",
    "before_model_callback": "hooks=[handler] of a CallbackHandler that has on_model_start.",
    "after_model_callback": "hooks=[handler] of a CallbackHandler that has on_model_end.",
    "retry_count": "model_retry=Retry(…) asks a model again; handle.retry() goes on at what failed.",
    "retry_delay_seconds": "model_retry=Retry(…, delay=…) asks a model again.",
    "fail_fast": "An agent that is asked and cannot answer is an error that the one who asked reads.",
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
    if "introduction" in named and not given["description"]:
        values["description"] = named["introduction"]
    memory, callbacks = named.get("memory"), tuple(named.get("callbacks", ()))
    if memory is not None and not isinstance(memory, ConversationMemory):
        raise DefinitionError(f"{what}: memory must be a ConversationMemory, not {memory!r}")
    return {**values, "memory": memory, "callbacks": as_handlers(callbacks, f"{what}: callbacks")}


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
    if "max_calls" in named:
        warnings.warn(
            f"{what}: max_calls has no effect here; Agent(max_turns=…) and Agent(budget=Budget(calls=…)) bound a run.",
            stacklevel=3,
        )
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
