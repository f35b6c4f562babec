"""One group, many members who listen: what a delivery costs."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import msgspec

from hongyan.bench.chat import PATIENCE_S, TICK_S
from hongyan.bench.links import Link, Seen, Tally, connect, in_crowds, percentile
from hongyan.bench.server import ServerProcess
from hongyan.model.ids import LogId, OpId
from hongyan.wire import frames as f

INVITED_AT_ONCE = 100


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


async def run(
    server: ServerProcess, *, members: int, online: int, rate: float, seconds: float, size: int
) -> FanoutResult:
    """A group of `members`, of whom `online` listen; one of them sends `rate` messages a second.

    Members who are not online are accounts that joined by invitation and never connect.
    """
    tally, due = Tally(), [0.0]
    delays: list[float] = []

    def got(seen: Seen, now: float) -> None:
        numbers = [int(e.op.rpartition("-")[2]) for e in seen.entries if e.type == "message"]
        delays.extend(now - due[number] for number in numbers)

    async def one(user: str) -> Link:
        return await connect(server.url, server.token(user), "d1", tally, lambda ref, now: None)

    before = server.usage()
    links: list[Link] = await in_crowds([partial(one, f"m{n}") for n in range(online)])
    idle = server.usage()
    log = await _gather(server, links, members, tally)
    links[online // 2].on_deliver = got  # one listener's clock: the others are counted
    await asyncio.sleep(1.0)
    tally.acked = tally.delivered = tally.duplicates = tally.gaps = 0
    start = server.usage()
    loop = asyncio.get_running_loop()
    began, total = loop.time(), int(rate * seconds)
    head = f'{{"t":"call","name":"chat.send","log":"{log}","op":"s-'
    tail = f',"args":{{"content":{{"type":"text","text":"{"x" * size}"}}}}}}'
    while len(due) <= total:
        now = loop.time()
        while len(due) <= total and began + (len(due) - 1) / rate <= now:
            number = len(due)
            due.append(began + (number - 1) / rate)
            links[0].send(f'{head}{number}","ref":{number}{tail}'.encode())
        await asyncio.sleep(TICK_S)
    took = loop.time() - began
    await _settle(tally, total * online)
    usage = server.usage()
    cpu = usage.cpu_s - start.cpu_s
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
        p50_ms=round(percentile(delays, 0.5) * 1e3, 2),
        p99_ms=round(percentile(delays, 0.99) * 1e3, 2),
        kb_per_connection=round((idle.rss_bytes - before.rss_bytes) / online / 1024, 1),
    )


async def _gather(server: ServerProcess, links: list[Link], members: int, tally: Tally) -> str:
    """Make the group: the first link creates it, the others are invited."""
    owner = links[0]

    async def absent(user: str) -> None:
        link = await connect(server.url, server.token(user), "d1", tally, lambda ref, now: None)
        link.transport.disconnect()

    await in_crowds([partial(absent, f"m{n}") for n in range(len(links), members)])
    made = await owner.ask(1 << 40, _call("chat.create", "make", {"title": "bench"}))
    log = str(made["log"])
    users = [f"m{n}" for n in range(1, members)]
    for start in range(0, len(users), INVITED_AT_ONCE):
        args = {"users": users[start : start + INVITED_AT_ONCE]}
        answer = await owner.ask(
            (1 << 40) + start + 1,
            _call("chat.invite", f"in-{start}", args, (1 << 40) + start + 1, log),
        )
        if answer["t"] != "ack":
            raise ConnectionError(f"chat.invite: {answer}")
    return log


def _call(name: str, op: str, args: Any, ref: int = 1 << 40, log: str = "") -> f.Call:
    raw = msgspec.Raw(msgspec.json.encode(args))
    return f.Call(ref=ref, name=name, op=OpId(op), log=LogId(log), args=raw)


async def _settle(tally: Tally, expected: int) -> None:
    loop = asyncio.get_running_loop()
    seen, since = -1, loop.time()
    while tally.delivered < expected and loop.time() - since < PATIENCE_S:
        if tally.delivered != seen:
            seen, since = tally.delivered, loop.time()
        await asyncio.sleep(0.05)
