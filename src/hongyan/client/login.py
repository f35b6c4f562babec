"""Tokens over HTTP. Standard library only, in a worker thread."""

from __future__ import annotations

import asyncio
import http.client
import ssl as ssl_module
import time
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec

from hongyan.client.errors import Offline
from hongyan.model.errors import Refusal
from hongyan.wire.session import refusal_of

TIMEOUT_S = 15.0
EARLY_MS = 60_000  # a token that ends sooner is not used any more
MOST_BYTES = 1024 * 1024


class GetToken(Protocol):
    """Gives the token for a connection. It is asked for each one, so keep a good token.

    An object may also have a method `forget()`: it is called when the server refused the last
    token, so that the next one is a fresh one.
    """

    async def __call__(self) -> str:
        """The token."""
        ...


class Token(msgspec.Struct, frozen=True):
    """A token; `expires_at` in ms since 1970."""

    token: str
    tenant: str = "main"
    user: str = ""
    expires_at: int = 0


class _Problem(msgspec.Struct):
    detail: str = ""
    title: str = ""
    code: int = 0
    retry_after_ms: int = 0


async def login(
    url: str,
    user: str,
    password: str,
    *,
    tenant: str = "main",
    device: str = "",
    ssl: ssl_module.SSLContext | None = None,
) -> Token:
    """A token for `user`; with `device`, one that is good for that device only.

    Raises:
        WrongPassword: user or password is wrong.
        TooFast: too many tries; `retry_after_ms` says when.
        Offline: the server cannot be reached, or does not answer within 15 s.
    """
    body = {"tenant": tenant, "user": user, "password": password, "device": device}
    return msgspec.convert(await post(url, "/v1/token", body, ssl=ssl), Token)


async def post(
    url: str,
    path: str,
    body: Any,
    *,
    token: str = "",
    ssl: ssl_module.SSLContext | None = None,
) -> Any:
    """POST JSON to a path of the service at `url` (http, https, ws or wss); the answer decoded.

    Raises:
        Refusal: the server will not do it, by its code.
        Offline: it cannot be reached, or what answers is no hongyan.
    """
    return await asyncio.to_thread(_post, url, path, msgspec.json.encode(body), token, ssl)


def _post(url: str, path: str, body: bytes, token: str, ssl: ssl_module.SSLContext | None) -> Any:
    parts = urlsplit(url)
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    host, port = parts.hostname or "localhost", parts.port
    connection: http.client.HTTPConnection
    if parts.scheme in ("https", "wss"):
        connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=ssl)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        data = answer.read(MOST_BYTES)
        if answer.status < 400:
            return msgspec.json.decode(data)
        raise _refusal(answer.status, data)
    except (OSError, http.client.HTTPException, msgspec.DecodeError) as exc:
        raise Offline(f"{url}: {exc}") from exc
    finally:
        connection.close()


def _refusal(status: int, data: bytes) -> Refusal:
    problem = msgspec.json.decode(data, type=_Problem)
    if problem.code:
        return refusal_of(problem.code, problem.detail, problem.retry_after_ms)
    return Offline(f"HTTP {status} {problem.detail or problem.title}")


class PasswordToken:
    """`get_token` from a password: logs in once, and again when the token ends or is refused."""

    def __init__(
        self,
        url: str,
        user: str,
        password: str,
        *,
        tenant: str = "main",
        device: str = "",
        ssl: ssl_module.SSLContext | None = None,
    ) -> None:
        """As for `login`."""
        self._url, self._user, self._password = url, user, password
        self._tenant, self._device, self._ssl = tenant, device, ssl
        self._held: Token | None = None

    async def __call__(self) -> str:
        """A token that is good for at least a minute. Raises like `login`."""
        held, now = self._held, time.time_ns() // 1_000_000
        if held is None or held.expires_at < now + EARLY_MS:
            held = self._held = await login(
                self._url,
                self._user,
                self._password,
                tenant=self._tenant,
                device=self._device,
                ssl=self._ssl,
            )
        return held.token

    def forget(self) -> None:
        """The token was refused: log in anew next time."""
        self._held = None
