"""The proxies that the environment names, and which of them a request to a server passes.

`named_for` decides for the requests that httpx sends, `proxy_for` alike for those that it does not. A proxy that no
node needs is not looked at: it may be of a kind that cannot be spoken to here.
"""

from __future__ import annotations

import base64
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.request import getproxies

import httpx

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Proxy:
    """A proxy to pass.

    Attributes:
        scheme: How it is spoken to.
        address: Its host and port.
        authorization: What shows it who asks; never shown.
    """

    scheme: str
    address: str
    authorization: str | None = field(default=None, repr=False)


def proxy_for(address: str) -> Proxy | None:
    """The proxy that a request to this address passes; None where it goes straight there."""
    named = named_for(address)
    return None if named is None else _proxy(named)


def named_for(address: str) -> httpx.Proxy | None:
    """The same, as httpx takes it."""
    named, url = getproxies(), httpx.URL(address)
    spared = [entry.strip() for entry in named.get("no", "").split(",")]
    if is_here(url.host) or any(_is_meant(entry, url) for entry in spared if entry):
        return None
    proxy = named.get(url.scheme) or named.get("all")
    if not proxy:
        return None
    return httpx.Proxy(proxy if "://" in proxy else f"http://{proxy}")


def is_here(host: str) -> bool:
    """Whether a host is this machine, which is reached without a proxy."""
    try:
        address = ip_address(host)
    except ValueError:
        return host.lower() == "localhost"
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback or address.is_unspecified


def _is_meant(entry: str, url: httpx.URL) -> bool:
    """Whether an entry of NO_PROXY is about an address, as httpx reads it."""
    if entry == "*":
        return True
    named = httpx.URL(_pattern(entry))
    if named.scheme not in ("all", url.scheme) or named.port not in (None, url.port):
        return False
    if named.host.startswith("*."):
        return url.host.endswith(named.host[1:])
    if named.host.startswith("*"):
        return f".{url.host}".endswith(f".{named.host[1:]}")
    return url.host == named.host


def _pattern(entry: str) -> str:
    if "://" in entry:
        return entry
    with suppress(ValueError):
        return f"all://[{entry}]" if ip_address(entry.partition("/")[0]).version == 6 else f"all://{entry}"
    return f"all://{entry}" if entry.lower() == "localhost" else f"all://*{entry}"


def _proxy(named: httpx.Proxy) -> Proxy:
    url = named.url
    host = f"[{url.host}]" if ":" in url.host else url.host
    secret = None
    if named.raw_auth is not None:
        secret = f"Basic {base64.b64encode(b':'.join(named.raw_auth)).decode('ascii')}"
    return Proxy(url.scheme, f"{host}:{url.port or _PORTS.get(url.scheme, 1080)}", secret)
