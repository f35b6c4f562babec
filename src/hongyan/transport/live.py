"""Live logs over HTTP: how one looks now, its replay, and tokens for guests."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hongyan.engine.identity import Identity
from hongyan.model.errors import Unauthenticated
from hongyan.model.ids import LOG as LOG_ID
from hongyan.model.ids import LogId, Seq, check
from hongyan.model.live import LiveItem, Value
from hongyan.ports import Kept, Mark
from hongyan.transport.asks import LIMIT, LOG
from hongyan.transport.audited import OWN
from hongyan.transport.calls import numbers
from hongyan.transport.declare import Count, Doc, Param
from hongyan.transport.requests import HEADERS, Requests, bearer, json_answer, route
from hongyan.wire import frames as f


class Gateway(Protocol):
    """The engine's entry for those who watch; each raises its refusal."""

    async def guest_token(self, log: LogId, ip: str = "") -> tuple[str, int]:
        """A token for a guest, and its end in ms."""
        ...

    async def live(self, identity: Identity, log: LogId, ip: str = "") -> f.Attached:
        """A live log as it is now."""
        ...

    async def danmaku(self, identity: Identity, query: f.Query, ip: str = "") -> bytes:
        """What was said in it."""
        ...

    async def query(self, identity: Identity, query: f.Query, ip: str = "") -> bytes:
        """The answer to a query of who is logged in."""
        ...


Page = Annotated[int, msgspec.Meta(ge=1, le=100)]


class ViewerToken(msgspec.Struct):
    """A token for one live log, good until `expires_at` (ms since 1970)."""

    token: str
    expires_at: int
    log: LogId


class LiveAnswer(msgspec.Struct):
    """What a viewer who came now would be given. `items` are the newest, in rising offset."""

    log: LogId
    epoch: int
    off: int
    items: list[LiveItem]
    values: list[Value]
    head: Seq
    rate: int
    tick_ms: int
    state: msgspec.Raw


class DanmakuAnswer(msgspec.Struct):
    """Items in order; ask on with `after` while there is `more`."""

    items: list[Kept]
    more: bool
    after: Mark


class RoomAnswer(msgspec.Struct):
    """A room that wants to be found. `heat` and `online` are about."""

    log: LogId
    title: str
    host: str
    guests: bool
    heat: int
    online: int


class RoomsAnswer(msgspec.Struct):
    """Rooms, the hottest first; ask on with `after` while there is `more`."""

    rooms: list[RoomAnswer]
    more: bool
    after: tuple[int, str] | None


class LiveRoutes:
    """The handlers. Guests may use those that read."""

    def __init__(self, requests: Requests, gateway: Gateway) -> None:
        """Keeps nothing of its own."""
        self._requests, self._gateway = requests, gateway

    def routes(self) -> list[Route]:
        """All of them; to come before those that take any path below `/v1/logs`."""
        return [
            route("/v1/rooms", "GET", self.rooms, ROOMS),
            route("/v1/logs/{log:path}/viewer-token", "POST", self.token, TOKEN, audit=OWN),
            route("/v1/logs/{log:path}/live", "GET", self.live, LIVE),
            route("/v1/logs/{log:path}/danmaku", "GET", self.danmaku, DANMAKU),
        ]

    async def token(self, request: Request) -> Response:
        """For somebody without an account."""
        log = _log(request)
        token, expires_at = await self._gateway.guest_token(log, self._requests.ip(request))
        return json_answer(ViewerToken(token, expires_at, log), 201)

    async def live(self, request: Request) -> Response:
        """As it is now."""
        who, log = await self._viewer(request), _log(request)
        now = await self._gateway.live(who, log, self._requests.ip(request))
        return json_answer(
            LiveAnswer(
                now.log,
                now.epoch,
                now.off,
                now.items,
                now.values,
                now.head,
                now.rate,
                now.tick_ms,
                now.state,
            )
        )

    async def danmaku(self, request: Request) -> Response:
        """What was said."""
        who = await self._viewer(request)
        args: dict[str, Any] = {**numbers(request, "from_ms", "to_ms", "limit")}
        if by := request.query_params.get("by"):
            args["by"] = by
        if after := request.query_params.get("after"):
            args["after"] = [int(part) if _number(part) else part for part in after.split(",")]
        query = self._requests.frame(
            f.Query, t="query", name="danmaku", log=_log(request), args=args
        )
        body = await self._gateway.danmaku(who, query, self._requests.ip(request))
        return Response(body, media_type="application/json", headers=HEADERS)

    async def rooms(self, request: Request) -> Response:
        """Which rooms there are."""
        who = await self._requests.identity(request)
        args: dict[str, Any] = {**numbers(request, "limit")}
        if after := request.query_params.get("after"):
            heat, _, log = after.partition(",")
            args["after"] = [int(heat) if _number(heat) else heat, log]
        query = self._requests.frame(f.Query, t="query", name="rooms", args=args)
        body = await self._gateway.query(who, query, self._requests.ip(request))
        return Response(body, media_type="application/json", headers=HEADERS)

    async def _viewer(self, request: Request) -> Identity:
        """Who asks: a guest too."""
        token = bearer(request)
        if not token:
            raise Unauthenticated("the header Authorization: Bearer <token> is needed")
        identity = await self._requests.auth.authenticate(token)
        return identity if identity.guest is not None else await self._requests.identity(request)


def _log(request: Request) -> LogId:
    return LogId(check(LOG_ID, request.path_params["log"], "log"))


def _number(text: str) -> bool:
    return text.removeprefix("-").isdecimal() and len(text) < 20


TOKEN = Doc(
    summary="A token to watch a live log without an account",
    text="Where the log takes guests. The token is good for an hour and for this log alone: to"
    " watch it over a session, and for `live` and `danmaku` below. As many from one address as"
    " logins.",
    tag="live",
    access="open",
    params=(LOG,),
    answer=ViewerToken,
    status=201,
    errors=(403, 404),
)
ROOMS = Doc(
    summary="Rooms to watch",
    text="The query `rooms`: those that are open and `listed`, and that somebody watched or spoke"
    " in since the server started; the hottest first, as old as a second.",
    tag="live",
    params=(
        Param("after", "The answer before said it; heat and log with a comma between."),
        Param("limit", "Rooms at most: 1 to 100, 20 where it is not said.", Page),
    ),
    answer=RoomsAnswer,
    scopes=("read",),
)
LIVE = Doc(
    summary="A live log as it is now",
    text="The newest items and all values, for who may watch it; guests too.",
    tag="live",
    params=(LOG,),
    answer=LiveAnswer,
    errors=(403, 404),
)
DANMAKU = Doc(
    summary="What was said in a live log",
    text="The query `danmaku`: what was said to all and kept, in order; guests too.",
    tag="live",
    params=(
        LOG,
        Param("from_ms", "First moment.", Count, required=True),
        Param("to_ms", "Moment before which it ends.", Count, required=True),
        Param("by", "`media`: of the recording; `time`: since 1970.", Literal["media", "time"]),
        Param("after", "The answer before said it; its three numbers with commas between."),
        Param("limit", "Items at most.", LIMIT),
    ),
    answer=DanmakuAnswer,
    errors=(403, 404),
)
