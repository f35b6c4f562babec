"""One WebSocket connection to a server, over picows."""

from __future__ import annotations

import asyncio
import ssl as ssl_module
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

from picows import WSCloseCode, WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

CONNECT_S = 10.0
MAX_MESSAGE = 16 * 1024 * 1024  # of the server; a page of 100 entries of 64 KiB fits
WS_PATH = "/v1/ws"

# What connecting may raise for reasons outside this program.
CONNECT_ERRORS = (OSError, WSError, TimeoutError)


def ws_url(url: str) -> str:
    """The WebSocket address of a server that is named by any of `http`, `https`, `ws`, `wss`.

    Without a path the service's own is taken.
    """
    parts = urlsplit(url)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    path = WS_PATH if parts.path in ("", "/") else parts.path
    return urlunsplit((scheme, parts.netloc, path, parts.query, ""))


class Link(WSListener):
    """Whole messages in and out. `received` is called on the loop for each one."""

    def __init__(self, received: Callable[[bytes], None], *, binary: bool) -> None:
        """`binary` says which kind of message is sent."""
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.writable = True
        self._received = received
        self._kind = WSMsgType.BINARY if binary else WSMsgType.TEXT
        self._transport: WSTransport | None = None
        self._pieces: list[bytes] = []
        self._size = 0
        self._why = "the connection was lost"

    def write(self, message: bytes) -> None:
        """Send one message; never waits. What is written after the loss goes nowhere."""
        if self._transport is not None:
            self._transport.send(self._kind, message)

    def close(self, why: str) -> None:
        """Close in good order; `lost` follows. Idempotent."""
        self._end(why, WSCloseCode.OK)

    def abort(self, why: str) -> None:
        """Drop the connection at once: the peer is not heard any more."""
        self._why = why
        if self._transport is not None:
            self._transport.disconnect(False)

    # --- called by picows -----------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The handshake is done."""
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Put fragments together; hand whole messages on."""
        kind = frame.msg_type
        if kind is WSMsgType.CLOSE:
            reason = frame.get_close_message()
            text = reason.decode(errors="replace") if reason else ""
            self._end(f"closed by the server ({text})", frame.get_close_code())
        elif kind in (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION):
            data = frame.get_payload_as_bytes()
            if not frame.fin or self._pieces:
                self._pieces.append(data)
                self._size += len(data)
                if self._size > MAX_MESSAGE:
                    self._end("a message was too big", WSCloseCode.MESSAGE_TOO_BIG)
                    return
                if not frame.fin:
                    return
                data, self._size = b"".join(self._pieces), 0
                self._pieces.clear()
            self._received(data)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The socket is gone."""
        self._transport = None
        if not self.lost.done():
            self.lost.set_result(self._why)

    def pause_writing(self) -> None:
        """The socket takes no more for now."""
        self.writable = False

    def resume_writing(self) -> None:
        """It does again; the next message that arrives or falls due goes out."""
        self.writable = True

    def _end(self, why: str, code: WSCloseCode) -> None:
        if self._transport is not None:
            self._why = why
            self._transport.send_close(code)
            self._transport.disconnect()


async def connect(
    url: str,
    received: Callable[[bytes], None],
    *,
    subprotocol: str,
    binary: bool,
    ssl: ssl_module.SSLContext | None,
) -> Link:
    """Open a connection within 10 s.

    Raises:
        OSError, WSError, TimeoutError: there is none; try again later.
    """
    async with asyncio.timeout(CONNECT_S):
        _, link = await ws_connect(
            lambda: Link(received, binary=binary),
            ws_url(url),
            ssl_context=ssl,
            max_frame_size=MAX_MESSAGE,
            extra_headers={"Sec-WebSocket-Protocol": subprotocol},
        )
    assert isinstance(link, Link)
    return link
