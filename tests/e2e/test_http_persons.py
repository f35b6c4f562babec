"""HA: a copy of a person's data, and its erasure."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
import websockets
from backend_rig import ask, done, group, key, say, texts
from http_rig import PASSWORD, Service, assert_problem, text, until

from hongyan.engine import persons
from hongyan.wire import frames as f


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with Service() as running:
        yield running


def pieces(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


# size: one life of a person, and every place where it left something
async def test_HA16_an_export_holds_all_that_is_kept_of_a_person(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(persons, "SCAN", 3)  # so that there are many pages
    alice, bob, direct = await service.talk()
    geese = await group(service, alice, "bob")
    await say(service, geese, bob, *(f"g{n}" for n in range(8)))
    await say(service, geese, alice, "of-alice")
    await say(service, direct, bob, "d1")
    hidden = {"name": "chat.delete", "args": {"seqs": [1]}}
    await service.post(f"/v1/logs/{direct}/calls", hidden, bob, Idempotency_Key="h")
    leave = {"name": "chat.leave"}
    await service.post(f"/v1/logs/{geese}/calls", leave, bob, Idempotency_Key="l")
    remark = {"name": "chat.settings", "args": {"remark": "my friend"}}
    await service.post(f"/v1/logs/{direct}/calls", remark, bob, Idempotency_Key="s")
    block = {"name": "own.block", "args": {"user": "alice"}}
    await service.post("/v1/calls", block, bob, Idempotency_Key="b")
    login = {"user": "bob", "password": PASSWORD, "device": "tv"}
    tv = (await service.post("/v1/token", login)).json()["token"]
    async with websockets.connect(
        f"ws://127.0.0.1:{service.front.port}/v1/ws",
        subprotocols=["hongyan.v1.json"],  # type: ignore[list-item]
    ) as ws:
        await ws.send(json.dumps({"t": "hello", "token": tv, "device": "tv", "cls": "pad"}))
        await until(ws, lambda frame: frame["t"] == "welcome")
    back_end = await key(service, "users", "read")

    answer = await ask(service, "GET", "/v1/users/bob/export", back_end)

    found = pieces(answer)
    assert found[0]["piece"] == "account" and found[0]["user"] == "bob"
    assert "password" not in found[0] and "argon2" not in answer.text
    assert [p["device"] for p in found if p["piece"] == "device"] == ["tv"]
    rows = {p["row"]["log"]: p["row"] for p in found if p["piece"] == "membership"}
    assert set(rows) == {direct, geese, "main/u/bob"}
    assert rows[direct]["settings"] == {"remark": "my friend"}
    assert list(rows["main/u/bob"]["state"]["blocked"]) == ["alice"]
    entries = [(p["log"], p["entry"]) for p in found if p["piece"] == "entry"]
    assert all(entry["from"] == "bob" for _, entry in entries)
    said = [e["body"]["content"]["text"] for _, e in entries if e["type"] == "message"]
    assert sorted(said) == ["d1", *(f"g{n}" for n in range(8))]
    assert "of-alice" not in answer.text
    assert found[-1] == {"piece": "end", "logs": 3, "entries": len(entries)}


async def test_HA16_an_export_reads_on_only_as_it_is_taken(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, bob, direct = await service.talk()
    await say(service, direct, bob, *(f"m{n}" for n in range(40)))
    monkeypatch.setattr(persons, "SCAN", 10)
    store, read = service.node.gateway._p.store, 0
    entries = store.entries

    async def counted(*args: Any, **fields: Any) -> Any:
        nonlocal read
        read += 1
        return await entries(*args, **fields)

    monkeypatch.setattr(store, "entries", counted)
    by = await service.node.authenticator.authenticate(await key(service, "admin"))
    found = await service.node.gateway.persons.export(by, "bob")
    async for piece in found:
        if piece["piece"] == "entry":
            break
    assert read == 1
    assert len([piece async for piece in found if piece["piece"] == "entry"]) == 39
    assert read == 4


# size: one life of a person, and every place where it left something
async def test_HA17_an_erased_person_leaves_an_id_and_nothing_else(service: Service) -> None:
    alice, bob, direct = await service.talk()
    carol = await service.join("carol")
    geese = await group(service, bob, "alice", "carol")  # bob owns it
    await say(service, geese, bob, *(f"secret{n}" for n in range(70)))
    await say(service, geese, alice, "of-alice")
    await say(service, direct, bob, "secret-d")
    edit = {
        "name": "chat.edit",
        "args": {"seq": 1, "content": text("secret-edit")["args"]["content"]},
    }
    edited = await service.post(f"/v1/logs/{direct}/calls", edit, bob, Idempotency_Key="e")
    assert edited.status_code == 200, edited.text
    for name, args in (
        ("chat.settings", {"nickname": "secret-nick", "remark": "secret-remark"}),
        ("chat.settings", {"draft": "secret-draft"}),
    ):
        await service.post(
            f"/v1/logs/{direct}/calls",
            {"name": name, "args": args},
            bob,
            Idempotency_Key=name + str(len(args)),
        )
    for name, args in (
        ("own.block", {"user": "carol"}),
        ("own.set", {"settings": {"theme": "secret-theme"}}),
    ):
        await service.post("/v1/calls", {"name": name, "args": args}, bob, Idempotency_Key=name)
    await ask(service, "PATCH", "/v1/me", bob, {"name": "Secret Bob", "avatar": "ab" * 32})
    auth = service.node.authenticator
    await auth.admit(await auth.authenticate(bob), "secret-phone", "phone")
    spoken = await key(service, "send", user="bob")
    back_end = await key(service, "users", "read")

    state = await done(ask(service, "DELETE", "/v1/users/bob", back_end))
    assert (state["user"], state["done"], state["logs"]) == ("bob", True, 3)

    export = await ask(service, "GET", "/v1/users/bob/export", back_end)
    assert "secret" not in export.text.lower()
    account = pieces(export)[0]
    assert (account["name"], account["avatar"], account["disabled"]) == ("", "", True)
    assert account["erased"] > 0
    assert not [p for p in pieces(export) if p["piece"] in ("device", "key")]
    # others see recalls, in order, and what they said themselves
    assert (await texts(service, geese, alice)) == [*[""] * 70, "of-alice"]
    assert (await texts(service, direct, alice)) == [""]
    row = await done(ask(service, "GET", f"/v1/logs/{geese}", alice))
    assert row["state"]["owner"] in ("alice", "carol")
    assert row["count"] == 2
    unread = (await done(ask(service, "GET", f"/v1/logs/{geese}", carol)))["unread"]
    assert unread == 1
    # nobody gets in
    assert (await ask(service, "GET", "/v1/me", bob)).status_code == 403
    refused = await ask(service, "POST", "/v1/calls", spoken, {"name": "x"}, Idempotency_Key="k")
    assert refused.status_code == 401
    login = await service.post("/v1/token", {"user": "bob", "password": PASSWORD})
    assert login.status_code == 401
    for method, path, body in (
        ("POST", "/v1/users/disable", {"user": "bob", "disabled": False}),
        ("POST", "/v1/users/reset", {"user": "bob", "password": PASSWORD}),
        ("PATCH", "/v1/users/bob", {"name": "Bob"}),
        ("POST", "/v1/users/bob/blocks", {"user": "alice"}),
        ("POST", "/v1/users", {"user": "bob"}),
    ):
        answer = await ask(service, method, path, back_end, body)
        assert answer.status_code == 422, (path, answer.text)

    again = await done(ask(service, "DELETE", "/v1/users/bob", back_end))
    assert (again["done"], again["entries"]) == (True, 0)


async def test_HA17_an_erasure_that_was_cut_off_goes_on(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob, direct = await service.talk()
    await say(service, direct, bob, *(f"m{n}" for n in range(150)))
    erasures = service.node.gateway.erasures
    by = await service.node.authenticator.authenticate(await key(service, "admin"))
    commit, count = erasures._commit, 0

    async def hanging(*args: Any, **fields: Any) -> None:
        nonlocal count
        count += 1
        if count > 1:
            await asyncio.Event().wait()  # for ever
        await commit(*args, **fields)

    monkeypatch.setattr(erasures, "_commit", hanging)
    started = await erasures.erase(by, "bob", wait_s=0.1)
    assert started.done is False
    waiting = await ask(service, "GET", "/v1/me", bob)
    assert waiting.status_code == 403  # shut from the start
    await erasures.stop()  # as a server that stops in the middle of it
    left = [words for words in await texts(service, direct, alice) if words]
    assert len(left) == 150 - 64  # a commit's worth is gone

    monkeypatch.setattr(erasures, "_commit", commit)
    finished = await erasures.erase(by, "bob")
    assert (finished.done, finished.entries) == (True, len(left))
    assert set(await texts(service, direct, alice)) == {""}


async def test_HA17_what_was_on_its_way_is_erased_too(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob, direct = await service.talk()
    await say(service, direct, bob, "m1")
    gateway = service.node.gateway
    who = await service.node.authenticator.authenticate(bob)
    blank = gateway.erasures._blank

    async def late(log: Any, user: Any, state: Any, **fields: Any) -> None:
        await blank(log, user, state, **fields)
        if not fields:  # after the first look at the log a call of before the shutting lands
            said = text("late")
            raw = msgspec.Raw(msgspec.json.encode(said["args"]))
            await gateway.call(who, f.Call(ref=1, name=said["name"], op="late", log=log, args=raw))

    monkeypatch.setattr(gateway.erasures, "_blank", late)
    by = await service.node.authenticator.authenticate(await key(service, "admin"))
    assert (await gateway.erasures.erase(by, "bob")).entries == 2
    assert await texts(service, direct, alice) == ["", ""]


async def test_HA17_two_who_ask_at_once_wait_for_one_erasure(service: Service) -> None:
    _, bob, direct = await service.talk()
    await say(service, direct, bob, *(f"m{n}" for n in range(5)))
    back_end = await key(service, "users")
    answers = await asyncio.gather(
        *(done(ask(service, "DELETE", "/v1/users/bob", back_end)) for _ in range(3))
    )
    assert {a["done"] for a in answers} == {True}
    assert sum(a["entries"] for a in answers) in (5, 10, 15)  # they may share one run


async def test_HA17_nobody_erases_the_own_account(service: Service) -> None:
    code = await service.node.authenticator.accounts.first_admin_code()
    claimed = await service.post("/v1/claim", {"code": code, "password": PASSWORD})
    admin = claimed.json()["token"]
    assert_problem(await ask(service, "DELETE", "/v1/users/admin", admin), 403, 209)
    assert_problem(await ask(service, "DELETE", "/v1/users/nobody", admin), 404, 114)
    user = await service.join("ann")
    assert_problem(await ask(service, "DELETE", "/v1/users/admin", user), 403, 209)
