"""A session without a WebSocket: the engine's `Link`, carried by plain HTTP requests.

The same messages as over a WebSocket, JSON only. The client's come as bodies of POST requests,
the server's go as the transport says (`streams`, `polls`). A link is found by the `session` of
its welcome, which nobody can guess.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from hongyan.model.errors import BadArgs, GoingAway, Refusal
from hongyan.transport.problem import plain_problem
from hongyan.transport.requests import HEADERS, Requests, problem_answer
from hongyan.wire.codec import Codec, JsonCodec

HIGH_WATER = 64 * 1024  # bytes that the client has not taken, above which the engine waits
SESSION = "Hongyan-Session"


class Peer(Protocol):
    """The engine's side of a connection; its methods never wait."""

    def received(self, message: bytes) -> None:
        """One whole message."""
        ...

    def writable(self, ok: bool) -> None:
        """False: stop writing; True: go on."""
        ...

    def lost(self) -> None:
        """The connection is gone; called exactly once, last."""
        ...


class Gateway(Protocol):
    """The engine's entry for connections."""

    def accept(self, link: HttpLink, codec: Codec) -> Peer:
        """Take a connection in; Refusal (Overloaded, GoingAway) to send it away."""
        ...


class HttpLink:
    """What streams and polls share: how a session opens, what comes up, how it ends."""

    def __init__(self, ip: str) -> None:
        """`open` comes next."""
        self.ip = ip
        self.session = ""
        self.closed = False  # the engine has said its last word
        self.wake = asyncio.Event()  # something was written, or the link was closed
        self._peer: Peer | None = None
        self._opened: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._paused = False
        self._came = 0  # number of the client's last message, where it numbers them

    # --- Link -------------------------------------------------------------------------------

    def write(self, message: bytes) -> None:
        """Take one message for the client; never waits. May call `Peer.writable(False)`."""
        if self.closed:
            return
        if not self._opened.done():
            self._judge(message)
        if self.keep(message) > HIGH_WATER and not self._paused and self._peer is not None:
            self._paused = True
            self._peer.writable(False)
        self.wake.set()

    def close(self, code: int, reason: str) -> None:
        """No more will be written; what was written is still to be taken. Idempotent."""
        if not self.closed and not self._opened.done():
            self._opened.set_exception(GoingAway(reason))
        self.closed = True
        self.wake.set()

    # --- for a subclass ---------------------------------------------------------------------

    def keep(self, message: bytes) -> int:
        """Keep a message for the client; the bytes that are kept now."""
        raise NotImplementedError

    def taken(self, left: int) -> None:
        """The client took something, `left` bytes are kept."""
        if self._paused and left <= HIGH_WATER:
            self._paused = False
            if self._peer is not None and not self.closed:
                self._peer.writable(True)

    def lost(self) -> None:
        """Nobody takes anything any more. Idempotent."""
        self.closed = True
        peer, self._peer = self._peer, None
        if peer is not None:
            peer.lost()
        self.wake.set()

    # --- the life of it ---------------------------------------------------------------------

    async def open(self, gateway: Gateway, hello: bytes) -> str:
        """Begin a session with the client's first message; return its id.

        Raises:
            Refusal: the one of the hello. The link is lost.
        """
        self._peer = gateway.accept(self, CODEC)
        try:
            self._peer.received(hello)
            self.session = await self._opened  # the gateway closes what does not open in time
        except BaseException:
            self.lost()
            raise
        return self.session

    def _judge(self, message: bytes) -> None:
        """Look for the word that decides: welcome, or why not."""
        for frame in _frames(message):
            kind = frame.get("t")
            if kind == "welcome":
                self._opened.set_result(str(frame["session"]))
            elif kind == "fail" or kind == "goodbye":
                again = frame.get("retry_after_ms") or frame.get("reconnect_after_ms") or 0
                why = Refusal.by_code.get(frame["code"], Refusal)
                self._opened.set_exception(why(frame["text"], retry_after_ms=max(again, 0)))
            else:
                continue
            return

    def receive(self, message: bytes, number: int) -> None:
        """Take a message of the client, once if it is numbered (from 1; 0 = it is not).

        Raises:
            BadArgs: an earlier message is missing; send that first.
        """
        if number:
            if number <= self._came:
                return  # it had come; its answer was lost
            if number != self._came + 1:
                raise BadArgs(f"n: message {self._came + 1} comes next, not {number}")
            self._came = number
        if self._peer is not None:
            self._peer.received(message)


CODEC = JsonCodec()


def _frames(message: bytes) -> list[dict[str, Any]]:
    decoded: Any = msgspec.json.decode(message)
    return decoded if isinstance(decoded, list) else [decoded]


async def take_up(requests: Requests, request: Request, links: Mapping[str, HttpLink]) -> Response:
    """Answer a POST of the client's next message: 202, or 410 where the session is over."""
    session = request.path_params["session"]
    number = whole(request, "n", 0)
    if session not in links:
        return gone_answer()
    message = await requests.read(request)
    link = links.get(session)
    if link is None or link.closed:
        return gone_answer()
    link.receive(message, number)
    return Response(status_code=202, headers=HEADERS)


def gone_answer() -> Response:
    """The session is not known here, or over."""
    return problem_answer(plain_problem(410, "the session is over: say hello again"))


def whole(request: Request, name: str, missing: int) -> int:
    """A query parameter that is a number from 0."""
    text = request.query_params.get(name)
    if text is None:
        return missing
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise BadArgs(f"{name}: {text[:40]!r} is not a number from 0")
    return int(text)
