"""HA: the list, a log, members, receipts, cursors, search, presence, people and oneself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import websockets
from http_rig import Service, assert_problem, text, until

from hongyan.ports import Evicted


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with Service() as running:
        yield running


async def say(service: Service, log: str, token: str, *words: str) -> list[int]:
    seqs = []
    for word in words:
        sent = await service.post(f"/v1/logs/{log}/calls", text(word), token, Idempotency_Key=word)
        assert sent.status_code == 200, sent.text
        seqs.append(sent.json()["seq"])
    return seqs


async def got(answer: Any) -> Any:
    response: httpx.Response = await answer
    assert response.status_code == 200, response.text
    return response.json()


async def test_HA3_the_list_comes_page_by_page_and_is_stable(service: Service) -> None:
    tokens = {name: await service.join(name) for name in ("ann", "bob", "cid", "dan")}
    for peer in ("bob", "cid", "dan"):
        call = {"name": "chat.open", "args": {"user": peer}}
        await service.post("/v1/calls", call, tokens["ann"], Idempotency_Key=peer)
    ann = tokens["ann"]

    first = await got(service.get("/v1/inbox?limit=2", ann))
    assert first["more"]
    await say(service, first["rows"][0]["log"], tokens["bob"], "new")  # while we turn the page
    last = first["rows"][-1]["useq"]
    rest = await got(service.get(f"/v1/inbox?after={last}&upto={first['upto']}", ann))

    rows = first["rows"] + rest["rows"]
    assert not rest.get("more")
    assert len({row["log"] for row in rows} | {"main/d/ann~bob"}) == 3
    again = await got(service.get(f"/v1/inbox?after={first['upto']}", ann))
    assert [row["log"] for row in again["rows"]] == ["main/d/ann~bob"]  # what changed meanwhile
    assert_problem(await service.get("/v1/inbox?limit=501", ann), 422, 106)


async def test_HA3_a_log_is_shown_with_state_and_unread(service: Service) -> None:
    ann, bob = await service.join("ann"), await service.join("bob")
    call = {"name": "chat.create", "args": {"title": "Geese", "members": ["bob"]}}
    log = (await service.post("/v1/calls", call, ann, Idempotency_Key="g")).json()["log"]
    await say(service, log, ann, "one", "two")

    row = await got(service.get(f"/v1/logs/{log}", bob))

    assert (row["log"], row["unread"], row["state"]["title"]) == (log, 2, "Geese")
    eve = await service.join("eve")
    assert_problem(await service.get(f"/v1/logs/{log}", eve), 403, 202)
    assert_problem(await service.get("/v1/logs/main/g/nothing", eve), 404, 108)
    members = await got(service.get(f"/v1/logs/{log}/members?limit=1", bob))
    assert ([m["user"] for m in members["members"]], members["more"]) == (["ann"], True)
    rest = await got(service.get(f"/v1/logs/{log}/members?after=ann", bob))
    assert ([m["user"] for m in rest["members"]], rest["more"]) == (["bob"], False)


async def test_HA3_cursors_move_forward_and_are_receipts(service: Service) -> None:
    alice, bob, log = await service.talk()
    [seq] = await say(service, log, alice, "read-me")

    moved = await service.post(f"/v1/logs/{log}/cursor", {"read": seq}, bob)
    assert (moved.status_code, moved.json()) == (200, {"log": log})
    await service.post(f"/v1/logs/{log}/cursor", {"read": 0}, bob)

    receipts = await got(service.get(f"/v1/logs/{log}/receipts?seq={seq}", alice))
    assert (receipts["read_by"], receipts["mode"]) == (["bob"], "names")
    row = await got(service.get(f"/v1/logs/{log}", bob))
    assert (row["read"], row["unread"]) == (seq, 0)
    assert_problem(await service.post(f"/v1/logs/{log}/cursor", {"read": -1}, bob), 422, 106)
    other = await service.post("/v1/logs/main/d/x~y/cursor", {"read": 1}, bob)
    assert_problem(other, 404, 108)
    assert_problem(await service.get(f"/v1/logs/{log}/receipts", alice), 422, 106)


async def test_HA3_a_signal_reaches_the_others_and_refusals_are_told(service: Service) -> None:
    alice, bob, log = await service.talk()
    address = f"ws://127.0.0.1:{service.front.port}/v1/ws"
    async with websockets.connect(address, subprotocols=["hongyan.v1.json"]) as ws:
        await ws.send(json.dumps({"t": "hello", "token": bob, "device": "d"}))
        await until(ws, lambda frame: frame["t"] == "welcome")
        typing = {"name": "typing", "body": {"on": True}}
        sent = await service.post(f"/v1/logs/{log}/signal", typing, alice)
        assert sent.status_code == 202, sent.text
        frame = await until(ws, lambda frame: frame["t"] == "signal")
        assert (frame["user"], frame["name"], frame["body"]) == ("alice", "typing", {"on": True})

    async def refused(body: Any, token: str, status: int, code: int) -> None:
        answer = await service.post(f"/v1/logs/{log}/signal", body, token)
        assert_problem(answer, status, code)

    await refused({"name": "no-such"}, alice, 404, 105)
    await refused({"name": "typing", "body": {"on": 7}}, alice, 422, 106)
    await refused(typing, await service.join("eve"), 403, 202)


async def test_HA3_search_finds_what_the_caller_may_read(service: Service) -> None:
    alice, bob, log = await service.talk()
    await say(service, log, alice, "blue-whale", "red-fox")
    async with asyncio.timeout(10):
        while not (found := await got(service.get("/v1/search?text=whale", bob)))["hits"]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    [hit] = found["hits"]
    assert (hit["log"], hit["entry"]["body"]["content"]["text"]) == (log, "blue-whale")
    assert not (await got(service.get("/v1/search?text=whale", await service.join("eve"))))["hits"]
    assert_problem(await service.get("/v1/search?text=", bob), 422, 106)


async def test_HA3_presence_is_told_of_those_one_talks_with(service: Service) -> None:
    alice, _, _ = await service.talk()
    await service.join("eve")
    found = await got(service.get("/v1/presence?users=bob,eve", alice))
    assert [(p["user"], p["state"]) for p in found["presence"]] == [("bob", "offline")]


async def test_HA1_people_are_found_by_exact_id_only_unless_listed(service: Service) -> None:
    ann = await service.join("ann")
    await service.join("bob")
    assert (await got(service.get("/v1/people?text=bo", ann)))["users"] == []
    [found] = (await got(service.get("/v1/people?text=bob", ann)))["users"]
    assert found == {"user": "bob", "name": "", "avatar": ""}


async def test_HA1_listed_people_are_found_over_both_ways() -> None:
    async with Service(**{"accounts.listed": True}) as service:
        ann, bob = await service.join("ann"), await service.join("bob")
        named = await service.http.patch(
            "/v1/me", json={"name": "Bob Lee"}, headers={"Authorization": f"Bearer {bob}"}
        )
        assert named.json()["name"] == "Bob Lee"
        over_http = await got(service.get("/v1/people?text=LE", ann))
        assert [p["name"] for p in over_http["users"]] == ["Bob Lee"]
        address = f"ws://127.0.0.1:{service.front.port}/v1/ws"
        async with websockets.connect(address, subprotocols=["hongyan.v1.json"]) as ws:
            await ws.send(json.dumps({"t": "hello", "token": ann, "device": "d"}))
            await until(ws, lambda frame: frame["t"] == "welcome")
            asked = {"t": "query", "ref": 1, "name": "people", "args": {"text": "b"}}
            await ws.send(json.dumps(asked))
            frame = await until(ws, lambda frame: frame["t"] == "result")
            assert [p["user"] for p in frame["body"]["users"]] == ["bob"]
        assert_problem(await service.get("/v1/people?text=a&limit=51", ann), 422, 106)


async def test_HA4_a_new_name_and_avatar_reach_others(service: Service) -> None:
    alice, bob, _ = await service.talk()
    auth = {"Authorization": f"Bearer {bob}"}
    avatar = "ab" * 32
    changed = await service.http.patch(
        "/v1/me", json={"name": "Bob", "avatar": avatar}, headers=auth
    )
    assert changed.status_code == 200, changed.text
    changed = await service.http.patch("/v1/me", json={"name": "Rob"}, headers=auth)
    assert (changed.json()["name"], changed.json()["avatar"]) == ("Rob", avatar)

    seen = await service.post("/v1/query/users", {"ids": ["bob"]}, alice)
    assert seen.json()["users"] == [{"user": "bob", "name": "Rob", "avatar": avatar}]

    me = await got(service.get("/v1/me", bob))
    assert (me["user"], me["name"], me["admin"]) == ("bob", "Rob", False)
    for bad in ({"avatar": "x"}, {"name": "x" * 65}, {"name": 7}):
        assert_problem(await service.http.patch("/v1/me", json=bad, headers=auth), 422, 106)


async def test_HA5_own_devices_are_listed_and_logged_out(service: Service) -> None:
    token = await service.join("alice", device="phone-1")
    address = f"ws://127.0.0.1:{service.front.port}/v1/ws"
    async with websockets.connect(address, subprotocols=["hongyan.v1.json"]) as ws:
        hello = {"t": "hello", "token": token, "device": "phone-1", "cls": "phone"}
        await ws.send(json.dumps(hello))
        await until(ws, lambda frame: frame["t"] == "welcome")
        [device] = (await got(service.get("/v1/me/devices", token)))["devices"]
        assert (device["device"], device["cls"], device["active"], device["current"]) == (
            "phone-1",
            "phone",
            True,
            True,
        )
        auth = {"Authorization": f"Bearer {token}"}
        none = await service.http.delete("/v1/me/devices/other", headers=auth)
        assert_problem(none, 404, 109)
        gone = await service.http.delete("/v1/me/devices/phone-1", headers=auth)
        assert (gone.status_code, gone.json()) == (200, {"device": "phone-1"})
        frame = await until(ws, lambda frame: frame["t"] == "goodbye")
        assert frame["code"] == 201
    assert [hint.device for hint in service.hints if isinstance(hint, Evicted)] == ["phone-1"]
    assert_problem(await service.get("/v1/me", token), 403, 206)
