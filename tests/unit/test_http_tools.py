"""Tools that are HTTP requests, against a real server of the standard library."""

from __future__ import annotations

import json
import logging
import os
import pickle
import socket
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from agentspan.agents import Agent, DefinitionError, RetryTool, ToolFailed, compile_agent, http_tool
from agentspan.declare.credentials import Credentials
from tests.unit.little_site import CONTEXT, Site, ask


def test_arguments_go_where_they_belong(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SITE_KEY", "k-1234567")
    schema = {
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}, "tags": {"type": "array"}},
        "required": ["city"],
    }
    weather = http_tool(
        "weather",
        "The weather.",
        site.url + "/v1/{city}?key=${SITE_KEY}",
        headers={"X-Key": "a ${SITE_KEY}"},
        input_schema=schema,
    )
    site.will(200, '{"sun": true, "by": "k-1234567"}')

    assert ask(weather, city="São/Paulo", days=2, tags=["a", "b c"]) == {"sun": True, "by": "k-1234567"}
    assert weather.credentials == ("SITE_KEY",), "so its worker hides the value in what it reports"
    (asked,) = site.asked
    assert asked["path"] == "/v1/S%C3%A3o%2FPaulo?key=k-1234567&days=2&tags=a&tags=b+c"
    assert asked["headers"]["X-Key"] == "a k-1234567"
    assert "Idempotency-Key" not in asked["headers"]
    assert weather.parameters == {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "days": {"type": "integer"},
            "tags": {"type": "array", "items": {}},
        },
        "required": ["city"],
    }
    assert "k-1234567" not in compile_agent(Agent("a", model="openai/x", tools=[weather])).to_json()
    assert pickle.loads(pickle.dumps(weather)) == weather


def test_a_form_may_have_files(site: Site) -> None:
    schema = {"properties": {"id": {"type": "integer"}, "report": {"type": "string", "format": "binary"}}}
    upload = http_tool("upload", "Upload.", site.url, "POST", input_schema=schema, content_type="multipart/form-data")
    site.will(204)

    assert upload.parameters["properties"]["report"]["required"] == ["name", "content"]
    assert ask(upload, id=7, report={"name": "r.txt", "content": "all fine"}) == "204 No Content"
    assert 'name="id"\r\n\r\n7\r\n' in site.asked[0]["body"]
    assert 'filename="r.txt"\r\nContent-Type: text/plain\r\n\r\nall fine\r\n' in site.asked[0]["body"]


def test_a_body_is_json_or_a_form(site: Site) -> None:
    schema = {"properties": {"sku": {}, "amount": {}}, "required": ["sku"]}
    order = http_tool("order", "Order.", site.url + "/orders", "post", input_schema=schema)
    form = http_tool(
        "order", "Order.", site.url, "POST", input_schema=schema, content_type="application/x-www-form-urlencoded"
    )
    site.will(204)

    assert ask(order, sku="AB", amount=2) == "204 No Content"
    assert ask(form, sku="A B", amount=[1, 2]) == {}
    first, second = site.asked
    assert json.loads(first["body"]) == {"sku": "AB", "amount": 2}
    assert first["headers"]["Content-Type"] == "application/json"
    assert first["headers"]["Idempotency-Key"] == "key-1"
    assert second["body"] == "sku=A+B&amount=1&amount=2"


def test_an_address_alone_tells_the_arguments() -> None:
    page = http_tool("page", "A page.", "https://example.com/{book}/{page}?as={kind}")
    assert page.parameters["required"] == ["book", "page", "kind"]
    assert http_tool("now", "The time.", "https://example.com").parameters["properties"] == {}


@pytest.mark.parametrize(("status", "method"), [(404, "GET"), (400, "POST"), (500, "POST"), (418, "DELETE")])
def test_an_error_is_told_to_the_model(site: Site, status: int, method: str) -> None:
    tool = http_tool("page", "A page.", site.url + "/page", method)
    site.will(status, '{"why": "so"}')

    with pytest.raises(ToolFailed, match=rf'{method} http://127.*/page answered {status} .*: {{"why": "so"}}'):
        ask(tool)


@pytest.mark.parametrize(
    ("status", "method", "after"), [(429, "POST", 7), (503, "GET", 7), (502, "PUT", None), (500, "GET", None)]
)
def test_what_may_be_asked_again_is(site: Site, status: int, method: str, after: int | None) -> None:
    tool = http_tool("page", "A page.", site.url, method)
    site.will(status, "later", Retry_After="7")

    with pytest.raises(RetryTool, match=f"answered {status}") as caught:
        ask(tool)
    assert caught.value.after == after


@pytest.mark.parametrize(
    ("told", "least", "most"),
    [
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0, 0),
        ("Thu, 01 Jan 2099 00:00:00 GMT", 3600, 3600),
        ("999999", 3600, 3600),
        ("soon", None, None),
        ("", None, None),
    ],
)
def test_how_long_to_wait_is_read_in_all_its_forms(site: Site, told: str, least: Any, most: Any) -> None:
    site.will(429, "later", Retry_After=told)
    with pytest.raises(RetryTool) as caught:
        ask(http_tool("page", "A page.", site.url))
    assert caught.value.after is None if least is None else least <= (caught.value.after or 0) <= most


def test_a_request_that_broke_off_is_made_again_where_that_does_no_harm(site: Site) -> None:
    site.will(0)
    site.will(0)

    with pytest.raises(ConnectionError, match="broke off"):
        ask(http_tool("page", "A page.", site.url))
    with pytest.raises(ToolFailed, match="Whether the request was done is not known"):
        ask(http_tool("page", "A page.", site.url, "POST"))


def test_nobody_there() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    with pytest.raises(ConnectionError, match=f"POST http://127.0.0.1:{port} cannot be reached: ConnectError"):
        ask(http_tool("page", "A page.", f"http://127.0.0.1:{port}", "POST"))


def test_an_answer_that_takes_too_long() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        tool = http_tool("page", "A page.", f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=1)
        begun = time.monotonic()
        with pytest.raises(ConnectionError, match="broke off: ReadTimeout"):
            ask(tool)
        assert time.monotonic() - begun < 4
    assert tool.timeout == 6


def test_what_is_no_json_is_told_as_it_is(site: Site) -> None:
    tool = http_tool("page", "A page.", site.url, max_bytes=100)
    site.will(200, "<p>hi</p>", Content_Type="text/html; charset=utf-8")
    site.will(200, "caf\xe9".encode("latin-1"), Content_Type="text/plain; charset=latin-1")
    site.will(200, "{broken")
    site.will(200, b"\x89PNG\xff\xfe", Content_Type="image/png")
    site.will(200, json.dumps(["x" * 200]))

    assert ask(tool) == "<p>hi</p>"
    assert ask(tool) == "café"
    assert ask(tool) == "{broken"
    with pytest.raises(ToolFailed, match="answered with image/png, which is no text"):
        ask(tool)
    assert ask(tool) == '["' + "x" * 98 + "\n… cut after 100 bytes"


def test_redirects_stay_with_the_host(site: Site) -> None:
    tool, post = http_tool("page", "A page.", site.url), http_tool("page", "A page.", site.url, "POST")
    site.will(302, Location="/there")
    site.will(200, '"here"')
    site.will(302, Location="http://elsewhere.example/there")
    site.will(307, Location="/there")

    assert ask(tool) == "here"
    assert [asked["path"] for asked in site.asked] == ["/", "/there"]
    for each in (tool, post):
        with pytest.raises(ToolFailed, match=r"answered 30\d .*: it sends to .*there, which is not followed"):
            ask(each)


def test_calls_share_no_cookies(site: Site) -> None:
    tool = http_tool("page", "A page.", site.url)
    site.will(200, Set_Cookie="session=of-ann")

    ask(tool)
    ask(tool)
    assert "Cookie" not in site.asked[1]["headers"]


def test_headers_of_the_tool_stand_in_place_of_our_own(site: Site) -> None:
    ask(http_tool("page", "A page.", site.url, "POST", {"idempotency-key": "mine"}, accept="text/csv"))

    headers = site.asked[0]["headers"]
    assert (headers["Accept"], headers["idempotency-key"]) == ("text/csv", "mine")
    assert "Idempotency-Key" not in headers


def test_where_an_api_is_may_be_read(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SITE_URL", site.url)
    site.will(200, json.dumps({"next": f"{site.url}/2"}))

    page = http_tool("page", "A page.", "${SITE_URL}/1?${NAME}", credentials=["MORE"])
    assert page.credentials == ("NAME", "MORE")
    monkeypatch.setenv("NAME", "ann")
    assert ask(page) == {"next": f"{site.url}/2"}


def test_the_model_cannot_leave_the_place_it_was_given(site: Site) -> None:
    tool = http_tool("page", "A page.", site.url + "/users/{id}")
    for wrong in ("..", ".", ""):
        with pytest.raises(ToolFailed, match=r"id: .* cannot stand in an address"):
            ask(tool, id=wrong)
    ask(tool, id="../admin?x=1#y")
    assert site.asked[-1]["path"] == "/users/..%2Fadmin%3Fx%3D1%23y"


def test_a_secret_that_is_not_there(site: Site) -> None:
    tool = http_tool("page", "A page.", site.url, headers={"X-Key": "${NOT_SET_ANYWHERE}"})
    with pytest.raises(ToolFailed, match="The tool page needs the credential NOT_SET_ANYWHERE"):
        ask(tool)
    with pytest.raises(ToolFailed, match="The tool page needs the environment variable NOT_SET_ANYWHERE"):
        ask(http_tool("page", "A page.", "${NOT_SET_ANYWHERE}/page"))
    assert site.asked == []


def test_a_worker_hands_over_what_it_has(site: Site) -> None:
    tool = http_tool("page", "A page.", site.url, headers={"X-Key": "${OF_THE_VAULT}"})

    tool.invoke({}, replace(CONTEXT, credentials=Credentials({"OF_THE_VAULT": "v-1234567", "MORE": "x"})))
    assert site.asked[0]["headers"]["X-Key"] == "v-1234567"


def test_a_secret_is_in_no_error_and_no_log(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SITE_KEY", "k-1234567")
    caplog.set_level(logging.DEBUG, "httpx")
    tool = http_tool("page", "A page.", site.url + "/?key=${SITE_KEY}")
    site.will(403, "k-1234567 may not")

    with pytest.raises(ToolFailed) as caught:
        ask(tool)
    ask(tool)
    assert "403" in str(caught.value)
    assert "HTTP Request: GET" in caplog.text
    assert "k-1234567" not in str(caught.value) + caplog.text + repr(tool.function)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"url": "example.com"}, "url is such as"),
        ({"url": "https://{host}/x"}, "the model would choose the host"),
        ({"method": "FETCH"}, "method is one of GET"),
        ({"content_type": "application/xml"}, "content_type is"),
        ({"timeout": 0}, "timeout must be whole seconds"),
        ({"max_bytes": 1}, "max_bytes must be"),
        ({"input_schema": {"type": "array"}}, "a JSON Schema of an object, not of 'array'"),
        ({"name": "no name"}, "models need a name"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        http_tool(**{"name": "page", "description": "A page.", "url": "https://example.com", **wrong})


def test_a_forked_child_asks_by_a_connection_of_its_own(site: Site) -> None:
    tool = http_tool("page", "A page.", site.url)
    ask(tool)

    assert _in_fork(lambda: ask(tool) == {})
    assert ask(tool) == {}
    assert len(site.asked) == 3


def _in_fork(check: Callable[[], bool]) -> bool:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads, since 3.12
        pid = os.fork()
    if pid == 0:
        os._exit(0 if check() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
