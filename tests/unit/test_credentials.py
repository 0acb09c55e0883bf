"""Credentials of tools: who gets them, and where they are hidden."""

from __future__ import annotations

import base64
import dataclasses
import json
import logging
import pickle
from typing import Any

import pytest

from agentspan.agents import (
    Agent,
    AgentRuntime,
    ConfigError,
    DefinitionError,
    ToolContext,
    ToolFailed,
    compile_agent,
    get_credential,
    tool,
)
from agentspan.agents.testing import MockEvent, mock_run
from agentspan.declare.credentials import Credentials
from agentspan.telemetry.logs import CallFields, JsonLines
from agentspan.worker.credentials import require

SECRET = "s3cret/+token"


@tool(credentials=("CREDENTIAL_A",))
def push(context: ToolContext) -> str:
    """Push."""
    return f"pushed with {context.credentials['CREDENTIAL_A']}"


def agent(**options: Any) -> Agent:
    return Agent("vault", model="openai/gpt-4o", tools=[push], **options)


def context_of(name: str) -> ToolContext:
    return ToolContext(
        idempotency_key="k",
        execution_id="run",
        agent="a",
        tool=name,
        call_id="c",
        step=1,
        credentials=Credentials({"A": SECRET}),
    )


def test_what_shows_them_shows_their_names_alone() -> None:
    given = Credentials({"A": SECRET})

    assert SECRET not in f"{given} {given!r}"
    assert dict(given) == {"A": SECRET}


def test_one_that_was_not_asked_for_is_named() -> None:
    with pytest.raises(KeyError, match=r"B is no credential of this tool; @tool\(credentials"):
        Credentials({"A": SECRET})["B"]
    assert Credentials({"A": SECRET}).get("B") is None


@pytest.mark.parametrize(
    "told",
    [
        SECRET,
        f"url?key={'s3cret%2F%2Btoken'}&x=1",
        json.dumps({"token": SECRET}),
        f"Basic {base64.b64encode(SECRET.encode()).decode()}",
    ],
)
def test_they_are_hidden_in_each_form(told: str) -> None:
    masked = Credentials({"A": SECRET}).masked(told)

    assert "***" in masked
    assert "oken" not in masked.replace("token", "", 1)


def test_they_are_hidden_wherever_they_stand_in_a_result() -> None:
    result = {"a": [{SECRET: f"x{SECRET}y", "n": 1}], "b": None}

    assert Credentials({"A": SECRET}).masked(result) == {"a": [{"***": "x***y", "n": 1}], "b": None}


def test_the_lines_of_a_key_are_hidden_each() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0\nBAQEFAASCBKcwggSjAgEAAo\n-----END KEY-----\n"

    assert Credentials({"A": key}).masked("line: BAQEFAASCBKcwggSjAgEAAo") == "line: ***"


def test_a_text_too_short_to_be_a_secret_stays() -> None:
    assert Credentials({"A": "abc"}).masked("abcdef") == "abcdef"


def test_the_longer_one_is_hidden_first() -> None:
    assert Credentials({"A": "token", "B": "token-of-ann"}).masked("token-of-ann") == "***"


def test_an_agent_hands_its_credentials_to_each_of_its_tools() -> None:
    @tool(external=True)
    def elsewhere() -> str:
        """Served by others."""
        return ""

    made = Agent("vault", model="openai/gpt-4o", tools=[push, elsewhere], credentials=["CREDENTIAL_B", "CREDENTIAL_A"])

    assert [each.credentials for each in made.tools] == [("CREDENTIAL_A", "CREDENTIAL_B"), ()]


def test_the_definition_has_nothing_of_them() -> None:
    with_them = compile_agent(agent(credentials=["CREDENTIAL_B"])).to_json()

    assert with_them == compile_agent(Agent("vault", model="openai/gpt-4o", tools=[tool(push.function)])).to_json()


def test_a_tool_keeps_its_credentials_when_it_is_pickled() -> None:
    made = dataclasses.replace(push, name="other")

    assert pickle.loads(pickle.dumps(push)) is push
    rebuild, values = made.__reduce__()
    assert rebuild(*values).credentials == ("CREDENTIAL_A",)


@pytest.mark.parametrize("names", ["TOKEN", [""], [1], ["A=B"], 5])
def test_what_is_no_name_is_refused(names: Any) -> None:
    with pytest.raises(DefinitionError, match="credential"):
        tool(credentials=names)(push.function)
    with pytest.raises(DefinitionError, match=r"agent 'vault'.*credential"):
        agent(credentials=names)


def test_a_tool_that_others_serve_has_none() -> None:
    with pytest.raises(DefinitionError, match="the worker elsewhere has its own"):
        tool(external=True, credentials=["A"])(push.function)


def test_a_missing_one_is_named_before_anything_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIAL_A", raising=False)

    with pytest.raises(ConfigError, match="tool push of the agent vault needs the credential CREDENTIAL_A"):
        require(agent(), None)
    with pytest.raises(ConfigError):
        require(agent(), {"CREDENTIAL_B": "x"}.__getitem__)
    with pytest.raises(ConfigError, match="must be a text, and its worker has a int"):
        require(agent(), lambda _: 7)  # type: ignore[arg-type,return-value]
    require(agent(), lambda _: SECRET)
    monkeypatch.setenv("CREDENTIAL_A", SECRET)
    require(agent(), None)


def test_code_without_a_context_asks_by_name() -> None:
    @tool
    def deep() -> str:
        """Ask."""
        return get_credential("A")

    assert deep.invoke({}, context_of("deep")) == SECRET
    with pytest.raises(ToolFailed, match="belong to the call of a tool"):
        get_credential("A")


def test_the_source_is_a_function() -> None:
    with pytest.raises(ConfigError, match="credentials must be a function"):
        AgentRuntime(credentials="vault")  # type: ignore[arg-type]
    assert SECRET not in repr(AgentRuntime(credentials=lambda _: SECRET).settings)


def test_a_mocked_run_hands_them_out_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    script = [MockEvent.tool_call("push"), MockEvent.done("Done.")]
    monkeypatch.setenv("CREDENTIAL_A", SECRET)
    assert mock_run(agent(), "Push.", script).tool_calls[0].result == f"pushed with {SECRET}"

    monkeypatch.delenv("CREDENTIAL_A")
    assert "needs the credential CREDENTIAL_A" in str(mock_run(agent(), "Push.", script).tool_calls[0].error)


def test_what_a_tool_logs_hides_them() -> None:
    records: list[logging.LogRecord] = []
    log = logging.getLogger("test_credentials")

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    @tool
    def noisy() -> str:
        """Log."""
        log.warning("the key is %s", SECRET)
        try:
            raise OSError(f"refused: {SECRET}")
        except OSError:
            log.warning("failed", exc_info=True)
        log.warning("%d done", 1)
        return ""

    handler = Keep()
    handler.addFilter(CallFields())
    log.addHandler(handler)
    context = context_of("noisy")
    try:
        noisy.invoke({}, context)
    finally:
        log.removeHandler(handler)
    lines = [JsonLines().format(record) for record in records]

    assert SECRET not in "".join(lines)
    assert [json.loads(line)["message"] for line in lines] == ["the key is ***", "failed", "1 done"]
    assert "OSError: refused: ***" in json.loads(lines[1])["error"]
    assert SECRET not in repr(context)
