"""Agents whose calls share what they have done, and whose instructions a function gives once a run."""

from __future__ import annotations

import time

from ledger_agent import note
from pydantic import BaseModel, Field

from agentspan.agents import Agent, Retry, RunContext, ToolContext, agent_tool, tool


class Work(BaseModel):
    done: list[int] = Field(default_factory=list)
    by: dict[str, int] = Field(default_factory=dict)
    last: int = -1


@tool(retry=Retry(1))
def work(number: int, seconds: float, context: ToolContext) -> list[int]:
    """Do a piece of work, and say so."""
    context.add_to_state(done=[number], by={str(number): context.attempt})
    context.set_state(last=number)
    note("begin", number, context)
    time.sleep(seconds if context.attempt == 1 else 0)
    note("end", number, context)
    return list(context.state.done)


def told(context: RunContext) -> str:
    """Another text each time that it is asked."""
    return f"Told at {time.time_ns()}."


agent = Agent(
    "state_ledger",
    model="openai/none",
    tools=[work],
    model_place="worker",
    state_type=Work,
    instructions=told,
)

called = Agent(
    "state_called",
    model="openai/none",
    description="Does more.",
    tools=[work],
    model_place="worker",
    state_type=Work,
    instructions=told,
)
taking = Agent(
    "state_taking",
    model="openai/none",
    description="Goes on.",
    tools=[work, agent_tool(called, state="shared")],
    model_place="worker",
    state_type=Work,
    instructions=told,
)
handing = Agent(
    "state_handing", model="openai/none", tools=[work], handoffs=[taking], model_place="worker", state_type=Work
)
