"""Tools of MCP servers: real servers of the official SDK in its default mode, as processes."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentspan.agents import (
    Agent,
    AgentRuntime,
    ConfigError,
    DefinitionError,
    Retry,
    Tool,
    ToolContext,
    ToolFailed,
    compile_agent,
    mcp_tool,
    toolset,
)
from agentspan.remote import _mcp_client
from agentspan.testing import WorkerProcess, call, calls, say, wait_until
from agentspan.testing.plugin import Stage

SHOP = Path(__file__).with_name("mcp_shop.py")


class Shop:
    """The server that listens, and what it wrote down."""

    def __init__(self, notes: Path, kind: str = "streamable-http") -> None:
        self.notes, self.kind = notes, kind
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/{'sse' if kind == 'sse' else 'mcp'}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, **environment: str) -> Shop:
        self.process = subprocess.Popen(
            [sys.executable, str(SHOP), self.kind, str(self.port)],
            env={**os.environ, "SHOP_NOTES": str(self.notes), **environment},
            stderr=subprocess.DEVNULL,
        )
        wait_until(self._listens, "the MCP server to listen")
        return self

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def noted(self, what: str) -> list[dict[str, Any]]:
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        return [entry for entry in map(json.loads, lines) if entry["what"] == what]

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    found = Shop(tmp_path / "notes")
    yield found
    found.kill()


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What starts the shop on its standard streams."""
    monkeypatch.setenv("SHOP_NOTES", str(tmp_path / "notes"))  # for workers in processes of their own
    return {"command": [sys.executable, str(SHOP)], "env": {"SHOP_NOTES": str(tmp_path / "notes")}, "name": "shop"}


@pytest.fixture(params=["today's protocol", "that of 2025, with sessions"])
def protocol(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers speak both; by itself the client takes the newer one."""
    if "sessions" in request.param:
        monkeypatch.setattr(_mcp_client, "Client", functools.partial(_mcp_client.Client, mode="legacy"))


def by_name(tools: tuple[Tool[..., Any], ...]) -> dict[str, Tool[..., Any]]:
    return {each.name: each for each in tools}


def given(tool: Tool[..., Any], **arguments: Any) -> Any:
    """What a tool gives to a call in a worker, by the arguments that a model sends."""
    return asyncio.run(tool(**tool.arguments.validate(arguments)))


@pytest.mark.usefixtures("protocol")
def test_a_run_calls_the_tools_of_a_server_that_listens(
    runtime: AgentRuntime, model: Stage, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "s3cr3t-of-the-shop")
    tools = mcp_tool(shop.start().url, headers={"Authorization": "Bearer ${SHOP_TOKEN}"})
    name = model.play(
        [
            calls(
                call("wrap", pieces=3),
                call("price", item="bell"),
                call("orders_place", items=[{"name": "a"}], method_="courier"),
            ),
            calls(call("refund", order="o-1"), call("who"), call("price", things=1)),
            say("done"),
        ]
    )
    agent = Agent("mcp_buyer", model=name, tools=[tools])

    handle = runtime.start(agent, "Buy.")

    assert handle.result(timeout=60).output == "done"
    first, second = ([result.output for result in each.tool_results] for each in model.requests(name)[1:])
    assert first == [{"result": "wrapped"}, {"result": 400}, {"result": {"pieces": 1, "by": "courier"}}]
    assert second[0] == {"error": "Error executing tool refund: there is no order o-1"}
    assert f"Bearer *** {handle.execution_id}/2/" in second[1]["result"]
    assert "things: unknown; the tool takes item" in second[2]["error"]
    assert "s3cr3t" not in compile_agent(agent).to_json()
    assert [event.type for event in handle.stream()].count("tool_retry") == 0


@pytest.mark.parametrize("place", ["server", "worker"])
def test_a_person_decides_about_the_calls_of_a_toolset(
    runtime: AgentRuntime, model: Stage, command: dict[str, Any], monkeypatch: pytest.MonkeyPatch, place: Any
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    monkeypatch.setenv("OPENAI_BASE_URL", model.server.openai_url)
    name = model.play([calls(call("orders_place", items=[{"name": "a"}]), call("price", item="x")), say("done")])
    tools = toolset(mcp_tool(**command, tool_names=["orders.place"]), approval=True)
    agent = Agent("mcp_careful", model=name, tools=[tools, mcp_tool(**command)[0]], model_place=place)
    handle = runtime.start(agent, "Buy.")

    wait_until(lambda: runtime.requests(run=handle.execution_id), "the request")
    (request,) = runtime.requests(run=handle.execution_id)
    runtime.approve(request.id, args={"items": [{"name": "b", "amount": 3}], "method_": "courier"})

    assert handle.result(timeout=60).output == "done"
    first, second = [result.output for result in model.requests(name)[1].tool_results]
    assert "'by': 'courier'" in str(first)
    assert "'pieces': 3" in str(first)
    assert second in (100, {"result": 100})


@pytest.mark.parametrize("kind", ["streamable-http", "sse", "stdio"])
def test_a_server_that_dies_in_a_call_is_found_again(
    runtime: AgentRuntime, model: Stage, shop: Shop, command: dict[str, Any], kind: str
) -> None:
    """A started one is started again; one that listens is waited for."""
    if kind == "stdio":
        tools = mcp_tool(**command, retry=Retry(3, delay=0))
    else:
        shop = Shop(shop.notes, kind).start()
        transport = "sse" if kind == "sse" else "http"
        tools = mcp_tool(shop.url, transport=transport, retry=Retry(8, delay=1))  # a minute and more
    name = model.play([call("crash"), call("price", item="x"), say("done")])
    handle = runtime.start(Agent("mcp_patient", model=name, tools=[tools]), "Go.")
    if kind != "stdio":
        wait_until(lambda: shop.noted("crash"), "the server to die")
        shop.kill()
        shop.start()

    assert handle.result(timeout=120).output == "done"
    assert [each.tool_results[-1].output for each in model.requests(name)[1:]] == [
        {"result": "alive again"},
        {"result": 100},
    ]
    retries = [event.error for event in handle.stream() if event.type == "tool_retry"]
    assert "The session with the MCP server" in retries[0]
    shop.kill()


def test_a_killed_worker_leaves_the_call_to_another_with_a_session_of_its_own(
    runtime: AgentRuntime, model: Stage, command: dict[str, Any], tmp_path: Path
) -> None:
    name = model.play([call("price", item="x"), call("hang"), say("done")])
    (tmp_path / "mcp_worker.py").write_text(
        "import sys\n"
        "from agentspan.agents import Agent, mcp_tool\n"
        f"command = [sys.executable, {str(SHOP)!r}]\n"
        "tools = mcp_tool(command=command, env={'SHOP_NOTES': '${SHOP_NOTES}'}, name='shop')\n"
        f"agent = Agent('mcp_outlived', model={name!r}, tools=[tools])\n"
    )
    agent = Agent("mcp_outlived", model=name, tools=[mcp_tool(**command)])
    notes = Shop(tmp_path / "notes")
    handle = runtime.start(agent, "Go.", serve=False)

    with WorkerProcess("mcp_worker:agent", runtime.settings.server_url, cwd=tmp_path) as first:
        wait_until(lambda: notes.noted("hang"), "the call to hang")
        first.kill()
    with WorkerProcess("mcp_worker:agent", runtime.settings.server_url, cwd=tmp_path):
        assert handle.result(timeout=120).output == "done"

    assert len({entry["pid"] for entry in notes.noted("hang")}) == 2, "one session each"
    assert notes.noted("price")[0]["pid"] == notes.noted("hang")[0]["pid"], "one session for all calls of a process"
    assert len(notes.noted("price")) == 1
    wait_until(lambda: not _alive(notes.noted("hang")[0]["pid"]), "the dead worker's server to end")


def test_a_server_that_does_not_answer_meets_the_time_limit(runtime: AgentRuntime, model: Stage, shop: Shop) -> None:
    tools = mcp_tool(shop.start().url, tool_names=["hang"], timeout=2, retry=Retry(6, delay=0))
    name = model.play([call("hang"), say("done")])

    handle = runtime.start(Agent("mcp_hasty", model=name, tools=[tools]), "Go.")

    assert handle.result(timeout=120).output == "done"
    assert model.requests(name)[1].tool_results[0].output == {"result": "answered"}
    retries = [event.error for event in handle.stream() if event.type == "tool_retry"]
    assert "The tool hang was not done after 2 s." in retries[0]


@pytest.mark.usefixtures("protocol")
def test_a_session_that_the_server_forgot_is_opened_again_within_the_attempt(shop: Shop) -> None:
    price = by_name(mcp_tool(shop.start().url))["price"]
    assert given(price, item="ab") == 200
    shop.kill()
    shop.start()

    assert given(price, item="abc") == 300


def test_a_session_that_was_idle_is_tried_before_a_call(
    command: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    price = by_name(mcp_tool(**command))["price"]
    assert given(price, item="ab") == 200
    monkeypatch.setattr(_mcp_client, "FRESH", 0.0)
    os.kill(Shop(tmp_path / "notes").noted("price")[-1]["pid"], signal.SIGKILL)

    assert given(price, item="abc") == 300


def test_calls_at_once_share_a_session(command: dict[str, Any], tmp_path: Path) -> None:
    price = by_name(mcp_tool(**command))["price"]

    async def all_at_once() -> list[Any]:
        return await asyncio.gather(*[price(item="x" * n) for n in range(20)])

    assert asyncio.run(all_at_once()) == [100 * n for n in range(20)]
    assert len({entry["pid"] for entry in Shop(tmp_path / "notes").noted("price")}) == 1


def test_the_example_has_the_tools_that_its_file_says() -> None:
    servers = Path(__file__).parents[2] / "examples" / "servers"
    command = [sys.executable, str(servers / "library.py")]

    now = mcp_tool(command=command)
    assert now == mcp_tool(command=command, pin=servers / "library.tools.json")
    assert given(by_name(now)["books_lend"], title="Middlemarch", reader="Ann") == "Ann has Middlemarch."


@pytest.mark.usefixtures("protocol")
def test_a_changed_server_is_told(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    tools = by_name(mcp_tool(shop.start().url))
    shop.kill()
    shop.start(SHOP_CHANGED="1")

    with pytest.raises(ToolFailed, match=r"The MCP server 127\.0\.0\.1 no longer has the tool refund\. It has: "):
        given(tools["refund"], order="x")
    with pytest.raises(ToolFailed, match="currency"):
        given(tools["price"], item="x")
    assert "describes its tool price otherwise than when the agent was declared" in caplog.text


def test_a_missing_server_is_told(shop: Shop) -> None:
    price = by_name(mcp_tool(shop.start().url))["price"]
    shop.kill()

    with pytest.raises(ConnectionError, match=r"The MCP server 127\.0\.0\.1 cannot be reached: ConnectError"):
        given(price, item="x")
    with pytest.raises(
        DefinitionError, match=r"The MCP server 127\.0\.0\.1 cannot be asked for its tools: ConnectError"
    ):
        mcp_tool(shop.url)
    with pytest.raises(DefinitionError, match="cannot be asked for its tools: FileNotFoundError"):
        mcp_tool(command="no-such-program-anywhere")


def test_what_a_tool_gives(command: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_TEST_TOKEN", "tok-123")
    tools = by_name(mcp_tool(**{**command, "env": {**command["env"], "TOKEN": "${MCP_TEST_TOKEN}"}}))

    said: list[str] = []
    names = dict.fromkeys(("idempotency_key", "execution_id", "agent", "tool", "call_id"), "x")
    context = ToolContext(**names, step=1, on_progress=said.append)
    assert asyncio.run(tools["wrap"].invoke({"pieces": 3}, context)) == "wrapped"
    wait_until(lambda: said == ["2 / 3  nearly"], "the server's progress")
    text, image = given(tools["photo"], item="bell")
    assert (text, image.media_type, image.base64[:8]) == ("a bell", "image/png", "iVBORw0K")
    assert given(tools["odd"]) == {"a": 1}
    assert given(tools["who"]) == "tok-123 None"
    assert "tok-123" not in repr(tools["who"].function)

    monkeypatch.setenv("MCP_TEST_TOKEN", "tok-456")
    assert given(tools["who"]) == "tok-456 None", "another credential has a session of its own"
    monkeypatch.delenv("MCP_TEST_TOKEN")
    with pytest.raises(ToolFailed, match="The MCP server shop needs the credential MCP_TEST_TOKEN"):
        given(tools["who"])
    with pytest.raises(
        ConfigError, match=r"mcp_tool 'shop' needs the credential MCP_TEST_TOKEN, which is not set here"
    ):
        mcp_tool(**{**command, "env": {"TOKEN": "${MCP_TEST_TOKEN}"}})


def test_which_tools_there_are(command: dict[str, Any]) -> None:
    tools = by_name(mcp_tool(**command))

    place = tools["orders_place"]
    assert list(place.parameters["properties"]) == ["items", "method_"]
    assert "$defs" not in place.parameters, "classes are written out"
    assert tools["price"].description.startswith("The price of an item, in cents.")
    assert pickle.loads(pickle.dumps(place)) == place
    chosen = mcp_tool(**command, tool_names=["orders.place", "price"], prefix="shop_")
    assert [each.name for each in chosen] == ["shop_price", "shop_orders_place"]
    assert compile_agent(Agent("a", model="openai/x", tools=[chosen])) == compile_agent(
        Agent("a", model="openai/x", tools=[replace(tools["price"], name="shop_price"), chosen[1]])
    )
    with pytest.raises(DefinitionError, match="mcp_tool 'shop' has no tool named 'sell'; it has price, "):
        mcp_tool(**command, tool_names=["sell"])
    with pytest.raises(DefinitionError, match=r"has 10 tools, more than max_tools=3: price, orders\.place"):
        mcp_tool(**command, max_tools=3)


def test_a_pinned_server_is_not_asked(shop: Shop, tmp_path: Path) -> None:
    pin = tmp_path / "shop.tools.json"
    tools = mcp_tool(shop.start().url, pin=pin)
    shop.kill()

    assert mcp_tool(shop.url, pin=str(pin)) == tools
    assert [each.name for each in mcp_tool(shop.url, pin=pin, tool_names=["price"])] == ["price"]
    shop.start()
    assert given(by_name(mcp_tool(shop.url, pin=pin))["price"], item="x") == 100
    pin.write_text("{}")
    with pytest.raises(DefinitionError, match=r"shop\.tools\.json cannot be read: 'tools'"):
        mcp_tool(shop.url, pin=pin)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({}, "takes server_url or command, and not neither"),
        ({"server_url": "http://x", "command": "y"}, "takes server_url or command, and not both"),
        ({"server_url": "ftp://x"}, "server_url is such as"),
        ({"server_url": "http://x", "transport": "stdio"}, "transport is 'http' or 'sse' for an address"),
        ({"server_url": "http://x", "max_tools": 0}, "max_tools must be a whole number"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        mcp_tool(**wrong)


def test_a_fork_begins_anew(command: dict[str, Any]) -> None:
    price = by_name(mcp_tool(**command))["price"]
    assert given(price, item="x") == 100

    assert _in_fork(lambda: given(price, item="xy") == 200)
    assert given(price, item="xyz") == 300


def _in_fork(check: Callable[[], bool]) -> bool:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads, since 3.12
        pid = os.fork()
    if pid == 0:
        signal.alarm(60)
        os._exit(0 if check() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
