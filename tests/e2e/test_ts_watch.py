"""Live logs in the TypeScript SDK, against a real server process."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.test_client_sdk import clients
from tests.node_sdk import Program, bundle, node

from hongyan.bench.server import ServerProcess

WITHIN_S = 30.0


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    node()
    return bundle("watching", tmp_path_factory.mktemp("watching"))


class Viewer:
    """A program that watches, and what it has told."""

    def __init__(self, run: Program) -> None:
        self.run = run
        self.told: list[Any] = []

    async def until(self, found: Callable[[list[Any]], bool]) -> None:
        """Read on until what was told is enough."""
        while not found(self.told):
            self.told.append(json.loads(await self.run.line(WITHIN_S)))

    def of(self, key: str) -> list[Any]:
        return [told[key] for told in self.told if isinstance(told, dict) and key in told]

    def texts(self) -> list[str]:
        return [
            item["body"]["text"] for items in self.of("items") for item in items if item["body"]
        ]

    def values(self) -> dict[str, Any]:
        return {key: value for values in self.of("values") for key, value in values.items()}

    def seqs(self) -> list[int]:
        return [entry["seq"] for entries in self.of("entries") for entry in entries]

    def call(self, name: str, args: dict[str, Any], op: str = "") -> None:
        self.run.write(json.dumps({"name": name, "args": args, **({"op": op} if op else {})}))


@asynccontextmanager
async def viewer(program: Path, *args: str) -> AsyncIterator[Viewer]:
    run = await Program.start(program, *args)
    try:
        yield Viewer(run)
    finally:
        await run.close()


async def test_LV13_a_viewer_in_typescript_misses_no_gift_over_a_kill(
    program: Path, tmp_path: Path
) -> None:
    """Items, values, gifts of one who is no member; a restart; an order; being sent away."""
    settings = ('kinds={"room":{"gifts":"users"}}',)
    with ServerProcess(tmp_path / "data", core=None, settings=settings) as server:
        async with clients(server, "host1") as host:
            room = (await host.call("room.create", {"title": "Show", "rate": 0})).log
            url, token = server.url, server.token("bob")
            async with viewer(program, url, token, room) as bobs:
                await bobs.until(lambda told: bool(told))
                assert bobs.told[0]["attached"] is False
                assert bobs.told[0]["title"] == "Show"
                await host.call("room.say", {"text": "one"}, log=room)
                await host.call("room.like", {"n": 7}, log=room)
                await host.call("room.gift", gift("g1"), log=room, op="g1")
                bobs.call("room.say", {"text": "two"})
                await bobs.until(lambda _: {"one", "two"} <= set(bobs.texts()))
                await bobs.until(lambda _: bobs.values().get("likes") == 7)
                await bobs.until(lambda _: len(bobs.seqs()) == 1)
                await bobs.until(lambda _: bobs.of("cls") == ["live"])
                await asyncio.to_thread(server.stop, signal.SIGKILL)
                await asyncio.to_thread(server.start)
                host.wake()
                await host.call("room.gift", gift("g2"), log=room, op="g2")
                bobs.run.write("wake")
                await bobs.until(lambda _: bobs.of("attached") == [False, True])
                await host.call("room.gift", gift("g3"), log=room, op="g3")
                await host.call("room.say", {"text": "three"}, log=room)
                await bobs.until(lambda _: "three" in bobs.texts() and len(bobs.seqs()) == 3)
                assert bobs.seqs() == [2, 3, 4]
                assert bobs.texts().count("two") == 1
                await host.call("room.ban", {"user": "bob"}, log=room)
                await bobs.until(lambda _: bobs.of("ended") == ["Forbidden"])
            async with viewer(program, url, token, room) as again:
                await again.until(lambda told: bool(told))
                assert again.told == [{"refused": "Forbidden"}]


def gift(order: str) -> dict[str, Any]:
    return {"order": order, "gift": "rose", "value": 1}
