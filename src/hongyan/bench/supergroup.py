"""A group of very many: a send against one to a small group, and ten thousand joins.

Every joiner is a user of its own who connects, says hello, joins and hangs up, so the cost of a
join holds that of a hello too; both are told. A message of joins is the same for all who listen,
so it is taken apart once and then known by its bytes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import uvloop

from hongyan.bench import fanout
from hongyan.bench.crowd import BenchError, Client, Crowd, allow, open_all
from hongyan.bench.links import percentile
from hongyan.bench.server import ServerProcess, cores, on_core
from hongyan.model.ids import DeviceId, OpId
from hongyan.wire import frames as f

SETTINGS = (
    "kinds.group.max_members=1000000",
    "limits.heartbeat_ms=600000",
    "presence.ttl_ms=1200000",
)
ROUNDS = 3
AT_ONCE = 128  # joiners on their way
WARM = 500  # hellos that are measured alone
PATIENCE_S = 10.0
MOST_KNOWN = 512  # messages remembered
_now = time.perf_counter
_encode = msgspec.json.Encoder().encode


class Joins(msgspec.Struct, frozen=True):
    """Joins, closed loop with AT_ONCE on their way. Latency from the call to its ack."""

    joins: int
    failed: int
    online: int  # members who are told of each
    seconds: float
    per_minute: float  # as they went
    core_per_minute: float  # what the server's core had time for
    delivered: int
    expected: int
    duplicates: int
    gaps: int
    server_cpu: float  # of a core; near 1 the server was the bound
    generator_cpu: float
    cpu_us_per_join: float  # with the joiner's connect and hello
    cpu_us_per_hello: float
    p50_ms: float
    p99_ms: float


class SuperResult(msgspec.Struct, frozen=True):
    """`ratio` is the CPU of a send to the large group over that to the small one, with as many
    online in both."""

    ratio: float
    lost: int  # deliveries of sends, in all rounds: missing, or twice
    small: fanout.FanoutResult
    large: fanout.FanoutResult
    joins: Joins


class _Entry(msgspec.Struct, gc=False):
    seq: int


class _Seen(msgspec.Struct, gc=False):
    t: str
    log: str = ""
    text: str = ""
    entries: list[_Entry] = []


_one = msgspec.json.Decoder(_Seen).decode
_many = msgspec.json.Decoder(list[_Seen]).decode


def _frames(payload: bytes) -> list[_Seen]:
    return _many(payload) if payload[:1] == b"[" else [_one(payload)]


class _Person(Client):
    """Somebody with a token."""

    __slots__ = ("desk", "token")

    def __init__(self, desk: Desk, number: int, user: str) -> None:
        """`number` picks the address."""
        super().__init__(desk.crowd, number)
        self.desk, self.token = desk, desk.server.token(user)

    def begin(self) -> None:
        """Say hello."""
        self.send(_encode(f.Hello(token=self.token, device=DeviceId("d1"))))


class _Listener(_Person):
    """A member who is online and counts."""

    __slots__ = ("head",)

    def __init__(self, desk: Desk, number: int) -> None:
        """Of m0 and so on."""
        super().__init__(desk, number, f"m{number}")
        self.head = 0

    def message(self, payload: bytes) -> None:
        """The welcome, then joins."""
        desk, known = self.desk, self.desk.known
        ranges = known.get(payload)
        if ranges is None:
            ranges = desk.read(payload)
        for first, last in ranges:
            if first == self.head + 1 or not self.head:
                desk.delivered += last - first + 1
                self.head = last
            elif last <= self.head:
                desk.duplicates += last - first + 1
            else:
                desk.gaps += max(0, first - self.head - 1)
                desk.duplicates += max(0, self.head + 1 - first)
                desk.delivered += last - max(self.head, first - 1)
                self.head = last

    def lost(self) -> None:
        """Nobody who listens may go."""
        raise BenchError("the server closed the connection of a member who listens")


class _Joiner(_Person):
    """Comes, joins with an op where there is one, hangs up."""

    __slots__ = ("asked_at", "op")

    def __init__(self, desk: Desk, number: int, user: str, op: str = "") -> None:
        """One visit."""
        super().__init__(desk, number, user)
        self.op, self.asked_at = op, 0.0

    def message(self, payload: bytes) -> None:
        """The welcome, then the ack."""
        desk = self.desk
        for frame in _frames(payload):
            if frame.t == "welcome":
                if not self.op:
                    self._leave()
                    return
                self.asked_at = _now()
                self.send(
                    _encode(f.Call(ref=1, name="chat.join", op=OpId(self.op), log=fanout.LOG))
                )
            elif frame.t == "ack":
                desk.delays.append(_now() - self.asked_at)
                desk.joined += 1
                self._leave()
                return
            elif frame.t in ("fail", "goodbye"):
                desk.trouble = frame.text
                self._leave()
                return

    def lost(self) -> None:
        """Came for nothing."""
        self.desk.gone += 1

    def _leave(self) -> None:
        self.desk.gone += 1
        self.crowd.leave(self)


class Desk:
    """The crowd of a run, and what it counted."""

    def __init__(self, server: ServerProcess) -> None:
        """Nobody yet."""
        self.server = server
        self.crowd = Crowd(server.port, "/v1/ws", f.JSON_SUBPROTOCOL)
        self.known: dict[bytes, list[tuple[int, int]]] = {}
        self.delays: list[float] = []
        self.ready = self.gone = self.joined = 0
        self.delivered = self.duplicates = self.gaps = 0
        self.trouble = ""

    def read(self, payload: bytes) -> list[tuple[int, int]]:
        """The ranges of seqs in a message to one who listens; remembered."""
        ranges: list[tuple[int, int]] = []
        for frame in _frames(payload):
            if frame.t == "welcome":
                self.ready += 1
                return []
            if frame.t == "deliver" and frame.log == fanout.LOG:
                seqs = [entry.seq for entry in frame.entries]
                whole = seqs[-1] - seqs[0] + 1 == len(seqs)
                ranges += [(seqs[0], seqs[-1])] if whole else [(seq, seq) for seq in seqs]
        if len(self.known) >= MOST_KNOWN:
            self.known.clear()
        self.known[payload] = ranges
        return ranges

    def visit(self, count: int, make: Callable[[int], _Joiner]) -> float:
        """`count` visits, AT_ONCE of them on the way; the seconds until the last was over."""
        self.gone, began = 0, _now()
        open_all(self.crowd, map(make, range(count)), lambda: self.gone, at_once=AT_ONCE)
        return _now() - began

    def settle(self, expected: int) -> None:
        """Until all has come, or nothing comes any more."""
        seen, since = -1, _now()
        while self.delivered < expected and _now() - since < PATIENCE_S:
            if self.delivered != seen:
                seen, since = self.delivered, _now()
            self.crowd.turn(0.05)


def join_all(server: ServerProcess, *, joins: int, online: int) -> Joins:
    """`server` serves a directory made by `fill`; `online` of its members listen.

    Raises:
        BenchError: the server ended the connection of one who listens, or nothing moves.
    """
    desk = Desk(server)
    open_all(desk.crowd, (_Listener(desk, n) for n in range(online)), lambda: desk.ready)
    warm = [_Joiner(desk, n, f"w{n}") for n in range(min(WARM, joins))]
    start = server.usage().cpu_s
    desk.visit(len(warm), warm.__getitem__)
    hello = (server.usage().cpu_s - start) / len(warm)
    people = [_Joiner(desk, n, f"j{n}", f"j{n}") for n in range(joins)]
    start, own, began = server.usage().cpu_s, time.process_time(), _now()
    desk.visit(joins, people.__getitem__)
    desk.settle(desk.joined * online)
    took = _now() - began
    own, cpu = time.process_time() - own, server.usage().cpu_s - start
    desk.crowd.close()
    if not desk.joined:
        raise BenchError(f"nobody could join: {desk.trouble or 'connections were lost'}")
    return Joins(
        joins=joins,
        failed=joins - desk.joined,
        online=online,
        seconds=round(took, 2),
        per_minute=round(desk.joined / took * 60),
        core_per_minute=round(60 * desk.joined / max(cpu, 0.01)),
        delivered=desk.delivered,
        expected=desk.joined * online,
        duplicates=desk.duplicates,
        gaps=desk.gaps,
        server_cpu=round(cpu / took, 2),
        generator_cpu=round(own / took, 2),
        cpu_us_per_join=round(cpu / desk.joined * 1e6, 1),
        cpu_us_per_hello=round(hello * 1e6, 1),
        p50_ms=round(percentile(desk.delays, 0.5) * 1e3, 2),
        p99_ms=round(percentile(desk.delays, 0.99) * 1e3, 2),
    )


def run(
    folder: Path, *, members: int, online: int, rate: float, seconds: float, joins: int
) -> SuperResult:
    """Fill two directories below `folder` and measure. The groups take turns, ROUNDS times, and
    of each the round that cost least counts: what else the machine does hits both alike.

    Raises:
        BenchError: see `join_all`; or so many connections are not allowed here.
    """
    allow(online + AT_ONCE)
    sizes, found, joined = (online, members), [], None
    for number, size in enumerate(sizes):
        data = folder / str(number)
        data.mkdir()
        asyncio.run(fanout.fill(data, size, join_mode="open"))
    server_core, load_core = cores()
    for turn in range(2 * ROUNDS):
        last = turn == 2 * ROUNDS - 1
        server = ServerProcess(folder / str(turn % 2), core=server_core, settings=SETTINGS)
        with on_core(load_core), server:
            work = fanout.run(
                server,
                members=sizes[turn % 2],
                online=online,
                rate=rate,
                seconds=seconds / ROUNDS,
                size=128,
                ops=f"s{turn}",
            )
            found.append(uvloop.run(work))
            joined = join_all(server, joins=joins, online=online) if last else None
    assert joined is not None
    small, large = (_cheapest(found[side::2]) for side in (0, 1))
    ratio = round(large.cpu_us_per_send / max(small.cpu_us_per_send, 0.1), 3)
    return SuperResult(
        ratio=ratio,
        lost=sum(part.expected - part.delivered + part.duplicates for part in found),
        small=small,
        large=large,
        joins=joined,
    )


def _cheapest(parts: list[fanout.FanoutResult]) -> fanout.FanoutResult:
    return min(parts, key=lambda part: part.cpu_us_per_send)


def table(result: SuperResult) -> str:
    """The result for people."""
    j = result.joins
    lines = [
        f"A send to a group with {j.online:,} members online:",
        "",
        f"  {'members':>9}{'sends':>7}{'ms CPU each':>13}{'us a delivery':>15}{'p50 ms':>9}"
        f"{'p99 ms':>9}  delivered / expected",
    ]
    lines += [
        f"  {part.members:>9,}{part.acked:>7,}{part.cpu_us_per_send / 1e3:>13.1f}"
        f"{part.cpu_us_per_delivery:>15.1f}{part.p50_ms:>9.1f}{part.p99_ms:>9.1f}"
        f"  {part.delivered:,} / {part.expected:,}"
        for part in (result.small, result.large)
    ]
    lines += [
        "",
        f"  the large one costs {result.ratio} of the small one (at most 1.3)",
        "",
        f"Joins to the large one, each told to {j.online:,}:",
        "",
        f"  {j.joins - j.failed:,} of {j.joins:,} in {j.seconds} s: {j.per_minute:,.0f} a minute"
        f" (the server's core had time for {j.core_per_minute:,.0f})",
        f"  delivered / expected {j.delivered:,} / {j.expected:,}, {j.duplicates} twice,"
        f" {j.gaps} in gaps",
        f"  call to ack p50 {j.p50_ms} ms, p99 {j.p99_ms} ms",
        f"  CPU a join {j.cpu_us_per_join / 1e3:.2f} ms, {j.cpu_us_per_hello / 1e3:.2f} of it the"
        f" hello; server {j.server_cpu:.0%}, generator {j.generator_cpu:.0%} of a core",
    ]
    return "\n".join(lines)
