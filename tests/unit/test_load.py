"""AD: levels of load, and the bound of all queues together."""

from __future__ import annotations

from typing import Any

import pytest

from hongyan.config import Load as Settings
from hongyan.config import load as load_config
from hongyan.config.loading import ConfigError
from hongyan.engine.admission.guard import QueueGuard
from hongyan.engine.admission.load import Level, Load
from hongyan.model.errors import Overloaded, Refusal

LIMIT = 1000


def node(**settings: Any) -> Load:
    return Load(Settings(**settings), LIMIT)


class Looks:
    """Looks at a load every quarter of a second."""

    def __init__(self, load: Load) -> None:
        self.load, self.now = load, 0.0

    def see(self, times: int, *, lag: float = 0.0, memory: int = 0) -> Level:
        for _ in range(times):
            self.now += 0.25
            self.load.sample(lag, memory, self.now)
        return self.load.level


def test_AD9_one_hiccup_is_no_load() -> None:
    looks = Looks(node())
    looks.see(5)
    assert looks.see(2, lag=9.0) is Level.NORMAL
    assert looks.see(1) is Level.NORMAL
    assert looks.see(2, lag=9.0) is Level.NORMAL


@pytest.mark.parametrize(
    ("lag", "memory", "level"),
    [
        (0.399, 0, Level.NORMAL),
        (0.4, 0, Level.BUSY),
        (1.0, 0, Level.OVERLOADED),
        (2.5, 0, Level.CRITICAL),
        (0.0, 799, Level.NORMAL),
        (0.0, 800, Level.BUSY),
        (0.0, 880, Level.OVERLOADED),
        (0.0, 950, Level.CRITICAL),
        (0.4, 950, Level.CRITICAL),
    ],
)
def test_AD9_three_looks_at_the_threshold_begin_a_level(
    lag: float, memory: int, level: Level
) -> None:
    looks = Looks(node())
    assert looks.see(2, lag=lag, memory=memory) is Level.NORMAL
    assert looks.see(1, lag=lag, memory=memory) is level


def test_AD9_the_least_of_the_three_counts() -> None:
    looks = Looks(node())
    looks.see(1, lag=3.0), looks.see(1, lag=0.5)
    assert looks.see(1, lag=3.0) is Level.BUSY


def test_AD9_it_ends_one_level_at_a_time_after_calm() -> None:
    looks = Looks(node(calm_ms=1000))
    assert looks.see(3, lag=3.0) is Level.CRITICAL
    levels = [looks.see(1) for _ in range(16)]
    assert levels == [Level.CRITICAL] * 3 + [2] * 4 + [1] * 4 + [0] * 5
    assert looks.load.changes == 4


def test_AD9_below_the_threshold_is_not_yet_calm() -> None:
    looks = Looks(node(calm_ms=1000))
    looks.see(3, lag=0.5)
    assert looks.see(40, lag=0.21) is Level.BUSY, "more than half of what began it"
    assert looks.see(3, lag=0.19) is Level.BUSY
    assert looks.see(1, lag=0.19) is Level.NORMAL


def test_AD9_noise_in_between_starts_the_calm_time_anew() -> None:
    looks = Looks(node(calm_ms=1000))
    looks.see(3, lag=0.5)
    for _ in range(5):
        looks.see(3)
        assert looks.see(1, lag=0.5) is Level.BUSY


def test_AD9_memory_that_cannot_be_known_is_no_load() -> None:
    looks = Looks(Load(Settings(), 0))
    assert looks.see(5, memory=1 << 40) is Level.NORMAL
    assert Load(Settings(memory_bytes=77), 1000).memory == 77


def test_AD9_who_wants_to_know_is_told_now_and_at_each_change() -> None:
    looks, told = Looks(node(calm_ms=250)), []
    looks.load.on_change(told.append)
    looks.see(3, lag=1.0)
    looks.see(9)
    assert told == [Level.NORMAL, Level.OVERLOADED, Level.BUSY, Level.NORMAL]


def test_AD9_thresholds_out_of_order_are_an_error() -> None:
    with pytest.raises(ConfigError, match="busy_lag_ms < overloaded_lag_ms"):
        load_config(None, {}, {"load.busy_lag_ms": 5000})


def test_AD11_questions_and_signals_by_level() -> None:
    looks = Looks(node())
    for lag in (0.0, 0.5):
        looks.see(3, lag=lag)
        looks.load.ask()
        assert looks.load.signal()
    looks.see(3, lag=1.5)
    with pytest.raises(Overloaded) as refused:
        looks.load.ask()
    assert refused.value.retry_after_ms >= 1000
    assert not looks.load.signal()
    assert (looks.load.refused, looks.load.dropped) == (1, 1)


class Slow:
    """A peer with so much in its queue."""

    def __init__(self, pending: int) -> None:
        self.session = self
        self.pending = pending
        self.why: Refusal | None = None
        self.after = 0

    def close(self, why: Refusal, *, reconnect_after_ms: int) -> None:
        self.why, self.after = why, reconnect_after_ms


def look(guard: QueueGuard, peers: list[Slow]) -> None:
    for peer in peers:
        guard.add(peer)  # type: ignore[arg-type]
    guard.end()


def test_AD13_the_longest_queues_go_first_until_a_fifth_is_free() -> None:
    guard = QueueGuard(1000)
    peers = [Slow(n) for n in (0, 100, 400, 50, 300, 200)]
    look(guard, peers)
    assert [peer.pending for peer in peers if peer.why] == [400]
    assert peers[2].why is not None and peers[2].why.code == 307 and peers[2].after >= 1000
    assert (guard.waiting, guard.closed) == (1050, 1)


def test_AD13_a_fifth_is_free_afterwards() -> None:
    guard = QueueGuard(1000)
    look(guard, [Slow(150) for _ in range(8)])
    assert guard.closed == 3


def test_AD13_within_the_bound_nobody_goes() -> None:
    guard = QueueGuard(1000)
    peers = [Slow(500), Slow(500)]
    look(guard, peers)
    look(guard, peers)
    assert not any(peer.why for peer in peers) and guard.waiting == 1000


def test_AD13_each_look_counts_anew() -> None:
    guard = QueueGuard(1000)
    for _ in range(3):
        look(guard, [Slow(600)])
    assert guard.closed == 0


def test_AD13_without_a_bound_nobody_goes() -> None:
    guard = QueueGuard(0)
    peers = [Slow(1 << 40)]
    look(guard, peers)
    assert peers[0].why is None
