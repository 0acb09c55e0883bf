"""Groups of tools."""

from __future__ import annotations

import pytest

from agentspan.agents import Agent, Approval, DefinitionError, Tool, compile_agent, human_tool, tool, toolset


@tool
def find(city: str) -> str:
    """Find a hotel."""
    return city


def book(hotel: str) -> str:
    """Book it."""
    return hotel


def test_an_agent_takes_groups_of_tools() -> None:
    apart = Agent("a", model="openai/x", tools=[find, book])
    assert compile_agent(Agent("a", model="openai/x", tools=[[find], (book,)])) == compile_agent(apart)
    assert [each.name for each in Agent("a", model="openai/x", tools=[[[find]], book]).tools] == ["find", "book"]
    with pytest.raises(DefinitionError, match="two tools are named 'find'"):
        Agent("a", model="openai/x", tools=[find, [find]])
    with pytest.raises(DefinitionError, match="a tool is a function, not 'find'"):
        Agent("a", model="openai/x", tools=[["find"]])
    with pytest.raises(DefinitionError, match="no tool can be named 'model'"):
        Agent("a", model="openai/x", model_place="worker", tools=[toolset([tool(find.function, name="model")])])


def test_a_toolset_chooses_and_prefixes() -> None:
    chosen = toolset([find, book], prefix="hotel_", without=["book"])
    assert [(each.name, isinstance(each, Tool)) for each in chosen] == [("hotel_find", True)]
    assert chosen[0]("Oslo") == "Oslo"
    assert toolset([find, [book]], only=["book"])[0].name == "book"
    assert toolset([find])[0] is find


def test_a_toolset_has_a_person_asked_for_all_of_its_tools() -> None:
    own = Approval(deadline=60)
    careful = tool(book, approval=own)

    chosen = toolset([find, careful, human_tool("ask", "Ask.")], approval=True)

    assert [each.approval for each in chosen] == [Approval(), own, None]
    assert find.approval is None
    with pytest.raises(DefinitionError, match="tool 'find': its approval is decided by hotel, which it does not take"):
        toolset([find], approval=lambda hotel: True)


@pytest.mark.parametrize("options", [{"only": ["sell"]}, {"without": ["sell"]}])
def test_names_that_are_none_are_refused(options: dict[str, list[str]]) -> None:
    with pytest.raises(DefinitionError, match="toolset: no tool is named 'sell'; there are find"):
        toolset([find], **options)
    with pytest.raises(DefinitionError, match="models need a name"):
        toolset([find], prefix="not good ")
