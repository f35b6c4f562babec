"""A process with a store, to be killed. `python store_child.py DIR MODE [N]`

flood     append without end on three logs, 32 at a time; "acked LOG OP SEQ" after each
die_torn  append N entries; die after the statements of the last commit, before COMMIT
die_mute  append N entries; die after the COMMIT of the last one, before anybody is told
hold      open the store, say "open", wait for the end of stdin
drive     "append", "copy" and "stats" from stdin, one line of answer for each
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hongyan.adapters.sqlite import SqliteStore
from hongyan.adapters.sqlite.writer import Writer
from hongyan.model.errors import Refusal
from hongyan.model.log import Commit, Committed, MemberChange, Write

LOGS = ("main/g/a", "main/g/b", "main/g/c")
BODY = b'{"text":"' + b"x" * 150 + b'"}'


def entry(log: str, op: str) -> Commit:
    return Commit(
        log=log,
        sender="ann",
        op=op,
        hash=b"h" * 16,
        at=1,
        writes=(Write("message", BODY, count=True),),
        members=(MemberChange(user="ann", join=True, history=True),) if op == "0" else (),
    )


def say(*words: object) -> None:
    print(*words, flush=True)


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def flood(store: SqliteStore) -> None:
    ops = iter(range(10**9))
    run = os.getpid()

    async def work() -> None:
        for n in ops:
            log, op = LOGS[n % 3], f"{run}.{n}"
            done: Committed = await store.commit(entry(log, op))
            say("acked", log, op, done.last)

    await asyncio.gather(*(work() for _ in range(32)))


async def append(store: SqliteStore, n: int) -> None:
    for op in range(n):
        done = await store.commit(entry(LOGS[0], str(op)))
        say("acked", LOGS[0], op, done.last)


async def drive(store: SqliteStore) -> None:
    for op, line in enumerate(iter(sys.stdin.readline, "")):
        if line.strip() == "stats":
            say("failed", (await store.stats())["failed"])
            continue
        if line.strip() == "copy":
            store.checkpointer.copy()
            say("failures", store.checkpointer.failures)
            continue
        try:
            done = await store.commit(entry(LOGS[0], str(op)))
            page = await store.read(LOGS[0], "ann", newest=True, limit=1)
            say("acked", done.last, page.head)
        except Refusal as refusal:
            say("refused", type(refusal).__name__, refusal.text)
    await store.close()


def tear_last(n: int) -> None:
    """Kill the process once the statements of the n-th commit are done, but not committed."""
    apply, made = Writer._apply, 0

    def torn(self: Writer, tasks: Sequence[Any]) -> list[Any]:
        nonlocal made
        results = apply(self, tasks)
        made += len(tasks)
        if made >= n:
            die()
        return results

    Writer._apply = torn  # type: ignore[method-assign]


def mute_last(n: int) -> Any:
    """A failpoint that kills the process after the n-th commit is on the disk."""
    groups = iter(range(1, n + 1))

    def cut_power() -> None:
        if next(groups) == n:
            die()

    return cut_power


async def main(path: Path, mode: str, n: int) -> None:
    if mode == "die_torn":
        tear_last(n)
    store = SqliteStore(path, **({"after_commit": mute_last(n)} if mode == "die_mute" else {}))
    if mode == "flood":
        await flood(store)
    elif mode == "drive":
        say("open")
        await drive(store)
    elif mode == "hold":
        say("open")
        await asyncio.to_thread(sys.stdin.read)
        await store.close()
    else:
        await append(store, n)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int((*sys.argv, "0")[3])))
