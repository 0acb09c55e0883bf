"""The embedded server: a stock Conductor OSS server on this machine.

The server is one Java process with its data in one folder. `LocalServer` fetches it, starts it, says how it
is and stops it; nothing of this project runs inside it.
"""

from agentspan.server._local import LocalServer
from agentspan.server._progress import Progress
from agentspan.server._record import ServerState

__all__ = ["LocalServer", "Progress", "ServerState"]
