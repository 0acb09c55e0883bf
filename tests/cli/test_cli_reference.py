"""The reference in cli/ is that of the commands there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentspan.cli._reference import pages

FOLDER = Path(__file__).parents[2] / "cli"
PAGES = pages()


def test_there_is_a_page_for_each_noun_and_no_other() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_current(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == PAGES[name], (
        "Make it anew: uv run python -m agentspan.cli._reference cli"
    )
