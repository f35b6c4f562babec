"""A watched live log in a client, without a connection."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import msgspec
import pytest

from hongyan.client.errors import Closed
from hongyan.client.follow import Follower
from hongyan.client.watch import QUEUE, UNREAD, Watch, Watchers
from hongyan.model.errors import BadArgs, Denied, Forbidden, GoingAway, NotAMember
from hongyan.model.ids import LogId, Seq, UserId
from hongyan.model.live import LiveItem, Value
from hongyan.wire import frames as f
from hongyan.wire.codec import CODECS
from hongyan.wire.heads import Heads
from hongyan.wire.requests import Requests

ROOM = LogId("main/r/show")


class FakeShell:
    """A connection that notes what is asked."""

    def __init__(self) -> None:
        self.open = True
        self.session = self
        self.asked: list[tuple[bool, int, int]] = []
        self.now = 100.0
        self.random = random.Random(1)

    def subscribe(
        self, log: LogId, on: bool = True, *, rate: int = 0, epoch: int = 0, after: int = 0
    ) -> int:
        self.asked.append((on, epoch, after))
        return len(self.asked)

    def poke(self) -> None:
        pass

    def clock(self) -> float:
        return self.now


def live_item(off: int, lane: int = 1) -> LiveItem:
    body = msgspec.Raw(b'{"text":"hi"}')
    return LiveItem(off, "danmaku", UserId("bob"), 1, body, lane=lane)


def attached(off: int, items: list[int], *, epoch: int = 7, seq: int = 1, **values: int) -> Any:
    return f.Attached(
        ref=1,
        log=ROOM,
        epoch=epoch,
        off=off,
        items=[live_item(n) for n in items],
        values=[Value(k, 1, msgspec.Raw(b"%d" % v)) for k, v in values.items()],
        head=Seq(3),
        rate=0,
        tick_ms=200,
        seq=seq,
    )


class Rig:
    def __init__(self) -> None:
        self.shell = FakeShell()
        applied: Any = lambda log, entries: None  # noqa: E731
        row: Any = lambda log: None  # noqa: E731
        server: Any = self.shell
        self.follower = Follower(server, applied, row, self.shell.clock, random.Random(1), 100)
        shell: Any = self.shell
        self.watchers = Watchers(shell, self.follower)
        self.watch: Watch = self.watchers.watch(ROOM, 0)

    def work(self) -> list[tuple[bool, int, int]]:
        """What is asked now."""
        self.shell.asked.clear()
        self.watchers.work(self.shell.now)
        return list(self.shell.asked)

    def answer(self, frame: Any) -> None:
        self.watchers.answered(f.Subscribe(1, ROOM), frame)

    def say(self, *offs: int, epoch: int = 7) -> None:
        self.watchers.handle(f.Live(ROOM, epoch, [live_item(n) for n in offs]))

    def gap(self, n: int, reason: str = "sampled") -> None:
        self.watchers.handle(f.Gap(ROOM, n, reason))

    async def got(self) -> list[int]:
        """Offsets of all items that wait."""
        found: list[int] = []
        while self.watch._items:
            found.append((await anext(self.watch)).off)
        return found


async def test_LV13_what_was_given_and_the_gaps_add_up_over_reconnects() -> None:
    rig = Rig()
    assert rig.work() == [(True, 0, 0)]
    rig.answer(attached(10, [8, 9, 10]))
    rig.say(11, 13)
    rig.gap(3)
    assert await rig.got() == [8, 9, 10, 11, 13]

    rig.watchers.opened()  # lost, and back
    assert rig.work() == [(True, 7, 15)]
    rig.answer(attached(30, [26, 27, 28, 29, 30]))
    assert await rig.got() == [26, 27, 28, 29, 30]
    assert rig.watch.gaps == {"sampled": 3, "epoch": 10}
    assert 2 + 5 + sum(rig.watch.gaps.values()) == 30 - 10
    assert (rig.watch.epochs, rig.watch.position) == (1, 30)

    rig.watchers.opened()
    assert rig.work() == [(True, 7, 30)]
    rig.answer(attached(4, [3, 4], epoch=8))  # the server was restarted
    rig.say(5, epoch=8)
    assert await rig.got() == [3, 4, 5]
    assert rig.watch.epochs == 2


async def test_LV13_an_item_that_comes_twice_is_given_once() -> None:
    rig = Rig()
    rig.work()
    rig.answer(attached(10, [10]))
    rig.say(11, 12)
    rig.say(11, 12)
    rig.watch._again()
    assert rig.work() == [(True, 7, 12)]
    rig.say(13)
    rig.answer(attached(13, [11, 12, 13]))
    assert await rig.got() == [10, 11, 12, 13]
    assert not +rig.watch.gaps


async def test_LV13_an_item_for_hosts_or_for_oneself_has_no_offset_and_is_given() -> None:
    rig = Rig()
    rig.work()
    rig.answer(attached(10, []))
    rig.say(0, 0, 11)
    assert await rig.got() == [0, 0, 11]
    assert rig.watch.position == 11


async def test_LV13_a_slow_application_is_told_what_it_did_not_take() -> None:
    rig = Rig()
    rig.work()
    rig.answer(attached(0, []))
    rig.say(*range(1, QUEUE + 11))
    assert await rig.got() == list(range(11, QUEUE + 11))
    assert rig.watch.gaps[UNREAD] == 10


async def test_LV14_values_are_followed_and_asked_for_anew_when_the_chain_breaks() -> None:
    rig = Rig()
    rig.work()
    rig.answer(attached(1, [], seq=4, likes=1, online=2))
    news = lambda prev, seq, key, raw: rig.watchers.handle(  # noqa: E731
        f.Values(ROOM, 7, prev, seq, [Value(key, 9, msgspec.Raw(raw))])
    )
    news(4, 5, "likes", b"3")
    news(5, 6, "online", b"null")
    assert rig.watch.values == {"likes": 3}
    assert rig.work() == []
    news(8, 9, "heat", b"5")  # 7 and 8 are missing
    assert rig.watch.values == {"likes": 3, "heat": 5}
    assert rig.work() == [(True, 7, 1)]
    news(9, 10, "heat", b"6")
    assert rig.work() == []  # it is asked already
    rig.answer(attached(1, [], seq=10, likes=8, heat=6))
    assert rig.watch.values == {"likes": 8, "heat": 6}
    news(0, 11, "likes", b"9")  # all of them
    assert rig.watch.values == {"likes": 9}
    rig.watchers.handle(f.Values(ROOM, 8, 11, 12, []))  # of another life of the log
    assert rig.work() == [(True, 7, 1)]


async def test_LV13_a_refusal_for_now_is_asked_again_and_one_for_good_ends_the_watch() -> None:
    rig = Rig()
    entering = asyncio.create_task(rig.watch.__aenter__())
    rig.work()
    rig.watchers.refused(f.Subscribe(1, ROOM), GoingAway("later", retry_after_ms=2000))
    assert rig.work() == []
    assert rig.watchers.due() is not None
    rig.shell.now += 60
    assert rig.work() == [(True, 0, 0)]
    rig.watchers.refused(f.Subscribe(1, ROOM), Forbidden("banned"))
    with pytest.raises(Forbidden):
        await entering
    assert ROOM not in rig.watchers
    rig = Rig()
    rig.work()
    rig.answer(f.Ack(ref=1, log=ROOM))
    with pytest.raises(BadArgs):
        await anext(rig.watch)


async def test_LR8_who_is_dismissed_is_told_by_the_watch() -> None:
    rig = Rig()
    rig.work()
    rig.answer(attached(1, [1]))
    rig.watchers.handle(f.Signal(ROOM, "dismissed", user=UserId("bob")))
    assert rig.watch.dismissed
    assert (await anext(rig.watch)).off == 1
    with pytest.raises(Forbidden):
        await anext(rig.watch)
    assert rig.work() == []


async def test_LV13_a_closed_watch_ends_and_takes_itself_back() -> None:
    rig = Rig()
    with pytest.raises(ValueError, match="already"):
        rig.watchers.watch(ROOM, 0)
    rig.work()
    rig.answer(attached(1, [1]))
    assert ROOM in rig.follower.viewed
    waiting = asyncio.create_task(rig.watch.until(lambda: False))
    await asyncio.sleep(0)
    rig.watch.close()
    assert rig.shell.asked[-1] == (False, 0, 0)
    assert [i.off async for i in rig.watch] == [1]
    with pytest.raises(Closed):
        await waiting
    assert ROOM not in rig.follower.viewed
    rig = Rig()
    rig.watchers.stop(Denied("kicked"))
    with pytest.raises(Denied):
        await anext(rig.watch)


async def test_LV13_a_viewer_may_read_only_while_subscribed() -> None:
    """A refusal in between is no end; the same one without a watch is."""
    rig = Rig()
    assert rig.follower._may_pass(ROOM, NotAMember())
    assert not rig.follower._may_pass(ROOM, Forbidden("x"))
    assert not rig.follower._may_pass(LogId("main/g/1"), NotAMember())
    rig.watch.close()
    assert not rig.follower._may_pass(ROOM, NotAMember())


def test_LV13_a_subscription_is_answered_by_ack_or_attached() -> None:
    requests = Requests(CODECS["hongyan.v1.json"])
    for number, answer in enumerate((f.Ack(ref=1), attached(1, []))):
        ref = requests.ask(f.Subscribe(number + 1, ROOM))
        requests.opened(f.Limits(10_000, 10, 10))
        requests.take(10_000)
        assert requests.answered(ref, answer) is not None


def test_LV13_entries_of_a_log_that_is_only_watched_ask_for_no_sync() -> None:
    heads = Heads()
    heads.viewed.add(ROOM)
    heads.reached(ROOM, Seq(4))
    assert heads.digest() == 0
    heads.reached(LogId("main/g/1"), Seq(4))
    assert heads.digest() != 0
