"""What is sent beside the walk of OpenAI's SDK is what it would have sent itself."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agentspan.stored.plan import PlannedCall
from agentspan.stored.request import ModelRequest
from agentspan.testing import ScriptedModel, call, say
from agentspan.worker import provider, quick
from agentspan.worker.transcript import Exchange, LeftOut

WORK = {"type": "object", "properties": {"number": {"type": "integer"}}, "required": ["number"]}


def bodies(hurried: bool, monkeypatch: pytest.MonkeyPatch, base_url: bool) -> list[dict[str, Any]]:
    if not hurried:
        monkeypatch.setattr(provider, "hurry", lambda model: False)
    with ScriptedModel([call("work", number=1), say("done")]) as model:
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        monkeypatch.setenv("OPENAI_BASE_URL", model.openai_url)
        request = ModelRequest(
            model="openai/scripted",
            instructions="Work, ${do}.",
            tools=({"name": "work", "description": "Work.", "parameters": WORK},),
            tool_tasks={"work": "agent.work"},
            limited=(),
            settings={"base_url": model.openai_url} if base_url else {},
            max_turns=10,
            max_chars=1000,
            keep_chars=500,
        )
        asyncio.run(_two_turns(request))
        return [asked.body for asked in model.requests]


async def _two_turns(request: ModelRequest) -> None:
    beginning = [{"role": "user", "message": "Begin: é\n\x00"}]
    first = await provider.ask(request, beginning, [], LeftOut())
    ((call_id, name, args),) = first.calls
    made = PlannedCall(id=call_id, name=name, args=args or {}, task="agent.work")
    said = Exchange(first.message, ((made, {"result": [1.0, None, "ü"]}),))
    await provider.ask(request, beginning, [said], LeftOut())


@pytest.mark.parametrize("base_url", [False, True], ids=["responses", "chat"])
def test_the_request_is_the_same(monkeypatch: pytest.MonkeyPatch, base_url: bool) -> None:
    assert bodies(True, monkeypatch, base_url) == bodies(False, monkeypatch, base_url)


def test_what_is_no_json_goes_the_long_way() -> None:
    assert not quick._is_json([{"file": object()}])
    assert not quick._is_json([float("nan")])
