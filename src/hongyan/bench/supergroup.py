"""A group of very many: a send against one to a small group, and ten thousand joins.

Every joiner is a user of its own who connects, says hello, joins and hangs up, so the cost of a
join holds that of a hello too; both are told.
"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import msgspec

from hongyan.bench import fanout
from hongyan.bench.links import Link, Tally, connect, in_crowds, percentile
from hongyan.bench.server import ServerProcess
from hongyan.model.ids import OpId
from hongyan.wire import frames as f

SETTINGS = ("kinds.group.max_members=1000000",)
AT_ONCE = 64  # joiners on their way
WARM = 500  # hellos that are measured alone


class Joins(msgspec.Struct, frozen=True):
    """Joins, closed loop with 64 on their way. Latency from the call to its ack."""

    joins: int
    failed: int
    online: int  # members who are told of each
    seconds: float
    per_minute: float  # as the generator came to it
    core_per_minute: float  # what the server's core had time for
    delivered: int
    expected: int
    gaps: int
    cpu_us_per_join: float  # with the joiner's connect and hello
    cpu_us_per_hello: float
    p50_ms: float
    p99_ms: float


class SuperResult(msgspec.Struct, frozen=True):
    """`ratio` is the CPU of a send to the large group over that to the small one, with as many
    online in both."""

    ratio: float
    small: fanout.FanoutResult
    large: fanout.FanoutResult
    joins: Joins


class _Joiners:
    """Users who come, each once."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self.delays: list[float] = []

    async def come(self, user: str, op: str = "") -> bool:
        """Connect, join with `op` where there is one, hang up; whether it was acknowledged."""
        server, loop = self._server, asyncio.get_running_loop()
        link = await connect(server.url, server.token(user), "d1", Tally(), _nothing)
        try:
            if not op:
                return True
            began = loop.time()
            call = f.Call(ref=1, name="chat.join", op=OpId(op), log=fanout.LOG)
            answer = await link.ask(1, call)
            self.delays.append(loop.time() - began)
            return bool(answer["t"] == "ack")
        finally:
            link.transport.disconnect()


def _nothing(ref: int, now: float) -> None:
    """Who listens sends nothing."""


async def join_all(server: ServerProcess, *, joins: int, online: int) -> Joins:
    """`server` serves a directory made by `fill`; `online` of its members listen."""
    tally, joiners, loop = Tally(), _Joiners(server), asyncio.get_running_loop()

    async def listen(user: str) -> Link:
        return await connect(server.url, server.token(user), "d1", tally, _nothing)

    links = await in_crowds([partial(listen, f"m{n}") for n in range(online)], AT_ONCE)
    start = server.usage().cpu_s
    await in_crowds([partial(joiners.come, f"w{n}") for n in range(WARM)], AT_ONCE)
    hello = (server.usage().cpu_s - start) / WARM
    start, began = server.usage().cpu_s, loop.time()
    comes = [partial(joiners.come, f"j{n}", f"j{n}") for n in range(joins)]
    done = sum(await in_crowds(comes, AT_ONCE))
    took = loop.time() - began
    await fanout.settle(tally, done * online)
    cpu = server.usage().cpu_s - start
    for link in links:
        link.transport.disconnect()
    return Joins(
        joins=joins,
        failed=joins - done,
        online=online,
        seconds=round(took, 2),
        per_minute=round(joins / took * 60),
        core_per_minute=round(60 * joins / max(cpu, 0.01)),
        delivered=tally.delivered,
        expected=done * online,
        gaps=tally.gaps,
        cpu_us_per_join=round(cpu / joins * 1e6, 1),
        cpu_us_per_hello=round(hello * 1e6, 1),
        p50_ms=round(percentile(joiners.delays, 0.5) * 1e3, 2),
        p99_ms=round(percentile(joiners.delays, 0.99) * 1e3, 2),
    )


async def send_to(
    server: ServerProcess, *, members: int, online: int, rate: float, seconds: float
) -> fanout.FanoutResult:
    """What a send costs in this group."""
    return await fanout.run(
        server, members=members, online=online, rate=rate, seconds=seconds, size=128
    )


async def fill(data: Path, members: int) -> None:
    """A directory with one open group."""
    await fanout.fill(data, members, join_mode="open")
