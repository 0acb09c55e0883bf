"""The scripted model, asked over HTTP in the three shapes that it speaks."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.client import HTTPConnection, RemoteDisconnected

import pytest

from agentspan.testing import ModelRequest, Reply, ScriptedModel, call, calls, fail, hang, say

PROVIDERS = ["openai", "openai-chat", "anthropic"]
PATHS = {"openai": "/v1/responses", "openai-chat": "/v1/chat/completions", "anthropic": "/v1/messages"}
SCHEMA = {"type": "object", "properties": {"query": {"type": "string"}}}


def post(model, path, body, headers=None, connection=None):
    """Post as JSON, or as it is; on a connection that is kept, or on one just for this."""
    if connection is None:
        with closing(HTTPConnection("127.0.0.1", model.port, timeout=10)) as connection:
            return post(model, path, body, headers, connection)
    data = json.dumps(body) if isinstance(body, dict) else body
    connection.request("POST", path, data, {"content-type": "application/json", **(headers or {})})
    response = connection.getresponse()
    return response, json.loads(response.read())


def prompt(model, text="hi", **options):
    """Post a prompt in the shortest of the shapes."""
    return post(model, "/v1/responses", {"model": "m", "input": text}, **options)


@contextmanager
def kept(port):
    with closing(HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        yield connection


class Client:
    """A conversation in one provider's shape, kept the way the provider's own client would."""

    def __init__(self, provider, model, tools=("search",)):
        self.provider = provider
        self.model = model
        self.tools = [self._tool(name) for name in tools]
        self.messages = []

    def _tool(self, name):
        if self.provider == "anthropic":
            return {"name": name, "description": "Finds.", "input_schema": SCHEMA}
        function = {"name": name, "description": "Finds.", "parameters": SCHEMA}
        if self.provider == "openai":
            return {"type": "function", **function}
        return {"type": "function", "function": function}

    def body(self):
        if self.provider == "openai":
            return {"model": "m", "instructions": "Be brief.", "input": self.messages, "tools": self.tools}
        if self.provider == "anthropic":
            return {"model": "m", "system": "Be brief.", "messages": self.messages, "tools": self.tools}
        system = {"role": "system", "content": "Be brief."}
        return {"model": "m", "messages": [system, *self.messages], "tools": self.tools}

    def user(self, text):
        self.messages.append({"role": "user", "content": text})
        return self

    def ask(self):
        response, body = post(self.model, PATHS[self.provider], self.body())
        assert response.status == 200, body
        self.usage = body["usage"]
        return getattr(self, "_ask_" + self.provider.replace("-", "_"))(body)

    def _ask_openai(self, body):
        self.messages += body["output"]
        texts = [part["text"] for item in body["output"] for part in item.get("content", ())]
        asked = [item for item in body["output"] if item["type"] == "function_call"]
        return "".join(texts), [(c["call_id"], c["name"], json.loads(c["arguments"])) for c in asked]

    def _ask_openai_chat(self, body):
        message = body["choices"][0]["message"]
        self.messages.append(message)
        asked = [(c["id"], c["function"]) for c in message.get("tool_calls", ())]
        return message["content"] or "", [(i, f["name"], json.loads(f["arguments"])) for i, f in asked]

    def _ask_anthropic(self, body):
        self.messages.append({"role": "assistant", "content": body["content"]})
        texts = [block["text"] for block in body["content"] if block["type"] == "text"]
        asked = [block for block in body["content"] if block["type"] == "tool_use"]
        return "".join(texts), [(block["id"], block["name"], block["input"]) for block in asked]

    def exchange(self, ids):
        """Add a turn of calls and their results."""
        if self.provider == "anthropic":
            blocks = [{"type": "tool_use", "id": i, "name": "search", "input": {}} for i in ids]
            self.messages.append({"role": "assistant", "content": blocks})
        elif self.provider == "openai":
            calls = [{"type": "function_call", "call_id": i, "name": "search", "arguments": "{}"} for i in ids]
            self.messages += calls
        else:
            function = {"name": "search", "arguments": "{}"}
            calls = [{"id": i, "type": "function", "function": function} for i in ids]
            self.messages.append({"role": "assistant", "content": None, "tool_calls": calls})
        return self.results(*((i, "same") for i in ids))

    def results(self, *answers):
        if self.provider == "anthropic":
            blocks = [{"type": "tool_result", "tool_use_id": i, "content": text} for i, text in answers]
            self.messages.append({"role": "user", "content": blocks})
        elif self.provider == "openai":
            self.messages += [{"type": "function_call_output", "call_id": i, "output": t} for i, t in answers]
        else:
            self.messages += [{"role": "tool", "tool_call_id": i, "content": text} for i, text in answers]
        return self


@pytest.fixture(params=PROVIDERS)
def provider(request):
    return request.param


def test_text(provider):
    with ScriptedModel([say("Whales sing.")]) as model:
        client = Client(provider, model).user("Do whales sing?")
        assert client.ask() == ("Whales sing.", [])
    (request,) = model.requests
    assert (request.provider, request.model, request.system) == (provider, "m", "Be brief.")
    assert (request.prompt, request.turn, request.attempt) == ("Do whales sing?", 0, 1)
    assert request.last_result is None
    (tool,) = request.tools
    assert (tool.name, tool.description, tool.schema) == ("search", "Finds.", SCHEMA)


def test_usage_is_plausible(provider):
    with ScriptedModel(lambda request: say("word " * 400)) as model:
        client = Client(provider, model).user("Talk.")
        client.ask()
    sent, made = [client.usage.get(f"{word}_tokens") for word in ("input", "output")]
    if provider == "openai-chat":
        sent, made = client.usage["prompt_tokens"], client.usage["completion_tokens"]
    assert made == 500
    assert 0 < sent < 200


@pytest.mark.parametrize("asked", [call("search", {"query": "a"}), call("search", query="a")])
def test_one_call(provider, asked):
    with ScriptedModel([asked]) as model:
        text, ((call_id, name, arguments),) = Client(provider, model).user("Find.").ask()
    assert (text, name, arguments) == ("", "search", {"query": "a"})
    assert call_id.startswith("toolu_0_0_" if provider == "anthropic" else "call_0_0_")


def test_several_calls_and_their_results(provider):
    script = [calls(call("search", query="a"), call("search", query="b"), text="Looking."), say("Done.")]
    with ScriptedModel(script) as model:
        client = Client(provider, model).user("Find.")
        text, asked = client.ask()
        assert text == "Looking."
        (first, *_), (second, *_) = asked
        client.results((first, '{"found": [1, "ü"]}'), (second, " plain text "))
        assert client.ask() == ("Done.", [])
    request = model.requests[1]
    assert [turn.role for turn in request.messages] == ["user", "assistant", "tool"]
    assert request.turn == 1
    assert request.messages[1].text == "Looking."
    assert [made.arguments for made in request.messages[1].tool_calls] == [{"query": "a"}, {"query": "b"}]
    assert [result.name for result in request.tool_results] == ["search", "search"]
    assert [result.output for result in request.tool_results] == [{"found": [1, "ü"]}, " plain text "]
    assert request.last_result.call_id == second
    assert request.last_result.text == " plain text "


def test_results_are_those_after_the_last_turn(provider):
    with ScriptedModel([call("search"), call("search"), say("Done.")]) as model:
        client = Client(provider, model).user("Find.")
        for answer in ("1", "2"):
            (asked,) = client.ask()[1]
            client.results((asked[0], answer))
        client.user("Please go on.")  # Conductor ends every transcript with such a message
        client.ask()
    assert [result.output for result in model.requests[2].tool_results] == [2]


def test_a_retried_request_gets_the_same_call_ids(provider):
    script = [calls(call("search", query="same"), call("search", query="same"))]
    with ScriptedModel(script) as model:
        answers = [Client(provider, model).user("Find.").ask() for _ in range(2)]
    assert answers[0] == answers[1]


def test_call_ids_differ_though_the_transcript_is_trimmed(provider):
    with ScriptedModel(lambda request: calls(call("search"), call("search"))) as model:
        client = Client(provider, model).user("Find.")
        seen = []
        for _ in range(6):
            del client.messages[1:]
            if seen:
                client.exchange(seen[-2:])
            seen += [asked[0] for asked in client.ask()[1]]
    assert len(set(seen)) == 12


def test_attempt_counts_the_retries_of_one_transcript(provider):
    def script(request: ModelRequest) -> Reply:
        return fail(429, "slow down", retry_after=1.5) if request.attempt < 3 else say("ok")

    with ScriptedModel(script) as model:
        client = Client(provider, model).user("Go.")
        for _ in range(2):
            response, body = post(model, PATHS[provider], client.body())
            assert (response.status, response.headers["retry-after"]) == (429, "1.5")
            assert body["error"]["message"] == "slow down"
        assert client.ask() == ("ok", [])
    assert [request.attempt for request in model.requests] == [1, 2, 3]


@pytest.mark.parametrize(
    ("provider", "status", "error"),
    [
        ("openai", 401, {"type": "invalid_request_error", "code": "invalid_api_key"}),
        ("openai-chat", 429, {"type": "requests", "code": "rate_limit_exceeded"}),
        ("openai", 500, {"type": "server_error", "code": None}),
        ("anthropic", 401, {"type": "authentication_error"}),
        ("anthropic", 429, {"type": "rate_limit_error"}),
        ("anthropic", 500, {"type": "api_error"}),
        ("anthropic", 529, {"type": "overloaded_error"}),
    ],
)
def test_failures_have_the_providers_body(provider, status, error):
    with ScriptedModel([fail(status)]) as model:
        response, body = post(model, PATHS[provider], Client(provider, model).user("Go.").body())
    assert response.status == status
    assert body["error"].items() >= error.items()
    assert (body.get("type") == "error") == (provider == "anthropic")


def test_finish_reasons(provider):
    def finish(reply: Reply) -> str:
        with ScriptedModel([reply]) as model:
            _, body = post(model, PATHS[provider], Client(provider, model).user("Go.").body())
        if provider == "openai":
            return (body["incomplete_details"] or {}).get("reason", body["status"])
        return body["stop_reason"] if provider == "anthropic" else body["choices"][0]["finish_reason"]

    expected = {
        "openai": ["completed", "max_output_tokens", "content_filter", "completed"],
        "openai-chat": ["stop", "length", "content_filter", "tool_calls"],
        "anthropic": ["end_turn", "max_tokens", "refusal", "tool_use"],
    }
    replies = [say("a"), say("a", finish="length"), say("a", finish="refusal"), call("search")]
    assert [finish(reply) for reply in replies] == expected[provider]


def test_arguments_that_are_no_json(provider):
    with ScriptedModel([call("search", '{"query": ')]) as model:
        _, body = post(model, PATHS[provider], Client(provider, model).user("Go.").body())
    assert '{\\"query\\": ' in json.dumps(body)


def test_script_that_fails():
    def script(request: ModelRequest) -> Reply:
        raise LookupError("no such answer")

    model = ScriptedModel(script).start()
    answers = [prompt(model) for _ in range(2)]
    with pytest.raises(LookupError, match="no such answer") as caught:
        leave(model)
    for response, body in answers:
        assert (response.status, body["error"]["message"]) == (422, "LookupError: no such answer")
    assert len(model.errors) == 2
    assert "first of 2 errors" in caught.value.__notes__[0]


def leave(model, error=None):
    """Leave the model's `with` block, by an error or without."""
    model.__exit__(type(error) if error else None, error, None)


def test_a_failing_script_does_not_hide_why_the_test_failed():
    model = ScriptedModel([]).start()
    prompt(model)
    leave(model, KeyError("mine"))
    assert len(model.errors) == 1


def test_script_that_is_too_short():
    with (
        pytest.raises(AssertionError, match="has 0 replies; the agent asked for reply 1"),
        ScriptedModel([]) as model,
    ):
        prompt(model)


def test_script_that_gives_no_reply():
    with pytest.raises(TypeError, match="say"), ScriptedModel(lambda request: "text") as model:
        prompt(model)


def refused(client):
    model = client.model
    response, _ = post(model, PATHS[client.provider], client.body())
    model.stop()
    assert response.status == (400 if model.errors else 200)
    return str(model.errors[0]) if model.errors else None


def started(provider, *, strict=True, **options):
    return Client(provider, ScriptedModel(lambda request: say("ok"), strict=strict).start(), **options)


def test_refuses_a_result_without_its_call(provider):
    client = started(provider).user("Go.").results(("call_1", "x"))
    assert "no tool call precedes the result for 'call_1'" in refused(client)


def test_refuses_a_call_without_its_result(provider):
    model = ScriptedModel(lambda request: calls(call("search"), call("search")) if request.turn == 0 else say("ok"))
    client = Client(provider, model.start()).user("Go.")
    (first, *_), (second, *_) = client.ask()[1]
    client.results((first, "x")).user("More.")
    assert f"no tool result follows the call {second!r}" in refused(client)


def test_refuses_tools_that_no_provider_takes(provider):
    assert "two tools are named 'a'" in refused(started(provider, tools=("a", "a")).user("Go."))
    assert "'a b' is no tool name" in refused(started(provider, tools=("a b",)).user("Go."))


def test_refuses_an_empty_transcript(provider):
    assert "there are no messages" in refused(started(provider))


def test_lenient_on_request(provider):
    assert refused(started(provider, strict=False).user("Go.").results(("call_1", "x"))) is None


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"input": "hi"}'])
def test_unreadable_requests(body):
    model = ScriptedModel([say("ok")]).start()
    response, _ = post(model, "/v1/responses", body)
    model.stop()
    assert response.status == 400
    assert len(model.errors) == 1


def test_unknown_path():
    with ScriptedModel([say("ok")]) as model:
        response, body = post(model, "/v1/embeddings", {"model": "m"})
    assert response.status == 404
    assert "/responses" in body["error"]["message"]


@pytest.mark.parametrize("header", ["Authorization", "X-Api-Key", "api-key"])
def test_keys_are_not_recorded(header):
    with ScriptedModel([say("ok")]) as model:
        post(
            model,
            "/v1/responses",
            {"model": "m", "input": "hi"},
            {header: "Bearer sk-secret", "X-Other": "seen"},
        )
    (request,) = model.requests
    assert request.headers[header.lower()] == "(removed)"
    assert request.headers["x-other"] == "seen"
    assert "sk-secret" not in repr(vars(request))


def test_keep_alive():
    with ScriptedModel(lambda request: say("ok")) as model, kept(model.port) as connection:
        prompt(model, connection=connection)
        first = connection.sock
        for _ in range(20):
            prompt(model, connection=connection)
        assert connection.sock is first


def test_many_slow_calls_at_once():
    count = 200
    with (
        ScriptedModel(lambda request: say(request.prompt).after(0.5)) as model,
        ThreadPoolExecutor(count) as pool,
    ):
        begin = time.monotonic()
        texts = [f"prompt {number}" for number in range(count)]
        answers = list(pool.map(lambda text: prompt(model, text)[1], texts))
        elapsed = time.monotonic() - begin
    assert [answer["output"][0]["content"][0]["text"] for answer in answers] == texts
    assert elapsed < 10  # one after the other they would take 100 s
    assert model.count == count


def test_keeps_only_the_newest():
    with ScriptedModel(lambda request: say("ok"), keep=2) as model:
        for number in range(5):
            prompt(model, str(number))
    assert [request.prompt for request in model.requests] == ["3", "4"]
    assert model.count == 5


def test_hang_closes_without_an_answer():
    with ScriptedModel([hang(0.05)]) as model, pytest.raises(RemoteDisconnected):
        prompt(model)


def test_starts_again_on_the_same_port():
    with ScriptedModel(lambda request: say("ok")) as model, kept(model.port) as connection:
        prompt(model, connection=connection)
        urls = model.model_urls
        model.stop()
        with pytest.raises(ConnectionError):
            prompt(model)
        model.start()
        assert model.model_urls == urls
        prompt(model)
    base = f"http://127.0.0.1:{model.port}"
    assert urls == {"openai": f"{base}/v1", "anthropic": base}
    assert model.count == 2


def test_stop_closes_idle_connections():
    with ScriptedModel(lambda request: say("ok")) as model, kept(model.port) as connection:
        prompt(model, connection=connection)
        model.stop()
        assert connection.sock.recv(1) == b""


def test_stop_ends_calls_in_flight():
    arrived = threading.Event()

    def script(request: ModelRequest) -> Reply:
        arrived.set()
        return hang(60)

    model = ScriptedModel(script).start()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(prompt, model)
        assert arrived.wait(10)
        model.stop()
        assert isinstance(waiting.exception(timeout=10), ConnectionError)


def test_a_client_that_dies_while_sending_is_no_error():
    with ScriptedModel(lambda request: say("ok")) as model:
        with socket.create_connection(("127.0.0.1", model.port)) as client:
            client.sendall(b"POST /v1/responses HTTP/1.1\r\ncontent-length: 100\r\n\r\n{")
        prompt(model)
    assert model.errors == []


def test_a_body_in_chunks():
    data = json.dumps({"model": "m", "input": "hi"}).encode()
    with ScriptedModel(lambda request: say(request.prompt)) as model, kept(model.port) as connection:
        for _ in range(2):
            response, body = post(model, "/v1/responses", iter([data[:5], data[5:]]), connection=connection)
            assert response.status == 200, body


def test_in_a_process_of_its_own(tmp_path):
    (tmp_path / "scripts.py").write_text(
        "from agentspan.testing import say\n\ndef echo(request):\n    return say(request.prompt)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "agentspan.testing.model", "scripts:echo"],
        stdout=subprocess.PIPE,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        text=True,
    )
    with process:
        ready = json.loads(process.stdout.readline())
        with kept(ready["port"]) as connection:
            _, body = prompt(None, connection=connection)
        process.send_signal(signal.SIGTERM)
    assert body["output"][0]["content"][0]["text"] == "hi"
    assert process.returncode == 0
