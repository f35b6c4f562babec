"""What passes and is not kept: live items, and newest values by key.

A live item has a place (`off`) in the epoch of its log, so a viewer can order what came and count
what did not. It is never read back like an entry: a short ring serves late joiners, an archive
the replay. A value is absolute: the newest replaces the one before, so a lost one harms nothing.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import msgspec

from hongyan.model.ids import DeviceId, LogId, OpId, UserId

GAP_SAMPLED = "sampled"  # more came than this viewer wants or can read
GAP_SHED = "shed"  # the server was overloaded and let the low lanes go
GAP_SLOW = "slow"  # this connection did not take them in time
GAP_EPOCH = "epoch"  # the server restarted, or the viewer was away for longer than the ring


class Lane(IntEnum):
    """Priority of a live item. Under overload the lowest goes first, the highest never."""

    HIGH = 0  # gifts, kicks, notices
    NORMAL = 1  # what people say
    LOW = 2  # who came, likes


class Audience(IntEnum):
    """Whom a live item is for."""

    ALL = 0
    HOSTS = 1  # those whom the kind shows all: host and moderators (waiting for approval)
    SELF = 2  # the sender's own devices (shadow mode)


class LiveItem(
    msgspec.Struct, frozen=True, omit_defaults=True, gc=False, rename={"sender": "from"}
):
    """One live item as it is delivered. `body` is JSON, encoded once."""

    off: int  # position in the epoch, dense from 1 over all items of the log
    type: str  # of the log's kind
    sender: UserId
    at: int  # ms
    body: msgspec.Raw
    lane: int = Lane.NORMAL
    op: OpId = OpId("")  # the call it came from
    device: DeviceId = DeviceId("")  # the sender's


class Value(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The newest value of a key. `value` null: the key is gone."""

    key: str
    version: int  # grows with each change of this key, within an epoch
    value: msgspec.Raw


# --- what a rule may decide (see kind.Decision) ----------------------------------------------


class Say(msgspec.Struct, frozen=True, gc=False):
    """A live item to send; `body` is a Struct or a JSON-able value. `keep`: for the archive, by
    `media_ms` where it belongs to a moment of a recording. Who is no viewer may send one too."""

    type: str
    body: Any
    lane: Lane = Lane.NORMAL
    audience: Audience = Audience.ALL
    keep: bool = False
    media_ms: int = -1
    erases: int = 0  # the offset of an item that late joiners and the archive must not have
    epoch: int = 0  # that `erases` is of; 0 = the present one


class Count(msgspec.Struct, frozen=True, gc=False):
    """Add to a total that is shown as the value `key`, once per tick, and is exact."""

    key: str
    n: int


class Put(msgspec.Struct, frozen=True, gc=False):
    """Set the value of a key; None takes it away. Not stored by itself: what must survive a
    restart stands in the log's state, and the kind's `values` says it from there."""

    key: str
    value: Any


class LiveSpec(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How a kind is live. Times are ms; a log's state may say others (see `Kind.live_of`)."""

    ring: int = 50  # items kept for late joiners
    tick_ms: int = 200  # what comes within one is sent together
    rate: int = 10  # items a second that a viewer is shown; 0 = all
    values: int = 2000  # keys at most, beside `online`; more are refused with Full


class Tally(msgspec.Struct, frozen=True, gc=False):
    """What has come to a log since a moment, for its durable totals."""

    log: LogId
    key: str
    n: int
