"""Tools in groups: with a prefix, and some of them only."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

from agentspan.declare.approval import Approval, Policy, approval_of
from agentspan.declare.tool import Tool, tool
from agentspan.errors import DefinitionError

AnyTool = Tool[..., Any] | Callable[..., Any]
"""A tool, or a function that becomes one."""

Toolset = tuple[Tool[..., Any], ...]
"""Several tools; an agent's `tools` may have such groups among them."""

Tools = Sequence[AnyTool | Sequence[AnyTool]]
"""What an agent takes: tools, functions, and groups of them."""


def toolset(
    tools: Tools,
    *,
    prefix: str = "",
    only: Collection[str] | None = None,
    without: Collection[str] = (),
    approval: Approval | Policy | bool | None = None,
) -> Toolset:
    """Choose tools of a group, and name them alike.

        agent = Agent("clerk", model="openai/gpt-4o", tools=[toolset([find, book], prefix="hotel_"), look_up])

    Args:
        tools: Tools, functions, and groups of them such as `mcp_tool` gives.
        prefix: Put before the name of each.
        only: Names of those to take, as they are without the prefix; all unless given.
        without: Names of those to leave out.
        approval: A person decides before a call is made, as in `tool`; of tools that have an approval of their own,
            that one counts.

    Raises:
        DefinitionError: A name is none of a tool, or no name for one; a tool does not take what the approval's
            function names.
    """
    found = tuple(each_tool(tools))
    check_names([*(only or ()), *without], found, "toolset")
    wanted = {each.name for each in found} if only is None else set(only)
    chosen = [each for each in found if each.name in wanted and each.name not in without]
    return tuple(_as_one_of(each, prefix, approval) for each in chosen)


def _as_one_of(given: Tool[..., Any], prefix: str, approval: Approval | Policy | bool | None) -> Tool[..., Any]:
    asks = given.approval
    if asks is None and given.question is None:
        asks = approval_of(approval, f"tool {given.name!r}", given.parameters["properties"])
    return replace(given, name=f"{prefix}{given.name}", approval=asks) if prefix or asks else given


def each_tool(tools: Tools) -> Iterator[Tool[..., Any]]:
    """The tools of a list, one by one; functions become tools."""
    for item in tools:
        if isinstance(item, Sequence) and not isinstance(item, str):
            yield from each_tool(item)
        else:
            yield item if isinstance(item, Tool) else tool(item)


def check_names(names: Collection[str], tools: Sequence[Tool[..., Any]], what: str) -> None:
    """Refuse the names of tools that are not there."""
    known = [each.name for each in tools]
    for name in names:
        if name not in known:
            raise DefinitionError(f"{what}: no tool is named {name!r}; there are {', '.join(known) or 'none'}")
