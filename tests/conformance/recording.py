"""A gateway that keeps what the transport tells it, for tests in another thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from hongyan.config import Limits, Server
from hongyan.transport.front import Front
from hongyan.transport.websocket import GatewayEndpoint, Terms, WebSocketLink
from hongyan.wire.codec import CODECS, Codec


class Recorder:
    """One connection: what happened to it, in order. Runs `react` on each message."""

    def __init__(self, gateway: RecordingGateway, link: WebSocketLink, codec: Codec) -> None:
        self.gateway, self.link, self.codec = gateway, link, codec
        self.seen: list[Any] = []

    def note(self, what: Any) -> None:
        with self.gateway.changed:
            self.seen.append(what)
            self.gateway.changed.notify_all()

    def received(self, message: bytes) -> None:
        self.note(message)
        self.gateway.react(self, message)

    def writable(self, ok: bool) -> None:
        self.note(ok)

    def lost(self) -> None:
        self.note("lost")


class RecordingGateway:
    """Takes every connection, unless `refuse` is set."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.peers: list[Recorder] = []
        self.refuse: Exception | None = None
        self.react: Callable[[Recorder, bytes], None] = lambda peer, message: None
        self.drained: list[float] = []
        self.on_drain: Callable[[], None] = lambda: None

    def accept(self, link: WebSocketLink, codec: Codec) -> Recorder:
        if self.refuse is not None:
            raise self.refuse
        peer = Recorder(self, link, codec)
        with self.changed:
            self.peers.append(peer)
            self.changed.notify_all()
        return peer

    async def drain(self, seconds: float) -> None:
        self.drained.append(seconds)
        self.on_drain()

    def wait(self, ready: Callable[[], bool]) -> None:
        """Until `ready`, at most 10 seconds."""
        with self.changed:
            assert self.changed.wait_for(ready, 10), [peer.seen for peer in self.peers]


def recorded(
    gateway: RecordingGateway,
    app: Any,
    server: Server | None = None,
    limits: Limits | None = None,
    close_timeout_s: float = 0.5,
) -> Front:
    """A front on a free port with the service's own endpoint."""
    limits = limits or Limits()
    terms = Terms(limits.message_bytes, close_timeout_s)
    endpoint = GatewayEndpoint(gateway, CODECS, terms)
    return Front(server or Server(port=0), limits, endpoint=endpoint, http=app, drain=gateway.drain)
