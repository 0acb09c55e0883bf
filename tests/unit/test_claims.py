"""One run for a key, whatever other processes do between two requests of this one."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from agentspan.control import claims
from agentspan.control.claims import start_once
from agentspan.engine.client import Conductor
from agentspan.errors import Conflict, NotFound, ServerRejected, Unauthorized
from tests.unit.little_engine import LittleEngine, serving

KEY = "order 17 / é"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What would be a minute."""
    monkeypatch.setattr(claims, "PATIENCE", 1.0)
    monkeypatch.setattr(claims, "SETTLED", 0.01)


@pytest.fixture
def engine() -> LittleEngine:
    return LittleEngine()


@pytest.fixture
def client(engine: LittleEngine) -> Iterator[Conductor]:
    with serving(engine) as opened:
        yield opened


def starts(engine: LittleEngine) -> list[Any]:
    return [body for method, path, body in engine.done if (method, path) == ("POST", "/workflow")]


def test_a_key_is_started_once_and_its_claim_removed(engine: LittleEngine, client: Conductor) -> None:
    ids = [start_once(client, "support", 3, {"prompt": "Go."}, KEY) for _ in range(3)]

    assert ids == ["run-1"] * 3
    (start,) = starts(engine)
    assert (start["name"], start["version"]) == ("support", 3)
    assert start["input"] == {"prompt": "Go.", "idempotency_key": KEY}
    assert engine.workflows == {}


def test_other_keys_and_other_agents_have_runs_of_their_own(client: Conductor) -> None:
    pairs = [("support", "a"), ("support", "b"), ("sales", "a")]

    assert len({start_once(client, name, 1, {}, key) for name, key in pairs}) == 3


def test_many_at_once_start_one(engine: LittleEngine, client: Conductor) -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda _: start_once(client, "support", 1, {}, KEY), range(8)))

    assert set(ids) == {"run-1"}
    assert len(starts(engine)) == 1


def test_the_claim_of_a_process_that_died_is_passed_by(engine: LittleEngine, client: Conductor) -> None:
    engine.before = lambda method, path: (500, {}) if (method, path) == ("POST", "/workflow") else None
    with pytest.raises(ServerRejected):  # it has claimed the key, and ends before it has started the run
        start_once(client, "support", 1, {}, KEY)
    (left,) = engine.workflows
    engine.before = lambda method, path: None

    assert start_once(client, "support", 1, {}, KEY) == "run-1"
    assert list(engine.workflows) == [left], "a process removes its own claim, and no other's"


def test_when_all_claimants_died_the_caller_is_told(
    engine: LittleEngine, client: Conductor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "PATIENCE", 0.1)
    monkeypatch.setattr(claims, "_GENERATIONS", 3)
    engine.before = lambda method, path: (409, {}) if (method, path) == ("POST", "/metadata/workflow") else None

    with pytest.raises(Conflict, match="No process that claimed the key"):
        start_once(client, "support", 1, {}, KEY)
    assert starts(engine) == []


def test_a_claim_that_another_process_wrote_over_is_not_ours(engine: LittleEngine, client: Conductor) -> None:
    """PostgreSQL may tell two processes that they created one definition; the last one counts, and starts the run."""

    def other(method: str, path: str) -> None:
        if method == "GET" and path.startswith("/metadata/workflow/support.start."):
            (key,) = engine.workflows
            engine.workflows[key] = engine.workflows[key] | {"metadata": {"claimed_by": "another process"}}
        if method == "GET" and "/correlated/" in path and engine.workflows and not engine.executions:
            (claim,) = engine.workflows.values()
            if claim["metadata"] == {"claimed_by": "another process"}:
                engine.begin("support", 1, path.rpartition("/")[2])

    engine.before = other

    assert start_once(client, "support", 1, {}, KEY) == "run-1"
    assert starts(engine) == [], "the other one has started it"


def test_a_run_that_was_started_and_whose_claim_was_removed_before_ours_is_the_run(
    engine: LittleEngine, client: Conductor
) -> None:
    """Another process did all of it between our look and our claim."""
    looks = 0

    def other(method: str, path: str) -> None:
        nonlocal looks
        if "/correlated/" in path:
            looks += 1
            if looks == 2:
                engine.begin("support", 1, path.rpartition("/")[2])

    engine.before = other

    assert start_once(client, "support", 1, {}, KEY) == "run-1"
    assert starts(engine) == []
    assert engine.workflows == {}, "our claim is removed all the same"


def test_a_start_whose_answer_was_lost_is_not_repeated(engine: LittleEngine, client: Conductor) -> None:
    engine.lost = lambda method, path: (method, path) == ("POST", "/workflow")

    assert start_once(client, "support", 1, {}, KEY) == "run-1"
    assert len(starts(engine)) == 1


def test_a_start_that_was_lost_itself_is_made_by_the_next_generation(engine: LittleEngine, client: Conductor) -> None:
    tries = 0

    def away(method: str, path: str) -> Any:
        nonlocal tries
        tries += (method, path) == ("POST", "/workflow")
        return (503, {}) if (method, path, tries) == ("POST", "/workflow", 1) else None

    engine.before = away

    assert start_once(client, "support", 1, {}, KEY) == "run-1"
    assert len(starts(engine)) == 1


@pytest.mark.parametrize("status", [400, 403, 404])
def test_a_start_that_the_server_refuses_leaves_no_claim(engine: LittleEngine, client: Conductor, status: int) -> None:
    engine.before = lambda method, path: (
        (status, {"message": "no"}) if (method, path) == ("POST", "/workflow") else None
    )
    with pytest.raises((ServerRejected, NotFound, Unauthorized)):
        start_once(client, "support", 1, {}, KEY)
    assert engine.workflows == {}

    engine.before = lambda method, path: None
    assert start_once(client, "support", 1, {}, KEY) == "run-1"
