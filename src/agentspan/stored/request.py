"""What a worker needs to know of an agent to call its model: kept in the definition of the agent's workflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from agentspan.stored.names import CREW
from agentspan.stored.output import OutputRequest
from agentspan.stored.summary import SUMMARY, Summary
from agentspan.stored.usage import newest

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Part:
    """The workflow that makes the calls of a tool.

    Attributes:
        workflow: Its name.
        version: Its version; None where it is the calling agent's own.
        prompt: The argument that is the prompt of a called agent; None where no agent is called.
        alone: Whether it is begun without a fork, where it is its turn's only call; not in older definitions.
        state: Whether it works with the state of the run that calls it; None where it does not.
    """

    workflow: str
    version: int | None = None
    prompt: str | None = None
    alone: bool | None = None
    state: bool | None = None

    def to_json(self) -> Json:
        """As a definition holds it."""
        return _without_none(asdict(self))


_OPTIONAL = (
    "output",
    "fallback_models",
    "on_max_turns",
    "termination",
    "required_tools",
    "parts",
    "transfers",
    "agents",
    "instructions_each",
    "state",
    "summarise",
    "guardrails",
)


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """A way by which a run goes from an agent to another one.

    Attributes:
        agent: Who takes over.
        tool: What the model calls for it; None where something else decides.
        when: What decides: `text`, `tool` and `contains`, or `function`.
    """

    agent: str
    tool: str | None = None
    when: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ModelRequest:
    """How the model of an agent is asked.

    Attributes:
        model: "provider/model".
        fallback_models: Those that are asked where it gives no answer; runs from before there were any have none.
        instructions: The system prompt.
        tools: What the model is told of each tool: `name`, `description`, `parameters`.
        tool_tasks: The task definition of each tool, by its name.
        limited: Tools with a limit of their own.
        settings: Fields of `ModelSettings`, those that are set.
        max_turns: The run fails when the model has not finished by then.
        max_chars: The transcript is trimmed when it is longer.
        keep_chars: What remains of it then.
        summarise: Whether what is left out is summarised.
        output: The type of its answer; None where that is a text.
        parts: The workflow that makes the calls of a tool, by its name; those of other tools are tasks.
        version: The version of the agent, and of these workflows where they are its own.
        instructions_each: How often a worker asks its own function for the instructions; None where they stand here.
        state: What tells the type of its runs' state from others; None where they have none.
        termination: The condition by which it comes to an end, as code says it; a worker has it itself.
        required_tools: Tools that have to give a result before an answer.
        on_max_turns: Whether the last turn is to be an answer (`answer`), or the run fails when it is none (`fail`).
        agent: Whose request it is.
        transfers: How another agent takes over from it.
        guardrails: What looks at the prompt in its first turn, by their names: beside it, or as it takes over a run.
        agents: The requests of all agents of its runs, by their names, where there are several.
    """

    model: str
    instructions: str
    tools: tuple[Json, ...]
    tool_tasks: dict[str, str]
    limited: tuple[str, ...]
    settings: Json
    max_turns: int
    max_chars: int
    keep_chars: int
    output: OutputRequest | None = None
    fallback_models: tuple[str, ...] = ()
    parts: dict[str, Part] = field(default_factory=dict)
    version: int = 1
    on_max_turns: str = "fail"
    agent: str = field(default="", compare=False)
    transfers: tuple[Transfer, ...] = ()
    agents: dict[str, ModelRequest] = field(default_factory=dict)
    instructions_each: str | None = None
    state: str | None = None
    termination: str = ""
    required_tools: tuple[str, ...] = ()
    summarise: bool = False
    guardrails: tuple[str, ...] = ()

    @classmethod
    def of(cls, metadata: Mapping[str, Any], version: int = 1) -> ModelRequest:
        """Read it from the metadata of a definition, and its version."""
        begins = next(iter(metadata.get(CREW, ())), metadata.get("agent", ""))
        request = cls._of(metadata["request"], str(begins), version)
        others = metadata["request"].get("agents", {})
        if not others:
            return request
        agents = {name: cls._of(other, name, version) for name, other in others.items()}
        return replace(request, agents={request.agent: request, **agents})

    @classmethod
    def _of(cls, found: Mapping[str, Any], agent: str, version: int) -> ModelRequest:
        lists = ("tools", "limited", "fallback_models", "required_tools", "guardrails")
        values = {**found, **{name: tuple(found[name]) for name in lists if name in found}}
        if "output" in found:
            values["output"] = OutputRequest(**found["output"])
        values["parts"] = {name: Part(**part) for name, part in found.get("parts", {}).items()}
        values["transfers"] = tuple(Transfer(**each) for each in found.get("transfers", ()))
        return cls(**{**values, "agents": {}}, agent=agent, version=version)

    def to_json(self) -> Json:
        """The request as a definition holds it."""
        found: Json = {**asdict(self), "tools": list(self.tools), "limited": list(self.limited)}
        del found["agent"], found["version"]
        found["transfers"] = tuple(_without_none(asdict(each)) for each in self.transfers)
        found["agents"] = {name: other.to_json() for name, other in self.agents.items() if name != self.agent}
        found["parts"] = {name: part.to_json() for name, part in self.parts.items()}
        for name in _OPTIONAL:
            value = found.pop(name)
            if value not in (None, (), "", "fail", {}, False):  # what is not said is not stored
                found[name] = list(value) if isinstance(value, tuple) else value
        return found


def _without_none(values: Json) -> Json:
    return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class ModelInput:
    """The input of a model call's task: which turn it is.

    Attributes:
        execution_id: The run.
        segment: The execution that the turn stands in.
        turn: Which one of that, from 1.
        steps: Turns of the run before that.
        usage: Tokens of the run before this turn.
        model_by: The worker that made the model's call of the turn before.
        tool_by: The worker that ran the only tool of that turn.
        ending: Whether it was decided, as the budget is used up, that the model answers with what there is.
        summary: What was summarised just before it.
    """

    execution_id: str
    segment: str
    turn: int
    steps: int
    usage: Json
    model_by: str | None = None
    tool_by: str | None = None
    ending: bool = False
    summary: Summary | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> ModelInput:
        """Read it from the input of the task."""
        return cls(
            execution_id=str(given["execution_id"]),
            segment=str(given["segment"]),
            turn=int(given["turn"]),
            steps=int(given.get("steps") or 0),
            usage=newest(given.get("usage")) or {},
            model_by=given.get("model_by"),
            tool_by=given.get("tool_by"),
            ending=any(said in (True, "finish") for said in given.get("ending") or ()),
            summary=Summary.of(given[SUMMARY]) if given.get(SUMMARY) else None,
        )
