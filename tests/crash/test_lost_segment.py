"""A server that dies in the very moment in which it starts a segment."""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from agentspan.agents import Agent, AgentHandle, AgentRuntime, tool
from agentspan.server import LocalServer
from agentspan.testing import call, say, wait_until
from agentspan.testing.plugin import Stage

from .conftest import explained, kill, restart


def lose_the_start(database: Path, run: str, *, begun: bool) -> None:
    """Store what a kill in that moment leaves, as it was seen after a random one: no random kill can be waited for."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        rows = connection.execute("SELECT json_data FROM task WHERE json_data LIKE ?", (f'%"{run}"%',)).fetchall()
        tasks = (json.loads(row[0]) for row in rows)
        task = next(t for t in tasks if t["taskType"] == "SUB_WORKFLOW" and t["status"] == "IN_PROGRESS")
        segment = task.pop("subWorkflowId")
        lost = {**task, "status": "SCHEDULED", "outputData": {}}
        connection.execute("UPDATE task SET json_data = ? WHERE task_id = ?", (json.dumps(lost), task["taskId"]))
        connection.execute(
            "INSERT INTO queue_message (queue_name, message_id, deliver_on, priority, popped, offset_time_seconds) "
            "VALUES ('SUB_WORKFLOW', ?, datetime('now', '+1 hour'), 0, 1, 3600)",
            (task["taskId"],),
        )
        if not begun:
            tasks = "(SELECT task_id FROM workflow_to_task WHERE workflow_id = ?)"
            for table, column in (
                ("queue_message", "message_id"),
                ("task_in_progress", "task_id"),
                ("task", "task_id"),
            ):
                connection.execute(f"DELETE FROM {table} WHERE {column} IN {tasks}", (segment,))
            connection.execute("DELETE FROM queue_message WHERE message_id = ?", (segment,))
            for table in ("workflow_to_task", "workflow_pending", "workflow_def_to_workflow", "workflow"):
                connection.execute(f"DELETE FROM {table} WHERE workflow_id = ?", (segment,))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("begun", [False, True])
def test_a_segment_whose_start_was_lost_with_the_server_is_brought_back(
    server: LocalServer, model: Stage, begun: bool
) -> None:
    """The second of three segments, so that readers have to find the one before it and the one after."""
    numbers = list(range(1, 20))
    entered, go_on = threading.Event(), threading.Event()

    @tool
    def answer(number: int) -> int:
        """Give the number."""
        if number == 10:
            entered.set()
            assert go_on.wait(120)
        return number

    name = model.play([*(call("answer", number=number) for number in numbers), say("done")])
    agent = Agent("lost", model=name, tools=[answer])
    with AgentRuntime(server.url) as runtime:
        handle = runtime.start(agent, "Go.")
        wait_until(entered.is_set, "the tenth call")
        kill(server)
        lose_the_start(server.data_dir / "conductor.db", handle.execution_id, begun=begun)
        restart(server)
        go_on.set()
        with explained(runtime, handle.execution_id):
            assert handle.result(timeout=120).output == "done"

        events = list(AgentHandle(handle.execution_id, runtime).stream())
        assert [event.result for event in events if event.type == "tool_result"] == numbers
        assert [event.step for event in events if event.type == "step"] == [*numbers, len(numbers) + 1]
