"""What every FileRecords adapter promises, and the one of Uploads (rules FU6, FU20, FU21, FU24)."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hongyan.adapters.memory.directory import MemoryDirectory
from hongyan.adapters.memory.filerecords import MemoryFileRecords
from hongyan.adapters.memory.store import MemoryStore
from hongyan.adapters.sqlite import SqliteDirectory, SqliteStore
from hongyan.adapters.sqlite import filerecords as sqlite_records
from hongyan.adapters.sqlite.filerecords import SqliteFileRecords
from hongyan.adapters.uploads import LocalUploads
from hongyan.model.errors import Full, NoSuchEntry, StoreDown, TooFast
from hongyan.model.files import ENDED, PROCESSING, READY, UPLOADING, File, Quota, Refs, Upload
from hongyan.model.ids import LogId, Seq, TenantId, UserId
from hongyan.model.log import Commit, MemberChange, Write
from hongyan.ports import Directory, FileRecords, Loose, Store, User

MAIN, OTHER = TenantId("main"), TenantId("other")
LOG = LogId("main/g/room")
A, B = "a" * 64, "b" * 64
QUOTA = Quota(open=3, count=10, user_bytes=0, tenant_bytes=0, since=0)


@dataclass
class Place:
    records: FileRecords
    store: Store
    directory: Directory

    async def say(self, text: str, number: int) -> None:
        commit = Commit(
            log=LOG,
            sender=UserId("ann"),
            op=f"op{number}",  # type: ignore[arg-type]
            hash=b"h" * 16,
            at=1,
            writes=(Write("message", f'{{"x":"{text}"}}'.encode(), count=True),),
            members=(MemberChange(user=UserId("ann"), join=True),) if number == 1 else (),
            state=b"{}" if number == 1 else None,
            expect=0 if number == 1 else -1,
        )
        await self.store.commit(commit)


@pytest.fixture(params=["memory", "sqlite"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    if request.param == "memory":
        memory, people = MemoryStore(), MemoryDirectory()
        yield Place(MemoryFileRecords(memory, people), memory, people)
        return
    store = SqliteStore(tmp_path / "data")
    yield Place(SqliteFileRecords(store), store, SqliteDirectory(store))
    await store.close()


def upload(number: int = 1, **fields: Any) -> Upload:
    given = {
        "id": f"u{number}",
        "tenant": MAIN,
        "user": UserId("ann"),
        "size": 100,
        "created_at": number,
        "expires_at": 1000 + number,
        **fields,
    }
    return Upload(**given)


async def test_FU24_an_upload_is_kept_as_it_goes_on(place: Place) -> None:
    records = place.records
    first = upload(name="a.txt", media_type="text/plain")
    await records.begin(first, QUOTA)
    assert await records.upload("u1") == first
    assert await records.upload("u2") is None

    await records.advance("u1", 50, 2000)
    await records.advance("u1", 40, 1500)  # late: neither goes back
    there = await records.upload("u1")
    assert there is not None and (there.offset, there.expires_at) == (50, 2000)
    await records.settle("u1", PROCESSING, b"{}", 3000)
    await records.advance("u1", 60, 9000)  # not uploading any more
    there = await records.upload("u1")
    assert there is not None
    assert (there.state, there.offset, there.result, there.expires_at) == (
        PROCESSING,
        50,
        b"{}",
        3000,
    )
    await records.settle("u1", ENDED, b"", 4000)
    await records.settle("u1", READY, b"{}", 5000)  # ended stays ended
    there = await records.upload("u1")
    assert there is not None and there.state == ENDED
    await records.forget(["u1", "u9"])
    assert await records.upload("u1") is None


async def test_FU24_uploads_are_listed_by_expiry(place: Place) -> None:
    for number in (3, 1, 2):
        await place.records.begin(upload(number), QUOTA)
    await place.records.settle("u2", READY, b"", 1002)
    found = await place.records.uploads((UPLOADING,), before=1 << 62, limit=9)
    assert [u.id for u in found] == ["u1", "u3"]
    found = await place.records.uploads((UPLOADING, READY), before=1003, limit=9)
    assert [u.id for u in found] == ["u1", "u2"]
    assert len(await place.records.uploads((UPLOADING, READY), before=1 << 62, limit=1)) == 1


async def test_FU6_a_quota_is_judged_with_the_insert(place: Place) -> None:
    records = place.records
    tight = Quota(open=2, count=4, user_bytes=350, tenant_bytes=500, since=0)
    await records.begin(upload(1), tight)
    await records.begin(upload(2), tight)
    with pytest.raises(Full):
        await records.begin(upload(3), tight)
    assert await records.upload("u3") is None
    await records.settle("u1", READY, b"", 9)
    await records.advance("u2", 30, 9)
    await records.settle("u2", ENDED, b"", 9)  # 100 + 30 are used
    with pytest.raises(TooFast):
        await records.begin(upload(3, size=221), tight)
    await records.begin(upload(3, size=220), tight)
    with pytest.raises(TooFast):  # the tenant's
        await records.begin(upload(4, user=UserId("bob"), size=151), tight)
    await records.begin(upload(4, user=UserId("bob"), size=150), tight)
    await records.begin(upload(5, tenant=OTHER, size=350), tight)
    late = Quota(open=9, count=4, user_bytes=350, tenant_bytes=500, since=3)
    await records.begin(upload(6, size=200), late)  # those of 1 to 3 are long ago
    few = Quota(open=9, count=1, user_bytes=0, tenant_bytes=0, since=3)
    with pytest.raises(TooFast):
        await records.begin(upload(7, size=1), few)


async def test_FU20_files_are_held_by_tenants_and_let_go(place: Place) -> None:
    records = place.records
    await records.hold(
        [File(MAIN, A, 5, "x/y"), File(OTHER, A, 5, "x/y"), File(MAIN, B, 6, "x/z")], 10
    )
    assert await records.file(MAIN, B) == File(MAIN, B, 6, "x/z")
    assert await records.file(OTHER, B) is None
    loose = [Loose(10, MAIN, A), Loose(10, MAIN, B), Loose(10, OTHER, A)]
    assert await records.loose(before=10, after=(0, "", ""), limit=9) == []
    assert await records.loose(before=11, after=(0, "", ""), limit=9) == loose
    assert await records.loose(before=11, after=(10, "main", A), limit=1) == loose[1:2]

    assert await records.let_go(loose[:1], consumer="files") == []  # the other tenant holds it
    assert await records.let_go(loose[2:], consumer="files") == [A]
    assert await records.drops(9) == [A]
    await records.hold([File(MAIN, A, 5, "x/y")], 20)
    assert await records.drops(9) == []
    assert await records.let_go(loose[:1], consumer="files") == []  # touched since
    assert await records.let_go([Loose(20, MAIN, A)], consumer="files") == [A]
    await records.dropped([A])
    assert await records.drops(9) == []
    totals = await records.totals()
    assert (totals.files, totals.bytes, totals.refs) == (1, 6, 0)


async def test_FU20_references_replace_each_other(place: Place) -> None:
    records = place.records
    await records.hold([File(MAIN, A, 5, "x/y"), File(MAIN, B, 5, "x/y")], 10)
    await records.refer([Refs(LOG, Seq(1), (A, B)), Refs(LOG, Seq(2), (B,), target=Seq(1))])
    await records.refer([Refs(LOG, Seq(1), (A,))])
    assert await records.refs(MAIN, A) == [(LOG, 1)]
    assert await records.refs(MAIN, B) == [(LOG, 2)]
    assert await records.refs(OTHER, A) == []
    assert await records.loose(before=99, after=(0, "", ""), limit=9) == []
    assert (await records.totals()).refs == 2
    await records.refer([Refs(LOG, Seq(3), (), target=Seq(1), erases=True)] * 2)
    assert await records.refs(MAIN, A) == await records.refs(MAIN, B) == []
    assert len(await records.loose(before=99, after=(0, "", ""), limit=9)) == 2


async def test_FU20_an_avatar_holds(place: Place) -> None:
    await place.records.hold([File(MAIN, A, 5, "x/y"), File(OTHER, A, 5, "x/y")], 10)
    await place.directory.put_user(User(tenant=MAIN, user=UserId("ann"), avatar=A))
    assert await place.records.loose(before=99, after=(0, "", ""), limit=9) == [Loose(10, OTHER, A)]
    loose = [Loose(10, MAIN, A), Loose(10, OTHER, A)]
    assert await place.records.let_go(loose, consumer="files") == []
    assert await place.records.file(MAIN, A) is not None
    await place.directory.put_user(User(tenant=MAIN, user=UserId("ann"), avatar=""))
    assert await place.records.let_go(loose, consumer="files") == [A]


async def test_FU21_entries_beyond_the_consumer_are_looked_at(place: Place) -> None:
    await place.records.hold([File(MAIN, A, 5, "x/y"), File(MAIN, B, 5, "x/y")], 10)
    await place.say("nothing", 1)
    await place.say(A, 2)
    both = [Loose(10, MAIN, A), Loose(10, MAIN, B)]
    assert await place.records.let_go(both, consumer="files") == [B]
    end = (await place.store.feed(after=0, limit=9))[-1].pos
    await place.store.save_consumer("files", end)  # it saw them, and found no reference
    assert await place.records.let_go(both[:1], consumer="files") == [A]


async def test_FU21_far_behind_nothing_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_records, "TAIL", 2)
    store = SqliteStore(tmp_path / "data")
    place = Place(SqliteFileRecords(store), store, SqliteDirectory(store))
    await place.records.hold([File(MAIN, A, 5, "x/y")], 10)
    for number in (1, 2, 3):
        await place.say("words", number)
    loose = [Loose(10, MAIN, A)]
    assert await place.records.let_go(loose, consumer="files") == []
    await store.save_consumer("files", 1)
    monkeypatch.setattr(sqlite_records, "TAIL_BYTES", 3)
    assert await place.records.let_go(loose, consumer="files") == []
    monkeypatch.setattr(sqlite_records, "TAIL_BYTES", 1000)
    assert await place.records.let_go(loose, consumer="files") == [A]
    await store.close()


async def test_FU24_bytes_of_uploads(tmp_path: Path) -> None:
    uploads = LocalUploads(tmp_path / "uploads")
    await uploads.write("u1", 0, b"0123")
    await uploads.write("u1", 4, b"4567")
    await uploads.sync("u1")
    assert await uploads.head("u1", 6) == b"012345"
    assert await uploads.digest(uploads.path("u1")) == (hashlib.sha256(b"01234567").hexdigest(), 8)
    assert await uploads.cut("u1", 5)
    assert uploads.path("u1").read_bytes() == b"01234"
    assert not await uploads.cut("u1", 6)
    assert await uploads.cut("none", 0)
    assert not await uploads.cut("none", 1)
    with pytest.raises(NoSuchEntry):
        await uploads.head("none", 1)
    with pytest.raises(NoSuchEntry):
        await uploads.digest(uploads.path("none"))
    uploads.path("u1", "clean").write_bytes(b"x")
    await uploads.sync("u2")
    uploads.path("u2", "clean").write_bytes(b"x")
    await uploads.drop("u1")
    await uploads.drop("u1")
    assert await uploads.sweep(frozenset(["u2"])) == 1
    assert [path.name for path in (tmp_path / "uploads").iterdir()] == ["u2"]
    assert uploads.free() > 0
    await uploads.close()
    await uploads.close()
    with pytest.raises(StoreDown):
        await uploads.sync("u2")
