"""What is here runs on a cluster, whatever `--conductor` says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.conftest import processes, snippets
from tests.crash.conftest import Ledger

from .cluster import Cluster

__all__ = ["conductor_url", "ledger", "processes", "snippets"]


@pytest.fixture(scope="module")
def conductor_url(cluster: Cluster) -> str:
    """Both nodes, the first one first."""
    return cluster.url


@pytest.fixture
def ledger(tmp_path: Path, conductor_url: str) -> Ledger:
    return Ledger(tmp_path / "ledger.jsonl", conductor_url)
