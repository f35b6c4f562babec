"""Sessions over long-polling: `POST /v1/poll` and the requests that follow it.

For networks that let nothing through but whole answers. The server's messages are numbered from
1; `GET …?after=N` says that all up to N have come, waits for more and brings them. What was
not said to have come is brought again, so an answer that a proxy lost is not a loss.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hongyan.config import Receivers
from hongyan.model.errors import BadArgs, Overloaded
from hongyan.transport.audited import OWN
from hongyan.transport.declare import Doc, Param
from hongyan.transport.eventstream import wait_with
from hongyan.transport.httplink import Gateway, HttpLink, gone_answer, take_up, whole
from hongyan.transport.requests import Requests, json_answer, route
from hongyan.transport.streams import MESSAGE

WAIT_S = 25  # of a poll that does not say


class Messages(msgspec.Struct):
    """The answer to a poll. `next` is the `after` of the next one."""

    next: int
    messages: list[msgspec.Raw]


class Opened(msgspec.Struct):
    """The answer to a hello."""

    session: str
    next: int
    messages: list[msgspec.Raw]


class PollLink(HttpLink):
    """A session whose messages are kept until the client says that they came."""

    def __init__(self, ip: str, patience_s: float, ended: Callable[[], None]) -> None:
        """Nobody asking for `patience_s` ends the session; `ended` is called then."""
        super().__init__(ip)
        self._patience_s = patience_s
        self._ended = ended
        self._kept: deque[bytes] = deque()
        self._size = 0
        self.first = 0  # number of the last message that was said to have come
        self._asking = 0
        self._turn = 0  # of the newest poll: an older one need not wait any more
        self._timer: asyncio.TimerHandle | None = None

    @property
    def last(self) -> int:
        """The number of the newest message."""
        return self.first + len(self._kept)

    def keep(self, message: bytes) -> int:
        """See HttpLink."""
        self._kept.append(message)
        self._size += len(message)
        return self._size

    def lost(self) -> None:
        """The session is over."""
        super().lost()
        if self._timer is not None:
            self._timer.cancel()

    def came(self, upto: int) -> None:
        """The client has all messages up to this number.

        Raises:
            BadArgs: it cannot, or has said more before.
        """
        if not self.first <= upto <= self.last:
            raise BadArgs(f"after: from {self.first} to {self.last}, not {upto}")
        for _ in range(upto - self.first):
            self._size -= len(self._kept.popleft())
        self.first = upto
        self.taken(self._size)

    async def poll(self, request: Request, after: int, seconds: float) -> list[msgspec.Raw]:
        """Messages after `after`; waits for the first one. A newer poll ends this one's wait."""
        self.came(after)
        self._turn += 1
        turn = self._turn
        self.wake.set()  # an older poll
        self.rest(asking=1)
        try:
            await asyncio.sleep(0)  # what waits in the session's queue is written now
            if not self._kept and not self.closed:
                await self._wait(request, turn, seconds)
        finally:
            self.rest(asking=-1)
        return [] if self.first != after else self.messages()

    async def _wait(self, request: Request, turn: int, seconds: float) -> None:
        end = asyncio.get_running_loop().time() + seconds
        while not self._kept and not self.closed and turn == self._turn:
            left = end - asyncio.get_running_loop().time()
            self.wake.clear()
            if left <= 0 or not await wait_with(request, self.wake, left):
                return

    def messages(self) -> list[msgspec.Raw]:
        """All that are kept."""
        return [msgspec.Raw(message) for message in self._kept]

    def rest(self, asking: int = 0) -> None:
        """A poll begins (1) or ends (-1): while there is none, the patience runs."""
        self._asking += asking
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if not self._asking:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._patience_s, self._ended)


class PollRoutes:
    """The handlers."""

    def __init__(
        self, requests: Requests, gateway: Gateway, settings: Receivers, heartbeat_s: float
    ) -> None:
        """A session that is not polled for two heartbeats is over."""
        self._requests, self._gateway = requests, gateway
        self._most = settings.polls
        self._wait_s = settings.wait_ms / 1000
        self._patience_s = 2 * heartbeat_s
        self._links: dict[str, PollLink] = {}
        self._opening = 0

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            route("/v1/poll", "POST", self.open, _OPEN, audit=OWN),
            route("/v1/poll/{session}", "POST", self.send, _SEND, audit=OWN),
            route("/v1/poll/{session}", "GET", self.poll, _POLL),
        ]

    async def open(self, request: Request) -> Response:
        """Say hello; the answer brings the first messages, or the refusal of the hello."""
        hello = await self._requests.read(request)
        if len(self._links) + self._opening >= self._most:
            raise Overloaded("too many polled sessions", retry_after_ms=5000)

        def ended() -> None:
            self._links.pop(link.session, None)
            link.lost()

        link = PollLink(self._requests.ip(request), self._patience_s, ended)
        self._opening += 1
        try:
            session = await link.open(self._gateway, hello)
        finally:
            self._opening -= 1
        self._links[session] = link
        link.rest()
        return json_answer(Opened(session, link.last, link.messages()))

    async def send(self, request: Request) -> Response:
        """Take a message of the client; what it causes comes with a poll."""
        return await take_up(self._requests, request, self._links)

    async def poll(self, request: Request) -> Response:
        """Messages after a number, waited for."""
        link = self._links.get(request.path_params["session"])
        if link is None:
            return gone_answer()
        after = whole(request, "after", link.first)
        seconds = min(whole(request, "wait", WAIT_S), self._wait_s)
        messages = await link.poll(request, after, seconds)
        if link.closed and not messages and after == link.last:
            self._links.pop(link.session, None)  # the goodbye came, so it is known to be over
            link.lost()
            return gone_answer()
        return json_answer(Messages(after + len(messages), messages))


_SESSION = Param("session", "as the answer to the hello says")
_OPEN = Doc(
    summary="Open a session by long-polling",
    tag="sessions",
    text="The body is a message whose frame is `hello`. The answer's messages are those of a "
    "WebSocket; the first brings `welcome`. A refused hello is answered as a problem.",
    access="open",
    body=dict,
    answer=Opened,
    errors=(401, 403, 413, 503),
)
_SEND = Doc(
    summary="Send a message of a polled session",
    tag="sessions",
    text=f"{MESSAGE}. What it causes comes with a poll. 410: the session is over, say hello.",
    access="open",
    params=(
        _SESSION,
        Param("n", "number of the message, from 1: a repeated one is taken once", int),
    ),
    body=dict | list,
    status=202,
    errors=(410, 413),
)
_POLL = Doc(
    summary="Wait for messages of a polled session",
    tag="sessions",
    text="Messages up to `after` are forgotten; those after it come, again if need be. "
    "410: the session is over, say hello.",
    access="open",
    params=(
        _SESSION,
        Param("after", "`next` of the answer before", int),
        Param("wait", "seconds to wait for the first message", int),
    ),
    answer=Messages,
    errors=(410,),
)
