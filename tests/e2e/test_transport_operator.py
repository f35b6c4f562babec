"""Health, metrics, pages of other origins and addresses behind proxies, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from http_rig import MAIN, Service, assert_problem


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with Service() as running:
        yield running


async def test_T15_health_and_readiness(service: Service) -> None:
    assert (await service.get("/healthz")).json() == {"live": True}
    assert (await service.get("/readyz")).json() == {"ready": True}
    assert (await service.http.head("/healthz")).status_code == 200
    await service.node.gateway.drain(0.1)
    got = await service.get("/readyz")
    assert (got.status_code, got.json()) == (503, {"ready": False})
    assert (await service.get("/healthz")).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"X_Forwarded_For": "127.0.0.1"},
        {"X_Forwarded_For": "203.0.113.1"},
        {"Forwarded": "for=127.0.0.1"},
        {"X_Real_IP": "127.0.0.1"},
        {"Via": "1.1 proxy"},
    ],
)
async def test_T19_metrics_are_for_this_machine_directly(
    service: Service, headers: dict[str, str]
) -> None:
    got = await service.get("/metrics")
    assert (got.status_code, got.text) == (200, "hongyan_up 1\n")
    assert got.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert_problem(await service.get("/metrics", **headers), 403, 209)
    for host in ("evil.example", "evil.example:80", "192.168.1.5"):  # pointed here
        assert_problem(await service.get("/metrics", Host=host), 403, 209)


@pytest.mark.parametrize("proxies", [(), ("127.0.0.0/8",)])
async def test_T19_with_a_token_only_the_token_counts(proxies: tuple[str, ...]) -> None:
    options = {"server.metrics_token": "m" * 20, "server.trusted_proxies": proxies}
    async with Service(**options) as service:
        assert_problem(await service.get("/metrics"), 403, 209)
        assert_problem(await service.get("/metrics", X_Forwarded_For="127.0.0.1"), 403, 209)
        assert_problem(await service.get("/metrics", "m" * 19), 403, 209)
        assert (await service.get("/metrics", "m" * 20)).status_code == 200
        _, key = await service.node.authenticator.create_key(MAIN, ("metrics",))
        assert (await service.get("/metrics", key)).status_code == 200
        _, key = await service.node.authenticator.create_key(MAIN, ("send_as",))
        assert_problem(await service.get("/metrics", key), 403, 209)


async def test_T20_no_page_of_elsewhere_reads_an_answer(service: Service) -> None:
    got = await service.get("/healthz", Origin="https://evil.example")
    assert not [name for name in got.headers if name.startswith("access-control")]
    preflight = await service.http.options(
        "/v1/token",
        headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"},
    )
    assert preflight.status_code == 405
    assert not [name for name in preflight.headers if name.startswith("access-control")]


async def test_T20_pages_on_the_list_do() -> None:
    page = "https://page.example"
    async with Service(**{"server.allowed_origins": (page,)}) as service:
        got = await service.get("/healthz", Origin=page)
        assert got.headers["access-control-allow-origin"] == page
        got = await service.get("/healthz", Origin="https://evil.example")
        assert "access-control-allow-origin" not in got.headers


async def test_T21_the_address_behind_a_trusted_proxy_is_limited() -> None:
    options = {
        "server.trusted_proxies": ("127.0.0.0/8",),
        "limits.rates.login_ip.burst": 2,
        "limits.rates.login_ip.rate": 0.01,
    }
    async with Service(**options) as service:

        async def try_from(ip: str) -> int:
            body = {"user": f"u{len(service.hints)}", "password": "wrong password"}
            return (await service.post("/v1/token", body, X_Forwarded_For=ip)).status_code

        assert [await try_from("198.51.100.1") for _ in range(3)] == [401, 401, 429]
        assert await try_from("6.6.6.6, 198.51.100.1") == 429
        assert await try_from("198.51.100.2") == 401
