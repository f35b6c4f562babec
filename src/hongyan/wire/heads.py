"""The digest of heads: how a client notices that the last push of a log was lost.

A missing push in the middle of a log shows as a hole; a missing *last* push shows nothing. So
the heartbeat compares one number that both sides compute over (log, head) of the logs that
changed since the client's token, and of its large logs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from zlib import crc32

from hongyan.model.ids import LogId, Seq
from hongyan.model.log import Entry, InboxRow, Role

DIGEST_MODULUS = 2**53  # exact in every language's numbers


def heads_digest(pairs: Iterable[tuple[LogId, Seq]]) -> int:
    """One number of a set of (log, head): their order does not matter, 0 for none.

    sum of CRC-32 of the text `log:head`, modulo 2**53.
    """
    return sum(crc32(f"{log}:{head}".encode()) for log, head in pairs) % DIGEST_MODULUS


class Heads:
    """What a client knows of heads: of the logs that changed since its token, and of large ones.

    It mirrors, from what the connection brings, the set that the server computes from its store.
    Where the two go apart for another reason than loss, the price is one sync, never an error.
    """

    __slots__ = ("_before", "_moved", "_synced", "large", "token", "viewed")

    def __init__(self, token: int = 0, large: Mapping[LogId, Seq] | None = None) -> None:
        """`token` of the last finished sync and `large` as they were saved, or nothing."""
        self.token = token
        self.large: dict[LogId, Seq] = dict(large or {})
        self.viewed: set[LogId] = set()  # live logs: no row stands for who only watches them
        self._moved: dict[LogId, tuple[Seq, int]] = {}  # (head, useq of the row seen, or 0)
        self._synced: dict[LogId, Seq] = {}  # rows of the sync that runs
        self._before: dict[LogId, tuple[Seq, int]] = {}  # what had moved when it began

    def entries(self, log: LogId, entries: list[Entry]) -> None:
        """Entries arrived by push."""
        if entries:
            self.reached(log, entries[-1].seq)

    def reached(self, log: LogId, head: Seq) -> None:
        """A push said that the log's head is at least `head`."""
        if log in self.large:
            self.large[log] = max(self.large[log], head)
        elif log in self._moved or log not in self.viewed:
            known, useq = self._moved.get(log, (Seq(0), 0))
            self._moved[log] = (max(known, head), useq)

    def pushed(self, row: InboxRow) -> None:
        """A row arrived by push."""
        if not self._large_row(row) and row.useq > self.token:
            known, useq = self._moved.get(row.log, (Seq(0), 0))
            self._moved[row.log] = (max(known, row.head), max(useq, row.useq))

    def synced(self, row: InboxRow) -> None:
        """A row arrived as part of a sync."""
        if not self._large_row(row):
            self._synced[row.log] = row.head

    def begin(self) -> None:
        """A sync (or a hello) is asked for: what has moved by now is of before its token."""
        self._before = dict(self._moved)

    def finish(self, token: int) -> None:
        """The sync is complete: forget what it covered, keep what moved after it began.

        What had moved before and has not since is covered also where no row of it came: a
        deliver that came late, after the row that told of it, would else be counted for ever,
        and every heartbeat would bring a sync.
        """
        for log, moved in self._before.items():
            if self._moved.get(log) == moved:
                del self._moved[log]
        self._before.clear()
        for log, head in self._synced.items():
            known, useq = self._moved.get(log, (Seq(0), 0))
            if known <= head and useq <= token:
                self._moved.pop(log, None)
        self._synced.clear()
        self.token = token

    def abandon(self) -> None:
        """The sync that runs will not be finished (connection lost)."""
        self._synced.clear()

    def list_large(self, large: Iterable[tuple[LogId, Seq]]) -> None:
        """The server listed all large logs, because the digest differed."""
        if listed := dict(large):
            for log, head in listed.items():
                seen, _ = self._moved.pop(log, (Seq(0), 0))
                listed[log] = max(head, seen, self.large.get(log, head))
            self.large = listed

    def digest(self) -> int:
        """The digest to compare with that of a pong."""
        moved = ((log, head) for log, (head, _) in self._moved.items())
        return (heads_digest(moved) + self.large_digest()) % DIGEST_MODULUS

    def large_digest(self) -> int:
        """The digest of the large logs alone, for `hello` and `sync`."""
        return heads_digest(self.large.items())

    def _large_row(self, row: InboxRow) -> bool:
        """Account for a row of a large log; False where it is not one (any more, for this user)."""
        if row.large and row.role != Role.NONE:
            self.large[row.log] = max(row.head, self.large.get(row.log, row.head))
            self._moved.pop(row.log, None)
            return True
        self.large.pop(row.log, None)
        return False
