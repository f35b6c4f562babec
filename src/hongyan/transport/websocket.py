"""One WebSocket connection on picows: the engine's `Link`, and RFC 6455 completed around it.

picows calls back for every frame; its memory is gone when the callback returns, so a payload is
copied at once. No callback raises. What bounds memory: a message has at most `message_bytes`; a
peer that does not take what we send is not read from either, so it can cause no more answers;
control frames and empty fragments spend from a budget; after a close everything is thrown away,
up to a bound, until the peer closes too or the time for that is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from http import HTTPStatus
from typing import Protocol

import msgspec
import structlog
from picows import (
    WSAutoPingStrategy,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
)

from hongyan.model.errors import Refusal
from hongyan.transport import messages as ws
from hongyan.transport.framewise import QUIET, Framewise
from hongyan.transport.handshake import Upgrade
from hongyan.wire.codec import Codec

log = structlog.get_logger(__name__)

WS_PATH = "/v1/ws"
HIGH_WATER = 64 * 1024  # bytes the peer has not taken, above which nothing is read from it
GRACE_S = 0.05  # from a close frame for a fault to the end of TLS
DISCARD = 1024 * 1024  # bytes read and thrown away while we wait for the peer's close
CONTROL_BURST, CONTROL_RATE = 256.0, 32.0  # control frames and empty fragments: at once, per second
COPIED = 8192  # bytes: picows copies a message up to this, with its header
READ_BUFFER = 2048  # what every idle connection pays; picows doubles it when it fills


class Peer(Protocol):
    """The engine's side of a connection; its methods never wait."""

    def received(self, message: bytes) -> None:
        """One whole message."""
        ...

    def writable(self, ok: bool) -> None:
        """False: more than HIGH_WATER bytes wait, stop writing; True: go on."""
        ...

    def lost(self) -> None:
        """The connection is gone; called exactly once, last."""
        ...


class Gateway(Protocol):
    """The engine's entry for connections."""

    def accept(self, link: WebSocketLink, codec: Codec) -> Peer:
        """Take a connection in; Refusal (Overloaded) to send it away."""
        ...


class Terms(msgspec.Struct, frozen=True, gc=False):
    """What connections of one endpoint are held to."""

    message_bytes: int = 64 * 1024
    close_timeout_s: float = 5.0  # from our close frame to the end of patience
    control_burst: float = CONTROL_BURST


class Connection(WSListener):
    """What every WebSocket here does; a subclass says what becomes of messages.

    `gone` is called exactly once when the connection is lost, after `ended`.
    """

    def __init__(self, ip: str, terms: Terms) -> None:
        """Before the handshake is answered; the transport comes with `on_ws_connected`."""
        self.ip = ip
        self.gone: Callable[[], None] = _nothing
        self._terms = terms
        self._messages = ws.Messages(terms.message_bytes)
        self._loop = asyncio.get_running_loop()
        self._transport: WSTransport | None = None
        self._closing = False  # a close frame was sent, or TCP is being closed
        self._timer: asyncio.TimerHandle | None = None
        self._discarded = 0
        self._budget, self._budget_at = terms.control_burst, self._loop.time()

    # --- for a subclass ---------------------------------------------------------------------

    def opened(self) -> None:
        """The handshake is done; writing is allowed from here on."""

    def message(self, kind: int, data: bytes) -> None:
        """A whole message (TEXT or BINARY); may raise Violation to close."""

    def flow(self, ok: bool) -> None:
        """The peer is slow (False), or takes data again (True)."""

    def ended(self) -> None:
        """The connection is lost."""

    # --- Link -------------------------------------------------------------------------------

    def close(self, code: int, reason: str) -> None:
        """Send a close frame, wait for the peer's; at most `close_timeout_s`. Idempotent."""
        if self._closing or self._transport is None:
            return
        self._closing = True
        self._transport.send_close(code, ws.reason_bytes(reason))  # type: ignore[arg-type]
        self._wait_for_end(self._transport)

    def fail(self, code: int, reason: str) -> None:
        """Close when the stream cannot be trusted: say so, then no more, and read no more of it.

        The end of our side comes at once, the peer's bytes are still taken: a socket that is
        closed with bytes unread resets, and the peer may never see why.
        """
        self.close(code, reason)
        transport = self._transport
        if transport is None or transport.underlying_transport.is_closing():
            return
        if transport.underlying_transport.can_write_eof():
            transport.underlying_transport.write_eof()
        else:  # TLS has no half of a connection
            self._loop.call_later(GRACE_S, transport.disconnect)

    def ahead(self, start: bytes) -> ws.TextAhead | None:
        """What judges the text of a frame that begins with `start` while it comes."""
        return None if self._closing else self._messages.ahead(start)

    def send(self, kind: WSMsgType, message: bytes) -> None:
        """Write one message. After the handshake.

        picows leaves the header of a longer message in a buffer that its next one overwrites,
        while the event loop may still have to send it. So such a header is made here.
        """
        transport = self._transport
        assert transport is not None
        if len(message) <= COPIED:
            transport.send(kind, message)
        elif not transport.is_close_frame_sent and not transport.is_disconnected:
            transport.underlying_transport.writelines(
                (ws.header(kind.value, len(message)), message)
            )

    def abort(self) -> None:
        """Drop the connection at once; what was not sent is lost."""
        if self._transport is not None:
            self._closing = True
            self._transport.disconnect(False)

    # --- picows -----------------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        """picows answered the handshake."""
        self._transport = transport
        transport.underlying_transport.set_write_buffer_limits(high=HIGH_WATER)
        self._guarded(self.opened)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """One frame, valid by itself."""
        kind: int = frame.msg_type  # type: ignore[assignment]  # an IntEnum, whatever its stub says
        if self._closing or transport.is_close_frame_sent:  # the latter: picows found a fault
            self._discard(transport, kind, frame)
            return
        try:
            data = frame.get_payload_as_bytes()
            if kind > ws.BINARY:
                self._control(transport, kind, data)
                return
            if not data and not frame.fin:
                self._spend()  # an empty fragment keeps the server busy for nothing
            whole = self._messages.feed(kind, frame.fin, data)
            if whole is not None:
                self.message(whole[0], whole[1])
        except ws.Violation as why:
            self.close(why.code, why.reason)
        except Exception:
            log.exception("a connection failed")
            self.close(ws.INTERNAL, "")

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """TCP is gone, whoever closed it."""
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        self._guarded(self.ended)
        self._guarded(self.gone)

    def pause_writing(self) -> None:
        """The peer does not take what we send: stop writing, and stop reading from it."""
        if self._transport is not None and not self._closing:
            self._transport.underlying_transport.pause_reading()
            self._guarded(self.flow, False)

    def resume_writing(self) -> None:
        """It takes data again."""
        if self._transport is not None:
            self._transport.underlying_transport.resume_reading()
            if not self._closing:
                self._guarded(self.flow, True)

    # --- inside -----------------------------------------------------------------------------

    def _control(self, transport: WSTransport, kind: int, data: bytes) -> None:
        self._spend()
        if kind == ws.PING:
            transport.send_pong(data)
        elif kind == ws.CLOSE:
            try:
                code = ws.close_code(data)
            except ws.Violation as why:
                self.close(why.code, why.reason)
                transport.disconnect()  # it has closed: nothing else is to come
                return
            self._closing = True
            answer = ws.NORMAL if code == ws.NO_STATUS else code
            transport.send_close(answer)  # type: ignore[arg-type]
            transport.disconnect()
            self._wait_for_end(transport)

    def _spend(self) -> None:
        """Pay for a frame that carries nothing; the budget fills up by itself."""
        now = self._loop.time()
        filled = self._budget + (now - self._budget_at) * CONTROL_RATE
        self._budget, self._budget_at = min(self._terms.control_burst, filled) - 1, now
        if self._budget < 0:
            raise ws.Violation(ws.POLICY, "too many control frames")

    def _discard(self, transport: WSTransport, kind: int, frame: WSFrame) -> None:
        """After our close only the peer's close matters."""
        self._discarded += frame.payload_size + 2
        if kind == ws.CLOSE:
            transport.disconnect()
        elif self._discarded > DISCARD:
            transport.disconnect(False)

    def _wait_for_end(self, transport: WSTransport) -> None:
        """Drop the connection if it is not gone in time, also when it takes nothing any more."""
        if self._timer is None:
            patience = self._terms.close_timeout_s
            self._timer = self._loop.call_later(patience, transport.disconnect, False)

    def _guarded(self, call: Callable[..., None], *args: object) -> None:
        """Call into the engine; its faults end this connection only."""
        try:
            call(*args)
        except Exception:
            log.exception("a connection failed")
            self.close(ws.INTERNAL, "")


class WebSocketLink(Connection):
    """A connection of the service: text or binary messages, as its codec says."""

    def __init__(self, ip: str, terms: Terms, gateway: Gateway, codec: Codec) -> None:
        """The gateway is asked once the handshake is done."""
        super().__init__(ip, terms)
        self._gateway = gateway
        self._codec = codec
        self._kind = ws.BINARY if codec.binary else ws.TEXT
        self._send_as = WSMsgType.BINARY if codec.binary else WSMsgType.TEXT
        self._peer: Peer | None = None

    def write(self, message: bytes) -> None:
        """Send one message; never waits. Ignored after a close.

        May call `Peer.writable(False)` before it returns. `message` is not kept.
        """
        transport = self._transport
        if transport is None or self._closing:
            return
        if len(message) <= COPIED:  # hot: all but a few
            transport.send(self._send_as, message)
        else:
            self.send(self._send_as, message)

    def opened(self) -> None:
        """Ask the engine; an overloaded one sends the client away for now."""
        try:
            self._peer = self._gateway.accept(self, self._codec)
        except Refusal as why:
            self.close(ws.TRY_LATER, why.text)

    def message(self, kind: int, data: bytes) -> None:
        """Hand a message to the engine."""
        if kind != self._kind:
            wanted = "binary" if self._codec.binary else "text"
            raise ws.Violation(ws.WRONG_KIND, f"{self._codec.name} travels in {wanted} messages")
        if self._peer is not None:
            self._peer.received(data)

    def flow(self, ok: bool) -> None:
        """Tell the engine."""
        if self._peer is not None:
            self._peer.writable(ok)

    def ended(self) -> None:
        """Tell the engine, once."""
        peer, self._peer = self._peer, None
        if peer is not None:
            peer.lost()


class Endpoint(Protocol):
    """What is mounted at a WebSocket path. `path` "" takes every path."""

    path: str
    subprotocols: Collection[str]
    terms: Terms

    def connection(self, upgrade: Upgrade) -> Connection:
        """A connection for an accepted handshake; never waits."""
        ...


class GatewayEndpoint:
    """The service itself at `/v1/ws`. Without a subprotocol JSON is spoken."""

    path = WS_PATH

    def __init__(self, gateway: Gateway, codecs: Mapping[str, Codec], terms: Terms) -> None:
        """`codecs` by subprotocol; the first is the default."""
        self.terms = terms
        self.subprotocols: Collection[str] = codecs.keys()
        self._gateway = gateway
        self._codecs = codecs
        self._default = next(iter(codecs.values()))

    def connection(self, upgrade: Upgrade) -> WebSocketLink:
        """A link whose codec is what was agreed on."""
        codec = self._codecs.get(upgrade.subprotocol, self._default)
        return WebSocketLink(upgrade.ip, self.terms, self._gateway, codec)


def picows_protocol(upgrade: Upgrade, connection: Connection, terms: Terms) -> Framewise:
    """picows' server protocol for an accepted handshake; feed it `replay(upgrade)` first.

    Arguments by position, as picows' own `ws_create_server` gives them; a test pins them.
    """

    def answer(_: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
        extra = [("Sec-WebSocket-Protocol", upgrade.subprotocol)] if upgrade.subprotocol else None
        response: WSUpgradeResponse = WSUpgradeResponse.create_101_response(extra)
        assert response.status is HTTPStatus.SWITCHING_PROTOCOLS
        return WSUpgradeResponseWithListener(response, connection)

    return Framewise(
        connection,
        terms.message_bytes,
        len(replay(upgrade)),
        None,  # host and port: of a client
        None,  # path: of a client
        False,  # is a client
        answer,
        QUIET,
        True,  # disconnect on an exception: only a backstop, no callback here raises
        None,  # handshake timeout: the head has already come
        False,  # automatic ping: the session's heartbeat finds dead peers
        20.0,
        20.0,
        WSAutoPingStrategy.PING_WHEN_IDLE,
        False,  # automatic pong: it would not know a budget
        terms.message_bytes,
        None,  # extra headers: of a client
        READ_BUFFER,
    )


def replay(upgrade: Upgrade) -> bytes:
    """The accepted handshake as picows reads it: only what it checks, in the one form it knows.

    picows refuses `Connection: keep-alive, Upgrade`, which Firefox sends, and keeps the request
    as long as the connection lives, so it gets a small one.
    """
    return (
        "GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {upgrade.key}\r\n\r\n"
    ).encode("ascii")


def _nothing() -> None:
    """No one waits for the end."""
