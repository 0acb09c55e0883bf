"""Agent → Conductor definitions: pure, offline, byte-identical.

An agent with tools becomes two workflows. `X` loops over segments; `X.segment` holds eight turns
side by side: model call, plan, the tools, and the transcript the next model call gets. An agent
without tools is one model call. docs/architecture.md draws both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agentspan.agent import Agent, ModelSettings
from agentspan.compiler import _tasks as t
from agentspan.compiler._names import (
    LOOP,
    SEGMENT,
    TURNS_PER_SEGMENT,
    model_task_name,
    segment_name,
    tool_of_task,
    tool_task_name,
    turn_of,
)
from agentspan.compiler._tasks import Json, literal, ref
from agentspan.errors import DefinitionError, InputError
from agentspan.policy import Retry
from agentspan.tool import Tool
from agentspan.values import MAX_BYTES, check_value

__all__ = [
    "LOOP",
    "OWNER",
    "RESPONSE_TIMEOUT",
    "SEGMENT",
    "TURNS_PER_SEGMENT",
    "Definition",
    "compile_agent",
    "model_task_name",
    "segment_name",
    "tool_of_task",
    "tool_task_name",
    "turn_of",
]

OWNER = "agentspan"
"""`ownerApp` of everything we register; a definition of our name with another owner is refused."""

MAX_DEATHS = 10
"""How often a call is handed to another worker after its worker died: Conductor's own limit."""

MAX_TRANSCRIPT = 5_200_000
"""Bytes a segment may begin with: the task that opens it stores them twice, and no task may exceed 10 MiB."""

MAX_PASSED_ON = 7_800_000
"""Bytes a segment may leave to the next one: its input holds them, and the instructions and tools."""

_TRANSCRIPT = "$[{}].output.result.messages[*]"
"""JsonPath of the messages of several tasks as one list; tasks that have not run are passed over."""

RESPONSE_TIMEOUT = 5
"""Seconds without a heartbeat after which a worker counts as dead; see docs/decisions/0005-worker.md."""


@dataclass(frozen=True)
class Definition:
    """What one agent is on a Conductor server.

    Attributes:
        agent: The agent's name, which is also the workflow's.
        workflows: Workflow definitions, in the order they must be registered.
        tasks: Task definitions of the tools.
        fingerprint: SHA-256 over the content, without versions: equal content, equal fingerprint.
    """

    agent: str
    workflows: tuple[Json, ...]
    tasks: tuple[Json, ...]
    fingerprint: str

    def at_version(self, version: int) -> tuple[Json, ...]:
        """The workflow definitions as version `version`, each naming the others by it."""
        return tuple(_numbered(workflow, version, self.fingerprint) for workflow in self.workflows)

    def to_json(self) -> str:
        """The whole as JSON text: sorted keys, two spaces, a newline at the end."""
        content = {"workflows": list(self.at_version(1)), "tasks": list(self.tasks)}
        return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def compile_agent(agent: Agent) -> Definition:
    """Compile an agent. No clock, network, environment or randomness takes part.

    Example:
        >>> compile_agent(Agent(name="greeter", model="openai/gpt-4o")).workflows[0]["name"]
        'greeter'

    Raises:
        DefinitionError: Conductor would not carry its texts intact, or all of them together are too long.
    """
    workflows = _looping(agent) if agent.tools else (_single(agent),)
    for workflow in workflows:
        _check(agent, workflow)
    tasks = tuple(_tool_definition(agent, tool) for tool in agent.tools)
    return Definition(agent.name, workflows, tasks, _fingerprint(workflows, tasks))


def _check(agent: Agent, workflow: Json) -> None:
    try:
        check_value(workflow, f"agent {agent.name!r}: its definition")
    except InputError as error:
        raise DefinitionError(error.message, hint="Look at its instructions and at what its tools say.") from error


def _fingerprint(*content: tuple[Json, ...]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _numbered(workflow: Json, version: int, fingerprint: str) -> Json:
    numbered: Json = json.loads(json.dumps(workflow))
    numbered["version"] = version
    numbered["metadata"] = {**numbered["metadata"], "fingerprint": fingerprint}
    for task in _walk(numbered["tasks"]):
        if task["type"] == "SUB_WORKFLOW":
            task["subWorkflowParam"]["version"] = version
    return numbered


def _walk(tasks: list[Json]) -> Iterator[Json]:
    for task in tasks:
        yield task
        yield from _walk(task.get("loopOver", []))
        for case in task.get("decisionCases", {}).values():
            yield from _walk(case)


def _workflow(agent: Agent, name: str, description: str, tasks: list[Json], **fields: Any) -> Json:
    return {
        "name": name,
        "description": description,
        "version": 1,
        "schemaVersion": 2,
        "ownerApp": OWNER,
        "ownerEmail": f"{OWNER}@localhost.localdomain",
        "restartable": True,
        "timeoutSeconds": 0,
        "timeoutPolicy": "ALERT_ONLY",
        "metadata": {"agent": agent.name, "model": agent.model, "max_turns": agent.max_turns},
        "tasks": tasks,
        **fields,
    }


def _time_limit(agent: Agent) -> Json:
    if agent.timeout is None:
        return {}
    return {"timeoutSeconds": max(1, round(agent.timeout)), "timeoutPolicy": "TIME_OUT_WF"}


# ---- an agent without tools: one model call -------------------------------------------------------


def _single(agent: Agent) -> Json:
    call = _model_call(
        agent,
        "llm_1",
        instructions=literal(agent.instructions),
        messages=ref("open.output.result.messages"),
    )
    return _workflow(
        agent,
        agent.name,
        agent.description or f"Agent {agent.name}: one call of {agent.model}.",
        [_open(agent, "The conversation so far and the prompt."), call],
        inputParameters=["prompt", "messages", "context"],
        outputParameters={
            "result": ref("llm_1.output.result"),
            "finish_reason": ref("llm_1.output.finishReason"),
            "steps": 1,
            "usage": {
                "prompt_tokens": ref("llm_1.output.promptTokens"),
                "completion_tokens": ref("llm_1.output.completionTokens"),
            },
        },
        **_time_limit(agent),
    )


# ---- an agent with tools: a loop over segments ----------------------------------------------------


def _looping(agent: Agent) -> tuple[Json, ...]:
    return _segment(agent), _agent_workflow(agent)


def _agent_workflow(agent: Agent) -> Json:
    segment = t.sub_workflow(
        "segment",
        SEGMENT,
        segment_name(agent.name),
        1,
        {
            "execution_id": ref("workflow.workflowId"),
            "prompt": ref("workflow.input.prompt"),
            "messages": ref("workflow.input.messages"),
            "transcript": ref(f"{SEGMENT}.output.transcript"),
            "usage": ref(f"{SEGMENT}.output.usage"),
            "steps": ref(f"{SEGMENT}.output.steps"),
            "previous": ref(f"{SEGMENT}.output.subWorkflowId"),
            "instructions": literal(agent.instructions),
            "tools": [_tool_spec(tool) for tool in agent.tools],
            "programs": {name: literal(t.program(name)) for name in ("plan", "exchange")},
            "transcript_path": _transcript_path(),
        },
    )
    output = {key: ref(f"{SEGMENT}.output.{key}") for key in ("result", "finish_reason", "steps", "usage")}
    out_of_turns = t.terminate(
        "out_of_turns",
        "out_of_turns",
        "FAILED",
        output,
        f"The agent {agent.name} used all of its {agent.max_turns} turns and still asked for a tool.",
    )
    return _workflow(
        agent,
        agent.name,
        agent.description or f"Agent {agent.name}: {agent.model} with {len(agent.tools)} tools.",
        [
            t.do_while(
                "turns",
                LOOP,
                f"$.{SEGMENT}['finish_reason'] == null",
                [segment],
                keep_last=1,
            ),
            t.switch("ended_by", "ended_by", ref(f"{SEGMENT}.output.finish_reason"), {"max_turns": [out_of_turns]}),
        ],
        inputParameters=["prompt", "messages", "context"],
        outputParameters=output,
        **_time_limit(agent),
    )


def _segment(agent: Agent) -> Json:
    tasks = [_open(agent, "The transcript this segment begins with.")]
    for turn in range(1, TURNS_PER_SEGMENT + 1):
        tasks += _turn(agent, turn)
    last = TURNS_PER_SEGMENT
    return _workflow(
        agent,
        segment_name(agent.name),
        f"{TURNS_PER_SEGMENT} turns of the agent {agent.name}.",
        tasks,
        inputParameters=[
            "execution_id",
            "prompt",
            "messages",
            "transcript",
            "usage",
            "steps",
            "previous",
            "instructions",
            "tools",
            "programs",
            "transcript_path",
        ],
        outputParameters=_passed_on(last),
    )


def _transcript_path() -> str:
    made_by = ["open", *(f"exchange_{turn}" for turn in range(1, TURNS_PER_SEGMENT + 1))]
    return _TRANSCRIPT.format(",".join(f"'{task}'" for task in made_by))


def _passed_on(turn: int) -> Json:
    """What a segment that ends after `turn` leaves to the next one."""
    return {
        "transcript": {
            "messages": _MESSAGES,
            "size": ref(f"exchange_{turn}.output.result.size"),
            **{key: ref(f"open.output.result.{key}") for key in ("pinned", "base", "dropped")},
        },
        "usage": ref(f"plan_{turn}.output.result.usage"),
        "steps": ref(f"plan_{turn}.output.result.step"),
    }


_MESSAGES = ref(ref("workflow.input.transcript_path"))
"""The messages of all exchanges so far. A definition may not name several tasks in one path; a value may."""


def _open(agent: Agent, description: str) -> Json:
    return t.jq(
        "open",
        "open",
        description,
        literal(t.program("open")),
        transcript=ref("workflow.input.transcript"),
        history=ref("workflow.input.messages"),
        prompt=ref("workflow.input.prompt"),
        max_chars=agent.context.max_chars,
        keep_chars=agent.context.kept,
        most=MAX_TRANSCRIPT,
    )


def _turn(agent: Agent, turn: int) -> list[Json]:
    call = _model_call(
        agent,
        f"llm_{turn}",
        instructions=ref("workflow.input.instructions"),
        messages=_MESSAGES,
        tools=ref("workflow.input.tools"),
    )
    tasks = [call, _plan(agent, turn), _route(turn), _exchange(agent, turn)]
    return tasks if turn == TURNS_PER_SEGMENT else [*tasks, _room(turn)]


def _model_call(agent: Agent, reference: str, **inputs: Any) -> Json:
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


def _plan(agent: Agent, turn: int) -> Json:
    llm = f"llm_{turn}.output"
    before = ref("workflow.input.usage") if turn == 1 else ref(f"plan_{turn - 1}.output.result.usage")
    return t.jq(
        "plan",
        f"plan_{turn}",
        "What the model asks for: which tools, with what arguments, or the end.",
        ref("workflow.input.programs.plan"),
        calls=ref(f"{llm}.toolCalls"),
        finish_reason=ref(f"{llm}.finishReason"),
        prompt_tokens=ref(f"{llm}.promptTokens"),
        completion_tokens=ref(f"{llm}.completionTokens"),
        usage=before,
        steps=ref("workflow.input.steps"),
        turn=turn,
        max_turns=agent.max_turns,
        execution_id=ref("workflow.input.execution_id"),
        max_bytes=MAX_BYTES,
        tools={tool.name: tool_task_name(agent.name, tool.name) for tool in agent.tools},
        # The limits stand in the tool's own definition, which only a fork looks at.
        limited=[tool.name for tool in agent.tools if tool.concurrency or tool.rate_limit],
    )


def _route(turn: int) -> Json:
    plan = f"plan_{turn}.output.result"
    one = t.dynamic(
        "tool",
        f"tool_{turn}",
        ref(f"{plan}.calls[0].task"),
        {
            "args": ref(f"{plan}.calls[0].args"),
            "call_id": ref(f"{plan}.calls[0].id"),
            "step": ref(f"{plan}.step"),
            "execution_id": ref("workflow.input.execution_id"),
            "max_bytes": ref(f"{plan}.max_bytes"),
        },
        # Without it Conductor gives a DYNAMIC task a definition that knows no lease and no retries (3.32.3, tried).
        {"name": "tool", "ownerApp": OWNER, **_LEASE},
    )
    many = [
        t.dynamic_fork("fork", f"fork_{turn}", ref(f"{plan}.fork"), ref(f"{plan}.fork_inputs")),
        t.join("join", f"join_{turn}"),
    ]
    end = {
        "finish_reason": ref(f"{plan}.finish_reason"),
        "steps": ref(f"{plan}.step"),
        "usage": ref(f"{plan}.usage"),
    }
    finish = t.terminate("finish", f"finish_{turn}", "COMPLETED", {"result": ref(f"llm_{turn}.output.result"), **end})
    stop = t.terminate("stop", f"stop_{turn}", "COMPLETED", {**end, "finish_reason": "max_turns"})
    return t.switch(
        "route",
        f"route_{turn}",
        ref(f"{plan}.mode"),
        {"done": [finish], "one": [one], "many": many, "max_turns": [stop]},
    )


def _exchange(agent: Agent, turn: int) -> Json:
    before = "open" if turn == 1 else f"exchange_{turn - 1}"
    return t.jq(
        "exchange",
        f"exchange_{turn}",
        "What this turn adds to the transcript: the calls and their results.",
        ref("workflow.input.programs.exchange"),
        calls=ref(f"plan_{turn}.output.result.calls"),
        ref=f"tool_{turn}",
        mode=ref(f"plan_{turn}.output.result.mode"),
        one=ref(f"tool_{turn}.output"),
        reason=ref(f"tool_{turn}.reasonForIncompletion"),
        many=ref(f"join_{turn}.output"),
        tools=[tool.name for tool in agent.tools],
        base=ref("open.output.result.base"),
        size=ref(f"{before}.output.result.size"),
        max_chars=agent.context.max_chars,
        most=MAX_TRANSCRIPT,
        most_passed_on=MAX_PASSED_ON,
    )


def _room(turn: int) -> Json:
    """End the segment when its transcript is over budget: the next one begins with trimming it."""
    trim = t.terminate("trim", f"trim_{turn}", "COMPLETED", _passed_on(turn))
    return t.switch("full", f"full_{turn}", ref(f"exchange_{turn}.output.result.full"), {"true": [trim]})


# ---- tools ------------------------------------------------------------------------------------------


def _tool_spec(tool: Tool[..., Any]) -> Json:
    return {
        "name": tool.name,
        "type": "SIMPLE",
        "description": literal(tool.description),
        "inputSchema": literal(dict(tool.parameters)),
        "selfDescribing": True,
    }


_LEASE: Json = {
    "retryCount": MAX_DEATHS,
    "retryLogic": "FIXED",
    "retryDelaySeconds": 0,
    "timeoutSeconds": 0,
    "timeoutPolicy": "RETRY",
    "responseTimeoutSeconds": RESPONSE_TIMEOUT,
}


def _tool_definition(agent: Agent, tool: Tool[..., Any]) -> Json:
    """The task definition of a tool.

    Conductor's own retries cover the deaths of workers, at once; how often and when a tool that
    raised runs again is decided by the worker host, which knows the tool's policy.
    """
    definition: Json = {
        "name": tool_task_name(agent.name, tool.name),
        "description": tool.description,
        "ownerApp": OWNER,
        "ownerEmail": f"{OWNER}@localhost.localdomain",
        **_LEASE,
        "inputKeys": ["args", "call_id", "execution_id", "max_bytes", "step"],
        "outputKeys": ["result", "error"],
    }
    if tool.concurrency is not None:
        definition["concurrentExecLimit"] = tool.concurrency
    if tool.rate_limit is not None:
        definition["rateLimitPerFrequency"] = tool.rate_limit.calls
        definition["rateLimitFrequencyInSeconds"] = tool.rate_limit.per_seconds
    return definition


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
