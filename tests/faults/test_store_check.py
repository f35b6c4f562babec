"""The doctor's check finds each kind of damage, and no other."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from hongyan.adapters.sqlite import SqliteStore, places
from hongyan.adapters.sqlite.check import check
from hongyan.adapters.sqlite.files import DATABASE
from hongyan.model.log import Commit, MemberChange, Write

LOG = "main/g/room"
HI = Write("message", b'{"text":"hi"}', count=True)


@pytest.fixture(params=["_new", ""])
def tier(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """In which of the two tables of places and of ops the rows are."""
    monkeypatch.setattr(places, "KEEP", 99 if request.param else 0)
    return str(request.param)


@pytest.fixture
async def data(tmp_path: Path, tier: str) -> Path:
    """Ann said five things to bob, recalled the second; bob read two and hid the fourth."""
    store = SqliteStore(tmp_path)
    steps = (
        {"members": tuple(MemberChange(user=u, join=True) for u in ("ann", "bob"))},
        {"writes": (HI, HI, HI, HI, HI)},
        {"writes": (Write("recall", b"{}", target=2, erases=True),)},
        {"members": (MemberChange(user="bob", hide=(4,)),)},
    )
    for n, step in enumerate(steps):
        await store.commit(Commit(log=LOG, sender="ann", op=f"{n}", hash=b"h" * 16, at=1, **step))
    await store.move(LOG, "bob", read=2)
    await store.close()
    return tmp_path


def test_D22_a_sound_store_has_no_fault(data: Path) -> None:
    assert list(check(data)) == []


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        ("DELETE FROM entries WHERE seq=3", {"seqs", "ord", "unread", "place"}),
        ("DELETE FROM entries WHERE seq=6", {"seqs", "head", "place"}),
        ("UPDATE entries SET seq=9 WHERE seq=6", {"seqs", "place"}),
        ("UPDATE places{tier} SET pos=pos+1 WHERE seq=6", {"place", "head"}),
        ("DELETE FROM places{tier} WHERE seq=5", {"place", "position", "unread"}),
        ("INSERT INTO places{tier} VALUES (1, 9, 9)", {"place"}),
        ("UPDATE heads SET head=9", {"seqs", "head"}),
        ("UPDATE heads SET ord=9", {"head", "unread"}),
        ("UPDATE heads SET counted=3", {"head"}),
        ("UPDATE heads SET count=3", {"members"}),
        ("UPDATE entries SET ord=7 WHERE seq=4", {"ord"}),
        ("UPDATE members SET read_ord=1 WHERE ukey='main/bob'", {"position", "unread"}),
        ("UPDATE members SET sent_ord=0 WHERE ukey='main/ann'", {"position", "unread"}),
        (
            "UPDATE members SET read=9, delivered=9 WHERE ukey='main/bob'",
            {"cursor", "position", "unread"},
        ),
        ("UPDATE members SET delivered=1 WHERE ukey='main/bob'", {"cursor"}),
        ("UPDATE ops{tier} SET last=9 WHERE op='1'", {"op"}),
        ("UPDATE entries SET body=CAST('{\"a\":1}' AS BLOB) WHERE seq=2", {"erased"}),
        ("DELETE FROM erased", set()),  # then it was never erased: unread follows
        ("INSERT INTO mentions VALUES (1, '*', 77, 'ann')", {"orphan"}),
        ("DELETE FROM heads", {"orphan"}),
        ("DELETE FROM logs", {"orphan"}),
        ("UPDATE ops{tier} SET lid=7", {"orphan"}),
    ],
)
def test_D22_each_damage_is_found(data: Path, tier: str, damage: str, found: set[str]) -> None:
    db = sqlite3.connect(data / DATABASE)
    with db:
        assert db.execute(damage.replace("{tier}", tier)).rowcount > 0
    db.close()

    faults = list(check(data))

    assert {fault.what for fault in faults} == found
    assert all(fault.detail for fault in faults)


async def test_D22_two_rows_of_one_place_in_an_inbox_are_found(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    for name in ("a", "b"):
        members = (MemberChange(user="ann", join=True),)
        log = f"main/g/{name}"
        await store.commit(
            Commit(log=log, sender="ann", op="1", hash=b"h" * 16, at=1, members=members)
        )
    await store.close()
    db = sqlite3.connect(tmp_path / DATABASE)
    with db:
        db.execute("UPDATE members SET useq=1")
    db.close()

    assert [(fault.what, fault.log) for fault in check(tmp_path)] == [("inbox", "main/g/a")]


def test_D22_a_damaged_page_is_found(data: Path) -> None:
    file = data / DATABASE
    pages = bytearray(file.read_bytes())
    db = sqlite3.connect(file)
    (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name='entries'").fetchone()
    db.close()
    start = (root - 1) * 4096
    pages[start + 8 : start + 12] = b"\xff" * 4
    file.write_bytes(pages)

    assert "file" in {fault.what for fault in check(data)}


def test_D22_a_directory_without_a_store_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(check(tmp_path))
