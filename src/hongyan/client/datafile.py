"""The client's memory on disk: one SQLite file per user and device.

It holds the outbox (durable before a call is sent), read cursors that the server has not
confirmed, and a cache: conversation rows, sync token, newest entries. The cache may be lost at
any time; the server has it all.

One thread owns the file. Jobs that wait together share a commit (so one fsync).
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from hongyan.client.errors import DataBroken, DataInUse
from hongyan.client.outbox import Pending
from hongyan.model.ids import LogId, OpId, Seq
from hongyan.model.log import Entry, InboxRow

VERSION = 1
LAZY_S = 0.1  # jobs nobody waits for may share a later commit
CACHED_ENTRIES = 50

SCHEMA = """
create table meta (key text primary key, value text not null) without rowid;
create table calls (
    n integer primary key, op text not null unique, log text not null, name text not null,
    args blob not null, at integer not null);
create table reads (log text primary key, read integer not null, mark integer not null)
    without rowid;
create table rows (log text primary key, row blob not null) without rowid;
create table entries (log text not null, seq integer not null, entry blob not null,
    primary key (log, seq)) without rowid;
"""

Statement = tuple[str, Sequence[Sequence[Any]]]
_row_json = msgspec.json.Encoder().encode
_row = msgspec.json.Decoder(InboxRow).decode
_entry = msgspec.json.Decoder(Entry).decode


class Saved(msgspec.Struct):
    """What a file held when it was opened."""

    user: str = ""  # tenant/user, "" = never connected
    token: int = 0
    calls: list[Pending] = []
    reads: dict[LogId, tuple[Seq, int]] = {}
    rows: list[InboxRow] = []
    large: dict[LogId, Seq] = {}


class Job(msgspec.Struct):
    """Statements to run in one transaction; `done` is settled once they are on disk."""

    statements: list[Statement]
    done: asyncio.Future[None] | None = None
    loop: asyncio.AbstractEventLoop | None = None


class DataFile:
    """See the module. Methods that only queue never wait; `error` says whether one failed."""

    def __init__(self, path: Path) -> None:
        """Open or create `path`, alone. Blocks for a few ms; call it in a thread.

        Raises:
            DataInUse: somebody else has it open.
            DataBroken: damaged, not writable, or of a newer version; nothing was changed.
        """
        self.path = path
        self.error: DataBroken | None = None
        self._closed = False
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._db = _open(path)
        self._thread = threading.Thread(target=self._work, name=f"hongyan {path.name}", daemon=True)

    def load(self) -> Saved:
        """What the file holds; call it once, before anything else. Starts the thread."""
        try:
            meta = dict(self._db.execute("select key, value from meta").fetchall())
            calls = self._db.execute("select n, op, log, name, args, at from calls order by n")
            reads = self._db.execute("select log, read, mark from reads")
            rows = self._db.execute("select row from rows")
            saved = Saved(
                user=meta.get("user", ""),
                token=int(meta.get("token", 0)),
                calls=[Pending(*columns) for columns in calls],
                reads={LogId(log): (Seq(read), mark) for log, read, mark in reads},
                rows=[_row(data) for (data,) in rows],
                large=msgspec.json.decode(meta.get("large", "{}"), type=dict[LogId, Seq]),
            )
        except (sqlite3.Error, ValueError, msgspec.DecodeError) as exc:
            self._db.close()
            raise DataBroken(f"{self.path}: {exc}") from exc
        self._thread.start()
        return saved

    def save_call(self, call: Pending) -> asyncio.Future[None]:
        """Keep a call; it is on disk when the future is done.

        Raises (through the future):
            DataBroken: it could not be written (disk full); do not send it.
        """
        values = (call.n, call.op, call.log, call.name, call.args, call.at)
        return self._durably(
            "insert into calls (n, op, log, name, args, at) values (?, ?, ?, ?, ?, ?)", [values]
        )

    def drop_call(self, op: OpId) -> None:
        """Forget a call soon. If that is lost the call is sent again and answered as a repeat."""
        self._lazily(("delete from calls where op = ?", [(op,)]))

    def save_read(self, log: LogId, read: Seq, mark: int) -> asyncio.Future[None]:
        """Keep a read cursor until the server has it. Raises like `save_call`."""
        return self._durably("replace into reads values (?, ?, ?)", [(log, read, mark)])

    def drop_read(self, log: LogId, read: Seq) -> None:
        """The server has this cursor."""
        self._lazily(("delete from reads where log = ? and read <= ?", [(log, read)]))

    def save_user(self, user: str) -> None:
        """Bind the file to a user."""
        self._lazily(("replace into meta values ('user', ?)", [(user,)]))

    def save_rows(
        self,
        rows: Iterable[InboxRow],
        token: int | None = None,
        large: Mapping[LogId, Seq] | None = None,
    ) -> None:
        """Cache rows; with `token` and `large`, the sync that brought them is finished: all of
        it is kept, or nothing."""
        statements: list[Statement] = [
            ("replace into rows values (?, ?)", [(row.log, _row_json(row)) for row in rows])
        ]
        if token is not None:
            heads = msgspec.json.encode(large or {}).decode()
            saved = [("token", str(token)), ("large", heads)]
            statements.append(("replace into meta values (?, ?)", saved))
        self._lazily(*statements)

    def forget_rows(self) -> None:
        """Drop rows, entries and token: the server's state is not the one they came from."""
        self._lazily(
            ("delete from rows where ?", [(1,)]),
            ("delete from entries where ?", [(1,)]),
            ("delete from meta where key in (?, ?)", [("token", "large")]),
        )

    def save_entries(self, log: LogId, entries: Sequence[Entry], last: Seq) -> None:
        """Cache entries of a log whose newest is `last`; older ones go."""
        self._lazily(
            (
                "replace into entries values (?, ?, ?)",
                [(log, e.seq, _row_json(e)) for e in entries if e.seq > last - CACHED_ENTRIES],
            ),
            ("delete from entries where log = ? and seq <= ?", [(log, last - CACHED_ENTRIES)]),
        )

    def drop_entries(self, log: LogId, below: Seq | None = None) -> None:
        """Forget what is cached of a log, or what lies below a seq: the log began anew, or the
        user may not read it any more."""
        limit = (1 << 62) if below is None else below
        self._lazily(("delete from entries where log = ? and seq < ?", [(log, limit)]))

    async def entries(self, log: LogId) -> list[Entry]:
        """The cached entries of a log, the newest stretch without a hole, in order."""
        return await asyncio.to_thread(self._entries, log)

    async def close(self) -> None:
        """Write what is queued and let the file go. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join)
        self._db.close()

    # --- inside ---------------------------------------------------------------------------------

    def _entries(self, log: LogId) -> list[Entry]:
        query = "select entry from entries where log = ? order by seq desc"
        try:
            found = [_entry(data) for (data,) in self._db.execute(query, (log,)).fetchall()]
        except (sqlite3.Error, msgspec.DecodeError):
            return []  # a cache: the server has them
        newest: list[Entry] = []
        for entry in found:
            if newest and entry.seq != newest[-1].seq - 1:
                break
            newest.append(entry)
        return newest[::-1]

    def _durably(self, sql: str, values: Sequence[Sequence[Any]]) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._queue.put(Job([(sql, values)], done, loop))
        return done

    def _lazily(self, *statements: Statement) -> None:
        self._queue.put(Job(list(statements)))

    def _work(self) -> None:
        """Own all writes; one commit for the jobs that wait together."""
        open_ = True
        while open_:
            group = [self._queue.get()]
            while not any(job is None or job.done for job in group):
                try:
                    group.append(self._queue.get(timeout=LAZY_S))
                except queue.Empty:
                    break
            while not self._queue.empty():
                group.append(self._queue.get())
            open_ = None not in group
            self._commit([job for job in group if job is not None])

    def _commit(self, group: list[Job]) -> None:
        error: DataBroken | None = None
        try:
            with self._db:
                self._db.execute("begin immediate")
                for job in group:
                    for sql, values in job.statements:
                        self._db.executemany(sql, values)
        except (sqlite3.Error, OverflowError) as exc:
            error = self.error = DataBroken(f"{self.path}: {exc}")
        for job in group:
            if job.done is not None and job.loop is not None:
                job.loop.call_soon_threadsafe(_settle, job.done, error)


def _settle(done: asyncio.Future[None], error: DataBroken | None) -> None:
    if done.cancelled():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)


def _open(path: Path) -> sqlite3.Connection:
    db: sqlite3.Connection | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(path, timeout=0.2, isolation_level=None, check_same_thread=False)
        db.execute("pragma locking_mode = exclusive")  # one process: two would race on the outbox
        version = db.execute("pragma user_version").fetchone()[0]
        if version > VERSION:
            raise DataBroken(f"{path} is of version {version}; this program knows {VERSION}")
        db.execute("pragma journal_mode = wal")
        db.execute("pragma synchronous = full")
        db.execute("begin exclusive")
        if version == 0:
            for statement in SCHEMA.split(";"):
                db.execute(statement)
            db.execute(f"pragma user_version = {VERSION}")
        db.execute("commit")
    except (sqlite3.Error, OSError, DataBroken) as exc:
        if db is not None:
            db.close()
        if isinstance(exc, DataBroken):
            raise
        if "locked" in str(exc):
            raise DataInUse(f"{path} is open in another program") from exc
        raise DataBroken(f"{path}: {exc}") from exc
    return db
