"""One log of the model: entries, members, and the rules of the port that change them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec
from msgspec.structs import replace

from hongyan.model.errors import Full
from hongyan.model.ids import LogId, OpId, Seq, UserId
from hongyan.model.log import (
    EDIT,
    HIDDEN,
    Commit,
    Entry,
    Member,
    MemberChange,
    Position,
    Role,
    Write,
    merge_settings,
)

BLANK = msgspec.Raw(b"{}")


@dataclass(slots=True)
class Op:
    """What is remembered of a commit, so that its retry gets the same answer."""

    hash: bytes
    first: int
    last: int
    at: int


@dataclass(slots=True)
class Row:
    """A member of a log, or one who left."""

    user: UserId
    role: Role = Role.NONE
    since: int = 1
    until: int = 0
    muted_until: int = 0
    joined_at: int = 0
    read: int = 0
    delivered: int = 0
    sent: int = 0
    cleared: int = 0
    marked: bool = False
    mark: int = 0
    settings: msgspec.Raw = field(default_factory=lambda: BLANK)
    useq: int = 0
    hidden: set[int] = field(default_factory=set)

    def position(self) -> Position:
        """The cursors and settings."""
        return Position(
            Seq(self.read),
            Seq(self.delivered),
            Seq(self.sent),
            Seq(self.cleared),
            self.marked,
            self.mark,
            self.settings,
        )

    def member(self) -> Member:
        """What the rules need."""
        return Member(
            self.user,
            self.role,
            Seq(self.since),
            Seq(self.until),
            self.muted_until,
            self.joined_at,
            str(msgspec.json.decode(self.settings).get("nickname") or ""),
        )


@dataclass(slots=True)
class Log:
    """A log with all that belongs to it."""

    log: LogId
    created_at: int
    version: int = 0
    roster: int = 0
    large: bool = False
    epoch: int = 1
    floor: int = 1
    state: bytes = b"{}"
    entries: list[Entry] = field(default_factory=list)  # seq n stands at n-1
    erased: set[int] = field(default_factory=set)
    mentions: list[tuple[int, str]] = field(default_factory=list)  # (seq, user or "*")
    members: dict[UserId, Row] = field(default_factory=dict)
    ops: dict[tuple[UserId, OpId], Op] = field(default_factory=dict)

    @property
    def head(self) -> int:
        """The last committed seq."""
        return len(self.entries)

    @property
    def count(self) -> int:
        """Members now."""
        return sum(1 for row in self.members.values() if row.role)

    def ord(self, seq: int) -> int:
        """Countable entries up to and including `seq`."""
        return self.entries[seq - 1].ord if seq else 0

    def active(self) -> list[Row]:
        """Members now, by user id."""
        return sorted((r for r in self.members.values() if r.role), key=lambda r: r.user)

    def top(self, row: Row) -> int:
        """The last seq this member may read."""
        return self.head if row.role else row.until

    def bottom(self, row: Row) -> int:
        """The first seq this member may read."""
        return max(row.since, row.cleared + 1, self.floor)

    def shown(self, row: Row, low: int, high: int) -> list[Entry]:
        """Entries of [low, high] that this member may read, as this member reads them."""
        low, high = max(low, self.bottom(row)), min(high, self.top(row))
        return [
            replace(e, type=HIDDEN, body=BLANK) if e.seq in row.hidden else e
            for e in self.entries[low - 1 : max(high, low - 1)]
        ]

    def plain(self, row: Row, seq: int) -> Entry | None:
        """The entry with its newest edit, unless erased, hidden or out of reach."""
        found = self.shown(row, seq, seq)
        if not found or seq in self.erased or seq in row.hidden:
            return None
        edits = [e for e in self.entries[seq : self.top(row)] if e.target == seq and e.slot == EDIT]
        return replace(found[0], body=edits[-1].body) if edits else found[0]

    def amending(self, targets: Iterable[int], top: int) -> list[Entry]:
        """The newest entry up to `top` per (target, slot), in rising seq."""
        wanted = set(targets) - {0}
        later = (e for e in self.entries[:top] if e.target in wanted and e.seq > e.target)
        newest = {(e.target, e.slot): e for e in later}
        return sorted(newest.values(), key=lambda e: e.seq)

    def append(self, commit: Commit) -> None:
        """Add the entries of `commit`, and blank what they erase."""
        for write in commit.writes:
            seq = self.head + 1
            entry = Entry(
                seq=Seq(seq),
                type=write.type,
                sender=commit.sender,
                at=commit.at,
                ord=self.ord(self.head) + write.count,
                body=BLANK if self._is_late(write) else msgspec.Raw(write.body),
                count=write.count,
                target=write.target,
                slot=write.slot,
                op=commit.op,
                device=commit.device,
            )
            self.entries.append(entry)
            names = {*write.mentions, *(["*"] if write.mention_all else [])}
            self.mentions += [(seq, name) for name in sorted(names)]
            if write.erases and 1 <= write.target < seq:
                self._erase(write.target, seq)

    def _is_late(self, write: Write) -> bool:
        """An edit that lost the race against the erasure of its target."""
        return write.slot == EDIT and write.target in self.erased

    def _erase(self, target: int, by: int) -> None:
        self.erased.add(target)
        for i, e in enumerate(self.entries[: by - 1]):  # its edits held the text too
            if e.seq == target or (e.target == target and e.slot == EDIT):
                self.entries[i] = replace(e, body=BLANK)

    def change(self, change: MemberChange, op: Op, now_ms: int) -> None:
        """Apply one member change of the commit that `op` stands for."""
        row = self.members.get(change.user)
        if change.join and (row is None or not row.role):
            row = self.members.setdefault(change.user, Row(change.user))
            row.role = change.role or Role.MEMBER
            row.since = 1 if change.history else op.first
            row.until, row.joined_at = 0, now_ms
            self.roster += 1
        elif row is None:
            return  # there is nothing to change of one who never joined
        elif change.role and row.role and not change.join:
            row.role = change.role
        if change.leaves and row.role:
            row.role, row.until = Role.NONE, op.last
            self.roster += 1
        if change.muted_until is not None:
            row.muted_until = change.muted_until
        if change.settings is not None:
            row.settings = merge_settings(row.settings, change.settings)
        if change.marked is not None:
            row.marked, row.mark = change.marked, row.mark + 1
        if change.clear:
            row.cleared = max(row.cleared, self.top(row))
        low, high = self.bottom(row), self.top(row)
        row.hidden.update(seq for seq in change.hide if low <= seq <= high)


def check_room(log: Log, commit: Commit) -> None:
    """Refuse with Full when `commit` would join somebody beyond `max_members`."""
    active = {row.user for row in log.active()}
    joined = False
    for change in commit.members:
        if change.join and change.user not in active:
            active.add(change.user)
            joined = True
        if change.leaves:
            active.discard(change.user)
    if commit.max_members and joined and len(active) > commit.max_members:
        raise Full(f"at most {commit.max_members} members")
