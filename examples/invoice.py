"""Invoices as values: the answer is of a type, and what does not add up goes back to the model."""

from __future__ import annotations

from pydantic import BaseModel

from agentspan.agents import Agent, run, tool

PAPERS = {"A-1": "Invoice A-1. Tea 3.50, bread 2.20. Total 5.70.", "A-2": "Invoice A-2. Ink 12.00. Total 12.00."}


class Line(BaseModel):
    what: str
    cents: int


class Invoice(BaseModel):
    """What an invoice says."""

    number: str
    lines: list[Line]
    total_cents: int


@tool
def read_paper(number: str) -> str:
    """The text of the scanned invoice of that number."""
    return PAPERS[number]


def adds_up(invoice: Invoice) -> None:
    """The lines make the total."""
    found = sum(line.cents for line in invoice.lines)
    if found != invoice.total_cents:
        raise ValueError(f"the lines make {found} cents, and the total says {invoice.total_cents}")


agent = Agent(
    "invoices",
    model="openai/gpt-4o",
    tools=[read_paper],
    instructions="Read the invoice that you are asked for.",
    output_type=Invoice,
    output_validators=[adds_up],
    model_place="worker",
)

if __name__ == "__main__":
    invoice = run(agent, "Read A-1.").output
    for line in invoice.lines:
        print(f"{line.what:20} {line.cents / 100:8.2f}")
    print(f"{'total':20} {invoice.total_cents / 100:8.2f}")
