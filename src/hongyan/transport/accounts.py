"""Tokens, passwords and log-outs over HTTP."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hongyan.model.errors import BadArgs
from hongyan.ports import Hint
from hongyan.transport.audited import OWN, note, record
from hongyan.transport.declare import Doc
from hongyan.transport.requests import Requests, json_answer, op_of, route


class TokenRequest(msgspec.Struct):
    """`POST /v1/token`. A token for `device` is good for that device only."""

    user: str
    password: str
    tenant: str = "main"
    device: str = ""


class TokenAnswer(msgspec.Struct):
    """A token; `expires_at` in ms since 1970."""

    token: str
    tenant: str
    user: str
    expires_at: int


class ClaimRequest(msgspec.Struct):
    """`POST /v1/claim`: the one-time code of the first start makes an administrator."""

    code: str
    password: str
    user: str = "admin"
    device: str = ""


class RegisterRequest(msgspec.Struct):
    """`POST /v1/register`."""

    user: str
    password: str
    tenant: str = "main"
    name: str = ""
    admin: bool = False


class RegistrationAnswer(msgspec.Struct):
    """Whether anybody may make an account here."""

    open: bool


class PasswordRequest(msgspec.Struct):
    """`POST /v1/password`."""

    old: str
    new: str


class LogoutRequest(msgspec.Struct):
    """`POST /v1/logout`. A token that is good for one device only needs no `device`."""

    device: str = ""


class RegisteredAnswer(msgspec.Struct):
    """The account that was made."""

    tenant: str
    user: str


class Nothing(msgspec.Struct):
    """Done; there is nothing to tell."""


class AccountRoutes:
    """The handlers. Hints of what must be disconnected go to the bus."""

    def __init__(self, requests: Requests, publish: Callable[[Hint], None]) -> None:
        """`publish` is the bus'."""
        self._requests, self._auth, self._publish = requests, requests.auth, publish

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            route("/v1/token", "POST", self.token, TOKEN, audit=OWN),
            route("/v1/claim", "POST", self.claim, CLAIM, audit=OWN),
            route("/v1/register", "GET", self.registration, REGISTRATION),
            route("/v1/register", "POST", self.register, REGISTER, audit="users.create"),
            route("/v1/password", "POST", self.password, PASSWORD, audit=OWN),
            route("/v1/logout", "POST", self.logout, LOGOUT, audit=OWN),
        ]

    async def token(self, request: Request) -> Response:
        """Log in."""
        body = await self._requests.body(request, TokenRequest)
        token = await self._auth.login(
            body.tenant, body.user, body.password, device=body.device, ip=self._requests.ip(request)
        )
        return await self._token_answer(token)

    async def claim(self, request: Request) -> Response:
        """Become the first administrator."""
        body = await self._requests.body(request, ClaimRequest)
        token = await self._auth.claim_admin(
            body.code,
            body.password,
            user=body.user,
            device=body.device,
            ip=self._requests.ip(request),
        )
        await record(request, await self._auth.authenticate(token), "admins.claim", body.user)
        return await self._token_answer(token)

    async def _token_answer(self, token: str) -> Response:
        who = await self._auth.authenticate(token)
        return json_answer(TokenAnswer(token, who.tenant, who.user, who.expires_at))

    async def registration(self, request: Request) -> Response:
        """Say whether a login page should offer it."""
        return json_answer(RegistrationAnswer(self._auth.accounts.registration_open))

    async def register(self, request: Request) -> Response:
        """Make an account: for oneself where that is open, for others with the right."""
        by = await self._requests.identity(request) if "authorization" in request.headers else None
        body = await self._requests.body(request, RegisterRequest)
        note(request, body.user, admin=body.admin)
        await self._auth.accounts.register(
            body.tenant,
            body.user,
            body.password,
            name=body.name,
            admin=body.admin,
            by=by,
            ip=self._requests.ip(request),
            op=op_of(request),
        )
        return json_answer(RegisteredAnswer(body.tenant, body.user), 201)

    async def password(self, request: Request) -> Response:
        """Change one's password: a new token, the other devices are disconnected."""
        who = await self._requests.identity(request)
        body = await self._requests.body(request, PasswordRequest)
        token, evicted = await self._auth.change_password(
            who, body.old, body.new, ip=self._requests.ip(request)
        )
        for hint in evicted:
            self._publish(hint)
        return await self._token_answer(token)

    async def logout(self, request: Request) -> Response:
        """Log a device of one's own out."""
        who = await self._requests.identity(request)
        if not who.user:
            raise BadArgs("Hongyan-User: whose device?")
        device = (await self._requests.body(request, LogoutRequest)).device or who.device
        if not device:
            raise BadArgs("device: which one?")
        self._publish(await self._auth.logout(who, device))
        return json_answer(Nothing())


TOKEN = Doc(
    summary="Log in",
    text="With `device`, the token is good for that device only.",
    tag="accounts",
    access="open",
    body=TokenRequest,
    answer=TokenAnswer,
    errors=(401, 403),
)
CLAIM = Doc(
    summary="Become the first administrator",
    text="With the one-time code that the server prints at its first start.",
    tag="accounts",
    access="open",
    body=ClaimRequest,
    answer=TokenAnswer,
    errors=(401, 403),
)
REGISTRATION = Doc(
    summary="May anybody make an account?",
    tag="accounts",
    access="open",
    answer=RegistrationAnswer,
)
REGISTER = Doc(
    summary="Make an account",
    text="For oneself where registration is open; administrators and keys with the scope `users`"
    " make accounts in their tenant.",
    tag="accounts",
    access="open",
    body=RegisterRequest,
    answer=RegisteredAnswer,
    status=201,
    errors=(401, 403),
    key_optional=True,
)
PASSWORD = Doc(
    summary="Change the own password",
    text="Answers a new token; the other devices are disconnected.",
    tag="accounts",
    body=PasswordRequest,
    answer=TokenAnswer,
    errors=(404,),
)
LOGOUT = Doc(
    summary="Log one of the own devices out",
    tag="accounts",
    body=LogoutRequest,
    body_required=False,
    answer=Nothing,
)
