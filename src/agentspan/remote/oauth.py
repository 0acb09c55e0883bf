"""OAuth for tools: what a worker gets its tokens with, by itself and without a person at a browser."""

from __future__ import annotations

import re
from dataclasses import dataclass

from agentspan.errors import DefinitionError
from agentspan.remote.environment import behind_host, names_in

_NAMED = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")


@dataclass(frozen=True)
class OAuthClient:
    """A client of an authorisation server: it gets tokens with an id and a secret of its own (client credentials).

        mcp_tool("https://shop.example.com/mcp", auth=OAuthClient(
            "https://login.example.com", "buyer", "${BUYER_SECRET}",
        ))

    The worker that makes a call asks for a token when it has none that holds, and again when one is over or is refused.
    Tokens are in that process's memory alone, and `***` stands where a result or an error repeats one.

    Args:
        issuer: The authorisation server, as it names itself in its metadata. The id and the secret are sent to it
            alone, whatever an MCP server says of who authorises. `${NAME}` at its beginning is a variable of the
            worker's environment.
        client_id: How the client is known there; it may be the name of a credential, `${NAME}`, too.
        client_secret: The name of the credential, `${NAME}`.
        scope: What is asked for, with spaces between; what the MCP server says that it wants unless given.

    Raises:
        DefinitionError: The issuer is no address, or the secret is no name.
    """

    issuer: str
    client_id: str
    client_secret: str
    scope: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.issuer, str) or not self.issuer.startswith(("http://", "https://", "${")):
            raise DefinitionError(f"OAuthClient: issuer is such as 'https://login.example.com', not {self.issuer!r}")
        if not isinstance(self.client_id, str) or not self.client_id:
            raise DefinitionError(f"OAuthClient: client_id is a text, not {self.client_id!r}")
        if not isinstance(self.client_secret, str) or not _NAMED.fullmatch(self.client_secret):
            raise DefinitionError(
                "OAuthClient: client_secret is the name of a credential, and not the secret itself",
                hint="client_secret='${SHOP_SECRET}': the workers have it in their environment.",
            )
        if self.scope is not None and not isinstance(self.scope, str):
            raise DefinitionError(
                f"OAuthClient: scope is a text, such as 'goods:read orders:write', not {self.scope!r}"
            )

    @property
    def credentials(self) -> tuple[str, ...]:
        """The names of the secrets in its texts."""
        return names_in(behind_host(self.issuer), self.client_id, self.client_secret)
