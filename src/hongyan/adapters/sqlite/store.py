"""The Store port on one SQLite file."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from hongyan.adapters.sqlite import inbox, reading, receiving
from hongyan.adapters.sqlite.checkpoint import Checkpointer
from hongyan.adapters.sqlite.files import DATABASE, open_for_writing, take_lock
from hongyan.adapters.sqlite.moves import Move
from hongyan.adapters.sqlite.reading import Readers
from hongyan.adapters.sqlite.writer import Writer
from hongyan.model.ids import DeviceId, LogId, Seq, TenantId, UserId
from hongyan.model.log import Commit, Committed, Entry, InboxRow, LogInfo, Member, Receipt
from hongyan.ports import FeedItem, Moved, Slice, UserFeed

MOST_SEQ = 1 << 62  # SQLite's integers end soon after
OVERHEAD = 200  # bytes a queued commit takes besides its bodies, roughly


def _nothing() -> None:
    """The failpoint, at rest."""


class SqliteStore:
    """See the port for every method.

    Durable means: the write-ahead log has been synced (synchronous=FULL). One process per
    directory; a second one is refused.
    """

    def __init__(
        self,
        path: Path,
        *,
        large_above: int = 512,
        max_queue: int = 20_000,
        max_queue_bytes: int = 64 * 1024 * 1024,
        readers: int = 2,
        after_commit: Callable[[], None] = _nothing,
    ) -> None:
        """Open the store in the directory `path`, which is made where it is missing.

        `max_queue` and `max_queue_bytes` bound the writes that wait; beyond them callers get
        Overloaded. `after_commit` is a failpoint between the commit and its answers.

        Raises:
            StoreLocked: another process uses it.
            StoreTooNew, StoreCorrupt: nothing was changed; the text is for the operator.
        """
        path.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._lock: int | None = take_lock(path)
        try:
            db = open_for_writing(path)
        except BaseException:
            os.close(self._lock)
            raise
        self.writer = Writer(
            db,
            large_above=large_above,
            most_queued=max_queue,
            most_queued_bytes=max_queue_bytes,
            after_commit=after_commit,
        )
        self.readers = Readers(path / DATABASE, readers)
        self.checkpointer = Checkpointer(path / DATABASE, self.writer)

    def commit(self, commit: Commit) -> asyncio.Future[Committed]:
        """See the port."""
        size = OVERHEAD + len(commit.state or b"") + 100 * len(commit.members)
        for write in commit.writes:
            size += OVERHEAD + len(write.body)
        return self.writer.put(commit, size)

    def move(
        self,
        log: LogId,
        user: UserId,
        *,
        device: DeviceId = DeviceId(""),
        read: Seq = Seq(0),
        delivered: Seq = Seq(0),
        mark: int = -1,
    ) -> asyncio.Future[Moved]:
        """See the port."""
        to_read, to_delivered = (min(max(seq, 0), MOST_SEQ) for seq in (read, delivered))
        return self.writer.put(Move(log, user, to_read, to_delivered, mark))

    async def sync(self, tenant: TenantId, user: UserId) -> int:
        """See the port."""
        head: int = await self.writer.put(partial(self.writer.sync, tenant=tenant, user=user))
        return head

    async def inbox(
        self, tenant: TenantId, user: UserId, *, after: int, upto: int, limit: int
    ) -> list[InboxRow]:
        """See the port."""
        return await self.readers.ask(inbox.page, tenant, user, after, upto, limit)

    async def rows(self, tenant: TenantId, user: UserId, logs: Sequence[LogId]) -> list[InboxRow]:
        """See the port."""
        return await self.readers.ask(inbox.some, tenant, user, list(logs))

    async def heads(self, tenant: TenantId, user: UserId, *, after: int) -> list[tuple[LogId, Seq]]:
        """See the port."""
        return await self.readers.quick(reading.heads, tenant, user, after)

    async def large_logs(self, tenant: TenantId, user: UserId) -> list[LogId]:
        """See the port."""
        return await self.readers.quick(reading.large_logs, tenant, user)

    async def info(self, log: LogId) -> LogInfo | None:
        """See the port."""
        return await self.readers.quick(reading.info, log)

    async def member(self, log: LogId, user: UserId) -> Member | None:
        """See the port."""
        return await self.readers.quick(reading.member, log, user)

    async def members(
        self, log: LogId, *, after: str = "", limit: int = 1000, least: int = 1
    ) -> list[Member]:
        """See the port."""
        return await self.readers.ask(reading.members, log, after, limit, least)

    async def read(
        self,
        log: LogId,
        user: UserId,
        *,
        low: Seq = Seq(1),
        high: Seq | None = None,
        limit: int = 50,
        newest: bool = False,
    ) -> Slice:
        """See the port."""
        return await self.readers.ask(reading.read, log, user, low, high, limit, newest)

    async def entries(self, log: LogId, *, low: Seq, high: Seq) -> list[Entry]:
        """See the port."""
        return await self.readers.ask(reading.entries, log, low, high)

    async def pick(
        self, tenant: TenantId, user: UserId, refs: Sequence[tuple[LogId, Seq]]
    ) -> list[tuple[LogId, Entry]]:
        """See the port."""
        return await self.readers.ask(reading.pick, tenant, user, refs)

    async def amended(self, log: LogId, targets: Sequence[Seq]) -> list[Entry]:
        """See the port."""
        return await self.readers.ask(reading.amended, log, targets)

    async def receipts(
        self, log: LogId, *, users: Sequence[UserId] | None = None, limit: int = 100
    ) -> list[Receipt]:
        """See the port."""
        return await self.readers.ask(reading.receipts, log, users, limit)

    async def receipt_counts(self, log: LogId, seq: Seq) -> tuple[int, int]:
        """See the port."""
        return await self.readers.ask(reading.receipt_counts, log, seq)

    async def feed(self, *, after: int, limit: int) -> list[FeedItem]:
        """See the port."""
        return await self.readers.ask(reading.feed, after, limit)

    async def user_feed(
        self, tenant: TenantId, user: UserId, *, after: int, limit: int, log: LogId | None = None
    ) -> UserFeed:
        """See the port."""
        return await self.readers.ask(receiving.user_feed, tenant, user, after, limit, log)

    async def feed_end(self) -> int:
        """See the port."""
        return await self.readers.ask(reading.feed_end)

    async def tail(self, log: LogId, *, after: Seq, limit: int) -> list[FeedItem]:
        """See the port."""
        return await self.readers.ask(reading.tail, log, after, limit)

    async def consumer(self, name: str) -> int:
        """See the port."""
        return await self.readers.ask(reading.consumer, name)

    async def save_consumer(self, name: str, pos: int) -> None:
        """See the port."""
        await self.writer.put(partial(_save_consumer, name=name, pos=pos))

    async def stats(self) -> Mapping[str, float]:
        """See the port. `failed` is 1 once nothing can be written until a restart."""
        writer = self.writer
        waiting, waiting_bytes = writer.waiting
        return {
            "queued": waiting,
            "queued_bytes": waiting_bytes,
            "groups": writer.groups,
            "commits": writer.done,
            "commit_seconds": writer.commit_seconds,
            "failed": float(bool(writer.failed)),
            "checkpoint_failures": self.checkpointer.failures,
            "bytes": sum(f.stat().st_size for f in self.path.glob(f"{DATABASE}*")),
        }

    async def close(self) -> None:
        """See the port."""
        self.writer.refuse()
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self.readers.close()
        self.checkpointer.close()
        self.writer.join()  # last: it folds the write-ahead log into the file
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _save_consumer(db: sqlite3.Connection, *, name: str, pos: int) -> None:
    db.execute(
        "INSERT INTO consumers(name,pos) VALUES (?,?)"
        " ON CONFLICT(name) DO UPDATE SET pos=max(pos,excluded.pos)",
        (name, pos),
    )
