"""Logins of browsers over HTTP: the only place that reads or sets a cookie.

The cookie renews short-lived tokens and does nothing else, so no page of elsewhere can act by
it: it is HttpOnly and SameSite=Strict, and these paths want a header that only a page of the
same origin can send, besides an Origin that is the server's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hongyan.engine.sessions import Session, Sessions
from hongyan.model.errors import Forbidden, Kicked, Unauthenticated
from hongyan.ports import Hint
from hongyan.transport import handshake as hs
from hongyan.transport.audited import OWN, record
from hongyan.transport.declare import Doc, Param
from hongyan.transport.problem import refusal_problem
from hongyan.transport.requests import Requests, json_answer, problem_answer, route

PATH = "/v1/session"
COOKIE = "hongyan_session"
GUARD = "hongyan-request"  # no page of elsewhere can send it: that would need our consent (CORS)


class SessionRequest(msgspec.Struct):
    """`POST /v1/session`. `device` names this browser: it chooses once and keeps it."""

    user: str
    password: str
    device: str
    tenant: str = "main"


class SessionClaimRequest(msgspec.Struct):
    """`POST /v1/session/claim`: the one-time code of the first start."""

    code: str
    password: str
    device: str
    user: str = "admin"


class EnterRequest(msgspec.Struct):
    """`POST /v1/session/enter`: the code of a link."""

    code: str
    device: str


class SessionAnswer(msgspec.Struct):
    """Who is logged in."""

    tenant: str
    user: str
    device: str
    admin: bool


class AccessAnswer(msgspec.Struct):
    """A token for `Authorization: Bearer`, good until `expires_at` (ms since 1970)."""

    token: str
    expires_at: int
    tenant: str
    user: str
    device: str
    admin: bool


class SessionRoutes:
    """The handlers. Hints of who must be disconnected go to the bus."""

    def __init__(
        self, requests: Requests, sessions: Sessions, publish: Callable[[Hint], None]
    ) -> None:
        """`publish` is the bus'."""
        self._requests, self._sessions, self._publish = requests, sessions, publish

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            route(PATH, "POST", self.begin, BEGIN, audit=OWN),
            route(f"{PATH}/claim", "POST", self.claim, CLAIM, audit=OWN),
            route(f"{PATH}/enter", "POST", self.enter, ENTER, audit=OWN),
            route(f"{PATH}/token", "POST", self.token, TOKEN, audit=OWN),
            route(PATH, "DELETE", self.end, END, audit=OWN),
        ]

    async def begin(self, request: Request) -> Response:
        """Log in with a password."""
        _own_page(request)
        body = await self._requests.body(request, SessionRequest)
        session = await self._sessions.begin(
            body.tenant,
            body.user,
            body.password,
            device=body.device,
            ip=self._requests.ip(request),
        )
        return self._begun(request, session)

    async def claim(self, request: Request) -> Response:
        """Become the first administrator."""
        _own_page(request)
        body = await self._requests.body(request, SessionClaimRequest)
        session = await self._sessions.claim(
            body.code,
            body.password,
            user=body.user,
            device=body.device,
            ip=self._requests.ip(request),
        )
        await record(request, session.identity, "admins.claim", body.user)
        return self._begun(request, session)

    async def enter(self, request: Request) -> Response:
        """Log in by a link."""
        _own_page(request)
        body = await self._requests.body(request, EnterRequest)
        ip = self._requests.ip(request)
        session = await self._sessions.enter(body.code, device=body.device, ip=ip)
        return self._begun(request, session)

    async def token(self, request: Request) -> Response:
        """A token for the page; a login that is over loses its cookie."""
        _own_page(request)
        try:
            access = await self._sessions.renew(self._credential(request))
        except (Unauthenticated, Kicked) as why:
            answer = problem_answer(*refusal_problem(why))
            self._forget(request, answer)
            return answer
        who = access.identity
        answer = json_answer(
            AccessAnswer(access.token, who.expires_at, who.tenant, who.user, who.device, who.admin)
        )
        if access.renewed is not None:
            self._remember(request, answer, access.renewed)
        return answer

    async def end(self, request: Request) -> Response:
        """Log out: also the connections of this browser end."""
        _own_page(request)
        hint = await self._sessions.end(self._credential(request))
        if hint is not None:
            self._publish(hint)
        answer = json_answer({})
        self._forget(request, answer)
        return answer

    def _begun(self, request: Request, session: Session) -> Response:
        who = session.identity
        for hint in session.evicted:
            self._publish(hint)
        answer = json_answer(SessionAnswer(who.tenant, who.user, who.device, who.admin), 201)
        self._remember(request, answer, session)
        return answer

    def _remember(self, request: Request, answer: Response, session: Session) -> None:
        secure = self._requests.secure(request)
        answer.set_cookie(
            _name(secure),
            session.credential,
            max_age=session.seconds,
            path=PATH,
            secure=secure,
            httponly=True,
            samesite="strict",
        )

    def _forget(self, request: Request, answer: Response) -> None:
        secure = self._requests.secure(request)
        answer.delete_cookie(
            _name(secure), path=PATH, secure=secure, httponly=True, samesite="strict"
        )

    def _credential(self, request: Request) -> str:
        return request.cookies.get(_name(self._requests.secure(request)), "")


def _name(secure: bool) -> str:
    """Under TLS a prefix by which browsers take the cookie from nobody but us (RFC 6265bis)."""
    return f"__Secure-{COOKIE}" if secure else COOKIE


def _own_page(request: Request) -> None:
    """Raises Forbidden for a page of another origin, whatever `allowed_origins` says."""
    if request.headers.get(GUARD) != "1":
        raise Forbidden("the header Hongyan-Request: 1 is needed")
    headers = request.headers
    if not hs.origin_fits(headers.getlist("origin"), ", ".join(headers.getlist("host")), ()):
        raise Forbidden("only pages of this server log in here")


GUARDED = Param(
    "Hongyan-Request", "`1`; no page of another origin can send it.", place="header", required=True
)


def _doc(summary: str, **fields: Any) -> Doc:
    text = "For pages of this server: the cookie it is about is HttpOnly and SameSite=Strict."
    given = {"access": "open", "errors": (401, 403), "params": (GUARDED,), **fields}
    return Doc(summary=summary, text=text, tag="accounts", **given)


BEGIN = _doc("Log a browser in", body=SessionRequest, answer=SessionAnswer, status=201)
CLAIM = _doc(
    "Become the first administrator, in a browser",
    body=SessionClaimRequest,
    answer=SessionAnswer,
    status=201,
)
ENTER = _doc("Log a browser in by a link", body=EnterRequest, answer=SessionAnswer, status=201)
TOKEN = _doc("A token for the page", answer=AccessAnswer)
END = _doc("Log a browser out", answer=dict[str, Any])
