"""Writes that share a group, a queue or a moment: one's fault is not the others'."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hongyan.adapters.sqlite import SqliteStore, checkpoint, files, places
from hongyan.adapters.sqlite.check import check
from hongyan.model.errors import BadArgs, Clash, Overloaded, StoreDown
from hongyan.model.log import Commit, Committed, MemberChange, Write
from tests.faults.store_child import LOGS, entry

HOUR = 3_600_000


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    made = SqliteStore(tmp_path, max_queue=1000, max_queue_bytes=1 << 20)
    yield made
    await made.close()


class Held:
    """Keeps the writer busy, so that what is put meanwhile becomes one group."""

    def __init__(self, store: SqliteStore) -> None:
        self.gate = threading.Event()
        self.entered = threading.Event()
        self.future = store.writer.put(self._wait)

    def _wait(self, db: sqlite3.Connection) -> None:
        self.entered.set()
        assert self.gate.wait(20)


@pytest.mark.parametrize(
    "poison",
    [
        Write("message", b"{}", target=2**70),  # type: ignore[arg-type]
        Write("message", b"{}", slot="\ud800"),
    ],
)
@pytest.mark.parametrize("place", [0, 5, 29])
async def test_D14_one_that_cannot_be_stored_fails_alone(
    store: SqliteStore, poison: Write, place: int, tmp_path: Path
) -> None:
    held = Held(store)
    commits = [entry(LOGS[0], str(n)) for n in range(30)]
    commits[place] = Commit(
        log=LOGS[0], sender="eve", op="evil", hash=b"h" * 16, at=1, writes=(poison,)
    )
    futures = [store.commit(commit) for commit in commits]
    held.gate.set()

    done = await asyncio.gather(*futures, return_exceptions=True)

    assert isinstance(done.pop(place), BadArgs)
    assert [d.last for d in done if isinstance(d, Committed)] == list(range(1, 30))
    assert list(check(tmp_path)) == []


async def test_D10_beyond_the_number_writes_are_refused_at_once(store: SqliteStore) -> None:
    held = Held(store)
    futures = [store.commit(entry(LOGS[0], str(n))) for n in range(1200)]

    refused = [f for f in futures if f.done()]
    assert len(refused) == 201  # the one that holds the writer waits too
    for future in refused:
        with pytest.raises(Overloaded) as raised:
            await future
        assert raised.value.retry_after_ms > 0

    held.gate.set()
    done = await asyncio.gather(*futures[:999])
    assert [d.last for d in done] == list(range(1, 1000))
    assert (await store.commit(entry(LOGS[0], "later"))).last == 1000
    assert (await store.stats())["queued"] == 0


async def test_D10_beyond_the_bytes_writes_are_refused_at_once(store: SqliteStore) -> None:
    held = Held(store)
    big = Write("message", b'"' + b"x" * 60_000 + b'"')

    def put(n: int) -> asyncio.Future[Committed]:
        writes = (big,) * 4
        return store.commit(
            Commit(log=LOGS[0], sender="ann", op=f"b{n}", hash=b"h" * 16, at=1, writes=writes)
        )

    futures = [put(n) for n in range(6)]
    assert [f.done() for f in futures] == [False] * 4 + [True] * 2
    with pytest.raises(Overloaded):
        await futures[4]
    with pytest.raises(Overloaded):
        await futures[5]
    held.gate.set()
    assert [d.last for d in await asyncio.gather(*futures[:4])] == [4, 8, 12, 16]


async def test_D8_a_failed_group_fails_all_of_it_and_only_it(
    store: SqliteStore, tmp_path: Path
) -> None:
    await store.commit(entry(LOGS[0], "before"))
    held = Held(store)

    def broken(db: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    futures = [store.commit(entry(LOGS[0], str(n))) for n in range(20)]
    futures.append(store.writer.put(broken))
    held.gate.set()

    done = await asyncio.gather(*futures, return_exceptions=True)

    assert {type(d) for d in done} == {StoreDown}
    again = await store.commit(entry(LOGS[0], "3"))
    assert (again.last, again.repeat) == (2, False)
    assert list(check(tmp_path)) == []


async def test_U9_a_rolled_back_touch_is_written_again(store: SqliteStore) -> None:
    """What was thought written was not: the next change must write the row."""
    join = (MemberChange(user="bob", join=True),)
    first = entry(LOGS[0], "0")
    first.members = (*first.members, *join)
    await store.commit(first)
    token = await store.sync("main", "bob")
    held = Held(store)

    def broken(db: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    lost = [store.commit(entry(LOGS[0], "lost")), store.writer.put(broken)]
    held.gate.set()
    await asyncio.gather(*lost, return_exceptions=True)

    done = await store.commit(entry(LOGS[0], "lost"))

    assert ("bob", token + 1) in done.touched


@pytest.mark.parametrize("long", [100, 10**9])
async def test_D24_the_log_starts_over_though_commits_never_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, long: int
) -> None:
    """Each copy is made while a commit is being written, so it always leaves that one over: only
    the writer, between two commits, finds nothing left."""
    monkeypatch.setattr(checkpoint, "PERIOD", 1000.0)
    monkeypatch.setattr(checkpoint, "LONG", long)
    store = SqliteStore(tmp_path)
    wal = tmp_path / f"{files.DATABASE}-wal"
    sizes = []
    for start in range(0, 3000, 100):
        futures = [store.commit(entry(LOGS[0], str(n))) for n in range(start, start + 100)]
        await store.writer.put(lambda db: store.checkpointer.copy())  # inside the transaction
        await asyncio.gather(*futures)
        sizes.append(wal.stat().st_size)
    grown = sizes[-1] > 1.5 * sizes[len(sizes) // 2]  # a page more is a bigger group, not a log
    await store.close()

    assert grown == (long > 100)
    assert list(check(tmp_path)) == []


@pytest.mark.parametrize("keep", [0, 1, 10_000])
async def test_D3_a_repeat_is_known_wherever_its_op_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: int
) -> None:
    """Plain commits on three logs, some of them retries, all in one group with new ones."""
    monkeypatch.setattr(places, "KEEP", keep)
    store = SqliteStore(tmp_path)

    def plain(n: int, digest: bytes = b"h" * 16) -> Commit:
        commit = entry(LOGS[n % 3], f"op{n}")
        commit.touch, commit.hash = None, digest
        return commit

    for log in LOGS:
        await store.commit(entry(log, "0"))
    first = [await store.commit(plain(n)) for n in range(20)]
    held = Held(store)
    futures = [store.commit(plain(n)) for n in range(10, 30)]
    clash = store.commit(plain(4, b"other hash......"))
    held.gate.set()
    again = await asyncio.gather(*futures)

    assert [done.repeat for done in again] == [True] * 10 + [False] * 10
    assert [done.last for done in again[:10]] == [done.last for done in first[10:]]
    with pytest.raises(Clash):
        await clash
    info = [await store.info(log) for log in LOGS]
    await store.close()
    assert sorted(i.head for i in info if i) == [11, 11, 11]
    assert list(check(tmp_path)) == []


async def test_D21_a_closed_store_is_one_file(tmp_path: Path) -> None:
    """However the threads end, the write-ahead log is folded in: the file can be copied away."""
    for n in range(6):
        store = SqliteStore(tmp_path)
        await store.commit(entry(LOGS[0], str(n)))
        if n % 2:
            await store.info(LOGS[0])
        if n % 3:  # the writer is done long before the others
            store.writer.refuse()
            await asyncio.to_thread(store.writer._thread.join)
        await store.close()
        assert names(tmp_path) == {files.DATABASE, files.LOCK}


def names(path: Path) -> set[str]:
    return {file.name for file in path.iterdir()}


async def test_D2_cancelling_who_waits_takes_nothing_back(store: SqliteStore) -> None:
    held = Held(store)
    waiting = store.commit(entry(LOGS[0], "0"))
    waiting.cancel()
    held.gate.set()

    again = await store.commit(entry(LOGS[0], "0"))

    assert (again.repeat, again.last) == (True, 1)


async def test_O3_64k_entries_of_one_millisecond_and_a_clock_gone_back(tmp_path: Path) -> None:
    asyncio.get_running_loop().set_debug(False)  # it takes a traceback for each of 64k futures
    store = SqliteStore(tmp_path, max_queue=3_000)
    now, sent = 1_700_000_000_000, 65_536
    for start in range(0, sent, 2048):
        if start == sent // 2:
            now -= HOUR
        commits = [entry(LOGS[0], str(n)) for n in range(start, start + 2048)]
        for commit in commits:
            commit.at, commit.touch = now, None
        done = await asyncio.gather(*(store.commit(commit) for commit in commits))
        assert [d.last for d in done] == list(range(start + 1, start + 2049))
    info = await store.info(LOGS[0])
    await store.close()

    assert info is not None and (info.head, info.ord) == (sent, sent)
    assert list(check(tmp_path)) == []


async def test_D7_joins_by_the_thousand_do_not_stop_who_decides(tmp_path: Path) -> None:
    """10,000 joins at once, and a state decided on the version before them all."""
    asyncio.get_running_loop().set_debug(False)  # it takes a traceback for each of 10k futures
    store = SqliteStore(tmp_path)
    await store.commit(entry(LOGS[0], "0"))

    def join(n: int) -> Commit:
        members = (MemberChange(user=f"u{n}", join=True),)
        return Commit(log=LOGS[0], sender=f"u{n}", op="join", hash=b"h" * 16, at=1, members=members)

    waiting = [store.commit(join(n)) for n in range(10_000)]
    decided = entry(LOGS[0], "state")
    decided.expect, decided.state = 1, b'{"title":"full house"}'
    done = await asyncio.gather(*waiting, store.commit(decided))

    assert done[-1].count == 10_001 and done[-1].large
    assert len(done[-1].touched) == 0
    members = await store.members(LOGS[0], limit=20_000)
    await store.close()
    assert len(members) == 10_001
    assert list(check(tmp_path)) == []
