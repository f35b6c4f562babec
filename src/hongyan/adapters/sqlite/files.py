"""The data directory: who may use it, which version it has, whether it is sound."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from hongyan.adapters.people import starts
from hongyan.adapters.sqlite.values import array, connect

DATABASE = "hongyan.db"
LOCK = "hongyan.lock"
APPLICATION_ID = 0x686F6E67  # "hong": tells our files from other SQLite files
CHECK_BELOW = 64 * 1024 * 1024  # bytes; a smaller file is checked as a whole at every start
CACHE_KIB = 64 * 1024  # of the writer's connection


class StoreFault(Exception):
    """The data directory cannot be used; the text is one line for the operator."""


class StoreLocked(StoreFault):
    """Another process uses the directory."""


class StoreTooNew(StoreFault):
    """The directory was written by a newer version; nothing was touched."""


class StoreCorrupt(StoreFault):
    """The file is damaged, or no file of ours."""


def take_lock(path: Path) -> int:
    """Hold the directory for this process; give back the descriptor that holds it.

    The kernel lets go when the process ends, however it ends.

    Raises:
        StoreLocked: another process holds it.
    """
    held = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(held)
        raise StoreLocked(f"{path} is in use by another process") from None
    os.ftruncate(held, 0)
    os.write(held, f"{os.getpid()}\n".encode())  # for the operator who wonders which one
    return held


def migrations() -> list[tuple[int, str]]:
    """(version, SQL) of every migration, in order."""
    folder = resources.files("hongyan") / "migrations" / "sqlite"
    found = [
        (int(f.name[:4]), f.read_text("utf-8")) for f in folder.iterdir() if f.name[-4:] == ".sql"
    ]
    return sorted(found)


def version_of(db: sqlite3.Connection) -> int:
    """The schema version of an open file; 0 = empty.

    Raises:
        StoreCorrupt: it is another program's file.
        StoreTooNew: it was written by a newer version.
    """
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    application = int(db.execute("PRAGMA application_id").fetchone()[0])
    tables = int(db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    _judge(version, application, tables > 0)
    return version


def pending(db: sqlite3.Connection) -> list[int]:
    """Versions this program would migrate to, in order; [] = up to date."""
    present = version_of(db)
    return [version for version, _ in migrations() if version > present]


def migrate(db: sqlite3.Connection) -> list[int]:
    """Bring the file to the newest version, each step in one transaction; give what was done."""
    todo = pending(db)
    db.create_function(
        "person_starts", 2, lambda user, name: array(starts(user, name)), deterministic=True
    )
    for version, script in migrations():
        if version not in todo:
            continue
        db.executescript(
            f"BEGIN EXCLUSIVE;\n{script}\n"
            f"PRAGMA application_id = {APPLICATION_ID};\nPRAGMA user_version = {version};\nCOMMIT;"
        )
    return todo


def open_for_writing(path: Path) -> sqlite3.Connection:
    """Open, check and migrate the database of a directory whose lock is held.

    SQLite recovers by itself from a process that died. A file below CHECK_BELOW is also read as a
    whole, a larger one only at its newest end, to keep the start short: `check.py` is thorough.

    Raises:
        StoreTooNew, StoreCorrupt: nothing was changed.
    """
    file = path / DATABASE
    with _naming(file):
        _peek(file)
        db = connect(file)
        try:
            version = version_of(db)
            db.execute("PRAGMA journal_mode = WAL")
            db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            db.execute("PRAGMA wal_autocheckpoint = 0")  # see checkpoint.py
            if version:
                _check(db, _size(file) < CHECK_BELOW)
            migrate(db)
        except BaseException:
            db.close()
            raise
    return db


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open the database of a directory read-only, whoever holds it.

    Raises:
        StoreTooNew, StoreCorrupt: as for writing. FileNotFoundError: there is none.
    """
    file = path / DATABASE
    if not file.exists():
        raise FileNotFoundError(file)
    with _naming(file):
        _peek(file)
        db = connect(file, writable=False)
        try:
            version_of(db)
        except BaseException:
            db.close()
            raise
    return db


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    """Make every fault of the file one line that starts with its name."""
    try:
        yield
    except sqlite3.DatabaseError as exc:
        raise StoreCorrupt(f"{file}: {exc}") from exc
    except StoreFault as fault:
        raise type(fault)(f"{file}: {fault}") from None


def _peek(file: Path) -> None:
    """Refuse by the first 100 bytes, without SQLite: opening alone could already write."""
    try:
        with file.open("rb") as opened:
            header = opened.read(100)
    except FileNotFoundError:
        return
    if not header:
        return  # SQLite makes the file before it writes
    if len(header) < 100 or header[:16] != b"SQLite format 3\0":
        raise StoreCorrupt("not a database")
    version, application = (int.from_bytes(header[at : at + 4], "big") for at in (60, 68))
    _judge(version, application, False)


def _judge(version: int, application: int, tables: bool) -> None:
    if application != APPLICATION_ID and (application or version or tables):
        raise StoreCorrupt("the database belongs to another program")
    newest = migrations()[-1][0]
    if version > newest:
        raise StoreTooNew(
            f"the store has version {version}, this program knows {newest}: use a newer hongyan"
        )


def _check(db: sqlite3.Connection, whole: bool) -> None:
    if whole:
        first = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if first != "ok":
            raise StoreCorrupt(str(first))
    bad = db.execute(
        "SELECT e.lid, e.seq, h.head FROM (SELECT * FROM entries ORDER BY pos DESC LIMIT 512) e"
        " LEFT JOIN heads h USING (lid) WHERE h.head IS NULL OR e.seq > h.head LIMIT 1"
    ).fetchone()
    if bad is not None:
        raise StoreCorrupt(f"entry {bad[1]} of log {bad[0]} lies beyond its head {bad[2]}")


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
