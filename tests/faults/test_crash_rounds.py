"""D, V: kill -9 loses nothing that was acknowledged; the checker sees what a broken store does."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.crash_rounds import rounds, verify

Break = Callable[[sqlite3.Connection, Path], None]


@pytest.mark.slow
async def test_V1_twenty_kills_after_an_ack_lose_and_double_nothing(tmp_path: Path) -> None:
    told = await rounds(20, tmp_path, seed=7)
    status, lines = verify(tmp_path)
    assert (status, lines[:-1]) == (0, [])
    assert lines[-1]["acked"] >= told["sent"] == 240  # type: ignore[operator]
    assert lines[-1]["got"] >= 4 * told["sent"]  # type: ignore[operator]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small sound history: four devices, two logs, two crashes."""
    import asyncio

    folder = tmp_path_factory.mktemp("history")
    asyncio.run(rounds(2, folder, seed=3))
    status, lines = verify(folder)
    assert (status, len(lines)) == (0, 1), lines
    return folder


def pick(db: sqlite3.Connection, nth: int = 5) -> tuple[int, int]:
    """(pos, seq) of some message in the middle of the busiest log."""
    row = db.execute(
        "SELECT pos, seq FROM entries WHERE lid = (SELECT lid FROM entries WHERE type = 'message'"
        " GROUP BY lid ORDER BY count(*) DESC LIMIT 1) AND type = 'message' ORDER BY seq LIMIT 1"
        " OFFSET ?",
        (nth,),
    ).fetchone()
    return int(row[0]), int(row[1])


def lose_acknowledged(db: sqlite3.Connection, folder: Path) -> None:
    """The store acknowledged the newest message and lost it."""
    lid, seq = db.execute(
        "SELECT lid, max(seq) FROM entries WHERE lid = (SELECT lid FROM entries WHERE pos = ?)",
        (pick(db)[0],),
    ).fetchone()
    db.execute("DELETE FROM entries WHERE lid = ? AND seq = ?", (lid, seq))
    db.execute("UPDATE heads SET head = head - 1, ord = ord - 1 WHERE lid = ?", (lid,))


def leave_a_hole(db: sqlite3.Connection, folder: Path) -> None:
    """A seq was given out and never written."""
    db.execute("DELETE FROM entries WHERE pos = ?", (pick(db)[0],))


def store_twice(db: sqlite3.Connection, folder: Path) -> None:
    """A retry was stored as a second message."""
    pos = pick(db)[0]
    lid, op, sender, at = db.execute(
        "SELECT lid, op, sender, at FROM entries WHERE pos = ?", (pos,)
    ).fetchone()
    later = db.execute(
        "SELECT pos FROM entries WHERE lid = ? AND pos > ? + 3 AND type = 'message' LIMIT 1",
        (lid, pos),
    ).fetchone()[0]
    db.execute(
        "UPDATE entries SET op = ?, sender = ?, at = ? WHERE pos = ?", (op, sender, at + 1, later)
    )


def swap_two(db: sqlite3.Connection, folder: Path) -> None:
    """Two entries changed places after readers had seen them."""
    pos, seq = pick(db)
    lid = db.execute("SELECT lid FROM entries WHERE pos = ?", (pos,)).fetchone()[0]
    for old, new in ((seq, -1), (seq + 1, seq), (-1, seq + 1)):
        db.execute("UPDATE entries SET seq = ? WHERE lid = ? AND seq = ?", (new, lid, old))


def change_a_body(db: sqlite3.Connection, folder: Path) -> None:
    """Somebody wrote over history."""
    body = b'{"content":{"type":"text","text":"forged"}}'
    db.execute("UPDATE entries SET body = ? WHERE pos = ?", (body, pick(db)[0]))


def drift_unread(db: sqlite3.Connection, folder: Path) -> None:
    """A counter drifted: the ordinal at a read cursor is wrong."""
    db.execute("UPDATE members SET read_ord = read_ord - 1, sent_ord = 0 WHERE read > 0")
    db.execute("UPDATE members SET sent = 0, sent_ord = 0, read = 1, read_ord = 3")


def change_ledger(folder: Path, change: Callable[[list[str]], list[str]]) -> None:
    path = next(p for p in sorted(folder.glob("*.ledger")) if '"t":"got"' in p.read_text())
    path.write_text("".join(change(path.read_text().splitlines(keepends=True))))


def gots(lines: list[str]) -> list[int]:
    """Places of the entries of one log."""
    log = next(line for line in lines if '"t":"got"' in line).split('"log":"')[1].split('"')[0]
    return [i for i, line in enumerate(lines) if '"t":"got"' in line and log in line]


def skip_one(db: sqlite3.Connection, folder: Path) -> None:
    """A reader was never given an entry."""
    change_ledger(folder, lambda lines: [x for i, x in enumerate(lines) if i != gots(lines)[3]])


def give_twice(db: sqlite3.Connection, folder: Path) -> None:
    """A reader was given an entry twice."""
    change_ledger(
        folder,
        lambda lines: [
            y for i, x in enumerate(lines) for y in ([x, x] if i == gots(lines)[3] else [x])
        ],
    )


def give_late(db: sqlite3.Connection, folder: Path) -> None:
    """A reader was given an entry after its successor."""

    def swap(lines: list[str]) -> list[str]:
        a, b = gots(lines)[3:5]
        lines[a], lines[b] = lines[b], lines[a]
        return lines

    change_ledger(folder, swap)


def stop_early(db: sqlite3.Connection, folder: Path) -> None:
    """The tail was lost for one reader, who thinks that it is level."""
    change_ledger(folder, lambda lines: [x for i, x in enumerate(lines) if i != gots(lines)[-1]])


def refuse_and_store(db: sqlite3.Connection, folder: Path) -> None:
    """The client was told no, the entry is there."""

    def refuse(lines: list[str]) -> list[str]:
        at = next(i for i, x in enumerate(lines) if '"t":"acked"' in x and '"seq"' in x)
        import json

        ack = json.loads(lines[at])
        failed = {"t": "failed", "at": ack["at"], "op": ack["op"], "log": ack["log"], "code": 204}
        lines[at] = json.dumps(failed) + "\n"
        return lines

    change_ledger(folder, refuse)


@pytest.mark.parametrize(
    ("rule", "broken", "kind"),
    [
        ("V2", lose_acknowledged, "acked_not_durable"),
        ("V2", leave_a_hole, "not_dense"),
        ("V2", store_twice, "duplicate"),
        ("V2", swap_two, "diverged"),
        ("V2", change_a_body, "diverged"),
        ("V2", drift_unread, "unread_wrong"),
        ("V3", skip_one, "lost"),
        ("V3", give_twice, "duplicate"),
        ("V3", give_late, "reordered"),
        ("V3", stop_early, "lost"),
        ("V3", refuse_and_store, "refused_but_stored"),
    ],
    ids=lambda value: value.__name__ if callable(value) else str(value),
)
def test_V2_V3_checker_catches(
    history: Path, tmp_path: Path, rule: str, broken: Break, kind: str
) -> None:
    """The same history, broken in one place: exit status 1 and the fault by its name."""
    folder = tmp_path / "broken"
    shutil.copytree(history, folder)
    db = sqlite3.connect(folder / "data" / "hongyan.db")
    with db:
        broken(db, folder)
    db.close()
    status, lines = verify(folder)
    kinds = {line.get("kind") for line in lines[:-1]}
    assert status == 1
    assert kind in kinds, lines


def test_V4_verify_says_what_it_cannot_read(tmp_path: Path) -> None:
    status, lines = verify(tmp_path)  # no data directory
    assert (status, lines) == (2, [])
    (tmp_path / "data").mkdir()
    assert verify(tmp_path)[0] == 2
