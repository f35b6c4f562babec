"""The head of a connection's first request: what is it, and may it become a WebSocket?

Pure: bytes in, a verdict out. The bounds are the caller's: it never hands over more than
`MAX_HEAD` bytes.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection, Mapping, Sequence
from enum import Enum
from ipaddress import IPv4Network, IPv6Network, ip_address
from urllib.parse import urlsplit

import msgspec

MAX_HEAD = 16 * 1024
HEAD_END = b"\r\n\r\n"
_METHODS = (b"GET", b"POST", b"PUT", b"DELETE", b"HEAD", b"OPTIONS", b"PATCH")
_STARTS = tuple(method + b" " for method in _METHODS)
_LONGEST = max(map(len, _STARTS))
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_UNPRINTABLE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

Network = IPv4Network | IPv6Network


class Sort(Enum):
    """What the first bytes of a connection are."""

    UNKNOWN = "unknown"  # not enough bytes yet
    HTTP = "http"
    OTHER = "other"


def sort_of(data: bytes | bytearray) -> Sort:
    """Judge the first bytes; a few are enough to know what is not HTTP."""
    start = bytes(data[:_LONGEST])
    if start.startswith(_STARTS):
        return Sort.HTTP
    return Sort.UNKNOWN if any(m.startswith(start) for m in _STARTS) else Sort.OTHER


class Refused(Exception):
    """The upgrade is refused: answer with `status` and close."""

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        """`text` tells the developer what to mend; `headers` go into the answer."""
        super().__init__(text)
        self.status = status
        self.text = text
        self.headers = dict(headers or {})


class Head(msgspec.Struct, frozen=True, gc=False):
    """A request head. Header names are in lower case; of repeated ones all values are kept."""

    method: str
    target: str
    headers: dict[str, list[str]]

    def get(self, name: str) -> str:
        """The values of a header, joined by commas as RFC 9110 allows; "" where absent."""
        return ", ".join(self.headers.get(name, ()))

    def tokens(self, name: str) -> list[str]:
        """The comma-separated values of a header, in order, as they were sent."""
        return [token for part in self.get(name).split(",") if (token := part.strip())]


def wants_websocket(head: bytes) -> bool:
    """Whether the request asks to become a WebSocket, however badly; its HTTP twin may not."""
    if b"websocket" not in head.lower():  # cheap: most HTTP requests stop here
        return False
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"upgrade" and b"websocket" in value.lower():
            return True
    return False


def parse_head(data: bytes) -> Head:
    """Read a whole head, strictly: what two programs might read differently is refused.

    Raises:
        Refused: 400, or 505 for another version than HTTP/1.1.
    """
    lines = data.removesuffix(HEAD_END).split(b"\r\n")
    request = lines[0].split(b" ")
    if len(request) != 3 or not request[1] or _UNPRINTABLE.search(lines[0]):
        raise Refused(400, "the request line is malformed")
    if request[2] != b"HTTP/1.1":
        raise Refused(505, "a WebSocket begins with an HTTP/1.1 request")
    if len(lines) > 129:
        raise Refused(431, "more than 128 header fields")
    headers: dict[str, list[str]] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        value = value.strip(b" \t")
        if not colon or not _TOKEN.fullmatch(name) or _UNPRINTABLE.search(value):
            raise Refused(400, "a header field is malformed")
        headers.setdefault(name.decode("ascii").lower(), []).append(value.decode("latin-1"))
    if len(headers.get("host", ())) != 1:
        raise Refused(400, "exactly one Host header is needed")
    return Head(request[0].decode("latin-1"), request[1].decode("latin-1"), headers)


class Upgrade(msgspec.Struct, frozen=True, gc=False):
    """An acceptable request for a WebSocket. `subprotocol` is "" where the client named none."""

    path: str
    key: str
    subprotocol: str
    ip: str


def judge(
    head: Head, *, subprotocols: Collection[str], allowed_origins: Sequence[str], ip: str
) -> Upgrade:
    """Accept the opening handshake of RFC 6455, or say what is wrong with it.

    Of the client's subprotocols the first that is in `subprotocols` is taken; a client that
    names none gets "", one that names only others is refused. No extension is agreed on.

    Raises:
        Refused: 400, 403 (origin), 405, 426 (version).
    """
    if head.method != "GET":
        raise Refused(405, "a WebSocket begins with GET", {"Allow": "GET"})
    if "transfer-encoding" in head.headers or head.get("content-length").strip("0"):
        raise Refused(400, "a WebSocket request has no body")
    if "upgrade" not in [token.lower() for token in head.tokens("connection")]:
        raise Refused(400, "the Connection header must name Upgrade")
    if "websocket" not in [token.lower() for token in head.tokens("upgrade")]:
        raise Refused(400, "the Upgrade header must name websocket")
    if head.get("sec-websocket-version") != "13":
        raise Refused(426, "WebSocket version 13 is spoken here", {"Sec-WebSocket-Version": "13"})
    key = head.get("sec-websocket-key")
    try:
        if len(base64.b64decode(key.encode("ascii"), validate=True)) != 16:
            raise ValueError(key)
    except (ValueError, binascii.Error):  # UnicodeEncodeError is a ValueError
        raise Refused(400, "Sec-WebSocket-Key is not 16 bytes in base64") from None
    if not origin_allowed(head, allowed_origins):
        raise Refused(403, "this origin may not connect; see server.allowed_origins")
    offered = head.tokens("sec-websocket-protocol")
    agreed = next((name for name in offered if name in subprotocols), "")
    if offered and not agreed and subprotocols:
        raise Refused(400, f"subprotocols spoken here: {', '.join(sorted(subprotocols))}")
    return Upgrade(_path(head.target), key, agreed, ip)


def _path(target: str) -> str:
    """The path of a request target, also of the absolute form; the query is left out."""
    try:
        return urlsplit(target).path
    except ValueError:
        raise Refused(400, "the request target is malformed") from None


def origin_allowed(head: Head, allowed: Sequence[str]) -> bool:
    """Whether the page that asks may connect: no browser, the same host, or on the list.

    The scheme is not compared with ours: behind a proxy that ends TLS we do not know it.
    """
    return origin_fits(head.headers.get("origin", ()), head.get("host"), allowed)


def origin_fits(origins: Sequence[str], host: str, allowed: Sequence[str]) -> bool:
    """The same for the values of the headers Origin and Host of any request."""
    if not origins:
        return True
    if len(origins) != 1:
        return False
    origin = origins[0].lower()
    if "*" in allowed or origin in (entry.lower().rstrip("/") for entry in allowed):
        return True
    scheme, _, place = origin.partition("://")
    port = {"http": ":80", "https": ":443"}.get(scheme)
    if port is None:  # "null", extensions, files
        return False
    host = host.lower()
    return bool(place) and place.removesuffix(port) == host.removesuffix(port)


def client_ip(peer: str, forwarded: str, trusted: Sequence[Network]) -> str:
    """The address of the client: the TCP peer, or, if that is a trusted proxy, the last
    address in its X-Forwarded-For that is not one. A forged header only adds entries on the
    left, which are never reached."""
    ip = peer
    for hop in reversed([part.strip() for part in forwarded.split(",") if part.strip()]):
        if not trusted_ip(ip, trusted):
            break
        try:
            ip = str(ip_address(hop))
        except ValueError:
            break  # the proxy wrote something else: stay with the last address that is one
    return ip


def trusted_ip(ip: str, trusted: Sequence[Network]) -> bool:
    """Whether `ip` belongs to a trusted proxy."""
    if not trusted:
        return False
    try:
        address = ip_address(ip)
    except ValueError:
        return False
    return any(address in network for network in trusted)
