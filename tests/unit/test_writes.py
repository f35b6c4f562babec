"""When the sockets are written."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from hongyan.adapters.memory.clock import ManualClock
from hongyan.engine.writes import MANY, MOST_PAUSE_S, SHARE, SLICE, SOON_S, Writes


class FakePeer:
    """Counts its flushes; each costs some time."""

    def __init__(self, clock: ManualClock, cost: float = 0.0) -> None:
        self.queued = self.paced = False
        self.waits = self.flushes = self.written = 0
        self.link = self
        self.closed: list[int] = []
        self._clock, self._cost = clock, cost

    def flush(self) -> None:
        self.flushes += 1
        if self.waits:
            self.written += 1
            self.waits = 0
            self._clock.advance(self._cost)

    def close(self, code: int, reason: str) -> None:
        self.closed.append(code)


class Floor:
    """A clock that only the test and the writes move, and timers that go by it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, peers: int, cost: float = 0.0) -> None:
        self.clock = ManualClock()
        self.writes = Writes(self.clock)
        self.peers: list[Any] = [FakePeer(self.clock, cost) for _ in range(peers)]
        self.timers: list[tuple[float, Any]] = []
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(
            loop,
            "call_later",
            lambda s, call: self.timers.append((self.clock.monotonic() + s, call)),
        )

    def fan_out(self, count: int | None = None) -> None:
        for peer in self.peers[:count]:
            peer.waits += 1
        self.writes.wake_all(self.peers[:count])

    async def turns(self, n: int = 12) -> None:
        for _ in range(n):
            await asyncio.sleep(0)

    async def fire(self) -> float:
        """Let the one timer that waits go off; how long it waited."""
        [(at, call)] = self.timers
        self.timers.clear()
        waited = at - self.clock.monotonic()
        self.clock.advance(max(waited, 0.0))
        call()
        await self.turns()
        return waited


async def test_E30_what_is_for_few_is_written_in_the_same_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    floor = Floor(monkeypatch, MANY)
    for _ in range(3):
        floor.fan_out()
    await floor.turns(1)
    assert {peer.written for peer in floor.peers} == {1}, "merged"
    floor.fan_out()
    await floor.turns(1)
    assert {peer.written for peer in floor.peers} == {2}
    assert floor.writes.rounds == 0


async def test_E30_a_round_for_many_leaves_others_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    floor = Floor(monkeypatch, 10 * SLICE)
    floor.fan_out()
    seen = []
    for _ in range(11):
        await asyncio.sleep(0)
        seen.append(sum(peer.written for peer in floor.peers))
    steps = [after - before for before, after in pairwise(seen)]
    assert seen[-1] == 10 * SLICE and max(steps) == SLICE
    assert floor.writes.rounds == 1


async def test_E30_a_dear_round_is_followed_by_a_pause_in_which_all_is_merged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    floor = Floor(monkeypatch, 100, cost=30e-6)  # 3 ms
    floor.fan_out()
    await floor.turns()
    for _ in range(5):
        floor.fan_out()
        await floor.turns()
    assert {peer.written for peer in floor.peers} == {1}
    waited = await floor.fire()
    assert waited == pytest.approx(0.003 / SHARE - 0.003)  # counted from the round's beginning
    assert {peer.written for peer in floor.peers} == {2}
    assert {peer.waits for peer in floor.peers} == {0}
    assert floor.writes.rounds == 2
    floor.clock.advance(1.0)  # after a quiet time the next goes at once
    floor.fan_out()
    await floor.turns()
    assert {peer.written for peer in floor.peers} == {3}
    assert not floor.timers


async def test_E30_the_pause_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    floor = Floor(monkeypatch, 100, cost=1e-3)
    floor.fan_out()
    await floor.turns()
    floor.fan_out()
    await floor.turns()
    assert {peer.written for peer in floor.peers} == {2}, "a round of 100 ms: no pause is left"
    cheap = Floor(monkeypatch, 100, cost=SOON_S * SHARE / 200)
    for number in range(1, 4):
        cheap.fan_out()
        await cheap.turns()
        assert {peer.written for peer in cheap.peers} == {number}, "too short for a timer"
    assert MOST_PAUSE_S < 0.1


async def test_E30_an_answer_does_not_wait_for_the_round(monkeypatch: pytest.MonkeyPatch) -> None:
    floor = Floor(monkeypatch, 100, cost=30e-6)
    floor.fan_out()
    await floor.turns()
    floor.fan_out()
    floor.writes.wake(floor.peers[7])  # with its ack
    await floor.turns()
    assert [peer.written for peer in floor.peers].count(2) == 1 and floor.peers[7].written == 2
    await floor.fire()
    assert {peer.written for peer in floor.peers} == {2}, "it had nothing more to be written"


async def test_E30_what_comes_during_a_round_goes_with_it_or_with_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    floor = Floor(monkeypatch, 2 * SLICE, cost=5e-5)
    floor.fan_out()
    await floor.turns(1)  # the first slice
    assert floor.writes._going
    floor.fan_out()
    await floor.turns()
    first, second = floor.peers[:SLICE], floor.peers[SLICE:]
    assert {peer.waits for peer in second} == {0}, "merged into what was on its way"
    assert {peer.waits for peer in first} == {1}
    await floor.fire()
    assert {peer.waits for peer in floor.peers} == {0}
    assert {peer.written for peer in first} == {2} and {peer.written for peer in second} == {1}


async def test_E30_a_broken_transport_costs_the_others_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    floor = Floor(monkeypatch, 100)

    def broken() -> None:
        raise RuntimeError("no such socket")

    floor.peers[3].flush = broken
    floor.fan_out()
    floor.fan_out(MANY)
    await floor.turns()
    assert floor.peers[3].closed
    assert all(peer.written for peer in floor.peers if peer is not floor.peers[3])
    assert not floor.writes._going
