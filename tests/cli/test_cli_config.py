"""`agentspan config show`, and profiles."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agentspan.agents import AgentRuntime, ConfigError
from agentspan.cli import main
from agentspan.config import configure, load_settings, user_file

PROFILES = """
[profiles.staging]
server_url = "https://staging.example/api"
auth_key = "the staging key"
auth_secret = "the staging secret"
request_timeout = 5

[profiles.broken]
sever_url = "x"

[profiles.typed]
request_timeout = "long"
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in, no variables, and a user's file with profiles."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("agentspan.config._configured", {})
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in (
        "SERVER_URL",
        "AUTH_KEY",
        "AUTH_SECRET",
        "PROFILE",
        "REQUEST_TIMEOUT",
        "PROGRESS",
        "CA_FILE",
        "HEALTH_FILE",
        "AUTOSTART",
        "PORT",
    ):
        monkeypatch.delenv(f"AGENTSPAN_{name}", raising=False)
        monkeypatch.delenv(f"CONDUCTOR_{name}", raising=False)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr("agentspan.config.user_file", lambda: tmp_path / "config" / "config.toml")
    monkeypatch.setattr("agentspan.cli.config.user_file", lambda: tmp_path / "config" / "config.toml")
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.toml").write_text(PROFILES)
    return tmp_path


def invoke(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, words)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def sources(*words: str) -> dict[str, tuple[object, str, str]]:
    shown = json.loads(invoke(*words, "config", "show", "-o", "json").stdout)
    assert list(shown) == ["user_file", "settings"]
    for setting in shown["settings"]:
        assert list(setting) == ["name", "value", "source", "place"]
    return {each["name"]: (each["value"], each["source"], each["place"]) for each in shown["settings"]}


def test_without_anything_all_is_default() -> None:
    assert sources() == {
        "server_url": ("http://127.0.0.1:6767", "default", ""),
        "concurrency": (64, "default", ""),
        "auth_key": (None, "default", ""),
        "auth_secret": (None, "default", ""),
        "ca_file": (None, "default", ""),
        "request_timeout": (30.0, "default", ""),
        "progress": (True, "default", ""),
        "health_file": (None, "default", ""),
        "ui_url": (None, "default", ""),
        "model_place": (None, "default", ""),
        "compat": (False, "default", ""),
        "autostart": (True, "default", ""),
        "credentials": (None, "default", ""),
    }


def test_each_place_wins_over_the_next(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "pyproject.toml").write_text('[tool.agentspan]\nserver_url = "http://project"\nrequest_timeout = 7\n')
    project = f"[tool.agentspan] in {place / 'pyproject.toml'}"
    profile = f"[profiles.staging] in {place / 'config' / 'config.toml'}"

    assert sources()["server_url"] == ("http://project", "file", project)
    assert sources()["request_timeout"] == (7, "file", project)
    assert sources("--profile", "staging")["server_url"] == ("https://staging.example/api", "profile", profile)
    assert sources("--profile", "staging")["request_timeout"] == (5, "profile", profile)
    monkeypatch.setenv("AGENTSPAN_PROFILE", "staging")
    assert sources()["server_url"] == ("https://staging.example/api", "profile", profile)
    monkeypatch.setenv("CONDUCTOR_SERVER_URL", "http://conductor")
    assert sources()["server_url"] == ("http://conductor", "environment", "CONDUCTOR_SERVER_URL")
    monkeypatch.setenv("AGENTSPAN_SERVER_URL", "http://127.0.0.1:6767")  # equal to the default: still the environment's
    assert sources()["server_url"] == ("http://127.0.0.1:6767", "environment", "AGENTSPAN_SERVER_URL")
    assert sources("--server", "http://argument")["server_url"] == ("http://argument", "argument", "")


def test_secrets_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    for output in ("text", "json", "jsonl"):
        shown = invoke("--profile", "staging", "config", "show", "-o", output).output
        assert "the staging secret" not in shown
        assert "the staging key" not in shown
        assert shown.count("********") == 2
    monkeypatch.setenv("AGENTSPAN_SERVER_URL", "https://me:open-sesame@host/api")
    assert "open-sesame" not in invoke("config", "show", code=2).output


def test_an_unknown_profile_names_the_file_and_the_profiles_there_are(place: Path) -> None:
    error, hint = invoke("--profile", "prod", "config", "show", code=2).stderr.splitlines()
    assert error == f"Error: There is no profile 'prod' in {place / 'config' / 'config.toml'}."
    assert hint.strip() == "It has broken, staging, typed."
    (place / "config" / "config.toml").unlink()
    assert "[profiles.NAME]" in invoke("--profile", "prod", "agent", "list", code=2).stderr


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        ("broken", "unknown setting sever_url"),
        ("typed", "request_timeout must be a number of seconds above 0, not 'long'"),
    ],
)
def test_a_profile_that_makes_no_sense(profile: str, message: str) -> None:
    assert message in invoke("--profile", profile, "config", "show", code=2).stderr
    with pytest.raises(ConfigError, match=message):
        AgentRuntime(profile=profile)


@pytest.mark.parametrize(
    ("variable", "value"), [("REQUEST_TIMEOUT", "soon"), ("REQUEST_TIMEOUT", "-1"), ("PROGRESS", "x")]
)
def test_a_variable_that_makes_no_sense(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(f"AGENTSPAN_{variable}", value)

    assert variable.lower() in invoke("config", "show", code=2).stderr


def test_a_file_that_is_no_toml(place: Path) -> None:
    (place / "config" / "config.toml").write_text("[profiles")

    assert "is not valid TOML" in invoke("--profile", "x", "config", "show", code=2).stderr


def test_a_runtime_takes_a_profile_by_name() -> None:
    settings = load_settings(profile="staging")
    assert (settings.base_url, settings.auth_secret) == ("https://staging.example", "the staging secret")
    assert load_settings(profile="staging", server_url="http://other").server_url == "http://other"


def test_the_users_file_is_in_the_users_config_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert user_file().name == "config.toml"
    assert user_file().parent.name == "agentspan"


def test_a_server_is_started_where_nobody_named_one_and_nobody_builds(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def autostart(*words: str) -> tuple[object, str, str]:
        return sources(*words)["autostart"]

    monkeypatch.setenv("CI", "false")
    assert autostart() == (True, "default", "")
    monkeypatch.setenv("CI", "true")
    assert autostart() == (False, "environment", "CI")
    (place / "pyproject.toml").write_text("[tool.agentspan]\nautostart = true\n")
    assert autostart()[:2] == (True, "file")
    monkeypatch.setenv("AGENTSPAN_AUTOSTART", "off")
    assert autostart() == (False, "environment", "AGENTSPAN_AUTOSTART")
    monkeypatch.setenv("AGENTSPAN_AUTOSTART", "on")
    assert autostart() == (True, "environment", "AGENTSPAN_AUTOSTART")
    assert load_settings(autostart=False).autostart is False

    assert autostart("--profile", "staging")[:2] == (False, "profile")
    assert autostart("--server", "http://127.0.0.1:6767") == (False, "argument", "")
    assert load_settings(server_url="http://127.0.0.1:6767", autostart=True).autostart is False
    configure(server_url="http://127.0.0.1:6767")
    assert autostart() == (False, "configure", "configure()")


def test_the_port_of_this_machines_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTSPAN_PORT", "7001")
    assert sources()["server_url"] == ("http://127.0.0.1:7001", "default", "AGENTSPAN_PORT")
    assert sources()["autostart"][0] is True
    for wrong in ("0", "65536", "x", "-1"):
        monkeypatch.setenv("AGENTSPAN_PORT", wrong)
        assert "the number of a port, from 1 to 65535" in invoke("config", "show", code=2).stderr


def test_autostart_is_a_yes_or_a_no(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="autostart must be true or false, not 'maybe'"):
        load_settings(autostart="maybe")
    monkeypatch.setenv("AGENTSPAN_AUTOSTART", "maybe")
    with pytest.raises(ConfigError, match="AGENTSPAN_AUTOSTART='maybe': autostart must be 1 or 0"):
        load_settings()
