"""Live logs over HTTP: tokens for guests, how a room looks, its replay."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.http_rig import Service, assert_problem, until
from websockets.asyncio.client import connect

ROOM = "main/r/show"
PATH = f"/v1/logs/{ROOM}"


async def opened(service: Service, **more: Any) -> str:
    """The host's token; the room is made."""
    host = await service.join("host")
    made = await service.post(
        "/v1/calls",
        {"name": "room.create", "args": {"title": "Show", "name": "show", **more}},
        host,
        Idempotency_Key="c",
    )
    assert made.json()["log"] == ROOM
    return host


async def do(service: Service, token: str, name: str, op: str, **args: Any) -> Any:
    got = await service.post(
        f"{PATH}/calls", {"name": name, "args": args}, token, Idempotency_Key=op
    )
    assert got.status_code == 200, got.text
    return got.json()


async def guest_token(service: Service) -> str:
    got = await service.post(f"{PATH}/viewer-token", {})
    assert got.status_code == 201, got.text
    assert got.json()["log"] == ROOM
    return str(got.json()["token"])


async def test_LR10_a_guest_gets_a_token_where_the_room_takes_guests() -> None:
    async with Service() as service:
        host = await opened(service)
        assert_problem(await service.post(f"{PATH}/viewer-token", {}), 403, 209)
        assert_problem(await service.post("/v1/logs/main/r/none/viewer-token", {}), 404, 108)
        assert_problem(await service.post("/v1/logs/main/g/none/viewer-token", {}), 404, 108)
        assert_problem(await service.post("/v1/logs/x/viewer-token", {}), 400, 107)
        await do(service, host, "room.update", "u", guests=True)
        token = await guest_token(service)
        url = f"ws://127.0.0.1:{service.front.port}/v1/ws"
        async with connect(url, subprotocols=["hongyan.v1.json"]) as ws:  # type: ignore[list-item]
            hello = {"t": "hello", "token": token, "device": "tv", "cls": "web"}
            await ws.send(json.dumps(hello))
            welcome = await until(ws, lambda frame: frame["t"] == "welcome")
            assert welcome["user"].startswith("guest.")
            await ws.send(json.dumps({"t": "subscribe", "ref": 1, "log": ROOM}))
            await until(ws, lambda frame: frame["t"] == "attached")
            await do(service, host, "room.say", "s", text="hello")
            live = await until(ws, lambda frame: frame["t"] == "live")
            assert live["items"][-1]["body"]["text"] == "hello"


async def test_LR10_tokens_for_guests_are_limited_by_address() -> None:
    async with Service(**{"limits.rates.login_ip": {"rate": 0.001, "burst": 3}}) as service:
        host = await opened(service, guests=True)
        del host
        for _ in range(3):
            await guest_token(service)
        refused = await service.post(f"{PATH}/viewer-token", {})
        assert_problem(refused, 429, 303)
        assert int(refused.headers["retry-after"]) > 60


async def test_LR11_a_room_can_be_looked_at_by_who_may_watch_it() -> None:
    async with Service() as service:
        host = await opened(service, guests=True)
        bob, guest = await service.join("bob"), await guest_token(service)
        await do(service, host, "room.say", "s", text="hello", media_ms=1500)
        await do(service, host, "room.attribute", "a", key="scene", value=4)
        for token in (host, bob, guest):
            got = await service.get(f"{PATH}/live", token)
            assert got.status_code == 200, got.text
            body = got.json()
            assert [item["body"]["text"] for item in body["items"]] == ["hello"]
            values = {key: value for key, _, value in body["values"]}
            assert (values["attr:scene"], values["room"]["title"]) == (4, "Show")
            assert body["off"] == 1
            assert "banned" not in body["state"] or token is host
        assert_problem(await service.get(f"{PATH}/live"), 401, 201)
        assert_problem(await service.get("/v1/logs/main/r/none/live", bob), 404, 108)
        await do(service, host, "room.ban", "b", user="bob", seconds=60)
        assert_problem(await service.get(f"{PATH}/live", bob), 403, 209)


async def test_LR12_the_replay_over_http() -> None:
    async with Service() as service:
        host = await opened(service, guests=True)
        guest = await guest_token(service)
        for number, media_ms in enumerate((3000, 1000, 2000)):
            await do(service, host, "room.say", f"s{number}", text=f"m{number}", media_ms=media_ms)
        archiver = service.node.viewing.archiver
        assert archiver is not None
        await archiver.flush()
        for token in (host, guest):
            got = await service.get(f"{PATH}/danmaku?from_ms=1000&to_ms=3001&limit=2", token)
            body = got.json()
            assert [item["body"]["text"] for item in body["items"]] == ["m1", "m2"]
            assert body["more"]
            after = ",".join(map(str, body["after"]))
            got = await service.get(f"{PATH}/danmaku?from_ms=0&to_ms=9000&after={after}", token)
            assert [item["body"]["text"] for item in got.json()["items"]] == ["m0"]
        for bad in ("", "?from_ms=1", "?from_ms=0&to_ms=1&after=x", "?from_ms=0&to_ms=1&by=mood"):
            assert_problem(await service.get(f"{PATH}/danmaku{bad}", host), 422, 106)
        other = await service.get("/v1/logs/main/r/other/danmaku?from_ms=0&to_ms=1", guest)
        assert_problem(other, 403, 209)
        assert_problem(await service.get("/v1/inbox", guest), 403, 209)


async def test_LR12_erasing_a_person_empties_the_replay_of_what_was_said() -> None:
    async with Service() as service:
        host, bob = await opened(service), await service.join("bob")
        await do(service, bob, "room.say", "s", text="mine")
        await do(service, host, "room.say", "s", text="other")
        archiver = service.node.viewing.archiver
        assert archiver is not None
        await archiver.flush()
        accounts = service.node.authenticator.accounts
        code = await accounts.first_admin_code()
        claimed = await service.post(
            "/v1/claim", {"code": code, "password": "correct horse battery", "user": "root"}
        )
        root = claimed.json()["token"]
        gone = await service.http.delete(
            "/v1/users/bob", headers={"Authorization": f"Bearer {root}"}
        )
        assert gone.status_code in (200, 202), gone.text
        got = await service.get(f"{PATH}/danmaku?from_ms=0&to_ms=9000000000000&by=time", host)
        assert [item["body"]["text"] for item in got.json()["items"]] == ["other"]


async def test_LR15_rooms_over_http() -> None:
    async with Service() as service:
        host, bob = await opened(service, listed=True, guests=True), await service.join("bob")
        await do(service, host, "room.like", "l", n=20)
        more = {"name": "room.create", "args": {"title": "Two", "name": "two", "listed": True}}
        await service.post("/v1/calls", more, host, Idempotency_Key="c2")
        said = {"name": "room.say", "args": {"text": "here"}}
        await service.post("/v1/logs/main/r/two/calls", said, host, Idempotency_Key="s2")
        first = (await service.get("/v1/rooms?limit=1", bob)).json()
        assert [room["title"] for room in first["rooms"]] == ["Show"] and first["more"]
        after = ",".join(map(str, first["after"]))
        rest = (await service.get(f"/v1/rooms?after={after}", bob)).json()
        assert [room["title"] for room in rest["rooms"]] == ["Two"] and not rest["more"]
        assert_problem(await service.get("/v1/rooms"), 401, 201)
        assert_problem(await service.get("/v1/rooms", await guest_token(service)), 403, 209)
        for bad in ("limit=0", "limit=x", "after=x", "after=1"):
            answer = await service.get(f"/v1/rooms?{bad}", bob)
            assert answer.status_code in (400, 422) or bad == "after=1", answer.text
