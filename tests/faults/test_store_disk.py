"""A disk that is full, or whose sync fails; files that are damaged, foreign or from the future."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hongyan.adapters.sqlite import SqliteStore, StoreCorrupt, StoreFault, StoreTooNew, files
from hongyan.adapters.sqlite.check import check
from hongyan.model.errors import StoreDown
from tests.faults.store_child import LOGS, entry

HERE = Path(__file__).parent


class Driven:
    """A process with a store on a disk that can be made to fail."""

    def __init__(self, shim: Path, data: Path) -> None:
        self.switch = data.with_name("switch")
        env = {**os.environ, "LD_PRELOAD": str(shim), "HONGYAN_DISK": str(self.switch)}
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "store_child.py"), str(data), "drive"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=env,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "open\n"

    def set(self, what: str, on: bool) -> None:
        file = self.switch.with_name(f"switch.{what}")
        file.touch() if on else file.unlink()

    def ask(self, line: str = "append") -> list[str]:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().split()


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("NO C COMPILER: a failing disk was not tested (install cc)")
    built = tmp_path_factory.mktemp("disk") / "disk.so"
    source = str(HERE / "disk.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(built), source, "-ldl"], check=True)
    return built


@pytest.fixture
def driven(shim: Path, tmp_path: Path) -> Iterator[Driven]:
    made = Driven(shim, tmp_path / "data")
    yield made
    made.process.kill()
    made.process.communicate(timeout=20)


async def test_D8_a_full_disk_gives_no_answer_and_recovers(driven: Driven, tmp_path: Path) -> None:
    assert driven.ask() == ["acked", "1", "1"]

    driven.set("full", True)
    for _ in range(3):
        assert driven.ask()[:5] == ["refused", "StoreDown", "the", "disk", "is"]
    assert driven.ask("stats") == ["failed", "0.0"]

    driven.set("full", False)
    assert driven.ask() == ["acked", "2", "2"]
    driven.process.kill()
    driven.process.communicate(timeout=20)
    assert await heads(tmp_path / "data") == 2


async def test_D9_after_a_failed_sync_nothing_is_written_any_more(
    driven: Driven, tmp_path: Path
) -> None:
    assert driven.ask() == ["acked", "1", "1"]

    driven.set("sync", True)
    assert driven.ask()[:2] == ["refused", "StoreDown"]
    driven.set("sync", False)  # the disk says it is well again; nobody believes it
    assert driven.ask()[:2] == ["refused", "StoreDown"]
    assert driven.ask("stats") == ["failed", "1.0"]

    driven.process.kill()
    driven.process.communicate(timeout=20)
    assert await heads(tmp_path / "data") in (1, 2)  # unknown means unknown


async def test_D24_a_failed_copy_of_the_log_loses_nothing(driven: Driven, tmp_path: Path) -> None:
    """The sync of the file fails, that of the write-ahead log does not."""
    assert driven.ask() == ["acked", "1", "1"]

    driven.set("base", True)
    assert int(driven.ask("copy")[1]) > 0
    assert driven.ask() == ["acked", "2", "2"]
    assert driven.ask("stats") == ["failed", "0.0"]
    driven.set("base", False)
    failures = driven.ask("copy")
    assert driven.ask("copy") == failures  # the second one met no failure

    driven.process.kill()
    driven.process.communicate(timeout=20)
    assert await heads(tmp_path / "data") == 2


async def heads(data: Path) -> int:
    """The head after a restart; the store must be sound and take the next entry."""
    store = SqliteStore(data)
    info = await store.info(LOGS[0])
    assert info is not None
    done = await store.commit(entry(LOGS[0], "next"))
    assert done.last == info.head + 1
    await store.close()
    assert list(check(data)) == []
    return info.head


async def test_D8_a_full_database_rolls_back_the_whole_group(tmp_path: Path) -> None:
    """Full in the middle of the statements, not at the commit."""
    store = SqliteStore(tmp_path)
    await store.commit(entry(LOGS[0], "0"))
    pages = await store.writer.put(lambda db: db.execute("PRAGMA page_count").fetchone()[0])
    await store.writer.put(lambda db: db.execute(f"PRAGMA max_page_count={pages + 2}"))

    waiting = [store.commit(entry(LOGS[0], f"x{n}")) for n in range(400)]
    refused = 0
    for future in waiting:
        try:
            await future
        except StoreDown:
            refused += 1
    info = await store.info(LOGS[0])

    assert refused > 0
    assert info is not None and info.head == 401 - refused
    await store.writer.put(lambda db: db.execute("PRAGMA max_page_count=100000"))
    assert (await store.commit(entry(LOGS[0], "later"))).last == info.head + 1
    await store.close()
    assert list(check(tmp_path)) == []


async def filled(path: Path, entries: int = 300) -> Path:
    store = SqliteStore(path)
    for n in range(entries):
        future = store.commit(entry(LOGS[0], str(n)))
    await future
    await store.close()
    return path / files.DATABASE


def digest(path: Path) -> dict[str, str]:
    """What is in a directory, apart from the lock."""
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in path.iterdir()
        if file.name != files.LOCK
    }


def edit(file: Path, sql: str) -> None:
    db = sqlite3.connect(file)
    db.executescript(sql)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


async def test_D12_a_newer_version_is_refused_untouched(tmp_path: Path) -> None:
    file = await filled(tmp_path)
    edit(file, "PRAGMA user_version=99")
    before = digest(tmp_path)

    with pytest.raises(StoreTooNew, match=r"hongyan\.db: the store has version 99"):
        SqliteStore(tmp_path)

    assert digest(tmp_path) == before


@pytest.mark.parametrize("sql", ["CREATE TABLE theirs (a)", "PRAGMA application_id=7"])
async def test_D12_a_file_of_another_program_is_refused_untouched(tmp_path: Path, sql: str) -> None:
    edit(tmp_path / files.DATABASE, sql)
    before = digest(tmp_path)

    with pytest.raises(StoreCorrupt, match="another program"):
        SqliteStore(tmp_path)

    assert digest(tmp_path) == before


@pytest.mark.parametrize("damage", ["text", "header", "middle", "short", "members"])
async def test_D12_a_damaged_file_is_refused_untouched(tmp_path: Path, damage: str) -> None:
    file = await filled(tmp_path)
    data = bytearray(file.read_bytes())
    if damage == "text":
        data[:] = b"not a database, but long enough to have a header of one hundred bytes" * 9
    elif damage == "header":
        data[0:4] = b"\0\0\0\0"
    elif damage == "middle":
        for at in range(4096 * 3, len(data), 4096):
            data[at : at + 512] = b"\xff" * 512
    elif damage == "members":  # a table that is not looked at before somebody asks
        db = sqlite3.connect(file)
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name='members'").fetchone()
        db.close()
        start = (page - 1) * 4096
        data[start + 3 : start + 40] = b"\xff" * 37
    else:
        del data[len(data) // 2 :]
    file.write_bytes(data)
    before = hashlib.sha256(data).hexdigest()

    with pytest.raises(StoreCorrupt, match=r"hongyan\.db: "):
        SqliteStore(tmp_path)

    assert hashlib.sha256(file.read_bytes()).hexdigest() == before


async def test_D12_a_refused_directory_is_free_again(tmp_path: Path) -> None:
    file = await filled(tmp_path)
    good = file.read_bytes()
    file.write_bytes(b"x" * 200)
    with pytest.raises(StoreFault):
        SqliteStore(tmp_path)
    file.write_bytes(good)
    await SqliteStore(tmp_path).close()


async def test_D13_a_failed_migration_leaves_the_version_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = await filled(tmp_path)
    known = files.migrations()
    now = known[-1][0]
    bad = (now + 1, "CREATE TABLE half (a); CREATE TABLE half (b);")
    good = (now + 1, "CREATE TABLE whole (a);")

    monkeypatch.setattr(files, "migrations", lambda: [*known, bad])
    with pytest.raises(StoreCorrupt, match="half"):
        SqliteStore(tmp_path)
    db = files.open_for_reading(tmp_path)
    assert (files.version_of(db), files.pending(db)) == (now, [now + 1])
    assert db.execute("SELECT count(*) FROM sqlite_master WHERE name='half'").fetchone() == (0,)
    db.close()

    monkeypatch.setattr(files, "migrations", lambda: [*known, good])
    await SqliteStore(tmp_path).close()
    db = files.open_for_reading(tmp_path)
    assert (files.version_of(db), files.pending(db)) == (now + 1, [])
    db.close()

    monkeypatch.setattr(files, "migrations", lambda: known)
    with pytest.raises(StoreTooNew, match=str(file)):
        SqliteStore(tmp_path)


async def test_D13_migrations_are_numbered_without_a_gap() -> None:
    versions = [version for version, _ in files.migrations()]
    assert versions == list(range(1, len(versions) + 1))
