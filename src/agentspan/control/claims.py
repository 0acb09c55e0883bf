"""Starting a run once for a key, however many processes ask.

Stock Conductor has no such start: `POST /workflow` ignores `idempotencyKey` (3.32.1, tried). What it has is an
atomic create: of many processes that register the same (workflow name, version), one succeeds. So a process first
claims the key by registering a definition of that name, then starts the run, then removes the claim. The runs of a
key are found by their correlation id, in the stored rows rather than in the index.

docs/decisions/0011-idempotent-start.md says what is left: a process that stands still for longer than `PATIENCE`
between its claim and its start.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from uuid import uuid4

from agentspan.engine.client import Conductor, Json
from agentspan.errors import Conflict, NotFound, ServerRejected, ServerUnreachable, Unauthorized
from agentspan.stored.names import OWNER

PATIENCE = 60.0
"""Seconds a claim may stand without a run before its process counts as dead and another takes over."""

SETTLED = 0.15
"""Seconds after which a claim is looked at again: on PostgreSQL two processes that create one definition in the same
moment may both be told that they did, because Conductor (3.32.1, read) checks twice and then updates.
The last one counts."""

_LOOK = 0.05
_GENERATIONS = 100


def start_once(client: Conductor, name: str, version: int, inputs: Json, key: str) -> str:
    """The run of this key: the one there is, or a new one.

    Raises:
        Conflict: A hundred processes in a row died between their claim and their start.
    """
    digest = hashlib.sha256(f"{name}\n{key}".encode()).hexdigest()
    for generation in range(1, _GENERATIONS + 1):
        claim = _claim(name, digest, generation)
        found = client.correlated(name, digest)
        if found:
            return found[0].workflow_id
        if client.create_workflow_definition(claim) and _is_stored(client, claim):
            run = _start_claimed(client, claim, name, version, {**inputs, "idempotency_key": key}, digest)
        else:
            run = _await_run(client, name, digest)
        if run is not None:
            return run
    raise Conflict(f"No process that claimed the key {key!r} of the agent {name} has started its run.")


def _is_stored(client: Conductor, claim: Json) -> bool:
    """Whether the claim is still the one that was made, after those of the same moment."""
    time.sleep(SETTLED)
    stored = client.workflow_definition(claim["name"], claim["version"])
    return stored is not None and stored.get("metadata") == claim["metadata"]


def _start_claimed(client: Conductor, claim: Json, name: str, version: int, inputs: Json, digest: str) -> str | None:
    # Between our look and our claim another process may have started the run and removed its claim.
    found = client.correlated(name, digest)
    run: str | None
    try:
        run = found[0].workflow_id if found else client.start_workflow(name, version, inputs, correlation_id=digest)
    except ServerUnreachable:  # a node of a cluster has died: what is lost may be the run, or only the answer
        run = _await_run(client, name, digest)
    except (NotFound, ServerRejected, Unauthorized) as error:  # no run; unless the server broke down over it
        if error.status is not None and error.status < 500:
            _remove(client, claim)
        raise
    if run is not None:
        _remove(client, claim)
    return run


def _remove(client: Conductor, claim: Json) -> None:
    with contextlib.suppress(NotFound):  # somebody tidied up
        client.delete_workflow_definition(claim["name"], claim["version"])


def _await_run(client: Conductor, name: str, digest: str) -> str | None:
    """The run that whoever has the claim starts; None when that takes too long."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = client.correlated(name, digest)
        if found:
            return found[0].workflow_id
        time.sleep(_LOOK)
    return None


def _claim(name: str, digest: str, generation: int) -> Json:
    return {
        "name": f"{name}.start.{digest[:32]}",
        "description": f"One process is about to start a run of {name}; it removes this afterwards.",
        "version": generation,
        "schemaVersion": 2,
        "ownerApp": OWNER,
        "ownerEmail": f"{OWNER}@localhost.localdomain",
        "timeoutSeconds": 0,
        "metadata": {"claimed_by": uuid4().hex},
        "tasks": [
            {
                "name": "claimed",
                "taskReferenceName": "claimed",
                "type": "TERMINATE",
                "inputParameters": {"terminationStatus": "COMPLETED"},
            }
        ],
    }
