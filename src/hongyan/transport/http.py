"""The HTTP side of the service: health, metrics, and the routes of `accounts` and `calls`.

A request becomes the same frame a WebSocket would bring, through the same codec, so both ways
judge alike and a call retried over the other way is the same call. Answers are JSON; errors are
problem+json with the code of the refusal. There are no cookies: a browser page of elsewhere can
do nothing in a user's name.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Iterable, Sequence
from ipaddress import ip_address
from typing import Protocol

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hongyan.config import Config
from hongyan.engine.audit import Trail
from hongyan.engine.auth import Authenticator
from hongyan.model.errors import Forbidden
from hongyan.ports import Hint
from hongyan.transport.accounts import AccountRoutes
from hongyan.transport.admin import AdminRoutes
from hongyan.transport.asks import AskRoutes
from hongyan.transport.audited import Desk
from hongyan.transport.calls import CallRoutes
from hongyan.transport.calls import Gateway as Single
from hongyan.transport.declare import Doc
from hongyan.transport.httplink import SESSION
from hongyan.transport.httplink import Gateway as Sessions
from hongyan.transport.live import Gateway as Watched
from hongyan.transport.live import LiveRoutes
from hongyan.transport.openapi import OpenApiRoute
from hongyan.transport.people import MeRoutes
from hongyan.transport.polls import PollRoutes
from hongyan.transport.problem import plain_problem
from hongyan.transport.ratelimit import POLICY, STATE
from hongyan.transport.requests import (
    HEADERS,
    Requests,
    bearer,
    json_answer,
    problem_answer,
    route,
)
from hongyan.transport.server_api import Gateway as Back
from hongyan.transport.server_api import ServerRoutes
from hongyan.transport.streams import StreamRoutes
from hongyan.transport.updates import Gateway as Receiving
from hongyan.transport.updates import UpdateRoutes

FORWARDING = ("x-forwarded-for", "x-forwarded-host", "x-real-ip", "forwarded", "via")
Part = Callable[[Requests], Iterable[BaseRoute]]  # makes the routes of one part of the service

# What a page of an allowed origin may send and see. `Hongyan-Request` is not among it: it guards
# the cookie, and pages of other origins have none.
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
TUS = ("Tus-Resumable", "Upload-Length", "Upload-Offset", "Upload-Metadata", "Upload-Checksum")
ASKED = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "Hongyan-User",
    "Last-Event-ID",
    "Range",
    "X-HTTP-Method-Override",
    *TUS,
)
SHOWN = (
    "Retry-After",
    POLICY,
    STATE,
    SESSION,
    "Location",
    "Content-Disposition",
    "Content-Range",
    *TUS,
    "Upload-Expires",
    "Tus-Version",
    "Tus-Extension",
    "Tus-Max-Size",
    "Tus-Checksum-Algorithm",
    "Hongyan-Digest",
    "Hongyan-State",
)

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Gateway(Single, Sessions, Back, Receiving, Watched, Protocol):
    """The engine's entry: for single requests, sessions over HTTP, and receivers."""


def build_http(
    gateway: Gateway,
    authenticator: Authenticator,
    config: Config,
    *,
    publish: Callable[[Hint], None],
    metrics: Callable[[], Awaitable[bytes]],
    parts: Sequence[Part] = (),
    trail: Trail | None = None,
) -> Starlette:
    """The ASGI application. `publish` is the bus', `metrics` gives Prometheus' text format.

    `parts` are what the composition root adds; of routes that match alike the first is taken.
    `trail` takes the lines of routes that are declared with `audit`; without, none are written.
    """
    requests = Requests(authenticator, config)
    heartbeat_s = config.limits.heartbeat_ms / 1000
    app = Starlette(
        routes=[
            *_Operator(requests, gateway, config.server.metrics_token, metrics).routes(),
            *AccountRoutes(requests, publish).routes(),
            *AdminRoutes(requests, publish).routes(),
            *CallRoutes(requests, gateway).routes(),
            *LiveRoutes(requests, gateway).routes(),
            *AskRoutes(requests, gateway).routes(),
            *MeRoutes(requests, publish).routes(),
            *ServerRoutes(requests, gateway).routes(),
            *OpenApiRoute().routes(),
            *StreamRoutes(requests, gateway, config.receivers).routes(),
            *UpdateRoutes(requests, gateway, config).routes(),
            *PollRoutes(requests, gateway, config.receivers, heartbeat_s).routes(),
            *(made for part in parts for made in part(requests)),
        ],
        middleware=_cors(config.server.allowed_origins),
        exception_handlers={HTTPException: _http_error},
    )
    if trail is not None:
        app.state.audit = Desk(trail, requests)
    return app


class Live(msgspec.Struct):
    """The process answers."""

    live: bool


class Ready(msgspec.Struct):
    """Whether to send traffic here."""

    ready: bool


HEALTH = Doc(summary="Does the process answer?", tag="service", access="open", answer=Live)
READY = Doc(
    summary="Are calls taken?",
    text="503 with the same body where they are not.",
    tag="service",
    access="open",
    answer=Ready,
)
METRICS = Doc(
    summary="Prometheus metrics",
    text="With `server.metrics_token` as the bearer, or an API key with the scope `metrics`;"
    " without a token configured also from this machine.",
    tag="service",
    access="open",
    answer=str,
    answer_media="text/plain",
    errors=(401, 403),
)


def _cors(origins: Sequence[str]) -> list[Middleware]:
    """Pages of these origins may use the API; without any, no page of elsewhere reads an answer."""
    if not origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=list(METHODS),
            allow_headers=list(ASKED),
            expose_headers=list(SHOWN),
        )
    ]


class _Operator:
    """What the operator and the load balancer ask."""

    def __init__(
        self,
        requests: Requests,
        gateway: Gateway,
        metrics_token: str,
        metrics: Callable[[], Awaitable[bytes]],
    ) -> None:
        self._auth, self._gateway = requests.auth, gateway
        self._metrics_token, self._metrics = metrics_token.encode(), metrics

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            route("/healthz", "GET", self.healthz, HEALTH),
            route("/readyz", "GET", self.readyz, READY),
            route("/metrics", "GET", self.metrics, METRICS),
        ]

    async def healthz(self, request: Request) -> Response:
        """The process answers."""
        return json_answer(Live(True))

    async def readyz(self, request: Request) -> Response:
        """Send traffic here, or (503) do not."""
        ready = self._gateway.ready
        return json_answer(Ready(ready), 200 if ready else 503)

    async def metrics(self, request: Request) -> Response:
        """Only with the token; without one configured, only from this machine directly."""
        await self._check_metrics(request)
        return Response(await self._metrics(), media_type=METRICS_TYPE, headers=HEADERS)

    async def _check_metrics(self, request: Request) -> None:
        token = bearer(request)
        if self._metrics_token and token:
            if hmac.compare_digest(token.encode(), self._metrics_token):
                return
        elif not self._metrics_token and not token and _is_direct_loopback(request):
            return
        if token.startswith("hyk_") and (await self._auth.authenticate(token)).may("metrics"):
            return
        raise Forbidden("metrics need the token of server.metrics_token")


def _is_direct_loopback(request: Request) -> bool:
    """Whether this machine asks without a proxy in between, as far as a request can tell; and by
    a name of its own, so that no page whose name was pointed here can (DNS rebinding)."""
    if request.client is None or any(name in request.headers for name in FORWARDING):
        return False
    asked = request.url.hostname or ""
    try:
        own = asked == "localhost" or ip_address(asked).is_loopback
        return own and ip_address(request.client.host).is_loopback
    except ValueError:
        return False


async def _http_error(request: Request, exc: Exception) -> Response:
    """No such path (404), or not with this method (405)."""
    assert isinstance(exc, HTTPException)
    return problem_answer(plain_problem(exc.status_code), exc.headers or {})
