"""What a commit and a page cost in the SQLite store, without a server around it.

    python bench/store.py [--commits 60000] [--entries 1000000] [--json]

    one by one    each append waits for the one before: the cost of an fsync
    waiting       2,000 appends wait at any moment, over 1,000 direct conversations
    paced         10,000 appends a second with the loop's thread busy in between, as in a server
    pages         50 entries from random places of one long log

CPU is that of the whole process, and of the writer's thread alone. Ratios travel, figures do not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from hongyan.adapters.sqlite import SqliteStore
from hongyan.model.log import Commit, Committed, MemberChange, Write

LOGS = 1_000
BODY = b'{"content":{"kind":"text","text":"' + b"x" * 114 + b'"}}'  # 150 bytes
HASH = b"h" * 16


def percentile(values: list[float], part: float) -> float:
    """The value that `part` of all values do not exceed."""
    return sorted(values)[min(int(len(values) * part), len(values) - 1)]


class Bench:
    """One store with LOGS direct conversations of two."""

    def __init__(self, store: SqliteStore) -> None:
        """Times and ops are counted up."""
        self.store = store
        self.made = 0

    async def open_logs(self) -> None:
        """Create the conversations."""
        await asyncio.gather(
            *(
                self.store.commit(
                    Commit(
                        log=f"main/d/a{i}~b{i}",
                        sender=f"a{i}",
                        op="open",
                        hash=HASH,
                        at=1,
                        expect=0,
                        state=b"{}",
                        members=tuple(MemberChange(user=f"{u}{i}", join=True) for u in "ab"),
                    )
                )
                for i in range(LOGS)
            )
        )

    def append(self) -> asyncio.Future[Committed]:
        """One message in a random conversation."""
        i = random.randrange(LOGS)
        self.made += 1
        return self.store.commit(
            Commit(
                log=f"main/d/a{i}~b{i}",
                sender=f"{random.choice('ab')}{i}",
                op=f"{self.made:012x}{random.getrandbits(48):012x}",
                hash=HASH,
                at=1_700_000_000_000,
                device="phone",
                writes=(Write("message", BODY, count=True),),
                expect=1,
                touch=(f"a{i}", f"b{i}"),
                roster=2,
            )
        )

    async def writer_cpu(self) -> float:
        """CPU seconds of the writer's thread so far."""
        return float(await self.store.writer.put(lambda db: time.thread_time()))

    async def one_by_one(self, n: int) -> dict[str, float]:
        """A commit each."""
        started = time.perf_counter()
        for _ in range(n):
            await self.append()
        return {"appends_per_s": n / (time.perf_counter() - started)}

    async def waiting(self, n: int, depth: int = 2_000) -> dict[str, float]:
        """`depth` workers, each with one append in flight."""
        left = n

        async def work() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                await self.append()

        before = await self.writer_cpu()
        groups = self.store.writer.groups
        started, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(work() for _ in range(depth)))
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        writer = await self.writer_cpu() - before
        return {
            "appends_per_s": n / seconds,
            "process_cpu_us": cpu / n * 1e6,
            "writer_cpu_us": writer / n * 1e6,
            "group": n / (self.store.writer.groups - groups),
        }

    async def paced(self, seconds: float, rate: int, busy: float) -> dict[str, float]:
        """`rate` appends a second; the loop is kept busy for the share `busy` of the time."""
        waits: list[float] = []
        refused = 0

        def settled(future: asyncio.Future[Committed], sent: float) -> None:
            nonlocal refused
            refused += future.exception() is not None
            waits.append(loop.time() - sent)

        before = await self.writer_cpu()
        groups, cpu = self.store.writer.groups, time.process_time()
        loop = asyncio.get_running_loop()
        started, made = loop.time(), 0
        while (now := loop.time()) < started + seconds:
            for _ in range(int((now - started) * rate) - made):
                made += 1
                sent = loop.time()
                self.append().add_done_callback(partial(settled, sent=sent))
            spin = loop.time()
            while loop.time() - spin < 0.001 * busy:
                pass
            await asyncio.sleep(0.001 * (1 - busy))
        await self.writer_cpu()  # queued last, so everything is settled after it
        spent = time.process_time() - cpu
        writer = await self.writer_cpu() - before
        return {
            "appends_per_s": made / (loop.time() - started),
            "process_cpu_share": spent / seconds,
            "writer_cpu_us": writer / made * 1e6,
            "refused": refused,
            "group": made / (self.store.writer.groups - groups),
            "p50_ms": percentile(waits, 0.5) * 1e3,
            "p99_ms": percentile(waits, 0.99) * 1e3,
        }

    async def pages(self, entries: int, reads: int = 2_000) -> dict[str, float]:
        """Pages of 50 from one log of `entries`."""
        log = "main/g/long"
        join = (MemberChange(user="ann", join=True, history=True),)
        writes = (Write("message", BODY, count=True),) * 64
        sizes = [64] * (entries // 64) + [entries % 64]
        for start in range(0, len(sizes), 100):
            await asyncio.gather(
                *(
                    self.store.commit(
                        Commit(
                            log=log,
                            sender="ann",
                            op=f"p{i}",
                            hash=HASH,
                            at=1,
                            writes=writes[:size],
                            members=join if i == 0 else (),
                            touch=None,
                        )
                    )
                    for i, size in enumerate(sizes[start : start + 100], start=start)
                )
            )
        waits = []
        for _ in range(reads):
            low = random.randrange(1, max(entries - 50, 2))
            started = time.perf_counter()
            page = await self.store.read(log, "ann", low=low, limit=50)
            waits.append((time.perf_counter() - started) * 1e3)
            assert len(page.entries) == min(50, entries)
        return {"p50_ms": percentile(waits, 0.5), "p99_ms": percentile(waits, 0.99)}


async def run(path: Path, commits: int, entries: int, switch: float) -> dict[str, dict[str, float]]:
    """All parts, on a new store in `path`."""
    sys.setswitchinterval(switch)
    store = SqliteStore(path)
    bench = Bench(store)
    try:
        await bench.open_logs()
        await bench.waiting(2_000)  # first touches, compiled statements
        found = {"one by one": await bench.one_by_one(max(commits // 50, 10))}
        found["waiting"] = await bench.waiting(commits)
        found["paced, loop idle"] = await bench.paced(commits / 20_000, 10_000, 0.0)
        found["paced, loop busy"] = await bench.paced(commits / 20_000, 10_000, 0.5)
        found["pages"] = await bench.pages(entries)
    finally:
        await store.close()
    return found


def main() -> None:
    """Print a line for each part."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--commits", type=int, default=60_000)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--switch", type=float, default=0.0005, help="interpreter switch interval")
    parser.add_argument("--dir", type=Path, default=None, help="a directory on the disk to measure")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.dir or os.getcwd()) as path:
        found = asyncio.run(run(Path(path), args.commits, args.entries, args.switch))
    if args.json:
        print(json.dumps(found))
        return
    for part, figures in found.items():
        print(f"{part:18}", *(f"{name}={value:,.2f}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
