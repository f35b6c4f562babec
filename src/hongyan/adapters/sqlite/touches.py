"""Whose inbox rows already lie above their last sync, so need no further write.

A row is written once per sync of its user, however many entries follow. Which rows have been
written is known only here, in memory: it is derived, and forgetting it (a restart, a rollback, too
many users) costs nothing but writing a row once more.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Collection, Sequence

import msgspec

from hongyan.adapters.sqlite.values import array, run
from hongyan.model.ids import UserId

MOST = 500_000  # remembered (user, log) pairs; all are forgotten beyond that

_heads = msgspec.json.Decoder(list[tuple[str, int]]).decode

Wanted = tuple[str, int, Sequence[UserId]]  # tenant, lid, users
Done = tuple[tuple[UserId, int], ...]


class Touches:
    """Writes inbox rows, each at most once between two syncs of its user."""

    def __init__(self, most: int = MOST) -> None:
        """Remember at most `most` pairs."""
        self._most = most
        self._pairs = 0
        self._by_log: dict[int, set[UserId]] = {}
        self._by_user: defaultdict[str, set[int]] = defaultdict(set)

    def forget(self) -> None:
        """After a rollback: what was thought written is not."""
        self._pairs = 0
        self._by_log.clear()
        self._by_user.clear()

    def trim(self) -> None:
        """Between two groups: forget all when there is too much."""
        if self._pairs > self._most:
            self.forget()

    def claim(self, tenant: str, lid: int, users: Collection[UserId]) -> list[UserId]:
        """Those of `users` whose row of this log must be written now; from here on it counts as
        written, so the caller writes it in this transaction or calls `forget`."""
        done = self._by_log.get(lid)
        if done is None:
            done = self._by_log[lid] = set()
        elif done.issuperset(users):  # hot: nearly always, so no list is made
            return []
        fresh = sorted(set(users) - done)
        done.update(fresh)
        for user in fresh:
            self._by_user[f"{tenant}/{user}"].add(lid)
        self._pairs += len(fresh)
        return fresh

    def write(self, db: sqlite3.Connection, wanted: Sequence[Wanted]) -> list[Done]:
        """Give every claimed (user, log) the next useq of its user, in this order."""
        if not wanted:
            return []
        keys = {f"{tenant}/{user}" for tenant, _, users in wanted for user in users}
        found = db.execute(
            "SELECT json_group_array(json_array(value,"
            " (SELECT coalesce(max(useq),0) FROM members WHERE ukey=value))) FROM json_each(?)",
            (array(keys),),
        ).fetchone()[0]
        heads = dict(_heads(found))
        rows, done = [], []
        for tenant, lid, users in wanted:
            given = []
            for user in users:
                key = f"{tenant}/{user}"
                heads[key] += 1
                rows.append((lid, key, heads[key]))
                given.append((user, heads[key]))
            done.append(tuple(given))
        run(
            db,
            "WITH v(lid,ukey,useq) AS (VALUES",
            rows,
            ") UPDATE members SET useq=v.useq FROM v"
            " WHERE members.lid=v.lid AND members.ukey=v.ukey",
        )
        return done

    def sync(self, db: sqlite3.Connection, tenant: str, user: UserId) -> int:
        """Begin a sync of this user: forget the user's rows, give the head of the inbox."""
        key = f"{tenant}/{user}"
        for lid in self._by_user.pop(key, ()):
            self._by_log[lid].discard(user)
            self._pairs -= 1
        row = db.execute("SELECT coalesce(max(useq),0) FROM members WHERE ukey=?", (key,))
        return int(row.fetchone()[0])
