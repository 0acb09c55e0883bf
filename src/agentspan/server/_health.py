"""Is the server well, and is it warm?"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import requests

_POLL = 0.1

_WARM_UP: dict[str, Any] = {
    "name": "agentspan.warmup",
    "version": 1,
    "description": "Loads the JavaScript and JQ engines when the server starts; removed at once.",
    "schemaVersion": 2,
    "ownerEmail": "agentspan@localhost",
    "inputParameters": ["n"],
    "tasks": [
        {
            "name": "javascript",
            "taskReferenceName": "javascript",
            "type": "INLINE",
            "inputParameters": {
                "evaluatorType": "graaljs",
                "n": "${workflow.input.n}",
                "expression": "(function () { return [$.n].concat([{a: 1}]).map(JSON.stringify); })();",
            },
        },
        {
            "name": "jq",
            "taskReferenceName": "jq",
            "type": "JSON_JQ_TRANSFORM",
            "inputParameters": {
                "n": "${javascript.output.result}",
                "queryExpression": "[.n[] | tostring | select(. != null)] | length",
            },
        },
    ],
}


def read_health(url: str, timeout: float = 2.0) -> bool | None:
    """Return what the Conductor at `url` says about itself; None when no Conductor answers there."""
    try:
        with _directly() as session:
            return bool(session.get(f"{url}/health", timeout=timeout).json()["healthy"])
    except (requests.RequestException, ValueError, KeyError, TypeError):
        return None


def _directly() -> requests.Session:
    """A session that passes no proxy of the environment: the server is on this machine."""
    session = requests.Session()
    session.trust_env = False
    return session


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until `condition` holds; say whether it came to hold in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
    return True


def warm_up(url: str, seconds: float) -> bool:
    """Run a script and a query once, so that no user's first step pays for loading the engines.

    The definition travels with the start and is never registered; the execution is removed afterwards.

    Raises:
        requests.RequestException: The server did not do it.
    """
    with _directly() as session:
        start = {"name": _WARM_UP["name"], "version": 1, "workflowDef": _WARM_UP, "input": {"n": 1}}
        answer = session.post(f"{url}/api/workflow", json=start, timeout=seconds)
        answer.raise_for_status()
        address = f"{url}/api/workflow/{answer.text}"

        def over() -> bool:
            answer = session.get(address, params={"includeTasks": "false"}, timeout=seconds)
            answer.raise_for_status()
            return bool(answer.json()["status"] != "RUNNING")

        warm = wait_until(over, seconds)
        session.delete(f"{address}/remove", params={"archiveWorkflow": "false"}, timeout=seconds)
    return warm
