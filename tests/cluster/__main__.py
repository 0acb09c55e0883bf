"""A cluster on this machine, until Ctrl-C:

    python -m tests.cluster [--nodes 2] [--model-port PORT]

prints one line of JSON: `server_url` as clients take it, and each node's address, process and folder. With the port of
a scripted model the OpenAI and Anthropic addresses point there, as `python -m agentspan.testing.model` serves it.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading

from agentspan.server._providers import model_settings

from .cluster import NoPostgres, cluster


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.cluster", description="Start nodes of the real server on PostgreSQL.")
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--model-port", type=int, help="of a scripted model; else the environment's keys are used")
    chosen = parser.parse_args()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    try:
        with cluster(_models(chosen.model_port), chosen.nodes) as started:
            nodes = [{"url": node.url, "pid": node.pid, "folder": str(node.folder)} for node in started.nodes]
            print(json.dumps({"server_url": started.url, "nodes": nodes}), flush=True)
            ended.wait()
    except NoPostgres as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _models(port: int | None) -> dict[str, str]:
    if port is None:
        return model_settings(os.environ, {})
    base = f"http://127.0.0.1:{port}"
    return model_settings({}, {"openai": f"{base}/v1", "anthropic": base})


if __name__ == "__main__":
    raise SystemExit(main())
