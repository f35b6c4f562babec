"""Ways on which a tenant's own back end takes part: webhooks, before-send hooks, pulls.

Times are ms since 1970. An empty `kinds` or `types` means all of them, less the users' own logs.
"""

from __future__ import annotations

import msgspec

from hongyan.model.ids import LogId, Seq, TenantId


class Secret(msgspec.Struct, frozen=True):
    """A signing secret, `whsec_` and base64; one that was replaced signs until `until`."""

    text: str
    until: int = 0  # 0 = no end

    def __repr__(self) -> str:
        """Without the text."""
        return f"Secret(until={self.until})"


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """Where entries of a tenant are posted to once they are committed."""

    tenant: TenantId
    id: str
    url: str
    secrets: tuple[Secret, ...]
    kinds: tuple[str, ...] = ()  # names of kinds: direct, group, self
    types: tuple[str, ...] = ()  # of entries: message, edit …
    about: str = ""  # a person's note
    enabled: bool = True
    reason: str = ""  # why it is disabled
    created_at: int = 0


class Progress(msgspec.Struct, kw_only=True):
    """How a webhook fares. `failing_since` 0 = the last attempt was taken."""

    delivered: int = 0  # entries taken by the target
    failed: int = 0  # attempts that were not
    given_up: int = 0  # entries that became dead letters, ever
    failing_since: int = 0
    last_ok_at: int = 0
    last_failed_at: int = 0
    last_status: int = 0  # of HTTP, at the last attempt; 0 = no answer
    last_error: str = ""


class Hold(msgspec.Struct, kw_only=True):
    """A log that waits at `seq` after `tries` failed attempts; the next one is at `next_at`."""

    log: LogId
    seq: Seq
    tries: int = 0
    since: int = 0
    next_at: int = 0


class Dead(msgspec.Struct, frozen=True, kw_only=True):
    """An entry that was given up; `pos` is its place in the feed and names it."""

    pos: int
    log: LogId
    seq: Seq
    type: str
    at: int
    tries: int
    error: str
    replay: bool = False  # asked to be sent again


class Hook(msgspec.Struct, frozen=True, kw_only=True):
    """Who is asked before a call is decided. `when_down`: `open` lets calls pass while it cannot
    answer, `closed` refuses them with a code that clients retry."""

    tenant: TenantId
    id: str
    url: str
    secrets: tuple[Secret, ...]
    calls: tuple[str, ...]  # names: chat.send …
    kinds: tuple[str, ...] = ()
    deadline_ms: int = 500
    when_down: str = "closed"
    about: str = ""
    enabled: bool = True
    created_at: int = 0


class Pull(msgspec.Struct, frozen=True, kw_only=True):
    """A named cursor in the tenant's entries; everything up to `pos` is acknowledged."""

    tenant: TenantId
    name: str
    pos: int
    kinds: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    created_at: int = 0
