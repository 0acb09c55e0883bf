"""Tokens for MCP servers: a real server of the official SDK that wants them, and a small authorisation server."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, quote

import pytest
from test_mcp_tools import Shop, by_name, given

from agentspan.agents import (
    Agent,
    AgentRuntime,
    DefinitionError,
    OAuthClient,
    Retry,
    ToolFailed,
    compile_agent,
    mcp_tool,
)
from agentspan.testing import ModelRequest, Reply, WorkerProcess, call, calls, say, wait_until
from agentspan.testing.plugin import Stage

SECRET = "s3cr3t-of-the/buyer"


class Login(ThreadingHTTPServer):
    """An authorisation server for one client, `buyer`."""

    request_queue_size = 100
    _numbers: ClassVar[Iterator[int]] = itertools.count(1)

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.asked: list[dict[str, str]] = []
        self.tokens: dict[str, dict[str, Any]] = {}
        self.issued: list[str] = []
        self.ways = ["client_secret_basic"]
        self.lifetime = 3600
        self.secret = SECRET
        self.failures: list[int] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "token_endpoint_auth_methods_supported": self.ways,
            "response_types_supported": ["code"],
        }

    def give(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """A token, for a client that may have one."""
        self.asked.append(form)
        if self.failures:
            return self.failures.pop(0), {"error": "temporarily_unavailable"}
        if self.ways == ["client_secret_post"]:
            known = (form.get("client_id"), form.get("client_secret")) == ("buyer", self.secret)
        else:
            expected = base64.b64encode(f"buyer:{quote(self.secret, safe='')}".encode()).decode()
            known = authorization == f"Basic {expected}"
        if not known or form["grant_type"] != "client_credentials":
            return 401, {"error": "invalid_client"}
        token = f"token-{next(self._numbers)}-of-the-buyer"
        self.tokens[token] = {"scopes": form.get("scope", "").split(), "resource": form["resource"]}
        self.issued.append(token)
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": self.lifetime}


class _Answers(BaseHTTPRequestHandler):
    server: Login

    def do_GET(self) -> None:
        if self.path == "/.well-known/oauth-authorization-server":
            self._answer(200, self.server.metadata())
        else:
            self._answer(404, {})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        if self.path == "/token":
            self._answer(*self.server.give(form, self.headers.get("authorization", "")))
        else:
            self._answer(200, self.server.tokens.get(form["token"], {}))

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def login(monkeypatch: pytest.MonkeyPatch) -> Iterator[Login]:
    monkeypatch.setenv("BUYER_SECRET", SECRET)
    found = Login()
    yield found
    found.shutdown()
    found.server_close()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    found = Shop(tmp_path / "notes")
    yield found
    found.kill()


def client(login: Login, **more: Any) -> OAuthClient:
    return OAuthClient(login.url, "buyer", "${BUYER_SECRET}", **more)


def test_a_run_gets_and_renews_tokens_which_nothing_tells(
    runtime: AgentRuntime, model: Stage, shop: Shop, login: Login, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    tools = mcp_tool(shop.start(SHOP_ISSUER=login.url).url, auth=client(login))

    def script(request: ModelRequest) -> Reply:
        if not request.tool_results:
            return call("who")
        if len(request.tool_results) > 1:
            return say("done")
        login.tokens.clear()  # they are refused from now on
        return calls(call("price", item="bell"), call("who"), call("refund", order="o-1"))

    name = model.play(script)
    agent = Agent("mcp_let_in", model=name, tools=[tools])
    handle = runtime.start(agent, "Buy.")

    assert handle.result(timeout=60).output == "done"
    (first,), (price, who, refund) = (
        [result.output for result in each.tool_results] for each in model.requests(name)[1:]
    )
    assert first["result"].startswith(f"Bearer *** {handle.execution_id}/1/")
    assert price == {"result": 400}
    assert who["result"].startswith(f"Bearer *** {handle.execution_id}/2/")
    assert refund == {"error": "Error executing tool refund: there is no order o-1"}
    assert [event.type for event in handle.stream()].count("tool_retry") == 0
    assert len(login.issued) == 3, "one when the agent was declared, one for the session, one when it was refused"
    assert {(form["scope"], form["resource"]) for form in login.asked} == {("goods", shop.url)}
    told = compile_agent(agent).to_json() + caplog.text + repr(handle.effects())
    assert not [secret for secret in (SECRET, *login.issued) if secret in told]


@pytest.mark.parametrize("kind", ["streamable-http", "sse"])
@pytest.mark.parametrize("way", ["client_secret_basic", "client_secret_post"])
def test_a_token_is_got_as_the_authorisation_server_wants_it(shop: Shop, login: Login, kind: str, way: str) -> None:
    login.ways, login.lifetime = [way], 0  # over as soon as it is there
    shop = Shop(shop.notes, kind).start(SHOP_ISSUER=login.url)
    try:
        price = by_name(
            mcp_tool(shop.url, auth=client(login, scope="goods more"), transport="sse" if kind == "sse" else "http")
        )["price"]
        assert [given(price, item="x" * n) for n in (1, 2)] == [100, 200]
        assert {form["scope"] for form in login.asked} == {"goods more"}
    finally:
        shop.kill()


def test_a_call_that_takes_long_does_not_keep_others_out(shop: Shop, login: Login) -> None:
    tools = by_name(mcp_tool(shop.start(SHOP_ISSUER=login.url, SHOP_JSON="1").url, auth=client(login)))

    async def all_at_once() -> list[Any]:
        hanging = asyncio.create_task(tools["hang"]())
        await asyncio.to_thread(wait_until, lambda: shop.noted("hang"), "the call to hang")
        login.tokens.clear()
        found = await asyncio.gather(*[tools["price"](item="x" * n) for n in range(20)])
        hanging.cancel()
        return found

    assert asyncio.run(all_at_once()) == [100 * n for n in range(20)]
    assert len(login.issued) == 3, "those that were refused together were let in by one new token"


def test_an_authorisation_server_that_is_busy_is_asked_again(
    runtime: AgentRuntime, model: Stage, shop: Shop, login: Login
) -> None:
    tools = mcp_tool(shop.start(SHOP_ISSUER=login.url).url, auth=client(login), retry=Retry(3, delay=0))
    name = model.play([call("price", item="x"), say("done")])
    login.failures = [503]
    handle = runtime.start(Agent("mcp_busy_login", model=name, tools=[tools]), "Go.")

    assert handle.result(timeout=60).output == "done"
    assert model.requests(name)[1].tool_results[0].output == {"result": 100}
    (retry,) = [event.error for event in handle.stream() if event.type == "tool_retry"]
    assert "127.0.0.1, which authorises, answered 503" in retry


def test_who_is_not_let_in_is_told_once_and_for_all(shop: Shop, login: Login, monkeypatch: pytest.MonkeyPatch) -> None:
    price = by_name(mcp_tool(shop.start(SHOP_ISSUER=login.url).url, auth=client(login)))["price"]
    monkeypatch.setenv("BUYER_SECRET", "another-secret")

    with pytest.raises(ToolFailed, match=r"The MCP server 127\.0\.0\.1 .*401.*invalid_client") as refused:
        given(price, item="x")
    assert "another-secret" not in str(refused.value)
    monkeypatch.setenv("BUYER_SECRET", SECRET)
    assert given(price, item="x") == 100
    login.tokens.clear()
    login.secret = "changed meanwhile"
    with pytest.raises(ToolFailed, match=r"The MCP server 127\.0\.0\.1 .*401.*invalid_client") as refused:
        given(price, item="x")
    with pytest.raises(DefinitionError, match=r"cannot be asked for its tools: .*invalid_client"):
        mcp_tool(shop.url, auth=client(login))
    monkeypatch.delenv("BUYER_SECRET")
    with pytest.raises(ToolFailed, match="needs the credential BUYER_SECRET"):
        given(price, item="x")


def test_what_fails_for_one_call_leaves_the_others_of_the_session(shop: Shop, login: Login) -> None:
    tools = by_name(mcp_tool(shop.start(SHOP_ISSUER=login.url).url, auth=client(login)))

    async def beside() -> None:
        hanging = asyncio.create_task(tools["wait"]())
        await asyncio.to_thread(wait_until, lambda: shop.noted("wait"), "the call to begin")
        login.tokens.clear()
        login.failures = [503]
        with pytest.raises(ConnectionError, match=r"cannot be entered: NetworkError: 127\.0\.0\.1, which authorises"):
            await tools["price"](item="x")
        assert await tools["price"](item="x") == 100
        shop.notes.with_suffix(".go").touch()
        assert await hanging == "waited"

    asyncio.run(beside())


def test_a_scope_that_is_too_little_is_told(shop: Shop, login: Login) -> None:
    with pytest.raises(DefinitionError, match=r"tools: OAuthFlowError: it does not take the token that .* gave"):
        mcp_tool(shop.start(SHOP_ISSUER=login.url).url, auth=client(login, scope="other"))

    price = by_name(mcp_tool(shop.url, auth=client(login)))["price"]
    assert given(price, item="x") == 100
    granted = login.tokens[login.issued[-1]]["scopes"]
    granted.remove("goods")
    with pytest.raises(ToolFailed, match=r"cannot be entered: OAuthFlowError: it does not take the token that"):
        given(price, item="x")
    granted.append("goods")
    assert given(price, item="x") == 100
    assert len(login.issued) == 3


def test_a_secret_goes_to_the_issuer_alone(shop: Shop, login: Login) -> None:
    other = Login()
    try:
        with pytest.raises(DefinitionError, match=r"cannot be asked for its tools: OAuthFlowError: .*issuer mismatch"):
            mcp_tool(shop.start(SHOP_ISSUER=other.url).url, auth=client(login))
        assert not other.asked
        assert not login.asked
    finally:
        other.shutdown()
        other.server_close()


def test_a_killed_worker_leaves_the_call_to_another_with_a_token_of_its_own(
    runtime: AgentRuntime, model: Stage, shop: Shop, login: Login, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin = tmp_path / "shop.tools.json"
    monkeypatch.setenv("LOGIN_URL", login.url)
    agent = Agent(
        "mcp_oauth_outlived",
        model=model.play([call("price", item="x"), call("hang"), say("done")], name="gpt-oauth-outlived"),
        tools=[mcp_tool(shop.start(SHOP_ISSUER=login.url).url, auth=client(login), pin=pin)],
    )
    (tmp_path / "mcp_oauth_worker.py").write_text(
        "from agentspan.agents import Agent, OAuthClient, mcp_tool\n"
        "login = OAuthClient('${LOGIN_URL}', 'buyer', '${BUYER_SECRET}')\n"
        f"tools = mcp_tool({shop.url!r}, auth=login, pin={str(pin)!r})\n"
        f"agent = Agent('mcp_oauth_outlived', model={agent.model!r}, tools=[tools])\n"
    )
    handle = runtime.start(agent, "Go.", serve=False)

    with WorkerProcess("mcp_oauth_worker:agent", runtime.settings.server_url, cwd=tmp_path) as first:
        wait_until(lambda: shop.noted("hang"), "the call to hang")
        first.kill()
    with WorkerProcess("mcp_oauth_worker:agent", runtime.settings.server_url, cwd=tmp_path):
        assert handle.result(timeout=120).output == "done"

    assert len(login.issued) == 3, "one when the agent was declared, one for each worker"
    assert len(shop.noted("price")) == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"client_secret": "the-secret-itself"}, "client_secret is the name of a credential, and not the secret"),
        ({"client_secret": ""}, "client_secret is the name of a credential"),
        ({"issuer": "login.example.com"}, "issuer is such as 'https://login"),
        ({"client_id": ""}, "client_id is a text"),
        ({"scope": ["goods"]}, "scope is a text"),
    ],
)
def test_a_client_that_makes_no_sense_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(DefinitionError, match=message) as refused:
        OAuthClient(**{"issuer": "https://x", "client_id": "buyer", "client_secret": "${S}", **wrong})
    assert "the-secret-itself" not in str(refused.value)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"command": "x"}, "auth is an OAuthClient, for a server that has an address"),
        ({"server_url": "http://x", "auth": "${TOKEN}"}, "auth is an OAuthClient"),
        ({"server_url": "http://x", "headers": {"authorization": "Bearer ${T}"}}, "auth or the header Authorization"),
    ],
)
def test_where_a_client_makes_no_sense_it_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        mcp_tool(**{"auth": OAuthClient("https://x", "buyer", "${S}"), **wrong})
