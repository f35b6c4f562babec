"""What the operator's console asks for: `/v1/admin/…`, for administrators and keys with `admin`."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hongyan.engine.operations import Operations
from hongyan.model.errors import BadArgs
from hongyan.ports import AuditFilter
from hongyan.transport.audited import note
from hongyan.transport.declare import Count, Doc, Param
from hongyan.transport.requests import Requests, json_answer, route

LOG_PATH = "/v1/admin/logs/{tenant}/{kind}/{name}"
MOST = 2**53 - 1  # what JSON carries exactly


class ContentsRequest(msgspec.Struct):
    """`POST /v1/admin/logs/{log}/contents`: entries with what people wrote in them."""

    before: Count = 0
    limit: Count = 50
    reason: str = ""


def _doc(summary: str, *params: Param, text: str = "", body: Any = None) -> Doc:
    return Doc(
        summary=summary,
        tag="console",
        text=text,
        access="admin",
        scopes=("admin",),
        params=params,
        body=body,
        answer=dict[str, Any],
        errors=(404,),
    )


_LIMIT = Param("limit", "How many at most.", Count)


class ConsoleRoutes:
    """The handlers. They only read: what is changed is changed where everybody does."""

    def __init__(self, requests: Requests, operations: Operations) -> None:
        """The engine decides who may."""
        self._requests, self._operations = requests, operations

    def routes(self) -> list[Route]:
        """All of them."""
        return [*self._of_node(), *self._of_people(), *self._of_logs()]

    def _of_node(self) -> list[Route]:
        since = Param("since", "Only samples later than this, ms since 1970.", Count)
        filters = (
            _LIMIT,
            Param("before", "Only lines with a lower id.", Count),
            Param("actor", "Only what this user, or `key:<id>`, did."),
            Param("action", "Only actions that begin so."),
            Param("target", "Only what was done to this."),
            Param("since", "Only lines from this moment on, ms since 1970.", Count),
            Param("until", "Only lines before this moment, ms since 1970.", Count),
        )
        return [
            route(
                "/v1/admin/overview",
                "GET",
                self.overview,
                _doc("The numbers of this node, for the last 15 minutes", since),
            ),
            route(
                "/v1/admin/limits",
                "GET",
                self.limits,
                _doc("The effective settings, without secrets"),
            ),
            route("/v1/admin/files", "GET", self.files, _doc("How many files there are, in sum")),
            route(
                "/v1/admin/audit",
                "GET",
                self.audit,
                _doc("Who did which administrative thing", *filters),
            ),
        ]

    def _of_people(self) -> list[Route]:
        after = Param("after", "Only what comes after this id.")
        return [
            route(
                "/v1/admin/users",
                "GET",
                self.people,
                _doc("Accounts by id", Param("prefix", "Ids that begin so."), after, _LIMIT),
            ),
            route(
                "/v1/admin/users/{user}",
                "GET",
                self.user,
                _doc("One account, its devices and connections"),
            ),
            route(
                "/v1/admin/users/{user}/conversations",
                "GET",
                self.conversations,
                _doc(
                    "A user's conversations with cursors and unread counts",
                    Param("after", "Only rows with a higher useq.", Count),
                    _LIMIT,
                ),
            ),
        ]

    def _of_logs(self) -> list[Route]:
        before = Param("before", "Only entries with a lower seq; 0 = the newest.", Count)
        return [
            route(LOG_PATH, "GET", self.log, _doc("A log, and who follows it on this node")),
            route(
                f"{LOG_PATH}/members",
                "GET",
                self.members,
                _doc(
                    "Members with their cursors",
                    Param("after", "Only user ids after this."),
                    _LIMIT,
                    Param("left", "1 = also who left.", Count),
                ),
            ),
            route(
                f"{LOG_PATH}/entries",
                "GET",
                self.entries,
                _doc("Entries without their bodies", before, _LIMIT),
            ),
            route(
                f"{LOG_PATH}/contents",
                "POST",
                self.contents,
                _doc(
                    "Entries with their bodies",
                    text="Puts a line into the audit list before anything is read.",
                    body=ContentsRequest,
                ),
                audit="logs.contents",
            ),
        ]

    # --- the node ---------------------------------------------------------------------------

    async def overview(self, request: Request) -> Response:
        """Series and totals."""
        self._operations.must_be_operator(await self._requests.identity(request))
        return json_answer(self._operations.overview.since(_number(request, "since", 0)))

    async def limits(self, request: Request) -> Response:
        """The effective settings."""
        who = await self._requests.identity(request)
        return json_answer({"settings": self._operations.limits(who)})

    async def files(self, request: Request) -> Response:
        """Sums over all files."""
        who = await self._requests.identity(request)
        return json_answer(await self._operations.file_totals(who))

    async def audit(self, request: Request) -> Response:
        """The audit list."""
        who = await self._requests.identity(request)
        asked = request.query_params
        lines, more = await self._operations.trail.page(
            who,
            before=_number(request, "before", 0),
            limit=_number(request, "limit", 50),
            only=AuditFilter(
                actor=asked.get("actor", ""),
                action=asked.get("action", ""),
                target=asked.get("target", ""),
                since=_number(request, "since", 0),
                until=_number(request, "until", 0),
            ),
        )
        return json_answer({"lines": lines, "more": more})

    # --- people -----------------------------------------------------------------------------

    async def people(self, request: Request) -> Response:
        """Accounts by prefix."""
        who = await self._requests.identity(request)
        asked = request.query_params
        found = await self._operations.inspector.people(
            who,
            prefix=asked.get("prefix", ""),
            after=asked.get("after", ""),
            limit=_number(request, "limit", 50),
        )
        return json_answer(found)

    async def user(self, request: Request) -> Response:
        """One account."""
        who = await self._requests.identity(request)
        found = await self._operations.inspector.user(who, request.path_params["user"])
        return json_answer(found)

    async def conversations(self, request: Request) -> Response:
        """A user's rows."""
        who = await self._requests.identity(request)
        found = await self._operations.inspector.conversations(
            who,
            request.path_params["user"],
            after=_number(request, "after", 0),
            limit=_number(request, "limit", 100),
        )
        return json_answer(found)

    # --- logs -------------------------------------------------------------------------------

    async def log(self, request: Request) -> Response:
        """One log."""
        who = await self._requests.identity(request)
        return json_answer(await self._operations.inspector.log(who, _log(request)))

    async def members(self, request: Request) -> Response:
        """Members of a log."""
        who = await self._requests.identity(request)
        found = await self._operations.inspector.members(
            who,
            _log(request),
            after=request.query_params.get("after", ""),
            limit=_number(request, "limit", 100),
            left=bool(_number(request, "left", 0)),
        )
        return json_answer(found)

    async def entries(self, request: Request) -> Response:
        """Entries without bodies."""
        who = await self._requests.identity(request)
        found = await self._operations.inspector.entries(
            who,
            _log(request),
            before=_number(request, "before", 0),
            limit=_number(request, "limit", 50),
        )
        return json_answer(found)

    async def contents(self, request: Request) -> Response:
        """Entries with bodies; the line of it is on disk by now."""
        who = await self._requests.identity(request)
        body = await self._requests.body(request, ContentsRequest)
        log = _log(request)
        note(request, log, before=body.before, limit=body.limit, reason=body.reason[:200])
        found = await self._operations.inspector.entries(
            who, log, before=body.before, limit=body.limit, contents=True
        )
        return json_answer(found)


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdecimal()) or int(text[:20]) > MOST:
        raise BadArgs(f"{name} must be a whole number from 0")
    return int(text)


def _log(request: Request) -> str:
    return "/".join(request.path_params[part] for part in ("tenant", "kind", "name"))
