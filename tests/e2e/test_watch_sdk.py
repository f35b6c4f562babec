"""Live logs in the Python SDK, against a real server process."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.e2e.test_client_sdk import DEADLINE_S, clients, snippet, until

from hongyan.bench.server import ServerProcess
from hongyan.client import Client
from hongyan.model.errors import Forbidden, NoSuchLog


def text(item: Any) -> str:
    return str(msgspec.json.decode(item.body).get("text", ""))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    settings = ('kinds={"room":{"gifts":"users"}}',)
    with ServerProcess(tmp_path / "data", core=None, settings=settings) as process:
        yield process


def order_of(entry: Any) -> list[str]:
    """The order of a gift; nothing where it is none."""
    return [msgspec.json.decode(entry.body)["order"]] if entry.type == "gift" else []


async def opened(host: Client, **more: Any) -> str:
    ack = await host.call("room.create", {"title": "Show", "name": "show", "rate": 0, **more})
    return ack.log


# size: one story, to be read in one go
@pytest.mark.parametrize("codec", ["json", "msgpack"])
async def test_LV13_LV14_a_killed_server_loses_no_gift_and_no_total_that_was_settled(
    server: ServerProcess, codec: str
) -> None:
    """Viewers of two kinds see 60 gifts over a kill -9; live items go on in a new epoch."""
    async with clients(server, "host1", "bob1", "shop1", codec=codec) as (host, bob, shop):
        room = await opened(host)
        async with bob.watch(room) as watch:
            gifts: list[str] = []
            items: list[Any] = []

            async def take_gifts() -> None:
                async for entry in watch.entries(after=0):
                    gifts.extend(order_of(entry))

            async def take_items() -> None:
                async for item in watch:
                    items.append(item)  # noqa: PERF401  # it never ends

            taking = [asyncio.create_task(work()) for work in (take_gifts, take_items)]
            await host.call("room.say", {"text": "before"}, log=room)
            await until(lambda: "before" in map(text, items))
            sending = [asyncio.create_task(give(shop, room, f"o{number}")) for number in range(60)]
            await until(lambda: len(gifts) >= 10)
            await asyncio.to_thread(server.stop, signal.SIGKILL)
            await asyncio.to_thread(server.start)
            for client in (host, bob, shop):
                client.wake()
            await asyncio.wait_for(asyncio.gather(*sending), DEADLINE_S)
            await until(lambda: len(gifts) >= 60)
            await host.call("room.say", {"text": "after"}, log=room)
            await until(lambda: "after" in map(text, items))
            await asyncio.wait_for(watch.until(lambda: "gifts" in watch.values), DEADLINE_S)
            assert sorted(gifts) == sorted(f"o{number}" for number in range(60))
            assert watch.epochs == 2
            said = [text(item) for item in items if text(item)]
            assert said == ["before", "after"]
            await host.call("room.attribute", {"key": "scene", "value": 4}, log=room)
            await asyncio.wait_for(
                watch.until(lambda: watch.values.get("attr:scene") == 4), DEADLINE_S
            )
            assert not any(task.done() for task in taking)
            for task in taking:
                task.cancel()
            await asyncio.gather(*taking, return_exceptions=True)


async def give(shop: Client, room: str, order: str) -> None:
    args = {"order": order, "gift": "rose", "value": 1}
    await shop.call("room.gift", args, log=room, op=order)


async def test_LV13_a_lost_connection_is_made_good(server: ServerProcess) -> None:
    async with clients(server, "host1", "bob1") as (host, bob):
        room = await opened(host)
        async with bob.watch(room) as watch:
            for number in range(30):
                await host.call("room.say", {"text": f"m{number}"}, log=room)
                if number == 10:
                    bob._core.shell.drop("a test pulls the plug")
                    bob.wake()
            got: list[Any] = []
            async with asyncio.timeout(DEADLINE_S):
                async for item in watch:
                    got.append(item)
                    if text(item) == "m29":
                        break
            said = [text(item) for item in got if item.type == "danmaku"]
            assert said == [f"m{number}" for number in range(30)]
            assert watch.epochs == 1


async def test_LV13_refusals_and_dismissal_reach_the_application(server: ServerProcess) -> None:
    async with clients(server, "host1", "bob1") as (host, bob):
        with pytest.raises(NoSuchLog):
            async with bob.watch("main/r/none"):
                pass
        room = await opened(host)
        async with bob.watch(room) as watch:
            await host.call("room.ban", {"user": "bob", "seconds": 600}, log=room)
            with pytest.raises(Forbidden):
                await asyncio.wait_for(watch.until(lambda: False), DEADLINE_S)
            assert watch.dismissed
        with pytest.raises(Forbidden):
            async with bob.watch(room):
                pass


async def test_LR12_the_replay_survives_a_restart(server: ServerProcess) -> None:
    async with clients(server, "host1") as host:
        room = await opened(host)
        for number in range(20):
            await host.call("room.say", {"text": f"m{number}", "media_ms": number}, log=room)
        await asyncio.to_thread(server.stop)  # what waits is written at the end
        await asyncio.to_thread(server.start)
        host.wake()
        page = await host.query("danmaku", {"from_ms": 5, "to_ms": 15}, log=room)
        assert [item["body"]["text"] for item in page["items"]] == [f"m{n}" for n in range(5, 15)]


async def test_snippet_watch(server: ServerProcess) -> None:
    async with clients(server, "host1", "bob1") as (host, bob):
        room = await opened(host)
        showing = asyncio.create_task(snippet("sdk_watch").show_room(bob, room, "bye"))
        for said in ("hello", "bye"):
            await host.call("room.say", {"text": said}, log=room)
        assert await asyncio.wait_for(showing, DEADLINE_S) == ["hello", "bye"]
