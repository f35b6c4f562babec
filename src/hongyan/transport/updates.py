"""`GET /v1/events` and `/v1/updates`: a user's entries, resumed by cursor, without a session.

For back ends with `curl`, and for a browser's EventSource. Both give the same entries under the
same cursors, so a client may go from one to the other at any moment.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections import OrderedDict
from collections.abc import AsyncGenerator
from typing import Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hongyan.config import Config
from hongyan.engine.auth import Identity
from hongyan.engine.updates import NOW, Batch, Receiver, Updates, cursor_at
from hongyan.model.errors import BadArgs, Refusal, Unauthenticated
from hongyan.model.ids import LogId
from hongyan.model.log import Entry
from hongyan.transport.audited import OWN
from hongyan.transport.declare import Doc, Param
from hongyan.transport.eventstream import COMMENT, STREAM_TYPE, EventStream, event, wait_with
from hongyan.transport.httplink import whole
from hongyan.transport.polls import WAIT_S
from hongyan.transport.requests import Requests, bearer, json_answer, route

LIMIT = 100  # entries of an answer that does not say
RETRY_MS = (1000, 3000)  # when a browser comes back: spread, so that not all come at once
MOST_TICKETS = 10_000
TICKETS_OF_ONE = 32  # of one user; the oldest goes
CURSOR = "cursor"  # the event that moves the cursor and brings nothing
ON_BEHALF = "hongyan-user"

_encode = msgspec.json.Encoder().encode


class Gateway(Protocol):
    """The engine's side."""

    updates: Updates


class Update(msgspec.Struct):
    """One entry and where it stands: (log, entry.seq) is its identity."""

    log: LogId
    entry: Entry


class UpdatesAnswer(msgspec.Struct):
    """The answer of a long-poll. `more`: ask again without waiting."""

    cursor: str
    entries: list[Update]
    more: bool


class Ticket(msgspec.Struct):
    """For clients that cannot send a header; good once, until `expires_at` (ms)."""

    ticket: str
    expires_at: int


class Credential(msgspec.Struct, frozen=True):
    """What a request was let in by; asked again while its answer lasts."""

    token: str
    on_behalf: str


class Tickets:
    """The tickets that are out. In memory: one that a restart swallowed is fetched again."""

    def __init__(self, seconds: float) -> None:
        """Each is good for `seconds`."""
        self._seconds = seconds
        self._out: OrderedDict[str, tuple[str, float, Credential]] = OrderedDict()
        self._of: dict[str, dict[str, None]] = {}  # by user, oldest first

    def give(self, user: str, credential: Credential, now: float) -> str:
        """A new ticket; that of the longest ago is dropped when there are too many."""
        while self._out:
            first = next(iter(self._out))
            if len(self._out) < MOST_TICKETS and self._out[first][1] > now:
                break
            self._drop(first)
        mine = self._of.get(user, {})
        if len(mine) >= TICKETS_OF_ONE:
            self._drop(next(iter(mine)))
        ticket = secrets.token_urlsafe(24)
        self._out[ticket] = (user, now + self._seconds, credential)
        self._of.setdefault(user, {})[ticket] = None
        return ticket

    def take(self, ticket: str, now: float) -> Credential:
        """What it stands for, once. Raises Unauthenticated."""
        found = self._drop(ticket)
        if found is None or found[1] <= now:
            raise Unauthenticated("the ticket was used, has expired or never was: get a new one")
        return found[2]

    def _drop(self, ticket: str) -> tuple[str, float, Credential] | None:
        found = self._out.pop(ticket, None)
        if found is not None:
            mine = self._of[found[0]]
            del mine[ticket]
            if not mine:
                del self._of[found[0]]
        return found


class UpdateRoutes:
    """The handlers."""

    def __init__(self, requests: Requests, gateway: Gateway, config: Config) -> None:
        """Who may ask is for the gateway to say."""
        self._requests, self._updates = requests, gateway.updates
        self._most = config.limits.page
        self._comment_s = config.receivers.comment_ms / 1000
        self._wait_s = config.receivers.wait_ms / 1000
        self._ticket_ms = config.receivers.ticket_ms
        self._tickets = Tickets(self._ticket_ms / 1000)

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            route("/v1/events", "GET", self.events, _EVENTS),
            route("/v1/events/ticket", "POST", self.ticket, _TICKET, audit=OWN),
            route("/v1/updates", "GET", self.updates, _UPDATES),
        ]

    async def ticket(self, request: Request) -> Response:
        """A ticket for `/v1/events` in the name of whoever asks."""
        credential = _credential(request)
        who = await self._identity(credential)
        caller = self._updates.receiver(who, self._requests.ip(request)).caller
        ticket = self._tickets.give(caller.key, credential, _now())
        return json_answer(Ticket(ticket, self._updates.clock.now_ms() + self._ticket_ms), 201)

    async def updates(self, request: Request) -> Response:
        """Entries after a cursor, waited for. Without a cursor: the present one, at once."""
        who = await self._identity(_credential(request))
        limit = whole(request, "limit", min(LIMIT, self._most))
        if not 1 <= limit <= self._most:
            raise BadArgs(f"limit: 1 to {self._most}")
        seconds = min(whole(request, "wait", WAIT_S), self._wait_s)
        start = _start(request)
        with self._updates.receiver(who, self._requests.ip(request)) as receiver:
            await receiver.start(start, request.query_params.get("log", ""))
            batch = await receiver.next(limit)
            end = asyncio.get_running_loop().time() + seconds
            while not batch.items and not batch.more and start != NOW and not receiver.ended:
                left = end - asyncio.get_running_loop().time()
                if left <= 0 or not await wait_with(request, receiver.woken, left):
                    break
                batch = await receiver.next(limit)
        entries = [Update(item.log, item.entry) for item in batch.items]
        return json_answer(UpdatesAnswer(batch.cursor, entries, batch.more))

    async def events(self, request: Request) -> Response:
        """Entries after a cursor as server-sent events; the id of an event is its cursor."""
        ticket = request.query_params.get("ticket", "")
        credential = self._tickets.take(ticket, _now()) if ticket else _credential(request)
        who = await self._identity(credential)
        receiver = self._updates.receiver(who, self._requests.ip(request))
        receiver.__enter__()  # left by `ended`
        try:
            await receiver.start(_start(request), request.query_params.get("log", ""))
        except BaseException:
            receiver.__exit__(None, None, None)
            raise

        def ended() -> None:
            receiver.__exit__(None, None, None)

        return EventStream(self._pieces(receiver, credential), ended)

    async def _pieces(
        self, receiver: Receiver, credential: Credential
    ) -> AsyncGenerator[bytes, None]:
        """What the stream sends, until the server closes or the client may not be here any more.

        A client that loses the stream comes back with the last id; so what ends it is not told.
        """
        clock = asyncio.get_running_loop().time
        yield f"retry: {random.randint(*RETRY_MS)}\n".encode() + _moved(receiver.cursor)
        told, look_at = receiver.cursor, clock() + self._comment_s
        while not receiver.ended:
            try:
                batch = await receiver.next(self._most)
                if clock() >= look_at:
                    await self._identity(credential)
                    look_at = clock() + self._comment_s
            except Refusal:
                return
            if batch.items:
                yield _events(batch)
                told = cursor_at(batch.items[-1].pos)
            if not batch.more and not await receiver.wait(self._comment_s):
                yield COMMENT if receiver.cursor == told else _moved(receiver.cursor)
                told = receiver.cursor

    async def _identity(self, credential: Credential) -> Identity:
        auth = self._requests.auth
        who = await auth.authenticate(credential.token)
        return await auth.act_as(who, credential.on_behalf) if credential.on_behalf else who


def _start(request: Request) -> str:
    """Where to begin. A browser that comes back says it in a header, whatever its URL says."""
    cursor = request.headers.get("last-event-id", "") or request.query_params.get("cursor", "")
    if cursor:
        return cursor
    after = request.query_params.get("after")
    if after is None:
        return NOW
    if after != "0":
        raise BadArgs("after: 0, for the beginning; any other place is a cursor")
    return cursor_at(0)


def _credential(request: Request) -> Credential:
    token = bearer(request)
    if not token:
        raise Unauthenticated("the header Authorization: Bearer <token> is needed")
    return Credential(token, request.headers.get(ON_BEHALF, ""))


def _events(batch: Batch) -> bytes:
    return b"".join([event(_encode(Update(i.log, i.entry)), cursor_at(i.pos)) for i in batch.items])


def _moved(cursor: str) -> bytes:
    """An event for no message handler, so that also a client that got no entry has a cursor."""
    return f"event: {CURSOR}\n".encode() + event(_encode({"cursor": cursor}), cursor)


def _now() -> float:
    return asyncio.get_running_loop().time()


_WHERE = (
    Param("cursor", "behind the last entry that came; without one: what comes from now on"),
    Param("after", "0: from the beginning, where there is no cursor", int),
    Param("log", "entries of this log only"),
)
_EVENTS = Doc(
    summary="Receive entries as server-sent events",
    tag="receivers",
    text="Every entry the user may read, in commit order. The id of an event is its cursor; "
    "`Last-Event-ID` resumes behind it. An event named `cursor` only moves the cursor.",
    access="user",
    scopes=("read",),
    params=(
        *_WHERE,
        Param("ticket", "of `POST /v1/events/ticket`, instead of a token"),
        Param("Last-Event-ID", "goes before `cursor`", place="header"),
    ),
    answer=str,
    answer_media=STREAM_TYPE,
    errors=(404, 503),
)
_TICKET = Doc(
    summary="Get a ticket for /v1/events",
    tag="receivers",
    text="For an EventSource, which cannot send a token. Good for one request within "
    "`receivers.ticket_ms`.",
    access="user",
    scopes=("read",),
    answer=Ticket,
    status=201,
)
_UPDATES = Doc(
    summary="Receive entries by long-polling",
    tag="receivers",
    text="The entries of `/v1/events` under the same cursors. Without a cursor the present one "
    "is answered at once; keep the `cursor` of the last answer you have handled.",
    access="user",
    scopes=("read",),
    params=(
        *_WHERE,
        Param("wait", "seconds to wait for the first entry", int),
        Param("limit", "entries of the answer", int),
    ),
    answer=UpdatesAnswer,
    errors=(404, 503),
)
