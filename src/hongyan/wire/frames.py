"""Every frame of `hongyan.v1`. The field `t` says which; `docs/protocol.md` says what for.

A WebSocket message is one frame, or an array of frames. Unknown fields are ignored; fields are
only ever added, last and with a default. Times are ms since 1970 UTC, sizes are bytes.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from hongyan.model.ids import DeviceId, LogId, OpId, Seq, UserId
from hongyan.model.live import LiveItem, Value
from hongyan.model.log import Entry, InboxRow

PROTOCOL = "hongyan.v1"
JSON_SUBPROTOCOL = "hongyan.v1.json"
MSGPACK_SUBPROTOCOL = "hongyan.v1.msgpack"

MAX_INT = 2**53 - 1  # the largest integer that every language and SQLite keep exactly

# What a client may send is bounded here, so that nothing behind the codec has to ask again.
Nat = Annotated[int, msgspec.Meta(ge=0, le=MAX_INT)]
Ref = Annotated[int, msgspec.Meta(ge=1, le=MAX_INT)]  # chosen by the client; 0 = wants no answer
At = Annotated[Seq, msgspec.Meta(ge=0, le=MAX_INT)]
Mark = Annotated[int, msgspec.Meta(ge=-1, le=MAX_INT)]
Amount = Annotated[int, msgspec.Meta(ge=1, le=MAX_INT)]  # the server may give less
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Short = Annotated[str, msgspec.Meta(max_length=200)]

EMPTY = msgspec.Raw(b"{}")  # an absent value; every Raw is JSON at any time


class Frame(msgspec.Struct, tag_field="t", omit_defaults=True, gc=False):
    """What all frames share."""


# --- client to server -----------------------------------------------------------------------


class Hello(Frame, tag="hello"):
    """The first frame. `inbox` is the token of the last finished sync (0 = none).

    `large` is the digest of the client's large logs and their heads (0 = send them all).
    """

    token: Annotated[str, msgspec.Meta(max_length=16 * 1024)]  # access token
    device: DeviceId  # this installation, chosen once
    cls: Name = "web"  # phone, desktop, web, pad, thing, server
    client: Short = ""  # name and version of the SDK, for the operator
    inbox: Nat = 0  # sync token
    large: Nat = 0  # digest
    rows: Nat = 100  # at most this many inbox rows in the welcome
    lang: Short = ""  # BCP 47, for texts to people


class Call(Frame, tag="call"):
    """Do something that is stored. Answered by `ack` or `fail` with the same `ref`.

    `op` makes a retry harmless: choose it once per call, keep it over reconnects. `log` is ""
    for calls that find their log themselves (creation).
    """

    ref: Ref  # from 1, finds the answer
    name: Name  # of the log's kind
    op: OpId  # unique for its sender in the log
    log: LogId = LogId("")
    args: msgspec.Raw = EMPTY


class Read(Frame, tag="read"):
    """A range of a log. Exactly one of the three: the `limit` entries after, before or around a
    seq (`before` 0 = the newest). Answered by `page` or `fail`."""

    ref: Ref
    log: LogId
    after: At | None = None
    before: At | None = None
    around: At | None = None
    limit: Amount = 50  # entries


class Sync(Frame, tag="sync"):
    """Rows of the inbox after a useq. With `upto` = 0 a new sync begins; following pages carry
    the `upto` of the first. Answered by `inbox` or `fail`."""

    ref: Ref
    after: Nat  # useq
    upto: Nat = 0  # of the first page
    limit: Amount = 100  # rows
    large: Nat = 0  # digest


class Query(Frame, tag="query"):
    """Ask for something that is not a range of entries. Answered by `result` or `fail`."""

    ref: Ref
    name: Name
    log: LogId = LogId("")
    args: msgspec.Raw = EMPTY


class Subscribe(Frame, tag="subscribe"):
    """Get what happens in a log from now on (members get it without asking). Answered by `ack`,
    for a live log by `attached`, or `fail`.

    `epoch` and `after` (offset) say what a viewer who comes back has seen.
    """

    ref: Ref
    log: LogId
    rate: Nat = 0  # live items a second at most; 0 = as the log says
    epoch: Nat = 0  # of a live log
    after: Nat = 0  # offset


class Unsubscribe(Frame, tag="unsubscribe"):
    """Do not get it any more on this connection."""

    ref: Ref
    log: LogId


class Cursor(Frame, tag="cursor"):
    """Move my cursors forward. With `ref` an ack says that the move is durable; without, it is
    stored soon and may be lost with the node (send it again after a reconnect).

    From the server: another member's cursors (`user` set).
    """

    log: LogId
    delivered: At = Seq(0)
    read: At = Seq(0)
    mark: Mark = -1  # version of the "mark unread" flag that was seen; clears it
    ref: Nat = 0  # 0 = wants no answer
    user: UserId = UserId("")  # from the server only


class Signal(Frame, tag="signal"):
    """Tell the others now, store nothing (typing). From the server: `user` and `device` set."""

    log: LogId
    name: Name
    body: msgspec.Raw = EMPTY
    user: UserId = UserId("")  # from the server only
    device: DeviceId = DeviceId("")  # likewise


class Ping(Frame, tag="ping"):
    """I am alive. `inbox` is my sync token: the answer's digest is counted from there."""

    inbox: Nat = 0  # sync token
    away: bool = False  # nobody is there


class Bye(Frame, tag="bye"):
    """I close on purpose. `logout` also forgets this device's login."""

    logout: bool = False


ClientFrame = (
    Hello | Call | Read | Sync | Query | Subscribe | Unsubscribe | Cursor | Signal | Ping | Bye
)


# --- server to client -----------------------------------------------------------------------


class Limits(msgspec.Struct, frozen=True, gc=False):
    """What this server takes from one connection."""

    message_bytes: int
    window: int  # calls, reads and queries waiting for an answer
    page: int  # entries in a page


class InboxPage(msgspec.Struct, omit_defaults=True, gc=False):
    """Rows in rising useq. When `more` is false the token to keep is `upto`; else ask on with
    after = useq of the last row and the same `upto`. `large` = (log, head) of large logs whose
    digest differed from the one the client sent."""

    rows: list[InboxRow]
    upto: int  # the token, at the end of a sync
    more: bool = False  # see above
    large: list[tuple[LogId, Seq]] = []


class Welcome(Frame, tag="welcome"):
    """The session is open."""

    session: str  # for the operator's log
    user: UserId
    tenant: str
    device: DeviceId  # as the token allows it
    now: int  # the server's clock, ms
    heartbeat_ms: int
    limits: Limits
    inbox: InboxPage  # first page of the sync from hello's token
    server: str = ""  # name and version
    name: str = ""  # the user's
    admin: bool = False  # of the tenant


class Ack(Frame, tag="ack"):
    """A call is done. `stage` is "stored": it is on disk. `seq` is the last seq it appended (0 =
    it appended nothing), `first` the first; `repeat`: this op had been done before."""

    ref: int
    stage: str = "stored"
    log: LogId = LogId("")  # also where the call had none
    seq: Seq = Seq(0)
    first: Seq = Seq(0)
    at: int = 0  # ms, of the first time
    cls: str = "durable"  # delivery class
    repeat: bool = False


class Fail(Frame, tag="fail"):
    """A call is refused; nothing was done. See `model.errors` for the codes."""

    ref: int  # 0 where the frame had none or could not be read
    code: int
    text: str  # for people
    retry: bool = False  # may be asked again, a call with the same op
    retry_after_ms: int = 0  # 0 = not known


class Deliver(Frame, tag="deliver"):
    """Entries of a log as they are committed, in rising seq."""

    log: LogId
    entries: list[Entry]


class Inbox(Frame, tag="inbox"):
    """Answer to `sync` (`ref` set), or rows that changed (`ref` 0): replace what you have.

    `ref` 0 with `page.more`: something other than entries was left out because the connection
    was too slow. Begin a sync, and ask again for what is on the screen (receipts, presence).
    """

    page: InboxPage
    ref: int = 0


class Page(Frame, tag="page"):
    """Answer to `read`: entries in rising seq without a hole; `amends` are newer entries that
    change some of them; [floor, head] is what the caller may read of the log now."""

    ref: int
    log: LogId
    entries: list[Entry]
    amends: list[Entry]
    floor: Seq  # first seq that the caller may read
    head: Seq  # last one
    epoch: int
    more: bool  # the range went on


class Result(Frame, tag="result"):
    """Answer to `query`."""

    ref: int
    body: msgspec.Raw


class Behind(Frame, tag="behind"):
    """The connection was too slow: entries up to `head` were not sent. Read them."""

    log: LogId
    head: Seq


class Attached(Frame, tag="attached"):
    """Answer to `subscribe` for a live log: what a viewer who comes now needs, in one frame.

    `items` are the newest, in rising offset; `values` all of them. `head` is the last seq of the
    log's durable entries (gifts): read what you lack. `missed` items of the viewer's own epoch
    are not in `items` any more.
    """

    ref: int
    log: LogId
    epoch: int  # of offsets and versions: another one = all that is held is void
    off: int  # newest offset
    items: list[LiveItem]
    values: list[Value]
    head: Seq
    rate: int  # items a second that this connection is shown; 0 = all
    tick_ms: int
    seq: int  # of the values: the next `values` frame says it as `prev`
    state: msgspec.Raw = EMPTY  # what the kind shows of its state
    missed: int = 0


class Live(Frame, tag="live"):
    """Items of a live log, of one tick. What is left out is told by `gap`."""

    log: LogId
    epoch: int
    items: list[LiveItem]


class Values(Frame, tag="values"):
    """Values that changed, each the newest of its key. `prev` is the `seq` before: when it is
    not the one you have, subscribe again for all values; what you hold stays right meanwhile."""

    log: LogId
    epoch: int
    prev: int
    seq: int
    values: list[Value]


class Gap(Frame, tag="gap"):
    """`n` items of a live log were not sent and will not be, for `reason`: sampled, shed, slow or
    epoch."""

    log: LogId
    n: int  # items
    reason: str


class Reset(Frame, tag="reset"):
    """What you hold of this log is not comparable or no longer kept: drop it, start at `floor`."""

    log: LogId
    floor: Seq  # first seq that is kept
    epoch: int


class Pong(Frame, tag="pong"):
    """Answer to `ping`. `digest` is that of the heads of the logs that changed since the token
    `inbox` (the ping's), and of all large logs: when it differs from yours, sync."""

    now: int  # the server's clock, ms
    inbox: int  # the ping's token
    digest: int


class Goodbye(Frame, tag="goodbye"):
    """The server closes the connection. `reconnect_after_ms` < 0: do not come back by yourself."""

    code: int
    text: str
    reconnect_after_ms: int  # negative = not by yourself


ServerFrame = (
    Welcome
    | Ack
    | Fail
    | Deliver
    | Signal
    | Cursor
    | Inbox
    | Page
    | Result
    | Behind
    | Attached
    | Live
    | Values
    | Gap
    | Reset
    | Pong
    | Goodbye
)
