"""Guardrails: what looks at prompts, answers, arguments and results, and may refuse them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, cast, get_args, overload

from agentspan.declare.policy import check_count, whole_seconds
from agentspan.errors import DefinitionError
from agentspan.stored.guard import Action

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,100}")
_MAX_RETRIES = 10

Default = Literal["approve", "reject"]
"""What happens where no person has decided in time."""


class Position(StrEnum):
    """What a guardrail looks at: an agent's prompt or answer, a tool's arguments or result."""

    INPUT = "input"
    OUTPUT = "output"


class OnFail(StrEnum):
    """What follows where a guardrail refuses."""

    RETRY = "retry"
    FIX = "fix"
    RAISE = "raise"
    HUMAN = "human"


@dataclass(frozen=True, kw_only=True)
class GuardrailResult:
    """What a guardrail's function gives.

    Attributes:
        passed: Whether it lets it through.
        message: Why not: for the model with `retry`, for who reads the error with `raise`.
        fixed_output: With `fix`, what is to be taken instead.
    """

    passed: bool
    message: str = ""
    fixed_output: Any = None


@dataclass(frozen=True, kw_only=True)
class GuardrailContext:
    """What a guardrail's function may know about the run.

    Attributes:
        agent: The agent's name.
        execution_id: The run.
        step: The turn that it looks at, from 1.
        tool: The tool whose call it looks at; None of a prompt or an answer.
        context: The `context=` that the run was started with.
        state: The state of the run, of the agent's `state_type`: a copy. None where it has none.
        dependencies: The objects that the worker was given for the agent.
    """

    agent: str
    execution_id: str
    step: int
    tool: str | None = None
    context: Mapping[str, Any] = field(default_factory=dict, repr=False)
    state: Any = field(default=None, repr=False)
    dependencies: Any = field(default=None, repr=False)


@dataclass(frozen=True, init=False, repr=False)
class Guardrail:
    """A function that looks at a prompt, an answer, a call's arguments or its result, in a worker.

    It gets one argument, or two: the other one is a `GuardrailContext`. Where the first is annotated `str`, or not at
    all, it is a text: what is none itself as its JSON.
    With any other annotation it is the value: the typed answer, the arguments as a dict, what the tool returned. It
    gives a `GuardrailResult`, or True or False, and may be `async`. What it raises is a failure of its own: it is tried
    again as the policy of the model's calls says, or that of the tool, and fails the run or the call in the end.

    Attributes:
        func: The function.
        position: `input` or `output`.
        on_fail: What follows where it refuses. `retry`: the model is told why and tries again. `fix`: its
            `fixed_output` is taken, and where it gives none it is as with `retry`. `raise`: the run ends with a
            `GuardrailError`; so does one whose answers were refused too often, and one whose prompt was. `human`: a
            person is asked whether it is to be taken all the same, or what is to be taken instead.
        name: What events and errors call it.
        max_retries: How often in a row an answer is sent back.
        deadline: With `human`, the seconds that a person has; None for ever. The shortest counts of those that look at
            the same thing.
        default: With a deadline, what happens after it: `approve` or `reject`. The former only where all say so.
        blocking: Whether the model is asked after it has looked at the prompt. False: it looks beside the first call of
            the model, where a worker makes that; until it has passed, no tool runs, and nothing of the answer is told.
    """

    func: Callable[..., Any]
    position: Position
    on_fail: OnFail
    name: str
    max_retries: int
    deadline: int | None
    default: Default
    blocking: bool

    def __init__(
        self,
        func: Callable[..., Any],
        position: Position | Literal["input", "output"] = "output",
        on_fail: OnFail | Action = "retry",
        name: str | None = None,
        max_retries: int = 3,
        deadline: float | None = None,
        default: Default = "reject",
        blocking: bool = True,
    ) -> None:
        """Make one of a function, or of another guardrail's.

        Raises:
            DefinitionError: A value makes no sense; the message names it.
        """
        if isinstance(func, Guardrail):
            name, func = name or func.name, func.func
        found = name or str(getattr(func, "__name__", "guardrail")).replace("<lambda>", "guardrail")
        self._set(found, position, on_fail, max_retries, deadline, default, blocking)
        _check_function(func, f"guardrail {found!r}")
        self.__dict__["func"] = func

    def _set(
        self,
        name: object,
        position: object,
        on_fail: object,
        max_retries: object,
        deadline: float | None,
        default: str,
        blocking: bool,
    ) -> None:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise DefinitionError(f"guardrail {name!r}: a name is 1 to 100 ASCII letters, digits, '_' or '-'")
        what = f"guardrail {name!r}"
        if position not in ("input", "output"):
            raise DefinitionError(f"{what}: position is 'input' or 'output', not {position!r}")
        if on_fail not in get_args(Action):
            raise DefinitionError(f"{what}: on_fail is 'retry', 'fix', 'raise' or 'human', not {on_fail!r}")
        check_count(cast("int", max_retries), f"{what}: max_retries", 0, _MAX_RETRIES)
        if default not in get_args(Default):
            raise DefinitionError(f"{what}: default is 'approve' or 'reject', not {default!r}")
        if deadline is None and default != "reject":
            raise DefinitionError(
                f"{what}: default={default!r} is what happens after a deadline", hint="Add deadline=."
            )
        if deadline is not None:
            deadline = whole_seconds(deadline, f"{what}: deadline", least=1)
            if on_fail != "human":
                raise DefinitionError(f"{what}: a deadline is for a person", hint="Use on_fail='human'.")
        if not blocking and (position != "input" or on_fail in ("fix", "human")):
            raise DefinitionError(
                f"{what}: blocking=False is for a prompt that is let through as it is or ends the run, and not for "
                f"position={str(position)!r} with on_fail={str(on_fail)!r}",
                hint="Use position='input' and on_fail='raise', or leave out blocking.",
            )
        values = {"position": Position(position), "on_fail": OnFail(str(on_fail)), "max_retries": max_retries}
        values |= {"deadline": deadline, "default": default, "blocking": bool(blocking)}
        self.__dict__.update({"name": name, **values})

    @property
    def takes_text(self) -> bool:
        """Whether the function wants what it looks at as a text."""
        (first, *_) = inspect.signature(self.func).parameters.values()
        return first.annotation in (inspect.Parameter.empty, str, "str")

    @property
    def takes_context(self) -> bool:
        """Whether the function wants a `GuardrailContext`, too."""
        return not _takes(self.func, 1)

    @property
    def action(self) -> Action:
        """What follows where it refuses, as it is stored."""
        return self.on_fail.value

    def __call__(self, found: Any, *context: GuardrailContext) -> Any:
        """Call the function itself."""
        return self.func(found, *context)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {self.position} {self.on_fail}>"


@dataclass(frozen=True, init=False, repr=False)
class RegexGuardrail(Guardrail):
    """Refuses texts that patterns are found in, or in which none is found.

    Attributes:
        patterns: Python's regular expressions; searched anywhere in the text.
        mode: `block` refuses a text in which one is found, `allow` one in which none is.
        message: What is said of what is refused.
        replacement: With `fix`, what stands in the place of what was found.
    """

    patterns: tuple[str, ...]
    mode: Literal["block", "allow"]
    message: str
    replacement: str
    func: Callable[..., Any] = field(init=False, compare=False)

    def __init__(
        self,
        patterns: str | Sequence[str],
        mode: Literal["block", "allow"] = "block",
        position: Position | Literal["input", "output"] = "output",
        on_fail: OnFail | Action = "retry",
        name: str = "regex",
        message: str = "",
        max_retries: int = 3,
        replacement: str = "[removed]",
        deadline: float | None = None,
        default: Default = "reject",
        blocking: bool = True,
    ) -> None:
        """Make one.

        Raises:
            DefinitionError: A value makes no sense; the message names it.
        """
        self._set(name, position, on_fail, max_retries, deadline, default, blocking)
        what = f"guardrail {name!r}"
        found = (patterns,) if isinstance(patterns, str) else tuple(patterns)
        if not found:
            raise DefinitionError(f"{what}: patterns is empty")
        for pattern in found:
            _check_pattern(pattern, what)
        if mode not in ("block", "allow"):
            raise DefinitionError(f"{what}: mode is 'block' or 'allow', not {mode!r}")
        if mode == "allow" and on_fail == "fix":
            raise DefinitionError(f"{what}: with mode='allow' there is nothing to fix", hint="Use 'retry' or 'raise'.")
        told = "there is something in it that must not be" if mode == "block" else "there is not in it what must be"
        values = {"patterns": found, "mode": mode, "message": message or told, "replacement": replacement}
        self.__dict__.update({"func": self._search, **values})

    def _search(self, text: str) -> GuardrailResult:
        matched = any(re.search(pattern, text) for pattern in self.patterns)
        if matched == (self.mode == "allow"):
            return GuardrailResult(passed=True)
        fixed = text
        for pattern in self.patterns:
            fixed = re.sub(pattern, lambda _: self.replacement, fixed)
        return GuardrailResult(passed=False, message=self.message, fixed_output=fixed)


@dataclass(frozen=True, init=False, repr=False)
class LLMGuardrail(Guardrail):
    """Asks a model whether a text keeps to a policy, in a worker that has the extra `models` and the provider's key.

    Attributes:
        model: `provider/model`.
        policy: What the text has to keep to.
        max_tokens: Length of the model's answer.
        base_url: Where the provider's API is; see `ModelSettings.base_url`.
    """

    model: str
    policy: str
    max_tokens: int | None
    base_url: str | None
    func: Callable[..., Any] = field(init=False, compare=False)

    def __init__(
        self,
        model: str,
        policy: str,
        position: Position | Literal["input", "output"] = "output",
        on_fail: OnFail | Action = "retry",
        name: str = "llm",
        max_retries: int = 3,
        max_tokens: int | None = None,
        base_url: str | None = None,
        deadline: float | None = None,
        default: Default = "reject",
        blocking: bool = True,
    ) -> None:
        """Make one. With `fix` the model is asked for the text as the policy wants it.

        Raises:
            DefinitionError: A value makes no sense; the message names it.
        """
        self._set(name, position, on_fail, max_retries, deadline, default, blocking)
        what = f"guardrail {name!r}"
        if not isinstance(model, str) or not all(part.strip() for part in (model + "/").split("/")[:2]):
            raise DefinitionError(f"{what}: model is of the form 'provider/model', not {model!r}")
        if not isinstance(policy, str) or not policy.strip():
            raise DefinitionError(f"{what}: policy is a text, not {policy!r}")
        if max_tokens is not None:
            check_count(max_tokens, f"{what}: max_tokens", 1, 2**31 - 1)
        values = {"model": model, "policy": policy, "max_tokens": max_tokens, "base_url": base_url}
        self.__dict__.update({"func": _asked_of_a_model, **values})

    @property
    def takes_text(self) -> bool:
        """Always: models are asked about texts."""
        return True


def _asked_of_a_model(text: str) -> GuardrailResult:
    raise DefinitionError("A guardrail that asks a model is run by a worker.")


def _check_function(func: object, what: str) -> None:
    if not callable(func):
        raise DefinitionError(f"{what}: it is made of a function, not {func!r}")
    if not (_takes(func, 1) or _takes(func, 2)):
        raise DefinitionError(
            f"{what}: its function takes one argument, what it looks at; or two, with the GuardrailContext"
        )


def _takes(func: Callable[..., Any], number: int) -> bool:
    try:
        inspect.signature(func).bind(*[None] * number)
    except TypeError:
        return False
    return True


def _check_pattern(pattern: object, what: str) -> None:
    try:
        re.compile(cast("str", pattern))
    except (re.error, TypeError) as error:
        raise DefinitionError(f"{what}: {pattern!r} is no regular expression: {error}") from error


@overload
def guardrail(func: Callable[..., Any], /) -> Guardrail: ...
@overload
def guardrail(
    *,
    name: str | None = None,
    position: Position | Literal["input", "output"] = "output",
    on_fail: OnFail | Action = "retry",
    max_retries: int = 3,
    deadline: float | None = None,
    default: Default = "reject",
    blocking: bool = True,
) -> Callable[[Callable[..., Any]], Guardrail]: ...
def guardrail(
    func: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    position: Position | Literal["input", "output"] = "output",
    on_fail: OnFail | Action = "retry",
    max_retries: int = 3,
    deadline: float | None = None,
    default: Default = "reject",
    blocking: bool = True,
) -> Guardrail | Callable[[Callable[..., Any]], Guardrail]:
    """Make a function a guardrail.

        @guardrail(on_fail="raise")
        def no_insults(answer: str) -> GuardrailResult: ...

    `Guardrail(no_insults, position="input")` is another one of the same function.

    Args:
        func: The function.
        name: What events and errors call it; the function's name unless given.
        position: What it looks at; see `Guardrail`.
        on_fail: What follows where it refuses.
        max_retries: How often in a row an answer is sent back.
        deadline: With `human`, the seconds that a person has.
        default: What happens after them.
        blocking: Whether the model is asked after it has looked at the prompt; see `Guardrail`.

    Raises:
        DefinitionError: A value makes no sense; the message names it.
    """

    def make(given: Callable[..., Any]) -> Guardrail:
        return Guardrail(given, position, on_fail, name, max_retries, deadline, default, blocking)

    return make if func is None else make(func)
