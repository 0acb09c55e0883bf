"""The pages hold together: links lead somewhere, tests that are named exist, nothing is left out of the index."""

from __future__ import annotations

import ast
import re
import unicodedata
from pathlib import Path

import pytest

from .conftest import PAGES, ROOT, files, name_of

_FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(?P<title>.+)$", re.MULTILINE)


def prose(page: Path) -> str:
    return _FENCED.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The ids that GitHub gives to headings."""
    titles = [re.sub(r"[`*]|\]\([^)]*\)|\[", "", found["title"]) for found in _HEADING.finditer(prose(page))]
    return {re.sub(r"[^\w\- ]", "", unicodedata.normalize("NFC", title).lower()).replace(" ", "-") for title in titles}


def links(page: Path) -> list[str]:
    found = [match["target"] for match in _LINK.finditer(prose(page))]
    return [target for target in found if not target.startswith(("http://", "https://"))]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for target in links(page):
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        assert there.is_relative_to(ROOT), target
        if anchor:
            assert anchor in anchors(there), target


def test_the_index_names_every_page() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / target.partition("#")[0]).resolve() for target in links(index)}

    pages = {page for page in PAGES if page.is_relative_to(ROOT / "docs")} - {index}
    assert {name_of(page) for page in pages - linked} == set()


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = [path.name[:4] for path in sorted((ROOT / "docs/decisions").glob("*.md"))]

    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]
    for path in (ROOT / "docs/decisions").glob("*.md"):
        headings = _HEADING.findall(prose(path))
        assert headings[0].startswith(path.name[:4])
        assert headings[1:] == ["Context", "Choice", "Evidence", "Consequences"]


def test_the_code_speaks_of_pages_that_exist() -> None:
    for path in files():
        if path.suffix in (".py", ".jq", ".toml", ".properties"):
            for mentioned in re.findall(r"docs/[\w/.-]+\.md", path.read_text(encoding="utf-8")):
                assert (ROOT / mentioned).exists(), f"{name_of(path)} speaks of {mentioned}"


def functions_in(path: Path) -> set[str]:
    return {node.name for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_tests_that_are_named_exist(page: Path) -> None:
    for name, function in re.findall(r"`(?:tests/)?([\w/]+\.py)::(\w+)`", prose(page)):
        assert function in functions_in(ROOT / "tests" / name), f"{name}::{function}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_that_are_named_exist(page: Path) -> None:
    for name in re.findall(r"`((?:tests|src|examples|docs|workflow_defs)/[\w/.-]*)`", prose(page)):
        assert (ROOT / name).exists(), name


def test_every_guarantee_has_a_test() -> None:
    text = (ROOT / "docs/guarantees.md").read_text(encoding="utf-8")
    for section in text.split("\n## ")[1:]:
        assert "::test_" in section or section.startswith("What is not promised"), section.partition("\n")[0]


def test_the_glossary_explains_each_word_once() -> None:
    rows = re.findall(r"^\| ([^|]+?) +\|", (ROOT / "docs/glossary.md").read_text(encoding="utf-8"), re.MULTILINE)
    words = [word for row in rows[1:] if not row.startswith("---") for word in row.split(", ")]

    assert len(words) == len(set(words))


# In two pieces, so that this file does not hold what it looks for.
HOSTS = ["repo1.ma" + "ven.org", "repo.ma" + "ven.apache.org", "central.sona" + "type", "py" + "pi.org"]
HOSTS += ["pythonho" + "sted.org", "registry.np" + "mjs", "dock" + "er.io", "gh" + "cr.io", "proxy.go" + "lang.org"]
PATHS = ["/wor" + "k/", "/roo" + "t/"]


def test_the_repository_names_no_registry_and_no_machine() -> None:
    found = []
    for path in files():
        text = path.read_bytes().decode(errors="replace")
        found += [f"{name_of(path)}: {word}" for word in HOSTS + PATHS if word in text]

    assert found == []
