"""Inbox rows: one statement computes everything a conversation list shows of a log."""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec

from hongyan.adapters.sqlite.values import array
from hongyan.model.ids import DeviceId, LogId, OpId, Seq, UserId
from hongyan.model.log import Entry, InboxRow, Role

# top/bottom: the range this user may read. base: the position unread is counted from, with the
# countable entries up to it. All of it is a subtraction, less the few entries that were erased or
# hidden above base; `counted` spares a walk back over what is not countable. Sums of counts, not
# counts of a UNION or EXCEPT, for each of which SQLite makes a tree: 11 to 8 us a row. Without
# `likely` it walks over all amendments of the log: 400 us for 5,000 of them.
_VIEW = """
WITH mine AS (
    SELECT l.log, l.state, m.*, h.epoch, h.floor, h.count AS members, h.large AS is_large,
        iif(m.role, h.head, m.until) AS top,
        iif(m.role, h.ord, m.until_ord) AS top_ord,
        max(m.since, m.cleared + 1, h.floor) AS bottom,
        max(m.since - 1, m.cleared, h.floor - 1, m.read, m.sent) AS base,
        max(m.since_ord, m.cleared_ord, h.floor_ord, m.read_ord, m.sent_ord) AS base_ord,
        h.counted, l.log GLOB '*/d/*' AS direct
    FROM {source}
),
counts AS (
    SELECT mine.*,
        CASE WHEN top_ord > base_ord THEN top_ord - base_ord - (
            SELECT count(*) FROM erased x WHERE x.lid = mine.lid AND x.count
                AND x.seq > base AND x.seq <= top
        ) - (
            SELECT count(*) FROM hidden y WHERE y.lid = mine.lid AND y.ukey = mine.ukey AND y.count
                AND y.seq > base AND y.seq <= top AND NOT EXISTS (
                    SELECT 1 FROM erased x WHERE x.lid = y.lid AND x.seq = y.seq AND x.count)
        ) ELSE 0 END AS unread,
        CASE WHEN top > base THEN (
            SELECT count(*) FROM mentions n WHERE n.lid = mine.lid AND n.ukey = mine.ukey
                AND n.seq > base AND n.seq <= top AND n.sender <> {user} AND NOT EXISTS (
                    SELECT 1 FROM hidden y WHERE y.lid = n.lid AND y.ukey = mine.ukey
                        AND y.seq = n.seq)
        ) + (
            SELECT count(*) FROM mentions n WHERE n.lid = mine.lid AND n.ukey = '*'
                AND n.seq > base AND n.seq <= top AND n.sender <> {user} AND NOT EXISTS (
                    SELECT 1 FROM hidden y WHERE y.lid = n.lid AND y.ukey = mine.ukey
                        AND y.seq = n.seq)
                AND NOT EXISTS (
                    SELECT 1 FROM mentions o WHERE o.lid = n.lid AND o.ukey = mine.ukey
                        AND o.seq = n.seq)
        ) ELSE 0 END AS mentioned,
        CASE WHEN top_ord > 0 THEN coalesce({newest_of_new}, {newest_of_old}) END AS newest,
        CASE WHEN direct THEN (
            SELECT json_array(p.read, p.delivered) FROM members p
            WHERE p.lid = mine.lid AND p.ukey <> mine.ukey ORDER BY p.ukey LIMIT 1
        ) END AS peer
    FROM mine LIMIT -1  -- keeps SQLite from computing these again for each use: 23 to 17 us a row
)
SELECT c.log, c.useq, c.top, c.top_ord, c.unread, c.mentioned, c.role, c.since, c.read,
    c.delivered, c.epoch, c.floor, c.until, c.cleared, c.marked, c.mark, c.members, c.is_large,
    c.settings, c.state, c.peer,
    e.seq, e.type, e.sender, e.at, e.ord,
    coalesce((SELECT x.body FROM entries x WHERE x.lid = c.lid AND x.target = e.seq
        AND likely(x.target > 0) AND x.slot = 'edit' AND x.seq > e.seq AND x.seq <= c.top
        ORDER BY x.pos DESC LIMIT 1), e.body),
    e.count, e.target, e.slot, e.op, e.device
FROM counts c LEFT JOIN entries e ON e.pos = c.newest
"""
# The pos of the newest entry to show; rows in places_new are newer than those in places.
_NEWEST = """(
            SELECT e.pos FROM {table} z CROSS JOIN entries e ON e.pos = z.pos
            WHERE z.lid = mine.lid AND z.seq BETWEEN bottom AND min(top, counted) AND e.count
                AND NOT EXISTS (SELECT 1 FROM erased x WHERE x.lid = z.lid AND x.seq = z.seq)
                AND NOT EXISTS (SELECT 1 FROM hidden y WHERE y.lid = z.lid
                    AND y.ukey = mine.ukey AND y.seq = z.seq)
            ORDER BY z.seq DESC LIMIT 1
        )"""
_NEWEST_OF = {
    "newest_of_new": _NEWEST.format(table="places_new"),
    "newest_of_old": _NEWEST.format(table="places"),
}
_JOIN = "members m JOIN heads h ON h.lid = m.lid JOIN logs l ON l.lid = m.lid"
_PAGE = _VIEW.format(
    source=f"{_JOIN} WHERE m.ukey = ?1 AND m.useq > ?2 AND m.useq <= ?3 ORDER BY m.useq LIMIT ?4",
    user="?5",
    **_NEWEST_OF,
)
_SOME = _VIEW.format(
    source="json_each(?1) j CROSS JOIN logs l ON l.log = j.value"  # CROSS: in this order
    " CROSS JOIN members m ON m.lid = l.lid AND m.ukey = ?2 CROSS JOIN heads h ON h.lid = l.lid",
    user="?3",
    **_NEWEST_OF,
)
_peer = msgspec.json.Decoder(tuple[Seq, Seq]).decode
Raw = msgspec.Raw


def page(
    db: sqlite3.Connection, tenant: str, user: str, after: int, upto: int, limit: int
) -> list[InboxRow]:
    """Rows with after < useq <= upto, in rising useq."""
    values = (f"{tenant}/{user}", after, upto, limit, user)
    rows = [_row(found) for found in db.execute(_PAGE, values)]
    rows.sort(key=lambda row: row.useq)
    return rows


def some(db: sqlite3.Connection, tenant: str, user: str, logs: list[LogId]) -> list[InboxRow]:
    """The rows of these logs, in this order."""
    names = array(dict.fromkeys(logs))
    found = {row[0]: row for row in db.execute(_SOME, (names, f"{tenant}/{user}", user))}
    return [_row(found[log]) for log in logs if log in found]


def _row(v: tuple[Any, ...]) -> InboxRow:
    peer_read, peer_delivered = _peer(v[20]) if v[20] else (Seq(0), Seq(0))
    return InboxRow(
        log=v[0],
        useq=v[1],
        head=v[2],
        ord=v[3],
        unread=v[4],
        mentions=v[5],
        role=Role(v[6]),
        since=v[7],
        read=v[8],
        delivered=v[9],
        epoch=v[10],
        floor=v[11],
        until=v[12],
        cleared=v[13],
        marked=bool(v[14]),
        mark=v[15],
        count=v[16],
        large=bool(v[17]),
        settings=Raw(v[18]),
        state=Raw(v[19]),
        last=entry(v[21:]) if v[21] is not None else None,
        peer_read=peer_read,
        peer_delivered=peer_delivered,
    )


ENTRY_COLUMNS = "seq,type,sender,at,ord,body,count,target,slot,op,device"


def entry(v: tuple[Any, ...]) -> Entry:
    """An entry from its ENTRY_COLUMNS."""
    return Entry(
        seq=Seq(v[0]),
        type=v[1],
        sender=UserId(v[2]),
        at=v[3],
        ord=v[4],
        body=Raw(v[5]),
        count=bool(v[6]),
        target=Seq(v[7]),
        slot=v[8],
        op=OpId(v[9]),
        device=DeviceId(v[10]),
    )
