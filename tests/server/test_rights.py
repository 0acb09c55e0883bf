"""A Conductor behind a proxy that wants TLS and tokens."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import trustme
from click.testing import CliRunner
from gateway import Gateway, Tunnel

from agentspan.agents import Agent, AgentHandle, AgentRuntime, ServerUnreachable, Unauthorized, tool
from agentspan.cli import main
from agentspan.config import Settings
from agentspan.errors import ConfigError
from agentspan.testing import ModelRequest, Reply, WorkerProcess, call, say, wait_until
from agentspan.testing.plugin import Stage

AGENTS = """
import os, time
from agentspan.agents import Agent, tool

@tool
def work(number: int) -> int:
    "Do a piece of work; the last one takes longer than a lease."
    time.sleep(7 if number == 5 else 0)
    with open(os.environ["WORKED"], "a") as book:
        book.write(f"{number}\\n")
    return number

agent = Agent("behind_a_proxy", model=os.environ["MODEL"], tools=[work])
"""


@pytest.fixture
def gateway(conductor_url: str) -> Iterator[Callable[..., Gateway]]:
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(Gateway(conductor_url, **options))


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that says nothing about servers."""
    for name in list(os.environ):
        if name.startswith(("AGENTSPAN_", "CONDUCTOR_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


pytestmark = pytest.mark.usefixtures("bare")


def allowed(gateway: Gateway, folder: Path) -> dict[str, Any]:
    return {"auth_key": gateway.key, "auth_secret": gateway.secret, "ca_file": gateway.ca_file(folder)}


def as_environment(gateway: Gateway, folder: Path) -> dict[str, str]:
    return {
        "AGENTSPAN_AUTH_KEY": gateway.key,
        "AGENTSPAN_AUTH_SECRET": gateway.secret,
        "AGENTSPAN_CA_FILE": gateway.ca_file(folder),
    }


@pytest.mark.parametrize("said_life", [None, 2.0], ids=["opaque", "jwt"])
def test_a_run_goes_on_when_its_tokens_expire(
    said_life: float | None, gateway: Callable[..., Gateway], model: Stage, tmp_path: Path
) -> None:
    """Worker, handle and stream all live through it; each call runs once."""
    front = gateway(prefix="/team/agents", said_life=said_life)

    def reply(request: ModelRequest) -> Reply:
        if request.turn in (2, 4):
            front.expire()
        return call("work", number=request.turn) if request.turn < 6 else say("done")

    (tmp_path / "behind.py").write_text(AGENTS)
    name = model.play(reply)
    environment = {"MODEL": name, "WORKED": str(tmp_path / "worked"), **as_environment(front, tmp_path)}
    worker = WorkerProcess("behind.py:agent", front.url, environment=environment, cwd=tmp_path)
    with worker, AgentRuntime(front.url, **allowed(front, tmp_path)) as runtime:
        handle = start_only(runtime, name)
        seen = [(event.type, event.step) for event in handle.stream(timeout=120)]
        assert handle.result(timeout=60).output == "done"

    assert [step for kind, step in seen if kind == "tool_result"] == [1, 2, 3, 4, 5, 6]
    assert seen[-1] == ("done", 7)
    assert (tmp_path / "worked").read_text().split() == list("012345")
    assert len(front.given) >= 2 * 2, "two processes, each with more than one token"
    assert front.answers[401] >= 1
    assert front.answers[403] == front.answers[502] == 0
    assert all(path.startswith(("/api/", "/actuator/")) for path in front.paths)


def start_only(runtime: AgentRuntime, model_name: str) -> AgentHandle:
    @tool
    def work(number: int) -> int:
        """Do a piece of work."""
        raise AssertionError("served elsewhere")

    return runtime.start(Agent("behind_a_proxy", model=model_name, tools=[work]), "Go.", serve=False)


def test_a_token_that_says_when_it_expires_is_renewed_before(gateway: Callable[..., Gateway], tmp_path: Path) -> None:
    front = gateway(said_life=0.5)  # it says so; the proxy would take it for ever
    with AgentRuntime(front.url, **allowed(front, tmp_path)) as runtime:
        wait_until(lambda: runtime.client.search("") is not None and len(front.given) >= 3, "the third token")

    assert front.answers[401] == 0


def test_a_token_that_lives_is_kept(gateway: Callable[..., Gateway], tmp_path: Path) -> None:
    front = gateway(said_life=3600)
    with AgentRuntime(front.url, **allowed(front, tmp_path)) as runtime:
        for _ in range(5):
            runtime.client.search("")

    assert len(front.given) == 1


def test_a_server_without_users_is_used_without_a_token(
    conductor_url: str, gateway: Callable[..., Gateway], tmp_path: Path
) -> None:
    """A key in the environment is for another server; Conductor OSS gives no tokens."""
    front = gateway(asks=False)
    for url, ca_file in ((conductor_url, None), (front.url, front.ca_file(tmp_path))):
        runtime = AgentRuntime(url, auth_key="k", auth_secret="s", ca_file=ca_file)
        assert isinstance(runtime.client.search(""), list)
        runtime.client.check()


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ({}, "set AGENTSPAN_AUTH_KEY and AGENTSPAN_AUTH_SECRET"),
        ({"auth_key": "the-key", "auth_secret": "a-wrong-one"}, "check AGENTSPAN_AUTH_KEY and AGENTSPAN_AUTH_SECRET"),
        (
            {"auth_key": "a-wrong-one", "auth_secret": "the-secret"},
            "check AGENTSPAN_AUTH_KEY and AGENTSPAN_AUTH_SECRET",
        ),
    ],
    ids=["no key", "wrong secret", "wrong key"],
)
def test_a_refusal_names_what_to_set(
    given: dict[str, str], hint: str, gateway: Callable[..., Gateway], tmp_path: Path
) -> None:
    front = gateway()
    client = AgentRuntime(front.url, ca_file=front.ca_file(tmp_path), **given).client
    for ask in (client.check, lambda: client.search("")):
        with pytest.raises(Unauthorized, match="answered 401") as caught:
            ask()
        assert caught.value.status == 401
        assert hint in str(caught.value.hint)
        assert "a-wrong-one" not in caught.value.message + str(caught.value.hint)

    environment = {"AGENTSPAN_CA_FILE": front.ca_file(tmp_path)}
    environment |= {f"AGENTSPAN_{name.upper()}": value for name, value in given.items()}
    shown = CliRunner().invoke(main, ["--server", front.url, "agent", "list"], env=environment)
    assert shown.exit_code == 4
    assert shown.stdout == ""
    assert hint in shown.stderr
    assert len(shown.stderr.splitlines()) == 2


def test_what_a_key_may_not_do_is_said(gateway: Callable[..., Gateway], tmp_path: Path) -> None:
    front = gateway(read_only=True)
    runtime = AgentRuntime(front.url, **allowed(front, tmp_path))
    with pytest.raises(Unauthorized, match=r"403 to POST .*the key may only read") as caught:
        runtime.start(Agent("may_not", model="openai/none"), "Go.")

    assert caught.value.status == 403
    assert "AGENTSPAN_AUTH_KEY may not do this" in str(caught.value.hint)


def test_a_private_authority_must_be_named(gateway: Callable[..., Gateway], tmp_path: Path) -> None:
    front = gateway()
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    for ca_file in (None, str(other)):
        client = AgentRuntime(front.url, auth_key=front.key, auth_secret=front.secret, ca_file=ca_file).client
        for ask in (client.check, lambda client=client: client.search("")):
            with pytest.raises(ServerUnreachable, match="CERTIFICATE_VERIFY_FAILED") as caught:
                ask()
            assert "AGENTSPAN_CA_FILE" in str(caught.value.hint)

    assert front.given == []


def test_an_authority_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    for name in ("empty.pem", "missing.pem"):
        with pytest.raises(ConfigError, match=name):
            AgentRuntime("https://conductor.example", ca_file=str(tmp_path / name))


@pytest.mark.parametrize("scheme", ["https", "ftp"])
def test_an_address_with_a_password_is_refused_without_showing_it(scheme: str) -> None:
    with pytest.raises(ConfigError, match=r"conductor\.example") as caught:
        Settings(server_url=f"{scheme}://me:canary@conductor.example")

    assert "canary" not in str(caught.value) + str(caught.value.hint)


def test_a_proxy_of_the_environment_is_used_but_not_for_this_machine(
    gateway: Callable[..., Gateway], tmp_path: Path, conductor_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    front = gateway(prefix="/behind")
    with Tunnel(front.port) as tunnel:
        monkeypatch.setenv("HTTPS_PROXY", tunnel.url)
        monkeypatch.setenv("HTTP_PROXY", tunnel.url)
        far = AgentRuntime("https://conductor.example:8443/behind/api", **allowed(front, tmp_path)).client
        far.check()
        assert far.search("") is not None
        assert set(tunnel.asked) == {"CONNECT conductor.example:8443"}

        before = list(tunnel.asked)
        near = AgentRuntime(conductor_url).client
        near.check()
        assert near.search("") is not None
        monkeypatch.setenv("NO_PROXY", "conductor.example")
        with pytest.raises(ServerUnreachable):
            AgentRuntime("https://conductor.example:8443", **allowed(front, tmp_path)).client.check()
        assert tunnel.asked == before

    for wrong, why in (
        ("carrier-pigeon://me:canary@there", "carrier-pigeon"),
        ("http://me:canary/@there", "not a URL"),
    ):
        monkeypatch.setenv("ALL_PROXY", wrong)
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        AgentRuntime(conductor_url).client.check()  # which needs no proxy
        with pytest.raises(ConfigError, match=why) as caught:
            AgentRuntime("https://conductor.example:8443")
        assert "canary" not in str(caught.value) + str(caught.value.hint)


def test_a_long_call_keeps_its_lease_through_a_proxy_that_wants_a_password(
    gateway: Callable[..., Gateway], model: Stage, tmp_path: Path
) -> None:
    front = gateway(prefix="/behind")
    (tmp_path / "behind.py").write_text(AGENTS)
    name = model.play([call("work", number=5), say("done")])
    with Tunnel(front.port, login="me:canary") as tunnel:
        environment = {
            "MODEL": name,
            "WORKED": str(tmp_path / "worked"),
            "HTTPS_PROXY": tunnel.url,
            **as_environment(front, tmp_path),
        }
        address = "https://conductor.example:8443/behind"
        worker = WorkerProcess("behind.py:agent", address, environment=environment, cwd=tmp_path)
        with worker, AgentRuntime(front.url, **allowed(front, tmp_path)) as runtime:
            handle = start_only(runtime, name)
            wait_until(lambda: was_beaten(runtime, handle), "a heartbeat")
            assert not (tmp_path / "worked").exists(), "that was no heartbeat, but the report"
            assert handle.result(timeout=60).output == "done"
            assert "canary" not in worker.log

    assert (tmp_path / "worked").read_text().split() == ["5"]
    assert set(tunnel.asked) == {"CONNECT conductor.example:8443"}
    assert front.answers[401] == front.answers[502] == 0


def was_beaten(runtime: AgentRuntime, handle: AgentHandle) -> bool:
    segments = [task.sub_workflow_id for task in runtime.client.workflow(handle.execution_id).tasks]
    calls = [task for segment in segments if segment for task in runtime.client.workflow(segment).tasks]
    return any("work" in task.task_def_name and task.update_time > task.start_time + 1000 > 1000 for task in calls)
