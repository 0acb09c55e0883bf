"""agentspan, as a user would call it."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from agentspan.agents import (
    Agent,
    AgentHandle,
    AgentRuntime,
    ContextBudget,
    Guardrail,
    GuardrailResult,
    ModelSettings,
    Team,
)
from benchmarks.contestants import AgentSpec
from benchmarks.model import MODEL
from benchmarks.plan import INSTRUCTIONS, REFUSED, Together
from benchmarks.tools import TOOLS


class Contestant:
    """One runtime; agents are built once."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._runtime = AgentRuntime(url)
        self._agents: dict[str, Agent] = {}
        self._together: dict[str, Agent] = {}
        self._followed = 0

    def close(self) -> None:
        """Stop serving."""
        self._runtime.shutdown(timeout=2)

    def serve(self, agent: dict[str, Any]) -> None:
        self._runtime.serve(self._agent(agent), blocking=False)

    def start(self, agent: dict[str, Any], prompt: str, serve: bool = True) -> str:
        return self._runtime.start(self._agent(agent), prompt, serve=serve).execution_id

    def start_many(self, agent: dict[str, Any], prompts: list[str]) -> list[str]:
        with ThreadPoolExecutor(16) as pool:
            return list(pool.map(lambda prompt: self.start(agent, prompt), prompts))

    def run(self, agent: dict[str, Any], prompt: str) -> str:
        return str(self._runtime.run(self._agent(agent), prompt).output)

    def work_together(self, together: Together, prompt: str, model_url: str) -> str:
        """Let several agents work on it, whose model a worker calls; the run's id."""
        if together not in self._together:
            self._together[together] = _working_together(together, ModelSettings(base_url=model_url))
        return self._runtime.run(self._together[together], prompt).execution_id

    def watch(self, agent: dict[str, Any], prompt: str) -> dict[str, Any]:
        """Start a run and say when each of its events was seen."""
        begun = time.monotonic()
        stream = self._runtime.stream(self._agent(agent), prompt)
        return {"begun": begun, "events": [(event.type, time.monotonic()) for event in stream]}

    def read(self, execution_id: str, cursor: int = 0) -> int:
        """Read the events of a run from a cursor on, as a process that knows nothing of it; how many there were."""
        return sum(1 for _ in AgentHandle(execution_id, AgentRuntime(self._url)).stream(cursor))

    def follow(self, execution_id: str) -> None:
        """Follow a run in the background."""

        def follow() -> None:
            for event in AgentHandle(execution_id, AgentRuntime(self._url)).stream():
                self._followed = event.step

        threading.Thread(target=follow, daemon=True).start()

    def followed(self) -> int:
        """The step of the newest event that was seen."""
        return self._followed

    def _agent(self, fields: dict[str, Any]) -> Agent:
        spec = AgentSpec(**fields)
        if spec.name not in self._agents:
            budget = ContextBudget(max_chars=spec.max_chars) if spec.max_chars else ContextBudget()
            self._agents[spec.name] = Agent(
                f"ours_{spec.name}",
                model=MODEL,
                tools=list(TOOLS.values())[: spec.tools],
                max_turns=spec.max_turns,
                context=budget,
            )
        return self._agents[spec.name]


def _working_together(together: Together, settings: ModelSettings) -> Agent:
    told = {"description": INSTRUCTIONS, "instructions": INSTRUCTIONS}
    model = {"model": MODEL, "model_place": "worker", "model_settings": settings}

    def member(number: int, **more: Any) -> Agent:
        name = f"ours_{together}_{number}"
        return Agent(name, **told, **model, **more)

    if together == "guardrail":
        return member(0, guardrails=[Guardrail(is_fit, position="output", on_fail="retry")])
    members = [member(number) for number in range(10 if together == "parallel" else 3)]
    return Team(f"ours_{together}", members, strategy="sequential" if together == "sequence" else together)


def is_fit(content: str) -> GuardrailResult:
    return GuardrailResult(passed=not content.startswith(REFUSED), message="Say it in another way.")
