"""HA: what a back end does with an API key, and what each scope is good for."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import websockets
from backend_rig import ask, done, key, say, texts
from http_rig import MAIN, PASSWORD, Service, assert_problem, text, until

from hongyan.model.ids import UserId
from hongyan.ports import Evicted


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with Service() as running:
        yield running


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
