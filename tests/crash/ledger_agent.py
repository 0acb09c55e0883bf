"""An agent whose tools write down when they begin and end."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from agentspan.agents import Agent, Retry, ToolContext, tool


def note(what: str, number: int, context: ToolContext) -> None:
    entry = {
        "what": what,
        "number": number,
        "key": context.idempotency_key,
        "attempt": context.attempt,
        "pid": os.getpid(),
        "at": time.time(),
    }
    with Path(os.environ["LEDGER"]).open("a", encoding="utf-8") as ledger:
        ledger.write(json.dumps(entry) + "\n")
        ledger.flush()
        os.fsync(ledger.fileno())


@tool(retry=Retry(1))
def work(number: int, seconds: float, context: ToolContext) -> int:
    """Do a piece of work."""
    note("begin", number, context)
    time.sleep(seconds)
    note("end", number, context)
    return number


@tool(retry=Retry(1))
def fetch(number: int, context: ToolContext) -> dict[str, object]:
    """Fetch a page of 4 KB."""
    note("begin", number, context)
    note("end", number, context)
    return {"number": number, "text": f"{number:08}" * 512}


def archivist(model: str) -> Agent:
    return Agent("archivist", model=model, tools=[fetch], max_turns=5000)


long_agent = archivist("openai/none")
agent = Agent("ledger", model=os.environ.get("LEDGER_MODEL", "openai/none"), tools=[work], max_turns=5000)
