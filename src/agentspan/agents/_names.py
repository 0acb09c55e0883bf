"""Names that scripts for another SDK import: those that have another name here, and those that have no counterpart."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_OTHER_NAMES = {
    "AgentAPIError": ("agentspan.errors", "ServerError"),
    "AgentEvent": ("agentspan.reading.events", "Event"),
    "AgentNotFoundError": ("agentspan.errors", "NotFound"),
    "AgentStream": ("agentspan.runtime.stream", "EventStream"),
    "ConfigurationError": ("agentspan.errors", "ConfigError"),
    "TerminalToolError": ("agentspan.errors", "ToolFailed"),
    "TerminationCondition": ("agentspan.declare.termination", "Termination"),
    "TokenUsage": ("agentspan.stored.usage", "Usage"),
    "ToolDef": ("agentspan.declare.tool", "Tool"),
    "function_tool": ("agentspan.declare.tool", "tool"),
}

_MEDIA = "a tool of your own asks such a model, and returns a link: `@tool(credentials=[…])`"
_CONTAINER = "`code_tool(container=Container(image=…))` runs code in a container, `code_tool()` beside the worker"
_SEARCH = "a tool of your own asks the store: `@tool(credentials=[…])`, or `mcp_tool(server_url)`"
_OTHER_SDK = "agents of other SDKs are not run here; `Agent(name, model=…, tools=…)` declares one"
_SKILL = "skills are not loaded here: `Agent(instructions=Path(…).read_text())` has the text of one"

_INSTEAD = {
    "ClaudeCode": _OTHER_SDK,
    "CredentialFile": "a credential is a text, whose name stands in `credentials=[…]`; a tool writes the file it needs",
    "CredentialNotFoundError": "a call whose credential is missing fails before the tool runs, and its error says so",
    "DockerCodeExecutor": _CONTAINER,
    "GPTAssistantAgent": _OTHER_SDK,
    "HandoffCondition": "`handoff(agent, when=function)` takes a function of the turn",
    "InMemoryStore": _SEARCH,
    "JupyterCodeExecutor": _CONTAINER,
    "LocalCodeExecutor": _CONTAINER,
    "MemoryEntry": _SEARCH,
    "MemoryStore": _SEARCH,
    "OnCondition": "`handoff(agent, when=function)` takes a function of the turn",
    "PromptTemplate": "`StateTemplate`, or a function of a `RunContext`, gives instructions that vary",
    "Runner": _OTHER_SDK,
    "RunResult": _OTHER_SDK,
    "SemanticMemory": _SEARCH,
    "ServerlessCodeExecutor": _CONTAINER,
    "TextGate": "`Team(…, strategy='router', router=function)` chooses what goes on; or run the parts one by one",
    "UserProxyAgent": "`human_tool(name, description)` asks a person, and `Team(…, strategy='manual')` lets one choose",
    "agent": "`Agent(name, model=…, instructions=…)` declares an agent; its instructions may be a function",
    "audio_tool": _MEDIA,
    "create_agent": _OTHER_SDK,
    "deploy_async": "it is a method: `with AgentRuntime() as runtime: runtime.deploy(…)`",
    "discover_agents": "`agentspan worker start module:agent` finds agents by their import path",
    "image_tool": _MEDIA,
    "index_tool": _SEARCH,
    "is_tracing_enabled": "docs/observability.md says how traces are switched on",
    "load_skills": _SKILL,
    "pdf_tool": _MEDIA,
    "plan_execute": "an agent with tools makes its plan as it goes: `Agent(name, model=…, tools=…)`",
    "resolve_credentials": "`ToolContext.credentials[name]`, or `get_credential(name)`, within a call of the tool",
    "search_tool": _SEARCH,
    "shutdown": "a runtime ends with its `with` block, and with the process",
    "skill": _SKILL,
    "trace_agent_run": "docs/observability.md says how traces are switched on",
    "trace_tool_call": "docs/observability.md says how traces are switched on",
    "video_tool": _MEDIA,
    "wait_for_message_tool": "messages to a running agent are not here; `human_tool` asks a person, and `run(…, "
    "session_id=…)` goes on with a conversation",
}


def __getattr__(name: str) -> Any:
    """What has the name here.

    Raises:
        ImportError: Nothing has; the message says what there is in its place.
        AttributeError: Nobody knows the name.
    """
    if name in _OTHER_NAMES:
        module, own = _OTHER_NAMES[name]
        return getattr(import_module(module), own)
    if name in _INSTEAD:
        raise ImportError(f"agentspan has no {name!r}: {_INSTEAD[name]}. docs/migrating.md has more.", name=name)
    raise AttributeError(f"module 'agentspan.agents' has no attribute {name!r}")
