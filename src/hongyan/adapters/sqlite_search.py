"""Full text on an SQLite file of its own, derived from the feed.

One FTS5 table holds, for each message, its n-grams (see `words`) and two marks of place, one for
the tenant and one for the log, as words of the same row. A search is then one intersection of
doclists, walked from the newest row down, and stops when the page is full: `rowid` is the feed
position. The table is contentless and keeps no offsets (detail=none), which makes it half the
size of FTS5's own trigram index; what n-grams cannot prove is looked up in the kept text.

synchronous=NORMAL: a power cut may take the last transactions, but text and position are in the
same one, so the consumer brings them again. Losing this file altogether loses nothing either: a
damaged or foreign one is thrown away and filled from the feed.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog

from hongyan.adapters.words import grams, needles, needs_look, normal, query_words
from hongyan.model.errors import Overloaded, StoreDown
from hongyan.model.ids import LogId, Seq, TenantId, tenant_of
from hongyan.ports import Hit

FORMAT = 1  # PRAGMA user_version; another one is rebuilt: raise it when `words.grams` changes
MAX_HITS = 200  # of one page
MAX_WAITING = 64  # searches that queue for the reading thread
PROGRESS_STEPS = 20_000  # of SQLite between two looks at the time, about 1 ms

SCHEMA = f"""
create table feed (id integer primary key check (id = 1), pos integer not null);
insert into feed values (1, 0);
create table tenants (id integer primary key, tenant text not null unique);
create table logs (id integer primary key, log text not null unique, tenant integer not null);
create table messages (
    pos integer primary key, log integer not null, seq integer not null, words text not null
);
create unique index messages_by_place on messages (log, seq);
create table erased (log integer, seq integer, primary key (log, seq)) without rowid;
create virtual table grams using fts5 (
    words, content = '', tokenize = 'ascii', detail = none, columnsize = 0
);
pragma user_version = {FORMAT};
"""  # tokenize=ascii splits at ASCII characters that are no letters or digits: at our spaces only

Result = TypeVar("Result")
logger = structlog.get_logger(__name__)


class SqliteSearch:
    """The Search port on `path`; one writing and one reading thread, both its own."""

    def __init__(self, path: Path, *, most_seconds: float = 2.0) -> None:
        """Open or create the file; a damaged one or one of another format is made new.

        `most_seconds` bounds one search. Raises StoreDown where the file cannot be opened.
        """
        self._path = path
        self._most_seconds = most_seconds
        self._writer = ThreadPoolExecutor(1, "search-write")
        self._reader = ThreadPoolExecutor(1, "search-read")
        self._waiting = 0
        self._damaged = False  # seen by either thread; mended by the writing one
        self._closed = False
        self._deadline = 0.0  # of the search that runs
        self._ids: dict[str, int] = {}
        try:
            self._open()
        except (sqlite3.Error, OSError) as exc:
            raise StoreDown(f"search index {path}: {exc}") from exc

    async def index(self, items: Sequence[tuple[int, LogId, Seq, str]], pos: int) -> None:
        """See the port.

        Raises:
            StoreDown: nothing was written; read `position` again, it may have gone back to 0.
        """
        await self._write(partial(self._index, items, pos))

    async def position(self) -> int:
        """See the port. Goes back to 0 when the file had to be made new."""
        return await self._write(self._position)

    async def wipe(self) -> None:
        """See the port."""
        await self._write(partial(self._mend, "wiped"))

    async def find(
        self, tenant: TenantId, text: str, *, log: LogId | None, before: int, limit: int
    ) -> list[Hit]:
        """See the port; at most MAX_HITS.

        Raises:
            BadArgs: no word in `text`, or too many.
            Overloaded: too many searches wait, or this one took too long: use more words.
            StoreDown: the index is damaged and is being made new; try later.
        """
        words = query_words(text)
        if self._waiting >= MAX_WAITING:
            raise Overloaded("too many searches at once", retry_after_ms=500)
        if self._damaged:
            raise StoreDown("the search index is being rebuilt")
        call = partial(self._find, tenant, words, log, before, min(limit, MAX_HITS))
        self._waiting += 1
        try:
            return await self._run(self._reader, call)
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """Wait for what runs, then close. Idempotent."""
        if self._closed:
            return
        self._closed = True
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._reader, self._reading.close)
        await loop.run_in_executor(self._writer, self._writing.close)
        self._reader.shutdown(wait=False)
        self._writer.shutdown(wait=False)

    # -- threads ---------------------------------------------------------------------------------

    async def _write(self, call: Callable[[], Result]) -> Result:
        return await self._run(self._writer, call)

    async def _run(self, thread: ThreadPoolExecutor, call: Callable[[], Result]) -> Result:
        if self._closed:
            raise StoreDown("the search index is closed")
        try:
            return await asyncio.get_running_loop().run_in_executor(thread, call)
        except sqlite3.Error as exc:
            if _is_damage(exc):
                self._damaged = True
            elif getattr(exc, "sqlite_errorcode", 0) == sqlite3.SQLITE_INTERRUPT:
                raise Overloaded("the search took too long: use more or rarer words") from exc
            raise StoreDown(f"search index: {exc}") from exc

    # -- opening ---------------------------------------------------------------------------------

    def _open(self) -> None:
        try:
            self._connect()
        except sqlite3.DatabaseError as exc:
            if not _is_damage(exc):
                raise
            self._make_new(str(exc))

    def _connect(self) -> None:
        """Open both connections, making the tables where there are none."""
        self._ids = {}
        self._writing = _connection(self._path)
        try:
            found = self._writing.execute("pragma user_version").fetchone()[0]
            tables = self._writing.execute("select count(*) from sqlite_master").fetchone()[0]
            if tables and found != FORMAT:
                raise _Foreign(f"format {found}, this program writes {FORMAT}")
            self._writing.execute("pragma journal_mode = wal")
            self._writing.execute("pragma synchronous = normal")
            self._writing.execute("pragma secure_delete = on")  # a recalled text leaves the disk
            if not tables:
                self._writing.executescript(f"begin; {SCHEMA} commit;")
            self._writing.execute("select pos from feed").fetchone()[0]
            self._reading = _connection(self._path)
            self._reading.execute("pragma query_only = on")
            self._reading.execute("pragma cache_size = -16384")  # 16 MiB
            self._reading.set_progress_handler(self._too_long, PROGRESS_STEPS)
        except BaseException:
            self._writing.close()
            raise

    def _make_new(self, why: str) -> None:
        logger.warning(
            "search index made new, to be filled from the feed", path=str(self._path), why=why
        )
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        self._connect()

    def _mend(self, why: str) -> None:
        """In the writing thread: throw the file away."""
        self._reader.submit(self._reading.close).result()
        self._writing.close()
        self._make_new(why)
        self._damaged = False

    # -- writing ---------------------------------------------------------------------------------

    def _position(self) -> int:
        if self._damaged:
            self._mend("damaged")
        return self._saved()

    def _saved(self) -> int:
        row: tuple[int] = self._writing.execute("select pos from feed").fetchone()
        return row[0]

    def _index(self, items: Sequence[tuple[int, LogId, Seq, str]], pos: int) -> None:
        if self._damaged:
            self._mend("damaged")
            raise StoreDown("the search index was damaged and starts again from 0")
        db = self._writing
        db.execute("begin immediate")
        try:
            saved = self._saved()
            for at, log_id, seq, text in items:
                if at > saved:
                    self._put(at, log_id, seq, text)
            db.execute("update feed set pos = max(pos, ?)", (pos,))
            db.execute("commit")
        except BaseException:
            self._ids = {}  # may hold ids that are rolled back
            if db.in_transaction:
                db.execute("rollback")
            raise

    def _put(self, pos: int, log_id: LogId, seq: Seq, text: str) -> None:
        db = self._writing
        place = (self._log(log_id), seq)
        if db.execute("select 1 from erased where (log, seq) = (?, ?)", place).fetchone():
            return
        row = db.execute("select pos, words from messages where (log, seq) = (?, ?)", place)
        if (old := row.fetchone()) is not None:
            pos = old[0]
            self._gram(log_id, pos, old[1], remove=True)
        if not text:
            db.execute("delete from messages where pos = ?", (pos,))
            db.execute("insert into erased values (?, ?)", place)
            return
        words = normal(text)
        if old is None:
            db.execute("insert into messages values (?, ?, ?, ?)", (pos, *place, words))
        else:
            db.execute("update messages set words = ? where pos = ?", (words, pos))
        self._gram(log_id, pos, words)

    def _gram(self, log_id: LogId, pos: int, words: str, *, remove: bool = False) -> None:
        """Add a message's row of grams, or take away exactly what was added."""
        marks = f"{_tenant_mark(self._tenant(log_id))} {_log_mark(self._log(log_id))}"
        row = (pos, f"{marks} {' '.join(grams(words))}")
        if remove:
            self._writing.execute(
                "insert into grams (grams, rowid, words) values ('delete', ?, ?)", row
            )
        else:
            self._writing.execute("insert into grams (rowid, words) values (?, ?)", row)

    def _tenant(self, log_id: LogId) -> int:
        tenant = tenant_of(log_id)
        if (known := self._ids.get(tenant)) is not None:
            return known
        self._writing.execute(
            "insert into tenants (tenant) values (?) on conflict do nothing", (tenant,)
        )
        return self._learn("select id from tenants where tenant = ?", tenant)

    def _log(self, log_id: LogId) -> int:
        if (known := self._ids.get(log_id)) is not None:
            return known
        self._writing.execute(
            "insert into logs (log, tenant) values (?, ?) on conflict do nothing",
            (log_id, self._tenant(log_id)),
        )
        return self._learn("select id from logs where log = ?", log_id)

    def _learn(self, sql: str, name: str) -> int:
        row: tuple[int] = self._writing.execute(sql, (name,)).fetchone()
        if len(self._ids) > 50_000:  # a memo, not a list of all logs
            self._ids = {}
        self._ids[name] = row[0]  # a tenant's name has no slash, a log's has two
        return row[0]

    # -- reading ---------------------------------------------------------------------------------

    def _find(
        self, tenant: TenantId, words: list[str], log_id: LogId | None, before: int, limit: int
    ) -> list[Hit]:
        self._deadline = time.monotonic() + self._most_seconds
        mark = self._mark(tenant, log_id)
        if mark is None or before <= 0 or limit <= 0:
            return []
        wanted = sorted({gram for word in words for gram in needles(word)})
        match = " ".join(f'"{gram}"' for gram in [mark, *wanted])  # grams hold no quote: see words
        look = [word for word in words if needs_look(word)]
        sql = (
            "select m.pos, l.log, m.seq from grams g"
            " cross join messages m on m.pos = g.rowid cross join logs l on l.id = m.log"
            f" where g.grams match ? and g.rowid < ?{' and instr(m.words, ?)' * len(look)}"
            " order by g.rowid desc limit ?"
        )
        values = (match, min(before, 2**63 - 1), *look, limit)
        return [Hit(*row) for row in self._reading.execute(sql, values)]

    def _mark(self, tenant: TenantId, log_id: LogId | None) -> str | None:
        """The word that all rows of this place have; None = nothing was ever indexed there."""
        if log_id is None:
            sql, name, mark = "select id from tenants where tenant = ?", str(tenant), _tenant_mark
        elif tenant_of(log_id) == tenant:
            sql, name, mark = "select id from logs where log = ?", str(log_id), _log_mark
        else:
            return None
        row = self._reading.execute(sql, (name,)).fetchone()
        return None if row is None else mark(row[0])

    def _too_long(self) -> bool:
        return time.monotonic() > self._deadline


class _Foreign(sqlite3.DatabaseError):
    """The file is sound, but not of this format."""


def _connection(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)


def _is_damage(exc: sqlite3.Error) -> bool:
    code = getattr(exc, "sqlite_errorcode", 0) & 0xFF  # the low byte: CORRUPT_VTAB is CORRUPT
    return isinstance(exc, _Foreign) or code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


# Marks have four characters or more, grams at most three: they never meet.


def _tenant_mark(number: int) -> str:
    return f"tenant{number}"


def _log_mark(number: int) -> str:
    return f"log{number}"
