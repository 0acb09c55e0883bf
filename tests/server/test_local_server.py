"""The embedded server, for real."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import uuid
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from click.testing import CliRunner

from agentspan.cli.server import server_group
from agentspan.errors import LocalServerError
from agentspan.server import LocalServer, ServerState
from agentspan.server._health import wait_until

CANARY = r"sk-${canary}\u0041-" + uuid.uuid4().hex
WAIT = 150.0
OLDER = Path(__file__).with_name("conductor_3_32_1.sql")
OLDER_RUN = "33ee972f-2b85-4cdc-91d3-1b2ef7622537"
HARD_LIMIT = 10 << 20

pytestmark = [pytest.mark.timeout(420), pytest.mark.server]  # some start one by themselves


class Provider:
    """An address that models are asked at; it only notes with what key."""

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.url = ""


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    noted = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            noted.keys.add(self.headers["Authorization"])
            self.send_response(401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        noted.url = f"http://127.0.0.1:{server.server_port}/v1"
        yield noted
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> Iterator[LocalServer]:
    """A running server that was given a secret, and whose starter had others in its environment."""
    server = LocalServer(tmp_path_factory.mktemp("server"), port=0, model_urls={"openai": provider.url})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", CANARY)
        patch.setenv("UNRELATED_SECRET", CANARY)
        server.start(wait=WAIT)
    yield server
    server.stop()


def state_of(server: LocalServer) -> ServerState:
    state = server.status()
    assert state is not None
    return state


def submit(server: LocalServer, *tasks: dict[str, Any], **values: Any) -> requests.Response:
    """Start tasks as a workflow of their own."""
    name = f"test_{uuid.uuid4().hex}"
    definition = {"name": name, "version": 1, "schemaVersion": 2, "tasks": list(tasks), "ownerEmail": "a@b.c"}
    start = {"name": name, "version": 1, "workflowDef": definition, "input": values}
    return requests.post(f"{server.url}/api/workflow", json=start, timeout=60)


def run(server: LocalServer, *tasks: dict[str, Any], **values: Any) -> dict[str, Any]:
    """Run tasks as a workflow of their own; return the finished execution."""
    answer = submit(server, *tasks, **values)
    assert answer.ok, answer.text[:500]
    assert wait_until(lambda: execution(server, answer.text)["status"] != "RUNNING", 60)
    return execution(server, answer.text)


def execution(server: LocalServer, execution_id: str) -> dict[str, Any]:
    answer = requests.get(f"{server.url}/api/workflow/{execution_id}", timeout=60)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def inline(reference: str, **inputs: Any) -> dict[str, Any]:
    return {
        "name": reference,
        "taskReferenceName": reference,
        "type": "INLINE",
        "inputParameters": {"evaluatorType": "graaljs", "expression": "1", **inputs},
    }


def test_it_is_well_and_says_so(server: LocalServer) -> None:
    state = state_of(server)

    assert state.healthy
    assert state.url == server.url == f"http://127.0.0.1:{state.port}"
    assert state.providers == ("openai",)
    assert state.log == server.log
    assert requests.get(f"{state.url}/health", timeout=10).json()["healthy"]


def test_it_listens_on_this_machine_only(server: LocalServer) -> None:
    process = psutil.Process(state_of(server).pid)

    listening = [c.laddr for c in process.net_connections("all") if c.status == psutil.CONN_LISTEN]

    assert [(a.ip.removeprefix("::ffff:"), a.port) for a in listening] == [("127.0.0.1", state_of(server).port)]


def test_starting_twice_gives_the_same_server(server: LocalServer) -> None:
    again = LocalServer(server.data_dir, port=1).start(wait=WAIT)

    assert again == state_of(server)


def test_another_server_cannot_have_its_port(server: LocalServer, tmp_path: Path) -> None:
    other = LocalServer(tmp_path, port=state_of(server).port)

    with pytest.raises(LocalServerError, match="in use by another Conductor server") as caught:
        other.start(wait=WAIT)

    assert "--port" in (caught.value.hint or "")
    assert other.status() is None
    assert state_of(server).healthy


def test_the_command_line_tells_the_same(server: LocalServer) -> None:
    arguments = ["status", "--data-dir", str(server.data_dir), "-o"]

    text = CliRunner().invoke(server_group, [*arguments, "text"]).stdout
    data = json.loads(CliRunner().invoke(server_group, [*arguments, "json"]).stdout)

    assert text.startswith(f"RUNNING  {server.url}  Conductor ")
    assert data == {"running": True, **json.loads(json.dumps(state_of(server).as_dict()))}


def test_getting_ready_leaves_no_trace(server: LocalServer) -> None:
    found = requests.get(f"{server.url}/api/workflow/search?query=workflowType=agentspan.warmup", timeout=10).json()
    names = [d["name"] for d in requests.get(f"{server.url}/api/metadata/workflow", timeout=10).json()]

    assert found["totalHits"] == 0
    assert "agentspan.warmup" not in names


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks into /proc")
def test_its_process_shows_no_secret(server: LocalServer) -> None:
    process = psutil.Process(state_of(server).pid)

    assert CANARY not in str(process.environ())
    assert CANARY not in str(process.cmdline())
    assert set(process.environ()) <= {"PATH", "HOME", "LANG", "TZ", "TMPDIR"} | {
        name for name in os.environ if name.startswith("LC_")
    }


def test_its_folder_holds_no_secret(server: LocalServer) -> None:
    files = [path for path in server.data_dir.rglob("*") if path.is_file()]

    assert files
    assert not [path for path in files if CANARY.encode() in path.read_bytes()]
    assert not (server.data_dir / "server.properties").exists()


SECRETS = [
    "OPENAI_API_KEY",
    "UNRELATED_SECRET",
    "conductor.ai.openai.api-key",
    "workflow.secrets.OPENAI_API_KEY",
    "workflow.env.OPENAI_API_KEY",
    "sun.java.command",
]


@pytest.mark.parametrize("name", SECRETS)
def test_no_template_in_a_definition_reaches_a_secret(server: LocalServer, name: str) -> None:
    template = "${" + name + "}"

    answer = submit(server, inline("plain", seen=template, inside=f"<{template}>"))

    # A template that leads nowhere is refused; the engine takes what it knows, in the environment for instance.
    assert answer.status_code == (200 if name.startswith(("workflow.", "sun.")) else 400)
    if answer.ok:
        assert CANARY not in json.dumps(execution(server, answer.text))


@pytest.mark.parametrize("name", SECRETS)
def test_no_template_in_a_fork_reaches_a_secret(server: LocalServer, name: str) -> None:
    template = "${" + name + "}"
    fork = {
        "name": "fork",
        "taskReferenceName": "fork",
        "type": "FORK_JOIN_DYNAMIC",
        "dynamicForkTasksParam": "tasks",
        "dynamicForkTasksInputParamName": "inputs",
        "inputParameters": {"tasks": "${workflow.input.tasks}", "inputs": "${workflow.input.inputs}"},
    }
    join = {"name": "join", "taskReferenceName": "join", "type": "JOIN", "joinMode": "SYNC"}
    inputs = {"forked": {"seen": template, "evaluatorType": "graaljs", "expression": "$.seen"}}

    done = run(server, fork, join, tasks=[inline("forked")], inputs=inputs)

    assert done["status"] == "COMPLETED"
    assert CANARY not in json.dumps(done)


def test_a_model_is_asked_with_the_very_key(server: LocalServer, provider: Provider) -> None:
    chat = {
        "name": "chat",
        "taskReferenceName": "chat",
        "type": "LLM_CHAT_COMPLETE",
        "inputParameters": {
            "llmProvider": "openai",
            "model": "gpt-5",
            "messages": [{"role": "user", "message": "hello"}],
        },
    }

    done = run(server, chat)

    assert provider.keys == {f"Bearer {CANARY}"}
    assert CANARY not in json.dumps(done)


@pytest.mark.parametrize("own", [True, False])
def test_what_is_left_out_of_the_store_is_answered_all_the_same(server: LocalServer, own: bool) -> None:
    """With every value that has a default set to another one, and with none that has to be set."""
    name, waits = f"stored_{own}", {"name": "human", "taskReferenceName": "human", "type": "HUMAN"}
    definition: dict[str, Any] = {
        "name": name,
        "version": 1,
        "tasks": [waits, simple("later", own)],
        "ownerEmail": "a@b.c",
    }
    if own:
        definition |= {
            "schemaVersion": 2,
            "restartable": False,
            "workflowStatusListenerEnabled": True,
            "timeoutPolicy": "TIME_OUT_WF",
            "timeoutSeconds": 77,
            "variables": {"empty": {}, "false": False, "none": None},
            "inputTemplate": {"list": []},
            "metadata": {"zero": 0},
            "enforceSchema": False,
            "maskedFields": ["secret"],
        }
    api = f"{server.url}/api"
    requests.put(f"{api}/metadata/workflow", json=[definition], timeout=30).raise_for_status()
    started = requests.post(f"{api}/workflow", json={"name": name, "version": 1}, timeout=30).text

    declared = requests.get(f"{api}/metadata/workflow/{name}?version=1", timeout=30).json()
    stored = execution(server, started)

    for task, written in zip(stored["workflowDefinition"]["tasks"], declared["tasks"], strict=True):
        if "taskDefinition" not in written:  # the engine fills in one
            del task["taskDefinition"]
    assert stored["workflowDefinition"] == declared
    with closing(sqlite3.connect(server.data_dir / "conductor.db")) as database:
        rows = [row for table in ("workflow", "task") for (row,) in database.execute(f"select json_data from {table}")]
    assert any(name in row for row in rows)
    assert not [row for row in rows if '"forkTasks":[]' in row]


def simple(reference: str, own: bool) -> dict[str, Any]:
    """A task that a worker makes, with values of its own where there is a default, or without."""
    task: dict[str, Any] = {"name": reference, "taskReferenceName": reference, "type": "SIMPLE"}
    if not own:
        return task
    of_its_own = {
        "name": reference,
        "retryCount": 0,
        "timeoutSeconds": 9,
        "timeoutPolicy": "ALERT_ONLY",
        "retryLogic": "EXPONENTIAL_BACKOFF",
        "retryDelaySeconds": 0,
        "responseTimeoutSeconds": 7,
        "rateLimitPerFrequency": 3,
        "rateLimitFrequencyInSeconds": 5,
        "backoffScaleFactor": 4,
        "inputKeys": ["a"],
        "inputTemplate": {"none": None},
        "taskStatusListenerEnabled": False,
    }
    return task | {
        "optional": True,
        "asyncComplete": True,
        "startDelay": 2,
        "permissive": True,
        "retryCount": 0,
        "rateLimited": False,
        "inputParameters": {"none": None, "empty": {}, "false": False, "list": [None]},
        "metadata": {"empty": ""},
        "taskDefinition": of_its_own,
    }


def test_big_payloads_survive_a_crash(tmp_path: Path) -> None:
    server = LocalServer(tmp_path, port=0)
    text = "x" * (HARD_LIMIT - 4096)
    human = {"name": "human", "taskReferenceName": "human", "type": "HUMAN", "inputParameters": {}}
    try:
        first = server.start(wait=WAIT)
        waiting = submit(server, human, text=text).text
        psutil.Process(first.pid).kill()
        assert wait_until(lambda: server.status() is None, 10)

        second = server.start(wait=WAIT)

        assert (second.pid != first.pid, second.url) == (True, first.url)
        assert execution(server, waiting)["input"]["text"] == text
        task = execution(server, waiting)["tasks"][0]
        done = {"workflowInstanceId": waiting, "taskId": task["taskId"], "status": "COMPLETED", "outputData": {}}
        requests.post(f"{server.url}/api/tasks", json=done, timeout=30).raise_for_status()
        assert wait_until(lambda: execution(server, waiting)["status"] == "COMPLETED", 30)
    finally:
        assert server.stop()
    assert server.stop() is False
    assert server.status() is None


def test_the_data_of_an_older_release_goes_on_and_a_context_stops_what_it_started(tmp_path: Path) -> None:
    """The folder was left by Conductor 3.32.1, in the middle of a run."""
    with closing(sqlite3.connect(tmp_path / "conductor.db")) as database:
        database.executescript(OLDER.read_text(encoding="utf-8"))
    (tmp_path / "server.json").write_text('{"pid": 1, "started": 1.0, "port": 1}')
    with LocalServer(tmp_path, port=0) as server:
        (task,) = execution(server, OLDER_RUN)["tasks"]
        done = {"workflowInstanceId": OLDER_RUN, "taskId": task["taskId"], "status": "COMPLETED", "outputData": {}}
        requests.post(f"{server.url}/api/tasks", json=done, timeout=30).raise_for_status()
        assert wait_until(lambda: execution(server, OLDER_RUN)["status"] == "COMPLETED", 30)
        pid = state_of(server).pid
        with LocalServer(tmp_path) as same:
            assert state_of(same).pid == pid
        assert state_of(server).healthy

    assert server.status() is None
    assert not psutil.pid_exists(pid)


def test_a_server_that_cannot_start(tmp_path: Path) -> None:
    (tmp_path / "conductor.db").write_text("this is not a database, and long enough to be looked at " * 100)
    server = LocalServer(tmp_path, port=0)

    with pytest.raises(LocalServerError, match="the server ended while it was starting") as caught:
        server.start(wait=WAIT)

    assert f"{tmp_path / 'conductor.db'} is damaged" in (caught.value.hint or "")
    assert str(server.log) in (caught.value.hint or "")
    assert server.status() is None
