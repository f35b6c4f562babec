"""kill -9 rounds: real server, real clients with ledgers, then the history checker.

Each round: everybody sends, the server is killed the moment a random client has an ack in its
hands, and is started again on the same directory and port. At the end the clients catch up and
`hongyan verify --complete` judges. `scripts/soak` runs hundreds of rounds, the tests twenty.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from hongyan.bench.server import ServerProcess
from hongyan.client import Client
from hongyan.client.ledger import Ledger

CATCH_UP_S = 180.0  # a read without an answer waits 30 s, and its retry backs off up to 30 more


class Member:
    """One device with a ledger, reading every log it was told to."""

    def __init__(self, client: Client, user: str, path: Path) -> None:
        self.client, self.user, self.path = client, user, path
        self.seen: dict[str, int] = {}
        self.tasks: list[asyncio.Task[None]] = []

    def follow(self, log: str) -> None:
        self.seen[log] = 0
        self.tasks.append(asyncio.create_task(self._read(log)))

    async def _read(self, log: str) -> None:
        async for entry in self.client.entries(log, after=0):
            self.seen[log] = entry.seq

    async def at_least(self, log: str, seq: int) -> None:
        while self.seen[log] < seq:
            for task in self.tasks:
                if task.done():
                    task.result()  # a reader that ended is a failure with a reason
            await asyncio.sleep(0.02)


@asynccontextmanager
async def member(
    server: ServerProcess, folder: Path, user: str, device: str
) -> AsyncIterator[Member]:
    async def token() -> str:
        return server.token(user)

    path = folder / f"{user}-{device}.ledger"
    ledger = Ledger(path)
    client = Client(
        server.url,
        token,
        device=device,
        cls="thing",
        data=folder / f"{user}-{device}.db",
        ledger=ledger,
    )
    async with client:
        found = Member(client, user, path)
        try:
            yield found
        finally:
            for task in found.tasks:
                task.cancel()
            await asyncio.gather(*found.tasks, return_exceptions=True)
    ledger.close()


# size: one round after the other, as they happen
async def rounds(count: int, folder: Path, *, seed: int = 1, burst: int = 12) -> dict[str, float]:
    """Run `count` rounds; returns what happened. The caller judges with `verify`."""
    chance = random.Random(seed)
    server = ServerProcess(folder / "data", core=None)
    server.start()
    sent = 0
    restarts: list[float] = []
    try:
        async with AsyncExitStack() as stack:
            people = [
                await stack.enter_async_context(member(server, folder, user, device))
                for user in ("alice", "bob")
                for device in ("phone", "desk")
            ]
            for person in people:
                await person.client.connected(30)
            direct = (await people[0].client.call("chat.open", {"user": "bob"})).log
            made = await people[0].client.call("chat.create", {"title": "g", "members": ["bob"]})
            logs = [direct, made.log]
            for person in people:
                for log in logs:
                    person.follow(log)
            for _ in range(count):
                calls = [
                    asyncio.create_task(
                        chance.choice(people).client.send(chance.choice(logs), f"m{n}")
                    )
                    for n in range(burst)
                ]
                sent += burst
                await asyncio.wait([chance.choice(calls)])  # one ack is in a client's hands
                server.stop(signal.SIGKILL)
                restarts.append(server.start())
                for person in people:
                    person.client.wake()
                acks = await asyncio.gather(*calls)
                reader = chance.choice(people)
                await reader.client.mark_read(chance.choice(logs))
                assert all(ack.seq for ack in acks)
            await _catch_up(people, logs)
    finally:
        server.stop()
    return {"rounds": count, "sent": sent, "slowest_start_s": round(max(restarts), 3)}


async def _catch_up(people: list[Member], logs: list[str]) -> None:
    for log in logs:
        head = (await people[0].client.read(log, before=0, limit=1)).head
        for person in people:
            try:
                async with asyncio.timeout(CATCH_UP_S):
                    await person.at_least(log, head)
            except TimeoutError:
                client = person.client
                raise AssertionError(
                    f"{person.path.name} stays at {person.seen[log]} of {head} in {log}: online"
                    f" {client.online}, stopped {client.stopped}, row {client.rows.get(log)},"
                    f" replica {client.replica(log)}"
                ) from None


def verify(folder: Path) -> tuple[int, list[dict[str, object]]]:
    """Exit status and the lines of `hongyan verify --complete --json`."""
    ledgers = [str(path) for path in sorted(folder.glob("*.ledger"))]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "hongyan", "verify", "--complete", "--json"),
            *(str(folder / "data"), *ledgers),
        ],
        stdout=subprocess.PIPE,
        check=False,
    )
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def main() -> None:
    """`python -m tests.faults.crash_rounds --rounds 200`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hongyan-soak-") as folder:
        began = time.monotonic()
        print(f"{given.rounds} rounds of kill -9 right after an ack, seed {given.seed}", flush=True)
        told = asyncio.run(rounds(given.rounds, Path(folder), seed=given.seed))
        status, lines = verify(Path(folder))
        for line in lines:
            print(json.dumps(line, ensure_ascii=False))
        print(json.dumps({**told, "seconds": round(time.monotonic() - began), "status": status}))
    sys.exit(status)


if __name__ == "__main__":
    main()
