"""What a model may do in a request: call tools, and give an answer of a type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.tools import ToolDefinition

from agentspan.stored.names import OUTPUT_TOOL
from agentspan.stored.output import OutputRequest
from agentspan.stored.request import ModelRequest
from agentspan.worker.call import Json
from agentspan.worker.transcript import Exchange

_GIVES = "Give the final answer. Call it alone, and last."


_WANTS_TOOLS = ("anthropic", "bedrock")
"""Providers that take no conversation with calls in it, unless tools are on offer."""


def with_called(request: ModelRequest, exchanges: Sequence[Exchange]) -> ModelRequest:
    """The request; with the tools that were called before, and may not be now, where its agent has none of its own.

    An agent that has taken over may have none, and some providers take no calls in a conversation then.
    """
    if request.tools or request.model.partition("/")[0] not in _WANTS_TOOLS:
        return request
    names = {call.name for exchange in exchanges for call, _ in exchange.told} - {OUTPUT_TOOL}
    if not names:
        return request
    gone = ({"name": name, "description": "Not here any more.", "parameters": _ANYTHING} for name in sorted(names))
    return replace(request, tools=tuple(gone), settings={**request.settings, "tool_choice": "none"})


_ANYTHING: Json = {"type": "object", "properties": {}}


def parameters(request: ModelRequest, model: Model) -> ModelRequestParameters:
    """The tools, and the JSON Schema of the answer: as the provider's response format, or as one more tool."""
    tools = [_tool(spec) for spec in request.tools]
    output = request.output
    if output is None:
        return ModelRequestParameters(function_tools=tools)
    if _is_native(model, with_tools=bool(tools)):
        answer = OutputObjectDefinition(
            json_schema=output.schema, name=output.name, description=output.description or None
        )
        return ModelRequestParameters(function_tools=tools, output_mode="native", output_object=answer)
    thinks = request.settings.keys() & {"thinking_tokens", "reasoning_effort"}
    return ModelRequestParameters(
        function_tools=tools,
        output_mode="tool",
        output_tools=[_output_tool(output)],
        # A model that thinks may refuse to be made to call a tool.
        allow_text_output=bool(thinks),
    )


def _is_native(model: Model, *, with_tools: bool) -> bool:
    profile = model.profile
    if not profile.get("supports_json_schema_output", False):
        return False
    # Gemini before its third version takes a response format or tools.
    return not with_tools or bool(profile.get("google_supports_tool_combination", True))


def _tool(spec: Json) -> ToolDefinition:
    return ToolDefinition(name=spec["name"], description=spec["description"], parameters_json_schema=spec["parameters"])


def _output_tool(output: OutputRequest) -> ToolDefinition:
    description = f"{output.description}\n\n{_GIVES}" if output.description else _GIVES
    return ToolDefinition(
        name=OUTPUT_TOOL, description=description, parameters_json_schema=output.schema, kind="output"
    )
