"""Durable one-to-one sends: how many a second, acknowledged how soon, delivered how completely."""

from __future__ import annotations

import asyncio
from functools import partial

import msgspec

from hongyan.bench.links import Link, Seen, Tally, connect, in_crowds, percentile
from hongyan.bench.server import ServerProcess, Usage
from hongyan.model.ids import OpId
from hongyan.wire import frames as f

TICK_S = 0.001
PATIENCE_S = 10.0  # for what is on the way when the sending ends


class ChatResult(msgspec.Struct, frozen=True):
    """One run. Latencies in ms from the moment a send was due; CPU of the server process."""

    pairs: int
    rate: float
    seconds: float
    sent: int
    acked: int
    failed: int
    delivered: int
    expected: int
    duplicates: int
    gaps: int
    behind: int
    acked_per_s: float
    cpu_us_per_send: float
    cpu_us_per_delivery: float
    server_cpu: float  # share of one core
    ack_p50_ms: float
    ack_p99_ms: float
    ack_p999_ms: float
    deliver_p50_ms: float
    deliver_p99_ms: float
    late_p99_ms: float  # how late the generator itself was
    kb_per_connection: float


class _Run:
    """The state of one run. A message's number is its `ref`."""

    def __init__(self, links: list[tuple[Link, str]], body: str) -> None:
        self.links = links
        self.tail = f',"args":{{"content":{{"type":"text","text":"{body}"}}}}}}'
        self.due: list[float] = [0.0]
        self.acks: list[float] = []
        self.delivers: list[float] = []
        self.late: list[float] = []

    def acked(self, ref: int, now: float) -> None:
        if ref > 0:
            self.acks.append(now - self.due[ref])

    def got(self, mine: str, seen: Seen, now: float) -> None:
        """Time of delivery to the other side, of every eighth message."""
        for entry in seen.entries:
            if entry.type == "message" and not entry.op.startswith(mine):
                number = int(entry.op.rpartition("-")[2])
                if number % 8 == 0:
                    self.delivers.append(now - self.due[number])

    def send(self, due: float, now: float) -> None:
        number = len(self.due)
        link, head = self.links[number % len(self.links)]
        self.due.append(due)
        self.late.append(now - due)
        link.send(f'{head}{number}","ref":{number}{self.tail}'.encode())


def _head(user: str, log: str) -> str:
    return f'{{"t":"call","name":"chat.send","log":"{log}","op":"{user}-'


async def run(
    server: ServerProcess, *, pairs: int, rate: float, seconds: float, size: int
) -> ChatResult:
    """Connect 2 × `pairs` users, let each send in turn, `rate` sends a second altogether."""
    tally = Tally()
    holder: list[_Run] = []
    before = server.usage()

    def acked(ref: int, now: float) -> None:
        if holder:
            holder[0].acked(ref, now)

    async def one(user: str) -> Link:
        return await connect(server.url, server.token(user), "d1", tally, acked)

    users = [f"u{n}{side}" for n in range(pairs) for side in "ab"]
    made = await in_crowds([partial(one, user) for user in users])
    idle = server.usage()
    opened = await in_crowds([partial(_open, made[2 * n], users[2 * n + 1]) for n in range(pairs)])
    links = [
        (made[2 * n + side], _head(users[2 * n + side], opened[n]))
        for side in (0, 1)
        for n in range(pairs)
    ]
    work = _Run(links, "x" * size)
    holder.append(work)
    for link, user in zip(made, users, strict=True):
        link.on_deliver = partial(work.got, f"{user}-")
    warm = await _warm_up(server, work, tally, rate / 4)
    start_usage = server.usage()
    took = await _pace(work, rate, seconds)
    await _settle(tally, len(work.due) - 1 - warm)
    usage = server.usage()
    for link in made:
        link.transport.disconnect()
    kb = (idle.rss_bytes - before.rss_bytes) / len(made) / 1024
    sent = len(work.due) - 1 - warm
    return _result(work, tally, sent, pairs, rate, took, usage, start_usage, kb)


async def _warm_up(server: ServerProcess, work: _Run, tally: Tally, rate: float) -> int:
    """Two messages from each link, not counted: after them caches are filled and inbox rows
    written, as in a server that has run for a minute. Gives how many there were."""
    await _pace(work, rate, 2 * len(work.links) / rate)
    await _settle(tally, len(work.due) - 1)
    await server.quiet()
    for seen in (work.acks, work.delivers, work.late):
        seen.clear()
    tally.acked = tally.delivered = tally.duplicates = tally.gaps = tally.failed = 0
    return len(work.due) - 1


async def _open(link: Link, other: str) -> str:
    args = msgspec.Raw(msgspec.json.encode({"user": other}))
    call = f.Call(ref=1 << 40, name="chat.open", op=OpId(f"open-{other}"), args=args)
    answer = await link.ask(1 << 40, call)
    if answer["t"] != "ack":
        raise ConnectionError(f"chat.open: {answer}")
    return str(answer["log"])


async def _pace(work: _Run, rate: float, seconds: float) -> float:
    """Send what is due, tick by tick, whatever the server does (open loop)."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    total, done = int(rate * seconds), 0
    while done < total:
        now = loop.time()
        upto = min(total, int((now - start) * rate) + 1)
        while done < upto:
            work.send(start + done / rate, now)
            done += 1
        await asyncio.sleep(TICK_S)
    return loop.time() - start


async def _settle(tally: Tally, sent: int) -> None:
    """Wait until all is acked and delivered, or nothing has moved for PATIENCE_S."""
    loop = asyncio.get_running_loop()
    seen, since = (-1, -1), loop.time()
    while loop.time() - since < PATIENCE_S:
        now = (tally.acked + tally.failed, tally.delivered)
        if now[0] >= sent and now[1] >= 2 * tally.acked:
            return
        if now != seen:
            seen, since = now, loop.time()
        await asyncio.sleep(0.05)


def _result(
    work: _Run,
    tally: Tally,
    sent: int,
    pairs: int,
    rate: float,
    took: float,
    usage: Usage,
    start: Usage,
    kb: float,
) -> ChatResult:
    cpu = usage.cpu_s - start.cpu_s
    return ChatResult(
        pairs=pairs,
        rate=rate,
        seconds=round(took, 2),
        sent=sent,
        acked=tally.acked,
        failed=tally.failed,
        delivered=tally.delivered,
        expected=2 * sent,  # to the other side, and to the sender's own connection
        duplicates=tally.duplicates,
        gaps=tally.gaps,
        behind=tally.behind,
        acked_per_s=round(tally.acked / took, 1),
        cpu_us_per_send=round(cpu / max(tally.acked, 1) * 1e6, 1),
        cpu_us_per_delivery=round(cpu / max(tally.delivered, 1) * 1e6, 1),
        server_cpu=round(cpu / took, 3),
        ack_p50_ms=round(percentile(work.acks, 0.5) * 1e3, 2),
        ack_p99_ms=round(percentile(work.acks, 0.99) * 1e3, 2),
        ack_p999_ms=round(percentile(work.acks, 0.999) * 1e3, 2),
        deliver_p50_ms=round(percentile(work.delivers, 0.5) * 1e3, 2),
        deliver_p99_ms=round(percentile(work.delivers, 0.99) * 1e3, 2),
        late_p99_ms=round(percentile(work.late, 0.99) * 1e3, 2),
        kb_per_connection=round(kb, 1),
    )
