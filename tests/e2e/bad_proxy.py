"""A proxy as clients meet them: cuts WebSockets, holds answers back, kills connections."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_CUT = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class BadProxy:
    """Each connection is passed on as it is, but for what the faults do to it.

    `hold_s`: what comes within it goes on together. `whole`: an answer goes on when it is
    complete, so one that never ends never does. `kill`: how likely each piece, in either
    direction, is the last one of its connection.
    """

    def __init__(
        self, port: int, *, hold_s: float = 0.0, whole: bool = False, kill: float = 0.0
    ) -> None:
        self.target = port
        self.hold_s, self.whole, self.kill = hold_s, whole, kill
        self.upgrades = self.kills = self.connections = 0
        self.random = random.Random(7)
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            if b"upgrade: websocket" in head.lower():
                self.upgrades += 1
                writer.write(_CUT)
                return
            there, here = await asyncio.open_connection("127.0.0.1", self.target)
            try:
                here.write(head)
                up = asyncio.create_task(self._pass(reader, here, b"", False))
                down = asyncio.create_task(self._pass(there, writer, b"", True))
                await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
                for one in (up, down):
                    one.cancel()
                await asyncio.gather(up, down, return_exceptions=True)
            finally:
                here.transport.abort()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # what a proxy does when one side is gone
        finally:
            self._tasks.discard(task)
            with contextlib.suppress(OSError):
                writer.close()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, held: bytes, down: bool
    ) -> None:
        while chunk := await reader.read(65536):
            if self.kill and self.random.random() < self.kill:
                self.kills += 1
                writer.write(chunk[: len(chunk) // 2])  # cut in the middle of what it says
                await asyncio.sleep(0)
                return
            held += chunk
            if down and self.whole and not _complete(held):
                continue
            if down and self.hold_s:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self.hold_s):
                        while more := await reader.read(65536):
                            held += more
            writer.write(held)
            held = b""
            await writer.drain()


def _complete(answer: bytes) -> bool:
    head, _, body = answer.partition(b"\r\n\r\n")
    length = _LENGTH.search(head)
    return len(body) >= int(length[1]) if length else answer.endswith(b"0\r\n\r\n")


@asynccontextmanager
async def bad_proxy(
    port: int, *, hold_s: float = 0.0, whole: bool = False, kill: float = 0.0
) -> AsyncIterator[BadProxy]:
    """One that listens, in front of `port`."""
    proxy = BadProxy(port, hold_s=hold_s, whole=whole, kill=kill)
    server = await asyncio.start_server(proxy._serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for task in list(proxy._tasks):
            task.cancel()
        await asyncio.gather(*proxy._tasks, return_exceptions=True)
        await server.wait_closed()
