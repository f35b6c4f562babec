"""Boards in the Python SDK against a real server process, and their bench with few viewers."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.e2e.test_client_sdk import DEADLINE_S, clients, until

from hongyan.bench import quotes
from hongyan.bench.server import ServerProcess

BOARD = "main/q/us"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    asyncio.run(quotes.fill(tmp_path / "data"))
    with ServerProcess(tmp_path / "data", core=None) as process:
        yield process


async def test_GT3_GT4_quotes_and_fills_go_on_after_the_server_was_killed(
    server: ServerProcess,
) -> None:
    """What the feed puts again is there again; a fill is there once, whatever happened."""
    async with clients(server, "feed1", "bob1") as (feed, bob):
        await feed.call("quotes.create", {"name": "us", "title": "US"})
        async with bob.watch(BOARD) as watch:
            fills: list[int] = []

            async def take() -> None:
                async for entry in watch.entries(after=0):
                    if entry.type == "fill":
                        fills.append(msgspec.json.decode(entry.body)["size"])  # noqa: PERF401  # it never ends

            taking = asyncio.create_task(take())
            await put(feed, A={"last": "1.5"}, B=2, C=3)
            await put(feed, B=None)
            await shows(watch, A={"last": "1.5"}, C=3)
            sending = [asyncio.create_task(fill(feed, number)) for number in range(1, 41)]
            await until(lambda: len(fills) >= 5)
            await asyncio.to_thread(server.stop, signal.SIGKILL)
            await asyncio.to_thread(server.start)
            for client in (feed, bob):
                client.wake()
            await asyncio.wait_for(asyncio.gather(*sending), DEADLINE_S)
            await put(feed, A=7)  # a feed that comes back puts the whole board
            await shows(watch, A=7)
            await until(lambda: len(fills) >= 40)
            assert sorted(fills) == list(range(1, 41))
            assert watch.epochs == 2 and not taking.done()
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)


async def put(feed: Any, **values: Any) -> None:
    await feed.call("quotes.put", {"quotes": values}, log=BOARD)


async def fill(feed: Any, number: int) -> None:
    args = {"fills": [{"symbol": "A", "price": "1.05", "size": number}]}
    await feed.call("quotes.fill", args, log=BOARD)


async def shows(watch: Any, **wanted: Any) -> None:
    def there() -> bool:
        held = {key: value for key, value in watch.values.items() if key not in ("online", "board")}
        return bool(held == wanted)

    await asyncio.wait_for(watch.until(there), DEADLINE_S)


def test_GT5_GT7_a_small_board_keeps_every_promise() -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "hongyan", "bench", "quotes", "--json"),
            *("--symbols", "50", "--rate", "2000", "--viewers", "30", "--fills", "20"),
            *("--seconds", "3", "--stalled", "10%", "--tick", "50ms", "--burst", "5"),
        ],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    found = json.loads(done.stdout)
    assert found["broken"] == []
    assert found["fills_delivered"] == found["fills_expected"] == found["fills_sent"] * 30 > 1_000
    assert found["conflation"] > 1.2  # each symbol is put twice in a tick
    assert 0 < found["snapshot_bytes"] < 10_000
    assert found["burst"]["updates_per_s"] > found["updates_per_s"]
