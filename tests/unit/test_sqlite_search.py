"""What only the index on a file has to bear: damage, crashes, other versions, crowds."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from hongyan.adapters import sqlite_search
from hongyan.adapters.sqlite_search import MAX_HITS, MAX_WAITING, SqliteSearch
from hongyan.model.errors import Overloaded, StoreDown
from hongyan.model.ids import LogId, Seq, TenantId

MAIN = TenantId("main")
AB = LogId("main/d/alice~bob")
BATCH = [(n, AB, Seq(n), f"note {n} 第{n}号") for n in range(1, 301)]


async def found(search: SqliteSearch, text: str, limit: int = 10) -> list[int]:
    return [hit.pos for hit in await search.find(MAIN, text, log=None, before=9999, limit=limit)]


async def test_F8_reopened_index_goes_on_where_it_was(tmp_path: Path) -> None:
    first = SqliteSearch(tmp_path / "search.db")
    await first.index(BATCH, 300)
    await first.close()

    again = SqliteSearch(tmp_path / "search.db")

    assert await again.position() == 300
    assert await found(again, "第7号") == [7]
    await again.index([(301, AB, Seq(7), "edited")], 301)
    assert await found(again, "第7号") == []
    assert await found(again, "edited") == [7]
    await again.close()


KILLED = """
import asyncio, os, signal, sqlite3, sys
from pathlib import Path
from hongyan.adapters import sqlite_search

class Dying(sqlite3.Connection):
    def execute(self, sql, *values):
        if sql == "commit" and WHEN == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = super().execute(sql, *values)
        if sql == "commit" and WHEN == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return result

async def main():
    global WHEN
    WHEN = ""
    sqlite_search._connection = lambda path: sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, factory=Dying
    )
    search = sqlite_search.SqliteSearch(Path(sys.argv[1]))
    await search.index([(n, "main/g/x", n, "first") for n in range(1, 6)], 7)
    WHEN = sys.argv[2]
    await search.index([(n, "main/g/x", n, "second") for n in range(11, 16)], 17)

asyncio.run(main())
"""


def die(path: Path, when: str) -> int:
    """Index a batch whole and die `before` or `after` the commit of a second one."""
    return subprocess.run([sys.executable, "-c", KILLED, str(path), when], check=False).returncode


@pytest.mark.parametrize(("when", "position", "second"), [("before", 7, 0), ("after", 17, 5)])
async def test_F8_killed_around_the_commit_text_and_position_agree(
    tmp_path: Path, when: str, position: int, second: int
) -> None:
    assert await asyncio.to_thread(die, tmp_path / "search.db", when) == -signal.SIGKILL

    search = SqliteSearch(tmp_path / "search.db")

    assert await search.position() == position
    assert len(await found(search, "first")) == 5
    assert len(await found(search, "second")) == second
    await search.close()


async def test_F9_a_deleted_file_is_filled_again_with_the_same_answers(tmp_path: Path) -> None:
    search = SqliteSearch(tmp_path / "search.db")
    await search.index(BATCH, 300)
    await search.index([(301, AB, Seq(8), ""), (302, AB, Seq(9), "note other")], 302)
    before = [await found(search, text, 300) for text in ("note", "第", "1 note", "other")]
    await search.close()
    (tmp_path / "search.db").unlink()

    search = SqliteSearch(tmp_path / "search.db")
    assert await search.position() == 0
    await search.index([*BATCH, (301, AB, Seq(8), ""), (302, AB, Seq(9), "note other")], 302)

    after = [await found(search, text, 300) for text in ("note", "第", "1 note", "other")]
    assert after == before
    await search.close()


def overwrite(path: Path, start: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(data)


async def test_F9_a_file_that_is_no_database_is_made_new(tmp_path: Path) -> None:
    path = tmp_path / "search.db"
    path.write_bytes(b"this is not a database, " * 1000)

    with capture_logs() as lines:
        search = SqliteSearch(path)

    assert [line["event"] for line in lines] == [
        "search index made new, to be filled from the feed"
    ]
    assert await search.position() == 0
    await search.index(BATCH, 300)
    assert await found(search, "第7号") == [7]
    await search.close()


async def test_F9_an_index_of_another_format_is_made_new(tmp_path: Path) -> None:
    path = tmp_path / "search.db"
    search = SqliteSearch(path)
    await search.index(BATCH, 300)
    await search.close()
    with sqlite3.connect(path) as db:
        db.execute("pragma user_version = 99")
    db.close()

    with capture_logs() as lines:
        search = SqliteSearch(path)

    assert lines[0]["why"] == "format 99, this program writes 1"
    assert await search.position() == 0
    await search.close()


@pytest.mark.parametrize("first", ["find", "index"])
async def test_F9_damage_met_while_running_is_mended_by_the_consumers_round(
    tmp_path: Path, first: str
) -> None:
    """Whoever meets it answers StoreDown; the next `position` is 0 and the feed fills it."""
    path = tmp_path / "search.db"
    search = SqliteSearch(path)
    await search.index(BATCH, 300)
    await search.close()
    size = path.stat().st_size
    overwrite(path, 8192, os.urandom(size - 8192))  # the tables' names stand, their pages do not

    search = SqliteSearch(path)
    with pytest.raises(StoreDown):
        if first == "find":
            await found(search, "note")
        else:
            await search.index([(301, AB, Seq(301), "one more")], 301)
            await search.index([(302, AB, Seq(1), "edited")], 302)
            await found(search, "note")
    with pytest.raises(StoreDown):
        await found(search, "note")
    with pytest.raises(StoreDown):  # an `index` that was on its way must not skip the refill
        await search.index([(303, AB, Seq(303), "too late")], 303)

    assert await search.position() == 0
    assert await found(search, "note") == []
    await search.index(BATCH, 300)
    assert await found(search, "第7号") == [7]
    await search.close()


async def test_F9_damage_inside_the_lists_of_grams_is_mended_too(tmp_path: Path) -> None:
    """FTS5 tells it with a code of its own."""
    path = tmp_path / "search.db"
    search = SqliteSearch(path)
    await search.index(BATCH, 300)
    await search.close()
    with sqlite3.connect(path) as db:
        db.execute("delete from grams_data where id > 10")
    db.close()

    search = SqliteSearch(path)
    with pytest.raises(StoreDown, match="search index"):
        await found(search, "note")

    assert await search.position() == 0
    await search.index(BATCH, 300)
    assert await found(search, "第7号") == [7]
    await search.close()


async def test_F8_a_batch_that_fails_leaves_nothing(tmp_path: Path) -> None:
    search = SqliteSearch(tmp_path / "search.db")
    with pytest.raises(StoreDown):  # two entries cannot have one position
        await search.index([(1, AB, Seq(1), "one"), (1, LogId("main/g/new"), Seq(2), "two")], 2)

    assert await search.position() == 0
    assert await found(search, "one") == []
    await search.index([(1, LogId("main/g/new"), Seq(1), "one")], 1)  # ids given then are forgotten
    assert await found(search, "one") == [1]
    await search.close()


async def test_F2_a_crowd_of_searches_is_refused_beyond_a_bound(tmp_path: Path) -> None:
    search = SqliteSearch(tmp_path / "search.db")
    await search.index(BATCH, 300)

    answers = await asyncio.gather(
        *(found(search, "note") for _ in range(MAX_WAITING + 10)), return_exceptions=True
    )

    assert sum(isinstance(answer, Overloaded) for answer in answers) == 10
    assert sum(answer == list(range(300, 290, -1)) for answer in answers) == MAX_WAITING
    assert len(await found(search, "note")) == 10  # the crowd has gone
    await search.close()


async def test_F2_a_search_that_takes_too_long_is_broken_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_search, "PROGRESS_STEPS", 50)
    search = SqliteSearch(tmp_path / "search.db", most_seconds=0)
    await search.index(BATCH, 300)

    with pytest.raises(Overloaded, match="too long"):
        await found(search, "note", MAX_HITS)

    await search.close()


async def test_F4_a_page_is_bounded(tmp_path: Path) -> None:
    search = SqliteSearch(tmp_path / "search.db")
    await search.index(BATCH, 300)

    assert len(await found(search, "note", 100_000)) == MAX_HITS
    await search.close()


async def test_a_closed_index_says_so(tmp_path: Path) -> None:
    search = SqliteSearch(tmp_path / "search.db")
    await search.close()

    with pytest.raises(StoreDown, match="closed"):
        await found(search, "note")
    with pytest.raises(StoreDown, match="closed"):
        await search.index(BATCH, 300)


def test_F9_a_place_that_cannot_be_written_is_one_clear_refusal(tmp_path: Path) -> None:
    (tmp_path / "search.db").mkdir()

    with pytest.raises(StoreDown, match=r"search index .*search\.db"):
        SqliteSearch(tmp_path / "search.db")


async def test_F7_a_removed_text_is_no_longer_in_the_tables(tmp_path: Path) -> None:
    search = SqliteSearch(tmp_path / "search.db")
    await search.index([(1, AB, Seq(1), "topsecret"), (2, AB, Seq(1), "")], 2)
    await search.close()

    with sqlite3.connect(tmp_path / "search.db") as db:
        assert db.execute("select count(*) from messages").fetchone() == (0,)
        assert db.execute("select count(*) from grams('\"top\"')").fetchone() == (0,)
    db.close()
