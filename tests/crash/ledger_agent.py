"""An agent whose tools write down when they begin and end."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import threading
import time
from pathlib import Path

from agentspan.agents import Agent, Approval, Budget, ContextBudget, Request, Retry, Team, ToolContext, tool


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


class FirstCall(threading.Thread):
    """What FIRST_CALL asks for happens after the worker has polled its first call, before the tool begins.

    `die`: SIGKILL. `no thread`: the system has no thread for it.
    """

    what = os.environ.get("FIRST_CALL")

    def start(self) -> None:
        if self.name != "agentspan-work" or self.what is None:
            super().start()
            return
        what, FirstCall.what = self.what, None
        if what == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        raise RuntimeError("can't start new thread")


if FirstCall.what is not None:
    threading.Thread = FirstCall  # type: ignore[misc]


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


@tool(retry=Retry(1))
def hold(number: int, seconds: int, context: ToolContext) -> int:
    """Hold the interpreter, the first time: no other thread of the process runs meanwhile."""
    note("begin", number, context)
    if context.attempt == 1:
        ctypes.PyDLL(None).sleep(seconds)
    note("end", number, context)
    return number


@tool(retry=Retry(1))
def outlive(number: int, deaths: int, context: ToolContext) -> int:
    """Take long, until so many workers have died of it."""
    note("begin", number, context)
    if context.attempt <= deaths:
        time.sleep(60)
    note("end", number, context)
    return number


@tool(retry=Retry(1))
def wait(number: int, context: ToolContext) -> int:
    """Wait until there is a file `go-on` beside the ledger."""
    note("begin", number, context)
    while not Path(os.environ["LEDGER"]).with_name("go-on").exists():
        time.sleep(0.05)
    note("end", number, context)
    return number


def archivist(model: str) -> Agent:
    return Agent("archivist", model=model, tools=[fetch], max_turns=5000)


long_agent = archivist("openai/none")
agent = Agent(
    "ledger", model=os.environ.get("LEDGER_MODEL", "openai/none"), tools=[work, hold, outlive, wait], max_turns=5000
)
thin_agent = Agent("thin_ledger", model="openai/none", tools=[work], max_turns=5000, model_place="worker")
keeping_agent = Agent(
    "keeping_ledger",
    model="openai/none",
    tools=[work],
    max_turns=5000,
    model_place="worker",
    context=ContextBudget(max_chars=2_000, keep_chars=800, summarise=True),
)
budget_agent = Agent("budget_ledger", model="openai/none", tools=[work], model_place="worker", budget=Budget(calls=3))
budget_members = tuple(
    Agent(f"budget_{name}", model="openai/none", tools=[work], model_place="worker") for name in ("one", "two")
)
budget_team = Team("budget_team", budget_members, budget=Budget(calls=3))
pool_members = tuple(
    Agent(f"pool_{name}", model="openai/none", tools=[work], model_place="worker") for name in ("one", "two", "three")
)
pool_team = Team("pool_team", pool_members, strategy="parallel", budget=Budget(calls=4))


@tool(retry=Retry(1), approval=True)
def pay(number: int, seconds: float, context: ToolContext) -> int:
    """Pay, once a person says so."""
    note("begin", number, context)
    time.sleep(seconds)
    note("end", number, context)
    return number


@tool(retry=Retry(1), approval=Approval(deadline=8, default="approve"))
def pay_soon(number: int, context: ToolContext) -> int:
    """Pay, unless a person says no."""
    note("begin", number, context)
    note("end", number, context)
    return number


def tell(request: Request) -> None:
    """Write down that somebody was told."""
    with Path(os.environ["LEDGER"]).with_name("told").open("a", encoding="utf-8") as told:
        told.write(f"{request.id}\n")


paying_agent = Agent(
    "paying_ledger", model="openai/none", tools=[work, pay, pay_soon], model_place="worker", on_request=tell
)


def totals(answer: dict[str, int]) -> None:
    """Take long, the first time."""
    path = Path(os.environ["LEDGER"]).with_name("checked")
    first = not path.exists()
    path.touch()
    if first:
        time.sleep(60)
    if answer["total"] != 3:
        raise ValueError("the total is not 3")


typed_agent_served = Agent(
    "typed_ledger", model="openai/none", tools=[work], output_type=dict[str, int], output_validators=[totals]
)
typed_agent = Agent(
    "typed_ledger",
    model="openai/none",
    tools=[work],
    model_place="worker",
    output_type=dict[str, int],
    output_validators=[totals],
)

taking_agent = Agent(
    "taking_ledger",
    model="openai/none",
    instructions="You took over.",
    tools=[work],
    description="Takes over.",
    model_place="worker",
)
handing_agent = Agent(
    "handing_ledger", model="openai/none", tools=[work], handoffs=[taking_agent], model_place="worker"
)

swarm_members = tuple(
    Agent(name, model="openai/none", instructions=f"You are {name}.", tools=[work], description=f"Does {name}.")
    for name in ("one", "two", "three")
)
swarm_team = Team("swarm_ledger", swarm_members, strategy="swarm")
