"""The TypeScript SDK against a real server, over each transport and through bad networks."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from http_rig import Service
from tests.node_sdk import Program, bundle, node

DONE_S = 60.0


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    node()
    return bundle("scenario", tmp_path_factory.mktemp("scenario"))


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with Service() as running:
        yield running


class BadNetwork:
    """A TCP proxy that cuts WebSockets, or holds back what a stream brings until its end."""

    def __init__(self, port: int) -> None:
        self.port, self.to = 0, port
        self.cuts_websockets = True
        self.buffers = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> BadNetwork:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def drop_all(self) -> None:
        """Every connection of now is cut."""
        for task in self._tasks:
            task.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._carry(reader, writer)
        writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if self.cuts_websockets and b"upgrade: websocket" in head.lower():
            writer.write(
                b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            )
            return
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.to)
        up_writer.write(head)
        streams = self.buffers and head.startswith(b"POST /v1/stream ")
        try:
            await asyncio.gather(pump(reader, up_writer), pump(up_reader, writer, streams))
        finally:
            up_writer.close()


async def pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, holds: bool = False
) -> None:
    held = b""
    while data := await reader.read(65536):
        if holds:
            held += data
        else:
            writer.write(data)
            await writer.drain()
    writer.write(held)
    writer.close()


@pytest.mark.parametrize("transport", ["websocket", "msgpack", "sse", "poll"])
async def test_G7_chats_over_every_transport(
    transport: str, program: Path, service: Service
) -> None:
    alice, bob, log = await service.talk()
    url = str(service.http.base_url)
    run = await Program.start(program, "chat", url, alice, bob, log, transport)
    try:
        by = json.loads(await run.line(DONE_S))["transport"]
        assert by == {"msgpack": "websocket"}.get(transport, transport)
        assert await run.line(DONE_S) == "done"
    finally:
        await run.close()


async def test_G7_a_wrong_token_is_replaced(program: Path, service: Service) -> None:
    alice, bob, log = await service.talk()
    for transport in ("websocket", "sse", "poll"):
        url = str(service.http.base_url)
        run = await Program.start(program, "token", url, alice, bob, log, transport)
        try:
            assert await run.line(DONE_S) == "done"
        finally:
            await run.close()


async def test_G8_what_the_documentation_shows(program: Path, service: Service) -> None:
    alice, bob, log = await service.talk()
    url = str(service.http.base_url)
    run = await Program.start(program, "snippets", url, alice, bob, log, "auto")
    try:
        assert await run.line(DONE_S) == "done"
    finally:
        await run.close()


async def test_G7_falls_back_and_climbs_without_loss(program: Path, service: Service) -> None:
    """No WebSocket: a stream. A proxy that holds streams back: polls. All mended: WebSocket."""
    alice, bob, log = await service.talk()
    async with BadNetwork(service.front.port) as network:
        url = f"http://127.0.0.1:{network.port}"
        run = await Program.start(program, "fallback", url, alice, bob, log, "auto")
        try:
            assert await run.line(DONE_S) == "open sse"
            network.buffers = True
            network.drop_all()
            assert await run.line(DONE_S) == "open poll"
            network.cuts_websockets = False
            assert await run.line(DONE_S) == "open websocket"
            run.write("enough")
            assert await run.line(DONE_S) == "done"
        finally:
            await run.close()
