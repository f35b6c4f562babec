"""What is said in a room is kept for the replay."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from hongyan.adapters.memory.archive import MemoryArchive
from hongyan.adapters.memory.clock import ManualClock
from hongyan.engine.live import archive as archive_module
from hongyan.engine.live.archive import Archiver
from hongyan.model.errors import StoreDown
from hongyan.model.ids import LogId, TenantId, UserId
from hongyan.ports import Kept
from hongyan.wire import frames as f
from tests.engine.rig import Person, Rig
from tests.engine.test_rooms import item, opened, text, watch

ROOM = LogId("main/r/show")


async def replay(person: Person, room: str, **args: Any) -> Any:
    archiver = person.rig.node.viewing.archiver
    assert archiver is not None
    await archiver.flush()
    return await person.query("danmaku", room, **{"from_ms": 0, "to_ms": 2**52, **args})


def texts(answer: Any) -> list[str]:
    return [item["body"]["text"] for item in answer["items"]]


async def test_LR12_danmaku_come_back_by_the_moment_of_the_recording(rig: Rig) -> None:
    host, room = await opened(rig)
    bob = await rig.person("bob")
    for media_ms, said in ((9_000, "late"), (1_000, "early"), (-1, "now"), (5_000, "spam")):
        ack = await bob.call("room.say", {"text": said, "media_ms": media_ms}, log=room)
        rig.clock.advance(1)
    await host.call("room.delete", {"off": ack.seq}, log=room)
    assert texts(await replay(bob, room)) == ["early", "late"]
    assert texts(await replay(bob, room, to_ms=9_000)) == ["early"]
    assert texts(await replay(bob, room, by="time")) == ["late", "early", "now"]
    page = await replay(bob, room, by="time", limit=2)
    assert (texts(page), page["more"]) == (["late", "early"], True)
    rest = await replay(bob, room, by="time", limit=2, after=page["after"])
    assert (texts(rest), rest["more"]) == (["now"], False)
    first = (await replay(bob, room))["items"][0]
    assert (first["from"], first["media_ms"], first["type"]) == ("bob", 1_000, "danmaku")
    assert (await replay(bob, room, by="mood")).code == 106
    assert (await bob.query("danmaku", "", from_ms=0, to_ms=9)).code == 106


async def test_LR12_what_not_all_may_see_is_not_kept(rig: Rig) -> None:
    host, room = await opened(rig)
    bob = await rig.person("bob")
    await host.call("room.shadow", {"user": "bob"}, log=room)
    await bob.call("room.say", {"text": "alone"}, log=room)
    await host.call("room.shadow", {"user": "bob", "on": False}, log=room)
    await host.call("room.update", {"hold": True}, log=room)
    await bob.call("room.say", {"text": "held"}, log=room)
    assert texts(await replay(bob, room, by="time")) == []
    await host.call("room.approve", {"user": "bob", "op": "x", "text": "held"}, log=room)
    assert texts(await replay(bob, room, by="time")) == ["held"]
    await host.call("room.ban", {"user": "bob"}, log=room)
    assert (await replay(bob, room)).code == 209
    guest = await rig.person("eve")
    assert (await replay(guest, "main/r/none")).code == 108


async def test_LR12_a_message_of_before_a_restart_can_be_deleted_from_the_replay(rig: Rig) -> None:
    host, room = await opened(rig)
    await watch(host, room)
    await host.call("room.say", {"text": "old"}, log=room)
    [old] = (await replay(host, room, by="time"))["items"]
    viewing = rig.node.viewing
    viewing.logs._logs.clear()  # as after a restart
    await host.call("room.say", {"text": "new"}, log=room)
    await host.call("room.delete", {"off": old["off"], "epoch": old["epoch"]}, log=room)
    assert texts(await replay(host, room, by="time")) == ["new"]
    late = await watch(await rig.person("late"), room)
    assert "new" in [text(i) for i in late.items]  # of the same offset, in another epoch


async def test_LR12_guests_of_a_room_may_see_its_replay_and_no_other(rig: Rig) -> None:
    host, room = await opened(rig, guests=True)
    await host.call("room.say", {"text": "hello", "media_ms": 5}, log=room)
    token, _ = rig.node.authenticator.guest(LogId(room))
    guest = Person(rig, "guest", "tv-1")
    await guest.hello(token)
    assert texts(await replay(guest, room)) == ["hello"]
    other = (await host.call("room.create", {"title": "Other", "guests": True})).log
    assert (await replay(guest, other)).code == 209
    assert (await guest.query("log", room)).code == 209


class SlowArchive(MemoryArchive):
    """Takes its time, or refuses."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.down = 0
        self.batches: list[int] = []

    async def add(self, items: Any) -> None:
        self.batches.append(len(items))
        if self.down:
            self.down -= 1
            raise StoreDown("full")
        await self.gate.wait()
        await super().add(items)


def kept(off: int, sender: str = "bob") -> Kept:
    return Kept(7, off, off, "danmaku", UserId(sender), msgspec.Raw(b"{}"))


async def test_LR12_a_slow_archive_delays_nobody_and_what_does_not_fit_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(archive_module, "MOST", 1500)
    slow = SlowArchive()
    archiver = Archiver(slow, ManualClock())
    taken = [archiver.keep(ROOM, kept(off)) for off in range(1, 1601)]
    assert taken == [True] * 1500 + [False] * 100
    assert archiver.dropped == 100
    writing = asyncio.create_task(archiver.flush())
    await asyncio.sleep(0)
    archiver.erase(ROOM, 7, 5)  # while it is being written
    archiver.erase(ROOM, 7, 1400)  # while it waits
    slow.gate.set()
    await writing
    assert slow.batches == [200] * 7 + [99]
    assert len(slow.items) == 1498
    assert (ROOM, 7, 5) not in slow.items
    assert archiver.keep(ROOM, kept(1601))


async def test_LR12_what_the_archive_refuses_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "EVERY_S", 0.0)
    monkeypatch.setattr(archive_module, "AGAIN_S", 0.0)
    slow = SlowArchive()
    slow.gate.set()
    slow.down = 2
    archiver = Archiver(slow, ManualClock())
    archiver.start()
    archiver.keep(ROOM, kept(1))
    async with asyncio.timeout(10):
        while not slow.items:  # noqa: ASYNC110  # it tries until it is done
            await asyncio.sleep(0)
    archiver.keep(ROOM, kept(2))
    await archiver.stop(5.0)
    assert len(slow.items) == 2
    assert archiver.written == 2


async def test_LR12_erasing_a_person_takes_what_was_said_and_what_waits() -> None:
    archive = MemoryArchive()
    archiver = Archiver(archive, ManualClock())
    archiver.keep(ROOM, kept(1, "ann"))
    archiver.keep(ROOM, kept(2))
    await archiver.flush()
    archiver.keep(ROOM, kept(3, "ann"))
    await archiver.forget_sender(TenantId("main"), UserId("ann"))
    await archiver.flush()
    assert [key[2] for key in archive.items] == [2]


async def test_LR8_what_is_deleted_leaves_screens_with_the_next_tick(rig: Rig) -> None:
    host, room = await opened(rig)
    bob = await rig.person("bob")
    await watch(bob, room)
    said = await bob.call("room.say", {"text": "spam"}, log=room)
    await item(bob, lambda i: text(i) == "spam")
    before = rig.node.viewing.logs.counters.ticks
    await host.call("room.delete", {"off": said.seq}, log=room)
    await item(bob, lambda i: i.type == "deleted")
    assert rig.node.viewing.logs.counters.ticks == before + 1
    assert isinstance(said, f.Ack)
