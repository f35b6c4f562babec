"""The last quarter of an hour of one node, in numbers: full charts at the first look.

Every two seconds one value per series is put into arrays that were made at the start, so memory is
fixed (about 60 KB) and nothing is looked up on a hot path: counters are read and subtracted.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Mapping
from math import isnan, nan
from typing import Any

import structlog

from hongyan import __version__
from hongyan.engine.hub import Hub
from hongyan.model.errors import Refusal
from hongyan.ports import Clock, Store
from hongyan.telemetry import Metrics, Usage, usage

logger = structlog.get_logger(__name__)

STEP_S = 2.0
STEPS = 450  # 15 minutes
SEND = "chat.send"
TOP_CALLS = 20

# Series and units. Rates are means over a step; the other values are those at its end.
SERIES = (
    "connections",
    "sessions",
    "users",
    "sends",  # messages acknowledged, per second
    "calls",  # calls acknowledged, per second
    "refusals",  # calls refused, per second
    "deliveries",  # entries offered to connections, per second
    "commits",  # of the store, per second
    "groups",  # transactions of the store, per second
    "ack_p50",  # ms; nan where no call was answered
    "ack_p99",
    "lag_worst",  # ms that the event loop was late
    "queued",  # bytes that wait for slow connections
    "behind",  # send queues that overflowed, per second
    "gaps",  # commits not fanned out, per second
    "memory",  # bytes
    "cpu",  # cores
)


class Overview:
    """Samples while it runs. `since` never waits."""

    def __init__(
        self,
        *,
        node: str,
        metrics: Metrics,
        hub: Hub,
        store: Store,
        clock: Clock,
        read_usage: Callable[[], Usage] = usage,
    ) -> None:
        """Starts nothing. `read_usage` tells memory and processor time of this process."""
        self._node, self._metrics, self._hub = node, metrics, hub
        self._store, self._clock, self._usage = store, clock, read_usage
        self._started_at = clock.now_ms()
        self._at = array("q", [0]) * STEPS
        self._values = {name: array("d", [nan]) * STEPS for name in SERIES}
        self._count = 0  # samples taken until now; the next goes to count % STEPS
        self._store_stats: Mapping[str, float] = {}
        self._before = self._counters()
        self._before_s = clock.monotonic()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to sample; needs a running loop."""
        self._task = asyncio.get_running_loop().create_task(self._sample_forever())

    async def stop(self) -> None:
        """End that. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _sample_forever(self) -> None:
        while True:
            await asyncio.sleep(STEP_S)
            try:
                await self.sample()
            except Refusal as why:  # the store may be down: the other numbers go on
                logger.warning("overview without the store", error=why.text)
            except Exception:
                logger.exception("overview failed")

    async def sample(self) -> None:
        """Take one sample now. Raises StoreDown, where the store cannot tell of itself; the
        sample is taken all the same, with what it said last."""
        try:
            self._store_stats = await self._store.stats()
        finally:
            self._take()

    def _take(self) -> None:
        now_s, now = self._clock.monotonic(), self._counters()
        passed = max(now_s - self._before_s, 0.001)
        place = self._count % STEPS
        self._at[place] = self._clock.now_ms()
        for name, value in self._gauges().items():
            self._values[name][place] = value
        for name in ("sends", "calls", "refusals", "deliveries", "commits", "groups", "behind"):
            self._values[name][place] = max(0.0, (now[name] - self._before[name]) / passed)
        self._values["gaps"][place] = (now["gaps"] - self._before["gaps"]) / passed
        self._values["cpu"][place] = max(0.0, (now["cpu"] - self._before["cpu"]) / passed)
        self._before, self._before_s = now, now_s
        self._count += 1

    def _counters(self) -> dict[str, Any]:
        """What only grows; the histograms as they stand."""
        metrics, stats = self._metrics, self._store_stats
        calls = metrics.calls()
        done = sum(count for (_, code), count in calls.items() if not code)
        return {
            "sends": calls.get((SEND, 0), 0),
            "calls": done,
            "refusals": sum(calls.values()) - done,
            "deliveries": metrics.deliveries_total,
            "commits": stats.get("commits", 0.0),
            "groups": stats.get("groups", 0.0),
            "behind": metrics.behind_total,
            "gaps": metrics.gaps_total,
            "cpu": self._usage().cpu_seconds,
            "ack": metrics.ack_seconds.counts(),
        }

    def _gauges(self) -> dict[str, float]:
        metrics, hub = self._metrics, self._hub
        ack = self._before["ack"]
        return {
            "connections": len(hub.peers),
            "sessions": sum(map(len, hub.users.values())),
            "users": len(hub.users),
            "ack_p50": metrics.ack_seconds.quantile(0.5, ack) * 1000,
            "ack_p99": metrics.ack_seconds.quantile(0.99, ack) * 1000,
            "lag_worst": metrics.take_worst_lag() * 1000,
            "queued": sum(peer.session.pending for peer in hub.peers),
            "memory": self._usage().memory_bytes,
        }

    def since(self, at: int) -> dict[str, Any]:
        """Samples later than `at` (ms; 0 = all that are kept), oldest first, and what is now.

        Every series has as many values as `at` has times; None where there is no value.
        """
        kept = range(max(0, self._count - STEPS), self._count)
        places = [n % STEPS for n in kept if self._at[n % STEPS] > at]
        series = {
            name: [None if isnan(v := values[place]) else round(v, 3) for place in places]
            for name, values in self._values.items()
        }
        return {
            "now": self._clock.now_ms(),
            "node": self._node,
            "version": __version__,
            "started_at": self._started_at,
            "step_ms": int(STEP_S * 1000),
            "steps": STEPS,
            "at": [self._at[place] for place in places],
            "series": series,
            "totals": self._totals(),
            "calls": self._top_calls(),
        }

    def _totals(self) -> dict[str, float]:
        metrics = self._metrics
        return {
            "accepted": metrics.accepted_total,
            "refused": metrics.refused_total,
            "deliveries": metrics.deliveries_total,
            "behind": metrics.behind_total,
            "gaps": metrics.gaps_total,
            "logins": metrics.logins_total,
            "login_failures": metrics.login_failures_total,
            **{f"store_{name}": value for name, value in self._store_stats.items()},
        }

    def _top_calls(self) -> list[dict[str, Any]]:
        """The most frequent calls and refusals since the start."""
        found = sorted(self._metrics.calls().items(), key=lambda item: -item[1])
        return [
            {"name": name, "code": code, "count": count}
            for (name, code), count in found[:TOP_CALLS]
        ]
