"""How SQLite looks up a row of the inbox: by keys, whatever happened to the log."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from hongyan.adapters.sqlite import SqliteStore, inbox, reading
from hongyan.adapters.sqlite.values import connect


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[sqlite3.Connection]:
    await SqliteStore(tmp_path).close()
    with closing(connect(tmp_path / "hongyan.db", writable=False)) as db:
        yield db


@pytest.mark.parametrize("sql", [inbox._PAGE, inbox._SOME, reading._PICK])
async def test_the_newest_edit_is_found_by_its_target_and_slot(
    db: sqlite3.Connection, sql: str
) -> None:
    values = {f"?{n}" for n in range(1, 9) if f"?{n}" in sql}
    plan = [str(row[3]) for row in db.execute(f"EXPLAIN QUERY PLAN {sql}", ["1"] * len(values))]
    edits = [step for step in plan if "entries_by_target" in step]
    assert edits == ["SEARCH x USING INDEX entries_by_target (lid=? AND target=? AND slot=?)"]
    assert not any(step.startswith("SCAN") and "places" in step for step in plan)


async def test_counting_a_row_makes_no_tree(db: sqlite3.Connection) -> None:
    plan = [str(row[3]) for row in db.execute(f"EXPLAIN QUERY PLAN {inbox._PAGE}", ["1"] * 5)]
    assert not any("UNION" in step or "EXCEPT" in step for step in plan)
