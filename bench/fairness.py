"""Does a hot room delay a 1:1 chat on the same server? `python bench/fairness.py [viewers] [rate]`.

A real server process; viewers in a process of their own; two people chat, first beside a quiet
room, then beside one in which `rate` messages a second are said. Prints how long an ack took in
both, and by how much the hot room moved it. The promise: at most 50 ms at p99.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing as mp
import sys
import time
from collections.abc import Coroutine
from multiprocessing.connection import Connection

from hongyan.bench.crowd import Client as Seat
from hongyan.bench.crowd import Crowd, allow
from hongyan.bench.server import ServerProcess
from hongyan.client import Client
from hongyan.model.errors import Refusal

SECONDS = 15.0
EVERY_S = 0.02  # between two messages of the chat
MOST_S = 0.050
SETTINGS = (
    'limits.rates.log={"rate":0,"burst":1}',
    'limits.rates.connection={"rate":0,"burst":1}',
    "limits.connections_per_ip=0",
    "admission.rate=0",
)


class Viewer(Seat):
    """Watches, and throws away what it is given."""

    __slots__ = ("bytes", "log", "token", "watches")

    def __init__(self, crowd: Crowd, number: int, token: str, log: str) -> None:
        """Comes when it is opened."""
        super().__init__(crowd, number)
        self.token, self.log = token, log
        self.watches, self.bytes = False, 0

    def begin(self) -> None:
        """Say hello."""
        hello = {"t": "hello", "token": self.token, "device": f"v{self.number}", "cls": "web"}
        self.send(json.dumps(hello).encode())

    def message(self, payload: bytes) -> None:
        """The two answers that count."""
        if b'"welcome"' in payload:
            self.send(json.dumps({"t": "subscribe", "ref": 1, "log": self.log}).encode())
        if b'"attached"' in payload:
            self.watches = True

    def received(self, data: bytes) -> None:
        """Once it watches nothing is taken apart."""
        self.bytes += len(data)
        if not self.watches:
            super().received(data)


def watch(port: int, tokens: list[str], log: str, pipe: Connection) -> None:
    """The process of the viewers: says when all watch, and at the end what they were given."""
    allow(len(tokens))
    crowd = Crowd(port, "/v1/ws", "hongyan.v1.json")
    seats = [Viewer(crowd, number, token, log) for number, token in enumerate(tokens)]
    for number, seat in enumerate(seats):
        crowd.open(seat)
        if number % 50 == 49:
            crowd.until(lambda upto=number: all(s.watches for s in seats[:upto]), 30)  # type: ignore[misc]
    pipe.send(crowd.until(lambda: all(seat.watches for seat in seats), 60))
    before = sum(seat.bytes for seat in seats)
    while not pipe.poll():
        crowd.turn(0.05)
    pipe.send((sum(seat.bytes for seat in seats) - before, sum(s.sock is not None for s in seats)))
    crowd.close()


async def chat(client: Client, log: str) -> list[float]:
    """Ack times of SECONDS of talk, sorted."""
    took = []
    end = time.perf_counter() + SECONDS
    while (began := time.perf_counter()) < end:
        await client.send(log, "hello")
        took.append(time.perf_counter() - began)
        await asyncio.sleep(EVERY_S)
    return sorted(took)


async def shout(client: Client, room: str, rate: int, counts: dict[str, int]) -> None:
    """Say `rate` things a second, without waiting for acks, until cancelled."""

    async def one(number: int) -> None:
        try:
            await client.call("room.say", {"text": f"message {number} 哈哈哈"}, log=room)
            counts["said"] += 1
        except Refusal:
            counts["refused"] += 1

    number, began = 0, time.perf_counter()
    async with asyncio.TaskGroup() as group:
        while True:
            while number < (time.perf_counter() - began) * rate:
                number += 1
                group.create_task(one(number))
            await asyncio.sleep(0.005)


def tell(name: str, took: list[float]) -> float:
    """Print a line; the p99 in seconds."""
    p50, p99 = took[len(took) // 2], took[len(took) * 99 // 100]
    print(f"{name:>10}  {len(took):5} acks  p50 {p50 * 1e3:6.1f} ms  p99 {p99 * 1e3:6.1f} ms")
    return p99


async def compare(
    server: ServerProcess, alice: Client, log: str, noise: Coroutine[None, None, None]
) -> tuple[float, float]:
    """The p99 of acks in seconds: while nothing else goes on, and beside the noise."""
    await server.quiet()
    quiet = tell("quiet", await chat(alice, log))
    shouting = asyncio.create_task(noise)
    before, began = server.usage().cpu_s, time.perf_counter()
    hot = tell("hot", await chat(alice, log))
    cpu = (server.usage().cpu_s - before) / (time.perf_counter() - began)
    print(f"server {cpu:.0%} of a core")
    shouting.cancel()
    await asyncio.gather(shouting, return_exceptions=True)
    return quiet, hot


async def run(server: ServerProcess, viewers: int, rate: int) -> bool:
    """Measure; whether the promise holds."""
    counts = {"said": 0, "refused": 0}

    def client(user: str) -> Client:
        async def get_token() -> str:
            return server.token(user)

        return Client(server.url, get_token, device=f"{user}-1", cls="server")

    async with client("alice") as alice, client("host") as host, client("bob") as bob:
        for one in (alice, host, bob):
            await one.connected(30)
        log = (await alice.call("chat.open", {"user": "bob"})).log
        room = (await host.call("room.create", {"title": "Hot", "rate": 0})).log
        here, there = mp.Pipe()
        tokens = [server.token(f"viewer{number}") for number in range(viewers)]
        crowd = mp.get_context("spawn").Process(
            target=watch, args=(server.port, tokens, room, there), daemon=True
        )
        crowd.start()
        if not await asyncio.to_thread(here.recv):
            print("not all viewers came to watch", file=sys.stderr)
            return False
        quiet, hot = await compare(server, alice, log, shout(host, room, rate, counts))
        here.send("end")
        given, still = await asyncio.to_thread(here.recv)
        crowd.join(10)
    print(
        f"{viewers} viewers ({still} at the end), {counts['said'] / SECONDS:.0f} messages/s said,"
        f" {counts['refused']} refused, {given / SECONDS / 1e6:.1f} MB/s given"
    )
    print(
        f"the hot room moved the p99 by {(hot - quiet) * 1e3:.1f} ms (at most {MOST_S * 1e3:.0f})"
    )
    return hot - quiet <= MOST_S


def main() -> None:
    """Exit status: 0 the promise holds, 1 it does not here."""
    viewers = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000
    rate = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    allow(viewers)
    with ServerProcess(core=0, settings=SETTINGS) as server:
        sys.exit(0 if asyncio.run(run(server, viewers, rate)) else 1)


if __name__ == "__main__":
    main()
