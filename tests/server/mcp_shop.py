"""A shop as an MCP server, written with the official SDK in its default mode; started by tests as a process.

python mcp_shop.py                            speaks on its standard streams
python mcp_shop.py streamable-http 8000       listens

With SHOP_ISSUER it wants tokens of the authorisation server there.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, Literal

import anyio
import httpx2
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.utilities.types import Image
from mcp.types import CallToolResult, TextContent
from pydantic import BaseModel


class Tokens:
    """Asks the authorisation server about each token."""

    def __init__(self, issuer: str) -> None:
        self._issuer = issuer

    async def verify_token(self, token: str) -> AccessToken | None:
        async with httpx2.AsyncClient() as http:
            found = (await http.post(f"{self._issuer}/introspect", data={"token": token})).json()
        return AccessToken(token=token, client_id="buyer", **found) if found else None


def guarded() -> dict[str, Any]:
    """What makes it want tokens."""
    issuer = os.environ.get("SHOP_ISSUER")
    if not issuer:
        return {}
    auth = AuthSettings(
        issuer_url=issuer,
        resource_server_url=f"http://127.0.0.1:{sys.argv[2]}/{'sse' if sys.argv[1] == 'sse' else 'mcp'}",
        required_scopes=["goods"],
        validate_token_resource=True,
    )
    return {"auth": auth, "token_verifier": Tokens(issuer)}


shop = MCPServer("shop", **guarded())

PIXEL = (
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0:~\x9bU\0\0\0\nIDATx\x9cc`\0\0\0\x02\0\x01H\xaf\xa4q"
    b"\0\0\0\0IEND\xaeB`\x82"
)


def note(what: str, **more: object) -> int:
    """Write down what happened, where the tests look; how often it has happened by now."""
    path = Path(os.environ["SHOP_NOTES"])
    with path.open("a") as notes:
        notes.write(json.dumps({"what": what, "pid": os.getpid(), **more}) + "\n")
    return sum(json.loads(line)["what"] == what for line in path.read_text().splitlines())


class Item(BaseModel):
    name: str
    amount: int = 1


@shop.tool()
def price(item: str) -> int:
    """The price of an item, in cents.

    Args:
        item: Its name.
    """
    note("price")
    return 100 * len(item)


@shop.tool(name="orders.place")
def place(items: list[Item], method: Literal["post", "courier"] = "post") -> dict[str, object]:
    """Place an order."""
    return {"pieces": sum(item.amount for item in items), "by": method}


@shop.tool()
def refund(order: str) -> str:
    """Give the money back."""
    raise ToolError(f"there is no order {order}")


@shop.tool()
def photo(item: str) -> list[str | Image]:
    """A photo of an item."""
    return [f"a {item}", Image(data=PIXEL, format="png")]


@shop.tool()
def who(ctx: Context) -> str:
    """Who asks."""
    request = ctx.request_context.request
    key = (ctx.request_context.meta or {}).get("agentspan/idempotency-key")
    sent = request.headers.get("authorization") if request is not None else os.environ.get("TOKEN")
    return f"{sent} {key}"


@shop.tool()
def crash() -> str:
    """The first time, the server dies of it."""
    if note("crash") == 1:
        os._exit(9)
    return "alive again"


@shop.tool()
async def hang() -> str:
    """Never answer the first time."""
    if note("hang") == 1:
        await anyio.sleep_forever()
    return "answered"


@shop.tool()
async def wait() -> str:
    """Wait for the test."""
    note("wait")
    while not Path(os.environ["SHOP_NOTES"]).with_suffix(".go").exists():
        await anyio.sleep(0.02)
    return "waited"


@shop.tool()
async def wrap(pieces: int, ctx: Context) -> str:
    """Wrap pieces up."""
    await ctx.report_progress(pieces - 1, pieces, "nearly")
    return "wrapped"


@shop.tool()
def odd() -> CallToolResult:
    """Text beside structured content."""
    return CallToolResult(content=[TextContent(type="text", text="said")], structured_content={"a": 1})


if os.environ.get("SHOP_CHANGED"):
    shop.remove_tool("refund")
    shop.remove_tool("price")

    @shop.tool(name="price")
    def price_in(item: str, currency: str) -> str:
        """The price of an item in a currency."""
        return f"{item} {currency}"


if __name__ == "__main__":
    note("started")
    if len(sys.argv) == 1:
        shop.run()
    elif os.environ.get("SHOP_JSON"):
        shop.run("streamable-http", port=int(sys.argv[2]), json_response=True)
    else:
        shop.run(sys.argv[1], port=int(sys.argv[2]))  # type: ignore[arg-type]
