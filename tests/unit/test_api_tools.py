"""Operations of OpenAPI documents as tools."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentspan.agents import Agent, ConfigError, DefinitionError, Tool, ToolFailed, api_tool, compile_agent, http_tool
from tests.unit.little_site import Site, ask

PETS: dict[str, Any] = {
    "openapi": "3.0.3",
    "info": {"title": "Pets"},
    "servers": [{"url": "/{version}", "variables": {"version": {"default": "v1"}}}],
    "security": [{"key": []}],
    "paths": {
        "/pets/{petId}": {
            "parameters": [{"$ref": "#/components/parameters/PetId"}],
            "get": {
                "operationId": "pets.get",
                "summary": "One pet.",
                "tags": ["reading"],
                "parameters": [
                    {"name": "fields", "in": "query", "explode": False, "schema": {"type": "array"}},
                    {"name": "filter", "in": "query", "style": "deepObject", "schema": {"type": "object"}},
                    {"name": "X-Trace", "in": "header", "schema": {"type": "string"}},
                    {"name": "X-Key", "in": "header", "required": True, "schema": {"type": "string"}},
                    {"name": "theme", "in": "cookie", "schema": {"type": "string", "nullable": True}},
                ],
            },
            "delete": {"summary": "Give away.", "security": [{"basic": []}, {"token": []}]},
        },
        "/pets": {
            "post": {
                "operationId": "add",
                "description": "Add a pet.",
                "tags": ["writing"],
                "security": [{"both": [], "query": []}, {"query": []}],
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Pet"}}},
                },
            },
            "put": {
                "operationId": "upload",
                "requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {}}}},
            },
        },
        "/search": {
            "post": {
                "operationId": "search",
                "security": [],
                "requestBody": {
                    "content": {"application/x-www-form-urlencoded": {"schema": {"properties": {"q": {}}}}}
                },
            }
        },
    },
    "components": {
        "parameters": {"PetId": {"name": "petId", "in": "path", "required": True, "schema": {"type": "integer"}}},
        "schemas": {
            "Pet": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string"},
                    "mother": {"$ref": "#/components/schemas/Pet"},
                    "kind": {"allOf": [{"$ref": "#/components/schemas/Kind"}], "description": "Which."},
                },
            },
            "Kind": {"type": "string", "enum": ["cat", "dog"]},
        },
        "securitySchemes": {
            "key": {"type": "apiKey", "in": "header", "name": "X-Key"},
            "query": {"type": "apiKey", "in": "query", "name": "api key"},
            "both": {"type": "apiKey", "in": "cookie", "name": "sid"},
            "basic": {"type": "http", "scheme": "basic"},
            "token": {"type": "oauth2", "flows": {}},
        },
    },
}


def by_name(tools: tuple[Tool[..., Any], ...]) -> dict[str, Tool[..., Any]]:
    return {each.name: each for each in tools}


def test_operations_become_tools(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    tools = by_name(api_tool(PETS, base_url=site.url))

    assert list(tools) == ["pets_get", "delete_pets_petId", "add", "search"]
    assert "upload is left out: its body is application/octet-stream, and not JSON or a form" in caplog.text
    assert tools["pets_get"].description == "One pet."
    assert tools["pets_get"].parameters["required"] == ["petId", "X-Key"]
    assert tools["delete_pets_petId"].parameters["properties"] == {"petId": {"type": "integer"}}
    assert tools["add"].parameters == {
        "type": "object",
        "properties": {"body": {"$ref": "#/$defs/Pet"}},
        "required": ["body"],
        "$defs": {
            "Pet": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string"},
                    "mother": {"$ref": "#/$defs/Pet"},
                    "kind": {"type": "string", "enum": ["cat", "dog"], "description": "Which."},
                },
            }
        },
    }
    assert compile_agent(Agent("a", model="openai/x", tools=[list(tools.values())]))


def test_parameters_go_where_the_document_says(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PET_KEY", "k-1234567")
    get = by_name(api_tool(PETS, base_url=site.url + "/v1/", auth={"key": "${PET_KEY}"}))["pets_get"]
    assert "X-Key" not in get.parameters["properties"], "the environment gives it"

    ask(get, petId=7, fields=["a", "b"], filter={"kind": "cat", "old": True}, **{"X-Trace": "t"}, theme="dark blue")

    (asked,) = site.asked
    assert asked["path"] == "/v1/pets/7?fields=a%2Cb&filter%5Bkind%5D=cat&filter%5Bold%5D=true"
    assert asked["headers"]["X-Trace"] == "t"
    assert asked["headers"]["X-Key"] == "k-1234567"
    assert asked["headers"]["Cookie"] == "theme=dark%20blue"


def test_bodies_are_what_the_document_says(site: Site) -> None:
    tools = by_name(api_tool(PETS, base_url=site.url))

    ask(tools["add"], body={"name": "Tom"})
    ask(tools["search"], body={"q": "a b"})

    assert json.loads(site.asked[0]["body"]) == {"name": "Tom"}
    assert site.asked[0]["headers"]["Idempotency-Key"] == "key-1"
    assert (site.asked[1]["body"], site.asked[1]["headers"]["Content-Type"]) == (
        "q=a+b",
        "application/x-www-form-urlencoded",
    )


def test_secrets_go_by_the_first_way_that_has_all_its_keys(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"Q": "q&7/secret", "LOGIN": "ann:pw-1234", "TOKEN": "t-1234567"}.items():
        monkeypatch.setenv(name, value)
    tools = api_tool(PETS, base_url=site.url, auth={"query": "${Q}", "basic": "${LOGIN}", "token": "${TOKEN}"})
    only_token = by_name(api_tool(PETS, base_url=site.url, auth={"token": "${TOKEN}"}))

    ask(by_name(tools)["add"], body={"name": "Tom"})
    ask(by_name(tools)["delete_pets_petId"], petId=1)
    ask(only_token["delete_pets_petId"], petId=1)
    ask(only_token["search"], body={})

    assert site.asked[0]["path"] == "/pets?api%20key=q%267%2Fsecret"
    sent = [asked["headers"].get("Authorization") for asked in site.asked]
    assert sent == [None, "Basic YW5uOnB3LTEyMzQ=", "Bearer t-1234567", None]
    site.will(400, "not q&7/secret nor q%267%2Fsecret")
    with pytest.raises(ToolFailed, match=r"not \*\*\* nor \*\*\*$"):
        ask(by_name(tools)["add"], body={"name": "Tom"})


def test_a_document_has_an_address_a_file_or_is_a_value(site: Site, tmp_path: Path) -> None:
    (tmp_path / "pets.yaml").write_text(yaml.safe_dump(PETS | {"x-date": "2026-01-01"}, sort_keys=False))
    (tmp_path / "pets.json").write_text(json.dumps(PETS))
    site.will(200, json.dumps(PETS))
    site.will(200, yaml.safe_dump(PETS, sort_keys=False), Content_Type="text/yaml")

    from_site = api_tool(f"{site.url}/docs/pets.json")
    assert from_site == api_tool(f"{site.url}/docs/pets.yaml")
    assert from_site == api_tool(tmp_path / "pets.yaml", base_url=f"{site.url}/v1")
    assert from_site == api_tool(str(tmp_path / "pets.json"), base_url=f"{site.url}/v1")
    ask(by_name(from_site)["search"], body={"q": 1})
    assert site.asked[-1]["path"] == "/v1/search"


def test_a_form_with_files(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    binary = {"type": "string", "format": "binary"}
    form = {"$ref": "#/components/schemas/Upload"}
    document = {
        "openapi": "3.0.3",
        "paths": {
            "/files": {
                "post": {
                    "operationId": "upload",
                    "requestBody": {"content": {"multipart/form-data": {"schema": form}}},
                },
                "put": {"operationId": "store", "requestBody": {"content": {"image/png": {}}}},
            }
        },
        "components": {
            "schemas": {
                "Scan": {**binary, "description": "A page."},
                "Upload": {
                    "type": "object",
                    "properties": {
                        "title": {"type": "string"},
                        "tags": {"type": "array", "items": {"type": "string"}},
                        "meta": {"type": "object"},
                        "cover": {"$ref": "#/components/schemas/Scan"},
                        "pages": {"type": "array", "items": binary},
                    },
                },
            }
        },
    }
    tools = by_name(api_tool(document, base_url=site.url))
    fields = tools["upload"].parameters["properties"]["body"]["properties"]

    assert fields["cover"]["required"] == ["name", "content"]
    assert fields["cover"]["description"] == "A page."
    assert "store is called without its body, which is image/png" in caplog.text

    cover = {"name": 'a "b".csv', "content": "x,ä\r\n1,2"}
    body = {"title": "T", "tags": ["p", "q"], "meta": {"n": 1}, "cover": cover, "pages": [{"name": "1", "content": ""}]}
    for _ in range(2):
        site.will(200, "{}")
        ask(tools["upload"], body=body)
    first, second = site.asked
    boundary = first["headers"]["Content-Type"].removeprefix("multipart/form-data; boundary=")
    parts = [
        'Content-Disposition: form-data; name="title"\r\n\r\nT',
        'Content-Disposition: form-data; name="tags"\r\n\r\np',
        'Content-Disposition: form-data; name="tags"\r\n\r\nq',
        'Content-Disposition: form-data; name="meta"\r\nContent-Type: application/json\r\n\r\n{"n":1}',
        'Content-Disposition: form-data; name="cover"; filename="a %22b%22.csv"\r\nContent-Type: text/csv\r\n\r\n'
        "x,ä\r\n1,2",
        'Content-Disposition: form-data; name="pages"; filename="1"\r\nContent-Type: application/octet-stream\r\n\r\n',
    ]
    assert first["body"] == "".join(f"--{boundary}\r\n{part}\r\n" for part in parts) + f"--{boundary}--\r\n"
    assert second["body"] == first["body"]
    with pytest.raises(ToolFailed, match="cover is a file: send an object with its name and its content"):
        ask(tools["upload"], body={"cover": "x"})


def test_some_of_them_only() -> None:
    where = {"base_url": "https://pets.example"}

    assert [each.name for each in api_tool(PETS, tags=["reading", "writing"], **where)] == ["pets_get", "add"]
    assert [each.name for each in api_tool(PETS, tool_names=["add"], prefix="pet_", **where)] == ["pet_add"]
    with pytest.raises(DefinitionError, match="has no operation named 'sell'; it has pets_get, "):
        api_tool(PETS, tool_names=["sell"], **where)
    with pytest.raises(DefinitionError, match="upload cannot be a tool: its body is application/octet-stream"):
        api_tool(PETS, tool_names=["upload"], **where)
    with pytest.raises(DefinitionError, match="has 5 operations, more than max_tools=2: pets_get, "):
        api_tool(PETS, max_tools=2, **where)


def test_a_document_sends_no_secrets_elsewhere_than_where_it_came_from(site: Site) -> None:
    document = PETS | {"servers": [{"url": "https://thief.example"}]}
    site.will(200, json.dumps(document))
    site.will(200, json.dumps(document))
    with pytest.raises(DefinitionError, match=r"sends secrets to https://thief\.example, which is not where"):
        api_tool(site.url + "/pets.json", auth={"key": "${PET_KEY}"})

    assert api_tool(site.url + "/pets.json")


def broken(**changes: Any) -> dict[str, Any]:
    return copy.deepcopy(PETS) | changes


@pytest.mark.parametrize(
    ("document", "options", "message"),
    [
        (broken(openapi="2.0"), {}, "the document is 2.0, and not OpenAPI 3"),
        ({"swagger": "2.0"}, {}, "the document is 2.0, and not OpenAPI 3"),
        (PETS, {}, "does not say where the API is"),
        (PETS, {"base_url": "https://{x}/"}, "the model would choose the host"),
        (
            PETS,
            {"base_url": "https://x", "auth": {"nokey": "v"}},
            "auth names 'nokey'; the document's security .*: key",
        ),
        (broken(paths={}), {"base_url": "https://x"}, "has no operations"),
        (broken(components={}), {"base_url": "https://x"}, "'#/components/parameters/PetId' refers to nothing"),
        ("/no/such/file.json", {}, "the document cannot be read"),
    ],
)
def test_what_makes_no_sense_is_refused(document: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        api_tool(document, **options)


def test_a_document_that_cannot_be_fetched(site: Site) -> None:
    site.will(404, "gone")
    with pytest.raises(DefinitionError, match=r"cannot be read: GET .* answered 404 Not Found: gone"):
        api_tool(site.url)
    with pytest.raises(ConfigError, match="needs the credential NOT_SET_ANYWHERE"):
        api_tool(site.url, headers={"X": "${NOT_SET_ANYWHERE}"})
    site.will(200, "a: [b", Content_Type="text/plain")
    with pytest.raises(DefinitionError, match="neither JSON nor YAML"):
        api_tool(site.url)


def test_http_tool_and_api_tool_make_the_same(site: Site) -> None:
    one = by_name(api_tool(PETS, base_url=site.url))["delete_pets_petId"]
    other = http_tool("delete_pets_petId", "Give away.", site.url + "/pets/{petId}", "DELETE")
    assert one(petId=7) == other(petId=7) == {}
    assert site.asked[0] == site.asked[1]
