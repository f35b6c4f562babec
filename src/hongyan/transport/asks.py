"""What a client asks without a connection: its list, members, receipts, search, presence, people;
and its cursors and signals."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hongyan.model.ids import LogId, Seq, UserId
from hongyan.model.log import Entry, InboxRow, Member
from hongyan.transport.audited import OWN
from hongyan.transport.calls import Gateway, numbers
from hongyan.transport.declare import Count, Doc, Param
from hongyan.transport.requests import HEADERS, Requests, json_answer, route
from hongyan.wire import frames as f

LOG = Param("log", "The log's id; slashes may be escaped (`%2F`).", place="path")
LIMIT = Annotated[int, msgspec.Meta(ge=1, le=1000)]


class CursorRequest(msgspec.Struct):
    """`POST /v1/logs/{log}/cursor`: cursors only move forward. `mark`: the version of the "mark
    unread" flag that was seen; clears it."""

    delivered: f.At = Seq(0)
    read: f.At = Seq(0)
    mark: f.Mark = -1


class SignalRequest(msgspec.Struct):
    """`POST /v1/logs/{log}/signal`: `typing` with `{"on": true}`."""

    name: f.Name
    body: msgspec.Raw = f.EMPTY


class LogAnswer(msgspec.Struct):
    """Which log it was done to."""

    log: LogId


class MembersAnswer(msgspec.Struct):
    """Members by user id; ask on with `after` = the last one while there are `more`."""

    members: list[Member]
    more: bool


class ReceiptsAnswer(msgspec.Struct, omit_defaults=True):
    """Who has got and read an entry. `mode`: `names`, `counts`, or `off` in a log too large."""

    mode: str
    members: int
    delivered: int = 0
    read: int = 0
    read_by: list[UserId] = []
    delivered_to: list[UserId] = []


class HitAnswer(msgspec.Struct):
    """An entry that was found."""

    log: LogId
    entry: Entry
    pos: int


class SearchAnswer(msgspec.Struct):
    """Newest first; ask on with `before` while there are `more`."""

    hits: list[HitAnswer]
    before: int
    more: bool


class StateAnswer(msgspec.Struct):
    """`state`: `online`, `away`, `offline`. `last_seen` in ms since 1970; 0 = not known."""

    user: UserId
    state: str
    last_seen: int


class PresenceAnswer(msgspec.Struct):
    """Those of the users whom the caller may know of; the others are left out."""

    presence: list[StateAnswer]


class PersonAnswer(msgspec.Struct):
    """How a user is shown. `avatar` is the digest of a picture."""

    user: UserId
    name: str
    avatar: str


class PeopleAnswer(msgspec.Struct):
    """Users that were found; who is named exactly comes first."""

    users: list[PersonAnswer]


class AskRoutes:
    """The handlers; every one is the frame that a WebSocket would bring."""

    def __init__(self, requests: Requests, gateway: Gateway) -> None:
        """Keeps nothing of its own."""
        self._requests, self._gateway = requests, gateway

    def routes(self) -> list[Route]:
        """All of them. The paths that end in a word come before the log by itself: `log` takes
        slashes."""
        return [
            route("/v1/inbox", "GET", self.inbox, INBOX),
            route("/v1/logs/{log:path}/members", "GET", self.members, MEMBERS),
            route("/v1/logs/{log:path}/receipts", "GET", self.receipts, RECEIPTS),
            route("/v1/logs/{log:path}/cursor", "POST", self.cursor, CURSOR, audit=OWN),
            route("/v1/logs/{log:path}/signal", "POST", self.signal, SIGNAL, audit=OWN),
            route("/v1/logs/{log:path}", "GET", self.log, ONE_LOG),
            route("/v1/search", "GET", self.search, SEARCH),
            route("/v1/presence", "GET", self.presence, PRESENCE),
            route("/v1/people", "GET", self.people, PEOPLE),
        ]

    async def inbox(self, request: Request) -> Response:
        """Rows of the conversation list, oldest change first."""
        who = await self._requests.identity(request)
        given = {"after": 0, **numbers(request, "after", "upto", "limit")}
        page = await self._gateway.sync(
            who, self._requests.frame(f.Sync, t="sync", **given), self._requests.ip(request)
        )
        page.large = []
        return json_answer(page)

    async def log(self, request: Request) -> Response:
        """The caller's row of a log."""
        return await self._ask(request, "log", {}, request.path_params["log"])

    async def members(self, request: Request) -> Response:
        """A page of a log's members."""
        args = {"after": request.query_params.get("after", ""), **numbers(request, "limit")}
        return await self._ask(request, "members", args, request.path_params["log"])

    async def receipts(self, request: Request) -> Response:
        """Who has got and read an entry."""
        return await self._ask(
            request, "receipts", numbers(request, "seq"), request.path_params["log"]
        )

    async def search(self, request: Request) -> Response:
        """Entries with all the words."""
        args = {
            "text": request.query_params.get("text", ""),
            **numbers(request, "before", "limit"),
        }
        return await self._ask(request, "search", args, request.query_params.get("log", ""))

    async def presence(self, request: Request) -> Response:
        """Who is there."""
        users = request.query_params.get("users", "")
        return await self._ask(request, "presence", {"users": users.split(",") if users else []})

    async def people(self, request: Request) -> Response:
        """Users to talk to."""
        args = {"text": request.query_params.get("text", ""), **numbers(request, "limit")}
        return await self._ask(request, "people", args)

    async def _ask(self, request: Request, name: str, args: Any, log: str = "") -> Response:
        who = await self._requests.identity(request)
        query = self._requests.frame(f.Query, t="query", name=name, log=log, args=args)
        answer = await self._gateway.query(who, query, self._requests.ip(request))
        return Response(answer, media_type="application/json", headers=HEADERS)

    async def cursor(self, request: Request) -> Response:
        """Move the caller's cursors; durable when answered."""
        who = await self._requests.identity(request)
        body = await self._requests.body(request, CursorRequest)
        log = request.path_params["log"]
        cursor = self._requests.frame(
            f.Cursor, t="cursor", log=log, read=body.read, delivered=body.delivered, mark=body.mark
        )
        await self._gateway.cursor(who, cursor, self._requests.ip(request))
        return json_answer(LogAnswer(cursor.log))

    async def signal(self, request: Request) -> Response:
        """Tell the others now; stored nowhere."""
        who = await self._requests.identity(request)
        body = await self._requests.body(request, SignalRequest)
        fields = {"log": request.path_params["log"], "name": body.name, "body": body.body}
        signal = self._requests.frame(f.Signal, t="signal", **fields)
        await self._gateway.signal(who, signal, self._requests.ip(request))
        return json_answer(LogAnswer(signal.log), 202)


INBOX = Doc(
    summary="The conversation list, page by page",
    text="Rows in the order of their last change. While `more` is true, ask on with `after` = the"
    " `useq` of the last row and the `upto` of the first page.",
    tag="logs",
    params=(
        Param("after", "Rows after this `useq`.", Count),
        Param("upto", "Of the first page; 0 begins anew.", Count),
        Param("limit", "Rows, at most 500.", Annotated[int, msgspec.Meta(ge=0, le=500)]),
    ),
    answer=f.InboxPage,
    scopes=("read",),
)
ONE_LOG = Doc(
    summary="The caller's row of a log",
    text="Cursors, unread, own settings, and what the caller may see of the log's state.",
    tag="logs",
    params=(LOG,),
    answer=InboxRow,
    errors=(404,),
    scopes=("read",),
)
MEMBERS = Doc(
    summary="Members of a log",
    tag="logs",
    params=(LOG, Param("after", "After this user id."), Param("limit", "Members.", LIMIT)),
    answer=MembersAnswer,
    errors=(404,),
    scopes=("read",),
)
RECEIPTS = Doc(
    summary="Who has got and read an entry",
    tag="logs",
    params=(LOG, Param("seq", "Of the entry.", Count, required=True)),
    answer=ReceiptsAnswer,
    errors=(404,),
    scopes=("read",),
)
CURSOR = Doc(
    summary="Move the caller's cursors forward",
    tag="logs",
    params=(LOG,),
    body=CursorRequest,
    answer=LogAnswer,
    errors=(404,),
    scopes=("send", "send_as"),
)
SIGNAL = Doc(
    summary="Tell the other members something now",
    text="Nothing is stored, and it may be lost.",
    tag="logs",
    params=(LOG,),
    body=SignalRequest,
    answer=LogAnswer,
    status=202,
    errors=(404,),
    scopes=("send", "send_as"),
)
SEARCH = Doc(
    summary="Search what the caller may read",
    tag="logs",
    params=(
        Param("text", "Words; all must occur.", required=True),
        Param("log", "Only in this log."),
        Param("before", "Hits before this `pos`.", Count),
        Param("limit", "Hits.", Annotated[int, msgspec.Meta(ge=1, le=100)]),
    ),
    answer=SearchAnswer,
    errors=(404,),
    scopes=("read",),
)
PRESENCE = Doc(
    summary="Who is there",
    text="Of users the caller shares a direct conversation with.",
    tag="people",
    params=(Param("users", "User ids, separated by commas; at most 200.", required=True),),
    answer=PresenceAnswer,
    scopes=("read",),
)
PEOPLE = Doc(
    summary="Find users to talk to",
    text="By the whole id always; by the beginning of the id, or of a word of the name, where the"
    " setting `accounts.listed` is on.",
    tag="people",
    params=(
        Param("text", "What was typed.", required=True),
        Param("limit", "Users.", Annotated[int, msgspec.Meta(ge=1, le=50)]),
    ),
    answer=PeopleAnswer,
    scopes=("read",),
)
