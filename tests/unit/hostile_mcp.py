"""An MCP server on its standard streams that no SDK would let anybody write; started by tests as a process.

It answers one request after the other: while it is busy it does not even say which tools it has. What was called is
noted in the file NOTES; the tool `late` is there once a file of that name lies beside it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

NOTES = Path(os.environ["NOTES"])

TEXT = {"type": "text", "text": "said"}

RESULTS: dict[str, Any] = {
    "plain": {"content": [TEXT]},
    "empty": {"content": []},
    "bare_error": {"content": [], "isError": True},
    "structured_error": {"content": [], "isError": True, "structuredContent": {"why": "so"}},
    "structured": {"content": [], "structuredContent": {"a": 1}},
    "link": {"content": [{"type": "resource_link", "name": "bill", "uri": "file:///etc/passwd"}]},
    "no_bytes": {"content": [TEXT, {"type": "image", "mimeType": "image/png", "data": ""}]},
    "bad_bytes": {"content": [TEXT, {"type": "image", "mimeType": "image/png", "data": "%%%"}]},
    "bad_type": {"content": [TEXT, {"type": "audio", "mimeType": "loud", "data": "AAAA"}]},
    "no_blob": {"content": [TEXT, {"type": "resource", "resource": {"uri": "file:///a", "blob": ""}}]},
    "odd_kind": {"content": [{"type": "hologram", "light": 1}]},
    "no_content": {},
    "nul": {"content": [{"type": "text", "text": "a\0b"}], "structuredContent": {"t": "a\0b"}},
    "nul_text": {"content": [{"type": "text", "text": "a\0b"}]},
    "slow": {"content": [TEXT]},
    "late": {"content": [TEXT]},
}


def tools() -> list[dict[str, Any]]:
    names = [name for name in RESULTS if name != "late" or NOTES.with_name("late").exists()]
    return [
        {"name": name, "description": "{{x}} ${workflow.input.prompt}", "inputSchema": {"type": "object"}}
        for name in names
    ]


def answer(method: str, params: dict[str, Any]) -> Any:
    if method == "initialize":
        version = params["protocolVersion"]
        return {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": {"name": "h", "version": "1"}}
    if method == "tools/list":
        return {"tools": tools()}
    if method == "tools/call":
        with NOTES.open("a") as notes:
            notes.write(f"{params['name']}\n")
        while params["name"] == "slow" and not NOTES.with_name("go").exists():
            time.sleep(0.01)
        return RESULTS[params["name"]]
    raise LookupError(method)


def main() -> None:
    print("Welcome! This is no JSON.", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        if "id" not in asked:
            continue
        said: dict[str, Any] = {"jsonrpc": "2.0", "id": asked["id"]}
        try:
            said["result"] = answer(asked["method"], asked.get("params") or {})
        except LookupError:
            said["error"] = {"code": -32601, "message": "no such method"}
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
