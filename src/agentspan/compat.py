"""The forms in which scripts written for the upstream SDK give and get things, where ours differ."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, TextIO, cast

from agentspan.compiler import compile_agent
from agentspan.config import OtherSettings
from agentspan.declare.agent import Agent
from agentspan.declare.placing import placed, told
from agentspan.declare.tool import current_tool_context
from agentspan.errors import ConfigError, ToolFailed
from agentspan.reading.events import AnyEvent
from agentspan.reading.result import AgentResult, AgentStatus
from agentspan.schema.values import to_jsonable

_RENAMED = {"api_key": "auth_key", "api_secret": "auth_secret", "auto_start_server": "autostart"}

_NEEDLESS = {
    "auto_start_workers": True,
    "daemon_workers": True,
    "streaming_enabled": True,
}
"""What upstream has a switch for, and here is so without one."""

_WITHOUT_EFFECT = (
    "llm_retry_count",
    "worker_poll_interval_ms",
    "worker_thread_count",
    "auto_register_integrations",
    "credential_strict_mode",
    "log_level",
)


class AgentConfig:
    """Settings under upstream's names, for `AgentRuntime(config=…)`.

    Only values that are given count: what is left out comes from `configure()`, the environment and so on, as for
    any runtime.

    Raises:
        ConfigError: An unknown name.
    """

    def __init__(self, server_url: str | None = None, **values: Any) -> None:
        known = {"server_url", "auth_key", "auth_secret", *_RENAMED, *_NEEDLESS, *_WITHOUT_EFFECT}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ConfigError(
                f"AgentConfig: unknown setting {', '.join(unknown)}.", hint=f"It takes {', '.join(sorted(known))}."
            )
        idle = [name for name in values if name in _WITHOUT_EFFECT or values[name] != _NEEDLESS.get(name, values[name])]
        if idle:
            warnings.warn(f"AgentConfig: {', '.join(idle)} has no effect here.", stacklevel=2)
        own = {name: value for name, value in values.items() if name not in (*_NEEDLESS, *_WITHOUT_EFFECT)}
        self.values: dict[str, Any] = as_settings({"server_url": server_url, **own})

    @classmethod
    def from_env(cls) -> AgentConfig:
        """An empty one: a runtime reads the environment by itself."""
        return cls()


class RuntimeSettings(OtherSettings, total=False):
    """The keyword arguments of `AgentRuntime` beside the server's address."""

    profile: str | None
    api_key: str | None
    api_secret: str | None


def as_settings(given: dict[str, Any], config: AgentConfig | None = None) -> dict[str, Any]:
    """Arguments of a runtime under the names of `Settings`; None leaves a value to other places.

    Args:
        given: What the caller wrote.
        config: What counts where `given` says nothing.
    """
    named = {_RENAMED.get(name, name): value for name, value in given.items() if value is not None}
    return named if config is None else {**config.values, **named}


def plan(agent: Agent[Any]) -> dict[str, Any]:
    """What an agent is on a server, without asking one; `compile_agent` gives the same as a value.

    Returns:
        `workflowDef`, the agent's own definition; `workflowDefs` and `taskDefs`, all of them, in the order in which
        they are registered; `requiredWorkers`, the names of the tasks that workers serve; `modelPlaces`, who calls the
        model of the agent and of each one around it, by their names: `server`, or `worker`, with what needs one.

    Raises:
        DefinitionError: The agent cannot be compiled.
    """
    agent = placed(agent, None)
    definition = compile_agent(agent)
    workflows = list(definition.at_version(1))
    return {
        "workflowDef": workflows[-1],
        "workflowDefs": workflows,
        "taskDefs": list(definition.tasks),
        "requiredWorkers": [task["name"] for task in definition.tasks],
        "modelPlaces": told(agent),
    }


def get_credential(name: str) -> str:
    """The same as `ToolContext.credentials[name]`, for code that has no context at hand.

    Raises:
        KeyError: The tool that is being called did not ask for it.
        ToolFailed: No tool is being called here.
    """
    context = current_tool_context()
    if context is None:
        raise ToolFailed(f"get_credential({name!r}): credentials belong to the call of a tool, and this is none.")
    return context.credentials[name]


# ---- the setting `compat` ------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, repr=False)
class CompatResult(AgentResult):
    """A result whose `output` is `{"result": …, "finishReason": …}`, of a run that may have failed.

    Attributes:
        plain: The same with the answer as text.
    """

    plain: AgentResult[Any] = field(compare=False)

    @property
    def tool_calls(self) -> list[dict[str, Any]]:  # type: ignore[override]  # scripts read the keys
        """All calls of the run's tools: `name`, `args`, and `result` or `error`."""
        return [
            {"name": call.tool, "args": call.args}
            | ({"result": call.result} if call.error is None else {"error": call.error})
            for call in super().tool_calls
        ]

    def print_result(self, file: TextIO | None = None) -> None:
        """Print the answer, or what went wrong."""
        self.plain.print_result(file)

    def to_json(self) -> dict[str, Any]:
        """The result as JSON-able values."""
        return {**self.plain.to_json(), "output": self.output}

    def __repr__(self) -> str:
        return repr(self.plain)

    def _repr_html_(self) -> str:
        return self.plain._repr_html_()


def result(plain: AgentResult[Any]) -> CompatResult:
    """A result in upstream's form: what has a type is given as JSON values."""
    values = {name: value for name, value in plain.__dict__.items() if name != "output"}
    output = {"result": to_jsonable(plain.output), "finishReason": plain.finish_reason}
    return CompatResult(**values, output=cast("str", output), plain=plain)


def events(found: Iterable[AnyEvent]) -> list[AnyEvent]:
    """Events in upstream's form; `waiting` is for a person there, so those of a worker are left out."""
    return [
        replace(each, output={"result": each.output}) if each.type == "done" else each
        for each in found
        if each.type != "waiting" or each.request_id is not None
    ]


def status(found: AgentStatus) -> AgentStatus:
    """A status in upstream's form."""
    return found if found.output is None else replace(found, output=cast("str", {"result": found.output}))
