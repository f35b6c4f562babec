"""Live logs: ticks, samples, gaps, values."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from hongyan.adapters.memory.clock import ManualClock
from hongyan.engine.live import log as live_module
from hongyan.engine.live.log import MOST_PENDING, SKIP_BYTES, THIN_BYTES, LiveLog
from hongyan.engine.live.logs import LiveLogs
from hongyan.engine.live.sampling import Sampler
from hongyan.engine.live.ticks import Counters
from hongyan.engine.live.values import Values
from hongyan.model.errors import Full, Overloaded
from hongyan.model.ids import DeviceId, LogId, OpId, UserId
from hongyan.model.live import Audience, Lane, LiveItem, LiveSpec
from hongyan.wire import frames as f
from hongyan.wire.codec import CODECS
from hongyan.wire.session import ServerSession

JSON, MSGPACK = CODECS["hongyan.v1.json"], CODECS["hongyan.v1.msgpack"]
ROOM = LogId("main/r/1")
LIMITS = f.Limits(message_bytes=10_000, window=10, page=50)


class FakePeer:
    """A connection that is open; the test reads from it, or does not."""

    def __init__(self, user: str, codec: Any = JSON, queue_bytes: int = 1 << 20) -> None:
        self.identity = msgspec.defstruct("Who", [("user", str)])(user)
        self.session = ServerSession(codec, LIMITS, 25.0, queue_bytes=queue_bytes)
        hello = f.Hello("t", DeviceId("d"))
        self.session.receive(codec.encode(hello), 0.0)
        self.session.opened(
            f.Welcome("s", UserId(user), "main", DeviceId("d"), 1, 1, LIMITS, f.InboxPage([], 0))
        )
        self.codec = codec
        self.closed: Any = None
        self.messages = 0
        self.ok, self.link = False, self  # False: what is for it waits in the session's queue
        self.written: list[bytes] = []
        self.read()

    def write(self, message: bytes) -> None:
        self.written.append(message)

    def close(self, why: Any, *, reconnect_after_ms: int) -> None:
        self.closed = (type(why).__name__, reconnect_after_ms)

    def read(self) -> list[Any]:
        """The frames of all messages that wait."""
        while (message := self.session.take()) is not None:
            self.written.append(message)
        messages, self.written = self.written, []
        self.messages = len(messages)
        return [frame for message in messages for frame in self.codec.decode_server(message)]


def item(user: str = "bob", lane: Lane = Lane.NORMAL, text: str = "hi", op: str = "") -> LiveItem:
    body = msgspec.Raw(msgspec.json.encode({"text": text}))
    return LiveItem(0, "danmaku", UserId(user), 1, body, lane=lane, op=OpId(op))


def room(**spec: Any) -> LiveLog:
    return LiveLog(ROOM, LiveSpec(**spec), 1000, Counters())


def watch(live: LiveLog, user: str, *, rate: int = 0, host: bool = False, codec: Any = JSON) -> Any:
    peer: Any = FakePeer(user, codec)
    live.join(peer, UserId(user), rate=rate, host=host, attached=lambda: None)
    return peer


def tick(live: LiveLog, now: float) -> None:
    live.fan_out(live.begin(now), now, lambda peer: None)
    live.end()


def offs(frames: list[Any]) -> list[int]:
    return [i.off for frame in frames if isinstance(frame, f.Live) for i in frame.items]


def gaps(frames: list[Any], reason: str = "") -> int:
    return sum(
        frame.n
        for frame in frames
        if isinstance(frame, f.Gap) and (not reason or frame.reason == reason)
    )


def test_LV6_who_comes_while_a_tick_is_on_its_way_is_given_nothing_twice() -> None:
    live, base = room(), []
    bob = watch(live, "bob")
    live.say(item())
    on_the_way = live.begin(1.0)
    peer: Any = FakePeer("cat")
    live.say(item())  # goes with the next tick
    live.join(peer, UserId("cat"), rate=0, host=False, attached=lambda: base.append(live.off))
    for viewer in on_the_way:
        live.give(viewer, 1.0)
    live.end()
    live.say(item())
    tick(live, 2.0)
    live.say(item())
    tick(live, 3.0)
    seen = offs(peer.read())
    assert offs(bob.read()) == [1, 2, 3, 4]
    assert [*range(1, base[0] + 1), *seen] == [1, 2, 3, 4]


def test_LV1_LR4_a_tick_is_one_message_encoded_once_per_kind_of_viewer() -> None:
    live = room()
    viewers = [watch(live, f"u{n}", rate=10, codec=(JSON, MSGPACK)[n % 2]) for n in range(100)]
    host = watch(live, "host", host=True)
    for _ in range(5):
        live.say(item("elsewhere", op="o"))
    live.values.put("online", 7)
    tick(live, 1.0)
    counters: Counters = live._counters
    assert counters.encodes == 3
    for peer in (*viewers, host):
        frames = peer.read()
        assert peer.messages == 1
        assert offs(frames) == [1, 2, 3, 4, 5]
        assert [v.key for v in frames[-1].values] == ["online"]
    assert counters.deliveries == 5 * 101


def test_LV3_a_screen_is_shown_no_more_than_it_can_read() -> None:
    sampler = Sampler(10)
    shown = 0
    for n in range(1, 101):  # ten seconds, 200 a second
        batch = [item() for _ in range(20)]
        shown += len(sampler.pick(batch, n / 10))
    assert 90 <= shown <= 110
    quiet = Sampler(10)
    assert len(quiet.pick([item() for _ in range(3)], 1.0)) == 3


def test_LV3_what_matters_most_is_always_shown_and_the_least_only_where_room_is_left() -> None:
    sampler = Sampler(4)
    batch = [item(lane=lane) for lane in (Lane.LOW, Lane.HIGH, Lane.NORMAL) * 6]
    lanes = [i.lane for i in sampler.pick(batch, 1.0)]
    assert lanes.count(Lane.HIGH) == 6
    assert lanes.count(Lane.NORMAL) == 4 and lanes.count(Lane.LOW) == 0
    roomy = Sampler(8)
    lanes = [i.lane for i in roomy.pick(batch, 1.0)]
    assert lanes.count(Lane.NORMAL) == 6 and lanes.count(Lane.LOW) == 2


def test_LV3_one_sees_what_one_said() -> None:
    live = room()
    other, mine = watch(live, "other", rate=1), watch(live, "bob", rate=1)
    for n in range(20):
        live.say(item("bob" if n == 3 else "crowd", op=f"op{n}"))
    tick(live, 1.0)
    frames = mine.read()
    assert 4 in offs(frames) and offs(frames) == sorted(offs(frames))
    assert len(offs(frames)) + gaps(frames) == 20
    frames = other.read()
    assert 4 not in offs(frames)
    assert len(offs(frames)) + gaps(frames) == 20


def test_LV4_LR1_the_lowest_lane_is_shed_first_and_the_highest_never() -> None:
    live = room(ring=5)
    host = watch(live, "host")
    for _ in range(MOST_PENDING // 2):
        live.say(item(lane=Lane.LOW))
        live.say(item(lane=Lane.NORMAL))
    for _ in range(MOST_PENDING // 2):
        live.say(item(lane=Lane.HIGH))  # in place of all that is low
    with pytest.raises(Overloaded):
        live.say(item(lane=Lane.NORMAL))
    with pytest.raises(Overloaded):
        live.say(item(lane=Lane.LOW))
    for _ in range(MOST_PENDING):
        live.say(item(lane=Lane.HIGH))  # beyond the bound too: these cost somebody something
    assert live._counters.shed == [0, MOST_PENDING // 2 + 1, MOST_PENDING // 2 + 1]
    tick(live, 1.0)
    frames = host.read()
    assert gaps(frames, "shed") == MOST_PENDING
    assert len(offs(frames)) + gaps(frames) == live.off


def test_LV5_LR5_who_does_not_read_is_skipped_then_told_then_closed() -> None:
    live = room()
    slow, quick = watch(live, "slow"), watch(live, "quick")
    now, said = 1.0, 0
    held = []
    while now < 20.0:
        for _ in range(20):
            live.say(item(text="x" * 2000))
            said += 1
        live.values.put("online", said)
        tick(live, now)
        held += offs(quick.read())
        assert slow.session.pending < SKIP_BYTES + 16 * 1024
        now += 0.1
    assert len(held) == said
    assert live._counters.gaps["slow"] > 0
    first = slow.read()
    live.say(item())
    tick(live, now)
    rest = slow.read()
    assert rest[0] == f.Gap(ROOM, live._counters.gaps["slow"], "slow")
    assert len(offs(first)) + gaps(first) + len(offs(rest)) + gaps(rest) == said + 1
    told = [frame for frame in first if isinstance(frame, f.Values)]
    assert rest[-1].prev == told[-1].seq and [v.key for v in rest[-1].values] == ["online"]
    assert slow.closed is None
    while now < 60.0:  # and now it stops reading for good
        for _ in range(20):
            live.say(item(text="x" * 2000))
        tick(live, now)
        quick.read()
        now += 0.1
    assert slow.closed is not None and slow.closed[0] == "TooSlow"
    low, high = live_module.COME_BACK_MS
    assert low <= slow.closed[1] <= high


def test_LV5_a_slow_reader_is_shown_a_quarter_before_it_is_shown_nothing() -> None:
    live = room()
    slow = watch(live, "slow", rate=40)
    while slow.session.pending <= THIN_BYTES:
        live.say(item(text="x" * 500, lane=Lane.HIGH))
        tick(live, 1.0)
    slow_before = live._counters.deliveries
    for n in range(40):
        live.say(item(text=str(n)))
    tick(live, 2.0)
    assert live._counters.deliveries - slow_before == 10


def test_LV6_who_comes_late_has_the_newest_and_misses_nothing_after() -> None:
    live = room(ring=3)
    for n in range(5):
        live.say(item(text=str(n)))
    peer: Any = FakePeer("late")
    seen: list[int] = []
    live.join(
        peer,
        UserId("late"),
        rate=0,
        host=False,
        attached=lambda: seen.extend(i.off for i in live.catch_up(0, 0)[0]),
    )
    assert seen == []  # what is pending goes out first, to those who are here
    tick(live, 1.0)
    assert seen == [3, 4, 5]
    live.say(item())
    tick(live, 2.0)
    assert offs(peer.read()) == [6]
    assert [i.off for i in live.catch_up(live.epoch, 5)[0]] == [6]
    assert live.catch_up(live.epoch, 5)[1] == 0
    assert live.catch_up(live.epoch, 1) == (list(live.catch_up(0, 0)[0]), 2)
    assert live.catch_up(live.epoch - 1, 4)[1] == 0


def test_LV7_values_are_newest_versions_grow_and_the_chain_shows_a_loss() -> None:
    values = Values(3)
    assert values.put("a", 1) and values.put("a", 2) and values.put("b", {"x": [1]})
    assert not values.put("a", 2)
    prev, news = values.take()
    assert (prev, values.seq) == (0, 1)
    assert [(v.key, bytes(v.value)) for v in news] == [("a", b"2"), ("b", b'{"x":[1]}')]
    assert values.take() == (1, [])
    before = {v.key: v.version for v in values.all()}
    values.put("a", None)
    values.put("a", 2)
    _, news = values.take()
    assert [v.key for v in news] == ["a"] and news[0].version > before["a"]
    values.put("b", None)
    assert values.take()[1][0].value == msgspec.Raw(b"null")
    assert [v.key for v in values.all()] == ["a"]
    values.put("c", 1)
    values.put("d", 1)
    with pytest.raises(Full):
        values.put("e", 1)
    values.put("d", 2)


def test_LV7_totals_are_exact_and_told_once_a_tick() -> None:
    live = room()
    peer = watch(live, "a")
    for _ in range(2000):
        live.values.add("likes", 3)
    tick(live, 1.0)
    (frame,) = peer.read()
    assert frame.values == [live.values.all()[0]]
    assert bytes(frame.values[0].value) == b"6000"


def test_LV8_some_things_are_for_hosts_or_for_the_sender_alone() -> None:
    live = room()
    host, bob, eve = watch(live, "h", host=True), watch(live, "bob"), watch(live, "eve")
    assert live.say(item("bob", text="wait", op="a"), Audience.HOSTS) == 0
    assert live.say(item("bob", text="shadow", op="b"), Audience.SELF) == 0
    assert live.say(item("eve", text="all", op="c")) == 1
    tick(live, 1.0)

    def texts(peer: Any) -> list[str]:
        frames = peer.read()
        assert gaps(frames) == 0
        return [
            msgspec.json.decode(i.body)["text"]
            for frame in frames
            if isinstance(frame, f.Live)
            for i in frame.items
        ]

    assert sorted(texts(host)) == ["all", "wait"]
    assert sorted(texts(bob)) == ["all", "shadow", "wait"]
    assert texts(eve) == ["all"]
    assert [i.off for i in live.catch_up(0, 0)[0]] == [1]


def test_LV9_what_is_erased_reaches_nobody_any_more() -> None:
    live = room()
    peer = watch(live, "a")
    for _ in range(3):
        live.say(item())
    live.say(item("mod", Lane.HIGH), erases=2)
    tick(live, 1.0)
    frames = peer.read()
    assert offs(frames) == [1, 3, 4] and gaps(frames) == 1
    assert [i.off for i in live.catch_up(0, 0)[0]] == [1, 3, 4]
    live.say(item("mod", Lane.HIGH), erases=3)
    assert [i.off for i in live.catch_up(0, 0)[0]] == [1, 4, 5]


async def test_LV11_the_first_goes_at_once_the_rest_together_and_then_there_is_quiet() -> None:
    clock = ManualClock()
    woken: list[Any] = []
    logs = LiveLogs(clock, woken.append)
    live = logs.hold(ROOM, LiveSpec(tick_ms=200))
    peer: Any = FakePeer("a")
    logs.join(live, peer, rate=0, host=False, attached=lambda: None)
    clock.advance(10)
    logs._run()  # the number of viewers
    peer.read()
    clock.advance(10)
    live.say(item())
    logs.touched(live)
    logs._run()
    assert offs(peer.read()) == [1]
    for _ in range(3):
        live.say(item())
        logs.touched(live)
    logs._run()
    assert peer.read() == []  # within the tick
    clock.advance(0.25)
    logs._run()
    assert offs(peer.read()) == [2, 3, 4]
    assert logs._due == [] and logs._timer is None
    logs.close()


async def test_LV12_the_number_of_viewers_is_told_now_and_then() -> None:
    clock = ManualClock()
    logs = LiveLogs(clock, lambda peer: None)
    live = logs.hold(ROOM, LiveSpec(tick_ms=200))
    first: Any = FakePeer("first")
    logs.join(live, first, rate=0, host=False, attached=lambda: None)
    told = []
    for n in range(40):
        clock.advance(0.1)
        other: Any = FakePeer(f"u{n}")
        logs.join(live, other, rate=0, host=False, attached=lambda: None)
        logs._run()
        told += [f for f in first.read() if isinstance(f, live_module.f.Values)]
    assert 2 <= len(told) <= 3
    clock.advance(2.5)
    logs._run()
    first.read()
    logs.forget(other)
    assert len(live.viewers) == 40
    clock.advance(2.5)
    logs._run()
    (last,) = first.read()
    assert bytes(last.values[0].value) == b"40"
    logs.close()
