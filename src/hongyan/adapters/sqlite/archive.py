"""The Archive port, in the file and through the writer of a SqliteStore."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial

import msgspec

from hongyan.adapters.sqlite.store import SqliteStore
from hongyan.model.ids import LogId, TenantId, UserId
from hongyan.ports import Kept, Mark

MOST_AT_ONCE = 200  # rows of one write, so that calls do not wait for it
ROW = 200  # bytes of a row beside its body, about


class SqliteArchive:
    """See the port for every method."""

    def __init__(self, store: SqliteStore) -> None:
        """Live as long as `store`, which is closed by whoever made it."""
        self._ask = store.readers.ask
        self._put = store.writer.put

    async def add(self, items: Sequence[tuple[LogId, Kept]]) -> None:
        """See the port."""
        rows = [
            (log, i.epoch, i.off, i.at, i.media_ms, i.type, i.sender, bytes(i.body).decode())
            for log, i in items
        ]
        for start in range(0, len(rows), MOST_AT_ONCE):
            part = rows[start : start + MOST_AT_ONCE]
            await self._put(partial(_add, rows=part), sum(ROW + len(row[-1]) for row in part))

    async def remove(self, items: Sequence[tuple[LogId, int, int]]) -> int:
        """See the port."""
        gone: int = await self._put(partial(_remove, keys=list(items)))
        return gone

    async def remove_sender(self, tenant: TenantId, sender: UserId) -> int:
        """See the port."""
        where = "sender=? AND substr(log, 1, ?)=?"
        prefix = f"{tenant}/"
        return await self._drop(where, (sender, len(prefix), prefix))

    async def page(
        self, log: LogId, low: int, high: int, *, media: bool, after: Mark, limit: int
    ) -> list[Kept]:
        """See the port."""
        return await self._ask(_page, log, low, high, media, after, limit)

    async def forget(self, before: int) -> int:
        """See the port."""
        return await self._drop("at<?", (before,))

    async def _drop(self, where: str, values: tuple[object, ...]) -> int:
        gone = 0
        while True:
            count: int = await self._put(partial(_drop, where=where, values=values))
            gone += count
            if count < MOST_AT_ONCE:
                return gone


def _add(db: sqlite3.Connection, *, rows: Sequence[tuple[object, ...]]) -> None:
    db.executemany("INSERT OR IGNORE INTO live_archive VALUES (?,?,?,?,?,?,?,?)", rows)


def _remove(db: sqlite3.Connection, *, keys: list[tuple[LogId, int, int]]) -> int:
    sql = "DELETE FROM live_archive WHERE log=? AND epoch=? AND off=?"
    return sum(db.execute(sql, key).rowcount for key in keys)


def _drop(db: sqlite3.Connection, *, where: str, values: tuple[object, ...]) -> int:
    sql = (
        "DELETE FROM live_archive WHERE (log, epoch, off) IN"
        f" (SELECT log, epoch, off FROM live_archive WHERE {where} LIMIT {MOST_AT_ONCE})"
    )
    return db.execute(sql, values).rowcount


def _page(
    db: sqlite3.Connection, log: str, low: int, high: int, media: bool, after: Mark, limit: int
) -> list[Kept]:
    ms = "media" if media else "at"
    seen = "media>=0 AND" if media else ""  # as the index says, or it is not used
    found = db.execute(
        f"SELECT epoch,off,at,type,sender,body,media FROM live_archive WHERE {seen} log=?"
        f" AND {ms}>=? AND {ms}<? AND ({ms},epoch,off)>(?,?,?) ORDER BY {ms},epoch,off LIMIT ?",
        (log, low, high, *after, limit),
    )
    return [
        Kept(v[0], v[1], v[2], v[3], UserId(v[4]), msgspec.Raw(v[5].encode()), v[6]) for v in found
    ]
