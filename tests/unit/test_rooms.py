"""The house stays easy to find one's way in: no module and no class grows beyond what one reads at a sitting."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import agentspan

PACKAGE = Path(agentspan.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
MOST_OF_A_MODULE, MOST_OF_A_CLASS = 400, 250


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_module_is_read_at_a_sitting(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    classes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef)]
    long = [node.name for node in classes if (node.end_lineno or 0) - node.lineno >= MOST_OF_A_CLASS]

    assert len(text.splitlines()) <= MOST_OF_A_MODULE
    assert not long
