"""`conductor.ai.agents` of conductor-python, as a user would call it, with its defaults."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from conductor.ai.agents import Agent, AgentRuntime, Guardrail, GuardrailResult, tool
from conductor.client.configuration.configuration import Configuration

from benchmarks.contestants import AgentSpec
from benchmarks.model import MODEL
from benchmarks.plan import INSTRUCTIONS, REFUSED, Together
from benchmarks.tools import TOOLS


class Contestant:
    """One runtime; agents are built once."""

    def __init__(self, url: str) -> None:
        configuration = Configuration(server_api_url=f"{url}/api")
        self._runtime = AgentRuntime(configuration)
        self._agents: dict[str, Agent] = {}
        self._together: dict[str, Agent] = {}

    def close(self) -> None:
        """Stop serving."""
        self._runtime.shutdown()

    def serve(self, agent: dict[str, Any]) -> None:
        self._runtime.serve(self._agent(agent), blocking=False)

    def start(self, agent: dict[str, Any], prompt: str, **_: Any) -> str:
        return str(self._runtime.start(self._agent(agent), prompt).execution_id)

    def start_many(self, agent: dict[str, Any], prompts: list[str]) -> list[str]:
        with ThreadPoolExecutor(16) as pool:
            return list(pool.map(lambda prompt: self.start(agent, prompt), prompts))

    def run(self, agent: dict[str, Any], prompt: str) -> str:
        return str(self._runtime.run(self._agent(agent), prompt).output)

    def work_together(self, together: Together, prompt: str, **_: Any) -> str:
        """Let several agents work on it; the run's id."""
        if together not in self._together:
            self._together[together] = _working_together(together)
        return str(self._runtime.run(self._together[together], prompt).execution_id)

    def watch(self, agent: dict[str, Any], prompt: str) -> dict[str, Any]:
        """Start a run and say when each of its events was seen."""
        begun = time.monotonic()
        stream = self._runtime.stream(self._agent(agent), prompt)
        return {"begun": begun, "events": [(_plain(event.type), time.monotonic()) for event in stream]}

    def _agent(self, fields: dict[str, Any]) -> Agent:
        spec = AgentSpec(**fields)
        if spec.name not in self._agents:
            tools = [tool(function) for function in list(TOOLS.values())[: spec.tools]]
            self._agents[spec.name] = Agent(f"peer_{spec.name}", model=MODEL, tools=tools, max_turns=spec.max_turns)
        return self._agents[spec.name]


def _plain(kind: Any) -> str:
    return str(getattr(kind, "value", kind))


def _working_together(together: Together) -> Agent:
    def member(number: int, **more: Any) -> Agent:
        return Agent(f"peer_{together}_{number}", model=MODEL, instructions=INSTRUCTIONS, **more)

    if together == "guardrail":
        return member(0, guardrails=[Guardrail(is_fit, position="output", on_fail="retry")])
    if together == "swarm":  # the first is the team itself
        return member(0, agents=[member(1), member(2)], strategy="swarm")
    if together == "parallel":
        return Agent(
            "peer_parallel", model=MODEL, agents=[member(n) for n in range(10)], strategy="parallel", synthesize=False
        )
    return Agent("peer_sequence", model=MODEL, agents=[member(n) for n in range(3)], strategy="sequential")


def is_fit(content: str) -> GuardrailResult:
    return GuardrailResult(passed=not content.startswith(REFUSED), message="Say it in another way.")
