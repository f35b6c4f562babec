"""A board under load: how fast quotes come in, what viewers are told, how old it is by then.

The promises that are checked, for every viewer: each fill arrives once; the chain of values never
breaks; after the last put the newest quotes come. Some viewers hold the whole board and compare.
"""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from hongyan.adapters.sqlite import SqliteDirectory, SqliteStore
from hongyan.bench.crowd import BenchError, Crowd, open_all, text_frame
from hongyan.bench.links import percentile
from hongyan.bench.quotes_viewers import Digest, Feed, Viewer, encode
from hongyan.bench.server import ServerProcess
from hongyan.model.ids import TenantId, UserId, log_id
from hongyan.ports import User
from hongyan.wire import frames as f

LOG = log_id("main", "q", "bench")
CLOCKED = 4  # viewers that look into every quote
CALL_S = 0.01  # between two puts
MOST_IN_CALL = 1_000
WARM_UP_S = 1.0
LATE, LATE_S = 20, 0.1  # viewers who come late, one after the other
PATIENCE_S = 30.0
BEAT_S = 10.0
PING = text_frame(encode(f.Ping()))
_now = time.perf_counter


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is done. Rates are a second."""

    symbols: int
    rate: float  # quotes
    viewers: int
    fills: float
    seconds: float
    tick_ms: int
    stalled: float  # share of viewers that do not read in the middle third
    burst: float  # times the rate, for `seconds` more; 0 = none


class Burst(msgspec.Struct, frozen=True):
    """What came of the burst."""

    times: float
    updates_per_s: float
    settled_ms: float  # from the last put until all hold the newest
    rss_grew_kb: int  # of the server, during the burst


class QuotesResult(msgspec.Struct, frozen=True):
    """One run. CPU is that of the server process, in shares of its core."""

    symbols: int
    viewers: int
    tick_ms: int
    seconds: float
    updates_per_s: float
    values_frames_per_s: float  # to all viewers
    mb_per_s: float  # to all viewers
    conflation: float  # quotes put for each that a viewer was told
    staleness_p50_ms: float  # of every quote told, from its put
    staleness_p99_ms: float
    delivery_p50_ms: float  # of the newest quote of each frame, over all viewers
    delivery_p99_ms: float
    server_cpu: float
    cpu_us_per_frame: float
    generator_cpu: float
    settled_ms: float
    join_p50_ms: float  # from `subscribe` to all values, while the board is busy
    join_p99_ms: float
    snapshot_bytes: int
    snapshots_again: int  # full sets to viewers whose queue was dropped
    chains_broken: int
    fills_sent: int
    fills_delivered: int
    fills_expected: int
    fills_doubled: int
    burst: Burst | None
    broken: list[str]


async def fill(data: Path) -> None:
    """Write a data directory in which `feed` is an administrator."""
    store = SqliteStore(data)
    try:
        feed = User(tenant=TenantId("main"), user=UserId("feed"), admin=True)
        await SqliteDirectory(store).put_user(feed)
    finally:
        await store.close()


class _Run:
    """The crowd, the feed, and what was put."""

    def __init__(self, server: ServerProcess, plan: Plan) -> None:
        self.server, self.plan = server, plan
        self.log = LOG
        self.known: dict[tuple[int, bytes], Digest] = {}
        self.delays: list[float] = []
        self.joins: list[float] = []
        self.snapshot_bytes = self.ready = 0
        self.troubles: list[str] = []
        self.closing = False
        self.newest: dict[str, float] = {}
        self.puts = self.fills = 0
        self.crowd = Crowd(server.port, "/v1/ws", f.JSON_SUBPROTOCOL)
        create = {
            "name": "bench",
            "title": "Bench",
            "tick_ms": plan.tick_ms,
            "symbols": plan.symbols,
        }
        self.feed = Feed(self.crowd, self, msgspec.json.encode(create))
        self.viewers = [
            Viewer(self.crowd, n, self, clocked=n <= CLOCKED) for n in range(1, plan.viewers + 1)
        ]
        self._names = [f"{600_000 + n}.SH" for n in range(plan.symbols)]
        self._next = 0
        self._beaten = _now()

    def token(self, user: str) -> str:
        return self.server.token(user)

    def trouble(self, text: str) -> None:
        if not self.closing:
            self.troubles.append(text)

    def fill(self) -> None:
        """The board with all its symbols, then the viewers."""
        open_all(self.crowd, [self.feed], lambda: self.ready)
        for _ in range(0, self.plan.symbols, MOST_IN_CALL):
            self._put(min(self.plan.symbols, MOST_IN_CALL))
        self._acked()
        open_all(self.crowd, self.viewers, lambda: self.ready - 1, at_once=32)

    def _acked(self) -> None:
        calls = self.feed.refs
        if not self.crowd.until(lambda: self.feed.acked >= calls, PATIENCE_S):
            raise BenchError(f"the feed was not answered: {self.troubles[:3]}")

    def _put(self, count: int) -> None:
        quotes = []
        for _ in range(count):
            name = self._names[self._next]
            self._next = (self._next + 1) % len(self._names)
            now = int(_now() * 1e6)
            self.newest[name] = now / 1e6
            price = now % 9_973
            quotes.append(
                f'"{name}":{{"t":{now},"last":"{price}.{now % 100:02}","bid":{price},'
                f'"ask":{price + 1},"volume":{now % 99_991}}}'
            )
        self.puts += count
        self.feed.call("quotes.put", f'{{"quotes":{{{",".join(quotes)}}}}}'.encode())

    def _fill(self) -> None:
        self.fills += 1
        args = f'{{"fills":[{{"symbol":"{self._names[0]}","price":"1.05","size":{self.fills}}}]}}'
        self.feed.call("quotes.fill", args.encode())

    def drive(self, seconds: float, rate: float) -> float:
        """Publish, open loop, for so long; the seconds it took."""
        began, called = _now(), 0.0
        puts, fills = self.puts, self.fills
        most = min(MOST_IN_CALL, len(self._names))
        while (now := _now()) - began < seconds:
            self._beat(now)
            if now - called >= CALL_S:
                called = now
                due = int((now - began) * rate) - (self.puts - puts)
                while due > 0:
                    self._put(min(due, most))
                    due -= most
                while self.fills - fills < (now - began) * self.plan.fills:
                    self._fill()
            self.crowd.turn(0.002)
        return _now() - began

    def _beat(self, now: float, every: float = BEAT_S) -> None:
        """Say that all are alive."""
        if now - self._beaten >= every:
            self._beaten = now
            for client in (self.feed, *self.viewers):
                client.write(PING)

    def settle(self) -> float:
        """Wait until every viewer has everything; ms since the last put."""
        self._beat(_now(), 0.0)
        began = max(self.newest.values())
        self.crowd.until(self._all_there, PATIENCE_S)
        return (_now() - began) * 1e3

    def _all_there(self) -> bool:
        clocked = self.viewers[:CLOCKED]
        if any(viewer.held != self.newest for viewer in clocked):
            return False
        seq = min(viewer.seq for viewer in clocked)
        return all(v.seq >= seq and v.fills == self.fills for v in self.viewers)


# size: a table of what was counted
def run(server: ServerProcess, plan: Plan) -> QuotesResult:
    """`server` serves a directory made by `fill`.

    Raises:
        BenchError: the board could not be filled.
    """
    work = _Run(server, plan)
    _warm_up(work)
    puts, before, own, began = work.puts, server.usage(), time.process_time(), _now()
    settled = _steady(work)
    took, after = _now() - began, server.usage()
    own = time.process_time() - own
    puts = work.puts - puts
    told, frames = work.viewers[0].told, sum(v.frames for v in work.viewers)
    size = sum(v.bytes for v in work.viewers)
    stale = [age for viewer in work.viewers for age in viewer.staleness]
    delays = list(work.delays)
    burst = _burst(work) if plan.burst else None
    work.closing = True
    work.crowd.close()
    cpu = after.cpu_s - before.cpu_s
    return QuotesResult(
        symbols=plan.symbols,
        viewers=plan.viewers,
        tick_ms=plan.tick_ms,
        seconds=round(took, 2),
        updates_per_s=round(puts / took, 1),
        values_frames_per_s=round(frames / took, 1),
        mb_per_s=round(size / took / 1e6, 2),
        conflation=round(puts / max(told, 1), 2),
        staleness_p50_ms=_ms(stale, 0.5),
        staleness_p99_ms=_ms(stale, 0.99),
        delivery_p50_ms=_ms(delays, 0.5),
        delivery_p99_ms=_ms(delays, 0.99),
        server_cpu=round(cpu / took, 3),
        cpu_us_per_frame=round(cpu / max(frames, 1) * 1e6, 2),
        generator_cpu=round(own / took, 3),
        settled_ms=round(settled, 1),
        join_p50_ms=_ms(work.joins, 0.5),
        join_p99_ms=_ms(work.joins, 0.99),
        snapshot_bytes=work.snapshot_bytes,
        snapshots_again=sum(v.snapshots for v in work.viewers),
        chains_broken=sum(v.gaps for v in work.viewers),
        fills_sent=work.fills,
        fills_delivered=sum(v.fills for v in work.viewers),
        fills_expected=work.fills * plan.viewers,
        fills_doubled=sum(v.doubled for v in work.viewers),
        burst=burst,
        broken=_broken(work),
    )


def _warm_up(work: _Run) -> None:
    """Fill the board, have some come late, and begin to count."""
    rate = work.plan.rate
    work.fill()
    work.drive(WARM_UP_S, rate)
    work.joins.clear()
    for viewer in work.viewers[-LATE:]:
        viewer.subscribe()
        work.drive(LATE_S, rate)
    work.settle()
    for viewer in work.viewers:
        viewer.frames = viewer.bytes = viewer.told = viewer.snapshots = 0
        viewer.staleness.clear()
    work.delays.clear()


def _steady(work: _Run) -> float:
    plan = work.plan
    stalled = work.viewers[-int(plan.viewers * plan.stalled) :] if plan.stalled else []
    if not stalled:
        work.drive(plan.seconds, plan.rate)
        return work.settle()
    for pause in (None, True, False):
        for viewer in stalled if pause is not None else ():
            viewer.pause(pause is True)
        work.drive(plan.seconds / 3, plan.rate)
    return work.settle()


def _burst(work: _Run) -> Burst:
    puts, before = work.puts, work.server.usage()
    took = work.drive(work.plan.seconds, work.plan.rate * work.plan.burst)
    after, puts = work.server.usage(), work.puts - puts
    return Burst(
        times=work.plan.burst,
        updates_per_s=round(puts / took, 1),
        settled_ms=round(work.settle(), 1),
        rss_grew_kb=(after.rss_bytes - before.rss_bytes) // 1024,
    )


def _broken(work: _Run) -> list[str]:
    """The promises that were not kept."""
    broken = list(work.troubles[:10])
    if any(v.fills != work.fills for v in work.viewers):
        broken.append("fills were lost")
    if any(v.doubled for v in work.viewers):
        broken.append("fills came twice")
    if any(v.gaps for v in work.viewers):
        broken.append("a chain of values broke")
    if any(v.held != work.newest for v in work.viewers[:CLOCKED]):
        broken.append("a viewer does not hold the newest quotes")
    return broken


def _ms(values: list[float], share: float) -> float:
    return round(percentile(values, share) * 1e3, 2)


def table(result: QuotesResult) -> str:
    """As it is printed."""
    rows = msgspec.to_builtins(result)
    rows["burst"] = result.burst and msgspec.json.encode(result.burst).decode()
    return "\n".join(f"{name:>22}  {value}" for name, value in rows.items())
