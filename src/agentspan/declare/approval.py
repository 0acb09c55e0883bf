"""What a person decides: whether a call is made, or what the answer to a question is."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

from agentspan.declare.policy import whole_seconds
from agentspan.errors import DefinitionError
from agentspan.schema.output import WRAPPED, AnswerType
from agentspan.stored.guard import Guarded
from agentspan.stored.person import Decision, RequestKind

Verdict = Literal["approve", "reject"]

Policy: TypeAlias = Callable[..., bool | Awaitable[bool]]
"""Says of a call's arguments whether a person is asked: it is given those that its own parameters name."""


@dataclass(frozen=True)
class Approval:
    """That a person decides before a call is made.

        @tool(approval=True)
        @tool(approval=lambda amount: amount > 100)
        @tool(approval=Approval(lambda amount: amount > 100, deadline=3600, default="reject"))

    Attributes:
        when: Says of the call's arguments, once they are known to fit, whether a person is asked: it is given those
            that its own parameters name, and runs in a worker. One that raises has a person asked. None asks for
            every call.
        deadline: Seconds a person has; None waits for ever.
        default: What happens when nobody has decided by then.
    """

    when: Policy | None = None
    deadline: int | None = None
    default: Verdict = "reject"

    def __post_init__(self) -> None:
        if self.when is not None and not callable(self.when):
            raise DefinitionError(f"Approval: when is a function of the call's arguments, not {self.when!r}")
        if self.deadline is not None:
            object.__setattr__(self, "deadline", whole_seconds(self.deadline, "Approval: deadline", least=1))
        if self.default not in ("approve", "reject"):
            raise DefinitionError(f"Approval: default is 'approve' or 'reject', not {self.default!r}")


@dataclass(frozen=True)
class Question:
    """That a call is a question to a person, and its result the answer.

    Attributes:
        answer: The type of the answer; None for any text.
        deadline: Seconds a person has; None waits for ever.
        default: The answer when nobody has given one by then; None tells the model that nobody did.
    """

    answer: AnswerType | None = None
    deadline: int | None = None
    default: Any = None


def approval_of(given: Approval | Policy | bool | None, what: str, parameters: Iterable[str]) -> Approval | None:
    """The approval that `tool(approval=…)` means.

    Args:
        given: An approval, a function of the arguments, True for every call, False or None for none.
        what: What messages call the tool.
        parameters: What the tool takes.

    Raises:
        DefinitionError: It is none of these, or its function names an argument that the tool does not take.
    """
    if given is None or given is False:
        return None
    approval = given if isinstance(given, Approval) else Approval(None if given is True else given)
    if approval.when is not None:
        unknown = [name for name in named(approval.when) if name not in set(parameters)]
        if unknown:
            raise DefinitionError(
                f"{what}: its approval is decided by {', '.join(unknown)}, which it does not take",
                hint=f"It takes {', '.join(parameters) or 'no arguments'}.",
            )
    return approval


def named(policy: Policy) -> list[str]:
    """The arguments that a policy must be given, by its parameters."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = inspect.signature(policy).parameters.values()
    return [each.name for each in parameters if each.kind in kinds]


def takes_all(policy: Policy) -> bool:
    """Whether a policy takes whatever arguments there are."""
    parameters = inspect.signature(policy).parameters.values()
    return any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters)


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a person is asked.

    Attributes:
        id: Names it from any process; also the id of its workflow on the server.
        kind: `approval` of a call, a `question`, a `budget` that is used up, or a `guardrail` that refuses something.
        agent: The agent that asks.
        execution_id: The run that waits.
        step: The turn of the run.
        tool: The tool that is to be called, or by which it is asked; `input` for a prompt, `output` for an answer.
        description: What the tool does.
        args: The arguments of the call: of a question what is asked, of a budget what is `spent`, of which `limits`,
            and which of them are `over`, of a guardrail the `prompt`, the `answer` or the `result`.
        schema: The JSON Schema of these arguments; edited ones have to fit it. Of a budget that of an extension.
        answer_schema: The JSON Schema of the answer to a question; None for any text.
        asked: When.
        due: When the default is taken; None where it waits for ever.
        default: `approve` or `reject`, the answer to a question, or `finish` or `cancel`.
        status: `waiting`, `decided`, or `void` where the run ended without a decision.
        decision: What was decided.
        decided: When.
        guardrails: What the guardrails said by which a person is asked.
    """

    id: str
    kind: RequestKind
    agent: str
    execution_id: str
    step: int
    tool: str
    description: str
    args: dict[str, Any]
    schema: dict[str, Any] = field(repr=False)
    answer_schema: dict[str, Any] | None = field(default=None, repr=False)
    asked: datetime | None = None
    due: datetime | None = None
    default: Any = None
    status: Literal["waiting", "decided", "void"] = "waiting"
    decision: Decision | None = None
    decided: datetime | None = None
    guardrails: tuple[Guarded, ...] = ()

    @property
    def takes_fields(self) -> bool:
        """Whether the answer to the question is an object; any other is in the only field of one."""
        return list(self.response_schema["properties"]) != [WRAPPED]

    @property
    def response_schema(self) -> dict[str, Any]:
        """The JSON Schema of a dict that `AgentHandle.respond` takes: a decision, or an answer."""
        text = {"type": "string"}
        if self.kind == "question":
            return self.answer_schema or {"type": "object", "properties": {WRAPPED: text}, "required": [WRAPPED]}
        decided = {"type": "boolean", "description": f"Approve {self.tool}"}
        return {"type": "object", "properties": {"approved": decided, "reason": text}, "required": ["approved"]}

    def to_json(self) -> dict[str, Any]:
        """The request as JSON-able values."""
        guards = [each.to_json() for each in self.guardrails]
        decision = None if self.decision is None else asdict(self.decision)
        values = {**self.__dict__, "decision": decision, "guardrails": guards}
        return {name: each.isoformat() if isinstance(each, datetime) else each for name, each in values.items()}


OnRequest: TypeAlias = Callable[[Request], object]
"""Tells somebody of a request; may be asynchronous."""
