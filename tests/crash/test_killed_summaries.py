"""SIGKILL to a worker while the model summarises: that call is made again elsewhere, and nothing else."""

from __future__ import annotations

import dataclasses
import re

from agentspan.agents import AgentRuntime, ModelSettings
from agentspan.testing import ModelRequest, Reply, call, say, wait_until
from agentspan.testing.plugin import Stage

from .conftest import Ledger, explained
from .ledger_agent import keeping_agent

TURNS = 20
THROUGH = re.compile(r"\[The first (\d+) tool exchanges were left out\.")


def is_summary(request: ModelRequest) -> bool:
    return request.system.startswith("You keep the record")


def test_a_summary_whose_worker_dies_is_made_again_in_another(
    runtime: AgentRuntime, model: Stage, ledger: Ledger
) -> None:
    def reply(request: ModelRequest) -> Reply:
        if is_summary(request):
            return dataclasses.replace(say("All is well."), delay=60.0 if request.attempt == 1 else 0.0)
        through = [int(found[1]) for turn in request.messages if (found := THROUGH.match(turn.text))]
        results = [result.output for turn in request.messages for result in turn.tool_results]
        number = max([*through, *(1 + result for result in results)], default=0)
        return call("work", number=number, seconds=0.0) if number < TURNS else say("done")

    settings = ModelSettings(base_url=model.server.openai_url)
    agent = dataclasses.replace(keeping_agent, model=model.play(reply), model_settings=settings)
    ledger = dataclasses.replace(ledger, target="ledger_agent:keeping_agent")
    handle = runtime.start(agent, "Go.", serve=False)

    def summaries() -> list[ModelRequest]:
        return [request for request in model.requests(agent.model) if is_summary(request)]

    with explained(runtime, handle.execution_id):
        with ledger.worker() as first:
            wait_until(lambda: len(summaries()) == 1, "the first summary to be asked for", 60)
            before = len(ledger.ended())
            first.kill()
        with ledger.worker():
            wait_until(lambda: len(summaries()) >= 2, "the summary to be asked for again", 60)
            again, once = summaries()[1], summaries()[0]
            assert again.messages == once.messages
            assert len(ledger.ended()) == before, "no turn goes on without it"
            wait_until(lambda: len(ledger.ended()) > before, "the next turn", 60)
            handle.cancel()
    ledger.check_once_each(range(len(ledger.ended())))
    assert next(event.text for event in handle.stream() if event.type == "summary") == "All is well."
