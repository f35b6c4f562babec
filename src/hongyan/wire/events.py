"""What a client session tells its shell, in the order in which it happened."""

from __future__ import annotations

import msgspec

from hongyan.model.errors import BadRequest, Denied, Refusal, Transient
from hongyan.model.ids import LogId, Seq
from hongyan.model.log import InboxRow
from hongyan.wire.frames import (
    Ack,
    Attached,
    Behind,
    Call,
    Cursor,
    Deliver,
    Gap,
    Live,
    Page,
    Query,
    Read,
    Reset,
    Result,
    Signal,
    Subscribe,
    Sync,
    Unsubscribe,
    Values,
    Welcome,
)

SLOWEST = 30.0  # s, the longest back-off

Asked = Call | Read | Query | Subscribe | Unsubscribe | Sync | Cursor


class Request(msgspec.Struct, frozen=True):
    """A frame that waits for its answer; `ref` is unique for the life of the ClientSession."""

    ref: int
    frame: Asked
    data: bytes


class Opened(msgspec.Struct, frozen=True):
    """The session is open. The rows of the welcome follow as Rows."""

    welcome: Welcome


class Rows(msgspec.Struct, frozen=True):
    """Rows of the conversation list: each replaces the row of its log, unless its useq is lower.

    `large` lists (log, head) of all large logs; empty = as you know them. `token` is not None at
    the end of a sync: once everything of the Rows before and of this one is saved, save `token`
    and the session's `heads.large` in the same transaction; a later process starts with them.
    """

    rows: list[InboxRow]
    large: list[tuple[LogId, Seq]]
    token: int | None


class Answered(msgspec.Struct, frozen=True):
    """A request is done. Ack for calls, cursors and subscriptions (Attached for those of live
    logs), Page for reads, Result for queries. It comes once per request."""

    request: Request
    answer: Ack | Page | Result | Attached


class Refused(msgspec.Struct, frozen=True):
    """A request was not done (`why.retry`: may be asked again, a call with the same op).

    `request` None: the server complains of something that was no request; tell the log file.
    """

    request: Request | None
    why: Refusal


class Stale(msgspec.Struct, frozen=True):
    """The connection was too slow and things that are not entries were left out. The rows are
    being synced; ask again for receipts and presence that are on the screen."""


class Closed(msgspec.Struct, frozen=True):
    """The session ends: the server said goodbye, or is taken for dead. Close the socket."""

    why: Refusal


Event = (
    Opened
    | Rows
    | Answered
    | Refused
    | Stale
    | Closed
    | Deliver
    | Signal
    | Cursor
    | Behind
    | Live
    | Values
    | Gap
    | Reset
)


def refusal_of(code: int, text: str, retry_after_ms: int = 0) -> Refusal:
    """The typed refusal of a code from the wire; an unknown code becomes its family."""
    if (known := Refusal.by_code.get(code)) is not None:
        return known(text, retry_after_ms=retry_after_ms)
    families: dict[int, type[Refusal]] = {1: BadRequest, 2: Denied, 3: Transient}
    family = families.get(code // 100, Refusal) if code != Refusal.code else Refusal
    why = family(text, retry_after_ms=retry_after_ms)
    vars(why).update(code=code, retry=family is Transient)  # of this one, not of the family
    return why


def backoff(attempt: int, roll: float) -> float:
    """Seconds to wait before connecting again, after `attempt` failures in a row (0 = none).

    `roll` is a fresh random number in [0, 1): 50,000 clients that lost the same server must not
    come back in the same second. Up to 1 s at first, doubling, up to 30 s.
    """
    return roll * min(SLOWEST, 2.0 ** min(attempt, 10))
