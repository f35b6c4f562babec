"""The generator's connections: as little work per frame as it can be, counted exactly.

Not the SDK: a bench must cost less than what it measures. Frames are decoded with msgspec into
the few fields that are counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec
import picows

from hongyan.model.ids import DeviceId
from hongyan.wire import frames as f

_decode = msgspec.json.Decoder(Any).decode
_hello = msgspec.json.Encoder().encode


class _Entry(msgspec.Struct, gc=False):
    seq: int
    op: str = ""
    type: str = ""


class Seen(msgspec.Struct, gc=False):
    """What the generator looks at of any frame."""

    t: str
    ref: int = 0
    log: str = ""
    seq: int = 0
    code: int = 0
    n: int = 0
    entries: list[_Entry] = []


_one = msgspec.json.Decoder(Seen).decode
_many = msgspec.json.Decoder(list[Seen]).decode


class Tally(msgspec.Struct):
    """What one run counted."""

    acked: int = 0
    failed: int = 0
    delivered: int = 0
    duplicates: int = 0
    gaps: int = 0
    behind: int = 0
    closed: int = 0


class Link(picows.WSListener):
    """One connection of a generator."""

    def __init__(self, tally: Tally, on_ack: Callable[[int, float], None]) -> None:
        """`on_ack(ref, loop time)` is called for each ack."""
        self.tally = tally
        self.on_ack = on_ack
        self.on_deliver: Callable[[Seen, float], None] | None = None
        self.answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.heads: dict[str, int] = {}
        self.transport: picows.WSTransport
        self.welcome: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.bytes_in = 0
        self._now = asyncio.get_running_loop().time

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        """Keep the way out."""
        self.transport = transport

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        """Count; wake who waits."""
        self.tally.closed += 1
        for waiting in (self.welcome, *self.answers.values()):
            if not waiting.done():
                waiting.set_exception(ConnectionError("closed"))
                waiting.exception()

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        """Count what is in a message."""
        if frame.msg_type is picows.WSMsgType.CLOSE:
            transport.disconnect()
            return
        if frame.msg_type is not picows.WSMsgType.TEXT:
            return
        data = frame.get_payload_as_bytes()
        self.bytes_in += len(data)
        if self.answers or not self.welcome.done():
            self._slowly(data)
        elif data[:1] == b"[":
            for seen in _many(data):
                self._count(seen)
        else:
            self._count(_one(data))

    def _slowly(self, data: bytes) -> None:
        """While something is asked: keep whole answers."""
        found: Any = _decode(data)
        for whole in found if isinstance(found, list) else [found]:
            waiting = self.answers.pop(whole.get("ref", 0), None)
            if waiting is not None:
                waiting.set_result(whole)
            elif whole["t"] == "welcome":
                self.welcome.set_result(whole)
            elif whole["t"] == "goodbye" and not self.welcome.done():
                self.welcome.set_exception(ConnectionError(whole["text"]))
            else:
                self._count(msgspec.convert(whole, Seen))

    def _count(self, seen: Seen) -> None:
        tally = self.tally
        if seen.t == "ack":
            tally.acked += 1
            self.on_ack(seen.ref, self._now())
        elif seen.t == "deliver":
            heads, log = self.heads, seen.log
            for entry in seen.entries:
                last = heads.get(log)
                if last is None or entry.seq == last + 1:
                    tally.delivered += 1
                    heads[log] = entry.seq
                elif entry.seq <= last:
                    tally.duplicates += 1
                else:
                    tally.gaps += entry.seq - last - 1
                    tally.delivered += 1
                    heads[log] = entry.seq
            if self.on_deliver is not None:
                self.on_deliver(seen, self._now())
        elif seen.t == "fail":
            tally.failed += 1
            self.on_ack(-seen.ref, self._now())
        elif seen.t == "behind":
            tally.behind += 1

    def send(self, message: bytes) -> None:
        """One text message."""
        self.transport.send(picows.WSMsgType.TEXT, message)

    async def ask(self, ref: int, frame: f.Frame) -> dict[str, Any]:
        """Send a frame with this ref and wait for its answer."""
        waiting = asyncio.get_running_loop().create_future()
        self.answers[ref] = waiting
        self.send(_hello(frame))
        return await asyncio.wait_for(waiting, 30)


async def connect(
    url: str,
    token: str,
    device: str,
    tally: Tally,
    on_ack: Callable[[int, float], None],
    **more: Any,
) -> Link:
    """Open a connection and say hello; return when welcomed.

    Raises:
        ConnectionError, TimeoutError: the server refused or did not answer in 30 s.
    """
    link = Link(tally, on_ack)
    await picows.ws_connect(
        lambda: link,
        url,
        extra_headers={"Sec-WebSocket-Protocol": f.JSON_SUBPROTOCOL},
        websocket_handshake_timeout=30,
    )
    link.send(_hello(f.Hello(token=token, device=DeviceId(device), **more)))
    await asyncio.wait_for(link.welcome, 30)
    return link


async def in_crowds(work: Iterable[Callable[[], Awaitable[Any]]], at_once: int = 64) -> list[Any]:
    """Run many coroutines, `at_once` at a time; results in order."""
    gate = asyncio.Semaphore(at_once)

    async def one(make: Callable[[], Awaitable[Any]]) -> Any:
        async with gate:
            return await make()

    return await asyncio.gather(*(one(make) for make in work))


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` of them lie; nan for none. Sorts in place."""
    if not values:
        return float("nan")
    values.sort()
    return values[min(len(values) - 1, int(share * len(values)))]
