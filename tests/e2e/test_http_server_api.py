"""HA: what a back end does with an API key, and what each scope is good for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
import websockets
from http_rig import MAIN, PASSWORD, Service, assert_problem, text, until

from hongyan.engine import persons
from hongyan.model.ids import UserId
from hongyan.ports import Evicted
from hongyan.wire import frames as f


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with Service() as running:
        yield running


async def key(service: Service, *scopes: str, user: str = "") -> str:
    _, made = await service.node.authenticator.create_key(MAIN, scopes, user=user)
    return made


async def ask(
    service: Service, method: str, path: str, token: str, body: Any = None, **headers: str
) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    content = None if body is None else msgspec.json.encode(body)
    return await service.http.request(
        method, path, content=content, headers={"Authorization": f"Bearer {token}", **named}
    )


async def done(answer: Any, status: int = 200) -> Any:
    response: httpx.Response = await answer
    assert response.status_code == status, response.text
    return response.json()


async def group(service: Service, owner: str, *others: str) -> str:
    call = {"name": "chat.create", "args": {"title": "Geese", "members": list(others)}}
    made = await service.post("/v1/calls", call, owner, Idempotency_Key="group")
    assert made.status_code == 200, made.text
    return str(made.json()["log"])


async def say(service: Service, log: str, token: str, *words: str) -> None:
    for word in words:
        op = f"op-{word.removeprefix('secret')}"
        sent = await service.post(f"/v1/logs/{log}/calls", text(word), token, Idempotency_Key=op)
        assert sent.status_code == 200, sent.text


async def texts(service: Service, log: str, token: str) -> list[str]:
    page = await done(ask(service, "GET", f"/v1/logs/{log}/entries?limit=200", token))
    bodies = [e["body"] for e in page["entries"] if e["type"] == "message"]
    return [body["content"]["text"] if body else "" for body in bodies]


# --- scopes -----------------------------------------------------------------------------------

LOG = "/v1/logs/main/d/alice~bob"
AS = {"Hongyan_User": "alice"}
OP = {"Idempotency_Key": "k"}
# what is asked, and which scopes (one is enough) or sets of scopes let it through
ASKED: dict[str, tuple[str, str, Any, dict[str, str], list[set[str]]]] = {
    "make a user": ("POST", "/v1/users", {"user": "new"}, {}, [{"users"}]),
    "list users": ("GET", "/v1/users", None, {}, [{"users"}]),
    "look at a user": ("GET", "/v1/users/alice", None, {}, [{"users"}]),
    "name a user": ("PATCH", "/v1/users/alice", {"name": "A"}, {}, [{"users"}]),
    "reset": ("POST", "/v1/users/reset", {"user": "alice", "password": PASSWORD}, {}, [{"users"}]),
    "disable": ("POST", "/v1/users/disable", {"user": "bob"}, {}, [{"users"}]),
    "kick": ("POST", "/v1/users/kick", {"user": "alice"}, {}, [{"users"}]),
    "block": ("POST", "/v1/users/alice/blocks", {"user": "bob"}, {}, [{"users"}]),
    "see blocks": ("GET", "/v1/users/alice/blocks", None, {}, [{"users"}]),
    "erase": ("DELETE", "/v1/users/bob", None, {}, [{"users"}]),
    "export": ("GET", "/v1/users/alice/export", None, {}, [{"users", "read"}]),
    "a token": ("POST", "/v1/users/alice/tokens", {}, {}, [{"send_as"}]),
    "send as": ("POST", f"{LOG}/calls", text("x"), AS | OP, [{"send_as"}]),
    "move a cursor": ("POST", f"{LOG}/cursor", {"read": 1}, AS, [{"send_as"}]),
    "read as": ("GET", f"{LOG}/entries", None, AS, [{"send_as", "read"}]),
    "the list as": ("GET", "/v1/inbox", None, AS, [{"send_as", "read"}]),
    "speak for itself": ("POST", "/v1/calls", {
        "name": "chat.open", "args": {"user": "bob"}}, OP, [{"send"}]),
    "read for itself": ("GET", "/v1/inbox", None, {}, [{"send", "read"}]),
    "broadcast": ("POST", "/v1/broadcast", {
        "users": ["bob"], "args": text("x")["args"]}, OP, [{"send"}]),
    "broadcast as": ("POST", "/v1/broadcast", {
        "users": ["bob"], "from": "alice", "args": text("x")["args"]}, OP, [{"send_as"}]),
    "metrics": ("GET", "/metrics", None, {}, [{"metrics"}]),
    "list keys": ("GET", "/v1/keys", None, {}, []),
    "make a key": ("POST", "/v1/keys", {"scopes": ["read"]}, {}, []),
}  # fmt: skip
SETS = [
    {"users"}, {"send"}, {"send_as"}, {"read"}, {"metrics"}, {"admin"},
    {"users", "read"}, {"send", "read"}, {"send_as", "read"},
]  # fmt: skip


@pytest.mark.parametrize("what", ASKED)
async def test_HA12_each_scope_is_good_for_its_own_things_only(what: str) -> None:
    method, path, body, headers, enough = ASKED[what]
    for scopes in SETS:
        async with Service(**{"accounts.registration": False}) as service:
            await people(service)
            token = await key(service, *scopes, user="news")
            answer = await ask(service, method, path, token, body, **headers)
            allowed = "admin" in scopes or any(need <= scopes for need in enough)
            if what.endswith("itself") or what == "broadcast":
                allowed = any(need <= scopes for need in enough)  # who else has no user
            if allowed:
                assert answer.status_code in (200, 201, 202), (scopes, answer.text)
            else:
                assert answer.status_code in (401, 403), (scopes, answer.text)
                assert answer.json()["code"] in (201, 209), (scopes, answer.text)


async def people(service: Service) -> None:
    """alice, bob and the service user news; alice and bob talk."""
    accounts = service.node.authenticator.accounts
    admin = await service.node.authenticator.authenticate(await key(service, "admin"))
    for name in ("alice", "bob", "news"):
        await accounts.register("main", name, "", by=admin)
    send_as = await key(service, "send_as")
    call = {"name": "chat.open", "args": {"user": "bob"}}
    await done(ask(service, "POST", "/v1/calls", send_as, call, **AS, Idempotency_Key="o"))


async def test_HA12_a_key_speaks_for_its_service_user_only(service: Service) -> None:
    await people(service)
    token = await key(service, "send", user="news")
    call = {"name": "chat.open", "args": {"user": "bob"}}
    log = (await done(ask(service, "POST", "/v1/calls", token, call, Idempotency_Key="o")))["log"]
    assert log == "main/d/bob~news"
    same = await ask(
        service, "POST", "/v1/calls", token, call, Idempotency_Key="o", Hongyan_User="news"
    )
    assert same.json()["repeat"] is True
    other = await ask(service, "POST", "/v1/calls", token, call, **OP, Hongyan_User="alice")
    assert_problem(other, 403, 209)
    bad = await service.node.authenticator.authenticate(await key(service, "admin"))
    await service.node.authenticator.accounts.set_disabled(bad, "news", True)
    refused = await ask(service, "POST", "/v1/calls", token, call, **OP)
    assert_problem(refused, 401, 201)
    admin = await key(service, "admin")
    unknown = {"scopes": ["send"], "user": "nobody"}
    assert_problem(await ask(service, "POST", "/v1/keys", admin, unknown), 404, 114)
    made = await done(
        ask(service, "POST", "/v1/keys", admin, {"scopes": ["send"], "user": "bob"}), 201
    )
    assert made["user"] == "bob"
    listed = await done(ask(service, "GET", "/v1/keys", admin))
    assert made["id"] in {k["id"] for k in listed["keys"] if k["user"] == "bob"}


async def test_HA12_keys_make_no_administrators_and_leave_them_alone(service: Service) -> None:
    code = await service.node.authenticator.accounts.first_admin_code()
    await service.post("/v1/claim", {"code": code, "password": PASSWORD})
    token = await key(service, "users", "read", "send_as")
    for method, path, body in (
        ("POST", "/v1/users", {"user": "eve", "admin": True}),
        ("POST", "/v1/users/reset", {"user": "admin", "password": "another one"}),
        ("POST", "/v1/users/kick", {"user": "admin"}),
        ("DELETE", "/v1/users/admin", None),
        ("GET", "/v1/users/admin/export", None),
        ("POST", "/v1/users/admin/tokens", {}),
        ("POST", "/v1/users/admin/blocks", {"user": "x"}),
        ("PATCH", "/v1/users/admin", {"name": "x"}),
    ):
        assert_problem(await ask(service, method, path, token, body), 403, 209)
    named = await ask(service, "PATCH", "/v1/me", token, {"name": "x"}, Hongyan_User="admin")
    assert_problem(named, 403, 209)
    own = await ask(service, "PATCH", "/v1/users/admin", await key(service, "admin"), {"name": "A"})
    assert own.json()["name"] == "A"


async def test_HA12_a_key_of_another_tenant_sees_nobody(service: Service) -> None:
    await people(service)
    _, other = await service.node.authenticator.create_key("acme", ("users", "read", "send_as"))  # type: ignore[arg-type]
    for method, path, body in (
        ("GET", "/v1/users/alice", None),
        ("GET", "/v1/users/alice/export", None),
        ("DELETE", "/v1/users/alice", None),
        ("POST", "/v1/users/alice/tokens", {}),
        ("POST", "/v1/users/kick", {"user": "alice"}),
    ):
        assert_problem(await ask(service, method, path, other, body), 404, 114)
    assert (await done(ask(service, "GET", "/v1/users", other)))["users"] == []


async def test_HA13_a_token_for_somebody_lets_in(service: Service) -> None:
    await people(service)
    token = await key(service, "send_as")
    wanted = {"device": "tv", "ttl_s": 60}
    made = await done(ask(service, "POST", "/v1/users/alice/tokens", token, wanted), 201)
    me = await done(ask(service, "GET", "/v1/me", made["token"]))
    assert (me["user"], me["device"]) == ("alice", "tv")
    assert_problem(await ask(service, "POST", "/v1/users/eve/tokens", token, {}), 404, 114)
    long = {"ttl_s": 10**9}
    assert_problem(await ask(service, "POST", "/v1/users/alice/tokens", token, long), 422, 106)


# --- kick, block ------------------------------------------------------------------------------


async def test_HA14_kick_ends_connections_and_tokens(service: Service) -> None:
    tokens = {name: await service.join("ann", name) if name == "d1" else "" for name in ("d1",)}
    login = {"user": "ann", "password": PASSWORD, "device": "d2"}
    tokens["d2"] = (await service.post("/v1/token", login)).json()["token"]
    address = f"ws://127.0.0.1:{service.front.port}/v1/ws"
    links = []
    for name in ("d1", "d2"):
        ws = await websockets.connect(address, subprotocols=["hongyan.v1.json"])  # type: ignore[list-item]
        await ws.send(json.dumps({"t": "hello", "token": tokens[name], "device": name}))
        await until(ws, lambda frame: frame["t"] == "welcome")
        links.append(ws)
    back_end = await key(service, "users")

    one = {"user": "ann", "device": "d1"}
    gone = await done(ask(service, "POST", "/v1/users/kick", back_end, one))
    assert gone == {"user": "ann", "devices": ["d1"]}
    assert (await until(links[0], lambda frame: frame["t"] == "goodbye"))["code"] == 206
    assert (await ask(service, "GET", "/v1/me", tokens["d1"])).status_code == 403
    await done(ask(service, "GET", "/v1/me", tokens["d2"]))

    gone = await done(ask(service, "POST", "/v1/users/kick", back_end, {"user": "ann"}))
    assert gone["devices"] == ["d2"]
    assert (await until(links[1], lambda frame: frame["t"] == "goodbye"))["code"] == 206
    assert (await ask(service, "GET", "/v1/me", tokens["d2"])).status_code == 401
    assert [h.device for h in service.hints if isinstance(h, Evicted)] == ["d1", "d2"]
    again = await done(ask(service, "POST", "/v1/users/kick", back_end, {"user": "ann"}))
    assert again["devices"] == []
    assert (await service.post("/v1/token", login)).status_code == 200  # may log in anew
    assert_problem(await ask(service, "POST", "/v1/users/kick", back_end, {"user": "x"}), 404, 114)
    for ws in links:
        await ws.close()


async def test_HA14_a_block_on_behalf_keeps_messages_out(service: Service) -> None:
    _, bob, log = await service.talk()
    back_end = await key(service, "users")
    block = {"user": "bob"}
    path = "/v1/users/alice/blocks"
    first = await done(ask(service, "POST", path, back_end, block, Idempotency_Key="b"))
    again = await done(ask(service, "POST", path, back_end, block, Idempotency_Key="b"))
    assert (first["repeat"], again["repeat"]) == (False, True)
    refused = await service.post(f"/v1/logs/{log}/calls", text("x"), bob, Idempotency_Key="x")
    assert_problem(refused, 403, 205)
    blocked = (await done(ask(service, "GET", path, back_end)))["blocked"]
    assert list(blocked) == ["bob"] and blocked["bob"] > 0
    await done(ask(service, "POST", path, back_end, {**block, "on": False}))
    assert (await done(ask(service, "GET", path, back_end)))["blocked"] == {}
    await say(service, log, bob, "hello-again")
    for bad in ({"user": "a/b"}, {"user": ""}, {}):
        assert_problem(await ask(service, "POST", path, back_end, bad), 422, 106)
    assert_problem(await ask(service, "POST", path, back_end, {"user": "nobody"}), 404, 114)


# --- broadcast --------------------------------------------------------------------------------


async def test_HA15_a_broadcast_reaches_each_once_whatever_is_repeated(service: Service) -> None:
    await people(service)
    bob = await done(
        ask(service, "POST", "/v1/users/bob/tokens", await key(service, "send_as"), {}), 201
    )
    token = await key(service, "send", user="news")
    sent = {"users": ["bob", "alice", "bob", "ghost", "a/b"], "args": text("hi")["args"]}

    first = await done(ask(service, "POST", "/v1/broadcast", token, sent, **OP))

    assert [r["user"] for r in first["results"]] == ["bob", "alice", "ghost", "a/b"]
    assert [r.get("code", 0) for r in first["results"]] == [0, 0, 114, 107]
    assert first["stored"] == 2
    assert (await texts(service, "main/d/bob~news", bob["token"])) == ["hi"]

    wider = {**sent, "users": ["alice", "bob", "news"]}
    again = await done(ask(service, "POST", "/v1/broadcast", token, wider, **OP))
    assert [r.get("repeat", False) for r in again["results"]] == [True, True, False]
    assert [r["seq"] for r in again["results"]][1] == first["results"][0]["seq"]
    assert (await texts(service, "main/d/bob~news", bob["token"])) == ["hi"]
    other = {**sent, "users": ["bob"], "args": text("other")["args"]}
    clash = await done(ask(service, "POST", "/v1/broadcast", token, other, **OP))
    assert clash["results"][0]["code"] == 110

    for bad, status, code in (
        ({**sent, "users": []}, 422, 106),
        ({**sent, "users": [f"u{n}" for n in range(1001)]}, 422, 106),
        ({"users": ["bob"]}, 422, 106),
        ({**sent, "from": "alice"}, 403, 209),
    ):
        assert_problem(await ask(service, "POST", "/v1/broadcast", token, bad, **OP), status, code)
    assert_problem(await ask(service, "POST", "/v1/broadcast", token, sent), 400, 107)


async def test_HA15_a_broadcast_does_not_use_up_the_senders_own_limit() -> None:
    async with Service(
        **{"limits.rates.user": {"rate": 1, "burst": 8}, "limits.message_bytes": 65536}
    ) as service:
        admin = await service.node.authenticator.authenticate(await key(service, "admin"))
        names = [f"u{n}" for n in range(120)]
        for name in ("news", *names):
            await service.node.authenticator.accounts.register("main", name, "", by=admin)
        token = await key(service, "send", user="news")
        sent = {"users": names, "args": text("hi")["args"]}
        found = await done(ask(service, "POST", "/v1/broadcast", token, sent, **OP))
        assert found["stored"] == 120, [r for r in found["results"] if r.get("code")][:3]
        assert await service.node.gateway._p.directory.user(MAIN, UserId("u7")) is not None


# --- export and erasure -----------------------------------------------------------------------


def pieces(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


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
    assert (await ask(service, "POST", "/v1/calls", spoken, {"name": "x"}, **OP)).status_code == 401
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
