"""Files: an upload on its way, a file that a tenant holds, and where files are referred to."""

from __future__ import annotations

import re

import msgspec

from hongyan.model.ids import LogId, Seq, TenantId, UserId

UPLOADING = "uploading"  # bytes are awaited
PROCESSING = "processing"  # all bytes are here and are looked at
READY = "ready"  # a blob
REFUSED = "refused"  # the file is not taken; the result says why
ENDED = "ended"  # given up by its user, or expired

DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
_QUOTED = re.compile(rb'"([0-9a-f]{64})"')


class Upload(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An upload; `offset` bytes of `size` are durable. `media_type` is what the uploader claims,
    `result` the JSON of the answer once there is one. Times in ms."""

    id: str
    tenant: TenantId
    user: UserId
    size: int
    offset: int = 0
    name: str = ""
    media_type: str = ""
    state: str = UPLOADING
    result: bytes = b""
    created_at: int = 0
    expires_at: int = 0


class Quota(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What bounds new uploads: how many are open, how many a user made after `since` (ms), and
    their bytes; 0 bytes = no bound."""

    open: int
    count: int
    user_bytes: int
    tenant_bytes: int
    since: int


class File(msgspec.Struct, frozen=True, gc=False):
    """A blob that a tenant holds. `media_type` was found in the bytes."""

    tenant: TenantId
    digest: str
    size: int
    media_type: str


class Refs(msgspec.Struct, frozen=True, gc=False):
    """What one entry refers to, in place of what was known of (log, seq). Seq 0 is the state of
    the log. `target`: the entry this one edits. `erases`: forget the target and its edits."""

    log: LogId
    seq: Seq
    digests: tuple[str, ...]
    target: Seq = Seq(0)
    erases: bool = False


class FileTotals(msgspec.Struct, frozen=True, gc=False):
    """What there is, over all tenants."""

    files: int = 0
    bytes: int = 0
    refs: int = 0
    uploads: int = 0  # on their way
    uploads_bytes: int = 0  # of them, here already
    drops: int = 0  # bytes that have to be removed yet


def digests_in(body: bytes) -> tuple[str, ...]:
    """Every digest that stands as a string in this JSON, once each: whatever kind of log it is,
    and whatever the field is called."""
    if b'"' not in body:
        return ()
    return tuple(dict.fromkeys(found.decode() for found in _QUOTED.findall(body)))
