"""The spans of a stored execution, as values: names and attributes by OpenTelemetry's GenAI conventions.

The server makes the model calls, and a worker that was killed tells nobody. So these spans are read from what
Conductor stored, after the fact. Their ids are derived from Conductor's, so two readers write the same span.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from agentspan.engine.failure import reason_text
from agentspan.engine.records import PENDING, TaskRecord, WorkflowRecord
from agentspan.reading.result import answer_text, finish_reason
from agentspan.reading.run import StoredSegment
from agentspan.reading.spent import answered, used_in
from agentspan.stored.inputs import CallInput
from agentspan.stored.names import tool_of_task
from agentspan.stored.usage import Usage

Attributes = dict[str, Any]

OPERATION = "gen_ai.operation.name"
AGENT = "gen_ai.agent.name"
EXECUTION = "agentspan.execution_id"
STEP = "agentspan.step"
ATTEMPT = "agentspan.attempt"
WORKER = "agentspan.worker_id"

_PROVIDERS = {
    "google_gemini": "gcp.gemini",
    "vertex_ai": "gcp.vertex_ai",
    "azure_openai": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "mistral": "mistral_ai",
    "Grok": "x_ai",
}
"""Conductor's names that are not those of the conventions."""

_REQUEST = {
    "maxTokens": "gen_ai.request.max_tokens",
    "temperature": "gen_ai.request.temperature",
    "topP": "gen_ai.request.top_p",
    "topK": "gen_ai.request.top_k",
    "frequencyPenalty": "gen_ai.request.frequency_penalty",
    "presencePenalty": "gen_ai.request.presence_penalty",
    "stopWords": "gen_ai.request.stop_sequences",
}


@dataclass(frozen=True, kw_only=True)
class StoredSpan:
    """A span that is over.

    Attributes:
        key: What its id is derived from.
        name: What traces show.
        kind: Whether it stands for a request to a service (`client`) or for work of the agent's own.
        start: Milliseconds since 1970.
        end: Milliseconds since 1970.
        attributes: What is known about it.
        error_type: Kind of the failure; None when it went well.
        error: What went wrong, without content.
    """

    key: str
    name: str
    kind: Literal["client", "internal"]
    start: int
    end: int
    attributes: Attributes
    error_type: str | None = None
    error: str | None = None


def attempt_key(task: TaskRecord) -> str:
    """What the id of one attempt of a tool call is derived from: a task may be tried several times."""
    return f"{task.task_id}/{len(task.notes.failures)}"


def invoke_agent(run: WorkflowRecord, *, content: bool) -> StoredSpan:
    """The span of a whole run; of one that was retried, that of what came after the retry."""
    metadata = run.workflow_definition["metadata"]
    provider, _, model = metadata["model"].partition("/")
    usage = used_in(run)
    attributes: Attributes = {
        OPERATION: "invoke_agent",
        AGENT: metadata["agent"],
        EXECUTION: run.workflow_id,
        "gen_ai.provider.name": _PROVIDERS.get(provider, provider),
        "gen_ai.request.model": model,
        "gen_ai.usage.input_tokens": usage.prompt_tokens,
        "gen_ai.usage.output_tokens": usage.completion_tokens,
        **_more_usage(usage),
        "agentspan.status": run.status,
        "agentspan.steps": int(run.output.get("steps") or 0),
    }
    if content:
        attributes["gen_ai.input.messages"] = _messages("user", _text(run.input.get("prompt")))
        attributes["gen_ai.output.messages"] = _messages("assistant", _text(run.output.get("result")))
    retried = run.last_retried_time
    well = run.status == "COMPLETED"
    return StoredSpan(
        key=f"{run.workflow_id}/{retried}" if retried else run.workflow_id,
        name=f"invoke_agent {metadata['agent']}",
        kind="internal",
        start=retried or run.start_time or run.create_time,
        end=run.end_time,
        attributes=attributes,
        error_type=None if well else run.status,
        error=None if well else reason_text(run.reason_for_incompletion or run.status),
    )


def model_calls(segment: StoredSegment, *, content: bool) -> Iterator[StoredSpan]:
    """One span for each attempt of a model call that is over."""
    for turn in segment.turns:
        for number, task in enumerate(turn.model, 1):
            if task.status not in PENDING and task.start_time:
                yield _chat(segment, task, turn.step, number, content)


def _chat(segment: StoredSegment, task: TaskRecord, step: int, attempt: int, content: bool) -> StoredSpan:
    given, got = task.input_data, task.output_data
    provider, model = str(given.get("llmProvider")), str(given.get("model"))
    if task.in_worker:
        provider, _, model = segment.model.partition("/")
        got = _as_server(got.get("result") or {})
    attributes: Attributes = {
        OPERATION: "chat",
        AGENT: segment.record.workflow_definition["metadata"]["agent"],
        EXECUTION: segment.execution_id,
        STEP: step,
        ATTEMPT: attempt,
        "gen_ai.provider.name": _PROVIDERS.get(provider, provider),
        "gen_ai.request.model": model,
        **{name: given[key] for key, name in _REQUEST.items() if given.get(key) is not None},
    }
    well = task.status == "COMPLETED"
    if well:
        attributes |= {
            "gen_ai.response.finish_reasons": [finish_reason(got.get("finishReason"))],
            "gen_ai.usage.input_tokens": int(got.get("promptTokens") or 0),
            "gen_ai.usage.output_tokens": int(got.get("completionTokens") or 0),
            **_more_usage(answered(task, segment)),
        }
        if got.get("responseId"):
            attributes["gen_ai.response.id"] = str(got["responseId"])
        if content:
            attributes["gen_ai.output.messages"] = _reply(got)
    return StoredSpan(
        key=task.task_id,
        name=f"chat {model}",
        kind="client",
        start=task.start_time,
        end=task.end_time or task.update_time,
        attributes=attributes,
        error_type=None if well else task.status,
        error=None if well else reason_text(task.reason_for_incompletion or task.status),
    )


def _more_usage(usage: Usage) -> Attributes:
    found = {
        "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
        "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens,
        "agentspan.usage.reasoning_tokens": usage.reasoning_tokens,
        "agentspan.usage.cost": usage.cost,
    }
    return {name: value for name, value in found.items() if value is not None}


def _as_server(said: Mapping[str, Any]) -> Attributes:
    """What a worker stored of an answer, under the names that the server has for it."""
    tokens = said.get("tokens") or {}
    calls = [
        {"taskReferenceName": call["id"], "name": call["name"], "inputParameters": call["args"]}
        for call in said.get("calls") or ()
    ]
    return {
        "finishReason": said.get("finish_reason"),
        "promptTokens": tokens.get("prompt_tokens"),
        "completionTokens": tokens.get("completion_tokens"),
        "tokens": tokens,
        "toolCalls": calls,
        "result": said.get("text"),
    }


def dead_attempts(segment: StoredSegment) -> Iterator[StoredSpan]:
    """One span for each attempt of a tool call whose worker died, or was cut off."""
    for task in segment.record.tasks:
        if task.kind != "tool" or task.status != "TIMED_OUT" or not task.start_time:
            continue
        tool = tool_of_task(task.task_def_name)
        agent = segment.record.workflow_definition["metadata"]["agent"]
        yield StoredSpan(
            key=attempt_key(task),
            name=f"execute_tool {tool}",
            kind="internal",
            start=task.start_time,
            end=task.end_time or task.update_time,
            attributes={
                **tool_attributes(agent, tool, CallInput.of(task.input_data)),
                ATTEMPT: task.retry_count + 1 + len(task.notes.failures),
                WORKER: task.worker_id or "",
            },
            error_type="worker_lost",
            error=f"No heartbeat of its worker {task.worker_id}.",
        )


def tool_attributes(agent: str, tool: str, given: CallInput) -> Attributes:
    """What is known of a tool call from the beginning."""
    return {
        OPERATION: "execute_tool",
        AGENT: agent,
        "gen_ai.tool.name": tool,
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": given.call_id,
        EXECUTION: given.execution_id,
        STEP: given.step,
    }


def arguments_of(given: CallInput) -> Attributes:
    """The content that a tool call begins with."""
    return {"gen_ai.tool.call.arguments": _json(given.args)}


def result_of(output: Mapping[str, Any]) -> Attributes:
    """The content that a tool call ends with."""
    return {"gen_ai.tool.call.result": _json(output["result"])} if "result" in output else {}


def last_worker(segment: StoredSegment) -> str | None:
    """The worker that served the segment's last tool call."""
    workers = [task.worker_id for task in segment.record.tasks if task.kind == "tool" and task.worker_id]
    return workers[-1] if workers else None


def _reply(output: Mapping[str, Any]) -> str:
    calls = [
        {
            "type": "tool_call",
            "id": call.get("taskReferenceName"),
            "name": call.get("name"),
            "arguments": {key: value for key, value in (call.get("inputParameters") or {}).items() if key != "method"},
        }
        for call in output.get("toolCalls") or []
    ]
    return _messages("assistant", *(calls or [_text(output.get("result"))]))


def _text(value: Any) -> Attributes:
    return {"type": "text", "content": answer_text(value)}


def _messages(role: str, *parts: Attributes) -> str:
    return _json([{"role": role, "parts": list(parts)}])


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
