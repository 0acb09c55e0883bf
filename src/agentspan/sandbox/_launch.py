"""A program of its own: starts one command under limits, and ends all of it when nobody waits for it any more.

It is run by its path, so it imports nothing of this package. It stands between the worker and the command because
limits are set in the process that then becomes the command, and a worker with threads must run no Python there; and
because it outlives a worker that is killed, by the moment that it takes to end the command.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from typing import Any, NoReturn

NEW_USER, NEW_PROCESSES, NEW_NETWORK = 0x10000000, 0x20000000, 0x40000000
"""Of Linux's <sched.h>: what `unshare` makes anew."""


def main() -> NoReturn:
    """Start what argv[1] orders, wait for its end, and end like it."""
    order = json.loads(sys.argv[1])
    child = os.fork()
    if child == 0:
        _become(order)
    threading.Thread(target=_watch, args=(order,), daemon=True).start()
    _end_like(child)


def _end_like(child: int) -> NoReturn:
    _, ended = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(ended)
    os._exit(code if code >= 0 else 128 - code)


def _watch(order: dict[str, Any]) -> None:
    """End everything once the other end of the lifeline is closed: by the worker, or by its death."""
    os.read(order["lifeline"], 1)
    if order["ending"]:
        subprocess.run(order["ending"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False, timeout=20)
    os.killpg(0, signal.SIGKILL)


def _become(order: dict[str, Any]) -> NoReturn:
    try:
        os.set_inheritable(order["trouble"], False)
        os.close(order["lifeline"])
        _limit(order["limits"])
        if order["apart"] or not order["network"]:
            _go_apart(network=order["network"])
        os.execv(order["command"][0], order["command"])
    except (OSError, ValueError) as error:
        os.write(order["trouble"], str(error).encode())
    finally:
        os._exit(127)


def _limit(limits: dict[str, int]) -> None:
    for name, most in limits.items():
        which = getattr(resource, name)
        hard = resource.getrlimit(which)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(which, (most, most))


def _go_apart(*, network: bool) -> None:
    """See no other processes' insides, send them no signals, and have no network; the last one is not to be missed."""
    user, group = os.getuid(), os.getgid()
    unshare = getattr(ctypes.CDLL(None, use_errno=True), "unshare", None)
    kinds = NEW_USER | NEW_PROCESSES | (0 if network else NEW_NETWORK)
    if unshare is None or unshare(kinds) != 0:
        if network:
            return
        why = os.strerror(ctypes.get_errno()) if unshare else "this system has no such thing"
        raise OSError(
            f"a process cannot be kept from the network here ({why}); "
            "it wants a container, or ProcessLimits(network=True)"
        )
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)
    if (child := os.fork()) != 0:  # the first process of the new kind; with it all others end
        _end_like(child)


if __name__ == "__main__":
    main()
