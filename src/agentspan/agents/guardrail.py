"""Guardrails, under the path that scripts know; `agentspan.agents` has the same names."""

from __future__ import annotations

from agentspan.declare.guardrail import (
    Guardrail,
    GuardrailContext,
    GuardrailResult,
    LLMGuardrail,
    OnFail,
    Position,
    RegexGuardrail,
    guardrail,
)

__all__ = [
    "Guardrail",
    "GuardrailContext",
    "GuardrailResult",
    "LLMGuardrail",
    "OnFail",
    "Position",
    "RegexGuardrail",
    "guardrail",
]
