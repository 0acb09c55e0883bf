"""The attempts of a call before this one."""

from __future__ import annotations

import logging

from agentspan.engine.client import Conductor
from agentspan.errors import NotFound, ServerError
from agentspan.worker.call import Call
from agentspan.worker.outbox import pause_after

log: logging.Logger = logging.getLogger("agentspan.worker")


def look_back(client: Conductor, call: Call) -> None:
    """Count what dead workers' attempts have failed: the engine does not hand their notes on."""
    before = call.task.retried_task_id
    counts = True  # until the run ended by a try, and was retried: that is a beginning
    trouble = 0
    while before is not None:
        try:
            attempt = client.task(before)
        except NotFound:
            return
        except ServerError as error:
            log.debug("The earlier attempt of %s cannot be read yet: %s", call, error)
            trouble = pause_after(trouble)
            continue
        failures = attempt.notes.failures
        counts = counts and not (failures and failures[-1].final)
        call.earlier_failures += len(failures) if counts else 0
        call.earlier_tokens += [failure.tokens for failure in failures if failure.tokens]
        before = attempt.retried_task_id
