"""The Bus and Clock ports, on every adapter."""

from __future__ import annotations

import asyncio
import logging

import pytest

from hongyan.adapters.memory.clock import ManualClock, SystemClock
from hongyan.ports import Bus, Clock, Hint, RowsChanged


def hint(n: int) -> Hint:
    return RowsChanged("main", f"user{n}", ())


class Ear:
    """Collects hints and wakes who waits for the n-th."""

    def __init__(self) -> None:
        self.heard: list[Hint] = []
        self._came = asyncio.Event()

    def __call__(self, hint: Hint) -> None:
        self.heard.append(hint)
        self._came.set()

    async def until(self, n: int) -> list[Hint]:
        async with asyncio.timeout(5):
            while len(self.heard) < n:
                await self._came.wait()
                self._came.clear()
        return self.heard


async def test_O11_every_subscriber_gets_the_hint_after_publish_returned(bus: Bus) -> None:
    ears = [Ear(), Ear()]
    for ear in ears:
        bus.subscribe(ear)

    for n in range(3):
        bus.publish(hint(n))

    assert [ear.heard for ear in ears] == [[], []]
    assert [await ear.until(3) for ear in ears] == [[hint(0), hint(1), hint(2)]] * 2


async def test_O11_a_failing_handler_disturbs_nobody(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(hint: Hint) -> None:
        raise RuntimeError("a handler's own bug")

    ear = Ear()
    bus.subscribe(broken)
    bus.subscribe(ear)

    with caplog.at_level(logging.CRITICAL + 1):
        bus.publish(hint(1))
        bus.publish(hint(2))

    assert await ear.until(2) == [hint(1), hint(2)]
    assert sum("bus handler failed" in message for message in caplog.messages) in (0, 2)


async def test_O11_a_handler_may_publish_and_may_end_itself(bus: Bus) -> None:
    ear = Ear()
    bus.subscribe(ear)

    def once(seen: Hint) -> None:
        end()
        bus.publish(hint(2))

    end = bus.subscribe(once)
    bus.publish(hint(1))

    assert await ear.until(2) == [hint(1), hint(2)]
    end()  # ending twice is harmless


async def test_O11_nothing_comes_after_the_end(bus: Bus) -> None:
    ear, witness = Ear(), Ear()
    end = bus.subscribe(ear)
    bus.subscribe(witness)
    bus.publish(hint(1))
    end()

    await witness.until(1)
    assert ear.heard == []

    await bus.close()
    await bus.close()
    bus.publish(hint(2))
    await asyncio.sleep(0)
    assert witness.heard == [hint(1)]


@pytest.mark.parametrize("clock", [SystemClock(), ManualClock()])
def test_O12_clocks_count_ms_and_never_turn_the_monotonic_back(clock: Clock) -> None:
    wall, mono = clock.now_ms(), clock.monotonic()

    assert 1_600_000_000_000 < wall < 4_000_000_000_000
    assert clock.monotonic() >= mono


def test_O12_the_wall_may_jump_while_the_monotonic_stands() -> None:
    clock = ManualClock(1_000)

    clock.advance(1.5)
    clock.jump_wall(-3_600_000)

    assert (clock.now_ms(), clock.monotonic()) == (2_500 - 3_600_000, 1.5)
    with pytest.raises(ValueError, match="back"):
        clock.advance(-1)
