"""The conversation list, kept live: rows from the server, and what has arrived since.

Pure. A row from the server is absolute and wins. Between rows the list follows the entries that
are delivered: head, last message, unread. Where that cannot be exact (a recall of something this
device has not seen) the row is marked in doubt and the next sync brings it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from hongyan.client.replica import RECALL, Replica
from hongyan.model.ids import LogId, Seq, UserId
from hongyan.model.log import EDIT, Entry, InboxRow
from hongyan.wire.frames import Cursor

TAIL = 64  # entries remembered per row to lay over an older row that arrives late


class Rows(Mapping[LogId, InboxRow]):
    """Rows by log, each as it stands now. Reading it is free; changing it is the client's."""

    def __init__(
        self,
        user: UserId = UserId(""),
        replica: Callable[[LogId], Replica | None] = lambda log: None,
    ) -> None:
        """No rows yet, for `user`. `replica` gives that of an opened log: it can count."""
        self.user = user
        self._replica = replica
        self.doubts: set[LogId] = set()  # rows that only the server can count
        self._rows: dict[LogId, InboxRow] = {}
        self._given: dict[LogId, Seq] = {}  # head of the newest row from the server
        self._tails: dict[LogId, list[Entry]] = {}
        self._reads: dict[LogId, tuple[Seq, int]] = {}  # own cursors the server has not confirmed

    def __getitem__(self, log: LogId) -> InboxRow:
        """The row of a log."""
        return self._rows[log]

    def __iter__(self) -> Iterator[LogId]:
        """The logs, in no promised order."""
        return iter(self._rows)

    def __len__(self) -> int:
        """How many rows."""
        return len(self._rows)

    # --- from the server ------------------------------------------------------------------------

    def put(self, row: InboxRow) -> InboxRow:
        """Take a row from the server and lay over it what it cannot know yet."""
        log = row.log
        held = self._rows.get(log)
        if held is not None and held.epoch == row.epoch:
            older = row.useq < held.useq or row.head < self._given.get(log, 0)
            if older and not row.until:
                return held  # overtaken by a newer one
        self.doubts.discard(log)
        tail = [e for e in self._tails.pop(log, ()) if e.seq > row.head]
        if row.until or (held is not None and held.epoch != row.epoch):
            tail = []  # what came after is not this user's to see, or of another life
        self._rows[log], self._given[log] = row, row.head
        if log in self._reads:
            self._overlay(log, *self._reads[log])
        self._fold(log, tail)
        return self._rows[log]

    def forget(self) -> None:
        """Drop all rows: the server went back to an older state, they are not comparable."""
        self._rows.clear()
        self._given.clear()
        self._tails.clear()
        self.doubts.clear()

    # --- from the log ---------------------------------------------------------------------------

    def apply(self, log: LogId, entries: Iterable[Entry]) -> InboxRow | None:
        """Entries were delivered or read; return the row if it changed."""
        before = self._rows.get(log)
        if before is None:
            return None
        self._fold(log, entries)
        row = self._rows[log]
        return None if row is before else row

    def cursor(self, cursor: Cursor) -> InboxRow | None:
        """Somebody's cursors moved (our own too, from another device); the row if it changed."""
        row = self._rows.get(cursor.log)
        if row is None:
            return None
        if cursor.user and cursor.user != self.user:
            if cursor.read <= row.peer_read and cursor.delivered <= row.peer_delivered:
                return None
            read = max(row.peer_read, cursor.read)
            delivered = max(row.peer_delivered, cursor.delivered, read)
            row = msgspec.structs.replace(row, peer_read=read, peer_delivered=delivered)
            self._rows[cursor.log] = row
            return row
        return self.read(cursor.log, cursor.read)

    def read(self, log: LogId, seq: Seq) -> InboxRow | None:
        """The user has read up to `seq`; the row if it changed."""
        row = self._rows.get(log)
        if row is None or seq <= row.read:
            return None
        seq = min(seq, row.head)
        self._overlay(log, seq, -1)
        return None if self._rows[log] is row else self._rows[log]

    # --- own cursors on their way to the server -------------------------------------------------

    def reading(self, log: LogId, seq: Seq, mark: int) -> None:
        """The user read up to `seq` here; rows show it until the server says so itself."""
        self._reads[log] = (seq, mark)
        self._overlay(log, seq, mark)

    def read_confirmed(self, log: LogId, seq: Seq) -> None:
        """The server has the cursor."""
        if log in self._reads and self._reads[log][0] <= seq:
            del self._reads[log]

    def exact(self, log: LogId) -> bool:
        """Whether the row is what the server would say of the entries that are here."""
        return log not in self.doubts and log not in self._reads

    # --- inside ---------------------------------------------------------------------------------

    def _overlay(self, log: LogId, seq: Seq, mark: int) -> None:
        row = self._rows.get(log)
        if row is None:
            return
        marked = row.marked and mark != row.mark
        if seq <= row.read:
            if marked != row.marked:
                self._rows[log] = msgspec.structs.replace(row, marked=marked)
            return
        unread: int | None = 0
        if seq < row.head:
            replica = self._replica(log)
            complete = replica is not None and replica.last >= row.head
            unread = replica.unread(seq, self.user) if replica and complete else None
        if unread is None:  # not to be counted here; the server's row follows its ack
            unread = min(row.unread, row.head - seq)
        mentions = row.mentions if unread else 0
        self._rows[log] = msgspec.structs.replace(
            row,
            read=seq,
            delivered=max(row.delivered, seq),
            unread=min(unread, row.unread),
            mentions=mentions,
            marked=marked,
        )

    def _fold(self, log: LogId, entries: Iterable[Entry]) -> None:
        row = self._rows[log]
        tail = self._tails.get(log, [])
        for entry in entries:
            if entry.seq <= row.head or row.until:
                continue
            row = self._step(row, entry, tail)
            tail.append(entry)
        if tail:
            self._tails[log] = tail[-TAIL:]
        self._rows[log] = row

    def _step(self, row: InboxRow, entry: Entry, tail: list[Entry]) -> InboxRow:
        """`row` after `entry`. The difference of `ord` counts also what was missed between."""
        unread = row.unread + entry.ord - row.ord
        last = row.last
        if entry.count:
            last = entry
            if entry.sender == self.user:
                unread = 0  # who writes has seen what was there
        elif entry.target:
            last = _amended(last, entry)
            if entry.slot == RECALL and unread and entry.target > row.read:
                unread -= self._recalled(row, entry, tail)
        return msgspec.structs.replace(
            row, head=entry.seq, ord=entry.ord, unread=max(0, unread), last=last
        )

    def _recalled(self, row: InboxRow, entry: Entry, tail: list[Entry]) -> int:
        """How much less is unread by this recall."""
        target = next((e for e in tail if e.seq == entry.target), None)
        if target is None:
            self.doubts.add(row.log)  # older than what arrived here: counted? recalled before?
            return 0
        again = any(e.target == target.seq and e.slot == RECALL for e in tail)
        answered = any(e.count and e.sender == self.user and e.seq > target.seq for e in tail)
        return int(target.count and target.sender != self.user and not again and not answered)


def _amended(last: Entry | None, entry: Entry) -> Entry | None:
    if last is None or entry.target != last.seq:
        return last
    if entry.slot == RECALL:
        return msgspec.structs.replace(last, body=msgspec.Raw(b"{}"))
    return msgspec.structs.replace(last, body=entry.body) if entry.slot == EDIT else last
