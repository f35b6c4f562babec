"""Names of things. An id is checked once, where it enters; inside it is trusted.

A log id carries everything that places it: `tenant/kind/name`. The tenant is in every key
from the first day, so no query can cross tenants by forgetting a condition.

    main/d/alice~bob        the direct conversation of alice and bob (always in this order)
    main/g/2w5k…            a group, named by a hash of who created it with which op_id
    main/u/alice            alice's own log: what only she and her devices see
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Annotated, NewType

import msgspec

from hongyan.model.errors import BadId

TenantId = NewType("TenantId", str)
UserId = NewType("UserId", str)  # unique in its tenant
DeviceId = NewType("DeviceId", str)  # unique in its user
LogId = NewType("LogId", str)
OpId = NewType("OpId", str)  # unique for its sender in a log; chosen by the client
Seq = NewType("Seq", int)  # dense per log, from 1; 0 = before the first
UserKey = NewType("UserKey", str)  # `tenant/user`: a user across tenants

TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,31}", re.ASCII)
USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,63}", re.ASCII)
DEVICE = re.compile(r"[A-Za-z0-9_.:-]{1,64}", re.ASCII)
LOG = re.compile(r"[a-z0-9][a-z0-9-]{0,31}/[a-z]{1,8}/[A-Za-z0-9_.@+~-]{1,140}", re.ASCII)
OP = re.compile(r"[A-Za-z0-9_.:-]{1,64}", re.ASCII)

# In commands. `$` alone would let a newline follow.
UserName = Annotated[str, msgspec.Meta(pattern=rf"^{USER.pattern}$(?!\n)")]

SELF = "u"  # kind code of a user's own log


def check(pattern: re.Pattern[str], text: str, what: str) -> str:
    """Give `text` back if the whole of it fits.

    Raises:
        BadId: names `what`, quotes at most 40 characters; mend the client.
    """
    if pattern.fullmatch(text) is None:
        raise BadId(f"{what} {text[:40]!r} must match {pattern.pattern}")
    return text


def log_id(tenant: str, kind: str, name: str) -> LogId:
    """The id of a log; parts must have been checked."""
    return LogId(f"{tenant}/{kind}/{name}")


def tenant_of(log: str) -> TenantId:
    """The tenant a log belongs to."""
    return TenantId(log[: log.index("/")])


def kind_of(log: str) -> str:
    """The kind code of a log."""
    start = log.index("/") + 1
    return log[start : log.index("/", start)]


def user_key(tenant: str, user: str) -> UserKey:
    """A user across tenants."""
    return UserKey(f"{tenant}/{user}")


def self_log(tenant: str, user: str) -> LogId:
    """The log that only this user sees."""
    return log_id(tenant, SELF, user)


def pair_name(a: str, b: str) -> str:
    """The name of the conversation of two users, the same from both sides."""
    return f"{a}~{b}" if a < b else f"{b}~{a}"


def hashed_name(*parts: str) -> str:
    """26 characters that depend on `parts` only: a retried creation hits the same log."""
    digest = blake2b("\0".join(parts).encode(), digest_size=16).digest()
    number = int.from_bytes(digest, "big")
    alphabet = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32, lower case
    return "".join(alphabet[(number >> shift) & 31] for shift in range(125, -1, -5))
