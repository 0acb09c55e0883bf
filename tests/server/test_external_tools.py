"""Tools that workers in other languages serve: those of the documentation, and one that speaks HTTP by hand."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from agentspan.agents import Agent, AgentRuntime, Retry, tool
from agentspan.testing import call, calls, say, wait_until
from agentspan.testing.plugin import Stage

PAGE = (Path(__file__).parents[2] / "docs" / "other-languages.md").read_text(encoding="utf-8")


@tool(external=True, timeout=30)
def stock_of(sku: str) -> int:  # type: ignore[empty-body]
    """How many pieces of an article are in stock."""


@tool
def double(number: int) -> int:
    """Twice a number."""
    return 2 * number


def code(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def command(language: str, folder: Path) -> list[str]:
    program = {"js": "node", "go": "go"}[language]
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"needs {program}")
    path = folder / {"js": "stock.mjs", "go": "stock.go"}[language]
    path.write_text(code(language), encoding="utf-8")
    if language == "js":
        return [found, str(path)]
    environ = {**os.environ, "GOCACHE": str(folder / "cache"), "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local"}
    binary = folder / "stock"
    subprocess.run([found, "build", "-o", binary, path], check=True, cwd=folder, env=environ, timeout=250)
    return [str(binary)]


@contextmanager
def running(words: list[str], url: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(words, env={**os.environ, "CONDUCTOR_SERVER_URL": url}) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.timeout(300)  # Go compiles its standard library first
@pytest.mark.parametrize(("language", "place"), [("js", "server"), ("js", "worker"), ("go", "server")])
def test_a_worker_of_the_documentation(
    runtime: AgentRuntime, model: Stage, tmp_path: Path, language: str, place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    monkeypatch.setenv("OPENAI_BASE_URL", model.server.openai_url)
    words = command(language, tmp_path)
    both = calls(call("stock_of", sku="no-such"), call("double", number=4))
    played = model.play([call("stock_of", sku="AB-1234"), both, say("Seven.")])
    agent = Agent("depot", model=played, tools=[stock_of, double], model_place=place)

    with running(words, runtime.settings.server_url):
        handle = runtime.start(agent, "How many?")
        assert handle.result(timeout=60).output == "Seven."

    first, second, _ = handle.steps()
    assert first.calls[0].result == 7
    assert [(made.result, made.error) for made in second.calls] == [(None, "There is no article no-such."), (8, None)]


def asked(url: str, method: str, path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(f"{url}/api{path}", data, {"Content-Type": "application/json"}, method=method)) as answer:
        text = answer.read().decode()
    return json.loads(text) if text.startswith(("[", "{")) else text


def test_failures_are_tried_again_and_then_told(runtime: AgentRuntime, model: Stage) -> None:
    @tool(external=True, retry=Retry(2, delay=0))
    def weigh(sku: str) -> int:  # type: ignore[empty-body]
        """Weigh an article."""

    agent = Agent("scales", model=model.play([call("weigh", sku="AB"), say("Too heavy.")]), tools=[weigh])
    url, over = runtime.settings.server_url, threading.Event()
    polled: list[Any] = []

    def serve() -> None:
        while not over.is_set():
            for task in asked(url, "GET", "/tasks/poll/batch/scales.weigh?workerid=scales&count=1&timeout=100"):
                polled.append(task)
                failed = {"status": "FAILED", "reasonForIncompletion": "It is broken.", "workerId": "scales"}
                asked(url, "POST", "/tasks", {**failed, **{key: task[key] for key in ("taskId", "workflowInstanceId")}})

    worker = threading.Thread(target=serve)
    worker.start()
    try:
        handle = runtime.start(agent, "Weigh.")
        assert handle.result(timeout=60).output == "Too heavy."
    finally:
        over.set()
        worker.join()
    assert len(polled) == 2
    assert polled[0]["inputData"]["args"] == {"sku": "AB"}
    (made,) = handle.steps()[0].calls
    assert "It is broken." in str(made.error)
    assert len(made.attempts) == 2


def test_nobody_here_serves_it(runtime: AgentRuntime, model: Stage) -> None:
    agent = Agent("depot_empty", model=model.play([call("stock_of", sku="AB-1234")]), tools=[stock_of])
    assert not agent.needs_worker
    handle = runtime.start(agent, "How many?")
    wait_until(lambda: bool(handle.get_status().missing_workers), "the missing worker to be noticed")
    assert handle.get_status().missing_workers[0].task_name == "depot_empty.stock_of"
    handle.cancel()
