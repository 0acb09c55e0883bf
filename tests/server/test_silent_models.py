"""A provider that takes a request and says nothing: how long it is waited for, and what is told of it."""

from __future__ import annotations

import pytest

from agentspan.agents import Agent, AgentRuntime, DefinitionError, ModelSettings, Retry
from agentspan.testing import say, wait_until
from agentspan.testing.plugin import Stage

QUICK = ModelSettings(timeout=1)


def test_it_is_asked_again(runtime: AgentRuntime, model: Stage, scripted_openai: None) -> None:
    replies = iter([say("late").after(60), say("in time")])
    played = model.play(lambda _: next(replies))
    agent = Agent("silent", model=played, model_place="worker", model_settings=QUICK, model_retry=Retry(2, delay=0))
    handle = runtime.start(agent, "Go.")

    assert handle.result(timeout=90).output == "in time"
    (error,) = [event.error for event in handle.stream() if event.type == "model_retry"]
    assert error is not None
    assert "did not answer" in error
    assert "1" in error, "how long it was waited for"


def test_the_next_model_is_asked(runtime: AgentRuntime, model: Stage, scripted_openai: None) -> None:
    models = (model.play([say("late").after(60)]), model.play([say("the other one")]))
    agent = Agent("silent_first", model=models, model_place="worker", model_settings=QUICK)
    handle = runtime.start(agent, "Go.")

    assert handle.result(timeout=90).output == "the other one"
    assert [passed.model for passed in handle.steps()[0].model.passed_over] == [models[0]]


def test_what_a_run_waits_for_is_told(conductor_url: str, model: Stage, scripted_openai: None) -> None:
    runtime = AgentRuntime(conductor_url)
    played = model.play([say("late").after(60)])
    agent = Agent("silent_still", model=played, model_place="worker")
    handle = runtime.start(agent, "Go.")
    wait_until(lambda: model.requests(played), "the model to be asked")
    wait_until(lambda: handle.get_status().waits, "the run to wait for it")

    (reason,) = handle.get_status().waits
    assert "model" in reason.text
    handle.cancel()
    runtime.shutdown(timeout=1)


@pytest.mark.parametrize("seconds", [0, -1, 100_000, True])
def test_times_that_make_no_sense(seconds: float) -> None:
    with pytest.raises(DefinitionError, match="timeout"):
        ModelSettings(timeout=seconds)


def test_the_server_has_its_own() -> None:
    with pytest.raises(DefinitionError, match="needs a worker"):
        Agent("silent_there", model="openai/gpt-4o", model_place="server", model_settings=QUICK)
