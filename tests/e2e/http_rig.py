"""A whole service on memory adapters behind a real socket, and an HTTP client of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
from starlette.applications import Starlette

from hongyan.adapters.memory.audit import MemoryAudit
from hongyan.adapters.memory.bus import MemoryBus
from hongyan.adapters.memory.clock import SystemClock
from hongyan.adapters.memory.directory import MemoryDirectory
from hongyan.adapters.memory.search import MemorySearch
from hongyan.adapters.memory.store import MemoryStore
from hongyan.app import build_engine
from hongyan.config import load
from hongyan.model.ids import TenantId
from hongyan.transport.console import ConsoleRoutes
from hongyan.transport.front import Front
from hongyan.transport.http import build_http
from hongyan.transport.sessions import SessionRoutes
from hongyan.transport.websocket import GatewayEndpoint, Terms
from hongyan.wire.codec import CODECS

MOST = 8192
PASSWORD = "correct horse battery"
MAIN = TenantId("main")


class Service:
    """A running server and what a test wants to look at."""

    def __init__(self, **options: object) -> None:
        self.config = load(
            None,
            {},
            {
                "server.port": 0,
                "limits.message_bytes": MOST,
                "accounts.hash_memory_kib": 8192,
                "accounts.hash_rounds": 1,
                "accounts.registration": True,
                **options,
            },
        )
        self.bus = MemoryBus()
        self.directory = MemoryDirectory()
        self.audit = MemoryAudit()
        self.node = build_engine(
            self.config,
            audit=self.audit,
            store=MemoryStore(),
            directory=self.directory,
            search=MemorySearch(),
            bus=self.bus,
            clock=SystemClock(),
            secret=b"s" * 32,
        )
        self.hints: list[Any] = []
        self.bus.subscribe(self.hints.append)
        endpoint = GatewayEndpoint(self.node.gateway, CODECS, Terms(MOST, 0.5))
        self.front = Front(
            self.config.server, self.config.limits, endpoint=endpoint, http=self._http()
        )

    def _http(self) -> Starlette:
        sessions, operations = self.node.sessions, self.node.operations
        return build_http(
            self.node.gateway,
            self.node.authenticator,
            self.config,
            publish=self.bus.publish,
            metrics=self.metrics,
            parts=[
                lambda requests: SessionRoutes(requests, sessions, self.bus.publish).routes(),
                lambda requests: ConsoleRoutes(requests, operations).routes(),
            ],
            trail=operations.trail,
        )

    async def metrics(self) -> bytes:
        return b"hongyan_up 1\n"

    async def __aenter__(self) -> Service:
        self.node.start()
        await self.front.start()
        self.http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.front.port}")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()
        await self.node.stop(1.0)
        await self.front.stop(1.0)
        await self.bus.close()

    async def post(self, path: str, body: Any, token: str = "", **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            named["Authorization"] = f"Bearer {token}"
        return await self.http.post(path, json=body, headers=named)

    async def get(self, path: str, token: str = "", **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            named["Authorization"] = f"Bearer {token}"
        return await self.http.get(path, headers=named)

    async def join(self, user: str, device: str = "") -> str:
        """An account and its token."""
        made = await self.post("/v1/register", {"user": user, "password": PASSWORD})
        assert made.status_code == 201, made.text
        got = await self.post("/v1/token", {"user": user, "password": PASSWORD, "device": device})
        assert got.status_code == 200, got.text
        return str(got.json()["token"])

    async def talk(self) -> tuple[str, str, str]:
        """Tokens of alice and bob, and their direct conversation."""
        alice, bob = await self.join("alice"), await self.join("bob")
        opened = await self.post(
            "/v1/calls", {"name": "chat.open", "args": {"user": "bob"}}, alice, Idempotency_Key="o"
        )
        assert opened.status_code == 200, opened.text
        return alice, bob, opened.json()["log"]


async def until(ws: Any, wanted: Callable[[Any], bool]) -> Any:
    """The first frame that is wanted; a message may hold several."""
    async with asyncio.timeout(10):
        while True:
            got = json.loads(await ws.recv())
            for frame in got if isinstance(got, list) else [got]:
                if wanted(frame):
                    return frame


def text(words: str) -> dict[str, Any]:
    return {"name": "chat.send", "args": {"content": {"type": "text", "text": words}}}


def assert_problem(got: httpx.Response, status: int, code: int = 0) -> dict[str, Any]:
    assert got.status_code == status, got.text
    assert got.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = got.json()
    assert (body["status"], body.get("code", 0)) == (status, code)
    return body
