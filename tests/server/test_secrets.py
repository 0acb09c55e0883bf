"""Secrets are nowhere but where they are needed: the test knows them all, and looks everywhere."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import traceback
import uuid
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from gateway import Gateway

from agentspan.agents import AgentHandle, AgentRuntime, AgentspanError, ExecutionFailed
from agentspan.cli import main
from agentspan.server import LocalServer
from agentspan.testing import ModelRequest, Reply, WorkerProcess, call, fail, say
from agentspan.testing.plugin import Stage

SHOP = """
import os
from agentspan.agents import Agent, Retry, tool

@tool(retry=Retry(1))
def charge(note: str) -> str:
    "Charge the customer."
    token = os.environ["SHOP_TOKEN"]  # the worker's environment, read when it is needed
    if note == "refuse":
        raise PermissionError("the shop refused")
    return f"charged with {len(token)} letters: {note}"

agent = Agent("shop", model=os.environ["MODEL"], tools=[charge], instructions="Charge.")
"""

MARKER = f"no-secret-{uuid.uuid4().hex}"
"""What is found wherever a run's text is; it shows that looking works."""

ENDLESS = {"demo", "dev", "worker start", "worker serve", "server start", "server stop"}
"""Commands that go on until they are stopped, or would stop the server."""


PRUNE = ["--older-than", "0s", "--dry-run"]
"""All runs that ended, with their segments; none is deleted."""


def canary(what: str) -> str:
    return f"canary-{what}-{uuid.uuid4().hex}"


def commands(group: click.Group = main, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command of the command line."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        elif command is not None and " ".join((*path, name)) not in ENDLESS:
            yield (*path, name), command


def words(command: click.Command, execution_id: str) -> list[str]:
    """Arguments and options that a command has to be given, by their names."""
    known = {"target": "secrets_shop.py:agent", "targets": "secrets_shop.py:agent", "prompt": MARKER}
    required = [item for item in command.params if isinstance(item, click.Argument) and item.required]
    options = PRUNE if command.name == "prune" else []
    return [*options, *(known.get(str(item.name), execution_id) for item in required)]


@pytest.fixture
def provider_key(monkeypatch: pytest.MonkeyPatch) -> str:
    key = canary("provider")
    monkeypatch.setenv("OPENAI_API_KEY", key)
    return key


@pytest.fixture
def server(provider_key: str, tmp_path: Path, model_stage: Stage) -> Iterator[LocalServer]:
    described = LocalServer(tmp_path / "server", port=0, model_urls=model_stage.server.model_urls)
    described.prepare()
    with described as started:
        yield started


def test_no_secret_is_stored_logged_or_shown(
    server: LocalServer,
    provider_key: str,
    model: Stage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)  # of every library

    def reply(request: ModelRequest) -> Reply:
        if request.messages[0].text == "fail":
            return fail(401, "Incorrect API key provided.")
        if request.turn == 2:
            front.expire()
        return call("charge", note=[MARKER, "refuse", "again"][request.turn]) if request.turn < 3 else say(MARKER)

    secrets = {"key": canary("key"), "secret": canary("secret"), "shop": canary("shop"), "provider": provider_key}
    shown: dict[str, str] = {}
    monkeypatch.chdir(tmp_path)
    Path("secrets_shop.py").write_text(SHOP)
    with Gateway(server.url, key=secrets["key"], secret=secrets["secret"]) as front:
        for name, value in {
            "AGENTSPAN_SERVER_URL": front.url,
            "AGENTSPAN_AUTH_KEY": secrets["key"],
            "AGENTSPAN_AUTH_SECRET": secrets["secret"],
            "AGENTSPAN_CA_FILE": front.ca_file(tmp_path),
            "AGENTSPAN_DATA_DIR": str(server.data_dir),
            "MODEL": model.play(reply),
            "SHOP_TOKEN": secrets["shop"],
        }.items():
            monkeypatch.setenv(name, value)
        with WorkerProcess(
            "secrets_shop.py:agent", front.url, environment={"AGENTSPAN_DEBUG": "1"}, cwd=tmp_path
        ) as worker:
            execution_id = started(shown, MARKER)
            runtime = AgentRuntime()
            handle = AgentHandle(execution_id, runtime)
            shown["events"] = repr([(event, vars(event)) for event in handle.stream(timeout=120)])
            shown["result"] = repr(vars(handle.result(timeout=60)))
            failed = started(shown, "fail")
            with pytest.raises(ExecutionFailed) as caught:
                AgentHandle(failed, runtime).result(timeout=60)
            shown["failure"] = told(caught.value)
            shown["worker"] = worker.log
            for path, command in commands():
                for form in ([], ["-o", "json"]):
                    cli(shown, *path, *words(command, execution_id), *form)
        shown["refusals"] = refusals(front, runtime)
        shown["reprs"] = reprs(runtime, handle)
        secrets |= {f"token {number}": token for number, token in enumerate(front.given)}
    server.stop()
    shown["log"] = caplog.text
    for file in (path for path in server.data_dir.rglob("*") if path.is_file()):
        shown[file.name] = file.read_bytes().decode(errors="replace")

    for what in ("conductor.db", "events", "result", f"agentspan agent result {execution_id}"):
        assert MARKER in shown[what], what
    assert f"/execution/{execution_id}" in shown[f"agentspan agent open {execution_id}"]
    assert "would be deleted" in shown[f"agentspan agent prune {' '.join(PRUNE)}"]
    assert "the shop refused" in shown["worker"]
    assert len(front.given) >= 3
    assert [(what, name) for what, text in shown.items() for name, secret in secrets.items() if secret in text] == []


def cli(shown: dict[str, str], *arguments: str) -> str:
    result = CliRunner().invoke(main, arguments, input="")
    shown[f"agentspan {' '.join(arguments)}"] = result.output + repr(result.exception)
    return result.stdout


def started(shown: dict[str, str], prompt: str) -> str:
    return str(json.loads(cli(shown, "agent", "start", "secrets_shop.py:agent", prompt, "-o", "json"))["execution_id"])


def told(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))


def refusals(front: Gateway, runtime: AgentRuntime) -> str:
    """What is said when the key is wrong, the authority unknown, the proxy gone."""
    settings = runtime.settings
    found = []
    front.key, right = "another key", front.key
    for other in (
        settings,
        dataclasses.replace(settings, ca_file=None),
        dataclasses.replace(settings, server_url="https://127.0.0.1:1"),
    ):
        with pytest.raises(AgentspanError) as caught:
            AgentRuntime(**vars(other)).client.search("")
        found.append(told(caught.value))
    front.key = right
    return "\n".join(found)


def reprs(runtime: AgentRuntime, handle: AgentHandle) -> str:
    client = runtime.client
    things = [runtime, runtime.settings, client, client._http, client._http.auth, vars(client), handle, handle.stream()]
    return "\n".join([repr(thing) for thing in things] + [str(runtime.settings), repr(dict(os.environ).keys())])
