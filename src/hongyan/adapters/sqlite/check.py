"""What `hongyan doctor` looks at: everything the store keeps twice must agree, nothing be loose.

Reads only. Takes time in proportion to the file; the server may go on meanwhile.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec

from hongyan.adapters.sqlite import inbox
from hongyan.adapters.sqlite.files import open_for_reading, pending
from hongyan.adapters.sqlite.places import at, between


class Fault(msgspec.Struct, frozen=True):
    """Something that should not be. `what` names the kind of fault, `detail` the place."""

    what: str
    log: str
    detail: str


# Each gives (log, detail) of what is wrong.
_NAME = "coalesce((SELECT log FROM logs WHERE lid=x.lid), 'log number ' || x.lid)"
_FAULTS = {
    "seqs": f"""
        SELECT {_NAME}, n || ' entries in [' || floor || ', ' || head || '], from '
            || coalesce(low, '-') || ' to ' || coalesce(high, '-')
        FROM (SELECT h.lid, h.floor, h.head, count(e.seq) AS n, min(e.seq) AS low,
                max(e.seq) AS high
            FROM heads h LEFT JOIN entries e ON e.lid=h.lid GROUP BY h.lid) x
        WHERE n<>head-floor+1 OR (n AND (low<>floor OR high<>head))""",
    "place": f"""
        SELECT {_NAME}, 'seq ' || seq || ' is said to stand at ' || coalesce(said, '-')
            || ', not ' || coalesce(pos, '-')
        FROM (SELECT e.lid, e.seq, e.pos, {at("e.lid", "e.seq")} AS said FROM entries e
            UNION ALL
            SELECT p.lid, p.seq, (SELECT pos FROM entries e
                WHERE e.pos=p.pos AND e.lid=p.lid AND e.seq=p.seq), p.pos
            FROM (SELECT * FROM places UNION ALL SELECT * FROM places_new) p) x
        WHERE pos IS NOT said""",
    "ord": f"""
        SELECT {_NAME}, 'seq ' || seq || ' has ord ' || ord || ', not ' || want
        FROM (SELECT e.lid, e.seq, e.ord, h.floor_ord
                + sum(e.count) OVER (PARTITION BY e.lid ORDER BY e.seq) AS want
            FROM entries e JOIN heads h ON h.lid=e.lid) x
        WHERE ord<>want""",
    "head": f"""
        SELECT {_NAME}, 'ord ' || ord || ', newest countable ' || counted || ', not '
            || want || ' and ' || newest
        FROM (SELECT h.lid, h.ord, h.counted,
                coalesce((SELECT ord FROM entries WHERE pos={at("h.lid", "h.head")}),
                    h.floor_ord) AS want, coalesce(newest, h.counted) AS newest
            FROM heads h LEFT JOIN (SELECT lid, max(seq) AS newest FROM entries WHERE count
                GROUP BY lid) USING (lid)) x
        WHERE ord<>want OR counted<>newest""",
    "members": f"""
        SELECT {_NAME}, count || ' members on record, ' || n || ' in the list'
        FROM (SELECT h.lid, h.count,
                (SELECT count(*) FROM members m WHERE m.lid=h.lid AND m.role>0) AS n
            FROM heads h) x
        WHERE count<>n""",
    "position": f"""
        SELECT {_NAME}, ukey || ': ' || what || ' ' || seq || ' has ord ' || ord || ', not ' || want
        FROM (SELECT p.*, coalesce((SELECT ord FROM entries WHERE pos={at("p.lid", "p.seq")}),
                iif(p.seq=0, 0, h.floor_ord)) AS want, h.floor
            FROM (
                SELECT lid, ukey, 'join' AS what, since-1 AS seq, since_ord AS ord FROM members
                UNION ALL SELECT lid, ukey, 'leave', until, until_ord FROM members
                UNION ALL SELECT lid, ukey, 'read', read, read_ord FROM members
                UNION ALL SELECT lid, ukey, 'sent', sent, sent_ord FROM members
                UNION ALL SELECT lid, ukey, 'deletion', cleared, cleared_ord FROM members
            ) p JOIN heads h ON h.lid=p.lid) x
        WHERE ord<>want AND (seq=0 OR seq>=floor)""",
    "cursor": f"""
        SELECT {_NAME}, ukey || ' is beyond what may be read'
        FROM (SELECT m.*, iif(m.role, h.head, m.until) AS top
            FROM members m JOIN heads h ON h.lid=m.lid) x
        WHERE read>top OR delivered<read""",
    "inbox": f"""
        SELECT {_NAME}, ukey || ': useq ' || useq || ' twice'
        FROM (SELECT min(lid) AS lid, ukey, useq FROM members WHERE useq>0
            GROUP BY ukey, useq HAVING count(*)>1) x""",
    "op": f"""
        SELECT {_NAME}, 'op ' || op || ' of ' || sender || ' covers ' || first || ' to ' || last
        FROM (SELECT o.*, h.head FROM
            (SELECT * FROM ops UNION ALL SELECT * FROM ops_new) o JOIN heads h ON h.lid=o.lid) x
        WHERE last>head OR first>last+1""",
    "erased": f"""
        SELECT {_NAME}, 'seq ' || seq || ' is erased but has a body'
        FROM (SELECT e.lid, e.seq FROM erased r JOIN entries e ON e.pos={at("r.lid", "r.seq")}
            WHERE e.body<>CAST('{{}}' AS BLOB)) x""",
    "orphan": f"""
        SELECT {_NAME}, what FROM (
            SELECT lid, 'log without head' AS what FROM logs
                WHERE lid NOT IN (SELECT lid FROM heads)
            UNION ALL SELECT lid, 'head without log' FROM heads
                WHERE lid NOT IN (SELECT lid FROM logs)
            UNION SELECT lid, 'entries without log' FROM entries
                WHERE lid NOT IN (SELECT lid FROM heads)
            UNION SELECT lid, 'ops without log' FROM ops WHERE lid NOT IN (SELECT lid FROM heads)
            UNION SELECT lid, 'ops without log' FROM ops_new
                WHERE lid NOT IN (SELECT lid FROM heads)
            UNION SELECT lid, 'members without log' FROM members
                WHERE lid NOT IN (SELECT lid FROM heads)
            UNION SELECT lid, 'mention of seq ' || seq FROM mentions m
                WHERE {at("m.lid", "m.seq")} IS NULL
        ) x""",
}


def check(path: Path) -> Iterator[Fault]:
    """Every fault of the data directory `path`, as found.

    Raises:
        StoreTooNew, StoreCorrupt, FileNotFoundError: it cannot be read at all.
    """
    db = open_for_reading(path)
    try:
        for (text,) in db.execute("PRAGMA integrity_check(100)"):
            if text != "ok":
                yield Fault("file", "", str(text))
        if pending(db):
            return  # the questions below are for the newest version
        for what, question in _FAULTS.items():
            for log, detail in db.execute(question):
                yield Fault(what, log, detail)
        yield from _unread(db)
    except sqlite3.DatabaseError as exc:  # too damaged to be read on
        yield Fault("file", "", str(exc))
    finally:
        db.close()


def _unread(db: sqlite3.Connection) -> Iterator[Fault]:
    """Compare what the inbox says with a count of the entries, for every member."""
    for (ukey,) in db.execute("SELECT DISTINCT ukey FROM members").fetchall():
        tenant, user = ukey.split("/", 1)
        for row in inbox.page(db, tenant, user, -1, 1 << 62, 1 << 62):
            (unread,) = db.execute(
                "SELECT count(*) FROM logs l JOIN members m ON m.lid=l.lid AND m.ukey=?2"
                f" JOIN entries e ON e.pos IN {between('l.lid', '1', '?3')}"
                " WHERE l.log=?1 AND e.count"
                " AND e.seq>max(m.since-1, m.cleared, m.read, m.sent)"
                " AND NOT EXISTS (SELECT 1 FROM erased r WHERE r.lid=e.lid AND r.seq=e.seq)"
                " AND NOT EXISTS (SELECT 1 FROM hidden y"
                "   WHERE y.lid=e.lid AND y.ukey=m.ukey AND y.seq=e.seq)",
                (row.log, ukey, row.head),
            ).fetchone()
            if unread != row.unread:
                detail = f"{ukey}: {row.unread} unread, {unread} counted"
                yield Fault("unread", row.log, detail)
