"""Sessions over server-sent events: `POST /v1/stream` and what comes up beside it.

One event is one message of the session. The stream is the connection: when it ends, on whichever
side, the session is over and the client says hello again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hongyan.config import Receivers
from hongyan.transport.audited import OWN
from hongyan.transport.declare import Doc, Param
from hongyan.transport.eventstream import COMMENT, STREAM_TYPE, EventStream, event
from hongyan.transport.httplink import SESSION, Gateway, HttpLink, take_up
from hongyan.transport.httpserver import ABORT
from hongyan.transport.requests import Requests, route

CLOSE_S = 5.0  # for a reader to take the rest, before the connection is dropped

MESSAGE = "A message of the session protocol: a frame, or an array of frames"


class StreamLink(HttpLink):
    """A session whose messages wait here until the stream has taken the ones before."""

    def __init__(self, ip: str, comment_s: float, abort: Callable[[], None]) -> None:
        """A comment is sent after `comment_s` of silence; `abort` drops the connection."""
        super().__init__(ip)
        self._comment_s = comment_s
        self._abort = abort
        self._waiting: list[bytes] = []
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None

    def keep(self, message: bytes) -> int:
        """See HttpLink."""
        self._waiting.append(message)
        self._size += len(message)
        return self._size

    def close(self, code: int, reason: str) -> None:
        """See HttpLink; a reader that does not take the rest is dropped."""
        super().close(code, reason)
        if self._timer is None and self.session:
            self._timer = asyncio.get_running_loop().call_later(CLOSE_S, self._abort)

    def lost(self) -> None:
        """The stream has ended."""
        super().lost()
        if self._timer is not None:
            self._timer.cancel()

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """What the stream sends, until the session is closed and everything was given."""
        while True:
            if self._waiting:
                batch, self._waiting, self._size = self._waiting, [], 0
                yield b"".join([event(message) for message in batch])
                self.taken(self._size)  # only now: the reader has room again
            elif self.closed:
                return
            elif not await _set_within(self.wake, self._comment_s):
                yield COMMENT
            self.wake.clear()


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True


class StreamRoutes:
    """The handlers."""

    def __init__(self, requests: Requests, gateway: Gateway, settings: Receivers) -> None:
        """`gateway` judges every hello as it does those of WebSockets."""
        self._requests, self._gateway = requests, gateway
        self._comment_s = settings.comment_ms / 1000
        self._links: dict[str, StreamLink] = {}  # as many as there are streams

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            route("/v1/stream", "POST", self.open, _OPEN, audit=OWN),
            route("/v1/stream/{session}", "POST", self.send, _SEND, audit=OWN),
        ]

    async def open(self, request: Request) -> Response:
        """Say hello; the answer is the stream, or the refusal of the hello."""
        hello = await self._requests.read(request)
        abort = request.scope.get("state", {}).get(ABORT, _cannot)
        link = StreamLink(self._requests.ip(request), self._comment_s, abort)
        session = await link.open(self._gateway, hello)
        self._links[session] = link

        def ended() -> None:
            self._links.pop(session, None)
            link.lost()

        return EventStream(link.pieces(), ended, {SESSION: session})

    async def send(self, request: Request) -> Response:
        """Take a message of the client; what it causes comes down the stream."""
        return await take_up(self._requests, request, self._links)


def _cannot() -> None:
    """A server that cannot drop connections keeps this one until it is taken."""


_OPEN = Doc(
    summary="Open a session as server-sent events",
    tag="sessions",
    text="The body is a message whose frame is `hello`. Each event is one message of the server, "
    "as over a WebSocket; the first brings `welcome`. A refused hello is answered as a problem. "
    "The session ends with the stream.",
    access="open",
    body=dict,
    answer=str,
    answer_media=STREAM_TYPE,
    headers=(SESSION,),
    errors=(401, 403, 413, 503),
)
_SEND = Doc(
    summary="Send a message of a streamed session",
    tag="sessions",
    text=f"{MESSAGE}. What it causes comes down the stream. 410: the session is over, say hello.",
    access="open",
    params=(
        Param("session", "of the welcome"),
        Param("n", "number of the message, from 1: a repeated one is taken once", int),
    ),
    body=dict | list,
    status=202,
    errors=(410, 413),
)
