"""Tools with side effects: retries, a time limit, an idempotency key, async calls."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from agentspan.agents import Agent, ContextBudget, RateLimit, Retry, RetryTool, ToolContext, ToolFailed, tool

_PLACED: dict[str, str] = {}


class Item(BaseModel):
    """One line of an order."""

    sku: Annotated[str, Field(pattern=r"^[A-Z]{2}-\d{4}$")]
    amount: Annotated[int, Field(ge=1, le=100)] = 1


@tool(timeout=10, rate_limit=RateLimit(20, per_seconds=1))
async def stock_of(sku: str, warehouse: Literal["north", "south"] = "north") -> int:
    """How many pieces are in stock.

    Args:
        sku: The article, such as AB-1234.
        warehouse: Where to look.
    """
    return 7 if warehouse == "north" else 0


@tool(retry=Retry(attempts=5, delay=2, backoff="exponential", max_delay=30), concurrency=4)
def place_order(items: list[Item], context: ToolContext) -> str:
    """Place an order; the same call never places it twice, however often its worker dies.

    Args:
        items: What to order.
    """
    if not items:
        raise ToolFailed("An order needs at least one item.")
    if len(items) > 50:
        raise RetryTool("The order desk is busy.", after=5)
    return _PLACED.setdefault(context.idempotency_key, f"order-{len(_PLACED) + 1}")


agent = Agent(
    name="orders",
    model="openai/gpt-4o",
    tools=[stock_of, place_order],
    instructions="Check the stock, then order. Prices are in ${currency}; never invent a SKU.",
    max_turns=40,
    timeout=3600,
    context=ContextBudget(max_chars=100_000),
)
