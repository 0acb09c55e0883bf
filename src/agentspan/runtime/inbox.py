"""The inbox: what waits for a person, and the decisions on it, from any process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias, Unpack

from agentspan.control import decisions
from agentspan.declare.approval import Request
from agentspan.declare.budget import Extension
from agentspan.engine.client import Conductor
from agentspan.errors import Conflict, InputError
from agentspan.reading.events import Event
from agentspan.reading.requests import find_request, request_of, requests_of, waiting_requests
from agentspan.runtime import aio
from agentspan.runtime.budgets import Budgets

Which: TypeAlias = "Request | Event | str | None"
"""A request, its id, or the event that told of it."""


class Inbox(Budgets):
    """Requests of agents to people, by their ids; the agents' code is not needed."""

    client: Conductor

    def requests(self, *, agent: str | None = None, run: str | None = None) -> list[Request]:
        """The requests that wait now, oldest first.

        Args:
            agent: Only those of this agent.
            run: Only those of this run, of agents that it has called as well.

        Raises:
            NotFound: There is no such run.
        """
        if run is None:
            return list(waiting_requests(self.client, agent))
        return [found for found in requests_of(self.client, run) if agent in (None, found.agent)]

    def request(self, request_id: str) -> Request | None:
        """A request, decided or not; None where it is not asked yet, or its policy found no need to.

        Raises:
            NotFound: There is none of that id.
        """
        return request_of(find_request(self.client, request_id))

    def approve(self, request_id: str, *, args: Mapping[str, Any] | None = None, by: str | None = None) -> None:
        """Have a call made.

        Args:
            request_id: The request.
            args: Other arguments than the model's, all of them.
            by: Who decides, for who looks at it later.

        Raises:
            Conflict: It is decided already, or its run is over.
            InputError: The arguments do not fit the tool, or it is a question.
            NotFound: There is no such request.
        """
        decisions.approve(self.client, request_id, args=args, by=by)

    def reject(self, request_id: str, reason: str = "", *, by: str | None = None) -> None:
        """Have a call not made, leave a question without an answer, or end a run whose budget is used up.

        Args:
            request_id: The request.
            reason: Why; the model reads it.
            by: Who decides, for who looks at it later.

        Raises:
            Conflict: It is decided already, or its run is over.
            NotFound: There is no such request.
        """
        decisions.reject(self.client, request_id, reason, by=by)

    def answer(self, request_id: str, value: Any, *, by: str | None = None) -> None:
        """Answer a question.

        Args:
            request_id: The request.
            value: The answer, as JSON; it has to fit the type that the question has.
            by: Who answers, for who looks at it later.

        Raises:
            Conflict: It is answered already, or its run is over.
            InputError: It does not fit, or the request is an approval.
            NotFound: There is no such request.
        """
        decisions.answer(self.client, request_id, value, by=by)

    async def requests_async(self, *, agent: str | None = None, run: str | None = None) -> list[Request]:
        """The requests that wait now; see `requests`."""
        return await aio.in_thread(lambda: self.requests(agent=agent, run=run))

    async def approve_async(
        self, request_id: str, *, args: Mapping[str, Any] | None = None, by: str | None = None
    ) -> None:
        """Have a call made; see `approve`."""
        await aio.in_thread(lambda: self.approve(request_id, args=args, by=by))

    async def reject_async(self, request_id: str, reason: str = "", *, by: str | None = None) -> None:
        """Have a call not made; see `reject`."""
        await aio.in_thread(lambda: self.reject(request_id, reason, by=by))

    async def answer_async(self, request_id: str, value: Any, *, by: str | None = None) -> None:
        """Answer a question; see `answer`."""
        await aio.in_thread(lambda: self.answer(request_id, value, by=by))


class OwnRequests:
    """Requests of one run: each is meant by itself, by an event that tells of it, by its id, or as the only one."""

    execution_id: str
    runtime: Any

    def requests(self) -> list[Request]:
        """What people are asked now, in the order of the calls; of agents that this one has called as well.

        Raises:
            NotFound: The server has no such run.
        """
        inbox: Inbox = self.runtime
        return inbox.requests(run=self.execution_id)

    def approve(self, request: Which = None, *, args: Mapping[str, Any] | None = None, by: str | None = None) -> None:
        """Have a call made; see `AgentRuntime.approve`.

        Args:
            request: Which one: a request, its id, or the event that told of it; the only one there is unless given.
            args: Other arguments than the model's, all of them.
            by: Who decides.

        Raises:
            Conflict: It is decided already, nobody is asked, or several requests wait and none is named.
            InputError: The arguments do not fit the tool, or it is a question.
        """
        self.runtime.approve(self._meant(request), args=args, by=by)

    def reject(self, reason: str = "", request: Which = None, *, by: str | None = None) -> None:
        """Have a call not made; see `AgentRuntime.reject`.

        Args:
            reason: Why; the model reads it.
            request: Which one; the only one there is unless given.
            by: Who decides.

        Raises:
            Conflict: It is decided already, nobody is asked, or several requests wait and none is named.
        """
        self.runtime.reject(self._meant(request), reason, by=by)

    def respond(self, output: Any, request: Which = None, *, by: str | None = None) -> None:
        """Answer a question, or decide about a call by `{"approved": …, "reason": …}`.

        Args:
            output: The answer; of one that is no object also a dict with nothing else in it.
            request: Which one; the only one there is unless given.
            by: Who answers.

        Raises:
            Conflict: It is decided already, nobody is asked, or several requests wait and none is named.
            InputError: The answer does not fit.
        """
        meant = self._meant(request)
        found = self.runtime.request(meant)
        if found is None or found.kind == "question":
            only = found is not None and not found.takes_fields and isinstance(output, Mapping) and len(output) == 1
            self.runtime.answer(meant, next(iter(output.values())) if only else output, by=by)
        elif not isinstance(output, Mapping) or not isinstance(output.get("approved"), bool):
            raise InputError(
                f"Request {meant} is about a call of {found.tool}: a dict with approved decides it, not {output!r}",
                hint='Such as {"approved": False, "reason": "too much"}.',
            )
        elif output["approved"]:
            self.runtime.approve(meant, args=output.get("args"), by=by)
        else:
            self.runtime.reject(meant, str(output.get("reason") or ""), by=by)

    def extend(self, request: Which = None, *, by: str | None = None, **more: Unpack[Extension]) -> None:
        """Let the run use more than its budget; see `AgentRuntime.extend`.

        Args:
            request: Which one; the only one there is unless given.
            by: Who decides.
            **more: By how much each limit is extended: `cost=1.5`, `tokens=10_000`, ….

        Raises:
            Conflict: It is decided already, nobody is asked, or several requests wait and none is named.
            InputError: The budget has no such limit, or that is not enough.
        """
        self.runtime.extend(self._meant(request), by=by, **more)

    def finish(self, request: Which = None, *, by: str | None = None) -> None:
        """Have the run, whose budget is used up, end with an answer; see `AgentRuntime.finish`.

        Args:
            request: Which one; the only one there is unless given.
            by: Who decides.

        Raises:
            Conflict: It is decided already, nobody is asked, or several requests wait and none is named.
        """
        self.runtime.finish(self._meant(request), by=by)

    async def extend_async(self, request: Which = None, *, by: str | None = None, **more: Unpack[Extension]) -> None:
        """Let the run use more than its budget; see `extend`."""
        await aio.in_thread(lambda: self.extend(request, by=by, **more))

    async def finish_async(self, request: Which = None, *, by: str | None = None) -> None:
        """Have the run end with an answer; see `finish`."""
        await aio.in_thread(lambda: self.finish(request, by=by))

    async def approve_async(
        self, request: Which = None, *, args: Mapping[str, Any] | None = None, by: str | None = None
    ) -> None:
        """Have a call made; see `approve`."""
        await aio.in_thread(lambda: self.approve(request, args=args, by=by))

    async def reject_async(self, reason: str = "", request: Which = None, *, by: str | None = None) -> None:
        """Have a call not made; see `reject`."""
        await aio.in_thread(lambda: self.reject(reason, request, by=by))

    async def respond_async(self, output: Any, request: Which = None, *, by: str | None = None) -> None:
        """Answer a question; see `respond`."""
        await aio.in_thread(lambda: self.respond(output, request, by=by))

    def _meant(self, request: Which) -> str:
        if isinstance(request, str):
            return request
        if request is not None:
            found = request.id if isinstance(request, Request) else request.request_id
            if found is None:
                raise InputError(f"{request!r} tells of no request", hint="Events of type `waiting` may.")
            return found
        waiting = self.requests()
        if len(waiting) == 1:
            return waiting[0].id
        if not waiting:
            raise Conflict(
                f"Run {self.execution_id} asks nobody now.", hint="`get_status().waits` says what it waits for."
            )
        named = ", ".join(f"{each.id} ({each.tool})" for each in waiting)
        raise Conflict(
            f"Run {self.execution_id} has several requests: {named}", hint="Say which one is meant: request=…"
        )
