"""The history checker: what clients wrote down against what the server kept.

Pure: it is given the server's logs and the clients' ledgers and says what does not fit. It knows
nothing of how either came to be, so it judges any server that keeps such a log. Memory grows
with the length of the longest log, not with all of them.

Words: an entry is *lost* when a client was carried past it without being told, *duplicate* when
it came twice in one process or one op stands twice in a log, *reordered* when it came after a
later one, *acked_not_durable* when an acknowledged seq does not hold that op, *refused_but_stored*
when a refused call left a trace, *diverged* when two histories hold different things at one seq,
*not_dense* when the log itself has a hole, *unread_wrong* when a count is not the recount.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from hongyan.client.ledger import (
    Acked,
    AnyRecord,
    Began,
    Failed,
    Got,
    Sent,
    Shown,
    Skip,
    digest,
)
from hongyan.model.history import KeptLog, KeptMember
from hongyan.model.ids import LogId, OpId, Seq, UserId
from hongyan.model.log import Entry

BLANK = digest(b"{}")


class Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that does not fit. `where` is the ledger, or "server"."""

    kind: str
    log: str
    text: str
    where: str = "server"
    seq: int = 0
    op: str = ""


class Summary(msgspec.Struct):
    """How much was looked at: a check of nothing proves nothing."""

    ledgers: int = 0
    logs: int = 0
    entries: int = 0
    acked: int = 0
    got: int = 0
    shown: int = 0
    faults: int = 0


class _Reader:
    """What one process of one client was given of one log."""

    def __init__(self, where: str, user: UserId) -> None:
        self.where, self.user = where, user
        self.got: list[Got] = []
        self.faults: list[Fault] = []
        self.last = 0

    def take(self, got: Got) -> None:
        if self.last and got.seq <= self.last:
            known = any(old.seq == got.seq for old in self.got)
            kind = "duplicate" if known else "reordered"
            text = f"seq {got.seq} came after {self.last}"
            self.faults.append(Fault(kind, got.log, text, self.where, got.seq, got.op))
        elif self.last and got.seq > self.last + 1:
            text = f"seq {self.last + 1} to {got.seq - 1} did not come"
            self.faults.append(Fault("lost", got.log, text, self.where, self.last + 1))
        self.last = max(self.last, got.seq)
        self.got.append(got)

    def skip(self, skip: Skip) -> None:
        self.last = max(self.last, skip.high)


class _Story:
    """All that the ledgers say of one log."""

    def __init__(self) -> None:
        self.acked: list[tuple[str, UserId, Acked]] = []
        self.failed: list[tuple[str, UserId, Failed]] = []
        self.shown: dict[tuple[str, UserId], Shown] = {}  # the last one of each ledger
        self.readers: list[_Reader] = []


class Checker:
    """Feed it all ledgers, then the server's logs; read the faults as they come."""

    def __init__(self, *, complete: bool = False) -> None:
        """`complete`: every client was given time to catch up, so each must hold its log to the
        visible head."""
        self.summary = Summary()
        self._complete = complete
        self._stories: dict[str, _Story] = {}

    def ledger(self, where: str, records: Iterable[AnyRecord]) -> None:
        """Take one client's ledger in."""
        self.summary.ledgers += 1
        user = UserId("")
        readers: dict[str, _Reader] = {}
        sent_to: dict[OpId, LogId] = {}
        for record in records:
            if isinstance(record, Began):
                user, readers = record.user, {}
                continue
            if isinstance(record, Sent):
                sent_to[record.op] = record.log
                continue
            log = record.log or sent_to.get(getattr(record, "op", OpId("")), LogId(""))
            story = self._stories.setdefault(log, _Story())
            if isinstance(record, Acked):
                self.summary.acked += 1
                story.acked.append((where, user, record))
            elif isinstance(record, Failed):
                story.failed.append((where, user, record))
            elif isinstance(record, Shown):
                self.summary.shown += 1
                story.shown[where, user] = record
            else:
                reader = readers.get(log)
                if reader is None:
                    reader = readers[log] = _Reader(where, user)
                    story.readers.append(reader)
                if isinstance(record, Got):
                    self.summary.got += 1
                    reader.take(record)
                else:
                    reader.skip(record)

    def check(self, logs: Iterable[KeptLog]) -> Iterator[Fault]:
        """Every fault, log by log."""
        for log in logs:
            self.summary.logs += 1
            self.summary.entries += len(log.entries)
            story = self._stories.pop(log.log, None)
            for fault in self._log(log, story):
                self.summary.faults += 1
                yield fault
        for name, story in self._stories.items():
            for fault in _vanished(name, story):
                self.summary.faults += 1
                yield fault

    def _log(self, log: KeptLog, story: _Story | None) -> Iterator[Fault]:
        yield from _density(log)
        yield from _ops(log)
        yield from _counts(log)
        if story is None:
            return
        held = {entry.seq: entry for entry in log.entries}
        yield from _acks(log, held, story)
        yield from _refusals(log, story)
        for reader in story.readers:
            yield from reader.faults
            yield from _content(log, held, reader)
            if self._complete and reader is _last_of(story, reader):
                yield from _tail(log, reader)
        yield from _shown(log, story)


def _vanished(name: str, story: _Story) -> Iterator[Fault]:
    """Ledgers tell of a log that the server does not have."""
    for where, _, ack in story.acked:
        if ack.seq:
            text = f"acknowledged at seq {ack.seq}, but the log is gone"
            yield Fault("acked_not_durable", name, text, where, ack.seq, ack.op)
    for reader in story.readers:
        for got in reader.got[:1]:
            yield Fault("diverged", name, "entries of a log that is gone", reader.where, got.seq)


def _density(log: KeptLog) -> Iterator[Fault]:
    expected, order = log.floor, None
    for entry in log.entries:
        if entry.seq != expected:
            yield Fault(
                "not_dense", log.log, f"after {expected - 1} comes {entry.seq}", seq=entry.seq
            )
            expected = entry.seq
        if order is not None and entry.ord != order + entry.count:
            text = f"ordinal {entry.ord} after {order}"
            yield Fault("not_dense", log.log, text, seq=entry.seq)
        expected, order = Seq(expected + 1), entry.ord
    if expected != log.head + 1:
        text = f"head is {log.head}, the last entry {expected - 1}"
        yield Fault("not_dense", log.log, text, seq=log.head)


def _ops(log: KeptLog) -> Iterator[Fault]:
    """One op is one run of neighbouring entries."""
    last: dict[tuple[UserId, OpId], Entry] = {}
    for entry in log.entries:
        if not entry.op:
            continue
        key = (entry.sender, entry.op)
        old = last.get(key)
        if old is not None and (old.seq != entry.seq - 1 or old.at != entry.at):
            text = f"op of {entry.sender} stands at {old.seq} and at {entry.seq}"
            yield Fault("duplicate", log.log, text, seq=entry.seq, op=entry.op)
        last[key] = entry


def recount(log: KeptLog, member: KeptMember) -> int:
    """Unread messages of a member by looking at every entry."""
    head = member.until or log.head
    sent = max(
        (e.seq for e in log.entries if e.sender == member.user and e.count and e.seq <= head),
        default=0,
    )
    above = max(member.since - 1, member.read, member.cleared, sent, log.floor - 1)
    gone = log.erased | log.hidden.get(member.user, frozenset())
    return sum(1 for e in log.entries if above < e.seq <= head and e.count and e.seq not in gone)


def _counts(log: KeptLog) -> Iterator[Fault]:
    for member in log.members:
        right = recount(log, member)
        if member.unread != right:
            text = f"{member.user} is shown {member.unread} unread, the recount is {right}"
            yield Fault("unread_wrong", log.log, text)


def _shown(log: KeptLog, story: _Story) -> Iterator[Fault]:
    """The last row a client showed when it was level with the server."""
    members = {member.user: member for member in log.members}
    for (where, user), shown in story.shown.items():
        member = members.get(user)
        if member is None or not shown.synced:
            continue
        if shown.head != (member.until or log.head) or shown.read != member.read:
            continue  # something changed after the client last looked
        right = recount(log, member)
        if shown.unread != right:
            text = f"{user} saw {shown.unread} unread at {shown.head}, the recount is {right}"
            yield Fault("unread_wrong", log.log, text, where, shown.head)


def _acks(log: KeptLog, held: dict[Seq, Entry], story: _Story) -> Iterator[Fault]:
    for where, user, ack in story.acked:
        for seq in range(max(ack.first, log.floor), ack.seq + 1) if ack.seq else ():
            entry = held.get(Seq(seq))
            if entry is None or entry.op != ack.op or entry.sender != user:
                text = f"acknowledged at seq {seq}, which holds " + (
                    "nothing" if entry is None else f"op {entry.op!r} of {entry.sender}"
                )
                yield Fault("acked_not_durable", log.log, text, where, seq, ack.op)


def _refusals(log: KeptLog, story: _Story) -> Iterator[Fault]:
    stored = {(entry.sender, entry.op): entry.seq for entry in log.entries if entry.op}
    acked = {(user, ack.op) for _, user, ack in story.acked}
    for where, user, failed in story.failed:
        seq = stored.get((user, failed.op))
        if seq is not None and (user, failed.op) not in acked:
            text = f"refused with {failed.code}, but stored at {seq}"
            yield Fault("refused_but_stored", log.log, text, where, seq, failed.op)


def _content(log: KeptLog, held: dict[Seq, Entry], reader: _Reader) -> Iterator[Fault]:
    """What a client was given is what the log holds, but for what was taken away since."""
    hidden = log.hidden.get(reader.user, frozenset())
    for got in reader.got:
        entry = held.get(got.seq)
        if entry is None:
            if got.seq >= log.floor:
                text = "given to a client, not in the log"
                yield Fault("diverged", log.log, text, reader.where, got.seq, got.op)
            continue
        taken = got.seq in log.erased or got.seq in hidden or got.hash == BLANK
        same = (got.sender, got.op) == (entry.sender, entry.op)
        if not same or (not taken and got.hash != digest(entry.body)):
            text = "a client was given something else than the log holds"
            yield Fault("diverged", log.log, text, reader.where, got.seq, got.op)


def _last_of(story: _Story, reader: _Reader) -> _Reader:
    return [other for other in story.readers if other.where == reader.where][-1]


def _tail(log: KeptLog, reader: _Reader) -> Iterator[Fault]:
    member = next((m for m in log.members if m.user == reader.user), None)
    if member is not None and reader.last < (member.until or log.head):
        text = f"stops at {reader.last}, the log goes to {member.until or log.head}"
        yield Fault("lost", log.log, text, reader.where, reader.last + 1)
