"""How runs look in a notebook, in a debugger and in a terminal that waits for them."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import threading
from html.parser import HTMLParser
from pathlib import Path

import pytest

from agentspan.agents import Agent, AgentHandle, AgentResult, AgentRuntime, ToolFailed, tool
from agentspan.testing import call, calls, say
from agentspan.testing.plugin import Stage

HOSTILE = "<script>alert('x')</script><img src=x onerror=\"alert(1)\">&amp;"


class Parsed(HTMLParser):
    """The tags of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += f"{data}\n"


@tool
def echo(text: str) -> str:
    """Say it again."""
    if text == "no":
        raise ToolFailed(HOSTILE)
    return text


@pytest.fixture
def finished(runtime: AgentRuntime, model: Stage) -> tuple[AgentHandle, AgentResult]:
    script = [calls(call("echo", text=HOSTILE), call("echo", text="no"), call(HOSTILE)), say(HOSTILE)]
    agent = Agent("shown", model=model.play(script), tools=[echo])
    handle = runtime.start(agent, "Go.")
    return handle, handle.result(timeout=90)


def test_a_notebook_shows_the_timeline_and_no_text_becomes_a_tag(finished: tuple[AgentHandle, AgentResult]) -> None:
    handle, result = finished
    for page in (handle._repr_html_(), result._repr_html_()):
        parsed = Parsed(page)
        assert parsed.tags == {"div", "code", "b", "table", "tr", "th", "td"}
        assert parsed.attributes == {"style"}
        assert parsed.text.count(HOSTILE) >= 4
        assert f'echo(text="{HOSTILE[:20]}' in parsed.text
        assert f"error: {HOSTILE}" in parsed.text
        assert f"{handle.execution_id} COMPLETED" in parsed.text


def test_a_notebook_without_a_server_shows_why() -> None:
    page = AgentHandle("some-run", AgentRuntime("http://127.0.0.1:9"))._repr_html_()

    assert "No Conductor server answers" in page
    assert "some-run" in page


def test_reprs_are_short(finished: tuple[AgentHandle, AgentResult]) -> None:
    handle, result = finished
    events = list(handle.stream())

    assert repr(handle) == f"AgentHandle(execution_id='{handle.execution_id}')"
    told = f"{result.usage.total_tokens} tokens"
    assert repr(result) == f"<AgentResult {HOSTILE[:59] + '…'!r} COMPLETED after 2 steps, {told}>"
    assert repr(handle.get_status()) == "<AgentStatus shown COMPLETED step 2 / 100>"
    assert [repr(events[0]), repr(events[1])] == ["<Event 1 step in step 1>", "<Event 2 tool_call echo in step 1>"]
    assert repr(echo) == "<Tool echo(text)>"
    assert repr(Agent("shown", model="openai/gpt-4o", tools=[echo])) == "<Agent shown (openai/gpt-4o, echo)>"


def test_a_result_travels_without_its_connection(finished: tuple[AgentHandle, AgentResult]) -> None:
    _, result = finished
    for twin in (pickle.loads(pickle.dumps(result)), copy.deepcopy(result)):
        assert twin == result
        assert twin.to_json() == result.to_json()
        assert HOSTILE in Parsed(twin._repr_html_()).text
    assert list(result.to_json()) == ["output", "execution_id", "status", "finish_reason", "steps", "usage", "intact"]


WAITING = """
import sys, time
from pathlib import Path
from agentspan.agents import Agent, run, tool

@tool
def gate() -> str:
    "Wait until the line was seen."
    while not Path("go-on").exists():
        time.sleep(0.05)
    return "open"

print(run(Agent("waiting", model=sys.argv[1], tools=[gate]), "Go.").output)
"""


@pytest.mark.parametrize("shown", [True, False], ids=["on", "off"])
def test_run_shows_on_a_terminal_what_it_waits_for(
    tmp_path: Path, conductor_url: str, model: Stage, shown: bool
) -> None:
    pty = pytest.importorskip("pty", reason="needs pseudo-terminals")
    (tmp_path / "waiting.py").write_text(WAITING)
    name = model.play([call("gate"), say("done")])
    settings = {"AGENTSPAN_SERVER_URL": conductor_url, "AGENTSPAN_PROGRESS": "1" if shown else "0"}
    reader, writer = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "waiting.py", name],
        cwd=tmp_path,
        env={**os.environ, **settings},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=writer,
    )
    os.close(writer)
    if not shown:
        (tmp_path / "go-on").touch()
    seen = bytearray()

    def read() -> None:
        while True:
            try:
                seen.extend(os.read(reader, 4096) or b"")
            except OSError:  # the end of a pseudo-terminal
                return
            if b"waiting  RUNNING  step 1 / 100" in seen and b"gate" in seen:
                (tmp_path / "go-on").touch()

    thread = threading.Thread(target=read)
    thread.start()
    out, _ = process.communicate(timeout=120)
    thread.join(timeout=10)
    os.close(reader)

    assert process.returncode == 0, bytes(seen)
    assert out == b"done\n"
    assert (b"waiting  RUNNING  step 1 / 100" in seen) == shown
    assert seen.endswith(b"\r\x1b[K") == shown
    if not shown:
        assert seen == b""
