"""Cursors: many moves of a group in a few statements."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from hongyan.adapters.sqlite.logs import Logs
from hongyan.adapters.sqlite.places import at
from hongyan.adapters.sqlite.touches import Touches
from hongyan.adapters.sqlite.values import array, run
from hongyan.model.errors import NoSuchLog, NotAMember, Refusal
from hongyan.model.ids import LogId, Seq, UserId, tenant_of
from hongyan.model.log import Position
from hongyan.ports import Moved


class Move(msgspec.Struct, frozen=True, gc=False):
    """What one reader asked for."""

    log: LogId
    user: UserId
    read: int
    delivered: int
    mark: int


class _Now(msgspec.Struct, array_like=True):
    """A member's cursors as stored, and where the move would go, clamped."""

    n: int
    read: int
    read_ord: int
    delivered: int
    sent: int
    cleared: int
    marked: int
    mark: int
    settings: str
    to_read: int
    to_ord: int
    to_delivered: int


# `to_ord` falls back to the ord of the floor where retention has cut the entry away.
_NOW = f"""
SELECT json_group_array(json_array(n, read, read_ord, delivered, sent, cleared, marked, mark,
    CAST(settings AS TEXT), min(to_read, top),
    coalesce((SELECT ord FROM entries WHERE pos={at("w.lid", "min(w.to_read, w.top)")}),
             CASE WHEN min(to_read, top) > 0 THEN floor_ord ELSE 0 END),
    min(to_delivered, top)))
FROM (
    SELECT j.key AS n, m.*, h.floor_ord, iif(m.role, h.head, m.until) AS top,
        json_extract(j.value,'$[2]') AS to_read, json_extract(j.value,'$[3]') AS to_delivered
    FROM json_each(?) j
    JOIN members m ON m.lid=json_extract(j.value,'$[0]') AND m.ukey=json_extract(j.value,'$[1]')
    JOIN heads h ON h.lid=m.lid
) w
"""
_SAVE = """) UPDATE members SET read=v.read, read_ord=v.read_ord, delivered=v.delivered,
marked=v.marked, mark=v.mark FROM v WHERE members.lid=v.lid AND members.ukey=v.ukey"""
_now = msgspec.json.Decoder(list[_Now]).decode


def move_all(
    db: sqlite3.Connection, logs: Logs, touches: Touches, moves: Sequence[Move]
) -> list[Moved | Refusal]:
    """Apply the moves in order, inside the open transaction; refusals are values."""
    results: list[Moved | Refusal] = [NotAMember() for _ in moves]
    lids = logs.lids(db, {move.log for move in moves})
    left = list(enumerate(moves))
    while left:
        part: dict[tuple[int, str], tuple[int, Move]] = {}
        later = []
        for i, move in left:
            lid = lids.get(move.log)
            if lid is None:
                results[i] = NoSuchLog()
                continue
            key = (lid, f"{tenant_of(move.log)}/{move.user}")
            if key in part:  # a second move of the same reader sees what the first one did
                later.append((i, move))
            else:
                part[key] = (i, move)
        _move_distinct(db, touches, part, results)
        left = later
    return results


def _move_distinct(
    db: sqlite3.Connection,
    touches: Touches,
    part: dict[tuple[int, str], tuple[int, Move]],
    results: list[Moved | Refusal],
) -> None:
    if not part:
        return
    asked = list(part.items())
    question = array((*key, move.read, move.delivered) for key, (_, move) in asked)
    rows, wanted = [], []
    for now in _now(db.execute(_NOW, (question,)).fetchone()[0]):
        (lid, ukey), (i, move) = asked[now.n]
        told = now.read, now.marked
        was = now.delivered
        if now.to_read > now.read:
            now.read, now.read_ord = now.to_read, now.to_ord
        now.delivered = max(now.delivered, now.to_delivered, now.read)
        if now.marked and move.mark == now.mark:
            now.marked, now.mark = 0, now.mark + 1
        touch = told != (now.read, now.marked)
        changed = touch or now.delivered != was
        results[i] = Moved(_position(now), changed)
        if changed:
            rows.append((lid, ukey, now.read, now.read_ord, now.delivered, now.marked, now.mark))
        if touch and (users := touches.claim(tenant_of(move.log), lid, [move.user])):
            wanted.append((tenant_of(move.log), lid, users))
    run(
        db,
        "WITH v(lid,ukey,read,read_ord,delivered,marked,mark) AS (VALUES",
        rows,
        _SAVE,
    )
    touches.write(db, wanted)


def _position(now: _Now) -> Position:
    return Position(
        Seq(now.read),
        Seq(now.delivered),
        Seq(now.sent),
        Seq(now.cleared),
        bool(now.marked),
        now.mark,
        msgspec.Raw(now.settings.encode()),
    )
