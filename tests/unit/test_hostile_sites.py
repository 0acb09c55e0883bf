"""Tools that are HTTP requests, of sites that answer what nobody would wish for."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from agentspan.agents import RetryTool, Tool, ToolFailed, api_tool, http_tool
from agentspan.declare.content import KIND
from agentspan.schema.values import why_not_carried
from tests.unit.little_site import Site, ask


def page(url: str, method: str = "GET", **options: Any) -> Tool[..., Any]:
    return http_tool("page", "A page.", url, method, **options)


@contextmanager
def speaking(speak: Callable[[socket.socket], None]) -> Iterator[str]:
    """A site that says to each connection what it likes, and then hangs up; its address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection, suppress(OSError):
                        connection.recv(65536)
                        speak(connection)

        serving = threading.Thread(target=serve)
        serving.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            serving.join()


def test_an_answer_that_comes_drop_by_drop_has_the_limit_of_the_whole() -> None:
    gone = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
        while not gone.wait(0.05):
            connection.sendall(b"x")

    with speaking(drip) as url:
        with pytest.raises(ToolFailed, match=r"it was not done after 1 s\. Whether the request was done is not known"):
            ask(page(url, "POST", timeout=1))
        gone.set()


def test_an_answer_that_is_packed_small_takes_no_more_room_than_is_read(site: Site) -> None:
    site.will(200, gzip.compress(b"0" * 100_000_000), Content_Encoding="gzip", Content_Type="text/plain")
    tracemalloc.start()
    try:
        answer = ask(page(site.url, max_bytes=1000))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer == "0" * 1000 + "\n… cut after 1000 bytes"
    assert most < 10_000_000


def test_packed_answers_are_read_whole(site: Site) -> None:
    site.will(200, gzip.compress(b'["a",') + gzip.compress(b'"b"]'), Content_Encoding="gzip")
    assert ask(page(site.url)) == ["a", "b"]
    assert site.asked[0]["headers"]["Accept-Encoding"] == "gzip"


@pytest.mark.parametrize(
    ("body", "packed"),
    [(b"plain", "gzip"), (gzip.compress(b"x" * 9000)[:-9], "gzip"), (b"x", "br")],
    ids=["plain", "short", "unknown"],
)
def test_an_answer_that_cannot_be_unpacked_broke_off(site: Site, body: bytes, packed: str) -> None:
    for _ in range(2):
        site.will(200, body, Content_Encoding=packed)
    with pytest.raises(ConnectionError, match="broke off"):
        ask(page(site.url))
    with pytest.raises(ToolFailed, match=r"broke off.* Whether the request was done is not known"):
        ask(page(site.url, "POST"))


def test_redirects_in_a_ring_are_told(site: Site) -> None:
    for _ in range(9):
        site.will(302, Location="/")
    with pytest.raises(ToolFailed, match="answered 302 Found: it sends to /, which is not followed"):
        ask(page(site.url))
    assert len(site.asked) == 6


def test_what_basic_authentication_sends_is_hidden_as_what_it_is_made_of(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGIN", "ann:pw-1234")
    document = {
        "openapi": "3.0.0",
        "paths": {"/": {"get": {"operationId": "look", "security": [{"basic": []}]}}},
        "components": {"securitySchemes": {"basic": {"type": "http", "scheme": "basic"}}},
    }
    (look,) = api_tool(
        document, base_url=site.url, auth={"basic": "${LOGIN}"}, headers={"X-By": "${LOGIN}"}, credentials=[]
    )
    site.will(200, '{"seen": "Basic YW5uOnB3LTEyMzQ="}')
    site.will(400, "not Basic YW5uOnB3LTEyMzQ=")
    assert ask(look) == {"seen": "Basic ***"}
    with pytest.raises(ToolFailed, match=r"not Basic \*\*\*$"):
        ask(look)


def test_part_of_basic_authentication_is_hidden_too(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWORD", "pw-1234")
    document = {
        "openapi": "3.0.0",
        "paths": {"/": {"get": {"operationId": "look", "security": [{"basic": []}]}}},
        "components": {"securitySchemes": {"basic": {"type": "http", "scheme": "basic"}}},
    }
    (look,) = api_tool(document, base_url=site.url, auth={"basic": "ann:${PASSWORD}"})
    site.will(200, '{"seen": "Basic YW5uOnB3LTEyMzQ="}')
    assert ask(look) == {"seen": "Basic ***"}


@pytest.mark.parametrize("echo", ['{"no": "k\\u002b123\\/4567"}', "x" * 1995 + "k+123/4567", '{"no": "k+123\\/4567"}'])
def test_a_secret_is_hidden_however_an_error_spells_it(site: Site, monkeypatch: pytest.MonkeyPatch, echo: str) -> None:
    monkeypatch.setenv("SITE_KEY", "k+123/4567")
    site.will(403, echo)
    with pytest.raises(ToolFailed) as caught:
        ask(page(site.url, headers={"X-Key": "${SITE_KEY}"}))
    assert "k" not in str(caught.value).partition("answered 403 Forbidden: ")[2]


@pytest.mark.parametrize(
    "body",
    [
        '{"share": NaN}',
        '{"share": 1e999}',
        "[" * 100_000,
        "[" * 600 + "]" * 600,
        '{"face": "\\ud83d"}',
        '{"name": "a\\u0000b"}',
        '{"a": 1, "a": 2, "n": ' + "9" * 5000 + "}",
    ],
    ids=["nan", "infinite", "open", "deep", "surrogate", "nul", "long"],
)
def test_an_answer_that_cannot_be_stored_as_a_value_is_told_as_text(site: Site, body: str) -> None:
    site.will(200, body)
    assert ask(page(site.url, "POST", max_bytes=200_000)) == body


def test_json_may_begin_with_a_mark_of_its_bytes(site: Site) -> None:
    site.will(200, b'\xef\xbb\xbf{"a": 1}')
    assert ask(page(site.url)) == {"a": 1}


@pytest.mark.parametrize(
    "charset", ["idna", "unicode_escape", "raw_unicode_escape", "utf-7", "zlib", "no-such", "\xe4"]
)
def test_whatever_charset_an_answer_names_it_can_be_stored(site: Site, charset: str) -> None:
    site.will(200, "caf\xe9 \\ud83d +2D0-".encode(), Content_Type=f"text/plain; charset={charset}")
    answer = ask(page(site.url, "POST"))
    assert "caf" in answer
    assert why_not_carried(answer) is None


@pytest.mark.parametrize(
    "secret", ["k-1234567\n", "k-12345\xe467", "k-1234567\0"], ids=["of two lines", "not ASCII", "with NUL"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_secret_that_cannot_be_sent_is_no_connection_that_broke(
    site: Site, monkeypatch: pytest.MonkeyPatch, secret: str, method: str
) -> None:
    tool = page(site.url, method, headers={"X-Key": "${SITE_KEY}"})
    monkeypatch.setattr("agentspan.declare.credentials.os.environ", {"SITE_KEY": secret})
    with pytest.raises(ToolFailed, match="cannot be asked: ") as caught:
        ask(tool)
    assert "k-12345" not in str(caught.value)
    assert site.asked == []


def test_when_to_ask_again_is_told_by_the_clock_of_whoever_answers() -> None:
    def busy(connection: socket.socket) -> None:
        dates = "Date: Thu, 01 Jan 2015 10:00:00 GMT\r\nRetry-After: Thu, 01 Jan 2015 10:00:07 GMT\r\n"
        connection.sendall(f"HTTP/1.1 503 Busy\r\n{dates}Content-Length: 0\r\n\r\n".encode())

    with speaking(busy) as url, pytest.raises(RetryTool) as caught:
        ask(page(url))
    assert caught.value.after == 7


def test_what_has_no_form_in_a_query_is_left_out(site: Site) -> None:
    form = page(
        site.url,
        "POST",
        content_type="application/x-www-form-urlencoded",
        input_schema={"properties": {"a": {}, "b": {}}},
    )
    files = page(site.url, "POST", content_type="multipart/form-data", input_schema={"properties": {"a": {}, "b": {}}})
    ask(page(site.url, input_schema={"properties": {"a": {}, "b": {}, "c": {}}}), a=None, b=[1, None], c={"d": None})
    ask(form, a=None, b=0)
    ask(files, a=None, b="x")
    assert site.asked[0]["path"] == "/?b=1&c=%7B%22d%22%3Anull%7D"
    assert site.asked[1]["body"] == "b=0"
    assert 'name="a"' not in site.asked[2]["body"]
    with pytest.raises(ToolFailed, match="id: 'null' cannot stand in an address"):
        ask(page(site.url + "/{id}", input_schema={"properties": {"id": {}}}), id=None)


def test_what_looks_like_a_stored_file_is_no_file(site: Site) -> None:
    site.will(200, json.dumps({"kind": KIND, "media_type": "text/plain", "url": "http://127.0.0.1/metadata"}))
    assert ask(page(site.url))["kind"] == KIND, "its worker makes a text of it"
