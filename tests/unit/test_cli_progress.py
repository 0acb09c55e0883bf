"""What a start shows while it lasts."""

from __future__ import annotations

import sys

import pytest

from agentspan.cli._progress import show_progress

HOME, UP = "\r\x1b[J", "\r\x1b[1A\x1b[J"


def go_through_a_start() -> None:
    with show_progress() as show:
        show("downloading the server", 1_000_000, 400_000_000)
        show("downloading the server", 1_000_001, 400_000_000)
        show("downloading the server", 9_000_000, 400_000_000)
        show("unpacking the server")


def test_on_a_terminal_one_line_changes_and_is_gone_at_the_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)

    go_through_a_start()

    assert capsys.readouterr().err == (
        f"{HOME}downloading the server: 1 of 400 MB\n"
        f"{UP}downloading the server: 9 of 400 MB\n"
        f"{UP}unpacking the server …\n"
        f"{UP}"
    )


def test_elsewhere_each_stage_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    go_through_a_start()

    assert capsys.readouterr().err == "downloading the server …\nunpacking the server …\n"
