"""Calls that do not fit what is served here: of another version of the agent, or of runs that were begun elsewhere."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from agentspan.declare.tool import Tool
from agentspan.engine.records import TaskRecord, WorkflowRecord
from agentspan.schema.arguments import ArgumentError
from agentspan.schema.values import shown
from agentspan.stored.mark import without_mark
from agentspan.stored.notes import Mismatch, Notes
from agentspan.stored.request import ModelRequest
from agentspan.worker.call import Call, Json, Served

HANDED_ON = 2
"""Seconds until a call that does not fit one worker's version of the tool is handed to the next."""


def not_ours(task: TaskRecord, served: Served, worker_id: str, now: float) -> Json:
    """The note on a call that is handed back, because its run was not started here and the tool may hold values."""
    why = (
        f"The worker {worker_id} serves {served.tool.name} only for runs that it has started itself: the function was "
        "made for them, and may hold values of theirs. A worker that calls runtime.serve(agent) serves every run."
    )
    return _open(task.notes, int(now * 1000), why).to_json()


def mismatched(call: Call, run_version: int, error: ArgumentError, worker_id: str) -> Json:
    """The report of a call that is handed back, because the tool served here is not the one its run knows."""
    ours = call.served.version
    which = "an older" if ours < run_version else "a newer"
    why = (
        f"The worker {worker_id} serves {which} version of the tool: version {ours} of the agent, "
        f"the run has {run_version}. {error}"
    )
    notes = _open(call.task.notes, int(call.host.now() * 1000), shown(why, 1000))
    return {
        "status": "IN_PROGRESS",
        "callbackAfterSeconds": HANDED_ON,
        "outputData": {**call.task.output_data, **notes.to_json()},
    }


def _open(notes: Notes, now: int, why: str) -> Notes:
    """The notes with a call that no worker has taken since it was first handed back."""
    first = notes.mismatch or Mismatch(at=now, why=why, open=True)
    return replace(notes, mismatch=replace(first, open=True))


def is_another(segment: WorkflowRecord, tool: Tool[..., Any]) -> bool:
    """Whether the run's model was shown other parameters than the tool has: what they are, not how they are put."""
    shown_as = {spec["name"]: spec["inputSchema"] for spec in segment.input.get("tools", [])}
    told = without_mark(shown_as.get(tool.name))
    return bool(_bare(told) != _bare(json.loads(json.dumps(dict(tool.parameters)))))


def is_another_of_crew(run: WorkflowRecord, served: Served) -> bool:
    """The same of a run that agents hand over: its own definition tells what the model of each was shown.

    Args:
        run: The run; its tasks are not needed.
        served: The tool, of whichever agent.
    """
    request = ModelRequest.of(run.workflow_definition["metadata"]).agents[served.agent]
    told = next((spec["parameters"] for spec in request.tools if spec["name"] == served.tool.name), None)
    return bool(_bare(told) != _bare(json.loads(json.dumps(dict(served.tool.parameters)))))


def _bare(schema: Any) -> Any:
    if isinstance(schema, dict):
        texts = ("title", "description")
        return {key: _bare(value) for key, value in schema.items() if key not in texts or not isinstance(value, str)}
    return [_bare(item) for item in schema] if isinstance(schema, list) else schema
