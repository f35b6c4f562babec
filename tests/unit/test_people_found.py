"""HA: people in the SQLite directory: old files, and what the look-up costs."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from hongyan.adapters.people import LAST, MOST_LENGTH, MOST_STARTS, asked, starts
from hongyan.adapters.sqlite import SqliteDirectory, SqliteStore
from hongyan.adapters.sqlite.files import DATABASE, migrations
from hongyan.ports import ApiKey, User


async def test_HA1_accounts_of_an_older_version_are_found_after_the_migration(
    tmp_path: Path,
) -> None:
    db = sqlite3.connect(tmp_path / DATABASE)
    for version, script in migrations():
        if version < 5:
            db.executescript(f"{script}\nPRAGMA user_version = {version};")
    db.execute(f"PRAGMA application_id = {0x686F6E67}")
    for user, name, disabled in (("ann", "Ännchen LEE", 0), ("gone", "Ann", 1), ("zs", "张三", 0)):
        db.execute(
            "INSERT INTO users(tenant,user,name,avatar,admin,disabled,password,created_at,"
            "valid_from) VALUES ('main',?,?,'',0,?,'',0,0)",
            (user, name, disabled),
        )
    db.execute(
        "INSERT INTO keys(tenant,id,digest,scopes,created_at) VALUES ('main','k',x'01','[]',0)"
    )
    db.commit()
    db.close()

    store = SqliteStore(tmp_path)
    directory = SqliteDirectory(store)
    for text, found in (("an", ["ann"]), ("ÄNN", ["ann"]), ("lee", ["ann"]), ("张", ["zs"])):
        assert [u.user for u in await directory.find_users("main", text)] == found, text
    ann = await directory.user("main", "ann")
    assert ann == User(tenant="main", user="ann", name="Ännchen LEE")
    assert await directory.keys("main") == [ApiKey(id="k", tenant="main", digest=b"\1", scopes=())]
    await store.close()


async def test_HA1_the_look_up_reads_a_range_of_an_index(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    await store.close()
    db = sqlite3.connect(tmp_path / DATABASE)
    plan = db.execute(
        "EXPLAIN QUERY PLAN SELECT user FROM people WHERE tenant=? AND start>=? AND start<?"
        " ORDER BY start, user LIMIT 9",
        ("main", "a", "a" + LAST),
    ).fetchall()
    db.close()
    assert [line[3] for line in plan] == [
        "SEARCH people USING PRIMARY KEY (tenant=? AND start>? AND start<?)"
    ]


def test_HA1_starts_are_few_short_and_unlike() -> None:
    many = starts("X", " ".join(f"w{n}" * 10 for n in range(30)))
    assert len(many) == MOST_STARTS and max(map(len, many)) <= MOST_LENGTH
    assert starts("ann", "Ann") == ["ann"]
    assert starts("ann", "Ann-Lee 3") == ["ann", "ann lee 3", "lee 3", "3"]
    assert starts("a", "") == starts("a", "…!") == ["a"]
    assert asked(" Ann-Lee ") == ["ann-lee", "ann lee"]
    assert asked("  ") == []
