"""One group, many members who listen: what a delivery costs."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from pathlib import Path

import msgspec

from hongyan.adapters.sqlite import SqliteStore
from hongyan.bench.chat import PATIENCE_S, TICK_S
from hongyan.bench.links import Link, Seen, Tally, connect, in_crowds, percentile
from hongyan.bench.server import ServerProcess
from hongyan.model.ids import OpId, UserId, log_id
from hongyan.model.log import Commit, MemberChange, Role, Write

LOG = log_id("main", "g", "bench")
JOINED_AT_ONCE = 1000


class FanoutResult(msgspec.Struct, frozen=True):
    """One run. Latencies in ms from the moment a send was due; CPU of the server process."""

    members: int
    online: int
    rate: float
    seconds: float
    sent: int
    acked: int
    delivered: int
    expected: int
    duplicates: int
    gaps: int
    behind: int
    deliveries_per_s: float
    cpu_us_per_send: float
    cpu_us_per_delivery: float
    server_cpu: float
    p50_ms: float
    p99_ms: float
    kb_per_connection: float


async def fill(data: Path, members: int, *, join_mode: str = "invite") -> None:
    """Write a data directory that holds one group of m0 (its owner) to m<members-1>."""
    state = f'{{"title":"bench","owner":"m0","join_mode":"{join_mode}"}}'.encode()
    store = SqliteStore(data)
    try:
        now = time.time_ns() // 1_000_000
        for start in range(0, members, JOINED_AT_ONCE):
            users = [UserId(f"m{n}") for n in range(start, min(members, start + JOINED_AT_ONCE))]
            owner = Role.OWNER if not start else None
            await store.commit(
                Commit(
                    log=LOG,
                    sender=UserId("m0"),
                    op=OpId(f"fill-{start}"),
                    hash=b"0" * 16,
                    at=now,
                    writes=(Write("created", b'{"title":"bench"}'),) if not start else (),
                    expect=0 if not start else -1,
                    state=state if not start else None,
                    members=tuple(
                        MemberChange(user=user, join=True, role=owner if user == "m0" else None)
                        for user in users
                    ),
                    touch=None,
                )
            )
    finally:
        await store.close()


class _Load:
    """What a run counts besides the tally."""

    def __init__(self) -> None:
        self.due = [0.0]
        self.delays: list[float] = []

    def got(self, seen: Seen, now: float) -> None:
        numbers = [int(e.op.rpartition("-")[2]) for e in seen.entries if e.type == "message"]
        self.delays.extend(now - self.due[number] for number in numbers)

    async def send(self, link: Link, rate: float, total: int, size: int, ops: str) -> float:
        """Send what is due, tick by tick; the seconds it took."""
        loop, due = asyncio.get_running_loop(), self.due
        began = loop.time()
        head = f'{{"t":"call","name":"chat.send","log":"{LOG}","op":"{ops}-'
        tail = f',"args":{{"content":{{"type":"text","text":"{"x" * size}"}}}}}}'
        while len(due) <= total:
            now = loop.time()
            while len(due) <= total and began + (len(due) - 1) / rate <= now:
                number = len(due)
                due.append(began + (number - 1) / rate)
                link.send(f'{head}{number}","ref":{number}{tail}'.encode())
            await asyncio.sleep(TICK_S)
        return loop.time() - began


# size: one measurement, told from its beginning to its end
async def run(
    server: ServerProcess,
    *,
    members: int,
    online: int,
    rate: float,
    seconds: float,
    size: int,
    ops: str = "s",
) -> FanoutResult:
    """`server` serves a directory made by `fill`; `online` of its members listen, m0 sends.
    `ops` is another one in each run on a directory."""
    tally, load = Tally(), _Load()

    async def one(user: str) -> Link:
        return await connect(server.url, server.token(user), "d1", tally, lambda ref, now: None)

    before = server.usage()
    links: list[Link] = await in_crowds([partial(one, f"m{n}") for n in range(online)])
    await asyncio.sleep(1.0)
    start = server.usage()
    links[online // 2].on_deliver = load.got  # one listener's clock: the others are counted
    total = int(rate * seconds)
    took = await load.send(links[0], rate, total, size, ops)
    await settle(tally, total * online)
    cpu = server.usage().cpu_s - start.cpu_s
    for link in links:
        link.transport.disconnect()
    return FanoutResult(
        members=members,
        online=online,
        rate=rate,
        seconds=round(took, 2),
        sent=total,
        acked=tally.acked,
        delivered=tally.delivered,
        expected=total * online,
        duplicates=tally.duplicates,
        gaps=tally.gaps,
        behind=tally.behind,
        deliveries_per_s=round(tally.delivered / took, 1),
        cpu_us_per_send=round(cpu / max(tally.acked, 1) * 1e6, 1),
        cpu_us_per_delivery=round(cpu / max(tally.delivered, 1) * 1e6, 2),
        server_cpu=round(cpu / took, 3),
        p50_ms=round(percentile(load.delays, 0.5) * 1e3, 2),
        p99_ms=round(percentile(load.delays, 0.99) * 1e3, 2),
        kb_per_connection=round((start.rss_bytes - before.rss_bytes) / online / 1024, 1),
    )


async def settle(tally: Tally, expected: int) -> None:
    """Wait until all has come, or nothing comes any more."""
    loop = asyncio.get_running_loop()
    seen, since = -1, loop.time()
    while tally.delivered < expected and loop.time() - since < PATIENCE_S:
        if tally.delivered != seen:
            seen, since = tally.delivered, loop.time()
        await asyncio.sleep(0.05)
