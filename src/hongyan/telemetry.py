"""What the operator sees: log lines and metrics.

Metrics on hot paths are plain integers that a collector reads when somebody asks; nothing is
looked up, locked or allocated per delivery.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import resource
import sys
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from math import nan
from typing import NamedTuple, Protocol, TextIO

import structlog
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE
from structlog.typing import EventDict, Processor, WrappedLogger

__all__ = [
    "CONTENT_TYPE",
    "Histogram",
    "Metrics",
    "Usage",
    "configure",
    "measure_loop_lag",
    "memory_limit",
    "time_collector",
    "usage",
]

MAX_CALL_SERIES = 500  # of (name, code); what comes after is counted as "other"
SECRETS = frozenset({"token", "password", "secret", "authorization", "cookie"})

ACK_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
LAG_BOUNDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
GC_BOUNDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


class Histogram:
    """Counts of values by upper bound."""

    __slots__ = ("_bounds", "_counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        """`bounds` rise; a last one for everything above is added."""
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count a value: in the first bucket whose bound is not below it."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def counts(self) -> tuple[int, ...]:
        """How many values per bucket until now; the last is for those above all bounds."""
        return tuple(self._counts)

    def quantile(self, q: float, before: tuple[int, ...]) -> float:
        """The value below which the share `q` lies of all that was added since `counts` gave
        `before`, by a straight line within its bucket; nan when nothing was added."""
        new = [now - then for now, then in zip(self._counts, before, strict=True)]
        wanted, below, low = q * sum(new), 0, 0.0
        if not sum(new):
            return nan
        for bound, count in zip(self._bounds, new, strict=False):
            if below + count >= wanted:
                return low + (bound - low) * ((wanted - below) / count if count else 1.0)
            below, low = below + count, bound
        return low

    def buckets(self) -> list[tuple[str, float]]:
        """(bound, how many values up to it), as Prometheus wants them."""
        names = [*(repr(bound) for bound in self._bounds), "+Inf"]
        return list(zip(names, accumulate(self._counts), strict=True))


class Metrics:
    """The numbers of one node. Whoever changes something adds to the field itself.

    `connections` and `sessions` are gauges (count up and down), the other integers only grow.
    """

    def __init__(self) -> None:
        """All zero. A registry of its own, so that two nodes in one process do not mix."""
        self.connections = 0  # open connections
        self.sessions = 0  # of them: said hello
        self.accepted_total = 0  # connections taken
        self.refused_total = 0  # connections that were refused: limits, bad handshake
        self.frames_total = 0  # frames from clients
        self.deliveries_total = 0  # entries offered to connections
        self.behind_total = 0  # send queues that overflowed
        self.gaps_total = 0  # commits that could not be fanned out: readers find them by digest
        self.logins_total = 0
        self.login_failures_total = 0
        self.ack_seconds = Histogram(ACK_BOUNDS)  # from the call to its ack
        self.loop_lag_seconds = Histogram(LAG_BOUNDS)
        self.gc_pause_seconds = Histogram(GC_BOUNDS)  # of the whole process; see `time_collector`
        self.worst_lag = 0.0  # seconds, since somebody took it
        self._calls: dict[tuple[str, int], int] = {}
        self._gauges: dict[str, tuple[str, Callable[[], float]]] = {}
        self._labelled: dict[str, tuple[str, str, Callable[[], Mapping[str, float]]]] = {}
        self._store: Mapping[str, float] = {}
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def called(self, name: str, code: int = 0) -> None:
        """A call was answered; `code` 0 = ack, else that of its refusal. Pass only names of calls
        that exist, or "unknown": a name becomes a label."""
        key = (name, code)
        calls = self._calls
        if key not in calls and len(calls) >= MAX_CALL_SERIES:
            key = ("other", code)
        calls[key] = calls.get(key, 0) + 1

    def take_worst_lag(self) -> float:
        """The longest that the loop was late, in seconds, since this was called before."""
        worst, self.worst_lag = self.worst_lag, 0.0
        return worst

    def calls(self) -> dict[tuple[str, int], int]:
        """How often each (name, code) was answered until now."""
        return dict(self._calls)

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Show `hongyan_<name>`, read when somebody asks; `read` must be quick. A second one of
        the name replaces the first."""
        self._gauges[name] = (text, read)

    def labelled(
        self, name: str, text: str, label: str, read: Callable[[], Mapping[str, float]]
    ) -> None:
        """Show `hongyan_<name>{<label>=…}` for each key that `read` gives, as `gauge` does. The
        caller bounds the number of keys."""
        self._labelled[name] = (text, label, read)

    def render(self, store: Mapping[str, float] | None = None) -> bytes:
        """Everything in Prometheus' text format (`CONTENT_TYPE`). `store` is what the store's
        `stats()` said just now; without, that of the last time is shown."""
        if store is not None:
            self._store = store
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Family]:
        """Called by the registry."""
        yield _gauge("connections", "Open connections.", self.connections)
        yield _gauge("sessions", "Connections that said hello.", self.sessions)
        for name, text, value in (
            ("accepted", "Connections taken.", self.accepted_total),
            ("refused", "Connections refused.", self.refused_total),
            ("frames", "Frames from clients.", self.frames_total),
            ("deliveries", "Entries offered to connections.", self.deliveries_total),
            ("behind", "Send queues that overflowed.", self.behind_total),
            ("gaps", "Commits not fanned out; readers find them.", self.gaps_total),
            ("logins", "Logins with a password.", self.logins_total),
            ("login_failures", "Wrong passwords.", self.login_failures_total),
        ):
            yield CounterMetricFamily(f"hongyan_{name}_total", text, value=value)
        calls = CounterMetricFamily(
            "hongyan_calls_total", "Calls answered; code 0 = ack.", labels=["name", "code"]
        )
        for (name, code), count in self._calls.items():
            calls.add_metric([name, str(code)], count)
        yield calls
        yield _histogram("ack_seconds", "From a call to its ack.", self.ack_seconds)
        yield _histogram("loop_lag_seconds", "How late timers fire.", self.loop_lag_seconds)
        yield _histogram(
            "gc_pause_seconds", "Pauses in which cycles are collected.", self.gc_pause_seconds
        )
        for name, (text, read) in self._gauges.items():
            yield _gauge(name, text, read())
        for name, (text, label, values) in self._labelled.items():
            family = GaugeMetricFamily(f"hongyan_{name}", text, labels=[label])
            for key, number in values().items():
                family.add_metric([key], number)
            yield family
        for name, number in self._store.items():
            yield _gauge(f"store_{name}", "See Store.stats().", number)


def _gauge(name: str, text: str, value: float) -> Family:
    return GaugeMetricFamily(f"hongyan_{name}", text, value=value)


def _histogram(name: str, text: str, histogram: Histogram) -> Family:
    return HistogramMetricFamily(
        f"hongyan_{name}", text, buckets=histogram.buckets(), sum_value=histogram.total
    )


@contextlib.contextmanager
def time_collector(pauses: Histogram) -> Iterator[None]:
    """Inside, put the time of each run of the garbage collector into `pauses`: everything else of
    the process stands still then."""
    began = 0.0

    def called(phase: str, _: Mapping[str, int]) -> None:
        nonlocal began
        if phase == "start":
            began = time.perf_counter()
        else:
            pauses.add(time.perf_counter() - began)

    gc.callbacks.append(called)
    try:
        yield
    finally:
        gc.callbacks.remove(called)


class Usage(NamedTuple):
    """What this process takes of the machine."""

    memory_bytes: int  # resident
    cpu_seconds: float  # of all threads, since its start


def usage() -> Usage:
    """As of now. Where the system does not tell the memory of now, the most there ever was."""
    spent = resource.getrusage(resource.RUSAGE_SELF)
    try:
        with open("/proc/self/statm", "rb") as opened:
            memory = int(opened.read().split()[1]) * resource.getpagesize()
    except OSError:  # not Linux; macOS counts in bytes, others in KiB
        memory = spent.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Usage(memory, spent.ru_utime + spent.ru_stime)


def memory_limit() -> int:
    """Bytes this process may take: the least of what its control groups and the machine say; 0
    where neither tells."""
    limits = []
    with contextlib.suppress(OSError, ValueError):
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for file in ("memory.max", "memory/memory.limit_in_bytes"):  # version 2, version 1
        with contextlib.suppress(OSError, ValueError), open(f"/sys/fs/cgroup/{file}") as opened:
            limits.append(int(opened.read()))  # "max" is no number: no limit
    return min(limits, default=0)


async def measure_loop_lag(
    metrics: Metrics, every_s: float = 0.25, told: Callable[[float], None] = lambda late: None
) -> None:
    """Note how late the loop is, until cancelled; `told` hears each measure, in seconds."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + every_s
        await asyncio.sleep(every_s)
        late = max(0.0, loop.time() - due)
        metrics.loop_lag_seconds.add(late)
        metrics.worst_lag = max(metrics.worst_lag, late)
        told(late)


class LogSettings(Protocol):
    """What `configure` asks for; the `telemetry` section of the configuration has it."""

    @property
    def level(self) -> str:
        """debug, info, warning or error."""
        ...

    @property
    def format(self) -> str:
        """auto, console or json."""
        ...


def configure(settings: LogSettings, stream: TextIO = sys.stderr) -> None:
    """Send all log lines of this process, also those of libraries, to `stream`, one form for all.

    Values under names like `token` and `password` are left out. A second call replaces the
    first.
    """
    as_json = settings.format == "json" or (settings.format == "auto" and not stream.isatty())
    level = getattr(logging, settings.level.upper())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _hide_secrets,
    ]
    last: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if as_json
        else [structlog.dev.ConsoleRenderer(colors=stream.isatty())]
    )
    structlog.configure(
        processors=[*shared, *last],
        # Below the level a call is an empty function: debug lines cost nothing.
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)


def _hide_secrets(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    for name in SECRETS & event.keys():
        event[name] = "…"
    return event
