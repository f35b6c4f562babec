"""Errors over HTTP: problem+json of RFC 9457 with the service's own code.

`type` is `about:blank` where there is no code; with a code it is a URN that never changes, so a
program may branch on `code` and a person may read `detail`.
"""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus

import msgspec

from hongyan.model.errors import (
    BadChecksum,
    BadFile,
    BadOffset,
    Clash,
    Conflict,
    FrameTooBig,
    Gone,
    NoSuchEntry,
    NoSuchLog,
    NoSuchUser,
    Refusal,
    TooFast,
    TooManyInFlight,
    Unauthenticated,
    UnknownCall,
    UploadBusy,
    WrongPassword,
)

PROBLEM_JSON = "application/problem+json"

_STATUS: Mapping[type[Refusal], int] = {
    FrameTooBig: 413,
    UnknownCall: 404,
    NoSuchLog: 404,
    NoSuchEntry: 404,
    NoSuchUser: 404,
    Clash: 409,
    Unauthenticated: 401,
    WrongPassword: 401,
    Conflict: 409,
    TooFast: 429,
    TooManyInFlight: 429,
    BadOffset: 409,
    BadChecksum: 460,  # of tus
    Gone: 410,
    BadFile: 415,
    UploadBusy: 423,
}
_BY_HUNDRED = {1: 422, 2: 403, 3: 503}
_MALFORMED = frozenset({101, 103, 104, 107, 115})  # not understood, so 400 rather than 422


class Problem(msgspec.Struct, omit_defaults=True, frozen=True):
    """The body of an answer that is an error. `code` 0: only HTTP is concerned."""

    title: str
    status: int
    detail: str = ""
    type: str = "about:blank"
    code: int = 0
    retry: bool = False
    retry_after_ms: int = 0


_encode = msgspec.json.Encoder().encode


def status_of(why: Refusal) -> int:
    """The HTTP status of a refusal; 500 for one without a code of its own."""
    if type(why) in _STATUS:
        return _STATUS[type(why)]
    if why.code == Refusal.code:
        return 500
    return 400 if why.code in _MALFORMED else _BY_HUNDRED.get(why.code // 100, 500)


def refusal_problem(why: Refusal) -> tuple[Problem, dict[str, str]]:
    """The body of a refusal and the headers that belong to it."""
    status = status_of(why)
    problem = Problem(
        title=type(why).__name__,
        status=status,
        detail=why.text,
        type=f"urn:hongyan:code:{why.code}",
        code=why.code,
        retry=why.retry,
        retry_after_ms=why.retry_after_ms,
    )
    headers = {"Cache-Control": "no-store"}
    if why.retry_after_ms > 0 or status in (429, 503):
        headers["Retry-After"] = str(max(1, -(-why.retry_after_ms // 1000)))
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return problem, headers


def fault_problem() -> Problem:
    """A bug of ours: code 100, no detail; what happened is in the server's log."""
    return Problem("Fault", 500, "the server failed", "urn:hongyan:code:100", 100)


def plain_problem(status: int, detail: str = "") -> Problem:
    """An error of HTTP itself."""
    return Problem(HTTPStatus(status).phrase, status, detail)


def body_of(problem: Problem) -> bytes:
    """JSON."""
    return bytes(_encode(problem))


def raw_answer(status: int, detail: str, headers: Mapping[str, str] | None = None) -> bytes:
    """A whole HTTP/1.1 answer, for where no HTTP server is in charge; close after it."""
    body = body_of(plain_problem(status, detail))
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        f"date: {formatdate(usegmt=True)}",
        f"content-type: {PROBLEM_JSON}",
        f"content-length: {len(body)}",
        "connection: close",
        *(f"{name.lower()}: {value}" for name, value in (headers or {}).items()),
    ]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
