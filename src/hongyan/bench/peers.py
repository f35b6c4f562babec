"""hongyan beside other servers: one room, the same generator, CPU per delivery of the server.

The generator takes no frame apart: a message carries one byte that nothing else does, and is
counted by it. A few listeners look at the numbers and so at the times.
"""

from __future__ import annotations

import datetime
import re
import time
from collections.abc import Sequence

import msgspec

from hongyan.bench.crowd import Client, Crowd, open_all
from hongyan.bench.links import percentile
from hongyan.bench.peers_servers import Serving, Start, Steps

MARK = b"~"  # in no other byte that any of the servers sends
CLOCKS = 20  # listeners that look at the time, at most
WARM_UP_S = 1.0
PATIENCE_S = 6.0  # for what is on the way; a server that needs longer is over its limit
QUIET_S = 2.5  # without a delivery: nothing more will come
PAUSE_S = 0.001  # between two turns of the generator
_NUMBER = re.compile(rb"~(\d{8})")
_now = time.perf_counter


class Row(msgspec.Struct, frozen=True):
    """One server, one load. CPU is the server process's; times from when a message was due."""

    server: str
    subscribers: int
    rate: int  # deliveries a second
    cpu_us_per_delivery: float
    p50_ms: float
    p99_ms: float
    kb_per_connection: float
    delivered: int
    expected: int
    server_cpu: float  # share of a core
    generator_cpu: float
    generator_us_per_delivery: float
    late_p99_ms: float  # how late the generator was to say what was due
    version: str
    settings: str


class Load(msgspec.Struct, frozen=True):
    """Subscribers, and the rates (deliveries a second) that are tried with them."""

    subscribers: int
    rates: tuple[int, ...]


LOADS = (
    Load(500, (10_000, 50_000, 100_000, 150_000, 200_000)),
    Load(5000, (10_000, 50_000, 100_000)),
)


class Member(Client):
    """A connection that is brought to where it listens, or may speak."""

    __slots__ = ("clock", "count", "ready", "stage", "steps", "until")

    def __init__(self, crowd: Crowd, number: int, steps: Steps, until: bytes) -> None:
        """It is ready once `until` has come after the last of the steps."""
        super().__init__(crowd, number)
        self.steps, self.until = steps, until
        self.stage, self.count = 0, 0
        self.ready = False
        self.clock: list[tuple[int, float]] | None = None

    def begin(self) -> None:
        """The first step."""
        self._go(b"")

    def received(self, data: bytes) -> None:
        """Hot: counts. Before it is ready it looks for what the next step waits for."""
        if not self.ready:
            self._go(data)
            return
        self.count += data.count(MARK)
        if self.clock is not None:
            now, data = _now(), self.rest + data
            self.clock += [(int(number), now) for number in _NUMBER.findall(data)]
            last = data.rfind(MARK)
            self.rest = data[last:] if last >= 0 and len(data) - last < 9 else b""

    def _go(self, data: bytes) -> None:
        self.rest += data
        while self.stage < len(self.steps):
            awaited, message = self.steps[self.stage]
            if awaited not in self.rest:
                return
            self.rest = b""
            self.stage += 1
            self.send(message)
        if self.until in self.rest:
            self.ready, self.rest = True, b""

    def lost(self) -> None:
        """Its count stays behind: that shows."""


class Bout:
    """One server with its listeners, for one load after the other."""

    def __init__(self, serving: Serving, subscribers: int) -> None:
        """Connect all. Raises BenchError."""
        self.serving = serving
        self.crowd = Crowd(serving.port, serving.path, serving.protocol)
        self.speaker = Member(self.crowd, 0, serving.speak, serving.speaking)
        self._open([self.speaker])
        time.sleep(0.5)
        empty = serving.usage()
        self.listeners = [
            Member(self.crowd, number, serving.listen(number), serving.listening)
            for number in range(1, subscribers + 1)
        ]
        self._open(self.listeners)
        self._rest(1.0)
        self.kb = (serving.usage().rss_bytes - empty.rss_bytes) / subscribers / 1024
        for listener in self.listeners[:: max(1, subscribers // CLOCKS)]:
            listener.clock = []
        self.due: list[float] = []
        self.late: list[float] = []

    def _open(self, members: Sequence[Member]) -> None:
        waiting = set(members)

        def ready() -> int:
            waiting.difference_update([m for m in waiting if m.ready])
            return len(members) - len(waiting)

        open_all(self.crowd, members, ready, at_once=128, patience_s=20)

    def _rest(self, seconds: float) -> None:
        self.crowd.until(lambda: False, seconds)

    def send(self, rate: float, seconds: float, size: int) -> None:
        """Say `rate` messages a second, open loop."""
        serving, speaker, due = self.serving, self.speaker, self.due
        filler = "x" * (size - 9)
        began, first = _now(), len(due)
        total = first + int(rate * seconds)
        while len(due) < total:
            now = _now()
            while len(due) < total and (at := began + (len(due) - first) / rate) <= now:
                due.append(at)
                self.late.append(now - at)
                number = len(due) - 1
                speaker.send(serving.say(number, f"~{number:08d}{filler}"))
            self.crowd.turn(0)
            time.sleep(PAUSE_S)

    def settle(self) -> bool:
        """Wait for what is on the way; whether all of it came."""
        seen, since = -1, _now()
        while True:
            counts = [listener.count for listener in self.listeners]
            if min(counts) >= len(self.due):
                return True
            if sum(counts) != seen:
                seen, since = sum(counts), _now()
            elif _now() - since > QUIET_S:
                return False
            if _now() - self.due[-1] > PATIENCE_S:
                return False
            self.crowd.turn(0.01)

    # size: one measurement, told from its beginning to its end
    def measure(self, rate: int, seconds: float, size: int) -> tuple[Row, bool]:
        """One row, and whether the server is up to more."""
        per_message = len(self.listeners)
        self.send(rate / per_message, WARM_UP_S, size)
        self.settle()
        self.late.clear()
        sent, had = len(self.due), [listener.count for listener in self.listeners]
        before, own, began = self.serving.usage(), time.process_time(), _now()
        self.send(rate / per_message, seconds, size)
        whole = self.settle()
        took, own = _now() - began, time.process_time() - own
        cpu = self.serving.usage().cpu_s - before.cpu_s
        wanted = len(self.due) - sent
        got = [now.count - then for now, then in zip(self.listeners, had, strict=True)]
        delivered = sum(min(n, wanted) for n in got)
        delays = [
            at - self.due[number]
            for listener in self.listeners
            for number, at in listener.clock or ()
            if number >= sent
        ]
        row = Row(
            server=self.serving.name,
            subscribers=per_message,
            rate=rate,
            cpu_us_per_delivery=round(cpu / max(delivered, 1) * 1e6, 3),
            p50_ms=round(percentile(delays, 0.5) * 1e3, 2),
            p99_ms=round(percentile(delays, 0.99) * 1e3, 2),
            kb_per_connection=round(self.kb, 1),
            delivered=delivered,
            expected=wanted * per_message,
            server_cpu=round(cpu / took, 3),
            generator_cpu=round(own / took, 3),
            generator_us_per_delivery=round(own / max(delivered, 1) * 1e6, 3),
            late_p99_ms=round(percentile(self.late, 0.99) * 1e3, 2),
            version=self.serving.version,
            settings=self.serving.settings,
        )
        for listener in self.listeners:
            if listener.clock:
                listener.clock.clear()
        return row, whole


def bouts(start: Start, load: Load, seconds: float, size: int, core: int | None) -> list[Row]:
    """All rates of a load; a server that could not follow is started anew for the next."""
    rows: list[Row] = []
    while len(rows) < len(load.rates):
        with start(core) as serving:
            bout = Bout(serving, load.subscribers)
            try:
                for rate in load.rates[len(rows) :]:
                    row, whole = bout.measure(rate, seconds, size)
                    rows.append(row)
                    if not whole:
                        break
            finally:
                bout.crowd.close()
    return rows


def stamp() -> str:
    """For the name of a file."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M")
