"""The workflow of an agent: one model call, or a loop over segments when it has tools."""

from __future__ import annotations

from agentspan.agent import Agent
from agentspan.compiler import _tasks as t
from agentspan.compiler._model import model_call
from agentspan.compiler._names import LOOP, SEGMENT, segment_name, tool_task_name
from agentspan.compiler._segment import segment, transcript_path
from agentspan.compiler._tasks import Json, literal, ref
from agentspan.compiler._tools import tool_spec
from agentspan.compiler._workflow import open_task, time_limit, workflow


def single(agent: Agent) -> Json:
    call = model_call(
        agent,
        "llm_1",
        instructions=literal(agent.instructions),
        messages=ref("open.output.result.messages"),
    )
    return workflow(
        agent,
        agent.name,
        agent.description or f"Agent {agent.name}: one call of {agent.model}.",
        [open_task(agent, "The conversation so far and the prompt.", literal(t.program("open"))), call],
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
        **time_limit(agent),
    )


def looping(agent: Agent) -> tuple[Json, ...]:
    return segment(agent), _agent_workflow(agent)


def _agent_workflow(agent: Agent) -> Json:
    one_segment = t.sub_workflow(
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
            "tools": [tool_spec(tool) for tool in agent.tools],
            "tool_tasks": {tool.name: tool_task_name(agent.name, tool.name) for tool in agent.tools},
            # The limits stand in the tool's own definition, which only a fork looks at.
            "limited": [tool.name for tool in agent.tools if tool.concurrency or tool.rate_limit],
            "programs": {name: literal(t.program(name)) for name in ("open", "plan", "exchange")},
            "transcript_path": transcript_path(),
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
    return workflow(
        agent,
        agent.name,
        agent.description or f"Agent {agent.name}: {agent.model} with {len(agent.tools)} tools.",
        [
            t.do_while(
                "turns",
                LOOP,
                f"$.{SEGMENT}['finish_reason'] == null",
                [one_segment],
                keep_last=1,
            ),
            t.switch(
                "ended_by",
                "ended_by",
                "Whether the model answered, or ran out of turns.",
                ref(f"{SEGMENT}.output.finish_reason"),
                {"max_turns": [out_of_turns]},
            ),
        ],
        inputParameters=["prompt", "messages", "context"],
        outputParameters=output,
        **time_limit(agent),
    )
