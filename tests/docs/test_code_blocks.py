"""The documentation's code runs as it stands, on a real server; its commands exist."""

from __future__ import annotations

import inspect
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from agentspan.agents import AgentHandle, AgentRuntime
from agentspan.cli import main
from agentspan.runtime import serving
from agentspan.testing import ModelRequest, Reply, call, say, wait_until
from agentspan.testing.plugin import Stage

# Loaded before any page puts another `sys.modules` in place: what a thread imports then would be made of two halves.
from agentspan.worker import provider  # noqa: F401

from .conftest import PAGES, ROOT, Block, blocks, name_of

SERVER = "http://conductor:8080"
"""The server's address on the pages; replaced by the address of the session's."""

ELSEWHERE = {"docs/crash-and-resume.md"}  # tests/contract runs each of its blocks

ARGUMENTS: dict[str, dict[str, Any]] = {
    "stock_of": {"sku": "AB-1234"},
    "forecast": {"city": "Oslo", "days": 2},
    "charge": {"amount": 100},
    "place_order": {"sku": "AB-1234", "amount": 2},
    "goods_price": {"item": "bell"},
    "budget": {},
    "pay": {"amount": 100},
    "ask_owner": {"question": "Sure?"},
    "capital_of": {"country": "Norway"},
    "transfer_to_billing": {},
    "transfer_to_host": {},
    "geographer": {"request": "The capital of Norway?"},
    "fetch": {"url": "about:blank"},
    "run_command": {"command": "ls"},
    "look_up": {"word": "news"},
    "book": {"what": "train", "price": 40},
    "trains": {"request": "A train for 40."},
    "transfer_to_clerk": {},
    "note": {"what": "paid twice"},
}
ANSWERS = {
    "goods_price": "It costs 4 euros.",
    "stock_of": "There are 7 pieces.",
    "forecast": "Planned.",
    "charge": "Charged.",
    "pay": "Paid.",
    "capital_of": "Oslo.",
    "geographer": "In Oslo.",
    "run_command": "Listed.",
    "look_up": "Found.",
    "book": "Booked it.",
    "trains": "There is a train.",
    "note": "Noted it.",
    "transfer_to_billing": "You are welcome.",
}


def gpt(request: ModelRequest) -> Reply:
    """Calls each tool on offer once, then answers."""
    if (invoice := re.match(r"Invoice (\S+): (.*)", request.prompt)) is not None:
        lines = [{"what": "tea", "cents": 350}] if invoice[2].startswith("tea") else []
        return say(json.dumps({"number": invoice[1], "lines": lines}))
    if request.prompt == "Greet me loudly.":
        return say("HELLO!" if request.turn == 0 else "Hello.")
    offered = [tool.name for tool in request.tools]
    called = {asked.name for turn in request.messages for asked in turn.tool_calls}
    if request.body.get("tool_choice") == "none":
        return say("That is all there is.")
    left = [name for name in offered if name not in called]
    return call(left[0], ARGUMENTS[left[0]]) if left else say(ANSWERS[offered[0]] if offered else "Done.")


@pytest.fixture
def place(conductor_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to be in, with the session's server as the one to use."""
    shared: dict[Any, AgentRuntime] = {}
    monkeypatch.setattr("agentspan.runtime.shared._shared", shared)
    monkeypatch.setattr("agentspan.config._configured", {})
    monkeypatch.setattr(sys, "modules", sys.modules.copy())
    monkeypatch.setenv("AGENTSPAN_SERVER_URL", conductor_url)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = set(serving._serving)
    yield tmp_path
    for runtime in shared.values():
        runtime.shutdown(timeout=5)
    for left in set(serving._serving) - before:  # a page's own: it would serve agents of this name in other tests
        left.stop(timeout=5)


def with_python(page: Path) -> bool:
    return name_of(page) not in ELSEWHERE and any(block.runs for block in blocks(page, "python"))


@pytest.mark.parametrize("page", [page for page in PAGES if with_python(page)], ids=name_of)
@pytest.mark.usefixtures("place")
def test_the_python_of_a_page(
    page: Path,
    model: Stage,
    conductor_url: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The blocks of a page share their names, in order; a block that is marked as a file becomes that file."""
    model.play(gpt, name="gpt-4o")
    monkeypatch.setenv("LEDGER", "ledger of this process")
    monkeypatch.setenv("SHOP_TOKEN", "token of this process")
    monkeypatch.setenv("OPENAI_BASE_URL", model.server.openai_url)  # for models that a worker calls
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    names: dict[str, Any] = {"__name__": page.stem}
    for block in blocks(page, "python"):
        if block.mark.endswith(".py"):
            Path(block.mark).write_text(block.code, encoding="utf-8")
        elif block.runs:
            before = set(names)
            exec(compile(block.code.replace(SERVER, conductor_url), f"{name_of(page)}", "exec"), names)
            assert_printed(block, capsys.readouterr().out)
            for name in [name for name in names if name.startswith("test_") and name not in before]:
                wanted = inspect.signature(names[name]).parameters
                names[name](**{fixture: request.getfixturevalue(fixture) for fixture in wanted})
                request.getfixturevalue("runtime").shutdown()  # pytest would give each test its own


def assert_printed(block: Block, output: str) -> None:
    """Lines that begin with `#>` are what a block prints."""
    shown = [line[3:] for line in block.code.splitlines() if line.startswith("#> ")]
    assert [line.rstrip() for line in output.splitlines()] == shown


@pytest.mark.usefixtures("place")
def test_the_program_of_the_readme_survives(model: Stage, runtime: AgentRuntime) -> None:
    """Started, killed in the middle of a call, started again with the id that it printed."""

    def analyst(request: ModelRequest) -> Reply:
        return call("analyze_chunk", chunk_id=request.turn + 1) if request.turn < 4 else say("There are 30 complaints.")

    model.play(analyst, name="gpt-4o")
    (program,) = [block for block in blocks(ROOT / "README.md", "python") if block.mark == "survive.py"]
    Path("survive.py").write_text(program.code, encoding="utf-8")
    assert len([line for line in program.code.splitlines() if line.strip()]) <= 22
    command = [sys.executable, "survive.py"]
    running: list[int] = []

    def in_a_call() -> bool:
        """It may be the second one or a later one: the program and this test are not equally fast."""
        if "2 tool_call" not in Path("first").read_text():
            return False
        newest = AgentHandle(Path("first").read_text().split()[1], runtime).steps(1)[0]
        running[:] = [newest.number for call in newest.calls if call.attempts[-1].status == "running"]
        return bool(running)

    with Path("first").open("w+") as output, subprocess.Popen(command, stdout=output) as first:
        wait_until(in_a_call, "the second call")
        first.send_signal(signal.SIGKILL)
    begun = Path("first").read_text().splitlines()
    execution_id = begun[0].removeprefix("STARTED ")

    done = subprocess.run([*command, execution_id], capture_output=True, text=True, timeout=120, check=True)

    shown = done.stdout.splitlines()
    assert shown[: len(begun) - 1] == begun[1:], "the same events from the first one on"
    assert shown[-1] == "5 done There are 30 complaints."
    results = [line for line in shown if "tool_result" in line]
    assert results == [f"{n} tool_result {{'chunk_id': {n}, 'complaints': {3 * n}}}" for n in range(1, 5)]
    retried = [event.step for event in AgentHandle(execution_id, runtime).stream() if event.type == "tool_retry"]
    assert retried == running


def commands() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for block in blocks(page, "console", "bash"):
            lines = block.code.splitlines()
            typed = [line[2:] for line in lines if line.startswith("$ ")] or lines
            yield from ((name_of(page), line) for line in typed if re.match(r"(uv run )?agentspan\b", line))


ALL_COMMANDS = sorted(set(commands()))


@pytest.mark.parametrize(("page", "line"), ALL_COMMANDS, ids=[f"{page}: {line}" for page, line in ALL_COMMANDS])
def test_a_command_of_a_page_exists(page: str, line: str) -> None:
    """Each is a command with such arguments and options; it is not run."""
    words = shlex.split(line.removeprefix("uv run "), comments=True)
    command: click.Command | None = main
    context: click.Context | None = None
    rest = words[1:]
    while isinstance(command, click.Group):
        context = command.make_context(None, rest, parent=context)
        _, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
    assert command is not None, line
    command.make_context(None, rest, parent=context)


def test_the_readme_has_the_scenes_of_the_demo() -> None:
    """Its headings, and what it says without figures; tests/server/test_demo.py plays the whole."""
    sources = [*(ROOT / "src/agentspan/demo").glob("*.py"), ROOT / "src/agentspan/cli/demo.py"]
    source = "".join(path.read_text(encoding="utf-8") for path in sources)
    transcript = next(b.code for b in blocks(ROOT / "README.md", "console") if "agentspan demo" in b.code)
    scenes = re.findall(r"^[A-Z][A-Za-z ':.]+$", transcript, re.MULTILINE)

    assert len(scenes) == 6
    for scene in scenes:
        assert scene in source


@pytest.mark.skipif(os.name != "posix", reason="the commands are for a shell")
def test_uv_commands_name_what_the_project_has() -> None:
    typed = re.findall(r"^\$ uv run (\w+)", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)

    assert set(typed) == {"agentspan", "pytest"}
