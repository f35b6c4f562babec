"""What happens to a connection before it is known what it is.

The first bytes decide: the head of a request for a WebSocket goes to picows, any other HTTP to
uvicorn's protocol, all else is closed. Until then a connection is held to `handshake_s` seconds
and `MAX_HEAD` bytes, and it counts against the limits of the server and of its address.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import cast

import msgspec
import structlog

from hongyan.engine.limits import address_key
from hongyan.transport import handshake as hs
from hongyan.transport.problem import raw_answer
from hongyan.transport.websocket import Connection, Endpoint, picows_protocol, replay

log = structlog.get_logger(__name__)


class Doors(msgspec.Struct, frozen=True, gc=False):
    """Who may come in. 0 = no limit."""

    handshake_s: float = 10.0
    connections: int = 0
    per_ip: int = 0
    origins: tuple[str, ...] = ()
    proxies: tuple[hs.Network, ...] = ()


class Slot:
    """A connection's place in the counts; given back once, by whoever sees the end."""

    __slots__ = ("_desk", "key")

    def __init__(self, desk: Reception, key: str) -> None:
        """Counted by `Reception.take`; `key` is "" while the address is not known."""
        self._desk: Reception | None = desk
        self.key = key

    def give_back(self) -> None:
        """Idempotent."""
        desk, self._desk = self._desk, None
        if desk is not None:
            desk.forget(self.key)


class Reception:
    """Shared by all connections of a server: the counts, and where connections go."""

    def __init__(
        self,
        doors: Doors,
        endpoint: Endpoint,
        http: Callable[[Slot], asyncio.Protocol],
    ) -> None:
        """`http` makes the protocol that takes any HTTP that is no WebSocket."""
        self.doors = doors
        self.endpoint = endpoint
        self.http = http
        self.waiting: set[Sniffer] = set()
        self.connections: set[Connection] = set()
        self.open = 0
        self._empty = asyncio.Event()
        self._empty.set()
        self.counts: Counter[str] = Counter()  # since the start, for metrics
        self._by_ip: Counter[str] = Counter()

    def take(self, ip: str) -> Slot | None:
        """A slot for a new connection, or None when the server or the address has too many.

        A trusted proxy is not counted: its clients are, once they are known.
        """
        doors = self.doors
        if doors.connections and self.open >= doors.connections:
            return None
        key = "" if hs.trusted_ip(ip, doors.proxies) else address_key(ip)
        if key and doors.per_ip and self._by_ip[key] >= doors.per_ip:
            return None
        self.open += 1
        self._empty.clear()
        if key:
            self._by_ip[key] += 1
        return Slot(self, key)

    def forget(self, key: str) -> None:
        """A connection ended."""
        self.open -= 1
        if not self.open:
            self._empty.set()
        if key:
            self._by_ip[key] -= 1
            if not self._by_ip[key]:
                del self._by_ip[key]

    async def empty_within(self, seconds: float) -> bool:
        """Wait until no connection is left; False when the time is over first."""
        try:
            await asyncio.wait_for(self._empty.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def known_as(self, slot: Slot, ip: str) -> bool:
        """A connection through a proxy turns out to be `ip`; False when it has too many."""
        if slot.key or hs.trusted_ip(ip, self.doors.proxies):
            return True
        key = address_key(ip)
        if self.doors.per_ip and self._by_ip[key] >= self.doors.per_ip:
            return False
        slot.key = key
        self._by_ip[key] += 1
        return True

    def upgrade(
        self, transport: asyncio.Transport, slot: Slot, head: bytes, rest: bytes = b""
    ) -> None:
        """Make a connection whose request head is `head` a WebSocket, or answer why not."""
        try:
            parsed = hs.parse_head(head)
            ip = hs.client_ip(peer_ip(transport), parsed.get("x-forwarded-for"), self.doors.proxies)
            upgrade = hs.judge(
                parsed,
                subprotocols=self.endpoint.subprotocols,
                allowed_origins=self.doors.origins,
                ip=ip,
            )
            if self.endpoint.path not in ("", upgrade.path):
                raise hs.Refused(404, f"WebSockets are at {self.endpoint.path}")
            if not self.known_as(slot, ip):
                raise hs.Refused(429, "too many connections from this address")
        except hs.Refused as why:
            self.refuse(transport, slot, why)
            return
        try:
            connection = self.endpoint.connection(upgrade)
        except Exception:
            log.exception("a connection could not be made")
            self.refuse(transport, slot, hs.Refused(500, "the server failed"))
            return
        self.connections.add(connection)
        self.counts["websockets"] += 1

        def gone() -> None:
            self.connections.discard(connection)
            slot.give_back()

        connection.gone = gone
        protocol = picows_protocol(upgrade, connection, self.endpoint.terms)
        hand_over(transport, protocol)
        feed_buffered(transport, protocol, replay(upgrade) + rest)

    def refuse(self, transport: asyncio.Transport, slot: Slot, why: hs.Refused) -> None:
        """Answer with an HTTP error and close; drop what still comes."""
        self.counts["refused"] += 1
        transport.set_protocol(Ending(slot, self.doors.handshake_s, transport))
        transport.write(raw_answer(why.status, why.text, why.headers))
        transport.close()


class Ending(asyncio.Protocol):
    """A connection that is only waiting for its last bytes to be taken, with a time limit."""

    def __init__(self, slot: Slot, patience_s: float, transport: asyncio.Transport) -> None:
        """From now on `patience_s` seconds."""
        self._slot = slot
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(patience_s, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Done."""
        self._timer.cancel()
        self._slot.give_back()


class Sniffer(asyncio.Protocol):
    """Holds a new connection until its first request head is complete."""

    def __init__(self, desk: Reception) -> None:
        """One per accepted connection."""
        self._desk = desk
        self._data = bytearray()
        self._slot: Slot | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it, or close it at once."""
        transport = cast(asyncio.Transport, transport)  # uvloop's does not inherit from it
        self._transport = transport
        desk = self._desk
        desk.counts["accepted"] += 1
        self._slot = desk.take(peer_ip(transport))
        if self._slot is None:
            desk.counts["turned_away"] += 1
            transport.abort()
            return
        desk.waiting.add(self)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(desk.doors.handshake_s, self._too_slow)

    def data_received(self, data: bytes) -> None:
        """Judge as soon as there is enough to judge by."""
        transport, slot = self._transport, self._slot
        if transport is None or slot is None:  # turned away, or over to another protocol
            return
        self._data += data
        sort = hs.sort_of(self._data)
        if sort is hs.Sort.OTHER:
            self._desk.counts["not_http"] += 1
            transport.abort()
            return
        end = self._data.find(hs.HEAD_END, 0, hs.MAX_HEAD)
        if end < 0:
            if len(self._data) >= hs.MAX_HEAD:
                self._leave()
                self._desk.refuse(transport, slot, hs.Refused(431, "the head is too large"))
            return
        self._leave()
        seen = bytes(self._data)
        head = seen[: end + len(hs.HEAD_END)]
        if hs.wants_websocket(head):
            self._desk.upgrade(transport, slot, head, seen[len(head) :])
            return
        self._desk.counts["http"] += 1
        protocol = self._desk.http(slot)
        hand_over(transport, protocol)
        protocol.data_received(seen)

    def eof_received(self) -> bool:
        """The peer has no more to say: nothing can come of it."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Gone before it was known what it is."""
        slot = self._slot
        self._leave()
        if slot is not None:
            slot.give_back()

    def drop(self) -> None:
        """The server stops."""
        if self._transport is not None:
            self._transport.abort()

    def _too_slow(self) -> None:
        self._desk.counts["handshake_timeouts"] += 1
        self.drop()

    def _leave(self) -> None:
        """This object has no more part in the connection."""
        self._desk.waiting.discard(self)
        self._slot = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def peer_ip(transport: asyncio.BaseTransport) -> str:
    """The address of the TCP peer, "" where it is gone already."""
    name: Sequence[object] | str | None = transport.get_extra_info("peername")
    if not name or isinstance(name, str):
        return ""
    ip = str(name[0])
    return ip.removeprefix("::ffff:") if "." in ip else ip


def hand_over(transport: asyncio.Transport, protocol: asyncio.BaseProtocol) -> None:
    """Give a connection to another protocol, which may be a buffered one.

    uvloop chooses between its two ways of reading when reading starts, so it is stopped and
    started around the change.
    """
    transport.pause_reading()
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    transport.resume_reading()


def feed_buffered(
    transport: asyncio.Transport, protocol: asyncio.BufferedProtocol, data: bytes
) -> None:
    """Let a buffered protocol read `data` as if it had just come."""
    while data and not transport.is_closing():
        room = memoryview(protocol.get_buffer(-1))
        size = min(len(room), len(data))
        room[:size] = data[:size]
        protocol.buffer_updated(size)
        data = data[size:]
