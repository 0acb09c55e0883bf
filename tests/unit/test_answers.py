"""What is told of answers that are not Conductor's: pages and silence of a proxy, on real connections."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from agentspan.agents import AgentHandle, AgentRuntime, ServerError, ServerRejected, ServerUnreachable, Unauthorized

PAGE = """<!DOCTYPE html>
<html><head><title>502
 Bad &amp; Gateway</title></head><body><h1>canary</h1></body></html>"""


@dataclass
class Proxy:
    """What stands in front of a server, and answers for it."""

    url: str = ""
    status: int = 200
    body: str = PAGE


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    answer = Proxy()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = answer.body.encode()
            self.send_response(answer.status)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        answer.url = f"http://127.0.0.1:{server.server_port}"
        yield answer
        server.shutdown()


def told(proxy: Proxy, method: str = "GET", path: str = "/workflow/exec-1") -> ServerError:
    with pytest.raises(ServerError) as caught:
        AgentRuntime(proxy.url).client.call(method, path)
    error = caught.value
    assert proxy.url in error.message
    assert "canary" not in error.message + (error.hint or "")
    return error


@pytest.mark.parametrize("body", [PAGE, "", "upstream timed out"])
@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_proxy_without_its_server(proxy: Proxy, status: int, body: str) -> None:
    proxy.status, proxy.body = status, body

    error = told(proxy)

    assert (type(error), error.status) == (ServerUnreachable, status)
    assert f"what is in front of it answered {status} to GET /workflow/exec-1." in error.message
    assert "passes on to its port" in (error.hint or "")
    assert "it may have been carried out" in told(proxy, "POST", "/workflow").message
    with pytest.raises(ServerUnreachable, match=f"answered {status} to GET /health"):
        AgentRuntime(proxy.url).client.check()


@pytest.mark.parametrize("status", [200, 404])
def test_a_page_instead_of_an_answer(proxy: Proxy, status: int) -> None:
    proxy.status = status

    error = told(proxy)

    assert type(error) is ServerUnreachable
    assert "is not a Conductor server" in error.message
    assert "a page called '502 Bad & Gateway'" in error.message
    assert "such as a login" in (error.hint or "")
    with pytest.raises(ServerUnreachable, match="is not a Conductor server"):
        AgentHandle("exec-1", AgentRuntime(proxy.url)).get_status()


@pytest.mark.parametrize(("status", "kind"), [(500, ServerRejected), (400, ServerRejected), (403, Unauthorized)])
def test_a_page_about_an_error(proxy: Proxy, status: int, kind: type[ServerError]) -> None:
    proxy.status = status
    error = told(proxy)
    assert (type(error), error.status) == (kind, status)
    assert error.message.endswith(f"answered {status} to GET /workflow/exec-1: a page called '502 Bad & Gateway'")

    proxy.body = "<p>no title, canary"
    assert told(proxy).message.endswith(": a page without a title")


def test_a_redirection_to_nowhere(proxy: Proxy) -> None:
    proxy.status = 302
    assert told(proxy).hint is None


@pytest.mark.parametrize("body", [PAGE, "", "[]", "null", "{}"])
def test_what_says_nothing_of_its_health_is_no_conductor(proxy: Proxy, body: str) -> None:
    proxy.body = body
    with pytest.raises(ServerUnreachable, match="is not a Conductor server: it does not say whether it is healthy"):
        AgentRuntime(proxy.url).client.check()


READS: dict[str, Callable[[AgentRuntime], object]] = {
    "a run": lambda runtime: AgentHandle("exec-1", runtime).get_status(),
    "the list of runs": lambda runtime: runtime.client.search("status = RUNNING"),
    "a status": lambda runtime: runtime.client.status("exec-1"),
    "tasks": lambda runtime: runtime.client.tasks("exec-1", 0),
    "a task": lambda runtime: runtime.client.task("task-1"),
}


@pytest.mark.parametrize("body", ["", "null", "[]", "{}", "3", '"fine"', '{"results": 3, "status": "FINE"}'])
@pytest.mark.parametrize("what", READS)
def test_an_answer_that_is_none_is_no_traceback(proxy: Proxy, what: str, body: str) -> None:
    proxy.status, proxy.body = 200, body
    told = ""
    try:
        assert READS[what](AgentRuntime(proxy.url)) == []  # an index without a row is empty
    except ServerError as error:
        told = error.message
    assert not told or proxy.url in told
