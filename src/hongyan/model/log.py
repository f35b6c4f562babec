"""A log and what stands in it.

An entry is immutable. Its `seq` is dense per log; its `ord` counts the countable entries up to
and including itself, so that `unread` is a subtraction that recalls, reactions and system notes
never skew.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

from hongyan.model.ids import DeviceId, LogId, OpId, Seq, UserId

MAX_WRITES = 64
MAX_BODY_BYTES = 64 * 1024
MAX_COMMIT_BYTES = 256 * 1024


class Role(IntEnum):
    """A member's role; a higher one may do all that a lower one may."""

    NONE = 0  # not a member (never, or not any more)
    MEMBER = 1
    ADMIN = 2
    OWNER = 3


class DeliveryClass(msgspec.Struct, frozen=True):
    """What a kind promises for an entry or signal type; shown in the ack."""

    name: str


DURABLE = DeliveryClass("durable")  # exactly once, in order
LIVE = DeliveryClass("live")  # order within an epoch, shed by priority, gaps reported
LATEST = DeliveryClass("latest")  # newest value per key
SIGNAL = DeliveryClass("signal")  # best effort, never stored


EDIT = "edit"  # the slot whose newest entry carries the body that replaces the target's
HIDDEN = "hidden"  # the type under which a user reads an entry deleted for this user alone


class Entry(msgspec.Struct, frozen=True, omit_defaults=True, gc=False, rename={"sender": "from"}):
    """One record of a log, as stored and as delivered.

    `body` is JSON, encoded once when it was decided. `at` is the server's clock in ms and says
    nothing about order: `seq` does. `op` lets the sender's devices find their own call.
    """

    seq: Seq  # position in the log, dense from 1
    type: str  # message, edit, recall, reaction, joined …: of the log's kind
    sender: UserId  # who caused it
    at: int  # ms
    ord: int  # countable entries up to and including this one
    body: msgspec.Raw  # what the type says
    count: bool = False  # counted as unread
    target: Seq = Seq(0)  # the entry this one changes (edit, recall, reaction, pin)
    slot: str = ""  # what of the target it changes: a newer entry of the same slot replaces it
    op: OpId = OpId("")  # the call it came from
    device: DeviceId = DeviceId("")  # the sender's


class Write(msgspec.Struct, frozen=True, gc=False):
    """An entry about to be appended: all but what the commit gives it."""

    type: str
    body: bytes  # JSON
    count: bool = False
    target: Seq = Seq(0)
    slot: str = ""
    mentions: tuple[UserId, ...] = ()
    mention_all: bool = False
    erases: bool = False  # the target's body is blanked for ever and no longer counted (recall)


class Member(msgspec.Struct, frozen=True, gc=False):
    """What the rules need of a member. Ranges are inclusive; `until` 0 = still a member.

    A user who left keeps the row (role NONE): what happened from `since` to `until` stays
    readable, nothing after.
    """

    user: UserId
    role: Role
    since: Seq  # first seq the member may read
    until: Seq = Seq(0)  # last seq a former member may read
    muted_until: int = 0  # ms; may not speak before
    joined_at: int = 0
    nickname: str = ""  # the key `nickname` of the settings: the only one that others see


class MemberChange(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A change of one member, committed together with the entries that tell of it.

    `join` makes the user a member (again) who sees from the first entry of this commit, or
    from seq 1 with `history`. `leave` ends membership: the last visible entry is the last of
    this commit, or the head where the commit has none. None = unchanged.
    """

    user: UserId
    join: bool = False
    history: bool = False
    leave: bool = False
    role: Role | None = None
    muted_until: int | None = None
    settings: msgspec.Raw | None = None  # a JSON object, merged key by key; null removes a key
    marked: bool | None = None  # the "mark unread" flag
    clear: bool = False  # delete the conversation for this user: floor = head
    hide: tuple[Seq, ...] = ()  # delete for me

    @property
    def leaves(self) -> bool:
        """Whether this ends a membership; taking every role away does."""
        return self.leave or (self.role == Role.NONE and not self.join)


ALL_SENDERS = UserId("*")  # no id of a user


class Commit(msgspec.Struct, kw_only=True, gc=False):
    """All or nothing: entries, state and members of one log, one op_id, one fence.

    `expect` is the log's version the decision was made on (0 = the log must not exist and is
    created here; -1 = do not check). A commit that carries `state`, a role, a mute or a leave
    raises the version by one: whoever decided on the old one meets Conflict and decides again.
    Joins and settings do not raise it.

    `touch` are the members whose inbox must say that this log changed, as known at
    `roster`; where the roster has moved on, the store takes the list from its own table.
    None = touch nobody (large logs).
    """

    log: LogId
    sender: UserId
    op: OpId
    hash: bytes  # 16 bytes over name and args: the same op with another hash is a Clash
    at: int  # ms
    device: DeviceId = DeviceId("")
    writes: tuple[Write, ...] = ()
    expect: int = -1
    state: bytes | None = None  # JSON
    members: tuple[MemberChange, ...] = ()
    max_members: int = 0  # refuse a join beyond this count with Full; 0 = no limit
    touch: tuple[UserId, ...] | None = ()
    roster: int = -1
    once: bool = False  # the op is the log's and not the sender's: see `owner`

    @property
    def owner(self) -> UserId:
        """Whose op it is, among those of the log: the sender's, or everybody's."""
        return ALL_SENDERS if self.once else self.sender

    @property
    def raises_version(self) -> bool:
        """Whether somebody who decided on the version before must decide again."""
        return self.state is not None or any(
            change.leaves
            or change.muted_until is not None
            or (change.role is not None and not (change.join and change.role == Role.MEMBER))
            for change in self.members
        )

    @property
    def concerns_all(self) -> bool:
        """Whether other members see something new: entries, state, or how many they are."""
        return bool(
            self.writes
            or self.state is not None
            or any(change.join or change.leaves for change in self.members)
        )


class Committed(msgspec.Struct, frozen=True, gc=False):
    """A commit that is on disk. `first..last` are its seqs; last = first-1 where it has none."""

    first: Seq
    last: Seq
    ord: int  # after the last
    at: int  # of the first commit of this op, also on a repeat
    version: int
    roster: int
    count: int  # members now
    large: bool  # members are no longer touched one by one
    repeat: bool = False  # this op had been committed before; nothing was written now
    touched: tuple[tuple[UserId, int], ...] = ()  # inbox rows really written: (user, useq)


class LogInfo(msgspec.Struct, frozen=True, gc=False):
    """A log without its entries."""

    log: LogId
    epoch: int  # differs: seqs are not comparable, reload
    head: Seq
    ord: int
    floor: Seq  # first seq still kept (1 until retention cuts)
    version: int
    roster: int
    count: int
    large: bool
    created_at: int
    state: bytes  # JSON


class Position(msgspec.Struct, frozen=True, gc=False):
    """A member's place in a log: cursors (merged by max), floor of deletion, own settings."""

    read: Seq = Seq(0)
    delivered: Seq = Seq(0)
    sent: Seq = Seq(0)  # own last message
    cleared: Seq = Seq(0)
    marked: bool = False
    mark: int = 0  # version of the flag
    settings: msgspec.Raw = msgspec.Raw(b"{}")


class InboxRow(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What a user's conversation list shows of one log: absolute values, never deltas.

    A row replaces the one before it. `useq` orders rows of one user; it is conflated (a subject
    has only its newest row), so it grows but is not dense.
    """

    log: LogId
    useq: int  # orders the rows of one user
    head: Seq  # the last seq this user may read
    ord: int  # of the entry at `head`
    unread: int  # countable entries of others that the user has not seen
    mentions: int  # unread entries that mention the user, or all
    role: Role  # 0 none (left), 1 member, 2 admin, 3 owner
    since: Seq  # the first seq this user may read, by membership
    read: Seq  # the user's cursor, of all devices together
    delivered: Seq  # likewise
    epoch: int = 1  # of the log: differs = reload
    floor: Seq = Seq(1)  # the first seq that is still kept
    until: Seq = Seq(0)  # left the log: the last seq that may be read; 0 = still in it
    cleared: Seq = Seq(0)  # the user deleted everything up to here
    marked: bool = False  # marked as unread
    mark: int = 0  # version of that flag
    count: int = 0  # members
    large: bool = False  # see large logs
    settings: msgspec.Raw = msgspec.Raw(b"{}")  # the user's own, of this log
    state: msgspec.Raw = msgspec.Raw(b"{}")  # what the kind shows of its state
    last: Entry | None = None  # newest countable entry this user may read, as it stands now
    peer_read: Seq = Seq(0)  # direct conversations: the other side's cursors
    peer_delivered: Seq = Seq(0)


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """How far one member has come."""

    user: UserId
    delivered: Seq
    read: Seq


def merge_settings(old: msgspec.Raw, change: msgspec.Raw) -> msgspec.Raw:
    """Lay the keys of `change` over `old`; null removes a key. Both are JSON objects."""
    merged: dict[str, msgspec.Raw] = msgspec.json.decode(old, type=dict[str, msgspec.Raw])
    for key, value in msgspec.json.decode(change, type=dict[str, msgspec.Raw]).items():
        if bytes(value) == b"null":
            merged.pop(key, None)
        else:
            merged[key] = value
    return msgspec.Raw(msgspec.json.encode(merged))
