"""What `hongyan doctor` compares: the files the database knows, and the bytes on the disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec

from hongyan.adapters.sqlite.filerecords import totals
from hongyan.adapters.sqlite.files import open_for_reading
from hongyan.model.files import DIGEST

FIRST = 3  # the schema version that knows files
MOST = 100  # faults that are named one by one


class FileFault(msgspec.Struct, frozen=True):
    """Something that is not as it should be. `level`: ok, warning or fault."""

    level: str
    text: str


def check_files(data: Path) -> Iterator[FileFault]:
    """Compare names and sizes; the bytes themselves are not read. Changes nothing.

    Beside a running server a file may come or go meanwhile, which shows as a warning.
    """
    db = open_for_reading(data)
    try:
        if db.execute("PRAGMA user_version").fetchone()[0] < FIRST:
            return
        yield from _compare(db, data / "blobs")
        found = totals(db)
        yield FileFault(
            "ok",
            f"{found.files} files with {found.bytes} bytes, named {found.refs} times;"
            f" {found.uploads} uploads on their way",
        )
    finally:
        db.close()


def _compare(db: sqlite3.Connection, root: Path) -> Iterator[FileFault]:
    named = 0
    known = db.execute(
        "SELECT digest, max(size), max(EXISTS (SELECT 1 FROM file_refs r"
        " WHERE r.tenant=f.tenant AND r.digest=f.digest)) FROM files f GROUP BY digest"
    )
    for digest, size, referred in known:
        path = root / digest[:2] / digest[2:4] / digest
        there = path.stat().st_size if path.exists() else -1
        if there == size or named >= MOST:
            continue
        named += 1
        what = "is missing" if there < 0 else f"has {there} bytes"
        yield FileFault("fault" if referred else "warning", f"{digest} of {size} bytes {what}")
    for path in root.glob("??/??/*"):
        if DIGEST.fullmatch(path.name) and named < MOST:
            held = db.execute(
                "SELECT 1 FROM files WHERE digest=?1 UNION SELECT 1 FROM file_drops"
                " WHERE digest=?1",
                (path.name,),
            ).fetchone()
            if held is None:
                named += 1
                yield FileFault("warning", f"{path.name} belongs to nobody")
