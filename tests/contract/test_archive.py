"""The Archive port, on every adapter."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from hongyan.adapters.memory.archive import MemoryArchive
from hongyan.adapters.sqlite import SqliteStore
from hongyan.adapters.sqlite.archive import SqliteArchive
from hongyan.model.ids import LogId, TenantId, UserId
from hongyan.ports import Archive, Kept

ROOM, OTHER = LogId("main/r/show"), LogId("shop/r/show")
FIRST = (-1, 0, 0)


@pytest.fixture(params=["memory", "sqlite"])
async def archive(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Archive]:
    if request.param == "memory":
        yield MemoryArchive()
        return
    store = SqliteStore(tmp_path / "data")
    yield SqliteArchive(store)
    await store.close()


def kept(off: int, at: int, media: int = -1, sender: str = "bob", epoch: int = 7) -> Kept:
    body = msgspec.Raw(msgspec.json.encode({"text": f"m{off} 弹幕"}))
    return Kept(epoch, off, at, "danmaku", UserId(sender), body, media)


async def offs(
    archive: Archive, low: int, high: int, log: LogId = ROOM, **more: object
) -> list[int]:
    given = {"media": False, "after": FIRST, "limit": 100, **more}
    return [item.off for item in await archive.page(log, low, high, **given)]  # type: ignore[arg-type]


async def test_LR12_items_come_back_by_time_and_by_the_moment_of_the_recording(
    archive: Archive,
) -> None:
    items = [kept(1, 100, 9_000), kept(2, 200, 1_000), kept(3, 200), kept(4, 300, 1_000)]
    await archive.add([(ROOM, item) for item in items])
    await archive.add([(OTHER, kept(9, 250, 1_000))])

    assert await archive.page(ROOM, 0, 1_000, media=False, after=FIRST, limit=9) == items
    assert await offs(archive, 200, 300) == [2, 3]
    assert await offs(archive, 0, 10_000, media=True) == [2, 4, 1]
    assert await offs(archive, 0, 9_000, media=True) == [2, 4]
    assert await offs(archive, -1, 1, media=True) == []
    assert await offs(archive, 0, 1_000, log=OTHER) == [9]


async def test_LR12_pages_join_without_a_hole(archive: Archive) -> None:
    await archive.add([(ROOM, kept(n, 100 + n // 4, n % 3)) for n in range(1, 51)])
    for media in (False, True):
        whole = await offs(archive, 0, 1_000, media=media)
        assert len(whole) == 50
        after, found = FIRST, []
        while page := await archive.page(ROOM, 0, 1_000, media=media, after=after, limit=7):
            found += [item.off for item in page]
            last = page[-1]
            after = (last.media_ms if media else last.at, *last.key)
        assert found == whole


async def test_LR12_an_item_is_kept_once_and_removed_for_good(archive: Archive) -> None:
    await archive.add([(ROOM, kept(1, 100)), (ROOM, kept(1, 500, epoch=8)), (ROOM, kept(2, 100))])
    await archive.add([(ROOM, kept(1, 999))])
    assert await offs(archive, 0, 1_000) == [1, 2, 1]
    assert await archive.remove([(ROOM, 7, 1), (ROOM, 7, 1), (OTHER, 7, 2)]) == 1
    assert await offs(archive, 0, 1_000) == [2, 1]


async def test_LR12_all_of_a_sender_go_in_one_tenant(archive: Archive) -> None:
    await archive.add([(ROOM, kept(n, n, sender="ann" if n % 2 else "bob")) for n in range(2500)])
    await archive.add([(OTHER, kept(1, 1, sender="ann"))])
    assert await archive.remove_sender(TenantId("main"), UserId("ann")) == 1250
    assert await offs(archive, 0, 10) == [0, 2, 4, 6, 8]
    assert await offs(archive, 0, 10, log=OTHER) == [1]


async def test_LR12_what_is_old_goes(archive: Archive) -> None:
    await archive.add([(ROOM, kept(n, n)) for n in range(1500)])
    assert await archive.forget(1499) == 1499
    assert await offs(archive, 0, 10_000) == [1499]
