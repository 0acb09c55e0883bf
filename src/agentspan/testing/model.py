"""The scripted model in a process of its own.

    python -m agentspan.testing.model tests.scripts:research --port 8123

serves the script `research`, a function or a list, found in the module `tests.scripts`. It prints one line
of JSON with its URLs when it is ready, and runs until it gets SIGTERM or SIGINT. The exit status is 1 when
the script failed or a request was refused on its way.
"""

from __future__ import annotations

import argparse
import importlib
import json
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType
from typing import Any

from agentspan.testing._conversation import ModelRequest, OfferedTool, ToolCall, ToolResult, Turn
from agentspan.testing._replies import Reply, call, calls, fail, hang, say
from agentspan.testing._scripted import Script, ScriptedModel

__all__ = [
    "ModelRequest",
    "OfferedTool",
    "Reply",
    "Script",
    "ScriptedModel",
    "ToolCall",
    "ToolResult",
    "Turn",
    "call",
    "calls",
    "fail",
    "hang",
    "load_script",
    "main",
    "say",
]


def load_script(path: str) -> Any:
    """Import the script that `module:name` names.

    Raises:
        ValueError: The path is not of that form.
    """
    module, colon, name = path.partition(":")
    if not (module and colon and name):
        raise ValueError(f"{path!r} does not name a script; write it as module:name")
    return getattr(importlib.import_module(module), name)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve a script until a signal comes."""
    parser = argparse.ArgumentParser(prog="agentspan.testing.model", description="Serve a scripted model.")
    parser.add_argument("script", help="module:name of a function or a list of replies")
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument("--keep", type=int, default=0, help="how many requests to keep in memory")
    chosen = parser.parse_args(arguments)
    ended = _signalled()
    model = ScriptedModel(load_script(chosen.script), port=chosen.port, keep=chosen.keep).start()
    sys.stdout.write(json.dumps({"port": model.port, **model.model_urls}) + "\n")
    sys.stdout.flush()
    ended.wait()
    model.stop()
    return 1 if model.errors else 0


def _signalled() -> threading.Event:
    ended = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    return ended


if __name__ == "__main__":
    raise SystemExit(main())
