"""A data directory as the history checker reads it: every log, straight from the tables.

Read-only, also beside a running server. Only the unread counts come through the store's own query:
they are what is judged; all else is read plainly, so that a mistake in the store must show.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec

from hongyan.adapters.sqlite import inbox
from hongyan.adapters.sqlite.files import StoreCorrupt, open_for_reading, version_of
from hongyan.model.history import KeptLog, KeptMember
from hongyan.model.ids import DeviceId, LogId, OpId, Seq, UserId
from hongyan.model.log import Entry


class Account(msgspec.Struct, frozen=True):
    """An account, without its password."""

    user: UserId
    admin: bool


class SqliteTruth:
    """Use as a context; the file is open inside."""

    def __init__(self, data: Path) -> None:
        """Open `data` for reading.

        Raises:
            StoreCorrupt, StoreTooNew: it is no directory of ours, or of a newer version.
        """
        try:
            self._db = open_for_reading(data)
        except FileNotFoundError as exc:
            raise StoreCorrupt(f"{exc}: no data directory of hongyan") from None
        self._db.row_factory = sqlite3.Row

    def close(self) -> None:
        """Idempotent."""
        self._db.close()

    def version(self) -> int:
        """The schema version."""
        return version_of(self._db)

    def count(self) -> int:
        """How many logs there are."""
        return int(self._db.execute("SELECT count(*) FROM logs").fetchone()[0])

    def accounts(self, tenant: str) -> list[Account]:
        """Those of a tenant that are not disabled, by user id."""
        rows = self._db.execute(
            "SELECT user, admin FROM users WHERE tenant = ? AND disabled = 0 ORDER BY user",
            (tenant,),
        )
        return [Account(UserId(row["user"]), bool(row["admin"])) for row in rows]

    def logs(self) -> Iterator[KeptLog]:
        """Every log, each read in one snapshot."""
        for row in self._db.execute("SELECT lid, log FROM logs ORDER BY lid").fetchall():
            yield self._log(row["lid"], LogId(row["log"]))

    def _log(self, lid: int, log: LogId) -> KeptLog:
        db = self._db
        db.execute("BEGIN")
        try:
            head = db.execute("SELECT head, floor FROM heads WHERE lid = ?", (lid,)).fetchone()
            entries = db.execute("SELECT * FROM entries WHERE lid = ? ORDER BY seq", (lid,))
            erased = db.execute("SELECT seq FROM erased WHERE lid = ?", (lid,))
            hidden: dict[UserId, set[Seq]] = {}
            for row in db.execute("SELECT ukey, seq FROM hidden WHERE lid = ?", (lid,)):
                hidden.setdefault(_user(row["ukey"]), set()).add(Seq(row["seq"]))
            members = db.execute("SELECT * FROM members WHERE lid = ?", (lid,)).fetchall()
            return KeptLog(
                log=log,
                head=Seq(head["head"]),
                floor=Seq(head["floor"]),
                entries=[_entry(row) for row in entries],
                erased=frozenset(Seq(row["seq"]) for row in erased),
                hidden={user: frozenset(seqs) for user, seqs in hidden.items()},
                members=[self._member(row, log) for row in members],
            )
        finally:
            db.execute("COMMIT")

    def _member(self, row: sqlite3.Row, log: LogId) -> KeptMember:
        tenant, _, user = row["ukey"].partition("/")
        (shown,) = inbox.some(self._db, tenant, user, [log])
        return KeptMember(
            user=UserId(user),
            since=Seq(row["since"]),
            until=Seq(row["until"]),
            read=Seq(row["read"]),
            cleared=Seq(row["cleared"]),
            unread=shown.unread,
        )


def _user(ukey: str) -> UserId:
    return UserId(ukey.partition("/")[2])


def _entry(row: sqlite3.Row) -> Entry:
    return Entry(
        seq=Seq(row["seq"]),
        type=row["type"],
        sender=UserId(row["sender"]),
        at=row["at"],
        ord=row["ord"],
        body=msgspec.Raw(bytes(row["body"])),
        count=bool(row["count"]),
        target=Seq(row["target"]),
        slot=row["slot"],
        op=OpId(row["op"]),
        device=DeviceId(row["device"]),
    )


def accounts(data: Path, tenant: str) -> list[Account]:
    """The accounts of a tenant that are not disabled, also beside a running server.

    Raises:
        StoreCorrupt, StoreTooNew: see `SqliteTruth`.
    """
    truth = SqliteTruth(data)
    try:
        return truth.accounts(tenant)
    finally:
        truth.close()
