"""A whole engine on memory adapters, with connections that a test holds in its hand."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from hongyan.adapters.memory.bus import MemoryBus
from hongyan.adapters.memory.clock import ManualClock
from hongyan.adapters.memory.directory import MemoryDirectory
from hongyan.adapters.memory.search import MemorySearch
from hongyan.adapters.memory.store import MemoryStore
from hongyan.app import Node, build_engine
from hongyan.config import Config, load
from hongyan.engine.needs import Judge
from hongyan.model.ids import TenantId, UserId
from hongyan.ports import Bus, Poster, Store, User
from hongyan.wire import frames as f
from hongyan.wire.codec import CODECS, Codec

MAIN = TenantId("main")
JSON = CODECS["hongyan.v1.json"]


class HandLink:
    """A link whose writes are kept; it may be told to take nothing."""

    def __init__(self, codec: Codec, ip: str = "127.0.0.1") -> None:
        self.ip = ip
        self.codec = codec
        self.frames: list[Any] = []
        self.messages = 0
        self.closed: tuple[int, str] | None = None
        self.arrived = asyncio.Event()

    def write(self, message: bytes) -> None:
        if self.closed:
            return
        self.messages += 1
        self.frames += self.codec.decode_server(message)
        self.arrived.set()

    def close(self, code: int, reason: str) -> None:
        if self.closed is None:
            self.closed = (code, reason)
            self.arrived.set()


class Person:
    """A connected device."""

    def __init__(self, rig: Rig, user: str, device: str, codec: Codec = JSON) -> None:
        self.rig, self.user, self.device = rig, user, device
        self.link = HandLink(codec)
        self.codec = codec
        self.peer = rig.node.gateway.accept(self.link, codec)
        self.ref = 0
        self.at = 0  # frames looked at by `next`

    def say(self, frame: f.Frame) -> None:
        self.peer.received(self.codec.encode(frame))

    async def until(self, wanted: Any, seconds: float = 5.0) -> Any:
        """Wait for a frame for which `wanted(frame)` is true, from the beginning."""
        async with asyncio.timeout(seconds):
            while True:
                for frame in self.link.frames:
                    if wanted(frame):
                        return frame
                if self.link.closed:
                    raise AssertionError(f"closed {self.link.closed}, got {self.link.frames}")
                self.link.arrived.clear()
                await self.link.arrived.wait()

    async def closed(self, seconds: float = 5.0) -> f.Goodbye:
        """Wait for the end; the goodbye before it."""
        async with asyncio.timeout(seconds):
            while self.link.closed is None:
                self.link.arrived.clear()
                await self.link.arrived.wait()
        return next(x for x in self.link.frames if isinstance(x, f.Goodbye))

    async def hello(
        self, token: str, *, cls: str = "web", inbox: int = 0, large: int = 0
    ) -> f.Welcome:
        self.say(f.Hello(token=token, device=self.device, cls=cls, inbox=inbox, large=large))
        return await self.until(lambda x: isinstance(x, f.Welcome))

    def start_call(self, name: str, args: Any, *, log: str = "", op: str = "") -> int:
        self.ref += 1
        raw = msgspec.Raw(msgspec.json.encode(args))
        op = op or f"{self.device}-{self.ref}"
        self.say(f.Call(ref=self.ref, name=name, op=op, log=log, args=raw))
        return self.ref

    async def answer(self, ref: int) -> Any:
        return await self.until(lambda x: getattr(x, "ref", 0) == ref and ref)

    async def call(self, name: str, args: Any, *, log: str = "", op: str = "") -> Any:
        return await self.answer(self.start_call(name, args, log=log, op=op))

    async def send(self, log: str, text: str, **more: Any) -> Any:
        content = {"type": "text", "text": text}
        return await self.call("chat.send", {"content": content}, log=log, **more)

    async def ask(self, frame: Any) -> Any:
        self.ref += 1
        frame.ref = self.ref
        self.say(frame)
        return await self.answer(self.ref)

    async def query(self, name: str, log: str = "", **args: Any) -> Any:
        raw = msgspec.Raw(msgspec.json.encode(args))
        answer = await self.ask(f.Query(ref=0, name=name, log=log, args=raw))
        if isinstance(answer, f.Fail):
            return answer
        return msgspec.json.decode(answer.body)

    def delivered(self, log: str) -> list[Any]:
        """Entries of a log that were pushed, as they came."""
        pushed = [x for x in self.link.frames if isinstance(x, f.Deliver) and x.log == log]
        return [entry for frame in pushed for entry in frame.entries]

    async def got(self, log: str, seq: int) -> Any:
        """Wait until the entry was pushed."""
        await self.until(
            lambda x: (
                isinstance(x, f.Deliver)
                and x.log == log
                and any(entry.seq == seq for entry in x.entries)
            )
        )
        return next(entry for entry in self.delivered(log) if entry.seq == seq)

    def lose(self) -> None:
        """The network goes away."""
        self.link.closed = (1006, "lost")
        self.peer.lost()


class Rig:
    """Node, users and connections of one test."""

    def __init__(
        self,
        *,
        store: Store | None = None,
        bus: Bus | None = None,
        options: dict[str, object] | None = None,
        poster: Poster | None = None,
        judge: Judge | None = None,
    ) -> None:
        loose = {
            "limits.rates.connection": {"rate": 0, "burst": 1},
            "limits.rates.user": {"rate": 0, "burst": 1},
            "limits.rates.log": {"rate": 0, "burst": 1},
            "limits.rates.ip": {"rate": 0, "burst": 1},
            "limits.rates.asks": {"rate": 0, "burst": 1},
            "load.busy_lag_ms": 100_000,  # a slow machine is no load
            "load.overloaded_lag_ms": 200_000,
            "load.critical_lag_ms": 300_000,
        }
        self.config: Config = load(None, {}, {**loose, **(options or {})})
        self.store = store or MemoryStore(large_above=self.config.logs.large_above)
        self.directory = MemoryDirectory()
        self.clock = ManualClock()
        self.bus = bus or MemoryBus()
        self.search = MemorySearch()
        self.node: Node = build_engine(
            self.config,
            store=self.store,
            directory=self.directory,
            search=self.search,
            bus=self.bus,
            clock=self.clock,
            secret=b"s" * 32,
            poster=poster,
            judge=judge,
        )

    async def start(self) -> None:
        self.node.start()

    async def stop(self) -> None:
        await self.node.stop(1.0)

    async def user(self, name: str) -> None:
        if await self.directory.user(MAIN, UserId(name)) is None:
            await self.directory.put_user(User(tenant=MAIN, user=UserId(name), name=name.title()))

    async def token(self, user: str) -> str:
        await self.user(user)
        return await self.node.authenticator.grant(MAIN, UserId(user))

    async def person(
        self,
        user: str,
        device: str = "",
        *,
        cls: str = "web",
        codec: Codec = JSON,
        token: str = "",
        **hello: Any,
    ) -> Person:
        """A connected and welcomed device of `user`."""
        person = Person(self, user, device or f"{user}-1", codec)
        person.welcome = await person.hello(token or await self.token(user), cls=cls, **hello)  # type: ignore[attr-defined]
        return person
