"""A contestant's process: reads commands as lines of JSON, answers each with its value and its duration."""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from typing import Any

MODULES = {"agentspan": "ours", "peer": "peer", "floor": "floor"}


def answer_to(contestant: Any, line: str) -> dict[str, Any]:
    """Do what a line asks for."""
    asked = json.loads(line)
    begun = time.perf_counter()
    try:
        value = getattr(contestant, asked["command"])(**asked["arguments"])
    except Exception as error:  # noqa: BLE001 - whatever it is, it belongs into the table
        return {"error": f"{type(error).__name__}: {error}"[:300]}
    return {"value": value, "seconds": time.perf_counter() - begun}


def main() -> None:
    """Serve commands until the input ends."""
    name, url = sys.argv[1:]
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # what libraries print goes into the log
        # The peer and agentspan must not load each other's packages.
        module = importlib.import_module(f"benchmarks.contestants.{MODULES[name]}")
        contestant = module.Contestant(url)
        try:
            for line in sys.stdin:
                print(json.dumps(answer_to(contestant, line)), file=answers, flush=True)
        finally:
            contestant.close()


if __name__ == "__main__":
    main()
