"""A room under pressure: everybody comes back at once, and more is said than can be told."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest

from hongyan.adapters.memory.clock import ManualClock
from hongyan.adapters.memory.directory import MemoryDirectory
from hongyan.adapters.memory.store import MemoryStore
from hongyan.engine.live import log as live_module
from hongyan.engine.live.log import LiveLog
from hongyan.engine.live.logs import SLICE, LiveLogs
from hongyan.engine.live.ticks import Counters
from hongyan.model.errors import Overloaded
from hongyan.model.ids import LogId, UserId
from hongyan.model.live import Lane, LiveSpec
from hongyan.wire import frames as f
from hongyan.wire.session import backoff
from tests.engine.rig import Person, Rig
from tests.engine.test_rooms import opened, watch
from tests.unit.test_live import FakePeer, gaps, item, offs, tick
from tests.unit.test_live import watch as look_on

VIEWERS = 2_000


def counted(kind: type[Any]) -> tuple[type[Any], Counter[str]]:
    """An adapter whose calls are counted."""
    calls: Counter[str] = Counter()

    class Counted(kind):  # type: ignore[misc]
        def __getattribute__(self, name: str) -> Any:
            found = super().__getattribute__(name)
            if callable(found) and not name.startswith("_"):
                calls[name] += 1
            return found

    return Counted, calls


@pytest.fixture
async def counting() -> AsyncIterator[tuple[Rig, Counter[str], Counter[str]]]:
    store, reads = counted(MemoryStore)
    options: dict[str, object] = {"limits.connections_per_ip": 0, "admission.rate": 0}
    for level, lag_ms in (("busy", 10**6), ("overloaded", 10**6 + 1), ("critical", 10**6 + 2)):
        options[f"load.{level}_lag_ms"] = lag_ms  # how busy this machine is, is another question
    rig = Rig(store=store(), options=options)
    rig.directory.__class__, asked = counted(MemoryDirectory)
    await rig.start()
    yield rig, reads, asked
    await rig.stop()


def assert_quiet(reads: Counter[str], asked: Counter[str]) -> None:
    """Nothing was asked but what a node asks now and then, however many are there."""
    assert not {*reads, *asked} - {"stats", "feed"}, (reads, asked)


async def came_back(rig: Rig, room: LogId, number: int) -> Person:
    token, _ = rig.node.authenticator.guest(room)
    guest = Person(rig, f"g{number}", f"tv-{number}")
    guest.say(f.Hello(token=token, device=guest.device, cls="web"))
    return guest


async def test_LR13_everybody_comes_back_and_nobody_asks_the_store(
    counting: tuple[Rig, Counter[str], Counter[str]],
) -> None:
    """Within the seconds over which clients spread their return, plus one tick, at no cost to
    the store: not one call for 2,000 viewers who lost their connections together."""
    rig, reads, asked = counting
    host, name = await opened(rig, guests=True)
    room = LogId(name)
    await watch(host, name)
    for number in range(60):
        await host.call("room.say", {"text": f"m{number}"}, log=name)
    crowd = [await came_back(rig, room, number) for number in range(VIEWERS)]
    for viewer in crowd:
        await viewer.until(lambda frame: isinstance(frame, f.Welcome))
    for viewer in crowd:
        viewer.lose()
    reads.clear()
    asked.clear()

    window, slowest = await returned(rig, host, room)
    assert rig.node.viewing.logs.viewers == VIEWERS + 1
    assert slowest <= 0.2 + 0.2, f"more than a tick and a look, over {window} s"
    assert_quiet(reads, asked)


async def returned(rig: Rig, host: Person, room: LogId) -> tuple[float, float]:
    """All come back when their clients would, while the host talks on: (the seconds over which
    they did, the longest that one waited to be let in)."""
    dice = random.Random(13)
    due = sorted((backoff(1, dice.random()), number) for number in range(VIEWERS))
    window = due[-1][0]
    began, logs = rig.clock.monotonic(), rig.node.viewing.logs
    waiting: list[tuple[Person, float]] = []
    slowest = 0.0
    while due or waiting:
        now = rig.clock.monotonic() - began
        assert now < window + 1.0, f"{len(waiting)} still wait"
        while due and due[0][0] <= now:
            viewer = await came_back(rig, room, due.pop(0)[1])
            await viewer.until(lambda frame: isinstance(frame, f.Welcome))
            viewer.say(f.Subscribe(ref=9, log=room))
            waiting.append((viewer, now))
        host.start_call("room.say", {"text": f"at {now}"}, log=room)  # a tick is always pending
        for _ in range(4):
            await asyncio.sleep(0)
        rig.clock.advance(0.1)
        logs._run()
        for _ in range(2 * VIEWERS // SLICE + 4):
            await asyncio.sleep(0)
        now = rig.clock.monotonic() - began
        slowest = max([slowest, *(now - at for viewer, at in waiting if attached(viewer))])
        waiting = [(viewer, at) for viewer, at in waiting if not attached(viewer)]
    return window, slowest


def attached(viewer: Person) -> bool:
    return any(isinstance(frame, f.Attached) for frame in viewer.link.frames)


async def test_LR13_who_is_logged_in_watches_without_a_read(
    counting: tuple[Rig, Counter[str], Counter[str]],
) -> None:
    rig, reads, asked = counting
    host, name = await opened(rig)
    await watch(host, name)
    people = [await rig.person(f"u{number}") for number in range(50)]
    reads.clear()
    asked.clear()
    for person in people:
        await watch(person, name)
    assert_quiet(reads, asked)


async def test_LR13_a_cold_room_is_read_once_for_all(
    counting: tuple[Rig, Counter[str], Counter[str]],
) -> None:
    """After a restart nothing is cached: the first viewer's question serves the others."""
    rig, reads, _ = counting
    _, name = await opened(rig, guests=True)
    crowd = [await came_back(rig, LogId(name), number) for number in range(200)]
    for viewer in crowd:
        await viewer.until(lambda frame: isinstance(frame, f.Welcome))
    rig.node.cache.drop(LogId(name))
    reads.clear()
    for viewer in crowd:
        viewer.say(f.Subscribe(ref=9, log=LogId(name)))
    for viewer in crowd:
        await viewer.until(lambda frame: isinstance(frame, f.Attached))
    assert reads["info"] + reads["members"] + reads["member"] <= 3, reads


@pytest.mark.parametrize("rate", [0, 10])
def test_LR1_under_five_times_the_load_no_gift_is_lost_and_every_loss_is_told(
    monkeypatch: pytest.MonkeyPatch, rate: int
) -> None:
    most = 200
    monkeypatch.setattr(live_module, "MOST_PENDING", most)
    dice = random.Random(5)
    live = LiveLog(LogId("main/r/1"), LiveSpec(), 1000, Counters())
    viewer = look_on(live, "bob", rate=rate)
    frames: list[Any] = []
    offered, refused, high = Counter[Lane](), Counter[Lane](), []
    for second in range(1, 61):
        for _ in range(5 * most):
            lane = dice.choices([Lane.HIGH, Lane.NORMAL, Lane.LOW], [1, 60, 39])[0]
            offered[lane] += 1
            try:
                off = live.say(item("crowd", lane))
            except Overloaded as why:
                assert why.retry
                refused[lane] += 1
            else:
                high += [off] if lane is Lane.HIGH else []
        tick(live, second)
        frames += viewer.read()
    counters: Counters = live._counters
    given = offs(frames)
    assert len(high) == offered[Lane.HIGH] == counters.items[Lane.HIGH]
    assert counters.shed[Lane.HIGH] == 0
    assert set(high) <= set(given), "a gift was lost"
    assert given == sorted(set(given))
    assert len(given) + gaps(frames) == live.off
    for lane in Lane:
        assert counters.items[lane] + refused[lane] == offered[lane]
        assert counters.shed[lane] >= refused[lane]
    told = sum(counters.shed) - sum(refused.values())
    assert gaps(frames, "shed") == told
    assert gaps(frames, "sampled") == counters.gaps["sampled"]
    lost = {lane: counters.shed[lane] / offered[lane] for lane in Lane}
    assert lost[Lane.LOW] > lost[Lane.NORMAL] > 0.5


async def test_LR13_a_hot_room_gives_way_to_what_else_is_to_be_done() -> None:
    """Between the slices of a tick for 2,000 viewers other work has its turn: a call waits for a
    slice, not for the crowd. `bench/fairness.py` measures it against a real server."""
    woken: list[int] = []
    clock = ManualClock()
    logs = LiveLogs(clock, lambda peer: woken.append(1))
    live = logs.hold(LogId("main/r/1"), LiveSpec(tick_ms=50))
    for number in range(VIEWERS):
        peer: Any = FakePeer(f"u{number}")
        peer.ok = number % 2 == 0
        peer.write = lambda message: woken.append(1)
        logs.join(live, peer, rate=0, host=False, attached=lambda: None)
    done: list[int] = []

    def other() -> None:
        done.append(len(woken))
        if len(woken) < VIEWERS:
            asyncio.get_running_loop().call_soon(other)

    clock.advance(1.0)
    logs._run()  # lets them in
    live.say(item())
    logs.touched(live)
    clock.advance(1.0)
    asyncio.get_running_loop().call_soon(other)
    woken.clear()
    logs._run()
    async with asyncio.timeout(10):
        while len(woken) < VIEWERS:  # noqa: ASYNC110  # each turn of the loop is counted
            await asyncio.sleep(0)
    steps = [after - before for before, after in pairwise(done)]
    assert max(steps) <= SLICE
    assert len(done) >= VIEWERS // SLICE - 1
    logs.close()


def test_LR1_an_overload_does_not_make_itself_worse() -> None:
    """What is let go is found at once, however much waits: counted in steps, not in time."""
    from hongyan.engine.live.pending import Pending

    pending = Pending()
    for number in range(100):
        pending.add(item(lane=Lane.NORMAL if number % 2 else Lane.LOW), live_module.Audience.ALL)
    gone = [pending.shed(Lane.HIGH) for _ in range(100)]
    assert [one[0] for one in gone if one] == [Lane.LOW] * 50 + [Lane.NORMAL] * 50
    assert pending.shed(Lane.HIGH) is None
    pending.add(item(lane=Lane.NORMAL), live_module.Audience.ALL)
    assert pending.shed(Lane.NORMAL) is None
    assert [one.sender for one, _ in pending.take()] == [UserId("bob")]
    assert len(pending) == 0
    for name in ("first", "second", "third"):
        pending.add(item(name), live_module.Audience.ALL)
    pending.shed(Lane.HIGH)
    assert [one.sender for one, _ in pending.take()] == ["second", "third"]  # the oldest goes


def test_LV6_who_leaves_before_being_let_in_is_told() -> None:
    live, told = LiveLog(LogId("main/r/1"), LiveSpec(), 1000, Counters()), []
    live.say(item())
    peer: Any = FakePeer("bob")
    for name in ("first", "second"):
        live.join(
            peer,
            UserId("bob"),
            rate=0,
            host=False,
            attached=lambda: told.append("in"),
            gone=lambda name=name: told.append(name),
        )
    assert told == ["first"]
    assert live.leave(peer)
    tick(live, 1.0)
    assert told == ["first", "second"]
    assert not live.viewers
