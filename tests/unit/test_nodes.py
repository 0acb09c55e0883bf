"""Fail-over between the nodes of a cluster, on sockets that answer, refuse, or break off."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import httpx
import pytest

from agentspan.config import Settings, load_settings
from agentspan.engine.client import Conductor
from agentspan.engine.nodes import Nodes
from agentspan.errors import ConfigError, ServerUnreachable

ANSWER = b"HTTP/1.1 %d Words\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"


class Node:
    """Answers each request with its own name, until told to break off."""

    def __init__(self, name: str) -> None:
        self.name, self.seen = name, list[str]()
        self.breaks, self.status, self.body = False, 200, f'"{name}"'.encode()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                head = _request(connection)
                self.seen.append(head.split(" HTTP/")[0])
                assert f"Host: {self.url.removeprefix('http://')}" in head, head
                if not self.breaks:
                    connection.sendall(ANSWER % (self.status, len(self.body), self.body))

    def close(self) -> None:
        with suppress(OSError):  # closed before
            self._socket.shutdown(socket.SHUT_RDWR)  # or the thread in accept() would keep the port open
        self._socket.close()


def _request(connection: socket.socket) -> str:
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        body += connection.recv(65536)
    return head.decode()


@contextmanager
def nodes(count: int = 2) -> Iterator[list[Node]]:
    with ExitStack() as stack:
        made = [Node(f"node {number}") for number in range(1, count + 1)]
        for node in made:
            stack.callback(node.close)
        yield made


def a_client(made: list[Node], path: str = "") -> Conductor:
    return Conductor(Settings(server_url=", ".join(node.url + path for node in made)))


def test_requests_go_to_the_first_node() -> None:
    with nodes() as (first, second):
        client = a_client([first, second])

        assert [client.call("GET", "/x"), client.call("POST", "/x", body={})] == ["node 1", "node 1"]
    assert second.seen == []


def test_a_node_that_refuses_is_left_for_good_and_nothing_is_lost() -> None:
    with nodes() as (first, second):
        client = a_client([first, second])
        first.close()

        answers = [client.call("POST", "/workflow", body={"n": n}) for n in range(3)]

    assert answers == ["node 2"] * 3
    assert second.seen == ["POST /api/workflow"] * 3, "each was sent once"
    assert first.seen == []


def test_it_comes_back_when_the_other_one_dies() -> None:
    with nodes() as (first, second):
        client = a_client([first, second])
        first.breaks = True
        assert client.call("GET", "/x") == "node 2"
        first.breaks = False
        second.close()

        assert client.call("GET", "/x") == "node 1"


def test_a_reading_whose_answer_is_lost_is_repeated_elsewhere() -> None:
    with nodes() as (first, second):
        client = a_client([first, second])
        first.breaks = True

        assert client.call("GET", "/workflow/1") == "node 2"


def test_what_may_have_been_done_is_not_repeated() -> None:
    with nodes() as (first, second):
        client = a_client([first, second])
        first.breaks = True

        with pytest.raises(ServerUnreachable, match=r"POST /workflow was lost .* may have been carried out") as caught:
            client.call("POST", "/workflow", body={})

        assert first.seen == ["POST /api/workflow"]
        assert second.seen == []
        assert "idempotency_key" in (caught.value.hint or "")
        assert client.call("POST", "/workflow", body={}) == "node 2", "the next request goes to the next node"


def test_a_proxy_without_its_node_is_left() -> None:
    with nodes() as (first, second):
        client = a_client([first, second])
        first.status = 503

        assert client.call("GET", "/x") == "node 2"
        assert client.call("POST", "/x", body={}) == "node 2"

    assert first.seen == ["GET /api/x"]


def test_nobody_answers() -> None:
    with nodes() as made:
        client = a_client(made)
        for node in made:
            node.close()

        with pytest.raises(ServerUnreachable, match="No Conductor server answers at") as caught:
            client.call("POST", "/workflow", body={})

    assert f"{made[0].url} or {made[1].url}" in caught.value.message


def test_each_node_has_its_own_path() -> None:
    with nodes() as (first, second):
        client = Conductor(Settings(server_url=f"{first.url}/one/api,{second.url}/two"))
        client.call("GET", "/x")
        first.close()
        client.call("GET", "/x", [("a", "b c")])

    assert first.seen == ["GET /one/api/x"]
    assert second.seen == ["GET /two/api/x?a=b+c"]


def test_many_threads_leave_a_dead_node_once() -> None:
    with nodes() as (first, second):
        client = a_client([first, second])
        first.close()
        answers: list[object] = []
        threads = [threading.Thread(target=lambda: answers.append(client.call("GET", "/x"))) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)

    assert answers == ["node 2"] * 20


def test_an_interruption_is_the_latest_start_of_a_node() -> None:
    with nodes() as (first, second):
        first.body = b"process_start_time_seconds 1700000000.5\n"
        second.body = b'process_start_time_seconds{application="conductor"} 1.7E9\n'

        assert a_client([first, second]).started_at() == 1_700_000_000_500
        assert a_client([second]).started_at() == 1_700_000_000_000


def test_a_node_that_is_found_away_is_an_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentspan.engine.nodes.ASK_AGAIN", 0.0)
    with nodes() as (first, second):
        first.body = second.body = b"process_start_time_seconds 1.7E9\n"
        client = a_client([first, second])
        assert client.started_at() == 1_700_000_000_000
        second.close()
        before = int(time.time() * 1000)

        found = client.started_at()

        assert found >= before
        assert client.started_at() == found, "it stays the moment at which it was found"


def test_a_node_that_was_never_there_interrupts_only_what_began_a_while_ago() -> None:
    with nodes() as (first, second):
        first.body = b"process_start_time_seconds 1.7E9\n"
        second.close()

        found = a_client([first, second]).started_at()

    assert 1_700_000_000_000 < found <= int(time.time() * 1000) - 15_000


def test_a_full_pool_is_no_reason_to_leave_a_node() -> None:
    narrow = httpx.Limits(max_connections=1)
    with nodes() as (first, second), Nodes([first.url, second.url], limits=narrow) as client:
        with client.stream("GET", f"{first.url}/x"), pytest.raises(httpx.PoolTimeout):
            client.get(f"{first.url}/x", timeout=httpx.Timeout(5, pool=0.01))

        assert client.get(f"{first.url}/x").json() == "node 1"


@pytest.mark.parametrize("url", ["", "http://a,", "http://a,,http://b", "a:8080,b:8080", "http://a,b"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="is not an address"):
        Settings(server_url=url)


def test_the_environment_names_several_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentspan.config._configured", {})
    monkeypatch.setenv("AGENTSPAN_SERVER_URL", "http://a:8080/api, http://b:8080/")

    settings = load_settings()

    assert settings.base_urls == ("http://a:8080", "http://b:8080")
    assert settings.api_url == "http://a:8080/api"
    assert settings.address == "http://a:8080 or http://b:8080"
