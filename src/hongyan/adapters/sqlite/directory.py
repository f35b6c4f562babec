"""The Directory port, in the file and through the writer of a SqliteStore."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec

from hongyan.adapters import logins
from hongyan.adapters.people import LAST, MOST_STARTS, asked, starts
from hongyan.adapters.sqlite.store import SqliteStore
from hongyan.adapters.sqlite.values import array
from hongyan.model.errors import Conflict
from hongyan.model.ids import DeviceId, TenantId, UserId
from hongyan.ports import ApiKey, Device, User

_USER_COLUMNS = ",".join(User.__struct_fields__)
_USER = f"SELECT {_USER_COLUMNS} FROM users"
_DEVICE = "SELECT device,cls,epoch,kicked,seen_at FROM devices WHERE tenant=? AND user=?"
_KEY = "SELECT id,tenant,digest,scopes,created_at,user FROM keys"
_scopes = msgspec.json.Decoder(tuple[str, ...]).decode


class SqliteDirectory:
    """See the port for every method."""

    def __init__(self, store: SqliteStore) -> None:
        """Live as long as `store`, which is closed by whoever made it."""
        self._ask = store.readers.ask
        self._quick = store.readers.quick
        self._put = store.writer.put

    async def user(self, tenant: TenantId, user: UserId) -> User | None:
        """See the port."""
        found = await self.users(tenant, [user])
        return found[0] if found else None

    async def users(self, tenant: TenantId, ids: Sequence[UserId]) -> list[User]:
        """See the port."""
        return await self._quick(_users, tenant, array(ids))

    async def list_users(
        self, tenant: TenantId, *, after: str = "", limit: int = 100
    ) -> list[User]:
        """See the port."""
        return await self._ask(_list_users, tenant, after, limit)

    async def find_users(self, tenant: TenantId, text: str, *, limit: int = 20) -> list[User]:
        """See the port."""
        wanted = asked(text)
        return await self._ask(_find_users, tenant, wanted, limit) if wanted else []

    async def put_user(self, user: User, *, create: bool = False) -> None:
        """See the port."""
        await self._put(partial(_put_user, user=user, create=create))

    async def admit(
        self, tenant: TenantId, user: UserId, device: Device, *, most: int, now_ms: int
    ) -> list[DeviceId]:
        """See the port."""
        act = partial(_admit, key=(tenant, user), device=device, most=most, now_ms=now_ms)
        evicted: list[DeviceId] = await self._put(act)
        return evicted

    async def devices(self, tenant: TenantId, user: UserId) -> list[Device]:
        """See the port."""
        return await self._ask(_devices, (tenant, user))

    async def revoke(self, tenant: TenantId, user: UserId, device: DeviceId) -> None:
        """See the port."""
        await self._put(partial(_revoke, key=(tenant, user), device=device))

    async def forget_devices(self, tenant: TenantId, user: UserId) -> None:
        """See the port."""
        await self._put(partial(_forget_devices, key=(tenant, user)))

    async def key(self, digest: bytes) -> ApiKey | None:
        """See the port."""
        found = await self._ask(_keys, f"{_KEY} WHERE digest=?", digest)
        return found[0] if found else None

    async def keys(self, tenant: TenantId) -> list[ApiKey]:
        """See the port."""
        return await self._ask(_keys, f"{_KEY} WHERE tenant=? ORDER BY id", tenant)

    async def put_key(self, key: ApiKey) -> None:
        """See the port."""
        await self._put(partial(_put_key, key=key))

    async def drop_key(self, tenant: TenantId, key_id: str) -> bool:
        """See the port."""
        dropped: bool = await self._put(partial(_drop_key, key=(tenant, key_id)))
        return dropped


def _user(v: tuple[Any, ...]) -> User:
    return User(
        tenant=v[0],
        user=v[1],
        name=v[2],
        avatar=v[3],
        admin=bool(v[4]),
        disabled=bool(v[5]),
        password=v[6],
        created_at=v[7],
        valid_from=v[8],
        made=v[9],
        erased=v[10],
    )


def _users(db: sqlite3.Connection, tenant: str, ids: str) -> list[User]:
    sql = f"{_USER} WHERE tenant=? AND user IN (SELECT value FROM json_each(?))"
    return [_user(v) for v in db.execute(sql, (tenant, ids))]


def _list_users(db: sqlite3.Connection, tenant: str, after: str, limit: int) -> list[User]:
    sql = f"{_USER} WHERE tenant=? AND user>? ORDER BY user LIMIT ?"
    return [_user(v) for v in db.execute(sql, (tenant, after, limit))]


def _find_users(db: sqlite3.Connection, tenant: str, wanted: list[str], limit: int) -> list[User]:
    found: dict[str, None] = {}
    for start in wanted:
        rows = db.execute(
            "SELECT user FROM people WHERE tenant=? AND start>=? AND start<? ORDER BY start, user"
            " LIMIT ?",
            (tenant, start, start + LAST, limit * MOST_STARTS),  # one may have them all
        )
        found.update(dict.fromkeys(user for (user,) in rows))
    chosen = list(found)[:limit]
    known = {user.user: user for user in _users(db, tenant, array(chosen))}
    return [known[UserId(user)] for user in chosen if user in known]


def _put_user(db: sqlite3.Connection, *, user: User, create: bool) -> None:
    before = _users(db, user.tenant, array([user.user]))
    if before and create:
        raise Conflict(f"user {user.user} exists")
    db.execute(
        f"INSERT OR REPLACE INTO users({_USER_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
        msgspec.structs.astuple(user),
    )
    old = {start for known in before for start in _starts(known)}
    new = set(_starts(user))
    rows = [(user.tenant, start, user.user) for start in old - new]
    db.executemany("DELETE FROM people WHERE tenant=? AND start=? AND user=?", rows)
    rows = [(user.tenant, start, user.user) for start in new - old]
    db.executemany("INSERT OR IGNORE INTO people(tenant,start,user) VALUES (?,?,?)", rows)


def _starts(user: User) -> list[str]:
    return [] if user.disabled else starts(user.user, user.name)


def _devices(db: sqlite3.Connection, key: tuple[str, str]) -> list[Device]:
    found = db.execute(f"{_DEVICE} ORDER BY epoch DESC, device DESC", key)
    return [Device(device=v[0], cls=v[1], epoch=v[2], kicked=v[3], seen_at=v[4]) for v in found]


def _admit(
    db: sqlite3.Connection, *, key: tuple[str, str], device: Device, most: int, now_ms: int
) -> list[DeviceId]:
    mine, losers = logins.admit(_devices(db, key), device, most=most, now_ms=now_ms)
    for row in (mine, *losers):
        _save(db, key, row)
    return [row.device for row in losers]


def _save(db: sqlite3.Connection, key: tuple[str, str], d: Device) -> None:
    db.execute(
        "INSERT OR REPLACE INTO devices(tenant,user,device,cls,epoch,kicked,seen_at)"
        " VALUES (?,?,?,?,?,?,?)",
        (*key, d.device, d.cls, d.epoch, d.kicked, d.seen_at),
    )


def _revoke(db: sqlite3.Connection, *, key: tuple[str, str], device: DeviceId) -> None:
    db.execute(
        "UPDATE devices SET kicked=max(kicked,epoch) WHERE tenant=? AND user=? AND device=?",
        (*key, device),
    )


def _forget_devices(db: sqlite3.Connection, *, key: tuple[str, str]) -> None:
    db.execute("DELETE FROM devices WHERE tenant=? AND user=?", key)


def _keys(db: sqlite3.Connection, sql: str, value: Any) -> list[ApiKey]:
    return [
        ApiKey(id=v[0], tenant=v[1], digest=v[2], scopes=_scopes(v[3]), created_at=v[4], user=v[5])
        for v in db.execute(sql, (value,))
    ]


def _put_key(db: sqlite3.Connection, *, key: ApiKey) -> None:
    db.execute(
        "INSERT OR REPLACE INTO keys(tenant,id,digest,scopes,created_at,user) VALUES (?,?,?,?,?,?)",
        (key.tenant, key.id, key.digest, array(key.scopes), key.created_at, key.user),
    )


def _drop_key(db: sqlite3.Connection, *, key: tuple[str, str]) -> bool:
    return db.execute("DELETE FROM keys WHERE tenant=? AND id=?", key).rowcount > 0
