"""OpenAPI documents that are broken, or that want more than they are to have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentspan.agents import DefinitionError, ToolFailed, api_tool
from tests.unit.little_site import Site, ask


def one(operation: dict[str, Any], path: str = "/x", method: str = "get", **document: Any) -> dict[str, Any]:
    return {"openapi": "3.1.0", "paths": {path: {method: {"operationId": "op", **operation}}}, **document}


def query(name: str, **told: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", **told}


@pytest.mark.parametrize(
    ("document", "path"),
    [
        (one({}, "/${OF_THE_WORKER}"), "/%24given"),
        (one({}, servers=[{"url": "SITE/${OF_THE_WORKER}"}]), "/$/x"),
        (
            one({}, servers=[{"url": "SITE/{v}", "variables": {"v": {"default": "${OF_THE_WORKER}"}}}]),
            "/$%7BOF_THE_WORKER%7D/x",
        ),
    ],
    ids=["path", "server", "variable"],
)
def test_a_document_cannot_ask_for_what_the_worker_has(
    site: Site, monkeypatch: pytest.MonkeyPatch, document: dict[str, Any], path: str
) -> None:
    monkeypatch.setenv("OF_THE_WORKER", "s-1234567")
    for server in document.get("servers", ()):
        server["url"] = server["url"].replace("SITE", site.url)
    base_url = None if "servers" in document else site.url
    (tool,) = api_tool(document, base_url=base_url)

    assert tool.credentials == ()
    ask(tool, **dict.fromkeys(tool.parameters["properties"], "given"))
    assert site.asked[0]["path"] == path


def test_a_cookie_cannot_ask_for_it_either(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_THE_WORKER", "s-1234567")
    schemes = {"sid": {"type": "apiKey", "in": "cookie", "name": "${OF_THE_WORKER}"}}
    document = one({"security": [{"sid": []}]}, components={"securitySchemes": schemes})
    (tool,) = api_tool(document, base_url=site.url, auth={"sid": "1"})
    ask(tool)
    assert site.asked[0]["headers"]["Cookie"] == "%24%7BOF_THE_WORKER%7D=1"


def test_what_the_program_sets_is_not_the_models_to_choose(site: Site) -> None:
    headers = ("x-tenant", "Host", "Content-Length", "Transfer-Encoding", "Idempotency-Key", "X-Other")
    parameters = [{"name": name, "in": "header", "required": True} for name in headers]
    (tool,) = api_tool(one({"parameters": parameters}, method="post"), base_url=site.url, headers={"X-Tenant": "ours"})

    assert tool.parameters["required"] == ["X-Other"]
    ask(tool, **{"X-Other": "1"})
    sent = site.asked[0]["headers"]
    assert (sent["X-Tenant"], sent["X-Other"], sent["Idempotency-Key"]) == ("ours", "1", "key-1")


def test_arguments_are_written_as_the_document_says(site: Site) -> None:
    parameters = [
        query("fields", schema={"type": "object"}),
        query("short", explode=False, schema={"type": "object"}),
        query("piped", style="pipeDelimited", explode=False, schema={"type": "array"}),
        query("spaced", style="spaceDelimited", explode=False, schema={"type": "array"}),
        query("json", content={"application/json": {"schema": {"type": "array"}}}),
        query("none", schema={"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        {"name": "X-Point", "in": "header", "schema": {"type": "object"}},
        {"name": "X-None", "in": "header", "schema": {"type": ["string", "null"]}},
        {"name": "at", "in": "path", "required": True, "explode": True, "schema": {"type": "object"}},
    ]
    (tool,) = api_tool(one({"parameters": parameters}, "/x/{at}"), base_url=site.url)
    ask(
        tool,
        fields={"r": 1, "g": 2},
        short={"r": 1, "g": 2},
        piped=["a", "b"],
        spaced=["a", "b"],
        json=["a"],
        none=None,
        at={"x": 1, "y": 2},
        **{"X-Point": {"x": 1}, "X-None": None},
    )
    asked = site.asked[0]
    assert asked["path"] == "/x/x%3D1,y%3D2?r=1&g=2&short=r%2C1%2Cg%2C2&piped=a%7Cb&spaced=a+b&json=%5B%22a%22%5D"
    assert asked["headers"]["X-Point"] == "x,1"
    assert "X-None" not in asked["headers"]


def test_a_style_that_cannot_be_written_is_told(caplog: pytest.LogCaptureFixture) -> None:
    at = {"name": "at", "in": "path", "style": "matrix", "required": True}
    with pytest.raises(DefinitionError, match="op cannot be a tool: its parameter at is written in the style 'matrix'"):
        api_tool(one({"parameters": [at]}, "/x/{at}"), base_url="https://x", tool_names=["op"])


def test_arguments_of_one_name_go_to_their_places(site: Site) -> None:
    parameters = [
        query("id"),
        query("id_path"),
        query("body"),
        query("request_body"),
        {"name": "id", "in": "path", "required": True},
    ]
    body = {"content": {"application/json": {"schema": {}}}}
    (tool,) = api_tool(one({"parameters": parameters, "requestBody": body}, "/x/{id}", "post"), base_url=site.url)

    ask(tool, id="q", id_path="qp", id_path_path="p", body="b", request_body="r", request_request_body={"a": 1})
    assert site.asked[0]["path"] == "/x/p?id=q&id_path=qp&body=b&request_body=r"
    assert site.asked[0]["body"] == '{"a":1}'


def test_a_path_has_its_blanks_filled_whatever_else_has_their_names(site: Site) -> None:
    (tool,) = api_tool(one({"parameters": [query("id")]}, "/x/{id}"), base_url=site.url + "/{tenant}")
    ask(tool, id="q", id_path="p", tenant="t")
    assert site.asked[0]["path"] == "/t/x/p?id=q"


def test_an_operation_may_be_elsewhere(site: Site) -> None:
    elsewhere = one({"servers": [{"url": site.url + "/files"}]}, servers=[{"url": "https://pets.example"}])
    (tool,) = api_tool(elsewhere)
    ask(tool)
    (tool,) = api_tool(elsewhere, base_url=site.url + "/mine")
    ask(tool)
    assert [asked["path"] for asked in site.asked] == ["/files/x", "/mine/x"]


def test_a_form_is_an_object(site: Site) -> None:
    body = {"content": {"application/x-www-form-urlencoded": {"schema": {}}}}
    (tool,) = api_tool(one({"requestBody": body}, method="post"), base_url=site.url)
    with pytest.raises(ToolFailed, match="body is a form: send an object with its fields"):
        ask(tool, body=["a"])


def test_secrets_do_not_go_in_the_clear_where_a_document_wants_it(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    document = one({}, servers=[{"url": "http://pets.example/v1"}])
    monkeypatch.setattr("agentspan.remote.openapi.read_document", lambda *_: document)
    with pytest.raises(DefinitionError, match=r"sends secrets to http://pets\.example, which is not where"):
        api_tool("https://pets.example/openapi.json", headers={"X-Key": "${KEY}"})


def broken() -> Iterator[Any]:
    yield {"paths": None}
    yield {"paths": []}
    yield {"paths": {"/x": None}}
    yield {"paths": {"/x": {"get": None}}}
    yield {"paths": {"/x": {"get": {"parameters": [None]}}}}
    yield {"paths": {"/x": {"get": {"parameters": [{"in": "query"}]}}}}
    yield {"paths": {"/x": {"get": {"parameters": [{"name": "a"}]}}}}
    yield {"paths": {"/x": {"get": {"parameters": "a"}}}}
    yield {"paths": {"/x": {"get": {"parameters": [{"name": "a", "in": "query", "schema": {"$ref": "#/no"}}]}}}}
    yield {"paths": {"/x": {"get": {"parameters": [{"$ref": "other.json#/p"}]}}}}
    yield {"paths": {"/x": {"get": {"parameters": [{"$ref": 7}]}}}}
    yield {"paths": {"/x": {"post": {"requestBody": []}}}}
    yield {"paths": {"/x": {"post": {"requestBody": {"content": []}}}}}
    yield {"paths": {"/x": {"post": {"requestBody": {"content": {"application/json": None}}}}}}
    yield {"paths": {"/x": {"$ref": "#/paths/~1x"}}}
    yield {"paths": {"/x": {"get": {}}}, "servers": [{}]}
    yield {"paths": {"/x": {"get": {}}}, "servers": ["https://x"]}
    yield {"paths": {"/x": {"get": {}}}, "servers": [{"url": "ftp://x"}]}
    yield {"paths": {"/x": {"get": {"operationId": 7}}}}
    yield {"paths": {"/x": {"get": {"summary": 7, "tags": 7}}}}
    yield {"paths": {"/x": {"get": {}}}, "components": []}


@pytest.mark.parametrize("document", list(broken()), ids=range(len(list(broken()))))
def test_a_broken_document_is_refused_in_words(document: dict[str, Any]) -> None:
    where = {} if "servers" in document else {"base_url": "https://x"}
    with pytest.raises(DefinitionError):
        api_tool({"openapi": "3.1.0", **document}, **where)


def test_aliases_that_stand_for_one_another_are_refused(tmp_path: Path) -> None:
    lines = ["openapi: 3.1.0", "a0: &a0 {type: string}"]
    lines += [f"a{level}: &a{level} {{anyOf: [{', '.join([f'*a{level - 1}'] * 9)}]}}" for level in range(1, 10)]
    lines += ["paths: {/x: {get: {operationId: op, parameters: [{name: q, in: query, schema: *a9}]}}}"]
    (tmp_path / "bomb.yaml").write_text("\n".join(lines))
    (tmp_path / "ring.yaml").write_text("openapi: 3.1.0\npaths: {}\nx: &x {y: *x}\n")
    (tmp_path / "deep.json").write_text('{"openapi": "3.1.0", "x": ' + "[" * 100_000 + "]" * 100_000 + "}")
    for name in ("bomb.yaml", "ring.yaml"):
        with pytest.raises(DefinitionError, match="aliases make more than 1,000,000 values"):
            api_tool(tmp_path / name, base_url="https://x")
    with pytest.raises(DefinitionError, match="the document is nested too deep"):
        api_tool(tmp_path / "deep.json", base_url="https://x")
