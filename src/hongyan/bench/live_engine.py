"""A live room in this process, without sockets: what the engine alone costs.

For machines that do not allow as many open files as there are to be viewers, and to see what part
of a delivery is the engine's and what the kernel's. Viewers are guests; each keeps its account.
"""

from __future__ import annotations

import asyncio
import gc
import os
import time

import msgspec

from hongyan.adapters.memory.bus import MemoryBus
from hongyan.adapters.memory.clock import SystemClock
from hongyan.adapters.memory.directory import MemoryDirectory
from hongyan.adapters.memory.search import MemorySearch
from hongyan.adapters.memory.store import MemoryStore
from hongyan.bench.crowd import BenchError
from hongyan.bench.links import percentile
from hongyan.bench.live_viewers import PASSING, Digest, digest, encode, seen
from hongyan.bench.server import LOOSE, Usage
from hongyan.config import load
from hongyan.engine.peer import Peer
from hongyan.model.ids import DeviceId, LogId, OpId, TenantId, UserId
from hongyan.node import Node, build_engine
from hongyan.ports import User
from hongyan.wire import frames as f
from hongyan.wire.codec import CODECS

AT_ONCE = 500
LOOK_S = 0.01  # how often the loop's lag is taken
PATIENCE_S = 30.0
SETTINGS = {
    "limits.heartbeat_ms": 600_000,
    "presence.ttl_ms": 1_200_000,
    "admission.rate": 0,
    "limits.connections_per_ip": 0,
}
_now = time.perf_counter


class EngineResult(msgspec.Struct, frozen=True):
    """One run. Lag is how late the loop was for a timer, while the room was busy."""

    viewers: int
    rate: float
    tick_ms: int
    seconds: float
    attach_s: float
    kb_per_viewer: float
    said: int
    expected: int  # danmaku, over all viewers
    delivered: int
    told: int  # by gaps
    unaccounted_viewers: int
    messages: int
    messages_per_s: float
    cpu: float  # share of a core
    cpu_us_per_message: float
    lag_p50_ms: float
    lag_p99_ms: float
    lag_max_ms: float


class _Sink:
    """The far end of a connection."""

    __slots__ = ("attached", "base", "got", "ip", "known", "messages", "missing", "peer", "welcome")

    def __init__(self, known: dict[bytes, Digest]) -> None:
        self.ip, self.known = "127.0.0.1", known
        self.welcome = self.attached = False
        self.base = self.got = self.missing = self.messages = 0
        self.peer: Peer

    def write(self, message: bytes) -> None:
        """Enter it into the account; the engine gives all the same bytes."""
        found = self.known.get(message)
        if found is None:
            frames = seen(message)
            passing = [frame for frame in frames if frame.t in PASSING]
            for frame in frames:
                self.welcome |= frame.t == "welcome"
                if frame.t == "attached":
                    self.attached, self.base = True, frame.off
            found = digest(passing)
            if len(passing) == len(frames):
                if len(self.known) > 64:
                    self.known.clear()
                self.known[message] = found
        self.messages += 1
        self.got += found.items
        self.missing += found.missing

    def close(self, code: int, reason: str) -> None:
        """Nobody is to be sent away here."""
        raise BenchError(f"a viewer was closed: {code} {reason}")


class _Room:
    """The engine, its host, and the viewers."""

    def __init__(self) -> None:
        options: dict[str, object] = {
            key: value for key, _, value in (setting.partition("=") for setting in LOOSE)
        }
        config = load(None, {}, {**options, **SETTINGS})
        self.directory = MemoryDirectory()
        self.node: Node = build_engine(
            config,
            store=MemoryStore(),
            directory=self.directory,
            search=MemorySearch(),
            bus=MemoryBus(),
            clock=SystemClock(),
            secret=os.urandom(32),
        )
        self.known: dict[bytes, Digest] = {}
        self.codec = CODECS[f.JSON_SUBPROTOCOL]
        self.log = LogId("main/r/bench")
        self.viewers: list[_Sink] = []
        self.host = self._connect()
        self._ref = 0

    def _connect(self) -> _Sink:
        sink = _Sink(self.known)
        sink.peer = self.node.gateway.accept(sink, self.codec)
        return sink

    async def _all(self, sinks: list[_Sink], what: str) -> None:
        end = _now() + PATIENCE_S
        while not all(getattr(sink, what) for sink in sinks):
            if _now() > end:
                raise BenchError(f"not all viewers came to be {what}")
            await asyncio.sleep(0.002)

    async def open(self, tick_ms: int, shown: int) -> None:
        """The host opens the room, without being a viewer."""
        tenant, user = TenantId("main"), UserId("host")
        await self.directory.put_user(User(tenant=tenant, user=user, name="Host"))
        token = await self.node.authenticator.grant(tenant, user)
        self.host.peer.received(encode(f.Hello(token=token, device=DeviceId("d"))))
        await self._all([self.host], "welcome")
        args = {"title": "bench", "name": "bench", "guests": True}
        self.call("room.create", {**args, "tick_ms": tick_ms, "rate": shown}, LogId(""))
        await asyncio.sleep(0.1)

    def call(self, name: str, args: dict[str, object], log: LogId) -> None:
        """A call of the host."""
        self._ref += 1
        raw = msgspec.Raw(encode(args))
        call = f.Call(ref=self._ref, name=name, op=OpId(f"m{self._ref}"), log=log, args=raw)
        self.host.peer.received(encode(call))

    async def fill(self, viewers: int) -> None:
        """Guests, AT_ONCE at a time."""
        subscribe = encode(f.Subscribe(ref=1, log=self.log))
        while len(self.viewers) < viewers:
            some = [self._connect() for _ in range(min(AT_ONCE, viewers - len(self.viewers)))]
            for sink in some:
                token, _ = self.node.authenticator.guest(self.log)
                sink.peer.received(encode(f.Hello(token=token, device=DeviceId("tv"))))
            await self._all(some, "welcome")
            for sink in some:
                sink.peer.received(subscribe)
            await self._all(some, "attached")
            self.viewers += some

    async def talk(self, rate: float, seconds: float) -> tuple[int, list[float]]:
        """Say `rate` a second; how many, and how late the loop was."""
        began, said, lags = _now(), 0, []
        while (now := _now()) - began < seconds:
            while began + said / rate <= now:
                said += 1
                self.call("room.say", {"text": f"{said:08d} {'x' * 31}"}, self.log)
            await asyncio.sleep(LOOK_S)
            lags.append(_now() - now - LOOK_S)
        return said, lags


# size: one bench, told from its beginning to its end
async def run(
    *,
    viewers: int,
    rate: float,
    tick_ms: int,
    shown: int,
    seconds: float,
    collector: tuple[int, int, int],
) -> EngineResult:
    """Fill a room and talk in it. `collector` are the thresholds of the garbage collector.

    Raises:
        BenchError: not everybody got in.
    """
    room = _Room()
    room.node.start()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*collector)  # as the server does
    pid = os.getpid()
    await room.open(tick_ms, shown)
    empty, began = Usage.of(pid), _now()
    await room.fill(viewers)
    attach_s = _now() - began
    await asyncio.sleep(1.0)
    full = Usage.of(pid)
    messages, began = sum(sink.messages for sink in room.viewers), _now()
    said, lags = await room.talk(rate, seconds)
    await asyncio.sleep(max(1.0, 3 * tick_ms / 1000))
    took, cpu = _now() - began, Usage.of(pid).cpu_s - full.cpu_s
    sinks = room.viewers
    messages = sum(sink.messages for sink in sinks) - messages
    result = EngineResult(
        viewers=viewers,
        rate=rate,
        tick_ms=tick_ms,
        seconds=round(took, 2),
        attach_s=round(attach_s, 1),
        kb_per_viewer=round((full.rss_bytes - empty.rss_bytes) / viewers / 1024, 1),
        said=said,
        expected=said * viewers,
        delivered=sum(sink.got for sink in sinks),
        told=sum(sink.missing for sink in sinks),
        unaccounted_viewers=sum(sink.base + sink.got + sink.missing != said for sink in sinks),
        messages=messages,
        messages_per_s=round(messages / took, 1),
        cpu=round(cpu / took, 3),
        cpu_us_per_message=round(cpu / max(messages, 1) * 1e6, 2),
        lag_p50_ms=round(percentile(lags, 0.5) * 1e3, 1),
        lag_p99_ms=round(percentile(lags, 0.99) * 1e3, 1),
        lag_max_ms=round(max(lags) * 1e3, 1),
    )
    for sink in room.viewers:
        sink.peer.lost()
    room.host.peer.lost()
    await room.node.stop(1.0)
    return result
