"""Viewers who do not read, on real sockets: the ladder down to its end, with time compressed."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from http_rig import Service
from room_rig import Bot, bot, drop_all

from hongyan.engine.live import log as live_module

ROOM = "main/r/show"
STALL_S = 1.5  # instead of 30


@pytest.fixture
async def service(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    monkeypatch.setattr(live_module, "STALL_S", STALL_S)
    none = {"rate": 0, "burst": 1}
    rates = {f"limits.rates.{name}": none for name in ("connection", "user", "log", "ip")}
    async with Service(**rates) as running:
        yield running
        await drop_all()


async def opened(service: Service) -> tuple[Bot, str]:
    """The host's connection; a room that shows everything."""
    token = await service.join("host")
    host = await bot(service.front.port, token, "host")
    ack = await host.call("room.create", "", title="Show", name="show", rate=0, tick_ms=20)
    assert ack["log"] == ROOM, ack
    await host.watch(ROOM)
    return host, token


async def talk(host: Bot, until: asyncio.Event) -> int:
    """Say things until told to stop: more than a slow viewer takes. How many."""
    asyncio.get_running_loop().set_debug(False)  # it would be slower than the viewer
    number = 0
    while not until.is_set():
        for _ in range(40):
            number += 1
            text = f"{number} " + "好" * 190
            host.send(t="call", name="room.say", log=ROOM, op=f"s{number}", args={"text": text})
        host.frames.clear()
        await asyncio.sleep(0.02)
    return number


def viewer_of(service: Service, user: str) -> Any:
    """The server's side of a viewer; None where it is let go."""
    live = service.node.viewing.logs.get(ROOM)  # type: ignore[arg-type]
    assert live is not None
    return next((v for v in live.viewers.values() if v.user == user), None)


def little_room(service: Service, user: str) -> None:
    """Let the kernel hold next to nothing for a viewer: else it takes megabytes first."""
    transport = viewer_of(service, user).peer.link._transport.underlying_transport
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)


async def gone(who: Bot) -> None:
    """Wait for the end of its connection."""
    async with asyncio.timeout(10):
        while not who.gone:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


# size: one story
async def test_LR5_LV5_who_stops_reading_is_closed_in_time_and_its_memory_is_free(
    service: Service,
) -> None:
    """The socket is full, so no goodbye can be told: TCP is dropped all the same."""
    host, _ = await opened(service)
    stuck = await bot(service.front.port, await service.join("stuck"), "tv", small=True)
    await stuck.watch(ROOM)
    little_room(service, "stuck")
    good = await bot(service.front.port, await service.join("good"), "tv")
    await good.watch(ROOM)
    connections = service.node.metrics.connections
    end = asyncio.Event()
    talking = asyncio.create_task(talk(host, end))
    stuck.stop_reading()
    loop = asyncio.get_running_loop()
    began, highest, stalled = loop.time(), 0, 0.0
    while (viewer := viewer_of(service, "stuck")) is not None:
        highest = max(highest, viewer.depth)
        stalled = stalled or (viewer.stuck_at and loop.time())
        assert loop.time() < began + 25
        await asyncio.sleep(0.02)
    closed = loop.time()
    counters = service.node.viewing.logs.counters
    assert counters.closed == 1
    assert stalled and STALL_S * 0.9 <= closed - stalled < STALL_S + 2.0
    assert highest < 512 * 1024, "what waits for it is bounded"
    async with asyncio.timeout(10):  # close_timeout is 0.5 s here; then the socket is gone
        while service.node.metrics.connections != connections - 1:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    seen = len(good.items())
    await good.until(lambda: len(good.items()) > seen + 50)
    end.set()
    said = await talking
    assert said > 100
    # what the kernel held is read, then comes the end without a close frame
    stuck.read_on()
    await gone(stuck)


async def test_LV5_who_can_still_read_a_little_hears_why_it_was_closed(service: Service) -> None:
    """Its queue is full but not its socket: the goodbye says 307 and when to come back."""
    host, _ = await opened(service)
    stuck = await bot(service.front.port, await service.join("stuck"), "tv", small=True)
    await stuck.watch(ROOM)
    little_room(service, "stuck")
    end = asyncio.Event()
    talking = asyncio.create_task(talk(host, end))
    stuck.stop_reading()
    loop = asyncio.get_running_loop()
    limit = loop.time() + 25
    while (viewer := viewer_of(service, "stuck")) is not None:
        assert loop.time() < limit
        if viewer.stuck_at and loop.time() - viewer.stuck_at > STALL_S * 0.95:
            break
        await asyncio.sleep(0.005)
    while viewer_of(service, "stuck") is not None:  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    stuck.read_on()  # within close_timeout
    await gone(stuck)
    end.set()
    await talking
    goodbye = [x for x in stuck.frames if x["t"] == "goodbye"]
    assert [x["code"] for x in goodbye] == [307], (stuck.closed, stuck.frames[-1:])
    assert 1000 <= goodbye[0]["reconnect_after_ms"] <= 5000
    assert stuck.closed == (1013, "TooSlow")


async def test_LV5_who_reads_slowly_stays_and_is_told_what_it_missed(service: Service) -> None:
    """Less than is said, for several times the stall: never closed, and its account is complete."""
    host, _ = await opened(service)
    slow = await bot(service.front.port, await service.join("slow"), "tv", small=True)
    attached = await slow.watch(ROOM)
    little_room(service, "slow")
    end = asyncio.Event()
    talking = asyncio.create_task(talk(host, end))
    slow.sips = True
    loop = asyncio.get_running_loop()
    limit, deepest = loop.time() + 4 * STALL_S, 0
    while loop.time() < limit:
        slow.read_on()  # a few KB, then no more
        await asyncio.sleep(0.05)
        viewer = viewer_of(service, "slow")
        assert viewer is not None and not slow.gone, (slow.closed, slow.frames[-1:])
        deepest = max(deepest, viewer.depth)
    end.set()
    await talking
    slow.sips = False
    slow.read_on()
    live = service.node.viewing.logs.get(ROOM)  # type: ignore[arg-type]
    assert live is not None

    def complete() -> bool:
        gaps = sum(x["n"] for x in slow.frames if x["t"] == "gap")
        items = sum(1 for i in slow.items() if i["off"])
        return items + gaps == live.off - attached["off"]

    await slow.until(complete, 20)
    assert deepest > live_module.THIN_BYTES, "it was not slow enough for this test"
    assert sum(x["n"] for x in slow.frames if x["t"] == "gap") > 100
    assert service.node.viewing.logs.counters.closed == 0


async def test_LV5_who_pings_but_does_not_read_is_too_slow_and_not_dead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    none = {"rate": 0, "burst": 1}
    rates = {f"limits.rates.{name}": none for name in ("connection", "user", "log", "ip")}
    monkeypatch.setattr(live_module, "STALL_S", 60.0)
    async with Service(**rates, **{"limits.heartbeat_ms": 1000}) as service:
        host, _ = await opened(service)
        stuck = await bot(service.front.port, await service.join("stuck"), "tv", small=True)
        await stuck.watch(ROOM)
        end = asyncio.Event()
        talking = asyncio.create_task(talk(host, end))
        stuck.stop_reading()
        async with asyncio.timeout(20):
            while viewer_of(service, "stuck") is not None:
                stuck.raw('{"t":"ping"}')
                await asyncio.sleep(0.05)
        stuck.read_on()
        await gone(stuck)
        end.set()
        await talking
        assert [x["code"] for x in stuck.frames if x["t"] == "goodbye"] == [307]
        await drop_all()
