"""Log names and heads, as the writer reads them inside its transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable
from typing import Any

import msgspec

from hongyan.adapters.sqlite.values import array, run
from hongyan.model.ids import LogId, Seq
from hongyan.model.log import Commit, Committed, Write

MOST_NAMES = 100_000  # remembered; all are forgotten beyond that

ENTRY = (
    "INSERT INTO entries(pos,lid,seq,ord,type,sender,device,at,count,target,slot,op,body) VALUES"
)
MENTION = "INSERT OR IGNORE INTO mentions(lid,ukey,seq,sender) VALUES"
EVERYBODY = "*"

EntryRow = tuple[int, int, int, int, str, str, str, int, bool, int, str, str, bytes]


class Head(msgspec.Struct, array_like=True):
    """What changes of a log; the columns of `heads` in order."""

    lid: int
    head: int = 0
    ord: int = 0
    floor: int = 1
    floor_ord: int = 0
    epoch: int = 1
    version: int = 0
    roster: int = 0
    count: int = 0
    large: int = 0
    counted: int = 0

    def add(self, write: Write, commit: Commit, pos: int) -> EntryRow:
        """Take the next seq for `write`, which will stand at `pos`, and give its row."""
        self.head += 1
        if write.count:
            self.ord += 1
            self.counted = self.head
        return (
            pos,
            self.lid,
            self.head,
            self.ord,
            write.type,
            commit.sender,
            commit.device,
            commit.at,
            write.count,
            write.target,
            write.slot,
            commit.op,
            write.body,
        )


HEAD_COLUMNS = ",".join(Head.__struct_fields__)
SAVE_HEAD = f"INSERT INTO heads({HEAD_COLUMNS}) VALUES"
OVER_HEAD = "ON CONFLICT(lid) DO UPDATE SET " + ",".join(
    f"{name}=excluded.{name}" for name in Head.__struct_fields__[1:]
)
_heads = msgspec.json.Decoder(list[Head]).decode
_pairs = msgspec.json.Decoder(list[tuple[LogId, int]]).decode


class Logs:
    """Finds logs by name. A name never changes its number, so remembering it is safe."""

    def __init__(self) -> None:
        """Nothing is remembered yet."""
        self._lids: dict[LogId, int] = {}

    def forget(self) -> None:
        """After a rollback: a number given out in it may be given to another log."""
        self._lids.clear()

    def lids(self, db: sqlite3.Connection, names: Collection[LogId]) -> dict[LogId, int]:
        """The numbers of those logs that exist."""
        known = self._lids
        unknown = [name for name in names if name not in known]
        if unknown:
            if len(known) > MOST_NAMES:
                known.clear()
                unknown = list(names)
            found = db.execute(
                "SELECT json_group_array(json_array(log,lid)) FROM logs"
                " WHERE log IN (SELECT value FROM json_each(?))",
                (array(unknown),),
            ).fetchone()[0]
            known.update(_pairs(found))
        return {name: lid for name in names if (lid := known.get(name)) is not None}

    def create(self, db: sqlite3.Connection, name: LogId, at: int) -> int:
        """Add a log without entries and give its number."""
        cursor = db.execute(
            "INSERT INTO logs(log,created_at,state) VALUES (?,?,?)", (name, at, b"{}")
        )
        lid = self._lids[name] = int(cursor.lastrowid or 0)
        return lid


def heads(db: sqlite3.Connection, lids: Iterable[int]) -> dict[int, Head]:
    """The heads of these logs, read now: no cache may ever stand here."""
    found = db.execute(
        f"SELECT json_group_array(json_array({HEAD_COLUMNS})) FROM heads"
        " WHERE lid IN (SELECT value FROM json_each(?))",
        (array(lids),),
    ).fetchone()[0]
    return {head.lid: head for head in _heads(found)}


def save_heads(db: sqlite3.Connection, changed: Iterable[Head]) -> None:
    """Write heads back, new ones too."""
    run(db, SAVE_HEAD, [msgspec.structs.astuple(head) for head in changed], OVER_HEAD)


def mention_rows(tenant: str, head: Head, write: Write, sender: str) -> list[tuple[Any, ...]]:
    """Who is named by the entry `head` stands at."""
    names = [f"{tenant}/{user}" for user in write.mentions]
    if write.mention_all:
        names.append(EVERYBODY)
    return [(head.lid, name, head.head, sender) for name in names]


def answer(commit: Commit, head: Head, first: int) -> Committed:
    """What `commit`, whose entries began at `first`, is answered with `head` after it."""
    return Committed(
        Seq(first),
        Seq(head.head),
        head.ord,
        commit.at,
        head.version,
        head.roster,
        head.count,
        bool(head.large),
    )
