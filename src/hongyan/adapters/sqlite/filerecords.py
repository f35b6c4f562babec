"""The FileRecords port, in the file and through the writer of a SqliteStore.

What lets a file go is decided inside the writer's transaction, beside all commits: an entry is
either brought by the consumer, or it stands in the tail of the feed that is looked at here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial
from typing import Any

from hongyan.adapters.sqlite.store import SqliteStore
from hongyan.adapters.sqlite.values import array
from hongyan.model.errors import Full, TooFast
from hongyan.model.files import ENDED, PROCESSING, UPLOADING, File, FileTotals, Quota, Refs, Upload
from hongyan.model.ids import LogId, Seq, TenantId, tenant_of
from hongyan.ports import Loose

TAIL = 1000  # entries that the consumer may lag behind while files are let go
TAIL_BYTES = 8 * 1024 * 1024  # of them
HOUR_MS = 3_600_000

_UPLOAD = (
    "SELECT id,tenant,user,size,at,name,media_type,state,result,created_at,expires_at FROM uploads"
)


class SqliteFileRecords:
    """See the port for every method."""

    def __init__(self, store: SqliteStore) -> None:
        """Live as long as `store`, which is closed by whoever made it."""
        self._ask = store.readers.ask
        self._put = store.writer.put

    async def begin(self, upload: Upload, quota: Quota) -> None:
        """See the port."""
        await self._put(partial(_begin, upload=upload, quota=quota))

    async def upload(self, upload: str) -> Upload | None:
        """See the port."""
        found = await self._ask(_uploads, f"{_UPLOAD} WHERE id=?", (upload,))
        return found[0] if found else None

    async def advance(self, upload: str, offset: int, expires_at: int) -> None:
        """See the port."""
        sql = (
            "UPDATE uploads SET at=max(at,?2), expires_at=max(expires_at,?3)"
            f" WHERE id=?1 AND state='{UPLOADING}'"
        )
        await self._put(partial(_do, sql=sql, values=(upload, offset, expires_at)))

    async def settle(self, upload: str, state: str, result: bytes, expires_at: int) -> None:
        """See the port."""
        sql = (
            "UPDATE uploads SET state=?2, result=?3, expires_at=?4"
            f" WHERE id=?1 AND state<>'{ENDED}'"
        )
        await self._put(partial(_do, sql=sql, values=(upload, state, result, expires_at)))

    async def uploads(self, states: Sequence[str], *, before: int, limit: int) -> list[Upload]:
        """See the port."""
        sql = (
            f"{_UPLOAD} WHERE expires_at<?2 AND state IN (SELECT value FROM json_each(?1))"
            " ORDER BY expires_at, id LIMIT ?3"
        )
        return await self._ask(_uploads, sql, (array(states), before, limit))

    async def forget(self, uploads: Sequence[str]) -> None:
        """See the port."""
        sql = "DELETE FROM uploads WHERE id IN (SELECT value FROM json_each(?))"
        await self._put(partial(_do, sql=sql, values=(array(uploads),)))

    async def hold(self, files: Sequence[File], now_ms: int) -> None:
        """See the port."""
        await self._put(partial(_hold, files=files, now_ms=now_ms))

    async def file(self, tenant: TenantId, digest: str) -> File | None:
        """See the port."""
        return await self._ask(_file, tenant, digest)

    async def refer(self, refs: Sequence[Refs]) -> None:
        """See the port."""
        await self._put(partial(_refer, refs=refs))

    async def refs(self, tenant: TenantId, digest: str) -> list[tuple[LogId, Seq]]:
        """See the port."""
        return await self._ask(_refs, tenant, digest)

    async def loose(self, *, before: int, after: tuple[int, str, str], limit: int) -> list[Loose]:
        """See the port."""
        return await self._ask(_loose, before, after, limit)

    async def let_go(self, files: Sequence[Loose], *, consumer: str) -> list[str]:
        """See the port. Nothing goes while the consumer lags by more than TAIL entries."""
        gone: list[str] = await self._put(partial(_let_go, files=files, consumer=consumer))
        return gone

    async def drops(self, limit: int) -> list[str]:
        """See the port."""
        return await self._ask(_drops, limit)

    async def dropped(self, digests: Sequence[str]) -> None:
        """See the port."""
        sql = "DELETE FROM file_drops WHERE digest IN (SELECT value FROM json_each(?))"
        await self._put(partial(_do, sql=sql, values=(array(digests),)))

    async def totals(self) -> FileTotals:
        """See the port."""
        return await self._ask(totals)


def _do(db: sqlite3.Connection, *, sql: str, values: tuple[Any, ...]) -> None:
    db.execute(sql, values)


def _begin(db: sqlite3.Connection, *, upload: Upload, quota: Quota) -> None:
    used = f"iif(state='{ENDED}', at, size)"
    open_now, made, mine = db.execute(
        f"SELECT total(state IN ('{UPLOADING}','{PROCESSING}')), total(created_at>?3),"
        f" total(iif(created_at>?3, {used}, 0)) FROM uploads WHERE tenant=?1 AND user=?2",
        (upload.tenant, upload.user, quota.since),
    ).fetchone()
    all_of_them = 0
    if quota.tenant_bytes:  # looks at every upload of the day: only where it is asked for
        (all_of_them,) = db.execute(
            f"SELECT total({used}) FROM uploads WHERE tenant=? AND created_at>?",
            (upload.tenant, quota.since),
        ).fetchone()
    if open_now >= quota.open:
        raise Full(f"a user has at most {quota.open} uploads that are not finished")
    if made >= quota.count:
        raise TooFast(
            f"a user begins at most {quota.count} uploads within 24 hours",
            retry_after_ms=HOUR_MS,
        )
    for before, most, whose in (
        (mine, quota.user_bytes, "this user"),
        (all_of_them, quota.tenant_bytes, "this tenant"),
    ):
        if most and before + upload.size > most:
            raise TooFast(
                f"{whose} may upload {most} bytes within 24 hours", retry_after_ms=HOUR_MS
            )
    u = upload
    db.execute(
        "INSERT INTO uploads(id,tenant,user,size,at,name,media_type,state,result,created_at,"
        "expires_at) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
        (
            *(u.id, u.tenant, u.user, u.size, u.offset, u.name, u.media_type, u.state, u.result),
            *(u.created_at, u.expires_at),
        ),
    )


def _uploads(db: sqlite3.Connection, sql: str, values: tuple[Any, ...]) -> list[Upload]:
    return [
        Upload(
            id=v[0],
            tenant=v[1],
            user=v[2],
            size=v[3],
            offset=v[4],
            name=v[5],
            media_type=v[6],
            state=v[7],
            result=bytes(v[8]),
            created_at=v[9],
            expires_at=v[10],
        )
        for v in db.execute(sql, values)
    ]


def _hold(db: sqlite3.Connection, *, files: Sequence[File], now_ms: int) -> None:
    for f in files:
        db.execute(
            "INSERT INTO files(tenant,digest,size,media_type,touched_at) VALUES (?,?,?,?,?)"
            " ON CONFLICT(tenant,digest) DO UPDATE SET size=excluded.size,"
            " media_type=excluded.media_type, touched_at=max(touched_at,excluded.touched_at)",
            (f.tenant, f.digest, f.size, f.media_type, now_ms),
        )
        db.execute("DELETE FROM file_drops WHERE digest=?", (f.digest,))


def _file(db: sqlite3.Connection, tenant: str, digest: str) -> File | None:
    v = db.execute(
        "SELECT size, media_type FROM files WHERE tenant=? AND digest=?", (tenant, digest)
    ).fetchone()
    return None if v is None else File(TenantId(tenant), digest, v[0], v[1])


def _refer(db: sqlite3.Connection, *, refs: Sequence[Refs]) -> None:
    for ref in refs:
        db.execute("DELETE FROM file_refs WHERE log=? AND seq=?", (ref.log, ref.seq))
        if ref.erases:
            db.execute("DELETE FROM file_refs WHERE log=? AND seq=?", (ref.log, ref.target))
            db.execute(
                "DELETE FROM file_refs WHERE log=? AND target=? AND target>0", (ref.log, ref.target)
            )
        db.executemany(
            "INSERT OR REPLACE INTO file_refs(tenant,digest,log,seq,target) VALUES (?,?,?,?,?)",
            [(tenant_of(ref.log), d, ref.log, ref.seq, ref.target) for d in ref.digests],
        )


def _refs(db: sqlite3.Connection, tenant: str, digest: str) -> list[tuple[LogId, Seq]]:
    found = db.execute(
        "SELECT log, seq FROM file_refs WHERE tenant=? AND digest=? ORDER BY log, seq",
        (tenant, digest),
    )
    return [(LogId(log), Seq(seq)) for log, seq in found]


_UNUSED = (
    "NOT EXISTS (SELECT 1 FROM file_refs r WHERE r.tenant=f.tenant AND r.digest=f.digest)"
    " AND NOT EXISTS (SELECT 1 FROM users u WHERE u.tenant=f.tenant AND u.avatar=f.digest"
    " AND u.avatar<>'')"
)


def _loose(
    db: sqlite3.Connection, before: int, after: tuple[int, str, str], limit: int
) -> list[Loose]:
    found = db.execute(
        "SELECT touched_at, tenant, digest FROM files f WHERE touched_at<?"
        f" AND (touched_at,tenant,digest)>(?,?,?) AND {_UNUSED}"
        " ORDER BY touched_at, tenant, digest LIMIT ?",
        (before, *after, limit),
    )
    return [Loose(at, TenantId(tenant), digest) for at, tenant, digest in found]


def _let_go(db: sqlite3.Connection, *, files: Sequence[Loose], consumer: str) -> list[str]:
    (seen,) = db.execute(
        "SELECT coalesce((SELECT pos FROM consumers WHERE name=?),0)", (consumer,)
    ).fetchone()
    count, size = db.execute(
        "SELECT count(*), total(length(body)) FROM (SELECT body FROM entries WHERE pos>? LIMIT ?)",
        (seen, TAIL + 1),
    ).fetchone()
    if count > TAIL or size > TAIL_BYTES:
        return []
    found = db.execute("SELECT body FROM entries WHERE pos>?", (seen,))
    tail = b"\n".join(bytes(body) for (body,) in found)
    gone = []
    for loose in files:
        if loose.digest.encode() in tail:
            continue
        done = db.execute(
            f"DELETE FROM files AS f WHERE tenant=? AND digest=? AND touched_at=? AND {_UNUSED}",
            (loose.tenant, loose.digest, loose.touched_at),
        )
        held = db.execute("SELECT 1 FROM files WHERE digest=?", (loose.digest,)).fetchone()
        if done.rowcount and held is None:
            db.execute("INSERT OR IGNORE INTO file_drops VALUES (?)", (loose.digest,))
            gone.append(loose.digest)
    return gone


def _drops(db: sqlite3.Connection, limit: int) -> list[str]:
    return [d for (d,) in db.execute("SELECT digest FROM file_drops LIMIT ?", (limit,))]


def totals(db: sqlite3.Connection) -> FileTotals:
    """Counts over all tenants; the bytes of what is kept once are counted once."""
    files, size = db.execute(
        "SELECT count(*), coalesce(sum(size),0) FROM (SELECT max(size) size FROM files"
        " GROUP BY digest)"
    ).fetchone()
    (refs,) = db.execute("SELECT count(*) FROM file_refs").fetchone()
    uploads, here = db.execute(
        "SELECT count(*), coalesce(sum(at),0) FROM uploads"
        f" WHERE state IN ('{UPLOADING}','{PROCESSING}')"
    ).fetchone()
    (drops,) = db.execute("SELECT count(*) FROM file_drops").fetchone()
    return FileTotals(files, size, refs, uploads, here, drops)
