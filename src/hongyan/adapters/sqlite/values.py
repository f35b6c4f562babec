"""Connections, and big statements: many rows in one step.

The sqlite3 module gives up the interpreter lock at every step and must win it back from a busy
event loop, which may take a whole switch interval. So the writer sends few statements with many
rows each. Measured by bench/store.py with a busy loop: executemany 5 times slower.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

MOST_ROWS = 256  # rows of one statement; SQLite takes 32,766 parameters

Json = msgspec.json.Encoder().encode


def connect(file: Path, *, writable: bool = True) -> sqlite3.Connection:
    """Open `file`; transactions are begun and ended by hand."""
    mode = "rwc" if writable else "ro"
    db = sqlite3.connect(
        f"{file.absolute().as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,
        cached_statements=256,
        check_same_thread=False,
        timeout=5.0,
    )
    db.execute("PRAGMA synchronous = FULL")
    return db


@lru_cache(maxsize=512)
def _statement(before: str, columns: int, rows: int, after: str) -> str:
    row = f"({','.join('?' * columns)})"
    return f"{before} {','.join([row] * rows)} {after}"


def run(db: sqlite3.Connection, before: str, rows: Sequence[Sequence[Any]], after: str = "") -> int:
    """Execute `before (row),(row)… after` for all rows; give how many rows it changed.

    Sizes are powers of two, so that every statement is compiled once and then found in the
    connection's cache.
    """
    done, changed = 0, 0
    while done < len(rows):
        size = 1 << (min(MOST_ROWS, len(rows) - done).bit_length() - 1)
        part = rows[done : done + size]
        flat = list(chain.from_iterable(part))
        sql = _statement(before, len(part[0]), size, after)
        changed += db.execute(sql, flat).rowcount
        done += size
    return changed


def array(values: Iterable[Any]) -> str:
    """A JSON array as text, for json_each(?)."""
    return Json(list(values)).decode()
