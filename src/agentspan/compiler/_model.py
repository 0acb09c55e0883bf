"""The task that asks the model."""

from __future__ import annotations

from typing import Any

from agentspan.compiler import _tasks as t
from agentspan.compiler._tasks import Json, literal
from agentspan.declare.agent import Agent
from agentspan.declare.policy import Retry
from agentspan.declare.settings import ModelSettings
from agentspan.stored.names import OWNER, model_task_name


def model_call(agent: Agent, reference: str, **inputs: Any) -> Json:
    name = model_task_name(agent.name)
    retry = agent.model_retry
    return t.task(
        "LLM_CHAT_COMPLETE",
        name,
        reference,
        {
            "llmProvider": agent.provider,
            "model": agent.model_name,
            **_model_settings(agent.model_settings),
            **inputs,
        },
        retryCount=retry.attempts - 1,  # Conductor reads a retryCount of 0 only here (3.32.3, tried)
        taskDefinition={"name": name, "ownerApp": OWNER, **_retry_fields(retry), "timeoutSeconds": 0},
    )


_SETTING_NAMES = {
    "max_tokens": "maxTokens",
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "frequency_penalty": "frequencyPenalty",
    "presence_penalty": "presencePenalty",
    "stop": "stopWords",
    "thinking_tokens": "thinkingTokenLimit",
    "reasoning_effort": "reasoningEffort",
    "reasoning_summary": "reasoningSummary",
    "web_search": "webSearch",
    "code_interpreter": "codeInterpreter",
}


def _model_settings(settings: ModelSettings) -> Json:
    values = {conductor: getattr(settings, ours) for ours, conductor in _SETTING_NAMES.items()}
    return {name: literal(value) for name, value in values.items() if value not in (None, (), False)}


def _retry_fields(retry: Retry) -> Json:
    logic = {"fixed": "FIXED", "linear": "LINEAR_BACKOFF", "exponential": "EXPONENTIAL_BACKOFF"}
    fields: Json = {
        "retryCount": retry.attempts - 1,
        "retryLogic": logic[retry.backoff],
        "retryDelaySeconds": round(retry.delay),
    }
    if retry.max_delay is not None:
        fields["maxRetryDelaySeconds"] = round(retry.max_delay)
    return fields
