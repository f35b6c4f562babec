"""How live logs write: at once where nothing waits, as often as it is cheap, and never more than a
share of the loop."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from test_live import ROOM, FakePeer, item, offs, room, tick, watch

from hongyan.adapters.memory.clock import ManualClock
from hongyan.engine.live.logs import LiveLogs
from hongyan.engine.pacing import LEAST_S, MOST_SHARE, MOST_STRETCH, SHARE, WINDOW_S, Pacer
from hongyan.model.ids import LogId
from hongyan.model.live import LiveSpec
from hongyan.wire import frames as f
from hongyan.wire.session import ServerSession


class Bench(ManualClock):
    """A clock that a write moves on: `cost` seconds for each viewer written to."""

    def __init__(self, viewers: int, cost: float, logs: int = 1, **spec: Any) -> None:
        super().__init__()
        self.advance(1000.0)
        self.logs = LiveLogs(self, lambda peer: None)
        self.lives = []
        self.messages = 0
        for number in range(logs):
            log = LogId(f"main/r/{number}")
            live = self.logs.hold(log, LiveSpec(**spec))
            self.lives.append(live)
            for n in range(viewers):
                peer: Any = FakePeer(f"u{n}")
                peer.ok, peer.write = True, lambda message: self.wrote(cost)
                self.logs.join(live, peer, rate=0, host=False, attached=lambda: None)

    def wrote(self, cost: float) -> None:
        self.messages += 1
        self.advance(cost)

    def run(self, seconds: float, rate: float) -> float:
        """Say `rate` items a second in each log; the share of the time that writes took."""
        end, said, began = self.monotonic() + seconds, 0.0, self.monotonic()
        busy = 0.0
        while (now := self.monotonic()) < end:
            while said < (now - began) * rate:
                said += 1
                for live in self.lives:
                    live.say(item())
                    self.logs.touched(live)
            self.logs._run()
            busy += self.monotonic() - now
            self.advance(0.001)
        return busy / seconds


async def test_LV15_a_cheap_log_ticks_often_and_a_dear_one_collects() -> None:
    cheap, dear = Bench(5, 10e-6), Bench(50, 200e-6)
    cheap.run(2.0, 300)
    dear.run(2.0, 300)
    every_s = [2.0 / bench.logs.counters.ticks for bench in (cheap, dear)]
    assert LEAST_S <= every_s[0] < LEAST_S + 0.002
    assert every_s[1] == pytest.approx(50 * 200e-6 / SHARE, rel=0.15)
    for bench in (cheap, dear):
        bench.logs.close()


async def test_LV15_the_longest_time_is_what_the_log_says() -> None:
    bench = Bench(30, 2e-3, tick_ms=200)  # a fan-out of 60 ms would like to wait for 240
    bench.run(4.0, 100)
    assert 4.0 / bench.logs.counters.ticks == pytest.approx(0.2, rel=0.1)
    bench.logs.close()
    dear = Bench(60, 2e-3, tick_ms=200)  # 120 ms of 200 would leave too little to others
    dear.run(2.0, 100)
    dear.logs.counters.ticks = 0
    dear.run(4.0, 100)
    assert 4.0 / dear.logs.counters.ticks == pytest.approx(0.120 / MOST_SHARE, rel=0.1)
    dear.logs.close()


async def test_LV16_many_logs_together_leave_the_loop_to_others() -> None:
    bench = Bench(5, 200e-6, logs=20, tick_ms=1000)  # each alone would take its share
    bench.run(3.0, 200)
    assert bench.run(3.0, 200) == pytest.approx(SHARE, rel=0.3)
    assert bench.logs._pacer.stretch > 5
    bench.run(3.0, 2)
    assert bench.logs._pacer.stretch == 1.0  # and when it is over, all is as before
    bench.logs.close()


def test_LV16_the_stretch_is_bounded_and_falls_by_half_at_most() -> None:
    pacer, now = Pacer(), 0.0
    for _ in range(20):
        now += WINDOW_S * 1.01
        pacer.spent(WINDOW_S * 1.01, now)
    assert pacer.stretch == MOST_STRETCH
    pacer.spent(0.0, now + WINDOW_S / 2)
    assert pacer.stretch == MOST_STRETCH, "half a window says nothing yet"
    pacer.spent(0.0, now + WINDOW_S * 1.01)
    assert pacer.stretch == MOST_STRETCH / 2
    assert pacer.pause(0.0, 1.0) == LEAST_S
    assert pacer.pause(10.0, 1.0) == 1.0


def test_LV17_what_is_more_than_is_shown_waits_for_the_whole_tick() -> None:
    live = room(tick_ms=200)
    live.cost = 0.001
    everything, few = watch(live, "a"), watch(live, "b", rate=2)
    pacer = Pacer()
    tick(live, 100.0)
    live.say(item())
    assert live.due(pacer) == 100.0 + LEAST_S
    tick(live, 101.0)
    for _ in range(10):
        live.say(item())
    tick(live, 102.0)
    live.say(item())
    assert live.due(pacer) == 102.2, "some were left out: another sample soon is no use"
    assert len(offs(everything.read())) == 11
    assert len(offs(few.read())) < 11
    live.leave(few)
    tick(live, 103.0)
    live.say(item())
    assert live.due(pacer) == 103.0 + LEAST_S, "all who watch are shown all"


def test_LV17_values_are_told_once_in_the_whole_tick() -> None:
    live = room(tick_ms=200)
    viewer = watch(live, "a")
    now, told, said = 100.0, 0, 0
    for step in range(1000):  # 10 ms each
        now += 0.01
        live.values.put("likes", step)
        live.say(item())
        due = live.due(Pacer())
        if due is not None and due <= now:
            for target in live.begin(now, due):
                live.give(target, now)
            live.end()
        for frame in viewer.read():
            told += isinstance(frame, f.Values)
            said += len(offs([frame]))
    assert 45 <= told <= 51  # of ten seconds with five ticks each
    assert said >= 990
    live.values.put("likes", -1)
    assert live.due(Pacer()) <= live.values_at + 0.2  # type: ignore[operator]


async def test_LV11_a_log_that_begins_anew_is_not_kept_waiting_by_its_earlier_life() -> None:
    clock = ManualClock()
    clock.advance(1000.0)
    logs = LiveLogs(clock, lambda peer: None)
    old = logs.hold(ROOM, LiveSpec(tick_ms=200))
    old.sent_at = clock.monotonic()
    old.say(item())
    logs.touched(old)
    del logs._logs[ROOM]  # as when room is made for others
    new = logs.hold(ROOM, LiveSpec(tick_ms=200))
    peer: Any = FakePeer("a")
    logs.join(new, peer, rate=0, host=False, attached=lambda: None)
    new.say(item())
    logs.touched(new)
    clock.advance(0.3)
    logs._run()
    clock.advance(0.3)
    logs._run()
    assert offs(peer.read()) == [1]
    logs.close()


async def test_LV10_who_lacks_nothing_is_written_to_at_once_and_others_in_their_order() -> None:
    woken: list[Any] = []
    logs = LiveLogs(ManualClock(), woken.append)
    live = logs.hold(ROOM, LiveSpec(tick_ms=1))
    peers: list[Any] = [FakePeer(f"u{n}") for n in range(5)]
    for peer in peers:
        peer.ok = True
        logs.join(live, peer, rate=0, host=False, attached=lambda: None)
    full, speaker, asked = peers[2:]
    full.ok = False
    asked.session.say(f.Pong(1, 0, 0))  # something waits for it
    live.say(item("u3", text="mine", op="x"))
    logs._tick(live, 1.0, 1.0)
    assert woken == [peers[0], full, speaker, asked]  # the first has the bytes made
    assert [len(peer.written) for peer in peers] == [0, 1, 0, 0, 0]
    for peer in peers:
        assert offs(peer.read()) == [1]
    assert isinstance(asked.session, ServerSession)
    assert logs.counters.deliveries == 5
    logs.close()


async def test_LV10_a_broken_transport_costs_the_others_nothing() -> None:
    logs = LiveLogs(ManualClock(), lambda peer: None)
    live = logs.hold(ROOM, LiveSpec(tick_ms=1))
    peers: list[Any] = [FakePeer(f"u{n}") for n in range(3)]
    closed: list[int] = []

    class Broken:
        def write(self, message: bytes) -> None:
            raise RuntimeError("no such socket")

        def close(self, code: int, reason: str) -> None:
            closed.append(code)

    for peer in peers:
        peer.ok = True
        logs.join(live, peer, rate=0, host=False, attached=lambda: None)
    peers[1].link = Broken()
    live.say(item())
    logs._tick(live, 1.0, 1.0)
    assert closed == [1011]
    assert [offs(peer.read()) for peer in (peers[0], peers[2])] == [[1], [1]]
    assert not live.sending
    logs.close()


async def test_LV10_others_have_their_turn_while_a_tick_goes_out() -> None:
    logs = LiveLogs(ManualClock(), lambda peer: None)
    live = logs.hold(ROOM, LiveSpec(tick_ms=1))
    for n in range(1000):
        logs.join(live, FakePeer(f"u{n}"), rate=0, host=False, attached=lambda: None)  # type: ignore[arg-type]
    live.say(item())
    turns = 0
    logs._tick(live, 1.0, 1.0)
    while live.sending:
        turns += 1
        await asyncio.sleep(0)
    assert turns >= 3
    assert logs.counters.deliveries == 1000
    logs.close()
