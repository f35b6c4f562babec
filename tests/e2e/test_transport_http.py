"""The HTTP API against the whole engine, through a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import msgspec
import pytest
import structlog
import websockets
from http_rig import MAIN, MOST, PASSWORD, Service, assert_problem, text, until

from hongyan.ports import Evicted
from hongyan.wire import frames as f
from hongyan.wire.codec import JsonCodec


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with Service() as running:
        yield running


# --- accounts -------------------------------------------------------------------------------


async def test_T15_a_token_is_given_for_a_password(service: Service) -> None:
    await service.join("alice")
    got = await service.post("/v1/token", {"user": "alice", "password": PASSWORD, "device": "d"})
    body = got.json()
    assert (body["tenant"], body["user"]) == ("main", "alice")
    identity = await service.node.authenticator.authenticate(body["token"])
    assert (identity.device, identity.expires_at) == ("d", body["expires_at"])
    assert got.headers["cache-control"] == "no-store"
    wrong = await service.post("/v1/token", {"user": "alice", "password": "x" * 12})
    assert_problem(wrong, 401, 208)


async def test_T15_too_many_wrong_passwords_say_when_to_come_back(service: Service) -> None:
    await service.join("alice")
    for _ in range(20):
        got = await service.post("/v1/token", {"user": "alice", "password": "wrong password"})
        if got.status_code == 429:
            break
    body = assert_problem(got, 429, 303)
    assert body["retry"] is True
    assert int(got.headers["retry-after"]) >= body["retry_after_ms"] / 1000


async def test_T15_registration_may_be_closed() -> None:
    async with Service(**{"accounts.registration": False}) as service:
        got = await service.post("/v1/register", {"user": "eve", "password": PASSWORD})
        assert_problem(got, 403, 209)


async def test_T15_the_first_administrator_claims_with_the_code(service: Service) -> None:
    code = await service.node.authenticator.accounts.first_admin_code()
    got = await service.post("/v1/claim", {"code": code, "password": PASSWORD})
    assert (got.status_code, got.json()["user"]) == (200, "admin")
    again = await service.post("/v1/claim", {"code": code, "password": PASSWORD})
    assert_problem(again, 401, 208)


async def test_T15_a_new_password_voids_the_old_token(service: Service) -> None:
    token = await service.join("alice")
    wrong = await service.post("/v1/password", {"old": "wrong one", "new": PASSWORD + "2"}, token)
    assert_problem(wrong, 401, 208)
    got = await service.post("/v1/password", {"old": PASSWORD, "new": PASSWORD + "2"}, token)
    assert got.status_code == 200, got.text
    assert_problem(await service.get("/v1/sync", token), 401, 201)
    assert (await service.get("/v1/sync", got.json()["token"])).status_code == 200


async def test_T15_a_device_is_logged_out(service: Service) -> None:
    token = await service.join("alice", device="phone-1")
    hello = f.Hello(token=token, device="phone-1", cls="phone")
    address = f"ws://127.0.0.1:{service.front.port}/v1/ws"
    async with websockets.connect(address, subprotocols=["hongyan.v1.json"]) as ws:
        await ws.send(JsonCodec().encode(hello).decode())
        assert json.loads(await ws.recv())["t"] == "welcome"
        got = await service.post("/v1/logout", {}, token)
        assert got.status_code == 200, got.text
        frame = await until(ws, lambda frame: frame["t"] == "goodbye")
        assert frame["code"] == 201
    assert [hint.device for hint in service.hints if isinstance(hint, Evicted)] == ["phone-1"]
    assert_problem(await service.get("/v1/sync", token), 403, 206)


# --- the service ----------------------------------------------------------------------------


async def test_T15_calls_entries_sync_and_queries(service: Service) -> None:
    alice, bob, log = await service.talk()
    for number in range(3):
        sent = await service.post(
            f"/v1/logs/{log}/calls", text(f"m{number}"), alice, Idempotency_Key=f"k{number}"
        )
        assert sent.status_code == 200, sent.text
    ack = sent.json()
    assert (ack["log"], ack["stage"], ack["cls"], ack["repeat"]) == (
        log,
        "stored",
        "durable",
        False,
    )

    page = (await service.get(f"/v1/logs/{log}/entries?limit=2", bob)).json()
    assert [e["body"]["content"]["text"] for e in page["entries"]] == ["m1", "m2"]
    assert (page["head"], page["more"], "t" in page, "ref" in page) == (
        ack["seq"],
        True,
        False,
        False,
    )
    first = page["entries"][0]["seq"]
    before = (await service.get(f"/v1/logs/{log}/entries?before={first}", bob)).json()
    assert before["entries"][-1]["seq"] == first - 1
    after = (await service.get(f"/v1/logs/{log}/entries?after={first}", bob)).json()
    assert [e["seq"] for e in after["entries"]] == [first + 1]

    inbox = (await service.get("/v1/sync?after=0", bob)).json()
    assert [row["log"] for row in inbox["rows"]] == [log]
    again = (await service.get(f"/v1/sync?after={inbox['upto']}", bob)).json()
    assert again["rows"] == []

    members = await service.post(f"/v1/query/members?log={log}", {}, alice)
    assert members.status_code == 200, members.text
    assert {"alice", "bob"} <= set(msgspec.json.encode(members.json()).decode().split('"'))


@pytest.mark.parametrize("path", ["main/d/alice~bob", "main%2Fd%2Falice%7Ebob"])
async def test_T15_a_log_in_a_path_may_be_escaped(service: Service, path: str) -> None:
    alice, _, _ = await service.talk()
    got = await service.get(f"/v1/logs/{path}/entries", alice)
    assert (got.status_code, got.json()["log"]) == (200, "main/d/alice~bob")


DEEP = [b'{"name": "chat.open", "args": ' + b"[" * n + b"]" * n + b"}" for n in (40, 4000)]
KEY = {"Idempotency-Key": "k"}
BAD = {
    "no token": ("GET", "/v1/sync", {}, None, 401, 201),
    "a wrong token": ("GET", "/v1/sync", {"Authorization": "Bearer x"}, None, 401, 201),
    "another scheme": ("GET", "/v1/sync", {"Authorization": "Basic eA=="}, None, 401, 201),
    "a log of others": ("GET", "/v1/logs/main/d/bob~carol/entries", None, None, 404, 108),
    "no log at all": ("GET", "/v1/logs/nonsense/entries", None, None, 400, 107),
    "a limit that is no number": ("GET", "/v1/sync?limit=ten", None, None, 422, 106),
    "a limit of 30 digits": ("GET", "/v1/sync?limit=" + "9" * 30, None, None, 422, 106),
    "a negative seq": ("GET", "/v1/logs/main/d/a~b/entries?after=-1", None, None, 400, 101),
    "two ranges": ("GET", "/v1/logs/main/d/a~b/entries?after=1&before=2", None, None, 422, 106),
    "an unknown path": ("GET", "/v1/nothing", None, None, 404, 0),
    "the root": ("GET", "/", None, None, 404, 0),
    "a wrong method": ("DELETE", "/v1/sync", None, None, 405, 0),
    "an unknown call": ("POST", "/v1/calls", KEY, {"name": "no.such"}, 404, 105),
    "no key": ("POST", "/v1/calls", None, {"name": "chat.open"}, 400, 107),
    "a bad key": ("POST", "/v1/calls", {"Idempotency-Key": "a b"}, {"name": "chat.open"}, 400, 0),
    "no name": ("POST", "/v1/calls", KEY, {}, 422, 106),
    "bad args": (
        "POST", "/v1/calls", KEY, {"name": "chat.open", "args": {}}, 422, 106,
    ),
    "not JSON": ("POST", "/v1/calls", KEY, b"{", 400, 101),
    "not UTF-8": ("POST", "/v1/calls", KEY, b'{"name":"\xff"}', 400, 101),
    "a surrogate": ("POST", "/v1/calls", KEY, b'{"name":"\\ud800"}', 400, 101),
    "deep": ("POST", "/v1/calls", KEY, DEEP[0], 422, 106),
    "deeper": ("POST", "/v1/calls", KEY, DEEP[1], 400, 101),
    "an unknown query": ("POST", "/v1/query/nonsense", None, {}, 404, 105),
    "too large": ("POST", "/v1/calls", KEY, b"x" * (MOST + 1), 413, 102),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
async def test_T15_bad_requests_are_told_so(service: Service, name: str) -> None:
    method, path, headers, body, status, code = BAD[name]
    token = await service.join("alice")
    all_headers = {"Authorization": f"Bearer {token}", **(headers or {})}
    if name == "no token":
        del all_headers["Authorization"]
    content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    got = await service.http.request(method, path, headers=all_headers, content=content)
    if code == 0 and status == 400:
        code = got.json()["code"]
        assert code // 100 == 1
    assert_problem(got, status, code)
    if status == 401:
        assert got.headers["www-authenticate"] == "Bearer"
    if status == 405:
        assert "GET" in got.headers["allow"]


async def test_T15_an_api_key_calls_in_a_users_name(service: Service) -> None:
    alice, _, log = await service.talk()
    _, key = await service.node.authenticator.create_key(MAIN, ("send_as",))
    path = f"/v1/logs/{log}/calls"
    got = await service.post(path, text("hi"), key, Idempotency_Key="k", Hongyan_User="bob")
    assert got.status_code == 200, got.text
    page = (await service.get(f"/v1/logs/{log}/entries?limit=1", alice)).json()
    assert page["entries"][0]["from"] == "bob"
    got = await service.post(path, text("hi"), alice, Idempotency_Key="k2", Hongyan_User="bob")
    assert_problem(got, 403, 209)
    got = await service.post(path, text("hi"), key, Idempotency_Key="k3", Hongyan_User="nobody")
    assert_problem(got, 404, 114)


@pytest.mark.parametrize("quoted", [True, False])
async def test_T17_a_call_repeated_over_the_other_way_is_the_same_call(
    service: Service, quoted: bool
) -> None:
    alice, _, log = await service.talk()
    address = f"ws://127.0.0.1:{service.front.port}/v1/ws"
    async with websockets.connect(address, subprotocols=["hongyan.v1.json"]) as ws:
        await ws.send(json.dumps({"t": "hello", "token": alice, "device": "d"}))
        assert json.loads(await ws.recv())["t"] == "welcome"
        # Other white space and another order of keys than httpx sends.
        args = '{ "content" : {"text":"once", "type":"text"} }'
        await ws.send(
            f'{{"t":"call","ref":7,"op":"op-1","log":"{log}","name":"chat.send","args":{args}}}'
        )
        ack = await until(ws, lambda frame: frame.get("ref") == 7)
        assert ack["t"] == "ack"
    key = '"op-1"' if quoted else "op-1"
    path = f"/v1/logs/{log}/calls"
    got = (await service.post(path, text("once"), alice, Idempotency_Key=key)).json()
    assert (got["seq"], got["repeat"]) == (ack["seq"], True)
    other = await service.post(path, text("twice"), alice, Idempotency_Key=key)
    assert_problem(other, 409, 110)


async def test_T16_a_fault_is_told_without_detail(service: Service) -> None:
    token = await service.join("alice")

    async def fail(*_: object) -> None:
        raise RuntimeError("the secret is 42")

    service.node.gateway.sync = fail  # type: ignore[method-assign,assignment]
    with structlog.testing.capture_logs() as logs:
        got = await service.get("/v1/sync", token)
    body = assert_problem(got, 500, 100)
    assert "42" not in got.text
    assert body["detail"] == "the server failed"
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["request failed"]


async def test_T18_the_bound_of_a_body_is_exact(service: Service) -> None:
    token = await service.join("alice")
    rest = len(json.dumps({"name": "chat.open", "args": {"user": ""}}))
    for size, status in ((MOST, 422), (MOST + 1, 413)):
        body = json.dumps({"name": "chat.open", "args": {"user": "x" * (size - rest)}})
        assert len(body) == size
        got = await service.http.post(
            "/v1/calls",
            content=body,
            headers={"Authorization": f"Bearer {token}", "Idempotency-Key": "k"},
        )
        assert got.status_code == status, got.text


async def test_T18_a_body_that_announces_too_much_is_not_waited_for(service: Service) -> None:
    token = await service.join("alice")
    reader, writer = await asyncio.open_connection("127.0.0.1", service.front.port)
    head = f"POST /v1/calls HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n"
    writer.write(f"{head}Content-Length: {MOST + 1}\r\n\r\n".encode())
    async with asyncio.timeout(10):  # a third of what a body may take
        assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
    writer.close()
    await writer.wait_closed()


async def test_T18_a_body_without_length_is_cut_at_the_bound(service: Service) -> None:
    token = await service.join("alice")
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 64 << 20:
            sent += 4096
            yield b"x" * 4096

    try:
        got = await service.http.post(
            "/v1/calls",
            content=endless(),
            headers={"Authorization": f"Bearer {token}", "Idempotency-Key": "k"},
        )
    except httpx.TransportError:  # closed while it still sent
        pass
    else:
        assert_problem(got, 413, 102)
    assert sent < 8 << 20
