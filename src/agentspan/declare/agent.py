"""What an agent is: a model, instructions, tools and limits, as a frozen value."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, Literal, Unpack, overload

from agentspan.declare.approval import OnRequest
from agentspan.declare.budget import Budget, check_budget
from agentspan.declare.callbacks import CallbackHandler, as_handlers
from agentspan.declare.called import check_called, check_lent
from agentspan.declare.commands import command_tools
from agentspan.declare.credentials import with_credentials
from agentspan.declare.fallback import check_models, models_of
from agentspan.declare.guardrail import Guardrail, OnFail, Position
from agentspan.declare.guardrails import as_guardrails, asking, check_names
from agentspan.declare.handoff import Handoff, Transitions, as_handoffs, check_handoffs
from agentspan.declare.instructions import Each, Instructions, check_fields, check_instructions
from agentspan.declare.memory import ConversationMemory
from agentspan.declare.metadata import checked_metadata
from agentspan.declare.other_names import AgentNames, Declared, agent_values
from agentspan.declare.output import OutputT, Typed, Validator, checked_output
from agentspan.declare.places import Place, check_place, place_of
from agentspan.declare.policy import Retry, check_count, whole_seconds
from agentspan.declare.providers import find_provider
from agentspan.declare.settings import ContextBudget, ModelSettings
from agentspan.declare.state import StateType
from agentspan.declare.termination import Termination, TerminationContext, as_termination, check_required
from agentspan.declare.tool import Tool
from agentspan.declare.toolset import Tools, each_tool
from agentspan.errors import DefinitionError, InputError
from agentspan.schema.arguments import check_text
from agentspan.schema.output import AnswerType

if TYPE_CHECKING:
    from agentspan.declare.team import Team

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]{0,99}")
_MAX_TURNS = 100_000

OnMaxTurns = Literal["answer", "fail"]
"""How a run ends whose turns are used up."""

# A rate limit usually passes within a minute: 2 + 4 + 8 + 16 + 32 seconds.
_MODEL_RETRY = Retry(attempts=6, delay=2, backoff="exponential", max_delay=60)


class AgentOptions(AgentNames, total=False):
    """The keyword arguments of `Agent` beside `model` and `output_type`; it tells what each means."""

    instructions: Instructions
    instructions_each: Each
    state_type: Any
    dependencies: Any
    metadata: Mapping[str, Any]
    hooks: Sequence[CallbackHandler]
    tools: Tools
    description: str
    max_turns: int
    timeout: float | None
    model_settings: ModelSettings
    model_retry: Retry
    context: ContextBudget
    model_place: Place | None
    output_validators: Sequence[Validator]
    output_retries: int
    fallback_models: Sequence[str]
    on_request: OnRequest | None
    guardrails: Sequence[Guardrail | Callable[[Any], Any]]
    on_max_turns: OnMaxTurns
    budget: Budget | None
    handoffs: Sequence[Agent[Any] | Handoff]
    allowed_transitions: Transitions | None
    termination: Termination | Callable[[TerminationContext], bool] | None
    required_tools: Sequence[str]


@dataclass(frozen=True, init=False, repr=False)
class Agent(Generic[OutputT], metaclass=Declared):
    """A named declaration: model, instructions, tools, limits.

        agent = Agent("support", model="openai/gpt-4o", tools=[lookup], instructions="Answer briefly.")

    `Agent[Invoice]` is the type of an agent whose answers are invoices; without an `output_type` it is `Agent[str]`.
    Two agents with the same contents are equal. `dataclasses.replace` makes a variant.
    """

    name: str
    model: str
    instructions: Instructions
    tools: tuple[Tool[..., Any], ...]
    description: str
    max_turns: int
    timeout: float | None
    model_settings: ModelSettings
    model_retry: Retry
    context: ContextBudget
    model_place: Place | None
    output_type: Any
    output_validators: tuple[Validator, ...]
    output_retries: int
    answer_type: AnswerType | None = field(init=False, repr=False, compare=False)
    fallback_models: tuple[str, ...]
    on_request: OnRequest | None = field(compare=False)
    guardrails: tuple[Guardrail, ...]
    on_max_turns: OnMaxTurns
    instructions_each: Each
    state_type: Any
    shared_state: StateType | None = field(init=False, repr=False, compare=False)
    dependencies: Any = field(compare=False)
    metadata: Mapping[str, Any] = field(hash=False)
    hooks: tuple[CallbackHandler, ...] = field(compare=False)
    budget: Budget | None
    handoffs: tuple[Handoff, ...]
    allowed_transitions: Transitions | None = field(hash=False)
    termination: Termination | None
    required_tools: tuple[str, ...]
    memory: ConversationMemory | None = field(compare=False)
    callbacks: tuple[CallbackHandler, ...] = field(compare=False)

    @overload
    def __init__(
        self: Agent[str],
        name: str,
        *,
        model: str | Sequence[str],
        output_type: None = None,
        **options: Unpack[AgentOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Agent[Typed],
        name: str,
        *,
        model: str | Sequence[str],
        output_type: type[Typed],
        **options: Unpack[AgentOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Agent[Any], name: str, *, model: str | Sequence[str], output_type: Any, **options: Unpack[AgentOptions]
    ) -> None: ...
    def __init__(
        self,
        name: str,
        *,
        model: str | Sequence[str],
        instructions: Instructions = "",
        tools: Tools = (),
        description: str = "",
        max_turns: int = 100,
        timeout: float | None = None,
        model_settings: ModelSettings = ModelSettings(),  # noqa: B008 - a frozen value
        model_retry: Retry = _MODEL_RETRY,
        context: ContextBudget = ContextBudget(),  # noqa: B008 - a frozen value
        model_place: Place | None = None,
        output_type: Any = None,
        output_validators: Sequence[Validator] = (),
        output_retries: int = 2,
        fallback_models: Sequence[str] = (),
        on_request: OnRequest | None = None,
        guardrails: Sequence[Guardrail | Callable[[Any], Any]] = (),
        on_max_turns: OnMaxTurns = "fail",
        instructions_each: Each = "run",
        state_type: Any = None,
        dependencies: Any = None,
        metadata: Mapping[str, Any] = MappingProxyType({}),
        hooks: Sequence[CallbackHandler] = (),
        budget: Budget | None = None,
        handoffs: Sequence[Agent[Any] | Handoff] = (),
        allowed_transitions: Transitions | None = None,
        termination: Termination | Callable[[TerminationContext], bool] | None = None,
        required_tools: Sequence[str] = (),
        **others: Unpack[AgentNames],
    ) -> None:
        """Declare an agent.

        Args:
            name: Its name, which is also the name of its workflow.
            model: "provider/model", such as "openai/gpt-4o". Of several the first one is asked in each turn, and the
                others, in their order, where it refuses or gives no answer.
            instructions: The system prompt, or a function of a `RunContext`, plain or `async`; a worker asks it.
            tools: Tools, plain functions, which become tools, and groups of both.
            description: For people, and for agents that may call this one.
            max_turns: The run fails when the model has not finished by then.
            timeout: Seconds the whole run may take.
            model_settings: How the model is asked.
            model_retry: When the model's provider limits, fails or is silent.
            context: How much of the conversation the model is shown.
            model_place: Who calls the model: the Conductor `server`, or a `worker` of this agent. A worker passes every
                text on to the byte and keeps all that the model said, and the provider's key stays with it; it needs
                the extra `models`. None leaves it to the setting, or to what it has: see `place`.
            output_type: What its answers are: a pydantic model, a dataclass, a TypedDict, a union, a list, a scalar, a
                Literal, an Enum, whatever pydantic takes for a type. The model is told its JSON Schema, and an answer
                that does not fit is sent back with the reasons. None, or `str`, for a text.
            output_validators: Functions of one argument, the typed answer. One that raises ValueError sends the answer
                back with what it says; anything else it raises is tried again by `model_retry`, and then ends the run.
            output_retries: How often in a row an answer is sent back, 0 to 10. After that the run fails, and
                `result()` raises `OutputInvalid`.
            fallback_models: The models after the first one; where `model` names several, those.
            on_request: Called in a worker, once for each request that waits for a person, to tell somebody: it is given
                the `Request`. What it raises is tried again by `model_retry`; the request waits all the same.
            guardrails: What looks at its prompt and at its answer, in this order; not at turns that call tools. A plain
                function looks at the answer. Tools have guardrails of their own.
            on_max_turns: `answer` makes the last turn one without tools; by `fail` the run fails if it asks for one.
            instructions_each: How often that function is asked: once in a `run`, or before each `turn`. What it gave is
                stored with the run. What it raises is tried again by `model_retry`.
            state_type: The type of a state that the calls of a run share: a pydantic model, a dataclass or a TypedDict.
                Tools see it as `ToolContext.state`, and change it.
            dependencies: Live objects of this process, such as a pool of connections, for its tools:
                `ToolContext.dependencies`. They are no part of its definition.
            metadata: Values kept in its definition; `agent list --metadata KEY=VALUE` finds its runs by them.
            hooks: What workers call before and after each call of its model and of its tools.
            budget: What a run may use before a person is asked whether it may use more.
            handoffs: Agents that may take its runs over, in the same conversation: an agent, for which its model calls,
                or what `handoff` makes of one.
            allowed_transitions: Who may hand over to whom, by names, of all agents that its runs may come to; those
                that it does not name hand over as they are declared.
            termination: Where it holds after a turn, the next one is the last, without tools.
            required_tools: Tools that have to give a result before an answer; one that comes before that is sent back,
                three times in a row, and then ends the run with a `GuardrailError`.
            **others: Options under the names that other SDKs have for them; see `AgentNames`.

        Raises:
            DefinitionError: When a value makes no sense; the message names it.
        """
        given: dict[str, Any] = {name: value for name, value in locals().items() if name in self.__dataclass_fields__}
        _check_name(name)
        what = f"agent {name!r}"
        given["model"], given["fallback_models"] = models_of(model, fallback_models, model_settings, what)
        _check_types(given, what)
        given |= agent_values(what, given, others)
        listed = _as_tools((*_as_tools(tools, what), *command_tools(name, others)), what)
        given["tools"] = with_credentials(listed, others.get("credentials") or (), what)
        given["handoffs"] = as_handoffs(handoffs, Agent, what)
        check_called(name, given["tools"], [each.agent for each in given["handoffs"]])
        check_models((given["model"], *given["fallback_models"]), what, anywhere=model_place == "worker")
        check_instructions(instructions, instructions_each, what)
        _check_text(description, f"{what}: description")
        check_count(max_turns, f"{what}: max_turns", 1, _MAX_TURNS)
        if given["timeout"] is not None:
            given["timeout"] = whole_seconds(given["timeout"], f"{what}: timeout", least=1)
        given["output_validators"] = tuple(output_validators)
        names = tuple(each.name for each in given["tools"])
        given["hooks"] = as_handlers(hooks, f"{what}: hooks")
        given["metadata"] = checked_metadata(metadata, what)
        given["shared_state"] = StateType.of(state_type, what)
        check_fields(instructions, given["shared_state"], what)
        check_budget(budget, names, what)
        given |= _checked_answers(given, names, what)
        self.__dict__.update(given)  # the value is frozen from here on
        check_lent(self)
        check_handoffs(self)
        check_place(self)

    @property
    def fixed_instructions(self) -> str:
        """The system prompt; empty where a function gives it."""
        return self.instructions if isinstance(self.instructions, str) else ""

    @property
    def provider(self) -> str:
        """The model's provider, as Conductor spells it."""
        return find_provider(self.model.partition("/")[0]) or ""

    @property
    def model_name(self) -> str:
        """The model's name at its provider."""
        return self.model.partition("/")[2]

    @property
    def place(self) -> Place:
        """Who calls its model: who it says, else a worker where it needs one, else the server; the settings may say."""
        return place_of(self)

    @property
    def needs_worker(self) -> bool:
        """Whether a worker serves calls of it: of its tools, of its model, or of the checks of its answers."""
        own = any(
            tool.is_served or tool.asks_first or (tool.agent is not None and tool.agent.needs_worker)
            for tool in self.tools
        )
        beside = self.on_request is not None or bool(self.guardrails) or callable(self.instructions)
        return own or self.place == "worker" or self.checks_answers or beside

    @property
    def has_turns(self) -> bool:
        """Whether it has turns of its own; a team has those of its members."""
        return True

    @property
    def loops(self) -> bool:
        """Whether its runs may have any number of turns."""
        return bool(self.tools or self.handoffs)

    @property
    def checks_answers(self) -> bool:
        """Whether its answers are checked in tasks of their own, and not as a worker calls the model."""
        typed = self.answer_type is not None and (self.place == "server" or bool(self.output_validators))
        return typed or bool(self.guards(Position.OUTPUT))

    @property
    def judges_answers(self) -> bool:
        """Whether an answer of it may be sent back to the model: it has to be of a type, or a guardrail looks at it."""
        return self.answer_type is not None or bool(self.guards(Position.OUTPUT))

    @property
    def most_sent_back(self) -> int:
        """How often in a row an answer may be sent back."""
        guards = [guard.max_retries for guard in self.guards(Position.OUTPUT) if guard.on_fail != OnFail.RAISE]
        return max([*guards, *([] if self.answer_type is None else [self.output_retries])], default=0)

    def asks_about(self, position: Position) -> bool:
        """Whether a guardrail that looks there may ask a person."""
        return bool(asking(self.guards(position)))

    def guards(self, position: Position) -> tuple[Guardrail, ...]:
        """Its guardrails that look there, and that what comes next waits for."""
        return tuple(guard for guard in self.guardrails if guard.position == position and guard.blocking)

    def __rshift__(self, other: Agent[Any]) -> Team:
        """A team of which this one works first, and the other one goes on with its answer."""
        made: Team = import_module("agentspan.declare.team").in_sequence(self, other)  # a module that needs this one
        return made

    def __repr__(self) -> str:
        tools = "".join(f", {tool.name}" for tool in self.tools)
        return f"<Agent {self.name} ({self.model}{tools})>"


def _checked_answers(given: dict[str, Any], tools: tuple[str, ...], what: str) -> dict[str, Any]:
    """What its answers have to be, and what ends its runs."""
    if given["on_max_turns"] not in ("answer", "fail"):
        raise DefinitionError(f"{what}: on_max_turns is 'answer' or 'fail', not {given['on_max_turns']!r}")
    guardrails = as_guardrails(given["guardrails"], what)
    check_names(guardrails, tools, what)
    return {
        "answer_type": checked_output(given, tools, what),
        "guardrails": guardrails,
        "termination": as_termination(given["termination"], what),
        "required_tools": check_required(given["required_tools"], tools, what),
    }


def with_dependencies(agent: Agent[OutputT], dependencies: Any) -> Agent[OutputT]:
    """The same agent with these live objects for its tools."""
    made = copy.copy(agent)
    made.__dict__["dependencies"] = dependencies
    return made


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise DefinitionError(
            f"agent {name!r}: a name is a letter or '_', then letters, digits, '_' or '-', 100 at most",
            hint="It names the workflow, and stands in URLs and on the command line.",
        )


def _check_types(given: dict[str, Any], what: str) -> None:
    kinds = {"model": str, "model_settings": ModelSettings, "model_retry": Retry, "context": ContextBudget}
    for argument, kind in kinds.items():
        if not isinstance(given[argument], kind):
            raise DefinitionError(f"{what}: {argument} must be a {kind.__name__}, not {given[argument]!r}")


def _check_text(text: str, what: str) -> None:
    try:
        check_text(text, what)
    except InputError as error:
        raise DefinitionError(error.message) from error


def _as_tools(given: Tools, what: str) -> tuple[Tool[..., Any], ...]:
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise DefinitionError(f"{what}: tools must be a list, not {given!r}")
    tools = tuple(each_tool(given))
    names = [item.name for item in tools]
    for name in names:
        if names.count(name) > 1:
            raise DefinitionError(
                f"{what}: two tools are named {name!r}", hint="Rename one: tool(function, name='...')."
            )
    return tools
