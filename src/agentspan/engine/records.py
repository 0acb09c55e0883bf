"""What we read from Conductor, parsed once at the edge.

Field names follow Conductor's `Workflow` and `Task` (3.32); what we do not use is ignored.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from agentspan.stored.inputs import CallInput
from agentspan.stored.names import call_key, turn_of
from agentspan.stored.notes import Notes
from agentspan.stored.status import ENDED, RunStatus

TaskStatus = Literal[
    "SCHEDULED",
    "IN_PROGRESS",
    "COMPLETED",
    "COMPLETED_WITH_ERRORS",
    "FAILED",
    "FAILED_WITH_TERMINAL_ERROR",
    "TIMED_OUT",
    "CANCELED",
    "SKIPPED",
]

PENDING: frozenset[str] = frozenset({"SCHEDULED", "IN_PROGRESS"})


_BY_WORKERS = ("tool", "output", "input", "instructions", "approval", "choose", "until", "pool", "summary")


class Record(BaseModel):
    """Base of everything read from the server."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True
    )


class TaskRecord(Record):
    """One attempt of one task. Times are milliseconds since 1970, 0 when not reached."""

    task_id: str
    task_type: str = ""
    task_def_name: str = ""
    reference_task_name: str = ""
    status: TaskStatus
    retry_count: int = 0
    retried: bool = False
    retried_task_id: str | None = None
    poll_count: int = 0
    callback_after_seconds: int = 0
    scheduled_time: int = 0
    start_time: int = 0
    end_time: int = 0
    update_time: int = 0
    worker_id: str | None = None
    workflow_instance_id: str = ""
    sub_workflow_id: str | None = None
    reason_for_incompletion: str | None = None
    input_data: dict[str, Any] = Field(default_factory=dict)
    output_data: dict[str, Any] = Field(default_factory=dict)

    @property
    def place(self) -> tuple[str, int, int] | None:
        """Kind, turn in its segment and call in its turn, from 1; None of a task that stands beside the turns."""
        return turn_of(self.reference_task_name)

    @property
    def kind(self) -> str | None:
        """What it is of its turn: `llm`, `plan`, `tool` and others; None of a task that stands beside the turns."""
        place = self.place
        return None if place is None else place[0]

    @property
    def in_worker(self) -> bool:
        """Whether a worker is at it: a tool's call, a check, or a model's call that is not the server's."""
        if self.is_part or self.task_type == "JSON_JQ_TRANSFORM":
            return False
        return self.kind in _BY_WORKERS or (self.kind == "llm" and self.task_type != "LLM_CHAT_COMPLETE")

    @property
    def is_settled(self) -> bool:
        """Whether it changes no more, also where its run is retried."""
        return self.retried or self.status in ("COMPLETED", "COMPLETED_WITH_ERRORS", "SKIPPED")

    @property
    def is_part(self) -> bool:
        """Whether it is a workflow of its own: of a call, of a member of a team, of a request to a person."""
        kinds = ("tool", "member", "choose", "budget", "ask_input", "ask_output", "ask_result")
        return self.task_type == "SUB_WORKFLOW" and self.kind in kinds

    @property
    def key(self) -> str:
        """What tells its call from all others, the same for every attempt: a tool's `idempotency_key`."""
        given, reference = CallInput.of(self.input_data), self.reference_task_name
        if given.call is not None:  # in a workflow of its own, where other calls have the same reference names
            reference = given.call if self.kind == "tool" else f"{given.call}.{reference}"
        return call_key(given.execution_id, given.step, reference)

    @property
    def notes(self) -> Notes:
        """What workers noted of the call."""
        return Notes.of(self.output_data)

    @property
    def due(self) -> int:
        """When a worker may take it: what it was put off for counts from the last try that failed, or that did so."""
        failures = self.notes.failures
        since = failures[-1].at if failures else self.scheduled_time
        if self.kind == "pool" and self.poll_count:
            since = max(since, self.update_time)
        return since + 1000 * self.callback_after_seconds


class WorkflowRecord(Record):
    """One execution of one workflow definition."""

    workflow_id: str
    workflow_name: str = ""
    workflow_version: int = 0
    status: RunStatus
    create_time: int = 0
    start_time: int = 0
    end_time: int = 0
    update_time: int = 0
    last_retried_time: int = 0
    correlation_id: str | None = None
    parent_workflow_id: str | None = None
    reason_for_incompletion: str | None = None
    input: dict[str, Any] = Field(default_factory=dict)
    output: dict[str, Any] = Field(default_factory=dict)
    tasks: list[TaskRecord] = Field(default_factory=list)
    workflow_definition: dict[str, Any] = Field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Whether the execution is over, well or badly."""
        return self.status in ENDED


class PollRecord(Record):
    """When a worker last asked for tasks of a queue."""

    queue_name: str = ""
    domain: str | None = None
    worker_id: str | None = None
    last_poll_time: int = 0


class RunSummary(Record):
    """A row of the server's index of executions. Times are ISO 8601 text."""

    workflow_id: str
    workflow_type: str = ""
    version: int = 0
    parent_workflow_id: str = ""
    status: RunStatus
    start_time: str = ""
    end_time: str | None = None
    update_time: str | None = None
    reason_for_incompletion: str | None = None
    execution_time: int = 0
    output: str = ""
    """What it left, as the index writes it, which is no JSON unless the server was told so."""
