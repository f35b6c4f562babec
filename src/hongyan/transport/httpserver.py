"""uvicorn's httptools protocol, held to bounds, without uvicorn's server.

What is used of uvicorn beyond its documents (the protocol's constructor and ServerState) is what
its own server uses; a test pins it. See ADR 0030.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import sys
import termios
from collections.abc import Callable
from email.utils import formatdate

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from hongyan.transport import handshake as hs
from hongyan.transport.problem import raw_answer
from hongyan.transport.reception import Slot

MAX_HEADERS = 128
ABORT = "hongyan.abort"  # in a scope's state: the way to drop the connection
KEEP_ALIVE_S = 15
STALL_S = 30.0  # a peer that takes nothing of an answer for this long (to twice) is dropped
LEFTOVER = 64 * 1024  # bytes of a body that nobody reads, before the connection is closed

# What a peer does wrong is not an error of the server; faults of the application are.
_log = logging.getLogger("hongyan.transport.http")
_log.setLevel(logging.ERROR)

Upgrader = Callable[[asyncio.Transport, Slot, bytes], None]


class BoundedHttp(HttpToolsProtocol):
    """Also a second request of a connection has a bounded head that comes in time, and may be
    one for a WebSocket (proxies reuse connections)."""

    def __init__(
        self, config: uvicorn.Config, state: ServerState, slot: Slot, seconds: float, up: Upgrader
    ) -> None:
        """`seconds` for a request head; `up` takes a connection that asks for a WebSocket."""
        super().__init__(config, state, {})
        self.logger = _log
        self._slot = slot
        self._seconds = seconds
        self._upgrade = up
        self._upgraded = False
        self._head_bytes = -1  # of the head that is being read; -1 = none is
        self._head_timer: asyncio.TimerHandle | None = None
        self._status = 400
        self._leftover = 0
        self._unsent = (0, 0)  # bytes here, and in the kernel

    def data_received(self, data: bytes) -> None:
        """Feed the parser, and count what it keeps."""
        super().data_received(data)
        if self._head_bytes >= 0 and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > hs.MAX_HEAD:
                self._status = 431
                self.send_400_response("the head is too large")

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self.scope["state"][ABORT] = self.transport.abort
        self._head_bytes = 0
        self._head_timer = self.loop.call_later(self._seconds, self._head_too_slow)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header field is complete."""
        if len(self.headers) >= MAX_HEADERS:
            self._status = 431
            raise httptools.HttpParserError("too many header fields")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is complete."""
        self._head_done()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of a body; after the answer it is thrown away, but not for ever."""
        if self.cycle.response_complete:
            self._leftover += len(body)
            if self._leftover > LEFTOVER:
                self.transport.abort()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The whole request was read."""
        self._leftover = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """What uvicorn calls for a request that cannot be read."""
        self._head_done()
        self.transport.write(raw_answer(self._status, msg))
        self.transport.close()

    def handle_websocket_upgrade(self) -> None:
        """A later request of this connection asks for a WebSocket."""
        self._upgraded = True
        self.connections.discard(self)
        self._unset_keepalive_if_required()
        head = [b"GET " + self.url + b" HTTP/1.1"]
        head += [name + b": " + value for name, value in self.scope["headers"]]
        self._upgrade(self.transport, self._slot, b"\r\n".join(head) + hs.HEAD_END)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._head_done()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self._slot.give_back()

    def drop_if_stalled(self) -> None:
        """Called now and then: drop a peer that has taken nothing since the last time."""
        waiting = self.transport.get_write_buffer_size()
        unsent = (waiting, _unacknowledged(self.transport) if waiting else 0)
        if waiting and unsent == self._unsent:
            self.transport.abort()
        self._unsent = unsent

    def _should_upgrade_to_ws(self) -> bool:
        return True

    def _head_done(self) -> None:
        self._head_bytes = -1
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_too_slow(self) -> None:
        if not self.transport.is_closing():
            self._status = 408
            self.send_400_response("the request came too slowly")


def _unacknowledged(transport: asyncio.Transport) -> int:
    """Bytes that the kernel holds for the peer. A slow peer may empty megabytes of them before
    the kernel takes anything new, so our own buffer alone does not show that it is alive."""
    sock = transport.get_extra_info("socket")
    try:
        answer = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
    except OSError:  # a system that does not tell
        return 0
    return int.from_bytes(answer, sys.byteorder)


class HttpServer:
    """Makes the protocol objects, and keeps what they share."""

    def __init__(self, app: Callable[..., object], *, head_s: float) -> None:
        """`app` is an ASGI application; its lifespan is not run."""
        self._config = uvicorn.Config(
            app,
            http=BoundedHttp,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,  # the application decides which proxy it believes
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
        )
        self._config.load()
        self._state = ServerState()
        self._head_s = head_s
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def start(self) -> None:
        """Begin to look after connections."""
        self._keep_date()
        self._look_for_stalled()

    def _keep_date(self) -> None:
        self._state.default_headers = [(b"date", formatdate(usegmt=True).encode())]
        self._timers["date"] = asyncio.get_running_loop().call_later(1, self._keep_date)

    def _look_for_stalled(self) -> None:
        for connection in list(self._state.connections):
            if isinstance(connection, BoundedHttp):
                connection.drop_if_stalled()
        loop = asyncio.get_running_loop()
        self._timers["stalled"] = loop.call_later(STALL_S, self._look_for_stalled)

    def protocol(self, slot: Slot, upgrade: Upgrader) -> BoundedHttp:
        """For one connection."""
        return BoundedHttp(self._config, self._state, slot, self._head_s, upgrade)

    def finish(self) -> None:
        """Close idle connections; the others close with the answer they are at."""
        for connection in list(self._state.connections):
            connection.shutdown()
        for timer in self._timers.values():
            timer.cancel()

    def cut(self) -> None:
        """Drop what is left."""
        for connection in list(self._state.connections):
            connection.transport.abort()
        for task in list(self._state.tasks):
            task.cancel()
