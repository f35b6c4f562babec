"""What a look for new entries costs a receiver: `python bench/receivers.py [entries]`.

Ann is in 1,000 of 2,000 logs, eve in 10; entries at random. CPU time of one look on the
read thread, in microseconds.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path

from hongyan.adapters.sqlite import SqliteStore
from hongyan.adapters.sqlite.receiving import user_feed
from hongyan.adapters.sqlite.values import connect
from hongyan.model.ids import LogId, OpId, TenantId, UserId
from hongyan.model.log import Commit, MemberChange, Write

LOGS, FEW = 2000, 10
HI = (Write("message", b'{"content":{"type":"text","text":"Hello, how are you?"}}', count=True),)


def commit(number: int, log: int, op: str, *users: str) -> Commit:
    """One entry in a log; the first makes its members."""
    return Commit(
        log=LogId(f"main/g/{log}"),
        sender=UserId("ann" if log < LOGS // 2 else "cid"),
        op=OpId(op),
        hash=b"h" * 16,
        at=number,
        writes=HI,
        members=tuple(MemberChange(user=UserId(user), join=True) for user in users),
        touch=None,
    )


async def fill(path: Path, entries: int) -> None:
    """Logs below LOGS/2 are ann's and bob's, those below FEW eve's too."""
    draw = random.Random(1)
    store = SqliteStore(path)
    for log in range(LOGS):
        mine = ("ann", "bob") if log < LOGS // 2 else ("cid", "dan")
        mine = (*mine, "eve") if log < FEW else mine
        store.commit(commit(0, log, "make", *mine))
    for start in range(0, entries, 10_000):
        waiting = [
            store.commit(commit(n, draw.randrange(LOGS), f"o{n}"))
            for n in range(start, min(start + 10_000, entries))
        ]
        await asyncio.gather(*waiting)
    await store.close()


def main() -> None:
    """Fill a store, then look from several places."""
    entries = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(fill(Path(folder), entries))
        db = connect(Path(folder) / "hongyan.db", writable=False)
        end = db.execute("SELECT max(pos) FROM entries").fetchone()[0]
        one = LogId("main/g/1")
        cases = (
            ("ann", "1 behind", end - 1, 200, None),
            ("ann", "100 behind", end - 100, 200, None),
            ("ann", "20,000 behind, a page of 200", end - 20_000, 200, None),
            ("ann", "20,000 behind, 1,000 entries", end - 20_000, 1000, None),
            ("ann", "from the beginning, 1,000 entries", 0, 1000, None),
            ("ann", "one log, 20,000 behind", end - 20_000, 200, one),
            ("eve", "20,000 behind", end - 20_000, 200, None),
            ("eve", "from the beginning, a page of 200", 0, 200, None),
        )
        for user, name, after, limit, log in cases:
            times = []
            for _ in range(20):
                began = time.thread_time()
                page = user_feed(db, TenantId("main"), UserId(user), after, limit, log)
                times.append(time.thread_time() - began)
            cost = sorted(times)[10] * 1e6
            print(f"{user} {name:34} {cost:8.0f} us  {len(page.items):4} entries")
        db.close()


if __name__ == "__main__":
    main()
