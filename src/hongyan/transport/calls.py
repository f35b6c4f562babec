"""Calls, entries, the inbox and queries over HTTP, without a connection."""

from __future__ import annotations

from typing import Annotated, Any, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hongyan.engine.auth import Identity
from hongyan.model.errors import BadArgs, BadId
from hongyan.model.ids import LogId, Seq
from hongyan.model.log import Entry
from hongyan.transport.audited import OWN
from hongyan.transport.declare import Count, Doc, Param
from hongyan.transport.requests import HEADERS, Requests, json_answer, route
from hongyan.wire import frames as f

Amount = Annotated[int, msgspec.Meta(ge=1, le=1000)]


class Gateway(Protocol):
    """The engine's entry for single requests; each raises its refusal."""

    @property
    def ready(self) -> bool:
        """Whether calls are taken."""
        ...

    async def call(self, identity: Identity, call: f.Call, ip: str = "") -> f.Ack:
        """Do a call."""
        ...

    async def read(self, identity: Identity, read: f.Read, ip: str = "") -> f.Page:
        """A range of a log."""
        ...

    async def sync(self, identity: Identity, sync: f.Sync, ip: str = "") -> f.InboxPage:
        """Inbox rows."""
        ...

    async def query(self, identity: Identity, query: f.Query, ip: str = "") -> bytes:
        """An answer, as JSON."""
        ...

    async def cursor(self, identity: Identity, cursor: f.Cursor, ip: str = "") -> None:
        """Move cursors; durable on return."""
        ...

    async def signal(self, identity: Identity, signal: f.Signal, ip: str = "") -> None:
        """Tell the other members."""
        ...


class CallRequest(msgspec.Struct):
    """`POST /v1/calls` and `/v1/logs/{log}/calls`; the header Idempotency-Key is the op."""

    name: str
    args: msgspec.Raw = f.EMPTY


class CallAnswer(msgspec.Struct):
    """What an `ack` says. `repeat`: this op had been done before."""

    log: LogId
    seq: Seq
    first: Seq
    at: int
    stage: str
    cls: str
    repeat: bool


class PageAnswer(msgspec.Struct):
    """What a `page` says."""

    log: LogId
    entries: list[Entry]
    amends: list[Entry]
    floor: Seq
    head: Seq
    epoch: int
    more: bool


class CallRoutes:
    """The handlers."""

    def __init__(self, requests: Requests, gateway: Gateway) -> None:
        """Every request goes through the gateway as a frame of a WebSocket would."""
        self._requests, self._gateway = requests, gateway

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            route("/v1/calls", "POST", self.call, CALL, audit=OWN),
            # `path` takes slashes and is greedy, so a log named `…/calls` is found too.
            route("/v1/logs/{log:path}/calls", "POST", self.call, CALL_LOG, audit=OWN),
            route("/v1/logs/{log:path}/entries", "GET", self.entries, ENTRIES),
            route("/v1/sync", "GET", self.sync, SYNC),
            route("/v1/query/{name}", "POST", self.query, QUERY, audit=OWN),
        ]

    async def call(self, request: Request) -> Response:
        """Do a call."""
        who = await self._requests.identity(request)
        body = await self._requests.body(request, CallRequest)
        op = request.headers.get("idempotency-key", "").strip('"')
        if not op:
            raise BadId("the header Idempotency-Key is needed: choose it once per call")
        call = self._requests.frame(
            f.Call,
            t="call",
            name=body.name,
            op=op,
            log=request.path_params.get("log", ""),
            args=body.args,
        )
        ack = await self._gateway.call(who, call, self._requests.ip(request))
        return json_answer(
            CallAnswer(ack.log, ack.seq, ack.first, ack.at, ack.stage, ack.cls, ack.repeat)
        )

    async def entries(self, request: Request) -> Response:
        """A range of a log; the newest entries where none is named."""
        who = await self._requests.identity(request)
        given = numbers(request, "after", "before", "around", "limit")
        if not given.keys() & {"after", "before", "around"}:
            given["before"] = 0
        read = self._requests.frame(f.Read, t="read", log=request.path_params["log"], **given)
        page = await self._gateway.read(who, read, self._requests.ip(request))
        return json_answer(
            PageAnswer(
                page.log,
                page.entries,
                page.amends,
                page.floor,
                page.head,
                page.epoch,
                page.more,
            )
        )

    async def sync(self, request: Request) -> Response:
        """Rows of the inbox."""
        who = await self._requests.identity(request)
        given = {"after": 0, **numbers(request, "after", "upto", "limit", "large")}
        page = await self._gateway.sync(
            who, self._requests.frame(f.Sync, t="sync", **given), self._requests.ip(request)
        )
        return json_answer(page)

    async def query(self, request: Request) -> Response:
        """Ask; the body is the query's args."""
        who = await self._requests.identity(request)
        query = self._requests.frame(
            f.Query,
            t="query",
            name=request.path_params["name"],
            log=request.query_params.get("log", ""),
            args=msgspec.Raw(await self._requests.read(request) or b"{}"),
        )
        answer = await self._gateway.query(who, query, self._requests.ip(request))
        return Response(answer, media_type="application/json", headers=HEADERS)


def numbers(request: Request, *names: str) -> dict[str, int]:
    """Those of the query parameters `names` that are there; the codec checks their range."""
    given = {}
    for name in names:
        text = request.query_params.get(name)
        if text is None:
            continue
        if not (text.isascii() and text.removeprefix("-").isdigit() and len(text) < 20):
            raise BadArgs(f"{name}: {text[:40]!r} is not a number")
        given[name] = int(text)
    return given


LOG = Param("log", "The log's id; slashes may be escaped (`%2F`).", place="path")
CALL = Doc(
    summary="Do a call that finds its log itself",
    text="`chat.open`, `chat.create`, `own.block` …: see the page of the kind. The same call with"
    " the same `Idempotency-Key` again does nothing and gives the first answer, with `repeat`.",
    tag="logs",
    body=CallRequest,
    answer=CallAnswer,
    errors=(404, 409),
    scopes=("send", "send_as"),
    calls=True,
)
CALL_LOG = Doc(
    summary="Do a call in a log",
    text="`chat.send`, `chat.recall` …: see the page of the kind. The same call with the same"
    " `Idempotency-Key` again does nothing and gives the first answer, with `repeat`.",
    tag="logs",
    params=(LOG,),
    body=CallRequest,
    answer=CallAnswer,
    errors=(404, 409),
    scopes=("send", "send_as"),
    calls=True,
)
ENTRIES = Doc(
    summary="A range of a log",
    text="The entries `after`, `before` or `around` a seq, at most one of the three; the newest"
    " ones where none is given. Pages meet without a gap or a repeat, also while entries arrive.",
    tag="logs",
    params=(
        LOG,
        Param("after", "After this seq.", Count),
        Param("before", "Before this seq; 0 = from the newest.", Count),
        Param("around", "Around this seq.", Count),
        Param("limit", "Entries, at most `limits.page`.", Amount),
    ),
    answer=PageAnswer,
    errors=(404,),
    scopes=("read",),
)
SYNC = Doc(
    summary="What changed in the conversation list",
    text="As the frame `sync` does: keep `upto` as the token when `more` is false.",
    tag="logs",
    params=(
        Param("after", "The token of the last sync, or the last row's `useq`.", Count),
        Param("upto", "Of the first page; 0 begins a sync.", Count),
        Param("limit", "Rows, at most 500.", Count),
        Param("large", "Digest of the large logs and their heads.", Count),
    ),
    answer=f.InboxPage,
    scopes=("read",),
)
QUERY = Doc(
    summary="Ask by name",
    text="`members`, `log`, `receipts`, `search`, `presence`, `devices`, `users`, `people`; the"
    " body is the query's args.",
    tag="logs",
    params=(
        Param("name", "Of the query.", place="path"),
        Param("log", "The log it is about, where it is about one."),
    ),
    body=dict[str, Any],
    body_required=False,
    answer=dict[str, Any],
    errors=(404,),
    scopes=("read",),
)
