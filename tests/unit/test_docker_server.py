"""What `--conductor=docker` says where there is no Docker; the rest needs an engine: docs/testing.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentspan.testing._docker import docker_server


def test_docker_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(Exception, match="docker: not found"), docker_server("docker compose", tmp_path, {}):
        raise AssertionError("it has started")

    assert [path.name for path in tmp_path.iterdir()] == ["compose.yaml"], "no settings are left behind"
