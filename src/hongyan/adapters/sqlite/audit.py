"""The Audit port, in the file and through the writer of a SqliteStore."""

from __future__ import annotations

import sqlite3
from functools import partial

import msgspec

from hongyan.adapters.sqlite.store import SqliteStore
from hongyan.model.ids import TenantId
from hongyan.ports import AuditEnd, AuditFilter, AuditLine

_COLUMNS = "tenant,at,actor,ip,action,target,outcome,detail"
MOST_FORGOTTEN = 5000  # in one write, so that calls do not wait for it


class SqliteAudit:
    """See the port for every method."""

    def __init__(self, store: SqliteStore) -> None:
        """Live as long as `store`, which is closed by whoever made it."""
        self._ask = store.readers.ask
        self._put = store.writer.put

    async def begin(self, line: AuditLine) -> int:
        """See the port."""
        line_id: int = await self._put(partial(_begin, line=line))
        return line_id

    async def end(self, line_id: int, end: AuditEnd) -> bool:
        """See the port."""
        ended: bool = await self._put(partial(_end, line_id=line_id, end=end))
        return ended

    async def page(
        self, tenant: TenantId, *, before: int, limit: int, only: AuditFilter
    ) -> list[AuditLine]:
        """See the port."""
        return await self._ask(_page, tenant, before, limit, only)

    async def forget(self, before: int) -> int:
        """See the port."""
        gone = 0
        while True:
            count: int = await self._put(partial(_forget, before=before))
            gone += count
            if count < MOST_FORGOTTEN:
                return gone


def _begin(db: sqlite3.Connection, *, line: AuditLine) -> int:
    done = db.execute(
        f"INSERT INTO audit({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?)",
        (
            line.tenant,
            line.at,
            line.actor,
            line.ip,
            line.action,
            line.target,
            line.outcome,
            bytes(line.detail).decode(),
        ),
    )
    assert done.lastrowid is not None
    return done.lastrowid


def _end(db: sqlite3.Connection, *, line_id: int, end: AuditEnd) -> bool:
    done = db.execute(
        "UPDATE audit SET target=?, outcome=?, detail=? WHERE id=? AND outcome=-1",
        (end.target, end.outcome, bytes(end.detail).decode(), line_id),
    )
    return done.rowcount > 0


def _page(
    db: sqlite3.Connection, tenant: str, before: int, limit: int, only: AuditFilter
) -> list[AuditLine]:
    where, values = ["tenant=?", "id<?"], [tenant, before]
    for column, value in (("actor", only.actor), ("target", only.target)):
        if value:
            where.append(f"{column}=?")
            values.append(value)
    if only.action:
        where.append("substr(action, 1, length(?))=?")
        values += [only.action, only.action]
    if only.since:
        where.append("at>=?")
        values.append(only.since)
    if only.until:
        where.append("at<?")
        values.append(only.until)
    found = db.execute(
        f"SELECT id,{_COLUMNS} FROM audit WHERE {' AND '.join(where)} ORDER BY id DESC LIMIT ?",
        (*values, limit),
    )
    return [
        AuditLine(
            id=v[0],
            tenant=v[1],
            at=v[2],
            actor=v[3],
            ip=v[4],
            action=v[5],
            target=v[6],
            outcome=v[7],
            detail=msgspec.Raw(v[8].encode()),
        )
        for v in found
    ]


def _forget(db: sqlite3.Connection, *, before: int) -> int:
    return db.execute(
        "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at<? LIMIT ?)",
        (before, MOST_FORGOTTEN),
    ).rowcount
