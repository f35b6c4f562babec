"""HA: what every answer carries: limits, origins, pages, idempotency."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
from http_rig import MAIN, PASSWORD, Service, assert_problem, text

from hongyan.app import Server
from hongyan.config import load

ORIGIN = "https://app.example"
POLICY, STATE = "RateLimit-Policy", "RateLimit"


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with Service() as running:
        yield running


def budget(answer: httpx.Response, name: str) -> dict[str, int]:
    """q and w of the policy, r and t of the state of one bucket."""
    found: dict[str, int] = {}
    for field in (POLICY, STATE):
        for item in answer.headers[field].split(", "):
            match = re.fullmatch(r'"([a-z-]+)"((?:;[qwrt]=\d+)+)', item)
            assert match is not None, item
            if match[1] == name:
                found |= {k: int(v) for k, v in re.findall(r";(\w)=(\d+)", match[2])}
    return found


# --- limits ---------------------------------------------------------------------------------


async def test_HA6_an_answer_says_what_is_left_of_the_bucket_it_took_from() -> None:
    rate = {"rate": 0.01, "burst": 3}  # a token comes back in 100 s
    async with Service(**{"limits.rates.asks": rate}) as service:
        token = await service.join("ann")
        left = []
        for _ in range(3):
            answer = await service.get("/v1/inbox", token)
            assert answer.status_code == 200
            left.append(budget(answer, "asks"))
        assert [b["r"] for b in left] == [2, 1, 0]
        assert {(b["q"], b["w"]) for b in left} == {(3, 300)}
        assert 200 < left[-1]["t"] <= 300
        refused = await service.get("/v1/inbox", token)
        assert_problem(refused, 429, 303)
        assert budget(refused, "asks")["r"] == 0
        assert 1 < int(refused.headers["retry-after"]) <= 100


async def test_HA6_calls_and_asks_are_told_apart_and_others_say_nothing(service: Service) -> None:
    alice, _, log = await service.talk()
    sent = await service.post(f"/v1/logs/{log}/calls", text("x"), alice, Idempotency_Key="k")
    assert budget(sent, "calls")["q"] == 400
    assert budget(sent, "asks") == {}
    assert POLICY not in (await service.get("/healthz")).headers
    assert POLICY not in (await service.get("/v1/inbox")).headers  # 401: took from none


async def test_HA6_wrong_passwords_count_and_right_ones_do_not(service: Service) -> None:
    await service.join("ann")
    login = {"user": "ann", "password": PASSWORD}
    right = await service.post("/v1/token", login)
    assert (right.status_code, POLICY in right.headers) == (200, False)
    left = []
    for _ in range(6):
        answer = await service.post("/v1/token", {**login, "password": "wrong password"})
        left.append(budget(answer, "logins")["r"])
    assert left == [4, 3, 2, 1, 0, 0]
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1


async def test_HA6_a_limit_of_none_is_not_told() -> None:
    async with Service(**{"limits.rates.asks": {"rate": 0, "burst": 1}}) as service:
        answer = await service.get("/v1/inbox", await service.join("ann"))
        assert POLICY not in answer.headers


# --- origins --------------------------------------------------------------------------------


def preflight(method: str, headers: str) -> dict[str, str]:
    return {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": headers,
    }


async def test_HA7_pages_of_elsewhere_are_let_in_by_nothing(service: Service) -> None:
    token = await service.join("ann")
    for method in ("GET", "PATCH", "DELETE"):
        asked = await service.http.options("/v1/me", headers=preflight(method, "authorization"))
        assert not [name for name in asked.headers if name.startswith("access-control")]
    answer = await service.get("/v1/me", token, Origin=ORIGIN)
    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_HA7_an_allowed_page_may_use_the_whole_api_but_no_cookie() -> None:
    async with Service(**{"server.allowed_origins": [ORIGIN]}) as service:
        token = await service.join("ann")
        for method, headers in (
            ("PATCH", "authorization, content-type"),
            ("DELETE", "authorization"),
            ("POST", "authorization, idempotency-key, hongyan-user"),
            ("PATCH", "authorization, tus-resumable, upload-offset, upload-checksum"),
            ("POST", "authorization, tus-resumable, upload-length, upload-metadata"),
            ("HEAD", "authorization, tus-resumable"),
        ):
            asked = await service.http.options("/v1/me", headers=preflight(method, headers))
            assert asked.status_code == 200, (method, headers, asked.text)
            assert asked.headers["access-control-allow-origin"] == ORIGIN
        guard = await service.http.options("/v1/me", headers=preflight("POST", "hongyan-request"))
        assert guard.status_code == 400
        other = {**preflight("GET", "authorization"), "Origin": "https://evil.example"}
        refused = await service.http.options("/v1/me", headers=other)
        assert "access-control-allow-origin" not in refused.headers
        answer = await service.get("/v1/me", token, Origin=ORIGIN)
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert "access-control-allow-credentials" not in answer.headers
        shown = answer.headers["access-control-expose-headers"].lower()
        assert {"retry-after", "ratelimit", "upload-offset", "location"} <= {
            name.strip() for name in shown.split(",")
        }


@pytest.mark.parametrize("allowed", [(), (ORIGIN,)])
async def test_HA7_a_websocket_of_another_page_is_refused(allowed: tuple[str, ...]) -> None:
    async with Service(**{"server.allowed_origins": list(allowed)}) as service:
        address = f"ws://127.0.0.1:{service.front.port}/v1/ws"
        own = f"http://127.0.0.1:{service.front.port}"
        for origin, let_in in (
            (own, True),
            (ORIGIN, bool(allowed)),
            ("https://evil.example", False),
            ("null", False),
            (ORIGIN + ".evil.example", False),
        ):
            try:
                async with websockets.connect(
                    address, origin=origin, subprotocols=["hongyan.v1.json"]
                ):
                    opened = True
            except websockets.InvalidStatus as exc:
                assert exc.response.status_code == 403
                opened = False
            assert opened is let_in, origin


# --- pages ----------------------------------------------------------------------------------


# size: one walk through a log, there and back
async def test_HA8_pages_meet_without_gap_or_repeat_while_entries_arrive(service: Service) -> None:
    alice, bob, log = await service.talk()

    async def say(n: int) -> None:
        got = await service.post(
            f"/v1/logs/{log}/calls", text(f"m{n}"), alice, Idempotency_Key=f"k{n}"
        )
        assert got.status_code == 200, got.text

    async def page(where: str) -> dict[str, Any]:
        got = await service.get(f"/v1/logs/{log}/entries?limit=5&{where}", bob)
        assert got.status_code == 200, got.text
        body: dict[str, Any] = got.json()
        return body

    for n in range(23):
        await say(n)
    back: list[int] = []
    at, n = 0, 23
    while True:  # from the newest to the oldest, while others write
        found = await page(f"before={at}")
        back = [e["seq"] for e in found["entries"]] + back
        await say(n)
        n += 1
        if not found["more"]:
            break
        at = back[0]
    assert back == list(range(back[0], back[-1] + 1)) and back[0] == found["floor"]
    forth: list[int] = []
    at = back[-1]
    while True:
        found = await page(f"after={at}")
        forth += [e["seq"] for e in found["entries"]]
        if not found["more"]:
            break
        at = forth[-1]
    assert back + forth == list(range(back[0], found["head"] + 1))
    middle = await page(f"around={back[10]}")
    seqs = [e["seq"] for e in middle["entries"]]
    assert back[10] in seqs and seqs == list(range(seqs[0], seqs[0] + 5))
    newest = (await service.get(f"/v1/logs/{log}/entries?limit=5", bob)).json()
    assert newest["entries"][-1]["seq"] == newest["head"]


# --- idempotency ----------------------------------------------------------------------------


async def test_HA9_what_is_created_twice_with_one_key_is_one(service: Service) -> None:
    code = await service.node.authenticator.accounts.first_admin_code()
    claimed = await service.post("/v1/claim", {"code": code, "password": PASSWORD})
    admin = claimed.json()["token"]
    new = {"user": "ann", "name": "Ann"}
    first, second = await asyncio.gather(
        service.post("/v1/users", new, admin, Idempotency_Key="u1"),
        service.post("/v1/users", new, admin, Idempotency_Key="u1"),
    )
    assert (first.status_code, second.status_code) == (201, 201), second.text
    assert first.json() == second.json()
    for key, body in (("u2", new), ("u1", {**new, "name": "Other"})):
        again = await service.post("/v1/users", body, admin, Idempotency_Key=key)
        assert_problem(again, 422, 106)
    assert_problem(await service.post("/v1/users", new, admin), 422, 106)

    made = await service.post("/v1/keys", {"scopes": ["read"]}, admin, Idempotency_Key="k1")
    assert made.status_code == 201
    again = await service.post("/v1/keys", {"scopes": ["read"]}, admin, Idempotency_Key="k1")
    assert_problem(again, 409, 110)
    assert made.json()["key"] not in again.text
    assert len((await service.get("/v1/keys", admin)).json()["keys"]) == 1
    other = await service.post("/v1/keys", {"scopes": ["read"]}, admin, Idempotency_Key="k2")
    assert other.status_code == 201
    bad = await service.post("/v1/keys", {"scopes": ["read"]}, admin, Idempotency_Key="a b")
    assert_problem(bad, 400, 107)

    joined = {"user": "bob", "password": PASSWORD}
    for _ in range(2):
        got = await service.post("/v1/register", joined, Idempotency_Key="r1")
        assert (got.status_code, got.json()) == (201, {"tenant": "main", "user": "bob"})
    assert_problem(await service.post("/v1/register", joined), 422, 106)

    user = await service.node.authenticator.accounts.theirs(
        await service.node.authenticator.authenticate(admin), "bob"
    )
    assert (user.tenant, PASSWORD in user.made) == (MAIN, False)


async def test_HA9_a_webhook_or_hook_is_made_once_per_key(tmp_path: Path) -> None:
    given = {"server.port": 0, "data.dir": str(tmp_path), "webhooks.allow_private": True}
    server = Server(load(None, {}, given))
    await server.start()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as http:
        claim = {"code": server.first_code, "password": PASSWORD}
        admin = (await http.post("/v1/claim", json=claim)).json()["token"]
        auth = {"Authorization": f"Bearer {admin}"}
        for path, body in (
            ("/v1/webhooks", {"url": "http://127.0.0.1:9/x"}),
            ("/v1/hooks", {"url": "http://127.0.0.1:9/x", "calls": ["chat.send"]}),
        ):
            for key, status in (("a", 201), ("a", 409), ("b", 201)):
                made = await http.post(path, json=body, headers={**auth, "Idempotency-Key": key})
                assert made.status_code == status, made.text
            assert (await http.post(path, json=body, headers=auth)).status_code == 201
            listed = (await http.get(path, headers=auth)).json()
            assert [len(v) for v in listed.values() if isinstance(v, list)] == [3]
    await server.stop()
