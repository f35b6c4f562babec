"""Every viewer's books balance: what it was given and what its gaps say is what was said."""

from __future__ import annotations

import random
from typing import Any

import pytest
from test_live import JSON, MSGPACK, ROOM, FakePeer, gaps, item, offs, tick

from hongyan.engine.live.log import LiveLog
from hongyan.engine.live.ticks import Counters
from hongyan.model.errors import Overloaded
from hongyan.model.ids import UserId
from hongyan.model.live import Lane, LiveSpec


class Watcher:
    """A viewer that reads by chance and adds up."""

    def __init__(self, live: LiveLog, rng: random.Random, name: str) -> None:
        room = rng.choice((20_000, 1 << 20))  # bytes: the smaller overflows before it is skipped
        self.peer: Any = FakePeer(name, rng.choice((JSON, MSGPACK)), room)
        self.peer.ok = rng.random() < 0.5
        self.lazy = rng.choice((0.0, 0.3, 0.9, 0.98))
        self.since = -1
        self.last = 0
        self.given = self.gaps = 0
        live.join(
            self.peer,
            UserId(name),
            rate=rng.choice((0, 1, 5, 20)),
            host=rng.random() < 0.1,
            attached=lambda: self.attached(live),
        )

    def attached(self, live: LiveLog) -> None:
        self.since = self.last = live.off

    def read(self) -> None:
        frames = self.peer.read()
        new = offs(frames)
        assert new == sorted(set(new)), "out of order, or twice"
        if new:
            assert new[0] > self.last
            self.last = new[-1]
        self.given += len(new)
        self.gaps += gaps(frames)


@pytest.mark.parametrize("seed", range(20))
def test_LV2_given_and_gaps_add_up_for_every_viewer(seed: int) -> None:
    rng = random.Random(seed)
    live = LiveLog(ROOM, LiveSpec(ring=rng.choice((0, 5, 50))), 1000, Counters())
    watchers = [Watcher(live, rng, f"u{n}") for n in range(12)]
    now = 1.0
    for step in range(400):
        for _ in range(rng.choice((0, 1, 3, 30))):
            who = rng.choice(("u1", "u2", "crowd"))
            lane = rng.choice((Lane.HIGH, Lane.NORMAL, Lane.NORMAL, Lane.LOW))
            erases = rng.randint(1, live.off) if live.off and rng.random() < 0.02 else 0
            try:
                said = item(who, lane, "x" * rng.choice((10, 2000)), op=f"{step}")
                live.say(said, erases=erases)
            except Overloaded:
                continue
        if rng.random() < 0.1:
            watchers.append(Watcher(live, rng, f"v{step}"))
        if rng.random() < 0.05:
            live.leave(watchers.pop(rng.randrange(len(watchers))).peer)
        if rng.random() < 0.5:
            live.values.put(f"k{rng.randint(0, 5)}", step)
        now += rng.choice((0.05, 0.2, 1.0))
        tick(live, now)
        for watcher in watchers:
            if rng.random() >= watcher.lazy:
                watcher.read()
    for _ in range(3):  # what is still owed comes with the next ticks
        for watcher in watchers:
            watcher.read()
        live.say(item(lane=Lane.HIGH))
        now += 1.0
        tick(live, now)
    for watcher in watchers:
        watcher.read()
        assert watcher.since >= 0
        if watcher.peer.closed is None:
            assert watcher.given + watcher.gaps == live.off - watcher.since, watcher.lazy
