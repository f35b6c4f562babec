"""What all HTTP requests have in common: who asks, from where, with what; and how to answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from ipaddress import ip_network
from typing import TypeVar

import msgspec
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from hongyan.config import Config
from hongyan.engine.auth import Authenticator, Identity
from hongyan.engine.budget import SPENT, Budget
from hongyan.model.errors import (
    BadArgs,
    BadFrame,
    Forbidden,
    FrameTooBig,
    Refusal,
    TimedOut,
    Unauthenticated,
)
from hongyan.model.ids import OP, check
from hongyan.transport import handshake as hs
from hongyan.transport.audited import OWN, audited
from hongyan.transport.declare import Doc, DocumentedRoute
from hongyan.transport.problem import (
    PROBLEM_JSON,
    Problem,
    body_of,
    fault_problem,
    refusal_problem,
)
from hongyan.transport.ratelimit import fields
from hongyan.wire import frames as f
from hongyan.wire.codec import JsonCodec

log = structlog.get_logger(__name__)

BODY_S = 30.0  # for the whole body of a request
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

Handler = Callable[[Request], Awaitable[Response]]
Body = TypeVar("Body")

_encode = msgspec.json.Encoder().encode


class Requests:
    """Reads requests. Everything it raises is a Refusal."""

    def __init__(self, auth: Authenticator, config: Config) -> None:
        """Bounds and trusted proxies are those of `config`."""
        self.auth = auth
        self._most = config.limits.message_bytes
        self._proxies = tuple(
            ip_network(text, strict=False) for text in config.server.trusted_proxies
        )
        self._codec = JsonCodec()

    async def identity(self, request: Request) -> Identity:
        """Who asks; an API key may name a user in whose name it does."""
        token = bearer(request)
        if not token:
            raise Unauthenticated("the header Authorization: Bearer <token> is needed")
        identity = await self.auth.authenticate(token)
        if identity.guest is not None:
            raise Forbidden("guests watch over a session; to do more, log in")
        other = request.headers.get("hongyan-user", "")
        return await self.auth.act_as(identity, other) if other else identity

    def ip(self, request: Request) -> str:
        """The address of the client, behind trusted proxies."""
        peer = request.client.host if request.client else ""
        forwarded = ", ".join(request.headers.getlist("x-forwarded-for"))
        return hs.client_ip(peer, forwarded, self._proxies)

    def secure(self, request: Request) -> bool:
        """Whether the client's way here is TLS, also where a trusted proxy ends it."""
        peer = request.client.host if request.client else ""
        if hs.trusted_ip(peer, self._proxies):
            return request.headers.get("x-forwarded-proto", "").lower() == "https"
        return request.url.scheme == "https"

    async def read(self, request: Request) -> bytes:
        """The body, bounded in size and time."""
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self._most:
            raise FrameTooBig(f"a body has at most {self._most} bytes")
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_S):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > self._most:
                        raise FrameTooBig(f"a body has at most {self._most} bytes")
        except TimeoutError:
            raise TimedOut("the body came too slowly") from None
        return bytes(body)

    async def body(self, request: Request, kind: type[Body]) -> Body:
        """The body as a struct."""
        data = await self.read(request)
        try:
            return msgspec.json.decode(data or b"{}", type=kind)
        except msgspec.ValidationError as exc:
            raise BadArgs(str(exc)) from None
        except (ValueError, RecursionError) as exc:
            raise BadFrame(f"the body is not JSON: {exc}") from None

    def frame(self, kind: type[Body], **fields: object) -> Body:
        """The frame of these fields, judged by the codec as if it came over a WebSocket."""
        try:
            data = _encode({"ref": 1, **fields})
        except (ValueError, TypeError) as exc:  # args that are not JSON, text with surrogates
            raise BadArgs(str(exc)) from None
        frame = self._codec.decode_client(data)[0]
        if isinstance(frame, f.Fail):
            raise Refusal.by_code.get(frame.code, BadFrame)(frame.text)
        assert isinstance(frame, kind)
        return frame


def bearer(request: Request) -> str:
    """The token of the Authorization header, "" where there is none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def op_of(request: Request) -> str:
    """The header Idempotency-Key, "" where there is none. Raises BadId."""
    op = request.headers.get("idempotency-key", "").strip('"')
    return check(OP, op, "Idempotency-Key") if op else ""


def route(
    path: str, method: str, handler: Handler, doc: Doc | None = None, *, audit: str = ""
) -> DocumentedRoute:
    """A route whose handler may raise; `doc` is what the OpenAPI document says of it.

    A route that changes something says in `audit` what its line in the audit list is called
    (`users.disable`; the handler adds whom with `audited.note`), or OWN: it changes only what
    belongs to who asks.
    """

    async def endpoint(request: Request) -> Response:
        spent: list[Budget] = []
        token = SPENT.set(spent)
        try:
            answer = await _answered(request, path, handler, audit)
        finally:
            SPENT.reset(token)
        for name, value in fields(spent).items():
            answer.headers[name] = value
        return answer

    made = DocumentedRoute(path, endpoint, methods=[method])
    made.doc, made.audit = doc, audit
    return made


async def _answered(request: Request, path: str, handler: Handler, audit: str) -> Response:
    """What the handler answers, or what it raised as a problem."""
    try:
        if audit and audit != OWN:
            return await audited(request, audit, handler)
        return await handler(request)
    except Refusal as why:
        if why.code == Refusal.code:
            log.error("request failed", path=path, error=why.text)
            return problem_answer(fault_problem())
        return problem_answer(*refusal_problem(why))
    except ClientDisconnect:
        return Response(status_code=400)  # nobody reads it
    except HTTPException:
        raise
    except Exception:
        log.exception("request failed", path=path)
        return problem_answer(fault_problem())


def json_answer(thing: object, status: int = 200) -> Response:
    """Any struct or builtin as JSON."""
    return Response(_encode(thing), status, media_type="application/json", headers=HEADERS)


def problem_answer(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """An error."""
    return Response(
        body_of(problem),
        problem.status,
        media_type=PROBLEM_JSON,
        headers={**HEADERS, **(headers or {})},
    )
