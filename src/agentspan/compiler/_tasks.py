"""One small constructor for each Conductor task type that an agent compiles to."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

Json = dict[str, Any]


def ref(path: str) -> str:
    """A Conductor template that hands over the value at `path` unchanged."""
    return "${" + path + "}"


def literal(value: Any) -> Any:
    """`value` as a definition must hold it so that Conductor reads its text as text.

    Strings of a definition are templates: `${x}` would be looked up, `$${x}` arrives as `${x}`.
    """
    if isinstance(value, str):
        return value.replace("${", "$${")
    if isinstance(value, dict):
        return {key: literal(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [literal(item) for item in value]
    return value


def program(name: str) -> str:
    """A jq program of this package, on one line and without its comments."""
    text = files(__package__).joinpath(f"{name}.jq").read_text(encoding="utf-8")
    lines = (line.strip() for line in text.splitlines())
    return " ".join(line for line in lines if line and not line.startswith("#"))


def task(kind: str, name: str, reference: str, inputs: Json | None = None, **fields: Any) -> Json:
    """Any task: its type, its name, its reference name and its inputs."""
    return {
        "name": name,
        "taskReferenceName": reference,
        "type": kind,
        "inputParameters": inputs or {},
        **fields,
    }


def jq(name: str, reference: str, description: str, query: str, **inputs: Any) -> Json:
    """JSON_JQ_TRANSFORM running the program `query` over its inputs."""
    inputs = {"queryExpression": query, **inputs}
    return task("JSON_JQ_TRANSFORM", name, reference, inputs, description=description)


def switch(name: str, reference: str, description: str, on: str, cases: dict[str, list[Json]]) -> Json:
    """SWITCH on a plain value: no script is evaluated."""
    return task(
        "SWITCH",
        name,
        reference,
        {"on": on},
        description=description,
        evaluatorType="value-param",
        expression="on",
        decisionCases=cases,
        defaultCase=[],
    )


def terminate(name: str, reference: str, status: str, output: Json, reason: str | None = None) -> Json:
    """TERMINATE: end the workflow it stands in, with this status and output."""
    inputs: Json = {"terminationStatus": status, "workflowOutput": output}
    if reason is not None:
        inputs["terminationReason"] = reason
    return task("TERMINATE", name, reference, inputs)


def dynamic(name: str, reference: str, task_name: str, inputs: Json, definition: Json) -> Json:
    """DYNAMIC: one task whose definition is named by a value; its failure is a result, not an end."""
    return task(
        "DYNAMIC",
        name,
        reference,
        {"task": task_name, **inputs},
        dynamicTaskNameParam="task",
        optional=True,
        taskDefinition=definition,
    )


def dynamic_fork(name: str, reference: str, tasks: str, inputs: str) -> Json:
    """FORK_JOIN_DYNAMIC over a list of tasks and their inputs, both handed over by reference."""
    return task(
        "FORK_JOIN_DYNAMIC",
        name,
        reference,
        {"tasks": tasks, "inputs": inputs},
        dynamicForkTasksParam="tasks",
        dynamicForkTasksInputParamName="inputs",
    )


def join(name: str, reference: str, *, rarely: bool = False, **fields: Any) -> Json:
    """JOIN that is evaluated at once, without the back-off of the default mode.

    Args:
        name: The task's name.
        reference: Its reference name.
        rarely: With that back-off: the engine looks all the same when a sub-workflow of the fork ends.
        **fields: What else it has.
    """
    return task("JOIN", name, reference, **fields, joinMode="ASYNC" if rarely else "SYNC")


def sub_workflow(name: str, reference: str, workflow: str, version: int, inputs: Json) -> Json:
    """SUB_WORKFLOW of one exact version."""
    return task(
        "SUB_WORKFLOW",
        name,
        reference,
        inputs,
        subWorkflowParam={"name": workflow, "version": version},
    )


def do_while(name: str, reference: str, condition: str, body: Sequence[Json], keep_last: int) -> Json:
    """DO_WHILE that keeps only its newest iterations."""
    return task(
        "DO_WHILE",
        name,
        reference,
        {"keepLastN": keep_last},
        loopCondition=condition,
        loopOver=list(body),
    )
