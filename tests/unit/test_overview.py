"""The numbers of the console, on a clock that is moved by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from hongyan.adapters.memory.bus import MemoryBus
from hongyan.adapters.memory.clock import ManualClock
from hongyan.app import KINDS
from hongyan.config import load
from hongyan.engine.hub import Hub
from hongyan.engine.identity import Identity
from hongyan.engine.logs import LogCache
from hongyan.engine.operations import Operations
from hongyan.engine.overview import SERIES, STEPS, Overview
from hongyan.model.errors import Forbidden, StoreDown
from hongyan.model.ids import LogId, Seq
from hongyan.ports import Appended
from hongyan.telemetry import Histogram, Metrics, Usage, usage


class Node:
    """An overview with everything it looks at."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.metrics = Metrics()
        self.commits = 0.0
        self.down = False
        self.cpu = 0.0
        self.hub: Any = SimpleNamespace(peers=set(), users={})
        self.overview = Overview(
            node="n",
            metrics=self.metrics,
            hub=self.hub,
            store=self,  # type: ignore[arg-type]
            clock=self.clock,
            read_usage=lambda: Usage(1000, self.cpu),
        )

    async def stats(self) -> Mapping[str, float]:
        if self.down:
            raise StoreDown("gone")
        return {"commits": self.commits}

    async def step(self, seconds: float = 2.0) -> None:
        self.clock.advance(seconds)
        await self.overview.sample()


async def test_CO8_rates_are_differences_over_the_time_that_passed() -> None:
    node = Node()
    for _ in range(6):
        node.metrics.called("chat.send")
    node.metrics.called("chat.open")
    node.metrics.called("chat.send", 301)
    node.metrics.deliveries_total, node.metrics.behind_total, node.commits = 40, 2, 8
    node.cpu = 1.0
    await node.step(4.0)
    await node.step(2.0)

    series = node.overview.since(0)["series"]

    assert set(series) == set(SERIES)
    rates = {name: series[name][0] for name in ("sends", "calls", "refusals", "deliveries")}
    assert rates == {"sends": 1.5, "calls": 1.75, "refusals": 0.25, "deliveries": 10.0}
    assert (series["behind"], series["commits"], series["cpu"]) == ([0.5, 0], [2.0, 0], [0.25, 0])


async def test_CO8_quantiles_are_those_of_the_step() -> None:
    node = Node()
    for _ in range(99):
        node.metrics.ack_seconds.add(0.002)
    node.metrics.ack_seconds.add(0.3)
    node.metrics.worst_lag = 0.02
    await node.step()
    await node.step()

    series = node.overview.since(0)["series"]

    assert 1.0 < series["ack_p50"][0] <= 2.5
    assert series["lag_worst"] == [20.0, 0.0]
    assert series["ack_p99"] == [2.5, None], "none answered in the second step: no value, not 0"


async def test_CO8_the_newest_steps_are_kept_and_since_gives_what_is_later() -> None:
    node = Node()
    for number in range(STEPS + 3):
        node.metrics.deliveries_total += 2 * number
        await node.step()

    whole = node.overview.since(0)
    later = node.overview.since(whole["at"][-3])

    assert len(whole["at"]) == STEPS and whole["at"] == sorted(whole["at"])
    assert whole["series"]["deliveries"][0] == 3.0
    assert later["series"]["deliveries"] == [STEPS + 1.0, STEPS + 2.0]
    assert node.overview.since(whole["at"][-1])["at"] == []


async def test_CO8_numbers_go_on_without_the_store() -> None:
    node = Node()
    node.down = True
    node.metrics.deliveries_total = 4
    node.clock.advance(2)

    with pytest.raises(StoreDown):
        await node.overview.sample()

    assert node.overview.since(0)["series"]["deliveries"] == [2.0]


def test_CO8_a_quantile_lies_in_its_bucket() -> None:
    histogram = Histogram((1.0, 2.0, 4.0))
    for value in (0.5, 1.5, 1.5, 3.0):
        histogram.add(value)
    before = (0, 0, 0, 0)

    assert histogram.quantile(0.25, before) == 1.0
    assert histogram.quantile(0.5, before) == 1.5
    assert histogram.quantile(1.0, before) == 4.0
    histogram.add(9.0)
    assert histogram.quantile(1.0, before) == 4.0, "above all bounds: the last bound"
    assert str(histogram.quantile(0.5, histogram.counts())) == "nan"


def test_CO8_this_process_has_memory() -> None:
    assert usage().memory_bytes > 1_000_000
    assert usage().cpu_seconds > 0


def test_CO7_settings_are_shown_without_secrets() -> None:
    issuer = {"iss": "shop", "alg": "HS256", "secret": "s" * 40}
    config = load(
        None,
        {},
        {"server.metrics_token": "hush-hush", "tokens.issuers": [issuer], "server.port": 9},
    )
    operations = Operations(config, trail=None, overview=None, inspector=None)  # type: ignore[arg-type]
    boss = Identity(tenant="main", user="root", epoch=1, admin=True)  # type: ignore[arg-type]

    shown = {setting["key"]: setting for setting in operations.limits(boss)}

    assert "hush" not in str(shown) and "ssss" not in str(shown)
    assert shown["server.metrics_token"]["value"] == "…"
    assert (shown["server.port"]["value"], shown["server.port"]["changed"]) == (9, True)
    assert not shown["limits.page"]["changed"]
    with pytest.raises(Forbidden):
        operations.limits(Identity(tenant="other", user="root", epoch=1, admin=True))  # type: ignore[arg-type]


async def test_CO8_commits_that_could_not_be_fanned_out_are_gaps() -> None:
    class Down:
        async def info(self, log: str) -> None:
            raise StoreDown("gone")

    metrics, bus = Metrics(), MemoryBus()
    cache = LogCache(Down(), KINDS)  # type: ignore[arg-type]
    hub = Hub(cache=cache, bus=bus, metrics=metrics, clock=ManualClock())
    lost = Appended(
        LogId("main/d/a~b"), (), Seq(1), ord=1, version=1, roster=1, count=2, large=False
    )
    bus.publish(lost)
    bus.publish(lost)
    for _ in range(100):  # turns of the loop, not time
        await asyncio.sleep(0)

    assert metrics.gaps_total == 2
    hub.close()
    await bus.close()
