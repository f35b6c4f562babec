"""The login of a browser: a cookie that renews, tokens that act."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest
from http_rig import MAIN, PASSWORD, Service

from hongyan.engine.sessions import Sessions
from hongyan.model.ids import UserId
from hongyan.ports import User

GUARD = {"Hongyan-Request": "1"}
ALICE = {"user": "alice", "password": PASSWORD, "device": "web-1"}


async def begin(service: Service, body: Any = ALICE, **headers: str) -> httpx.Response:
    return await service.http.post("/v1/session", json=body, headers={**GUARD, **headers})


async def renew(service: Service, **headers: str) -> httpx.Response:
    return await service.http.post("/v1/session/token", headers={**GUARD, **headers})


def code(answer: httpx.Response) -> int:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return int(answer.json()["code"])


def cookie_of(answer: httpx.Response) -> dict[str, str]:
    """The attributes of the one cookie that was set, in lower case; its name under `name`."""
    (line,) = answer.headers.get_list("set-cookie")
    first, *rest = (part.strip() for part in line.split(";"))
    name, _, value = first.partition("=")
    pairs = (part.partition("=") for part in rest)
    return {"name": name, "value": value, **{k.lower(): v.lower() for k, _, v in pairs}}


async def test_WB1_the_cookie_is_for_nobody_but_the_session_paths() -> None:
    async with Service() as service:
        await service.join("alice")
        got = await begin(service)
        assert got.status_code == 201
        assert got.json() == {
            "tenant": "main",
            "user": "alice",
            "device": "web-1",
            "admin": False,
        }
        cookie = cookie_of(got)
        assert cookie["name"] == "hongyan_session"
        assert cookie["path"] == "/v1/session" and cookie["samesite"] == "strict"
        assert "httponly" in cookie and "secure" not in cookie and "domain" not in cookie
        assert int(cookie["max-age"]) == service.config.tokens.ttl_s
        access = (await renew(service)).json()
        seconds = access["expires_at"] / 1000 - time.time()
        assert 0 < seconds <= 900
        inbox = await service.get("/v1/sync", access["token"])
        assert inbox.status_code == 200


async def test_WB1_under_tls_the_cookie_is_secure_also_behind_a_trusted_proxy() -> None:
    options = {"server.trusted_proxies": ["127.0.0.1"]}
    async with Service(**options) as service:
        await service.join("alice")
        got = await begin(service, **{"X-Forwarded-Proto": "https"})
        cookie = cookie_of(got)
        assert cookie["name"] == "__Secure-hongyan_session" and "secure" in cookie
    async with Service() as service:  # nobody trusts this one
        await service.join("alice")
        cookie = cookie_of(await begin(service, **{"X-Forwarded-Proto": "https"}))
        assert "secure" not in cookie


async def test_WB2_cookie_and_token_do_not_stand_in_for_each_other() -> None:
    async with Service() as service:
        await service.join("alice")
        credential = cookie_of(await begin(service))["value"]
        token = (await renew(service)).json()["token"]
        assert code(await service.get("/v1/sync", credential)) == 201
        for path in ("/v1/sync", "/v1/keys"):  # the cookie alone opens nothing
            bare = await service.http.get(path, headers={"Cookie": f"hongyan_session={credential}"})
            assert code(bare) == 201
        service.http.cookies.clear()
        forged = await renew(service, Cookie=f"hongyan_session={token}")
        assert code(forged) == 201


@pytest.mark.parametrize("path", ["", "/token", "/enter", "/claim"])
async def test_WB3_pages_of_elsewhere_are_refused(path: str) -> None:
    async with Service(**{"server.allowed_origins": ["https://shop.example"]}) as service:
        await service.join("alice")
        await begin(service)
        for headers in (
            {},
            {"Hongyan-Request": "0"},
            {**GUARD, "Origin": "https://shop.example"},
            {**GUARD, "Origin": "null"},
            {**GUARD, "Origin": "http://127.0.0.1.evil.example"},
        ):
            got = await service.http.post("/v1/session" + path, json=ALICE, headers=headers)
            assert code(got) == 209
        gone = await service.http.delete("/v1/session", headers={"Origin": "https://shop.example"})
        assert code(gone) == 209
        assert (await renew(service)).status_code == 200  # and nothing of it logged alice out
        own = f"http://127.0.0.1:{service.front.port}"
        assert (await renew(service, Origin=own)).status_code == 200


async def test_WB3_no_page_of_elsewhere_is_told_that_it_may_send_the_header() -> None:
    async with Service(**{"server.allowed_origins": ["https://shop.example"]}) as service:
        asked = await service.http.options(
            "/v1/session/token",
            headers={
                "Origin": "https://shop.example",
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "hongyan-request",
            },
        )
        assert (
            "hongyan-request" not in asked.headers.get("access-control-allow-headers", "").lower()
        )
        assert "access-control-allow-credentials" not in asked.headers


def assert_over(service: Service, got: httpx.Response, expected: int) -> None:
    assert code(got) == expected
    assert cookie_of(got)["max-age"] == "0"


async def test_WB4_a_log_out_ends_the_login_and_the_connections() -> None:
    async with Service() as service:
        await service.join("alice")
        credential = cookie_of(await begin(service))["value"]
        token = (await renew(service)).json()["token"]
        gone = await service.http.delete("/v1/session", headers=GUARD)
        assert gone.status_code == 200 and cookie_of(gone)["max-age"] == "0"
        assert [(h.user, h.device) for h in service.hints] == [("alice", "web-1")]
        again = await renew(service, Cookie=f"hongyan_session={credential}")
        assert_over(service, again, 206)
        assert code(await service.get("/v1/sync", token)) == 206
        assert_over(service, await renew(service, Cookie="hongyan_session=rubbish"), 201)
        twice = await service.http.delete("/v1/session", headers=GUARD)
        assert twice.status_code == 200


async def test_WB4_a_changed_password_and_a_disabled_account_end_the_login() -> None:
    async with Service() as service:
        token = await service.join("alice", "phone-1")
        await begin(service)
        body = {"old": PASSWORD, "new": PASSWORD + "!"}
        assert (await service.post("/v1/password", body, token)).status_code == 200
        assert_over(service, await renew(service), 201)
        assert (await begin(service, {**ALICE, "password": PASSWORD + "!"})).status_code == 201
        await service.directory.put_user(User(tenant=MAIN, user=UserId("boss"), admin=True))
        boss = await service.node.authenticator.grant(MAIN, UserId("boss"))
        disabled = await service.post("/v1/users/disable", {"user": "alice"}, boss)
        assert disabled.status_code == 200
        assert code(await renew(service)) == 207


async def test_WB5_a_cookie_that_was_planted_has_no_part_in_a_login() -> None:
    async with Service() as service:
        await service.join("alice")
        await service.join("mallory")
        planted = cookie_of(await begin(service, {**ALICE, "user": "mallory"}))["value"]
        service.http.cookies.clear()
        got = await begin(service, Cookie=f"hongyan_session={planted}")
        fresh = cookie_of(got)["value"]
        assert fresh != planted
        service.http.cookies.clear()
        first = (await renew(service, Cookie=f"hongyan_session={planted}")).json()
        second = (await renew(service, Cookie=f"hongyan_session={fresh}")).json()
        assert (first["user"], second["user"]) == ("mallory", "alice")
        assert cookie_of(await begin(service))["value"] != fresh


async def test_WB6_a_link_works_as_often_as_it_says() -> None:
    async with Service() as service:
        await service.join("alice")
        sessions = service.node.sessions
        once = sessions.make_pass(MAIN, UserId("alice"), ttl_s=60)

        async def enter(text: str) -> httpx.Response:
            body = {"code": text, "device": "web-9"}
            return await service.http.post("/v1/session/enter", json=body, headers=GUARD)

        got = await enter(once)
        assert got.status_code == 201 and got.json()["user"] == "alice"
        assert (await renew(service)).json()["device"] == "web-9"
        assert code(await enter(once)) == 208
        assert code(await enter("made up")) == 208
        old = sessions.make_pass(MAIN, UserId("alice"), ttl_s=0)
        assert code(await enter(old)) == 208
        twice = sessions.make_pass(MAIN, UserId("alice"), ttl_s=60, uses=2)
        answers = [(await enter(twice)).status_code for _ in range(3)]
        assert answers == [201, 201, 401]


async def test_WB6_codes_are_not_guessed_for_long_and_right_ones_cost_nothing() -> None:
    rates = {"limits.rates.login_ip": {"rate": 0.001, "burst": 3}}
    async with Service(**rates, **{"accounts.registration": False}) as service:
        await service.directory.put_user(User(tenant=MAIN, user=UserId("alice")))
        good = service.node.sessions.make_pass(MAIN, UserId("alice"), ttl_s=60, uses=9)

        async def enter(text: str) -> httpx.Response:
            body = {"code": text, "device": "web-9"}
            return await service.http.post("/v1/session/enter", json=body, headers=GUARD)

        assert [(await enter(good)).status_code for _ in range(5)] == [201] * 5
        assert [code(await enter("made up")) for _ in range(3)] == [208] * 3
        late = await enter(good)  # else the answer would tell which guess was right
        assert late.status_code == 429 and int(late.headers["retry-after"]) >= 1


async def test_WB6_old_links_make_room_for_new_ones() -> None:
    async with Service() as service:
        await service.join("alice")
        sessions = service.node.sessions
        first = sessions.make_pass(MAIN, UserId("alice"), ttl_s=60)
        for _ in range(1000):
            sessions.make_pass(MAIN, UserId("alice"), ttl_s=60)
        body = {"code": first, "device": "web-9"}
        got = await service.http.post("/v1/session/enter", json=body, headers=GUARD)
        assert code(got) == 208


async def test_WB9_a_browser_in_use_gets_a_new_credential_in_time() -> None:
    async with Service(**{"tokens.ttl_s": 700}) as service:
        await service.join("alice")
        clock = ShiftedClock()
        sessions = Sessions(service.node.authenticator, b"k" * 32, clock, ttl_s=700)
        begun = await sessions.begin("main", "alice", PASSWORD, device="web-1")
        assert (await sessions.renew(begun.credential)).renewed is None
        clock.ahead_ms = 101_000
        renewed = (await sessions.renew(begun.credential)).renewed
        assert renewed is not None and renewed.credential != begun.credential
        clock.ahead_ms = 750_000  # beyond the first one's end, within the second's
        assert (await sessions.renew(renewed.credential)).identity.user == "alice"
        with pytest.raises(Exception, match="expired"):
            await sessions.renew(begun.credential)


class ShiftedClock:
    """The system's time, moved."""

    ahead_ms = 0

    def now_ms(self) -> int:
        return int(time.time() * 1000) + self.ahead_ms

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead_ms / 1000
