"""The Outlets port, in the file and through the writer of a SqliteStore."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
from msgspec.structs import astuple, replace

from hongyan.adapters.sqlite.store import SqliteStore
from hongyan.adapters.sqlite.values import array
from hongyan.model.errors import Conflict
from hongyan.model.ids import LogId, TenantId
from hongyan.model.outlets import Dead, Hold, Hook, Progress, Pull, Webhook

_encode = msgspec.json.Encoder().encode
_webhook = msgspec.json.Decoder(Webhook).decode
_progress = msgspec.json.Decoder(Progress).decode
_hook = msgspec.json.Decoder(Hook).decode
_pull = msgspec.json.Decoder(Pull).decode

_DEAD = "SELECT pos,log,seq,type,at,tries,error,replay FROM webhook_dead WHERE webhook=?"


class SqliteOutlets:
    """See the port for every method."""

    def __init__(self, store: SqliteStore) -> None:
        """Live as long as `store`, which is closed by whoever made it."""
        self._ask = store.readers.ask
        self._put = store.writer.put

    async def webhooks(self, tenant: TenantId | None = None) -> list[Webhook]:
        """See the port."""
        found = await self._ask(_data, "webhooks", tenant)
        return sorted(map(_webhook, found), key=lambda w: w.id)

    async def put_webhook(self, webhook: Webhook, *, pos: int | None = None) -> None:
        """See the port."""
        await self._put(partial(_put_webhook, webhook=webhook, pos=pos))

    async def drop_webhook(self, tenant: TenantId, webhook: str) -> bool:
        """See the port."""
        dropped: bool = await self._put(partial(_drop_webhook, key=(tenant, webhook)))
        return dropped

    async def progress(self, webhook: str) -> tuple[int, Progress]:
        """See the port."""
        return await self._ask(_get_progress, webhook)

    async def holds(self, webhook: str) -> list[Hold]:
        """See the port."""
        return await self._ask(_holds, webhook)

    async def settle(
        self,
        webhook: str,
        progress: Progress,
        *,
        pos: int | None = None,
        held: Sequence[Hold] = (),
        freed: Sequence[LogId] = (),
        dead: Sequence[Dead] = (),
        sent: Sequence[int] = (),
    ) -> None:
        """See the port."""
        # What changes while this waits belongs to the next call: everything is copied now.
        act = partial(
            _settle,
            webhook=webhook,
            data=_encode(progress),
            pos=pos,
            held=[(webhook, h.log, h.seq, h.tries, h.since, h.next_at) for h in held],
            freed=array(freed),
            dead=[(webhook, *astuple(letter)) for letter in dead],
            sent=array(sent),
        )
        await self._put(act)

    async def dead(
        self, webhook: str, *, after: int = 0, limit: int = 100, replay: bool = False
    ) -> list[Dead]:
        """See the port."""
        return await self._ask(_dead, webhook, after, limit, replay)

    async def count_dead(self, webhook: str) -> int:
        """See the port."""
        return await self._ask(_count_dead, webhook)

    async def ask_again(self, webhook: str, positions: Sequence[int] | None) -> int:
        """See the port."""
        wanted = None if positions is None else array(positions)
        marked: int = await self._put(partial(_ask_again, webhook=webhook, positions=wanted))
        return marked

    async def hooks(self, tenant: TenantId | None = None) -> list[Hook]:
        """See the port."""
        found = await self._ask(_data, "hooks", tenant)
        return sorted(map(_hook, found), key=lambda h: (h.created_at, h.id))

    async def put_hook(self, hook: Hook) -> None:
        """See the port."""
        await self._put(partial(_put_hook, hook=hook))

    async def drop_hook(self, tenant: TenantId, hook: str) -> bool:
        """See the port."""
        dropped: bool = await self._put(partial(_drop, table="hooks", key=(tenant, hook)))
        return dropped

    async def pulls(self, tenant: TenantId) -> list[Pull]:
        """See the port."""
        return await self._ask(_pulls, tenant, "")

    async def pull(self, tenant: TenantId, name: str) -> Pull | None:
        """See the port."""
        found = await self._ask(_pulls, tenant, name)
        return found[0] if found else None

    async def put_pull(self, pull: Pull) -> None:
        """See the port."""
        await self._put(partial(_put_pull, pull=pull))

    async def move_pull(self, tenant: TenantId, name: str, pos: int) -> int:
        """See the port."""
        moved: int = await self._put(partial(_move_pull, key=(tenant, name), pos=pos))
        return moved

    async def drop_pull(self, tenant: TenantId, name: str) -> bool:
        """See the port."""
        dropped: bool = await self._put(partial(_drop_pull, key=(tenant, name)))
        return dropped


def _data(db: sqlite3.Connection, table: str, tenant: str | None) -> list[bytes]:
    if tenant is None:
        return [v[0] for v in db.execute(f"SELECT data FROM {table}")]
    return [v[0] for v in db.execute(f"SELECT data FROM {table} WHERE tenant=?", (tenant,))]


def _put_webhook(db: sqlite3.Connection, *, webhook: Webhook, pos: int | None) -> None:
    key, data = (webhook.tenant, webhook.id), _encode(webhook)
    if pos is None:
        db.execute("UPDATE webhooks SET data=? WHERE tenant=? AND id=?", (data, *key))
    else:
        db.execute(
            "INSERT INTO webhooks(tenant,id,data,pos,progress) VALUES (?,?,?,?,?)",
            (*key, data, pos, _encode(Progress())),
        )


def _drop_webhook(db: sqlite3.Connection, *, key: tuple[str, str]) -> bool:
    if not _drop(db, table="webhooks", key=key):
        return False
    for table in ("webhook_holds", "webhook_dead"):
        db.execute(f"DELETE FROM {table} WHERE webhook=?", (key[1],))
    return True


def _drop(db: sqlite3.Connection, *, table: str, key: tuple[str, str]) -> bool:
    return db.execute(f"DELETE FROM {table} WHERE tenant=? AND id=?", key).rowcount > 0


def _get_progress(db: sqlite3.Connection, webhook: str) -> tuple[int, Progress]:
    found = db.execute("SELECT pos,progress FROM webhooks WHERE id=?", (webhook,)).fetchone()
    return (found[0], _progress(found[1])) if found else (0, Progress())


def _holds(db: sqlite3.Connection, webhook: str) -> list[Hold]:
    found = db.execute(
        "SELECT log,seq,tries,since,next_at FROM webhook_holds WHERE webhook=?", (webhook,)
    )
    return [Hold(log=v[0], seq=v[1], tries=v[2], since=v[3], next_at=v[4]) for v in found]


def _settle(
    db: sqlite3.Connection,
    *,
    webhook: str,
    data: bytes,
    pos: int | None,
    held: list[tuple[Any, ...]],
    freed: str,
    dead: list[tuple[Any, ...]],
    sent: str,
) -> None:
    known = db.execute(
        "UPDATE webhooks SET progress=?, pos=max(pos,coalesce(?,0)) WHERE id=?",
        (data, pos, webhook),
    )
    if not known.rowcount:
        return
    for row in held:
        db.execute("INSERT OR REPLACE INTO webhook_holds VALUES (?,?,?,?,?,?)", row)
    for letter in dead:
        db.execute("INSERT OR REPLACE INTO webhook_dead VALUES (?,?,?,?,?,?,?,?,?)", letter)
    for table, column, gone in (("holds", "log", freed), ("dead", "pos", sent)):
        if gone != "[]":
            db.execute(
                f"DELETE FROM webhook_{table} WHERE webhook=?"
                f" AND {column} IN (SELECT value FROM json_each(?))",
                (webhook, gone),
            )


def _dead(db: sqlite3.Connection, webhook: str, after: int, limit: int, replay: bool) -> list[Dead]:
    only = " AND replay=1" if replay else ""
    found = db.execute(
        f"{_DEAD} AND pos>?{only} ORDER BY pos LIMIT ?", (webhook, after, limit)
    ).fetchall()
    return [
        Dead(
            pos=v[0],
            log=v[1],
            seq=v[2],
            type=v[3],
            at=v[4],
            tries=v[5],
            error=v[6],
            replay=bool(v[7]),
        )
        for v in found
    ]


def _count_dead(db: sqlite3.Connection, webhook: str) -> int:
    sql = "SELECT count(*) FROM webhook_dead WHERE webhook=?"
    return int(db.execute(sql, (webhook,)).fetchone()[0])


def _ask_again(db: sqlite3.Connection, *, webhook: str, positions: str | None) -> int:
    sql = "UPDATE webhook_dead SET replay=1 WHERE webhook=?"
    if positions is None:
        return db.execute(sql, (webhook,)).rowcount
    return db.execute(
        f"{sql} AND pos IN (SELECT value FROM json_each(?))", (webhook, positions)
    ).rowcount


def _put_hook(db: sqlite3.Connection, *, hook: Hook) -> None:
    db.execute(
        "INSERT OR REPLACE INTO hooks(tenant,id,data) VALUES (?,?,?)",
        (hook.tenant, hook.id, _encode(hook)),
    )


def _pulls(db: sqlite3.Connection, tenant: str, name: str) -> list[Pull]:
    sql, values = "SELECT data,pos FROM pulls WHERE tenant=?", [tenant]
    if name:
        sql, values = f"{sql} AND name=?", [tenant, name]
    return [replace(_pull(v[0]), pos=v[1]) for v in db.execute(f"{sql} ORDER BY name", values)]


def _put_pull(db: sqlite3.Connection, *, pull: Pull) -> None:
    done = db.execute(
        "INSERT OR IGNORE INTO pulls(tenant,name,pos,data) VALUES (?,?,?,?)",
        (pull.tenant, pull.name, pull.pos, _encode(pull)),
    )
    if not done.rowcount:
        raise Conflict(f"consumer {pull.name} exists")


def _move_pull(db: sqlite3.Connection, *, key: tuple[str, str], pos: int) -> int:
    found = db.execute(
        "UPDATE pulls SET pos=max(pos,?) WHERE tenant=? AND name=? RETURNING pos", (pos, *key)
    ).fetchall()
    return int(found[0][0]) if found else -1


def _drop_pull(db: sqlite3.Connection, *, key: tuple[str, str]) -> bool:
    return db.execute("DELETE FROM pulls WHERE tenant=? AND name=?", key).rowcount > 0
