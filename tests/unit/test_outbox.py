"""The outbox and the data file under it."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from hongyan.client.datafile import CACHED_ENTRIES, DataFile, Saved
from hongyan.client.errors import DataBroken, DataInUse, OutboxFull
from hongyan.client.outbox import LEAST_S, MOST_S, OpIds, Outbox, Pending, backoff
from hongyan.model.ids import OP, LogId, OpId, Seq, UserId
from hongyan.model.log import Entry, InboxRow, Role

A, B = LogId("main/g/a"), LogId("main/g/b")


def add(outbox: Outbox, op: str, log: LogId = A, *, held: bool = False) -> Pending:
    return outbox.add(OpId(op), log, "chat.send", b"{}", held=held)


def ops(pendings: list[Pending]) -> list[str]:
    return [p.op for p in pendings]


# --- order ------------------------------------------------------------------------------------


def test_X4_of_a_log_only_the_first_is_on_the_way() -> None:
    outbox = Outbox()
    for op, log in [("a1", A), ("a2", A), ("b1", B)]:
        add(outbox, op, log)
    assert ops(outbox.ready(0.0, 9)) == ["a1", "b1"]
    assert outbox.ready(0.0, 9) == []
    outbox.done(OpId("a1"))
    assert ops(outbox.ready(0.0, 9)) == ["a2"]


def test_X4_the_oldest_goes_first_when_not_all_may() -> None:
    outbox = Outbox()
    for op, log in [("b1", B), ("a1", A)]:
        add(outbox, op, log)
    assert ops(outbox.ready(0.0, 1)) == ["b1"]
    assert outbox.ready(0.0, 0) == []


def test_X1_a_call_that_is_not_on_disk_holds_its_log_back() -> None:
    outbox = Outbox()
    first = add(outbox, "a1", held=True)
    add(outbox, "a2")
    assert outbox.ready(0.0, 9) == []
    assert outbox.due() is None
    first.held = False
    assert ops(outbox.ready(0.0, 9)) == ["a1"]


def test_X4_a_withdrawn_call_lets_the_next_one_go() -> None:
    outbox = Outbox()
    add(outbox, "a1")
    add(outbox, "a2")
    assert outbox.done(OpId("a2")) is not None
    assert outbox.done(OpId("a2")) is None
    outbox.done(OpId("a1"))
    assert (len(outbox), outbox.bytes, list(outbox)) == (0, 0, [])


# --- again ------------------------------------------------------------------------------------


def test_X5_refused_for_now_waits_at_least_what_the_server_says() -> None:
    outbox = Outbox()
    add(outbox, "a1")
    outbox.ready(0.0, 9)
    outbox.later(OpId("a1"), 100.0, 7.0, random.Random(1))
    due = outbox.due()
    assert due is not None
    assert due >= 107.0
    assert outbox.ready(due - 0.001, 9) == []
    assert ops(outbox.ready(due, 9)) == ["a1"]
    outbox.later(OpId("gone"), 0.0, 0.0, random.Random(1))  # answered meanwhile: nothing to do


@pytest.mark.parametrize("tries", range(1, 40))
def test_X8_pauses_grow_within_their_bounds(tries: int) -> None:
    dice = random.Random(tries)
    ceiling = min(MOST_S, LEAST_S * 2 ** (tries - 1))
    pauses = [backoff(tries, dice) for _ in range(200)]
    assert all(ceiling / 10 <= pause <= ceiling for pause in pauses)
    assert max(pauses) - min(pauses) > ceiling / 2  # spread: they do not come back together


# --- bounds -----------------------------------------------------------------------------------


def test_X7_a_full_outbox_refuses_and_drops_nothing() -> None:
    outbox = Outbox(most=2)
    add(outbox, "a1")
    add(outbox, "a2")
    with pytest.raises(OutboxFull):
        add(outbox, "a3")
    assert ops(list(outbox)) == ["a1", "a2"]
    outbox.done(OpId("a1"))
    add(outbox, "a3")


def test_X7_bytes_are_bounded_too() -> None:
    outbox = Outbox(most_bytes=1_000)
    with pytest.raises(OutboxFull):
        outbox.add(OpId("big"), A, "chat.send", b"x" * 1_000)
    assert len(outbox) == 0
    add(outbox, "small")


def test_X3_saved_calls_are_loaded_beyond_the_limit_and_keep_their_order() -> None:
    outbox = Outbox(most=1)
    for n in (4, 7):
        outbox.load(Pending(n, OpId(f"op{n}"), A, "chat.send", b"{}"))
    assert ops(list(outbox)) == ["op4", "op7"]
    for op in ("op4", "op7"):
        outbox.done(OpId(op))
    assert add(outbox, "new").n > 7


# --- ops --------------------------------------------------------------------------------------


def test_X9_ops_are_unique_and_rise_when_the_clock_stands_or_goes_back() -> None:
    clock = iter([5_000] * 500 + [1_000] * 500 + [9_000] * 500)
    make = OpIds(lambda: next(clock))
    made = [make() for _ in range(1_500)]
    assert made == sorted(set(made))
    assert all(OP.fullmatch(op) for op in made)


def test_X9_ops_of_two_devices_differ() -> None:
    first, second = OpIds(lambda: 5_000), OpIds(lambda: 5_000)
    assert {first() for _ in range(100)}.isdisjoint({second() for _ in range(100)})


def test_X9_ops_sort_by_time() -> None:
    assert OpIds(lambda: 1_000)() < OpIds(lambda: 1_001)() < OpIds(lambda: 1 << 44)()


# --- the data file ----------------------------------------------------------------------------


def entry(seq: int, body: str = "{}") -> Entry:
    return Entry(
        seq=Seq(seq),
        type="message",
        sender=UserId("bob"),
        at=0,
        ord=seq,
        body=msgspec.Raw(body.encode()),
        count=True,
    )


def row(log: LogId, useq: int) -> InboxRow:
    return InboxRow(
        log=log,
        useq=useq,
        head=Seq(1),
        ord=1,
        unread=0,
        mentions=0,
        role=Role.MEMBER,
        since=Seq(1),
        read=Seq(0),
        delivered=Seq(0),
    )


def opened(path: Path) -> tuple[DataFile, Saved]:
    file = DataFile(path)
    return file, file.load()


async def test_X3_what_was_saved_is_there_again(tmp_path: Path) -> None:
    file, empty = opened(tmp_path / "c.db")
    assert empty == Saved()
    calls = [Pending(n, OpId(f"op{n}"), A, "chat.send", b'{"n":1}', at=9) for n in (1, 2, 3)]
    for call in calls:
        await file.save_call(call)
    file.drop_call(OpId("op2"))
    await file.save_read(A, Seq(5), 2)
    await file.save_read(B, Seq(6), -1)
    file.drop_read(A, Seq(4))  # the server has an older one: the newer is still to send
    file.drop_read(B, Seq(6))
    file.save_user("main/alice")
    file.save_rows([row(A, 1), row(B, 2)], token=7, large={B: Seq(9)})
    await file.close()
    await file.close()

    file, saved = opened(tmp_path / "c.db")
    await file.close()
    assert saved.calls == [calls[0], calls[2]]
    assert saved.reads == {A: (Seq(5), 2)}
    assert (saved.user, saved.token, saved.large) == ("main/alice", 7, {B: 9})
    assert [r.log for r in saved.rows] == [A, B]


async def test_R15_the_newest_entries_are_cached_and_no_more(tmp_path: Path) -> None:
    file, _ = opened(tmp_path / "c.db")
    for seq in range(1, 200):
        file.save_entries(A, [entry(seq)], Seq(seq))
    file.save_entries(A, [entry(198, '"new"')], Seq(199))  # a body changed
    await file.close()
    file, _ = opened(tmp_path / "c.db")
    cached = await file.entries(A)
    assert [e.seq for e in cached] == list(range(200 - CACHED_ENTRIES, 200))
    assert bytes(cached[-2].body) == b'"new"'
    file.drop_entries(A, below=Seq(190))
    await file.save_read(A, Seq(1), -1)  # a commit that waits: what was queued before is done
    assert len(await file.entries(A)) == 10
    file.drop_entries(A)
    await file.save_read(A, Seq(2), -1)
    assert await file.entries(A) == []
    await file.close()


async def test_R15_a_hole_in_the_cache_ends_it(tmp_path: Path) -> None:
    file, _ = opened(tmp_path / "c.db")
    file.save_entries(A, [entry(1), entry(2), entry(5), entry(6)], Seq(6))
    await file.save_read(A, Seq(1), -1)
    assert [e.seq for e in await file.entries(A)] == [5, 6]
    await file.close()


async def test_R16_the_cache_is_forgotten_and_calls_are_not(tmp_path: Path) -> None:
    file, _ = opened(tmp_path / "c.db")
    await file.save_call(Pending(1, OpId("op1"), A, "chat.send", b"{}"))
    file.save_rows([row(A, 1)], token=7, large={})
    file.save_entries(A, [entry(1)], Seq(1))
    file.forget_rows()
    await file.close()
    file, saved = opened(tmp_path / "c.db")
    assert await file.entries(A) == []
    await file.close()
    assert (saved.rows, saved.token, len(saved.calls)) == ([], 0, 1)


async def test_X10_a_file_in_use_is_refused(tmp_path: Path) -> None:
    file, _ = opened(tmp_path / "c.db")
    with pytest.raises(DataInUse):
        await asyncio.to_thread(DataFile, tmp_path / "c.db")
    await file.close()
    file, _ = opened(tmp_path / "c.db")
    await file.close()


def test_X10_a_newer_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    with sqlite3.connect(path) as db:
        db.execute("pragma user_version = 99")
    db.close()
    before = path.read_bytes()
    with pytest.raises(DataBroken, match="version 99"):
        DataFile(path)
    with sqlite3.connect(path) as db:
        assert db.execute("pragma user_version").fetchone() == (99,)
        assert db.execute("select count(*) from sqlite_master").fetchone() == (0,)
    db.close()
    assert before == path.read_bytes()


def test_X10_no_database_at_all_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    path.write_bytes(b"not a database, but something dear to somebody" * 100)
    before = path.read_bytes()
    with pytest.raises(DataBroken):
        DataFile(path)
    assert path.read_bytes() == before


def test_X10_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataBroken):
        DataFile(tmp_path / "file" / "c.db")


async def test_X10_damaged_content_is_refused(tmp_path: Path) -> None:
    file, _ = opened(tmp_path / "c.db")
    await file.close()
    with sqlite3.connect(tmp_path / "c.db") as db:
        db.execute("insert into rows values ('main/g/a', 'no row')")
    db.close()
    with pytest.raises(DataBroken):
        opened(tmp_path / "c.db")


async def test_X10_a_call_that_cannot_be_written_fails(tmp_path: Path) -> None:
    file, _ = opened(tmp_path / "c.db")
    await file.save_call(Pending(1, OpId("op1"), A, "chat.send", b"{}"))
    with pytest.raises(DataBroken):  # the same op again: any failing statement will do
        await file.save_call(Pending(2, OpId("op1"), A, "chat.send", b"{}"))
    assert file.error is not None
    await file.save_call(
        Pending(3, OpId("op3"), A, "chat.send", b"{}")
    )  # it is not broken for good
    await file.close()
    file, saved = opened(tmp_path / "c.db")
    await file.close()
    assert ops(saved.calls) == ["op1", "op3"]


WRITER = """
import asyncio, sys
from pathlib import Path
from hongyan.client.datafile import DataFile
from hongyan.client.outbox import Pending
async def main():
    file = DataFile(Path(sys.argv[1])); file.load()
    for n in range(1, 10**9):
        await file.save_call(Pending(n, f"op{n}", "main/g/a", "chat.send", b"{}"))
        print(n, flush=True)
asyncio.run(main())
"""


@pytest.mark.parametrize("count", [1, 17, 60])
def test_X3_what_is_saved_survives_kill_9(tmp_path: Path, count: int) -> None:
    path = tmp_path / "c.db"
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    said = 0
    while said < count:
        said = int(process.stdout.readline())
    os.kill(process.pid, signal.SIGKILL)
    said = max([said, *(int(line) for line in process.stdout)])
    process.wait()
    process.stdout.close()
    file, saved = opened(path)
    asyncio.run(file.close())
    assert ops(saved.calls)[:said] == [f"op{n}" for n in range(1, said + 1)]
    assert len(saved.calls) - said in (0, 1)  # one may be on disk that nobody was told of
