"""What one user may read, in commit order: the feed cut to the user's logs.

The next entries of the feed are looked through first: for a receiver that listens that is all
there is, and of a busy user many are hits. If that is not enough, each log of the user is asked
where it stands: positions rise with the seq, so a binary search finds the place. Neither reads
what lies before `after`, and neither needs an index that commits would pay for.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from heapq import merge
from itertools import islice

from msgspec.structs import replace

from hongyan.adapters.sqlite.inbox import ENTRY_COLUMNS, entry
from hongyan.adapters.sqlite.places import at
from hongyan.adapters.sqlite.reading import BLANK, feed_end
from hongyan.adapters.sqlite.values import array
from hongyan.model.ids import LogId
from hongyan.model.log import HIDDEN
from hongyan.ports import FeedItem, UserFeed

NEAR = 512  # entries that are looked through, 0.7 ms at the most; see bench/receivers.py

_BOTTOM = "max(m.since, m.cleared + 1, h.floor)"
_TOP = "iif(m.role, h.head, m.until)"
_NEWEST = f"""
SELECT e.pos FROM entries e CROSS JOIN members m ON m.lid=e.lid AND m.ukey=?1
CROSS JOIN heads h ON h.lid=e.lid
WHERE e.pos>?2 AND e.pos<=?3 AND e.seq BETWEEN {_BOTTOM} AND {_TOP}
ORDER BY e.pos LIMIT ?4
"""
_REACH = f"""
SELECT m.lid, {_BOTTOM} AS low, {_TOP} AS high
FROM members m JOIN heads h ON h.lid=m.lid
WHERE m.ukey=?1 AND (?3='' OR m.lid=(SELECT lid FROM logs WHERE log=?3))
    AND low<=high AND {at("m.lid", _TOP)}>?2
"""
_PLACE = f"SELECT {at('?1', '?2')}"
_PLACES = """
SELECT pos, seq FROM places WHERE lid=?1 AND seq BETWEEN ?2 AND ?3
UNION ALL SELECT pos, seq FROM places_new WHERE lid=?1 AND seq BETWEEN ?2 AND ?3 ORDER BY seq
"""
_ENTRIES = f"""
SELECT {",".join(f"e.{c}" for c in ENTRY_COLUMNS.split(","))}, e.pos, l.log,
    EXISTS (SELECT 1 FROM hidden y WHERE y.lid=e.lid AND y.ukey=?1 AND y.seq=e.seq)
FROM entries e JOIN logs l ON l.lid=e.lid
WHERE e.pos IN (SELECT value FROM json_each(?2)) ORDER BY e.pos
"""


def user_feed(
    db: sqlite3.Connection, tenant: str, user: str, after: int, limit: int, log: LogId | None
) -> UserFeed:
    """See the port. What is committed meanwhile lies beyond `end`, so no snapshot is needed."""
    ukey, end = f"{tenant}/{user}", feed_end(db)
    if after >= end or limit < 1:
        return UserFeed([], min(after, end))
    found: list[int] = []
    near = after
    if log is None:
        near = min(end, after + NEAR)
        found = [pos for (pos,) in db.execute(_NEWEST, (ukey, after, near, limit))]
    if len(found) < limit and near < end:
        found += _by_logs(db, ukey, near, end, limit - len(found), log or "")
    items = []
    for v in db.execute(_ENTRIES, (ukey, array(found))):
        one = entry(v)
        items.append(
            FeedItem(v[11], v[12], replace(one, type=HIDDEN, body=BLANK) if v[13] else one)
        )
    return UserFeed(items, found[-1] if len(found) == limit else end)


def _by_logs(
    db: sqlite3.Connection, ukey: str, after: int, end: int, limit: int, log: str
) -> list[int]:
    """The first `limit` positions in (after, end] that the user may read."""
    reach = db.execute(_REACH, (ukey, after, log)).fetchall()
    chunk = 2 + 2 * limit // max(len(reach), 1)  # of each log: about what is wanted of it
    logs = [
        _positions(db, lid, _first_after(db, lid, low, high, after), high, end, chunk)
        for lid, low, high in reach
    ]
    return list(islice(merge(*logs), limit))


def _first_after(db: sqlite3.Connection, lid: int, low: int, high: int, after: int) -> int:
    """The lowest seq of [low, high] that stands after `after`; the one at `high` does."""
    while low < high:
        middle = (low + high) // 2
        pos = db.execute(_PLACE, (lid, middle)).fetchone()[0]
        if pos is not None and pos > after:
            high = middle
        else:
            low = middle + 1
    return low


def _positions(
    db: sqlite3.Connection, lid: int, low: int, high: int, end: int, chunk: int
) -> Iterator[int]:
    """Where the entries of a range stand, up to `end`; read as far as it is asked for."""
    while low <= high:
        for pos, _ in db.execute(_PLACES, (lid, low, min(high, low + chunk - 1))).fetchall():
            if pos > end:
                return
            yield pos
        low += chunk
