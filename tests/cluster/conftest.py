"""What is here runs on a cluster, whatever `--conductor` says."""

from __future__ import annotations

import pytest

from tests.cli.test_cli_agent import app
from tests.cli.test_cli_operate import long_run, name
from tests.contract.conftest import processes, snippets
from tests.contract.test_contract import gpt
from tests.crash.conftest import ledger

from .cluster import Cluster

__all__ = ["app", "conductor_url", "gpt", "ledger", "long_run", "name", "processes", "snippets"]


@pytest.fixture(scope="module")
def conductor_url(cluster: Cluster) -> str:
    """Both nodes, the first one first."""
    return cluster.url
