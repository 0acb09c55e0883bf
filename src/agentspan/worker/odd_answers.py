"""Answers that are none, or that stand elsewhere than a text does."""

from __future__ import annotations

from pydantic_ai.messages import ModelResponse

from agentspan.worker.call import ModelAway


def whole(response: ModelResponse) -> ModelResponse:
    """The response, where it is an answer.

    Raises:
        ModelAway: The provider failed at it, or could not read the model's own call (Gemini says no more of that).
    """
    if response.finish_reason != "error":
        return response
    why = (response.provider_details or {}).get("finish_reason") or "no reason was given"
    if "CALL" in str(why):
        raise ModelAway(f"The model's provider could not read the model's own call: {why}.")
    raise ModelAway(f"The model's provider answered without an answer: {why}.")


def refusal_of(response: ModelResponse) -> str:
    """The model's own words for declining, which OpenAI keeps apart from its texts."""
    return str((response.provider_details or {}).get("refusal") or "")
