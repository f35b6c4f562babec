"""What the read threads ask, and the threads."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from hongyan.adapters.sqlite.inbox import ENTRY_COLUMNS, entry
from hongyan.adapters.sqlite.places import at, between
from hongyan.adapters.sqlite.values import array, connect
from hongyan.model.errors import BadArgs, NoSuchLog, NotAMember, StoreDown
from hongyan.model.ids import LogId, Seq, UserId, tenant_of
from hongyan.model.log import EDIT, HIDDEN, Entry, LogInfo, Member, Receipt, Role
from hongyan.ports import FeedItem, Slice

BLANK = msgspec.Raw(b"{}")
T = TypeVar("T")
Question = tuple[Callable[..., Any], tuple[Any, ...], "asyncio.Future[Any]"]
MOST_TOGETHER = 64  # quick questions on one thread at a time


class Readers:
    """A few threads, each with its own read-only connection.

    A statement sees what was committed before it began; readers never wait for the writer.
    """

    def __init__(self, file: Path, threads: int) -> None:
        """Threads and connections come with the first questions."""
        self._file = file
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="hongyan-reader")
        self._local = threading.local()
        self._open: list[sqlite3.Connection] = []
        self._closed = False
        self._batch: list[Question] = []  # asked in this turn of the loop

    async def ask(self, question: Callable[..., T], *args: Any) -> T:
        """Run `question(db, *args)` on a thread.

        Raises:
            StoreDown: the file could not be read, or the store is closed.
            BadArgs: a number of the question is beyond 64 bits.
        """
        if self._closed:
            raise StoreDown("the store is closed")
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._pool, self._answer, question, args)
        except OverflowError:
            raise BadArgs("a number is out of range") from None
        except sqlite3.Error as exc:
            raise StoreDown(f"the store could not be read: {exc}") from exc

    def quick(self, question: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        """The same for a question that an index answers in microseconds: all of one turn of the
        loop go to a thread together, for the way there and back costs more than the answer.

        Raises what `ask` raises, when awaited.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        if self._closed:
            future.set_exception(StoreDown("the store is closed"))
            return future
        if not self._batch:
            loop.call_soon(self._hand_over, loop)
        self._batch.append((question, args, future))
        return future

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        batch, self._batch = self._batch, []
        for start in range(0, len(batch), MOST_TOGETHER):
            part = batch[start : start + MOST_TOGETHER]
            try:
                self._pool.submit(self._answer_all, loop, part)
            except RuntimeError:  # closed meanwhile
                _settle(part, [StoreDown("the store is closed")] * len(part))

    def _answer_all(self, loop: asyncio.AbstractEventLoop, part: list[Question]) -> None:
        answers: list[Any] = []
        for question, args, _ in part:
            try:
                answers.append(self._answer(question, args))
            except OverflowError:
                answers.append(BadArgs("a number is out of range"))
            except sqlite3.Error as exc:
                answers.append(StoreDown(f"the store could not be read: {exc}"))
            except Exception as exc:
                answers.append(exc)
        with contextlib.suppress(RuntimeError):  # the loop is gone, and with it whoever asked
            loop.call_soon_threadsafe(_settle, part, answers)

    def close(self) -> None:
        """Finish what runs, close the connections. Blocks. Idempotent."""
        self._closed = True
        self._pool.shutdown(wait=True)
        while self._open:
            self._open.pop().close()

    def _answer(self, question: Callable[..., T], args: tuple[Any, ...]) -> T:
        db: sqlite3.Connection | None = getattr(self._local, "db", None)
        if db is None:
            db = self._local.db = connect(self._file, writable=False)
            self._open.append(db)
        return question(db, *args)


def _settle(part: list[Question], answers: list[Any]) -> None:
    for (_, _, future), answer in zip(part, answers, strict=True):
        if future.done():  # cancelled by who asked
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)


def info(db: sqlite3.Connection, log: LogId) -> LogInfo | None:
    """See the port."""
    v = db.execute(
        "SELECT epoch, head, ord, floor, version, roster, count, large, created_at, state"
        " FROM logs JOIN heads USING (lid) WHERE log=?",
        (log,),
    ).fetchone()
    if v is None:
        return None
    return LogInfo(
        log=log,
        epoch=v[0],
        head=Seq(v[1]),
        ord=v[2],
        floor=Seq(v[3]),
        version=v[4],
        roster=v[5],
        count=v[6],
        large=bool(v[7]),
        created_at=v[8],
        state=v[9],
    )


_MEMBER = (
    "SELECT substr(ukey, ?1), role, since, until, muted_until, joined_at,"
    " coalesce(CAST(json_extract(CAST(settings AS TEXT), '$.nickname') AS TEXT), '')"
    " FROM members WHERE lid=(SELECT lid FROM logs WHERE log=?2)"
)


def member(db: sqlite3.Connection, log: LogId, user: UserId) -> Member | None:
    """See the port."""
    tenant = tenant_of(log)
    v = db.execute(f"{_MEMBER} AND ukey=?3", (len(tenant) + 2, log, f"{tenant}/{user}")).fetchone()
    return _member(v) if v else None


def members(db: sqlite3.Connection, log: LogId, after: str, limit: int, least: int) -> list[Member]:
    """See the port."""
    tenant = tenant_of(log)
    found = db.execute(
        f"{_MEMBER} AND ukey>?3 AND role>=?4 ORDER BY ukey LIMIT ?5",
        (len(tenant) + 2, log, f"{tenant}/{after}", least, limit),
    )
    return [_member(v) for v in found]


def _member(v: Sequence[Any]) -> Member:
    return Member(UserId(v[0]), Role(v[1]), Seq(v[2]), Seq(v[3]), *v[4:7])


_REACH = """
SELECT l.lid, m.ukey, max(m.since, m.cleared + 1, h.floor), iif(m.role, h.head, m.until), h.epoch
FROM logs l JOIN heads h ON h.lid=l.lid LEFT JOIN members m ON m.lid=l.lid AND m.ukey=?
WHERE l.log=?
"""


def read(
    db: sqlite3.Connection,
    log: LogId,
    user: UserId,
    low: Seq,
    high: Seq | None,
    limit: int,
    newest: bool,
) -> Slice:
    """See the port. Entries never change but to be blanked, so no snapshot is needed."""
    ukey = f"{tenant_of(log)}/{user}"
    reach = db.execute(_REACH, (ukey, log)).fetchone()
    if reach is None:
        raise NoSuchLog()
    lid, known, bottom, top, epoch = reach
    if known is None:
        raise NotAMember()
    first = max(low, bottom)
    last = top if high is None else min(high, top)
    whole = max(last - first + 1, 0)
    if newest:
        first = max(first, last - limit + 1)
    else:
        last = min(last, first + limit - 1)
    entries: list[Entry] = []
    amends: list[Entry] = []
    if whole and limit > 0:
        entries = _entries(db, lid, ukey, first, last)
        amends = _amends(db, lid, range(first, last + 1), last, top)
    return Slice(entries, amends, bottom, top, epoch, whole > len(entries))


def entries(db: sqlite3.Connection, log: LogId, low: Seq, high: Seq) -> list[Entry]:
    """See the port."""
    found = db.execute(
        "SELECT lid, max(floor, ?2), min(head, ?3) FROM logs JOIN heads USING (lid) WHERE log=?1",
        (log, low, high),
    ).fetchone()
    return _entries(db, found[0], "", found[1], found[2]) if found else []


def _entries(db: sqlite3.Connection, lid: int, ukey: str, first: int, last: int) -> list[Entry]:
    found = db.execute(
        f"SELECT {ENTRY_COLUMNS} FROM entries WHERE pos IN {between('?1', '?2', '?3')}"
        " ORDER BY seq",
        (lid, first, last),
    ).fetchall()
    entries = [entry(v) for v in found]
    hidden = db.execute(
        "SELECT seq FROM hidden WHERE lid=? AND ukey=? AND seq BETWEEN ? AND ?",
        (lid, ukey, first, last),
    ).fetchall()
    for (seq,) in hidden:
        entries[seq - first] = replace(entries[seq - first], type=HIDDEN, body=BLANK)
    return entries


def _amends(
    db: sqlite3.Connection, lid: int, targets: Sequence[int], above: int, top: int
) -> list[Entry]:
    """The newest entry in (above, top] per (target, slot) of these targets, in rising seq."""
    found = db.execute(
        f"SELECT {ENTRY_COLUMNS} FROM entries WHERE pos IN ("
        " SELECT max(pos) FROM entries WHERE lid=?1 AND target BETWEEN ?2 AND ?3 AND target>0"
        " AND seq<=?5 GROUP BY target, slot HAVING max(seq)>?4) ORDER BY seq",
        (lid, targets[0], targets[-1], above, top),
    ).fetchall()
    return [entry(v) for v in found]


def amended(db: sqlite3.Connection, log: LogId, targets: Sequence[Seq]) -> list[Entry]:
    """See the port."""
    found = db.execute(
        f"SELECT {ENTRY_COLUMNS} FROM entries WHERE pos IN ("
        "SELECT max(pos) FROM entries WHERE lid=(SELECT lid FROM logs WHERE log=?1)"
        " AND target IN (SELECT value FROM json_each(?2)) AND target>0 AND seq>target"
        " GROUP BY target, slot) ORDER BY seq",
        (log, array(targets)),
    ).fetchall()
    return [entry(v) for v in found]


_PICK = f"""
SELECT {",".join(f"e.{c}" for c in ENTRY_COLUMNS.split(","))},
    (SELECT x.body FROM entries x WHERE x.lid=e.lid AND x.target=e.seq AND likely(x.target>0)
        AND x.slot='{EDIT}' AND x.seq>e.seq AND x.seq<=iif(m.role, h.head, m.until)
        ORDER BY x.pos DESC LIMIT 1)
FROM logs l JOIN heads h ON h.lid=l.lid JOIN members m ON m.lid=l.lid AND m.ukey=?1
JOIN entries e ON e.pos={at("l.lid", "?2")}
WHERE l.log=?3
    AND e.seq BETWEEN max(m.since, m.cleared + 1, h.floor) AND iif(m.role, h.head, m.until)
    AND NOT EXISTS (SELECT 1 FROM erased x WHERE x.lid=e.lid AND x.seq=e.seq)
    AND NOT EXISTS (SELECT 1 FROM hidden y WHERE y.lid=e.lid AND y.ukey=m.ukey AND y.seq=e.seq)
"""


def pick(
    db: sqlite3.Connection, tenant: str, user: UserId, refs: Sequence[tuple[LogId, Seq]]
) -> list[tuple[LogId, Entry]]:
    """See the port."""
    found = []
    for log, seq in refs:
        v = db.execute(_PICK, (f"{tenant}/{user}", seq, log)).fetchone()
        if v is not None:
            picked = entry(v)
            found.append((log, replace(picked, body=msgspec.Raw(v[11])) if v[11] else picked))
    return found


def heads(db: sqlite3.Connection, tenant: str, user: str, after: int) -> list[tuple[LogId, Seq]]:
    """See the port."""
    found = db.execute(
        "SELECT l.log, iif(m.role, h.head, m.until) FROM ("
        " SELECT lid, role, until FROM members WHERE ukey=?1 AND useq>?2"
        " UNION SELECT lid, role, until FROM members WHERE ukey=?1 AND large=1 AND role>0"
        ") m JOIN heads h ON h.lid=m.lid JOIN logs l ON l.lid=m.lid",
        (f"{tenant}/{user}", after),
    ).fetchall()
    return [(log, Seq(head)) for log, head in found]


def large_logs(db: sqlite3.Connection, tenant: str, user: str) -> list[LogId]:
    """See the port."""
    found = db.execute(
        "SELECT log FROM members JOIN logs USING (lid) WHERE ukey=? AND large=1 AND role>0",
        (f"{tenant}/{user}",),
    ).fetchall()
    return [log for (log,) in found]


def receipts(
    db: sqlite3.Connection, log: LogId, users: Sequence[UserId] | None, limit: int
) -> list[Receipt]:
    """See the port."""
    tenant = tenant_of(log)
    sql = (
        "SELECT substr(ukey, ?1), delivered, read FROM members"
        " WHERE lid=(SELECT lid FROM logs WHERE log=?2) AND role>0"
    )
    if users is None:
        found = db.execute(f"{sql} ORDER BY ukey LIMIT ?3", (len(tenant) + 2, log, limit))
    else:
        keys = array(f"{tenant}/{user}" for user in users)
        found = db.execute(
            f"{sql} AND ukey IN (SELECT value FROM json_each(?3)) ORDER BY ukey",
            (len(tenant) + 2, log, keys),
        )
    return [Receipt(UserId(user), Seq(d), Seq(r)) for user, d, r in found]


def receipt_counts(db: sqlite3.Connection, log: LogId, seq: Seq) -> tuple[int, int]:
    """See the port."""
    found = db.execute(
        "SELECT total(delivered>=?1), total(read>=?1) FROM members"
        " WHERE lid=(SELECT lid FROM logs WHERE log=?2) AND role>0",
        (seq, log),
    ).fetchone()
    return int(found[0]), int(found[1])


def feed(db: sqlite3.Connection, after: int, limit: int) -> list[FeedItem]:
    """See the port."""
    columns = ",".join(f"e.{c}" for c in ENTRY_COLUMNS.split(","))
    found = db.execute(
        f"SELECT {columns}, e.pos, l.log FROM entries e JOIN logs l ON l.lid=e.lid"
        " WHERE e.pos>? ORDER BY e.pos LIMIT ?",
        (after, limit),
    ).fetchall()
    return [FeedItem(v[11], v[12], entry(v)) for v in found]


def feed_end(db: sqlite3.Connection) -> int:
    """See the port."""
    return int(db.execute("SELECT coalesce(max(pos),0) FROM entries").fetchone()[0])


def tail(db: sqlite3.Connection, log: str, after: int, limit: int) -> list[FeedItem]:
    """See the port."""
    found = db.execute("SELECT lid FROM logs WHERE log=?", (log,)).fetchone()
    if found is None:
        return []
    place = "SELECT seq,pos FROM {} WHERE lid=?1 AND seq>?2"
    rows = db.execute(
        f"SELECT {ENTRY_COLUMNS}, pos FROM entries WHERE pos IN (SELECT pos FROM ("
        f"{place.format('places')} UNION ALL {place.format('places_new')} ORDER BY seq LIMIT ?3))"
        " ORDER BY seq",
        (found[0], after, limit),
    ).fetchall()
    return [FeedItem(v[11], LogId(log), entry(v)) for v in rows]


def consumer(db: sqlite3.Connection, name: str) -> int:
    """See the port."""
    found = db.execute("SELECT pos FROM consumers WHERE name=?", (name,)).fetchone()
    return int(found[0]) if found else 0
