"""CO: what the console asks for, who may ask, and what is put down."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import websockets
from http_rig import MAIN, PASSWORD, Service, assert_problem, text, until
from starlette.applications import Starlette
from starlette.routing import Route

import hongyan.app
from hongyan.app import Server
from hongyan.config import load
from hongyan.model.errors import StoreDown
from hongyan.model.ids import TenantId, UserId
from hongyan.ports import AuditEnd, AuditLine, User

FORBIDDEN, NO_LOG, NO_USER, BAD_ARGS, UNKNOWN = 209, 108, 114, 106, 201


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with Service() as made:
        yield made


async def boss(service: Service, tenant: str = "main", user: str = "root") -> str:
    """The token of an administrator."""
    account = User(tenant=TenantId(tenant), user=UserId(user), admin=True)
    await service.directory.put_user(account)
    return await service.node.authenticator.grant(TenantId(tenant), UserId(user))


async def lines(service: Service, token: str, query: str = "") -> list[dict[str, Any]]:
    got = await service.get(f"/v1/admin/audit{query}", token)
    assert got.status_code == 200, got.text
    found: list[dict[str, Any]] = got.json()["lines"]
    return found


ADMIN_PATHS = [
    ("GET", "/v1/admin/overview"),
    ("GET", "/v1/admin/limits"),
    ("GET", "/v1/admin/files"),
    ("GET", "/v1/admin/audit"),
    ("GET", "/v1/admin/users"),
    ("GET", "/v1/admin/users/alice"),
    ("GET", "/v1/admin/users/alice/conversations"),
    ("GET", "/v1/admin/logs/main/d/alice~bob"),
    ("GET", "/v1/admin/logs/main/d/alice~bob/members"),
    ("GET", "/v1/admin/logs/main/d/alice~bob/entries"),
    ("POST", "/v1/admin/logs/main/d/alice~bob/contents"),
]


async def routes_of_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Route]:
    """Every route of the server as it is really put together."""
    apps: list[Starlette] = []
    build = hongyan.app.build_http

    def remember(*args: Any, **more: Any) -> Starlette:
        apps.append(build(*args, **more))
        return apps[-1]

    monkeypatch.setattr(hongyan.app, "build_http", remember)
    server = Server(load(None, {}, {"server.port": 0, "data.dir": str(tmp_path / "data")}))
    await server.start()
    await server.stop()
    return [made for made in apps[0].routes if isinstance(made, Route)]


async def test_CO3_every_route_that_changes_something_declares_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = [
        f"{'/'.join(sorted(route.methods or ()))} {route.path}"
        for route in await routes_of_the_server(tmp_path, monkeypatch)
        if (route.methods or set()) - {"GET", "HEAD", "OPTIONS"} and not getattr(route, "audit", "")
    ]
    assert silent == [], (
        "say route(…, audit='thing.done'), or audit=OWN where only the asker's own is changed"
    )


async def test_CO6_the_paths_tested_are_all_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    routes = await routes_of_the_server(tmp_path, monkeypatch)
    there = {
        (method, re.sub(r"\{[^}]+\}", "x", route.path))
        for route in routes
        for method in (route.methods or set()) - {"HEAD"}
        if route.path.startswith("/v1/admin/")
    }
    tested = {
        (method, path.replace("main/d/alice~bob", "x/x/x").replace("alice", "x"))
        for method, path in ADMIN_PATHS
    }
    assert there == tested


@pytest.mark.parametrize(("method", "path"), ADMIN_PATHS)
async def test_CO6_nobody_else_may_ask(service: Service, method: str, path: str) -> None:
    alice, _, _ = await service.talk()
    root = await boss(service)
    made = await service.post("/v1/keys", {"scopes": ["users", "read", "metrics"]}, root)

    async def ask(token: str) -> Any:
        auth = {"Authorization": f"Bearer {token}"} if token else {}
        body = {} if method == "POST" else None
        return await service.http.request(method, path, headers=auth, json=body)

    assert_problem(await ask(""), 401, UNKNOWN)
    assert_problem(await ask(alice), 403, FORBIDDEN)
    assert_problem(await ask(made.json()["key"]), 403, FORBIDDEN)
    full = await service.post("/v1/keys", {"scopes": ["admin"]}, root)
    good = 404 if path.endswith("/files") else 200  # this server keeps no files
    assert (await ask(root)).status_code == good
    assert (await ask(full.json()["key"])).status_code == good


async def test_CO7_another_tenants_administrator_sees_nothing_of_the_node(
    service: Service,
) -> None:
    await service.talk()
    other = await boss(service, "shop")

    for path in ("overview", "limits", "files"):
        assert_problem(await service.get(f"/v1/admin/{path}", other), 403, FORBIDDEN)
    assert (await service.get("/v1/admin/users", other)).json()["users"][0]["user"] == "root"
    assert_problem(await service.get("/v1/admin/users/alice", other), 404, NO_USER)
    for way in ("", "/members", "/entries"):
        got = await service.get(f"/v1/admin/logs/main/d/alice~bob{way}", other)
        assert_problem(got, 404, NO_LOG)
    assert await lines(service, other) == []


async def test_CO8_the_overview_is_there_over_http(service: Service) -> None:
    root = await boss(service)
    await service.node.operations.overview.sample()
    first = (await service.get("/v1/admin/overview", root)).json()
    again = (await service.get(f"/v1/admin/overview?since={first['at'][-1]}", root)).json()

    assert first["series"]["memory"][0] > 0 and first["step_ms"] == 2000
    assert len(again["at"]) < len(first["at"])
    assert_problem(await service.get("/v1/admin/overview?since=-1", root), 422, BAD_ARGS)


# --- people ---------------------------------------------------------------------------------


async def test_CO9_people_are_found_by_the_beginning_of_their_id(service: Service) -> None:
    root = await boss(service)
    for user in ("al", "alan", "alice", "bob"):
        await service.directory.put_user(User(tenant=MAIN, user=UserId(user)))

    async def ask(query: str) -> tuple[list[str], bool]:
        got = (await service.get(f"/v1/admin/users?{query}", root)).json()
        return [user["user"] for user in got["users"]], got["more"]

    assert await ask("prefix=al") == (["al", "alan", "alice"], False)
    assert await ask("prefix=al&limit=2") == (["al", "alan"], True)
    assert await ask("prefix=al&limit=2&after=alan") == (["alice"], False)
    assert await ask("prefix=zz") == ([], False)
    await service.directory.put_user(User(tenant=MAIN, user=UserId("zed"), name="Big Alan"))
    named = (await service.get("/v1/admin/users?prefix=al", root)).json()["named"]
    assert [user["user"] for user in named] == ["zed"], "found by a word of the name"
    assert await ask("limit=3") == (["al", "alan", "alice"], True)
    assert_problem(await service.get("/v1/admin/users?limit=101", root), 422, BAD_ARGS)


async def test_CO9_a_user_is_shown_with_connections_and_cursors(service: Service) -> None:
    alice, bob, log = await service.talk()
    await service.post(f"/v1/logs/{log}/calls", text("hi"), alice, Idempotency_Key="1")
    root = await boss(service)
    url = f"ws://127.0.0.1:{service.front.port}/v1/ws"
    async with websockets.connect(url, subprotocols=["hongyan.v1.json"]) as ws:  # type: ignore[list-item]
        await ws.send(f'{{"t":"hello","token":"{bob}","device":"tab","cls":"web"}}')
        await until(ws, lambda frame: frame["t"] == "welcome")
        shown = (await service.get("/v1/admin/users/bob", root)).json()

        [connection] = shown["connections"]
        assert (connection["device"], connection["class"]) == ("tab", "web")
        assert (connection["ip"], connection["codec"]) == ("127.0.0.1", "json")
        assert shown["presence"] == "online" and shown["online"] == 1
        assert [(d["device"], d["active"]) for d in shown["devices"]] == [("tab", True)]
        log_now = (await service.get(f"/v1/admin/logs/{log}", root)).json()
        assert [c["user"] for c in log_now["connections"]] == ["bob"]

    rows = (await service.get("/v1/admin/users/bob/conversations", root)).json()["rows"]
    assert [(r["log"], r["unread"], r["read"], r["members"]) for r in rows] == [(log, 1, 0, 2)]
    assert "hi" not in str(rows)


async def test_CO10_a_kicked_device_is_gone_and_stays_out(service: Service) -> None:
    await service.join("alice")
    root = await boss(service)
    got = await service.post(
        "/v1/token", {"user": "alice", "password": PASSWORD, "device": "phone"}
    )
    token = got.json()["token"]
    url = f"ws://127.0.0.1:{service.front.port}/v1/ws"
    async with websockets.connect(url, subprotocols=["hongyan.v1.json"]) as ws:  # type: ignore[list-item]
        await ws.send(f'{{"t":"hello","token":"{token}","device":"phone","cls":"phone"}}')
        await until(ws, lambda frame: frame["t"] == "welcome")

        kicked = await service.post("/v1/users/kick", {"user": "alice"}, root)

        assert kicked.json() == {"user": "alice", "devices": ["phone"]}
        assert (await until(ws, lambda frame: frame["t"] == "goodbye"))["code"] == 206
    assert (await service.get("/v1/sync?after=0", token)).status_code == 401
    again = await service.post("/v1/users/kick", {"user": "alice", "device": "phone"}, root)
    assert again.json()["devices"] == []
    newest = (await lines(service, root))[0]
    assert (newest["action"], newest["target"]) == ("users.kick", "alice")
    assert newest["detail"] == {"device": "phone"}


# --- logs -----------------------------------------------------------------------------------


async def test_CO11_contents_only_by_a_call_that_is_put_down(service: Service) -> None:
    alice, _, log = await service.talk()
    await service.post(f"/v1/logs/{log}/calls", text("secret"), alice, Idempotency_Key="1")
    root = await boss(service)

    shown = (await service.get(f"/v1/admin/logs/{log}", root)).json()
    plain = await service.get(f"/v1/admin/logs/{log}/entries", root)
    members = (await service.get(f"/v1/admin/logs/{log}/members?limit=1", root)).json()
    assert (shown["head"], shown["members"], shown["kind"]) == (1, 2, "direct")
    assert "secret" not in plain.text
    assert [e["seq"] for e in plain.json()["entries"]] == [1]
    assert [m["user"] for m in members["members"]] == ["alice"] and members["more"]
    assert await lines(service, root) == []

    opened = await service.post(f"/v1/admin/logs/{log}/contents", {"reason": "abuse 7"}, root)

    assert "secret" in opened.text
    [line] = await lines(service, root)
    assert (line["actor"], line["action"], line["target"]) == ("root", "logs.contents", log)
    assert (line["outcome"], line["detail"]["reason"]) == (0, "abuse 7")
    assert "secret" not in str(line)
    one = await service.get(f"/v1/admin/logs/{log}/entries?before=2&limit=5", root)
    assert [e["seq"] for e in one.json()["entries"]] == [1]


# --- the list -------------------------------------------------------------------------------


async def test_CO1_acts_stand_in_the_list_and_how_they_ended(service: Service) -> None:
    await service.join("alice")
    root = await boss(service)
    made = (await service.post("/v1/keys", {"scopes": ["users"]}, root)).json()
    await service.post("/v1/register", {"user": "carl", "password": PASSWORD}, made["key"])
    await service.post("/v1/users/disable", {"user": "alice"}, made["key"])
    await service.post("/v1/users/disable", {"user": "root"}, made["key"])
    await service.post("/v1/users/reset", {"user": "alice", "password": "new password 1"}, root)
    await service.post("/v1/keys/drop", {"id": made["id"]}, root)

    found = [
        (line["actor"], line["action"], line["target"], line["outcome"])
        for line in reversed(await lines(service, root))
    ]

    key = f"key:{made['id']}"
    assert found == [
        ("root", "keys.create", made["id"], 0),
        (key, "users.create", "carl", 0),
        (key, "users.disable", "alice", 0),
        (key, "users.disable", "root", FORBIDDEN),
        ("root", "users.reset", "alice", 0),
        ("root", "keys.drop", made["id"], 0),
    ]
    everything = str(await lines(service, root))
    assert "password" not in everything and made["key"] not in everything
    assert {line["ip"] for line in await lines(service, root)} == {"127.0.0.1"}


async def test_CO1_what_others_try_has_no_line(service: Service) -> None:
    alice = await service.join("alice")
    root = await boss(service)

    assert_problem(await service.post("/v1/users/disable", {"user": "root"}, alice), 403, FORBIDDEN)
    assert_problem(await service.post("/v1/users/disable", {"user": "root"}), 401, UNKNOWN)

    assert await lines(service, root) == []


async def test_CO1_a_line_is_there_before_the_act(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server dies in the middle: the act has a line, whose end nobody knows."""
    await service.join("alice")
    root = await boss(service)
    seen: list[list[dict[str, Any]]] = []

    async def put_user(*_: Any, **__: Any) -> None:
        seen.append(await lines(service, root))
        raise RuntimeError("power cut")

    async def end(line_id: int, end: AuditEnd) -> bool:
        raise StoreDown("gone")

    monkeypatch.setattr(service.directory, "put_user", put_user)
    monkeypatch.setattr(service.audit, "end", end)
    got = await service.post("/v1/users/disable", {"user": "alice"}, root)

    assert got.status_code == 500
    assert [(line["action"], line["outcome"]) for line in seen[0]] == [("users.disable", -1)]
    assert [line["outcome"] for line in await lines(service, root)] == [-1]


async def test_CO2_without_a_line_nothing_is_done(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await service.join("alice")
    root = await boss(service)

    async def begin(line: AuditLine) -> int:
        raise StoreDown("gone")

    monkeypatch.setattr(service.audit, "begin", begin)
    got = await service.post("/v1/users/disable", {"user": "alice"}, root)

    assert got.status_code == 503
    account = await service.directory.user(MAIN, UserId("alice"))
    assert account is not None and not account.disabled


async def test_CO5_the_list_is_paged_over_http(service: Service) -> None:
    root = await boss(service)
    for number in range(5):
        await service.post("/v1/keys/drop", {"id": f"k{number}"}, root)

    first = await lines(service, root, "?limit=2")
    rest = await lines(service, root, f"?limit=9&before={first[-1]['id']}&action=keys.")

    targets = [line["target"] for line in [*first, *rest]]
    assert targets == ["k4", "k3", "k2", "k1", "k0"]
    assert await lines(service, root, "?target=k3&actor=root") == [first[1]]
    assert_problem(await service.get("/v1/admin/audit?limit=0", root), 422, BAD_ARGS)


async def test_CO4_old_lines_go(service: Service) -> None:
    root = await boss(service)
    trail = service.node.operations.trail
    old = AuditLine(tenant=MAIN, at=1, actor="root", ip="", action="users.kick")
    await service.audit.begin(old)
    await service.post("/v1/keys/drop", {"id": "k"}, root)

    assert await trail.forget_old() == 1
    assert [line["target"] for line in await lines(service, root)] == ["k"]
    async with asyncio.timeout(5):
        await trail.stop()
