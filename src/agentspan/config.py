"""Where the server is and how to speak to it; each value with the place it comes from."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack, cast
from urllib.parse import SplitResult, urlsplit

from agentspan.errors import ConfigError

DEFAULT_PORT = 6767
"""Where the embedded server listens, unless told otherwise."""

DEFAULT_SERVER_URL = f"http://127.0.0.1:{DEFAULT_PORT}"

SourceKind = Literal["argument", "configure", "environment", "profile", "file", "default"]

# Conductor's own names are honoured, since we are its client; ours win.
_ENVIRONMENT = {
    "server_url": ("AGENTSPAN_SERVER_URL", "CONDUCTOR_SERVER_URL"),
    "auth_key": ("AGENTSPAN_AUTH_KEY", "CONDUCTOR_AUTH_KEY"),
    "auth_secret": ("AGENTSPAN_AUTH_SECRET", "CONDUCTOR_AUTH_SECRET"),
    "request_timeout": ("AGENTSPAN_REQUEST_TIMEOUT",),
    "concurrency": ("AGENTSPAN_CONCURRENCY",),
    "progress": ("AGENTSPAN_PROGRESS",),
    "ca_file": ("AGENTSPAN_CA_FILE",),
    "health_file": ("AGENTSPAN_HEALTH_FILE",),
    "ui_url": ("AGENTSPAN_UI_URL",),
    "model_place": ("AGENTSPAN_MODEL_PLACE",),
    "compat": ("AGENTSPAN_COMPAT",),
    "autostart": ("AGENTSPAN_AUTOSTART",),
}
PROFILE_VARIABLE = "AGENTSPAN_PROFILE"
PORT_VARIABLE = "AGENTSPAN_PORT"

_WORDS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def _yes(text: str) -> bool:
    return _WORDS[text.lower()]


_READ: dict[str, Callable[[str], Any]] = {
    "request_timeout": float,
    "concurrency": int,
    "progress": _yes,
    "compat": _yes,
    "autostart": _yes,
}
_WANTED = {
    "request_timeout": "a number of seconds",
    "concurrency": "a whole number",
    "progress": "1 or 0",
    "compat": "1 or 0",
    "autostart": "1 or 0",
}


@dataclass(frozen=True)
class Settings:
    """How to reach a Conductor server.

    Attributes:
        server_url: The server's address, or those of a cluster's nodes, separated by commas; each with or without
            a trailing `/api`. The first is asked first, the next one when a node does not answer.
        auth_key: Key id for servers that ask for one; never shown.
        auth_secret: The key's secret; never shown.
        ca_file: PEM file of a certificate authority to trust, besides those that the system trusts.
        request_timeout: Seconds to wait for one answer of the server.
        concurrency: Tool calls that the worker host of this process runs at once.
        progress: Whether `run()` shows on stderr, when that is a terminal, what it waits for.
        health_file: A file that this process's worker host keeps fresh; `agentspan worker check` reads it.
        ui_url: Where Conductor's user interface is, when not at the server's own address.
        model_place: Who calls the models of agents that do not say: the `server`, or a `worker`. None for the server,
            but a worker where something that the agent has needs one.
        compat: Whether outputs are `{"result": …}` and a run that failed gives a result, as in the upstream SDK.
        credentials: Gives the tools of this process's worker host their credentials, by name: from a vault, say. None
            takes them from the environment.
        autostart: Whether a program that finds no server starts the embedded one. Where somebody has named a server
            it never does, and where `CI` is set only when it is told to.
    """

    server_url: str = DEFAULT_SERVER_URL
    auth_key: str | None = field(default=None, repr=False)
    auth_secret: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    request_timeout: float = 30.0
    concurrency: int = 64
    progress: bool = True
    health_file: str | None = None
    ui_url: str | None = None
    model_place: Literal["server", "worker"] | None = None
    compat: bool = False
    autostart: bool = True
    credentials: Callable[[str], str | None] | None = field(default=None, repr=False, hash=False)

    def __post_init__(self) -> None:
        self._check_types()
        for url in self.base_urls:
            _check_address(url)
        if self.ui_url is not None:
            _check_address(self.ui_url, "ui_url")
        if (self.auth_key is None) != (self.auth_secret is None):
            raise ConfigError(
                "auth_key and auth_secret go together; one of them is missing.",
                hint="Set both AGENTSPAN_AUTH_KEY and AGENTSPAN_AUTH_SECRET, or neither.",
            )

    def _check_types(self) -> None:
        for name in ("server_url", "auth_key", "auth_secret", "ca_file", "health_file", "ui_url"):
            value = getattr(self, name)
            if not isinstance(value, str) and not (value is None and name != "server_url"):
                raise ConfigError(f"{name} must be a text, not a {type(value).__name__}.")
        timeout = self.request_timeout
        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout < float("inf"):
            raise ConfigError(f"request_timeout must be a number of seconds above 0, not {timeout!r}.")
        if isinstance(self.concurrency, bool) or not isinstance(self.concurrency, int) or self.concurrency < 1:
            raise ConfigError(f"concurrency must be a whole number of calls above 0, not {self.concurrency!r}.")
        if self.model_place not in (None, "server", "worker"):
            raise ConfigError(f"model_place must be 'server' or 'worker', not {self.model_place!r}.")
        if self.credentials is not None and not callable(self.credentials):
            raise ConfigError(
                "credentials must be a function that takes a name and gives its value.",
                hint="configure(credentials=vault.read), or AgentRuntime(credentials=…).",
            )
        for name in ("progress", "compat", "autostart"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"{name} must be true or false, not {getattr(self, name)!r}.")

    @property
    def api_url(self) -> str:
        """The address of the REST API, ending in `/api`."""
        return f"{self.base_url}/api"

    @property
    def api_urls(self) -> tuple[str, ...]:
        """The address of the REST API of each node."""
        return tuple(f"{url}/api" for url in self.base_urls)

    @property
    def base_url(self) -> str:
        """The server's address without `/api`: health and the user interface are there; of several nodes the first."""
        return self.base_urls[0]

    @property
    def base_urls(self) -> tuple[str, ...]:
        """The address of each node, without `/api`; one where there is no cluster."""
        return tuple(url.strip().rstrip("/").removesuffix("/api") for url in self.server_url.split(","))

    @property
    def address(self) -> str:
        """What messages call the server: its address, or those of its nodes."""
        return " or ".join(self.base_urls)


def _check_address(url: str, name: str = "server_url") -> None:
    parts = urlsplit(url)
    if parts.username or parts.password:
        raise ConfigError(
            f"The server's address holds a user or a password for {parts.hostname}; it is shown and logged.",
            hint="Set AGENTSPAN_AUTH_KEY and AGENTSPAN_AUTH_SECRET instead.",
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or not _has_a_port(parts):
        raise ConfigError(
            f"{name} {url!r} is not an address of a server.",
            hint="Write it as http://host:port or https://host; several nodes in server_url are separated by commas.",
        )
    if _is_link_local(parts.hostname):
        raise ConfigError(
            f"{name} {url!r} is a link-local address of IPv6, which only holds together with a network interface; "
            "HTTP carries no interface.",
            hint="Use the server's name, or another of its addresses: `ip -6 address show scope global` there.",
        )


def _is_link_local(host: str) -> bool:
    """Whether a host is an address of IPv6 that is only reached through a named interface (its zone)."""
    if ":" not in host:
        return False
    try:
        return "%" in host or ip_address(host).is_link_local
    except ValueError:
        return False


def _has_a_port(parts: SplitResult) -> bool:
    """Whether the port is one, where there is any."""
    try:
        return parts.port != 0
    except ValueError:
        return False


@cache
def _names() -> tuple[str, ...]:
    return tuple(item.name for item in fields(Settings))


_configured: dict[str, Any] = {}


class OtherSettings(TypedDict, total=False):
    """The fields of `Settings` as keyword arguments, without the server's address."""

    auth_key: str | None
    auth_secret: str | None
    ca_file: str | None
    request_timeout: float | None
    concurrency: int | None
    progress: bool | None
    health_file: str | None
    ui_url: str | None
    model_place: Literal["server", "worker"] | None
    compat: bool | None
    autostart: bool | None
    credentials: Callable[[str], str | None] | None


class SettingsValues(OtherSettings, total=False):
    """The fields of `Settings` as keyword arguments."""

    server_url: str | None


def configure(**values: Unpack[SettingsValues]) -> None:
    """Set settings for every runtime this process makes from now on.

    Args:
        **values: Fields of `Settings`, such as `server_url="http://conductor:8080"`.

    Raises:
        ConfigError: An unknown name, or a value that makes no sense.
    """
    given = cast("dict[str, Any]", values)
    _refuse_unknown(given, "configure()")
    before = _configured.copy()
    _configured.update(given)
    try:
        load_settings()
    except ConfigError:  # else every runtime from now on would fail
        _configured.clear()
        _configured.update(before)
        raise


@dataclass(frozen=True)
class Setting:
    """One setting, and where it comes from.

    Attributes:
        name: A field of `Settings`.
        value: What holds.
        source: What kind of place it was found in.
        place: The place itself: a variable, a file.
    """

    name: str
    value: Any
    source: SourceKind
    place: str = ""


def load_settings(*, profile: str | None = None, **overrides: Any) -> Settings:
    """Settings from, in this order: arguments, `configure()`, environment, profile, project file, defaults.

    Args:
        profile: The profile of the user's file to use; without it, the one that AGENTSPAN_PROFILE names, or none.
        **overrides: Fields of `Settings`; None leaves one to the other places.

    Raises:
        ConfigError: A value makes no sense, or there is no such profile; the message names it.
    """
    return Settings(**{setting.name: setting.value for setting in resolve(profile=profile, **overrides)})


def resolve(*, profile: str | None = None, **overrides: Any) -> list[Setting]:
    """Each setting with the place it comes from; see `load_settings`.

    Raises:
        ConfigError: There is no such profile, or a file cannot be read.
    """
    given = {key: value for key, value in overrides.items() if value is not None}
    _refuse_unknown(given, "arguments")
    found = [Setting(item.name, item.default, "default") for item in fields(Settings)]
    found += _from_surroundings()
    found += _from_project()
    found += _from_profile(profile)
    found += _from_environment()
    found += [Setting(name, value, "configure", "configure()") for name, value in _configured.items()]
    found += [Setting(name, value, "argument") for name, value in given.items()]
    settings = {setting.name: setting for setting in found}  # the last place wins
    server = settings["server_url"]
    if server.source != "default":
        settings["autostart"] = Setting("autostart", False, server.source, server.place)
    return list(settings.values())


def local_url() -> str:
    """Where the server of this machine is, as long as nobody names another one: AGENTSPAN_PORT can move it."""
    port = os.environ.get(PORT_VARIABLE)
    if not port:
        return DEFAULT_SERVER_URL
    if not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ConfigError(f"{PORT_VARIABLE}={port!r}: it must be the number of a port, from 1 to 65535.")
    return f"http://127.0.0.1:{int(port)}"


def user_file() -> Path:
    """The user's own file, which holds the profiles: in `$XDG_CONFIG_HOME`, `%APPDATA%` or `~/.config`."""
    folder = os.environ.get("XDG_CONFIG_HOME") or os.environ.get("APPDATA") or "~/.config"
    return Path(folder).expanduser() / "agentspan" / "config.toml"


def _from_surroundings() -> Iterator[Setting]:
    """Defaults that depend on where this process runs."""
    if os.environ.get(PORT_VARIABLE):
        yield Setting("server_url", local_url(), "default", PORT_VARIABLE)
    if os.environ.get("CI") and _WORDS.get(os.environ["CI"].lower(), True):
        yield Setting("autostart", False, "environment", "CI")


def _from_environment() -> Iterator[Setting]:
    for name, variables in _ENVIRONMENT.items():
        variable = next((each for each in variables if os.environ.get(each)), None)
        if variable is not None:
            yield Setting(name, _parsed(name, os.environ[variable], variable), "environment", variable)


def _parsed(name: str, text: str, variable: str) -> Any:
    try:
        return _READ.get(name, str)(text)
    except (KeyError, ValueError):
        wanted = _WANTED[name]
        raise ConfigError(f"{variable}={text!r}: {name} must be {wanted}.") from None


def _from_profile(name: str | None) -> Iterator[Setting]:
    chosen = name or os.environ.get(PROFILE_VARIABLE)
    if not chosen:
        return
    path = user_file()
    profiles = _table(path, "profiles") if path.is_file() else {}
    values = profiles.get(chosen)
    if not isinstance(values, dict):
        known = f"It has {', '.join(sorted(profiles))}." if profiles else "Write them there as [profiles.NAME]."
        raise ConfigError(f"There is no profile {chosen!r} in {path}.", hint=known)
    place = f"[profiles.{chosen}] in {path}"
    _refuse_unknown(values, place)
    yield from (Setting(key, value, "profile", place) for key, value in values.items())


def _from_project() -> Iterator[Setting]:
    path = Path("pyproject.toml")
    if not path.is_file():
        return
    place = f"[tool.agentspan] in {path.absolute()}"
    values = _table(path, "tool", "agentspan")
    _refuse_unknown(values, place)
    yield from (Setting(key, value, "file", place) for key, value in values.items())


def _table(path: Path, *names: str) -> dict[str, Any]:
    """A table of a TOML file; empty where it is not there."""
    try:
        found: Any = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.absolute()} is not valid TOML: {error}") from error
    except OSError as error:
        raise ConfigError(f"{path.absolute()} cannot be read: {error.strerror}") from error
    for name in names:
        found = found.get(name, {}) if isinstance(found, dict) else {}
    if not isinstance(found, dict):
        raise ConfigError(f"{path.absolute()}: {'.'.join(names)} is not a table.")
    return found


def _refuse_unknown(values: dict[str, Any], where: str) -> None:
    unknown = sorted(set(values) - set(_names()))
    if unknown:
        raise ConfigError(
            f"{where}: unknown setting {', '.join(unknown)}.",
            hint=f"The settings are {', '.join(_names())}.",
        )
