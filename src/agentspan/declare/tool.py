"""Tools: typed functions that a model may call, with the policy for calling them."""

from __future__ import annotations

import functools
import inspect
import operator
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, Unpack, cast, overload

from agentspan.declare.approval import Approval, Policy, Question, approval_of
from agentspan.declare.context import ToolContext, current_tool_context, during
from agentspan.declare.credentials import checked_credentials
from agentspan.declare.guardrail import Guardrail, OnFail, Position
from agentspan.declare.guardrails import asking, of_tool
from agentspan.declare.other_names import ToolNames, tool_policy, worker_task
from agentspan.declare.policy import RateLimit, Retry, check_count, check_kind, whole_seconds
from agentspan.errors import DefinitionError, InputError
from agentspan.schema.arguments import Arguments, check_text, describe, innermost, is_async
from agentspan.schema.arguments import description as described
from agentspan.schema.foreign import GivenArguments
from agentspan.stored.mark import text_mark

__all__ = ["RateLimit", "Retry", "Tool", "ToolContext", "current_tool_context", "tool"]

if TYPE_CHECKING:
    from agentspan.declare.agent import Agent

PROMPT = "request"
"""The argument of a tool that is an agent: what is asked of it."""

P = ParamSpec("P")
R = TypeVar("R")

# OpenAI's and Anthropic's rule.
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


@dataclass(frozen=True, repr=False)
class Tool(Generic[P, R]):
    """A function that a model may call. Made by `tool`; calling it calls the function.

    Attributes:
        function: What runs.
        name: What models call it.
        description: What models are told it does.
        arguments: What it takes.
        retry: How often it is tried when it fails.
        timeout: Seconds one attempt may take; None sets no limit.
        concurrency: How many calls may run at once, over all workers; None sets no limit.
        rate_limit: How many calls may start within a time.
        external: Whether a worker elsewhere serves it, in whatever language; `function` only describes it.
        approval: Whether a person decides before a call is made.
        question: That a person gives the result; see `human_tool`.
        agent: The agent that is called; see `agent_tool`.
        credentials: Names of what each call is handed by its worker.
        guardrails: What looks at the arguments and at the result of each call, in the worker that makes it.
    """

    function: Callable[P, R]
    name: str
    description: str
    arguments: Arguments = field(compare=False)
    retry: Retry = field(default_factory=Retry)
    timeout: float | None = None
    concurrency: int | None = None
    rate_limit: RateLimit | None = None
    external: bool = False
    approval: Approval | None = None
    question: Question | None = None
    agent: Agent[Any] | None = None
    credentials: tuple[str, ...] = ()
    guardrails: tuple[Guardrail, ...] = ()

    def __post_init__(self) -> None:
        _check_name(self.name)
        what = f"tool {self.name!r}"
        object.__setattr__(self, "guardrails", of_tool(self.guardrails, what))
        if self.external and self.guardrails:
            raise DefinitionError(
                f"{what}: guardrails stand around the function, and an external tool has it elsewhere",
                hint="Have the worker that serves it check the arguments and the result.",
            )
        check_kind(self.retry, Retry, f"{what}: retry")
        if self.rate_limit is not None:
            check_kind(self.rate_limit, RateLimit, f"{what}: rate_limit")
        try:
            check_text(self.description, f"{what}: the description")
        except InputError as error:
            raise DefinitionError(error.message) from error
        if self.timeout is not None:
            object.__setattr__(self, "timeout", whole_seconds(self.timeout, f"{what}: timeout", least=1))
        if self.concurrency is not None:
            check_count(self.concurrency, f"{what}: concurrency", 1, 2**31 - 1)
        object.__setattr__(self, "credentials", checked_credentials(self.credentials, what))
        if self.external and self.credentials:
            raise DefinitionError(f"{what}: the worker elsewhere has its own credentials; leave them out")
        self._look_like_the_function()

    def _look_like_the_function(self) -> None:
        # functools.update_wrapper would set attributes, which a frozen value refuses.
        inner = innermost(self.function)
        names = ("__module__", "__name__", "__qualname__", "__doc__")
        self.__dict__.update({name: getattr(inner, name, None) for name in names})
        self.__dict__["__wrapped__"] = self.function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function itself: no model, no checks."""
        return self.function(*args, **kwargs)

    @property
    def is_served(self) -> bool:
        """Whether a worker of its agent makes its calls: no worker elsewhere does, and no person gives the result."""
        return not self.external and self.question is None and self.agent is None

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The JSON Schema of the arguments."""
        return self.arguments.schema

    def guards(self, position: Position) -> tuple[Guardrail, ...]:
        """Its guardrails that look there: at the arguments, or at the result."""
        return tuple(guard for guard in self.guardrails if guard.position == position)

    @property
    def asks_first(self) -> bool:
        """Whether a worker looks before a call whether a person is to be asked."""
        return self.approval is not None or bool(asking(self.guardrails))

    @property
    def may_end_the_run(self) -> bool:
        """Whether a guardrail of it may."""
        return any(guard.on_fail == OnFail.RAISE for guard in self.guardrails)

    @property
    def is_async(self) -> bool:
        """Whether a call has to be awaited."""
        return is_async(self.function)

    def invoke(self, arguments: Mapping[str, Any], context: ToolContext) -> R:
        """Call the function with arguments from a model.

        An asynchronous tool's arguments are checked now; the call itself happens when the result
        is awaited. What another tool gives may have to be awaited as well: its function may be a
        decorator around an asynchronous one.

        Raises:
            ArgumentError: When the arguments do not fit; the function was not called.
        """
        values = self.arguments.validate(arguments, text_mark(context.execution_id)) | dict.fromkeys(
            self.arguments.injected, context
        )
        call = functools.partial(cast("Callable[..., Any]", self.function), **values)
        return cast("R", _awaited(call, context) if self.is_async else _called(call, context))

    def __repr__(self) -> str:
        return f"<Tool {self.name}({', '.join(self.parameters['properties'])})>"

    def __reduce__(self) -> str | tuple[Any, ...]:
        if isinstance(self.arguments, GivenArguments):
            return type(self), tuple(getattr(self, each) for each in self.__dataclass_fields__)
        # A decorated function cannot be pickled by its name: the tool stands there in its place.
        module, path = self.function.__module__, innermost(self.function).__qualname__
        if _find(module, path) is self:
            return path
        policy = (self.retry, self.timeout, self.concurrency, self.rate_limit, self.external)
        rebuilt = (self.function, self.name, self.description, *policy)
        return _again, (rebuilt, (self.approval, self.credentials, self.guardrails), (self.question, self.agent))


def _called(call: Callable[[], object], context: ToolContext) -> object:
    with during(context):
        result = call()
        return _awaited(lambda: result, context) if inspect.isawaitable(result) else result


async def _awaited(call: Callable[[], object], context: ToolContext) -> object:
    with during(context):
        result = call()
        while inspect.isawaitable(result):
            result = await result
        return result


def _find(module: str, path: str) -> object:
    try:
        return operator.attrgetter(path)(sys.modules[module])
    except (KeyError, AttributeError):
        return None


def _rebuild(
    function: Callable[P, R],
    name: str,
    description: str,
    retry: Retry,
    timeout: float | None,
    concurrency: int | None,
    rate_limit: RateLimit | None,
    external: bool = False,
    approval: Approval | Policy | bool | None = None,
    credentials: Sequence[str] = (),
    guardrails: Sequence[Guardrail | Callable[[Any], Any]] = (),
) -> Tool[P, R]:
    arguments = describe(function, tool=name, inject=ToolContext)
    what = f"tool {name!r}"
    return Tool(
        function,
        name,
        description,
        arguments,
        retry,
        timeout,
        concurrency,
        rate_limit,
        external,
        approval=approval_of(approval, what, arguments.schema["properties"]),
        credentials=checked_credentials(credentials, what),
        guardrails=of_tool(guardrails, what),
    )


def _again(made: tuple[Any, ...], options: tuple[Any, ...], others: tuple[Any, ...]) -> Tool[..., Any]:
    """A tool that was pickled."""
    question, agent = others
    return replace(_rebuild(*made, *options), question=question, agent=agent)


@overload
def tool(
    func: Callable[P, R],
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    retry: Retry = ...,
    timeout: float | None = None,
    concurrency: int | None = None,
    rate_limit: RateLimit | None = None,
    external: bool = False,
    approval: Approval | Policy | bool | None = None,
    credentials: Sequence[str] = (),
    guardrails: Sequence[Guardrail | Callable[[Any], Any]] = (),
    **others: Unpack[ToolNames],
) -> Tool[P, R]: ...


@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    retry: Retry = ...,
    timeout: float | None = None,
    concurrency: int | None = None,
    rate_limit: RateLimit | None = None,
    external: bool = False,
    approval: Approval | Policy | bool | None = None,
    credentials: Sequence[str] = (),
    guardrails: Sequence[Guardrail | Callable[[Any], Any]] = (),
    **others: Unpack[ToolNames],
) -> Callable[[Callable[P, R]], Tool[P, R]]: ...


def tool(
    func: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    retry: Retry = Retry(),  # noqa: B008 - a frozen value
    timeout: float | None = None,
    concurrency: int | None = None,
    rate_limit: RateLimit | None = None,
    external: bool = False,
    approval: Approval | Policy | bool | None = None,
    credentials: Sequence[str] = (),
    guardrails: Sequence[Guardrail | Callable[[Any], Any]] = (),
    **others: Unpack[ToolNames],
) -> Tool[..., Any] | Callable[[Callable[..., Any]], Tool[..., Any]]:
    """Make a function something that a model may call.

    What the model is told comes from the function: its type hints say what arguments are allowed,
    its docstring what it does and what each parameter means.

        @tool
        def lookup(city: str, days: int = 1) -> list[dict]:
            '''Weather forecast for a city.'''

        @tool(retry=Retry(5, delay=2), timeout=60)
        async def charge(amount: int, context: ToolContext) -> str: ...

    Args:
        func: The function; a coroutine function runs on the worker's event loop, another in a thread.
        name: What models call it; the function's name unless given.
        description: What models are told it does; from the docstring unless given.
        retry: How often it is tried when it fails.
        timeout: Seconds one attempt may take.
        concurrency: How many calls may run at once, over all workers.
        rate_limit: How many calls may start within a time.
        external: A worker elsewhere serves the calls, in whatever language; the function only describes them, and its
            body is never run. Such an attempt may take `timeout` seconds, 60 unless given, and is given to another
            worker after that; `retry` counts what workers report as FAILED, too.
        approval: A person decides before a call is made: True for every call, a function of the call's arguments that
            says whether a person is asked, or an `Approval` with a deadline.
        credentials: Names of what the worker hands to each call as `ToolContext.credentials`: from its environment, or
            from the function in the setting `credentials`. The server never has them, and where they stand in what is
            told of the call, `***` does.
        guardrails: What looks at the arguments (`position="input"`) and at the result of each call, in the worker that
            makes it, in this order.
        **others: Options under the names that other SDKs have for them; see `ToolNames`.

    Raises:
        DefinitionError: When the function cannot be described to a model.
    """

    def make(given: Callable[..., Any]) -> Tool[..., Any]:
        function, known_as = worker_task(given)
        its_name = _name_of(function, known_as if name is None else name)
        text = described(function) if description is None else description
        policy = tool_policy(f"tool {its_name!r}", retry, timeout, others)
        asked = True if approval is None and others.get("approval_required") else approval
        return _rebuild(
            function, its_name, text, *policy, concurrency, rate_limit, external, asked, credentials, guardrails
        )

    return make if func is None else make(func)


def _name_of(function: Callable[..., Any], name: str | None) -> str:
    if isinstance(function, Tool):
        raise DefinitionError(f"{function!r} is a tool already", hint="dataclasses.replace makes a variant.")
    if isinstance(function, type) or not callable(function):
        raise DefinitionError(f"a tool is a function, not {function!r}")
    found = str(getattr(function, "__name__", repr(function))) if name is None else name
    _check_name(found)
    return found


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise DefinitionError(
            f"tool {name!r}: models need a name of 1 to 64 ASCII letters, digits, '_' or '-'",
            hint="Give one: tool(function, name='...').",
        )
