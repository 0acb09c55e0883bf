"""`ConversationMemory`: what it keeps, and what a run is given of it."""

from __future__ import annotations

import dataclasses

import pytest

from agentspan.agents import Agent, CallbackHandler, ConversationMemory, DefinitionError, compile_agent


def test_messages_are_kept_in_order_and_told_to_a_run() -> None:
    memory = ConversationMemory()
    memory.add_system_message("The user is called Ada.")
    memory.add_user_message("Rain?")
    memory.add_tool_call("forecast", {"city": "Oslo"})
    memory.add_tool_result("forecast", {"rain": True})
    memory.add_assistant_message("Yes.")
    memory.add_assistant_message("")

    assert [each["role"] for each in memory.messages] == [
        "system",
        "user",
        "tool_call",
        "tool",
        "assistant",
        "assistant",
    ]
    assert memory.for_run() == [
        {"role": "user", "message": "The user is called Ada."},
        {"role": "user", "message": "Rain?"},
        {"role": "user", "message": 'Called: forecast({"city": "Oslo"}).'},
        {"role": "user", "message": "Result of forecast: {'rain': True}"},
        {"role": "assistant", "message": "Yes."},
    ]
    copied = memory.to_chat_messages()
    memory.clear()
    assert (len(copied), memory.messages) == (6, [])


def test_the_oldest_messages_go_and_those_of_the_system_last() -> None:
    memory = ConversationMemory(max_messages=3)
    kept = memory.messages
    memory.add_system_message("one")
    for text in ("two", "three", "four"):
        memory.add_user_message(text)
    assert [each["message"] for each in memory.messages] == ["one", "three", "four"]
    for text in ("five", "six", "seven"):
        memory.add_system_message(text)
    assert [each["message"] for each in memory.messages] == ["five", "six", "seven"]
    assert memory.messages is kept


def test_what_stands_beside_a_definition_is_no_part_of_it() -> None:
    plain = Agent("beside", model="openai/gpt-4o")
    handler = CallbackHandler()
    memory = ConversationMemory([{"role": "user", "message": "hello"}])
    agent = Agent("beside", model="openai/gpt-4o", memory=memory, callbacks=[handler])

    assert (agent.memory, agent.callbacks) == (memory, (handler,))
    assert agent == plain
    assert hash(agent) == hash(plain)
    assert compile_agent(agent).to_json() == compile_agent(plain).to_json()
    variant = dataclasses.replace(agent, max_turns=3)
    assert (variant.memory, variant.callbacks, variant.max_turns) == (memory, (handler,), 3)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"memory": []}, "memory must be a ConversationMemory"), ({"callbacks": [print]}, "callbacks are objects of")],
)
def test_other_things_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(DefinitionError, match=words):
        Agent("beside", model="openai/gpt-4o", **options)  # type: ignore[arg-type]
