"""Members of teams with a budget, and the request that their run waits by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agentspan.agents import Agent, AgentHandle, ModelSettings, Price, Request, tool
from agentspan.testing import ModelRequest, Reply, call, say, wait_until
from agentspan.testing.plugin import Stage

Member = Callable[..., Agent[Any]]


@tool
def look(number: int) -> str:
    """Look at something."""
    return f"seen {number}"


def member_maker(model: Stage) -> Member:
    """Makes members that look so often, and answer then, or where no tools are offered any more."""

    def made(name: str, looks: int = 0, **options: Any) -> Agent[Any]:
        def reply(request: ModelRequest) -> Reply:
            if request.turn < looks and request.body.get("tool_choice") != "none":
                return call("look", number=request.turn)
            return say(f"{name} saw {request.turn}.")

        played = model.play(options.pop("reply", reply))
        settings = ModelSettings(base_url=model.server.openai_url, prices={played: Price(input=1, output=1)})
        given = {"tools": [look] if looks else [], "description": f"Is {name}.", **options}
        return Agent(name, model=played, model_place="worker", model_settings=settings, **given)

    return made


def paused(handle: AgentHandle[Any], *before: str) -> Request:
    """The request that a run waits by, once it does, beside those that are known."""

    def asked() -> list[Request]:
        return [each for each in handle.requests() if each.id not in before]

    wait_until(lambda: len(asked()) == 1, "the request", timeout=60)
    return asked()[0]
