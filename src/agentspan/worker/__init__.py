"""Serving tools: a worker host takes their calls from the server, runs them, and reports.

    thread           what it does                                   what it shares, and with whom
    poll             asks the queues, begins calls (`poller`)       `Calls`, `Served`
    watch            time limits, runs that stand still (`watch`)   `Calls`
    one per call     runs a sync call and reports it (`runner`)     `Calls`, `Outbox`
    async            the event loop of all async calls (`runner`)   `Calls`, `Outbox`
    leases           listens to the lease process (`leases`)        `Calls`

`Calls` and `Outbox` guard what they hold with a lock of their own; nothing else is shared.
"""

from agentspan.worker.host import WorkerHost

__all__ = ["WorkerHost"]
