"""Where the server is and how to speak to it; each value with the place it comes from."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agentspan.errors import ConfigError

DEFAULT_SERVER_URL = "http://127.0.0.1:6767"

# Conductor's own names are honoured, since we are its client; ours win.
_ENVIRONMENT = {
    "server_url": ("AGENTSPAN_SERVER_URL", "CONDUCTOR_SERVER_URL"),
    "auth_key": ("AGENTSPAN_AUTH_KEY", "CONDUCTOR_AUTH_KEY"),
    "auth_secret": ("AGENTSPAN_AUTH_SECRET", "CONDUCTOR_AUTH_SECRET"),
    "ca_file": ("AGENTSPAN_CA_FILE",),
    "health_file": ("AGENTSPAN_HEALTH_FILE",),
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
        health_file: A file that this process's worker host keeps fresh; `agentspan worker check` reads it.
    """

    server_url: str = DEFAULT_SERVER_URL
    auth_key: str | None = field(default=None, repr=False)
    auth_secret: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    request_timeout: float = 30.0
    health_file: str | None = None

    def __post_init__(self) -> None:
        for url in self.base_urls:
            _check_address(url)
        if (self.auth_key is None) != (self.auth_secret is None):
            raise ConfigError(
                "auth_key and auth_secret go together; one of them is missing.",
                hint="Set both AGENTSPAN_AUTH_KEY and AGENTSPAN_AUTH_SECRET, or neither.",
            )

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


def _check_address(url: str) -> None:
    parts = urlsplit(url)
    if parts.username or parts.password:
        raise ConfigError(
            f"The server's address holds a user or a password for {parts.hostname}; it is shown and logged.",
            hint="Set AGENTSPAN_AUTH_KEY and AGENTSPAN_AUTH_SECRET instead.",
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(
            f"server_url {url!r} is not an address of a server.",
            hint="Write it as http://host:port or https://host; several nodes are separated by commas.",
        )


@cache
def _names() -> tuple[str, ...]:
    return tuple(item.name for item in fields(Settings))


_configured: dict[str, Any] = {}


def configure(**values: Any) -> None:
    """Set settings for every runtime this process makes from now on.

    Args:
        **values: Fields of `Settings`, such as `server_url="http://conductor:8080"`.

    Raises:
        ConfigError: An unknown name, or a value that makes no sense.
    """
    _refuse_unknown(values, "configure()")
    _configured.update(values)
    load_settings()


def load_settings(**overrides: Any) -> Settings:
    """Settings from, in this order: arguments, `configure()`, environment, project file, defaults.

    Raises:
        ConfigError: A value makes no sense; the message names it.
    """
    given = {key: value for key, value in overrides.items() if value is not None}
    return replace(Settings(), **{**_from_project(), **_from_environment(), **_configured, **given})


def _from_environment() -> dict[str, Any]:
    found = {}
    for name, variables in _ENVIRONMENT.items():
        value = next((os.environ[v] for v in variables if os.environ.get(v)), None)
        if value is not None:
            found[name] = value
    return found


def _from_project() -> dict[str, Any]:
    path = Path("pyproject.toml")
    if not path.is_file():
        return {}
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {}).get("agentspan", {})
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path.absolute()} is not valid TOML: {error}") from error
    _refuse_unknown(table, f"[tool.agentspan] in {path.absolute()}")
    return dict(table)


def _refuse_unknown(values: dict[str, Any], where: str) -> None:
    unknown = sorted(set(values) - set(_names()))
    if unknown:
        raise ConfigError(
            f"{where}: unknown setting {', '.join(unknown)}.",
            hint=f"The settings are {', '.join(_names())}.",
        )
