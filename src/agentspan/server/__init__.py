"""The embedded server: a stock Conductor OSS server on this machine.

The server is one Java process with its data in one folder. `LocalServer` fetches it, starts it, says how it
is and stops it; nothing of this project runs inside it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from agentspan.server._progress import STARTING, Progress

if TYPE_CHECKING:
    from agentspan.server._local import LocalServer
    from agentspan.server._record import ServerState

__all__ = ["STARTING", "LocalServer", "Progress", "ServerState"]

# They need the extra `server`, and what it brings takes a moment to load.
_LATE = {"LocalServer": "agentspan.server._local", "ServerState": "agentspan.server._record"}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATE[name]), name)
