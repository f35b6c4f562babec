"""Webhooks on memory parts, with a target that does what a test says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

from hongyan.adapters.memory.clock import SystemClock
from hongyan.adapters.memory.outlets import MemoryOutlets
from hongyan.adapters.memory.store import MemoryStore
from hongyan.engine.backends.courier import Terms
from hongyan.engine.backends.webhooks import Webhooks
from hongyan.engine.identity import Identity
from hongyan.model.ids import LogId, OpId, TenantId, UserId
from hongyan.model.log import Commit, MemberChange, Write
from hongyan.ports import Outlets, Reply

KNOWN = {"d": "direct", "g": "group", "u": "self"}
ADMIN = Identity(tenant=TenantId("main"), user=UserId("root"), epoch=1, admin=True)
OTHER = Identity(tenant=TenantId("acme"), user=UserId("root"), epoch=1, admin=True)
URL = "https://shop.example/in"
SECONDS = 10.0  # until a test that hangs is called failed
A, B, C = LogId("main/g/aaa"), LogId("main/g/bbb"), LogId("main/d/ann~bob")
QUICK = Terms(
    timeout_s=5.0,
    tries=3,
    pause_s=0.02,
    most_pause_s=0.05,
    max_age_s=3600.0,
    disable_after_s=3600.0,
    parallel=4,
    most_held=8,
    most_dead=100,
)


class Target:
    """A Poster. `reply` decides; what came is kept, taken or not."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, Mapping[str, str], bytes]] = []
        self.taken: list[tuple[str, int]] = []  # (log, seq)
        self.open = self.most_open = 0
        self.reply: Callable[[dict[str, Any]], Reply] = lambda event: Reply(200)
        self.gate: asyncio.Event | None = None  # answers wait for it
        self.closed = False
        self.changed = asyncio.Event()

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, *, timeout_s: float, most: int
    ) -> Reply:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            self.posts.append((url, headers, body))
            self._tell()
            if self.gate is not None:
                await self.gate.wait()
            await asyncio.sleep(0)
            event = json.loads(body)
            reply = self.reply(event)
            if 200 <= reply.status < 300 and "entry" in event:
                self.taken.append((event["log"], event["entry"]["seq"]))
            return reply
        finally:
            self.open -= 1
            self._tell()

    async def close(self) -> None:
        self.closed = True

    def _tell(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until it is so; looked at after each post."""
        async with asyncio.timeout(SECONDS):
            while not true():
                await self.changed.wait()

    def seqs(self, log: str) -> list[int]:
        return [seq for name, seq in self.taken if name == log]


class Shop:
    """A store to speak into, and the webhooks that tell of it."""

    def __init__(self, *, terms: Terms = QUICK, outlets: Outlets | None = None) -> None:
        self.store, self.target = MemoryStore(), Target()
        self.outlets = outlets or MemoryOutlets()
        self.terms = terms
        self.clock = SystemClock()
        self.ops = 0
        self.webhooks = self.made()

    def made(self, **more: Any) -> Webhooks:
        return Webhooks(
            KNOWN,
            store=self.store,
            outlets=self.outlets,
            poster=self.target,
            clock=self.clock,
            terms=self.terms,
            **more,
        )

    async def __aenter__(self) -> Shop:
        self.webhooks.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.webhooks.stop()

    async def restart(self) -> None:
        """The process ends and begins again."""
        await self.webhooks.stop(0.0)
        self.webhooks = self.made()
        self.webhooks.start()

    async def make(self, who: Identity = ADMIN, url: str = URL, **more: Any) -> str:
        view, self.secret = await self.webhooks.create(who, url, **more)
        return view.id

    async def say(self, log: LogId, *texts: str, type: str = "message") -> None:
        for text in texts:
            self.ops += 1
            create = await self.store.info(log) is None
            body = json.dumps({"text": text}).encode()
            await self.store.commit(
                Commit(
                    log=log,
                    sender=UserId("ann"),
                    op=OpId(f"op{self.ops}"),
                    hash=b"0" * 16,
                    at=self.clock.now_ms(),
                    writes=(Write(type, body, count=True),),
                    expect=0 if create else -1,
                    state=b"{}" if create else None,
                    members=(MemberChange(user=UserId("ann"), join=True),) if create else (),
                )
            )
        self.webhooks.wake()

    async def settled(self, webhook: str, true: Callable[[Any], bool]) -> Any:
        """Wait until the webhook's view is so."""
        async with asyncio.timeout(SECONDS):
            while not true(view := await self.webhooks.get(ADMIN, webhook)):  # noqa: ASYNC110
                await asyncio.sleep(0.005)  # no event tells
        return view
