"""The engine's floor: the least that does a model call and a tool call per turn, and a bare loop that polls.

A workflow has eight turns, each an LLM_CHAT_COMPLETE and a SIMPLE task; there is no transcript, no decision about
what the model said, no fork. When its turns are used up, the loop starts the next one.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import httpx

from benchmarks.contestants import AgentSpec
from benchmarks.model import MODEL
from benchmarks.plan import work

TURNS = 8
"""Turns of a workflow; the decisions of a longer one load more."""

PAUSE = 0.005
"""Seconds between polls that found nothing: more of them take the server's time, fewer find a task late."""

TASK = "floor_work"
LOOP, PLAIN = "floor", "floor_plain"

_TOOL = {
    "name": "work",
    "type": "SIMPLE",
    "description": "Do the work of one step.",
    "inputSchema": {"type": "object", "properties": {"number": {"type": "integer"}}, "required": ["number"]},
    "selfDescribing": True,
}


class Contestant:
    """One connection for callers, one for the loop that polls."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=f"{url}/api", timeout=60)
        self._worker = httpx.Client(base_url=f"{url}/api", timeout=60)
        self._stopping = threading.Event()
        self._polling: threading.Thread | None = None

    def close(self) -> None:
        """Stop polling."""
        self._stopping.set()
        if self._polling:
            self._polling.join(5)

    def serve(self, agent: dict[str, Any]) -> None:
        task = {"name": TASK, "ownerEmail": "floor@localhost.localdomain", "retryCount": 0, "timeoutSeconds": 0}
        self._call("POST", "/metadata/taskdefs", json=[{**task, "responseTimeoutSeconds": 60}])
        turns = [task for turn in range(1, TURNS + 1) for task in _turn(turn)]
        self._call("PUT", "/metadata/workflow", json=[_workflow(LOOP, turns), _workflow(PLAIN, [_llm(1, tools=[])])])
        if self._polling is None and AgentSpec(**agent).tools:
            self._polling = threading.Thread(target=self._poll, daemon=True)
            self._polling.start()

    def start(self, agent: dict[str, Any], prompt: str, **_: Any) -> str:
        name = LOOP if AgentSpec(**agent).tools else PLAIN
        return self._begin(self._http, name, prompt, previous="Begin.")

    def run(self, agent: dict[str, Any], prompt: str) -> str:
        execution_id = self.start(agent, prompt)
        while True:
            run = self._call("GET", f"/workflow/{execution_id}", params={"includeTasks": False}).json()
            if run["status"] != "RUNNING":
                return str(run["status"])
            time.sleep(PAUSE)

    def _poll(self) -> None:
        while not self._stopping.is_set():
            found = self._worker.get(f"/tasks/poll/batch/{TASK}", params={"count": 1, "timeout": 0}).json()
            if found:
                self._serve_one(found[0])
            else:
                time.sleep(PAUSE)

    def _serve_one(self, task: dict[str, Any]) -> None:
        """Run a task and report it.

        The engine could answer a report with the next task, but waits up to 100 ms for one when there is none yet.
        """
        given = task["inputData"]
        if not given.get("args"):  # the model has answered; nothing is left to do
            self._worker.delete(f"/workflow/{task['workflowInstanceId']}")
            return
        asked = {name: value for name, value in given["args"].items() if name != "method"}
        result = {
            "taskId": task["taskId"],
            "workflowInstanceId": task["workflowInstanceId"],
            "status": "COMPLETED",
            "outputData": {"result": work(**asked)},
        }
        self._worker.post("/tasks", json=result).raise_for_status()
        if given["turn"] == TURNS:
            self._begin(self._worker, LOOP, given["prompt"], previous=result["outputData"]["result"])

    def _begin(self, http: httpx.Client, name: str, prompt: str, previous: str) -> str:
        started = {"name": name, "version": 1, "input": {"prompt": prompt, "previous": previous}}
        answer = http.post("/workflow", json=started)
        return answer.raise_for_status().text

    def _call(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self._http.request(method, path, **more).raise_for_status()


def _turn(turn: int) -> list[dict[str, Any]]:
    simple = {
        "name": TASK,
        "taskReferenceName": f"work_{turn}",
        "type": "SIMPLE",
        "inputParameters": {
            "args": f"${{llm_{turn}.output.toolCalls[0].inputParameters}}",
            "turn": turn,
            "prompt": "${workflow.input.prompt}" if turn == TURNS else "",
        },
    }
    return [_llm(turn, tools=[_TOOL]), simple]


def _llm(turn: int, tools: list[dict[str, Any]]) -> dict[str, Any]:
    provider, _, model = MODEL.partition("/")
    previous = "${workflow.input.previous}" if turn == 1 else f"${{work_{turn - 1}.output.result}}"
    return {
        "name": "llm",
        "taskReferenceName": f"llm_{turn}",
        "type": "LLM_CHAT_COMPLETE",
        "inputParameters": {
            "llmProvider": provider,
            "model": model,
            "messages": [
                {"role": "user", "message": "${workflow.input.prompt}"},
                {"role": "user", "message": previous},
            ],
            "tools": tools,
        },
    }


def _workflow(name: str, tasks: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": name,
        "version": 1,
        "schemaVersion": 2,
        "ownerEmail": "floor@localhost.localdomain",
        "inputParameters": ["prompt", "previous"],
        "tasks": tasks,
    }
