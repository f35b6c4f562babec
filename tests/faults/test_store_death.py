"""A real process with a store, killed: what was acknowledged is there, once, without a hole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hongyan.adapters.sqlite import SqliteStore, StoreLocked
from hongyan.adapters.sqlite.check import check
from tests.faults.store_child import LOGS, entry

CHILD = Path(__file__).with_name("store_child.py")


def start(path: Path, mode: str, n: int = 0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(CHILD), str(path), mode, str(n)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def acks(child: subprocess.Popen[str], most: int = 10**9) -> dict[tuple[str, str], int]:
    """The next `most` acknowledgements, or all up to the end: (log, op) to seq."""
    assert child.stdout is not None
    found = {}
    while len(found) < most and (line := child.stdout.readline()).endswith("\n"):
        word, log, op, seq = line.split()
        assert word == "acked"
        found[log, op] = int(seq)
    return found


def bury(child: subprocess.Popen[str]) -> None:
    child.kill()
    child.communicate(timeout=20)


async def test_D1_killed_right_after_the_answer_nothing_acknowledged_is_lost(
    tmp_path: Path,
) -> None:
    """Six lives of one store, each ended by kill -9 in the middle of its work."""
    acked: dict[tuple[str, str], int] = {}
    for life in range(6):
        child = start(tmp_path, "flood")
        acked |= acks(child, 120 + 37 * life)
        child.kill()
        acked |= acks(child)  # what it said before it died counts too
        bury(child)

        store = SqliteStore(tmp_path)
        kept = {(i.log, i.entry.op): i.entry.seq for i in await store.feed(after=0, limit=10**6)}
        for (log, op), seq in list(acked.items())[::17]:
            again = await store.commit(entry(log, op))
            assert (again.repeat, again.last) == (True, seq)
        await store.close()
        assert {key: kept.get(key) for key in acked} == acked
        for log in LOGS:
            seqs = [seq for (name, _), seq in kept.items() if name == log]
            assert seqs == list(range(1, len(seqs) + 1))
    assert list(check(tmp_path)) == []


@pytest.mark.parametrize("n", [1, 2, 7])
async def test_O4_dying_between_write_and_commit_leaves_no_hole(tmp_path: Path, n: int) -> None:
    child = start(tmp_path, "die_torn", n)
    assert len(acks(child)) == n - 1
    bury(child)

    store = SqliteStore(tmp_path)
    done = await store.commit(entry(LOGS[0], str(n - 1)))
    await store.close()

    assert (done.repeat, done.last) == (False, n)
    assert list(check(tmp_path)) == []


@pytest.mark.parametrize("n", [1, 2, 7])
async def test_D3_a_retry_after_a_lost_answer_writes_once(tmp_path: Path, n: int) -> None:
    """The entry is durable, the process dies before it can say so, the client retries."""
    child = start(tmp_path, "die_mute", n)
    assert len(acks(child)) == n - 1
    bury(child)

    store = SqliteStore(tmp_path)
    done = await store.commit(entry(LOGS[0], str(n - 1)))
    page = await store.read(LOGS[0], "ann")
    await store.close()

    assert (done.repeat, done.last) == (True, n)
    assert [e.seq for e in page.entries] == list(range(1, n + 1))


async def test_D11_a_second_process_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    child = start(tmp_path, "hold")
    assert child.stdout is not None and child.stdout.readline() == "open\n"
    try:
        with pytest.raises(StoreLocked, match=str(tmp_path)):
            SqliteStore(tmp_path)
        other = start(tmp_path, "hold")
        assert other.communicate(timeout=20)[0] == ""
        assert other.returncode == 1
    finally:
        bury(child)

    await SqliteStore(tmp_path).close()


async def test_D11_the_same_process_is_refused_too(tmp_path: Path) -> None:
    first = SqliteStore(tmp_path)
    with pytest.raises(StoreLocked):
        SqliteStore(tmp_path)
    await first.close()
    await SqliteStore(tmp_path).close()
