"""Tools of an MCP server that answers what the protocol does not allow, or what nobody would wish for."""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from agentspan.agents import Tool, ToolFailed, mcp_tool
from agentspan.remote import _mcp_client
from agentspan.schema.values import why_not_carried
from agentspan.testing import wait_until


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    (tmp_path / "late").touch()
    return tmp_path / "notes"


@pytest.fixture
def tools(notes: Path) -> dict[str, Tool[..., Any]]:
    command = [sys.executable, str(Path(__file__).with_name("hostile_mcp.py"))]
    return {each.name: each for each in mcp_tool(command=command, env={"NOTES": str(notes)}, name="hostile")}


def given(tool: Tool[..., Any]) -> Any:
    return asyncio.run(tool())


def called(notes: Path) -> list[str]:
    return notes.read_text().splitlines() if notes.exists() else []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("plain", "said"),
        ("empty", ""),
        ("structured", {"a": 1}),
        ("link", "bill: file:///etc/passwd"),
        ("no_bytes", "said\n[an empty file, image/png]"),
        ("bad_bytes", "said\n[a file that cannot be shown: Image: base64 is no base64: "),
        ("bad_type", "said\n[a file that cannot be shown: File: media_type is such as 'image/png', not 'loud'"),
        ("no_blob", "said\n[an empty file, application/octet-stream]"),
        ("nul", "a\ufffdb"),
        ("nul_text", "a\ufffdb"),
    ],
)
def test_what_a_call_has_given_is_not_lost(
    tools: dict[str, Tool[..., Any]], notes: Path, name: str, value: Any
) -> None:
    found = given(tools[name])
    assert found.startswith(value) if isinstance(value, str) else found == value
    assert why_not_carried(found) is None
    assert called(notes) == [name]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("bare_error", "The MCP server hostile says that the call failed."),
        ("structured_error", '{"why": "so"}'),
        ("odd_kind", "The MCP server hostile "),
        ("no_content", "The MCP server hostile "),
    ],
)
def test_a_call_that_was_answered_wrongly_is_not_made_again(
    tools: dict[str, Tool[..., Any]], notes: Path, name: str, words: str
) -> None:
    with pytest.raises(ToolFailed, match=words):
        given(tools[name])
    assert called(notes) == [name]
    assert given(tools["plain"]) == "said", "the session is as it was"


def test_a_server_that_is_busy_is_not_ended(
    tools: dict[str, Tool[..., Any]], notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert given(tools["plain"]) == "said"
    monkeypatch.setattr(_mcp_client, "FRESH", 0.0)
    monkeypatch.setattr(_mcp_client, "CONNECT", 0.2)
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(given, tools["slow"])
        wait_until(lambda: "slow" in called(notes), "the slow call to be made")
        beside = pool.submit(given, tools["plain"])
        with pytest.raises(TimeoutError):
            beside.result(1)
        notes.with_name("go").touch()
        assert (slow.result(30), beside.result(30)) == ("said", "said")
    assert called(notes) == ["plain", "slow", "plain"]


def test_a_tool_that_comes_back_is_found(tools: dict[str, Tool[..., Any]], notes: Path) -> None:
    notes.with_name("late").unlink()
    assert given(tools["plain"]) == "said"
    with pytest.raises(ToolFailed, match="no longer has the tool late"):
        given(tools["late"])
    notes.with_name("late").touch()
    assert given(tools["late"]) == "said"
