"""HA: the OpenAPI document is that of the server, whole and fresh."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from starlette.routing import BaseRoute, Route

from hongyan.app import Server
from hongyan.config import load
from hongyan.model.log import InboxRow
from hongyan.transport.declare import Doc, Param
from hongyan.transport.openapi import PATH, TAGS, document, operations, text_of
from hongyan.transport.requests import json_answer, route
from hongyan.transport.schemas import components

PAGE = Path(__file__).parents[2] / "docs/openapi.json"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    running = Server(load(None, {}, {"server.port": 0, "data.dir": str(tmp_path / "data")}))
    await running.start()
    yield running
    await running.stop()


def undeclared(routes: list[BaseRoute]) -> list[str]:
    """Routes of the API that say nothing of themselves."""
    api = [r for r in routes if isinstance(r, Route) and r.path.startswith(("/v1", "/files"))]
    return [f"{r.path} {r.methods}" for r in api if getattr(r, "doc", None) is None]


async def test_HA10_every_route_of_the_api_is_described(server: Server) -> None:
    assert len(operations(server.http.routes)) > 60
    assert undeclared(server.http.routes) == []


async def handler(request: Any) -> Any:
    return json_answer({})


def test_HA10_a_route_without_description_is_noticed() -> None:
    bare = route("/v1/bare", "GET", handler)
    told = route("/v1/told", "GET", handler, Doc(summary="Told", answer=dict[str, int]))
    missed = undeclared([bare, told, Route("/v1/plain", handler)])
    assert [line.split()[0] for line in missed] == ["/v1/bare", "/v1/plain"]


async def test_HA11_the_committed_document_is_fresh(server: Server) -> None:
    """Stale? Run: python scripts/openapi.py"""
    async with httpx.AsyncClient() as http:
        got = await http.get(f"http://127.0.0.1:{server.port}{PATH}")
    assert got.headers["content-type"] == "application/json"
    fresh = text_of(got.json())
    assert PAGE.read_bytes() == fresh, "run: python scripts/openapi.py"


def references(thing: Any) -> set[str]:
    if isinstance(thing, dict):
        own = {thing["$ref"]} if isinstance(thing.get("$ref"), str) else set()
        return own.union(*map(references, thing.values()))
    return set().union(*map(references, thing)) if isinstance(thing, list) else set()


async def test_HA11_the_document_holds_together(server: Server) -> None:
    made = document(server.http.routes)
    names: list[str] = []
    for path, methods in made["paths"].items():
        for operation in methods.values():
            names.append(operation["operationId"])
            inside = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"}
            assert inside == set(re.findall(r"\{(\w+)\}", path)), path
            assert operation["summary"] and operation["tags"][0] in TAGS, path
            assert {"400", "500"} <= operation["responses"].keys(), path
    assert len(names) == len(set(names))
    for reference in references(made):
        at: Any = made
        for part in reference.removeprefix("#/").split("/"):
            at = at[part]
        assert at


def test_HA11_declared_structs_and_parameters_are_what_is_shown() -> None:
    doc = Doc(
        summary="Show",
        tag="logs",
        params=(Param("limit", "How many.", int, required=True),),
        body=InboxRow,
        answer=list[InboxRow],
        status=201,
        errors=(404,),
        calls=True,
    )
    made = document([route("/v1/things/{name:path}/x", "PUT", handler, doc)])
    shown = made["paths"]["/v1/things/{name}/x"]["put"]
    assert [(p["name"], p["in"], p["required"]) for p in shown["parameters"]] == [
        ("name", "path", True),
        ("limit", "query", True),
        ("Idempotency-Key", "header", True),
        ("Hongyan-User", "header", False),
    ]
    row = made["components"]["schemas"]["InboxRow"]
    assert row["properties"]["state"]["default"] == {}
    assert set(row["required"]) >= {"log", "useq", "head"}
    assert "from" in made["components"]["schemas"]["Entry"]["properties"]
    assert {"201", "404", "401", "429"} <= shown["responses"].keys()


def test_HA11_a_struct_inside_another_is_copied_with_it() -> None:
    class Outer(msgspec.Struct):
        rows: dict[str, list[InboxRow]]
        free: msgspec.Raw = msgspec.Raw(b"{}")

    [schema], named = components([Outer], "#/{name}")
    assert schema == {"$ref": "#/Outer"}
    assert named["Outer"]["properties"]["free"] == {"default": {}}
    assert "InboxRow" in named
