"""A user's program that starts runs and follows them. Type checkers read it; it is never run."""

from __future__ import annotations

from typing import Any, Literal, assert_type

from agentspan.agents import (
    Agent,
    AgentHandle,
    AgentResult,
    AgentRuntime,
    AgentStatus,
    Definition,
    Event,
    EventType,
    ExecutionError,
    OutputInvalid,
    Settings,
    Status,
    Step,
    ToolCall,
    Usage,
    WaitTimeout,
    compile_agent,
    configure,
    run,
    run_async,
    start,
    start_async,
    stream,
    stream_async,
)

agent = Agent("analyst", model="openai/gpt-4o")
assert_type(compile_agent(agent), Definition)
assert_type(agent.place, Literal["server", "worker"])
configure(server_url="http://conductor:8080")


def through_functions() -> None:
    result = run(agent, "Go.", timeout=60)
    assert_type(result.execution_id, str)
    assert_type(result.steps, int)
    assert_type(result.usage, Usage)
    assert_type(result.is_success, bool)
    assert_type(result.tool_calls, list[ToolCall])
    result.print_result()
    assert_type(start(agent, "Go.", idempotency_key="monday").execution_id, str)
    for event in stream(agent, "Go."):
        shown(event)


def through_a_runtime() -> None:
    with AgentRuntime("http://conductor:8080") as runtime:
        assert_type(runtime, AgentRuntime)
        assert_type(runtime.settings, Settings)
        assert_type(runtime.register(agent), int)
        assert_type(runtime.deploy(agent), dict[str, int])
        runtime.serve(agent, blocking=False)
        handle = runtime.start(agent, "Go.", messages=[{"role": "user", "message": "Before."}], context={"customer": 7})
        followed(handle)
        followed(AgentHandle(handle.execution_id, runtime))
        handle.result(timeout=5).usage.total_tokens.bit_length()
        runtime.start("analyst", "Go.")
        runtime.start(agent)  # type: ignore[call-arg]
        runtime.serve(agent, blocks=False)  # type: ignore[call-arg]


def followed(handle: AgentHandle) -> None:
    status = handle.get_status()
    assert_type(status, AgentStatus)
    assert_type(status.step, int)
    assert_type(status.elapsed, float)
    assert_type(status.output, str | None)
    if status.status == Status.PAUSED:
        handle.resume()
    assert_type(handle.steps(last=5), list[Step])
    events = handle.stream(from_=3)
    for event in events:
        shown(event)
    assert_type(events.cursor, int)
    try:
        handle.result(timeout=1)
    except WaitTimeout:
        handle.cancel("too slow")
    except ExecutionError as error:
        assert_type(error.execution_id, str)
    handle.stream("3")  # type: ignore[arg-type]
    handle.execute()  # type: ignore[attr-defined]


def shown(event: Event) -> None:
    assert_type(event.seq, int)
    assert_type(event.step, int)
    if event.type == "done":
        print(event.content)
    assert_type(event.to_json(), dict[str, Any])


async def on_an_event_loop() -> None:
    async with AgentRuntime() as runtime:
        handle = await runtime.start_async(agent, "Go.")
        assert_type(await handle.get_status_async(), AgentStatus)
        async for event in handle.stream():
            shown(event)
        async for event in handle.stream_async(from_=1):
            shown(event)
        (await handle.result_async(timeout=5)).print_result()
    (await run_async(agent, "Go.")).print_result()
    assert_type((await start_async(agent, "Go.")).run_id, str)
    async for event in stream_async(agent, "Go."):
        shown(event)


def events_are_told_apart(agent: Agent) -> None:
    for event in stream(agent, "Go."):
        if event.type == "tool_call":
            assert_type(event.args, dict[str, Any])
        elif event.type == "tool_result":
            assert_type(event.error, str | None)


def options_are_known(agent: Agent) -> None:
    run(agent, "Go.", timeout=3, idempotency_key="a")
    run(agent, "Go.", idempotency_kye="a")  # type: ignore[call-arg]
    start(agent, "Go.", timeout=3)  # type: ignore[call-arg]
    AgentRuntime(request_timeout=3.0)
    AgentRuntime(request_timout=3.0)  # type: ignore[call-arg]


class Invoice:
    number: str


async def answers_have_their_type() -> None:
    invoices = Agent("reader", model="openai/gpt-4o", output_type=Invoice)
    either: Agent[Invoice | int] = Agent("reader", model="openai/gpt-4o", output_type=Invoice | int)
    assert_type(run(agent, "Go.").output, str)
    assert_type(run(invoices, "Go."), AgentResult[Invoice])
    assert_type(run(invoices, "Go.").output, Invoice)
    assert_type(run(either, "Go.").output, Invoice | int)
    assert_type(start(invoices, "Go."), AgentHandle[Invoice])
    assert_type(start(invoices, "Go.").result().output, Invoice)
    assert_type(stream(invoices, "Go.").get_result().output, Invoice)
    assert_type((await run_async(invoices, "Go.")).output, Invoice)
    assert_type((await (await start_async(invoices, "Go.")).result_async()).output, Invoice)
    runtime = AgentRuntime()
    assert_type(runtime.run(invoices, "Go.").output, Invoice)
    assert_type(runtime.handle("id", invoices).result().output, Invoice)
    assert_type(runtime.handle("id", Invoice).join().output, Invoice)
    assert_type(runtime.handle("id").result().output, Any)
    assert_type(AgentHandle("id", runtime, Invoice), AgentHandle[Invoice])
    assert_type(runtime.resume("id", invoices), AgentHandle[Invoice])
    runtime.serve(invoices, agent, blocking=False)
    runtime.deploy(invoices, either)
    compile_agent(invoices)
    try:
        run(invoices, "Go.")
    except OutputInvalid as error:
        assert_type(error.reasons, tuple[str, ...])


def names_of_events_compare(event: Event) -> bool:
    return event.type in (EventType.DONE, "error") or event.type == EventType.WAITING


def events_are_told_apart_by_names() -> None:
    for event in stream(agent, "Go."):
        if event.type == EventType.TOOL_CALL:
            print(event.args)
        elif event.type == EventType.DONE:
            print(event.output)
