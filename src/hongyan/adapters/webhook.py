"""Requests to addresses that tenants chose, kept out of the operator's own network.

Every connection goes through `_Lookup` (names) and `_socket` (addresses, also those written in the
URL): what is judged is the very address that is connected to, so a name that answers differently
the next time (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from hongyan import __version__
from hongyan.engine.backends.target import is_public
from hongyan.ports import Reply

CONNECT_S = 5.0
LOOKUPS = 16  # names looked up at once
MOST_CONNECTIONS = 256
MOST_PER_HOST = 32
MOST_RETRY_AFTER_S = 24 * 3600
HEADERS = {"User-Agent": f"hongyan/{__version__}", "Content-Type": "application/json"}


class _Forbidden(OSError):
    """An address that the configuration does not allow."""


class _Lookup(AbstractResolver):
    """The system's resolver, without the answers that lead inside. It has threads of its own: a
    tenant's slow name server must not hold up what else the process does in threads."""

    def __init__(self, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._pool = ThreadPoolExecutor(LOOKUPS, thread_name_prefix="hongyan-lookup")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(
            self._pool, _addresses, host, port, family, socket.SOCK_STREAM
        )
        allowed: list[ResolveResult] = []
        for kind, _, proto, _, address in found:
            if self._allow_private or is_public(str(address[0])):
                allowed.append(
                    ResolveResult(
                        hostname=host,
                        host=str(address[0]),
                        port=port,
                        family=kind,
                        proto=proto,
                        flags=socket.AI_NUMERICHOST,
                    )
                )
        if not allowed:
            raise _Forbidden(f"{host} leads into a private network")
        return allowed

    async def close(self) -> None:
        """Look-ups under way end by themselves."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class WebhookPoster:
    """See the Poster port."""

    def __init__(self, *, allow_private: bool) -> None:
        """Opens nothing before the first `post`. `allow_private` lets everything through."""
        self._allow_private = allow_private
        self._lookup = _Lookup(allow_private)
        self._session: aiohttp.ClientSession | None = None

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, *, timeout_s: float, most: int
    ) -> Reply:
        """See the port."""
        try:
            async with self._open().post(
                url,
                data=body,
                headers={**HEADERS, **headers},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout_s, connect=min(CONNECT_S, timeout_s)),
            ) as answer:
                # What is left unread closes the connection; nobody is made to read it.
                content = bytearray()
                while len(content) < most and (part := await answer.content.read(most)):
                    content += part
                if len(content) > most:
                    del content[most:]
                return Reply(
                    answer.status,
                    bytes(content),
                    _retry_after_ms(answer.headers.get("Retry-After", ""), time.time()),
                )
        except TimeoutError:
            return Reply(0, error=f"no answer within {timeout_s:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            return Reply(0, error=_reason(exc))

    async def close(self) -> None:
        """See the port."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
            await self._lookup.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                resolver=self._lookup,
                use_dns_cache=False,  # a name is judged anew for every connection
                socket_factory=self._socket,
                limit=MOST_CONNECTIONS,
                limit_per_host=MOST_PER_HOST,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                auto_decompress=False,  # an answer must not grow in memory
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                raise_for_status=False,
            )
        return self._session

    def _socket(self, info: Any) -> socket.socket:
        """The last word, on the address that is connected to."""
        family, kind, proto, _, address = info
        if not self._allow_private and not is_public(str(address[0])):
            raise _Forbidden(f"{address[0]} is in a private network")
        return socket.socket(family, kind, proto)


def _addresses(*question: Any) -> list[Any]:
    return socket.getaddrinfo(*question)  # found at each call, so that tests can stand in


def _reason(exc: Exception) -> str:
    """One short line for the administrator."""
    inner = getattr(exc, "os_error", None) or exc
    if isinstance(inner, _Forbidden):
        return str(inner)
    text = str(exc) or type(exc).__name__
    return " ".join(text.split())[:200]


def _retry_after_ms(text: str, now_s: float) -> int:
    """Seconds or a date, bounded; 0 for anything else."""
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        seconds = float(text)
    else:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - now_s
        except (ValueError, OverflowError):
            return 0
    return int(max(0.0, min(seconds, MOST_RETRY_AFTER_S)) * 1000)
