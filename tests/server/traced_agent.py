"""An agent whose tool makes a span and a log line of its own."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

from opentelemetry import trace

from agentspan.agents import Agent, Retry, ToolContext, tool

log = logging.getLogger("warehouse")
tracer = trace.get_tracer("warehouse")


@tool(retry=Retry(2, delay=0))
def work(number: int, secret: str, context: ToolContext) -> dict[str, str]:
    """Do a piece of work; number 1 takes its time where SLOW is set, number 7 fails the first time."""
    log.info("working on %d", number)
    with tracer.start_as_current_span("query the warehouse"):
        (Path(os.environ["BEGUN"]) / f"{number}.{context.attempt}").touch()
    if number == 7 and context.attempt == 1:
        raise LookupError(f"nothing about {secret}")
    if number == 1 and os.environ.get("SLOW"):
        time.sleep(60)
    return {"found": f"{secret} found"}


agent = Agent("traced", model=os.environ.get("MODEL", "openai/none"), instructions="Work.", tools=[work])
talker = Agent("talker", model=os.environ.get("MODEL", "openai/none"))
