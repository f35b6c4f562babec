"""Who calls, and a call on its way: the small mutable things of the pipeline."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

from hongyan.engine.limits import address_key
from hongyan.model.errors import Refusal
from hongyan.model.ids import DeviceId, LogId, TenantId, UserId, user_key
from hongyan.model.kind import Decision, Kind, Rule
from hongyan.wire.frames import Ack, Call

Done = Callable[[Ack | Refusal], None]


class Caller:
    """Who calls: an authenticated device on one connection, or one HTTP request."""

    __slots__ = (
        "address",
        "admin",
        "backend",
        "connection",
        "current",
        "device",
        "flights",
        "guest",
        "key",
        "number",
        "prefix",
        "runner",
        "tenant",
        "user",
        "waiting",
    )

    def __init__(
        self,
        tenant: TenantId,
        user: UserId,
        device: DeviceId,
        *,
        admin: bool = False,
        ip: str = "",
        connection: str = "",
        guest: LogId | None = None,
        backend: bool = False,
    ) -> None:
        """`guest`: the one live log that this viewer may watch, and do nothing else; `backend`:
        an API key calls. `connection` names what the limit per connection counts by; "" = by the
        address."""
        self.tenant, self.user, self.device = tenant, user, device
        self.admin, self.guest, self.backend = admin, guest, backend
        self.key = user_key(tenant, user)
        self.prefix = f"{tenant}/"  # of every log id of the tenant
        self.address = address_key(ip)
        self.connection = connection or self.address
        self.number = 0  # of the last call: order of this caller
        self.waiting: list[Job] = []  # in order of their numbers, for the slow way
        self.current: Job | None = None  # the one that the runner is at
        self.runner: asyncio.Task[None] | None = None
        self.flights: dict[LogId, Flight] = {}


class Flight:
    """Calls of one caller on one log that are on the way to the disk, all decided on `version`.
    `joins`: one of them makes members."""

    __slots__ = ("count", "joins", "landed", "version")

    def __init__(self, version: int) -> None:
        """None in flight yet."""
        self.version = version
        self.count = 0
        self.joins = False
        self.landed: asyncio.Future[None] | None = None


class Job:
    """A call on its way through the pipeline."""

    __slots__ = (
        "asked",
        "call",
        "caller",
        "command",
        "done",
        "doubted",
        "hash",
        "kind",
        "log",
        "number",
        "rule",
        "stale",
        "started",
        "tells",
        "tries",
    )

    def __init__(self, caller: Caller, call: Call, done: Done, started: float) -> None:
        """`started` is monotonic; what `_prepare` finds is set there."""
        self.caller, self.call, self.done, self.started = caller, call, done, started
        self.tries = 0
        self.tells: Decision | None = None  # what viewers hear once it is on disk
        self.stale = -1  # the version that met Conflict
        self.asked = False  # hooks have said what they say of it
        self.doubted = False  # a refusal was checked against the store
        caller.number += 1
        self.number = caller.number
        self.kind: Kind
        self.rule: Rule
        self.command: Any
        self.log: LogId = call.log
        self.hash = b""


class RandomTokens:
    """128 random bits in hex at a time, out of a block: the kernel is asked once per 64."""

    __slots__ = ("_block",)

    def __init__(self) -> None:
        """Empty; the first `next` fills it."""
        self._block = b""

    def next(self) -> str:
        """A token nobody can guess, different each time."""
        if len(self._block) < 16:
            self._block = os.urandom(1024)
        token, self._block = self._block[:16], self._block[16:]
        return token.hex()
