"""A bank's help desk with guardrails: what no model may read, what none may say, and what no tool may do."""

from __future__ import annotations

from agentspan.agents import Agent, Guardrail, GuardrailError, GuardrailResult, RegexGuardrail, run, tool

ACCOUNTS = {"AC-1": "Balance 120.50, card 4111111111111111.", "AC-2": "Balance 3.00, no card."}

hide_cards = RegexGuardrail(r"\b\d{16}\b", on_fail="fix", name="hide_cards", replacement="[card]")
"""Looks at what a tool gives, and takes card numbers out of it before the model reads them."""


def own_accounts(arguments: dict[str, str]) -> GuardrailResult:
    """Looks at the arguments of a call."""
    return GuardrailResult(passed=arguments["account"] in ACCOUNTS, message="that is no account of this customer")


@tool(guardrails=[Guardrail(own_accounts, position="input"), hide_cards])
def account(account: str) -> str:
    """What is on an account."""
    return ACCOUNTS[account]


def no_advice(answer: str) -> GuardrailResult:
    """Looks at the answer; the model is told why it may not say that, and answers again."""
    return GuardrailResult(
        passed="you should invest" not in answer.lower(),
        message="We may not give investment advice. Say what is on the account, and no more.",
    )


agent = Agent(
    "help_desk",
    model="openai/gpt-4o",
    tools=[account],
    instructions="Answer questions about the customer's accounts.",
    guardrails=[
        RegexGuardrail(r"(?i)password", position="input", on_fail="raise", message="Never tell anyone your password."),
        Guardrail(no_advice),
    ],
)

if __name__ == "__main__":
    try:
        print(run(agent, "What is on AC-1, and what should I do with it?").output)
    except GuardrailError as error:
        print(error.reason)
