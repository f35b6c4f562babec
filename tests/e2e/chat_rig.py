"""People who sit at the terminal client: its keys, and what stands on its screen."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from hongyan.bench.server import ServerProcess
from hongyan.cli.tui.app import ChatApp
from hongyan.cli.tui.blocks import plain_lines
from hongyan.cli.tui.words import Words
from hongyan.client import Client

WAIT_S = 30.0


class Seat:
    """One person at one device: an app, its keys, and what stands on its screen."""

    def __init__(self, app: ChatApp, pilot: Pilot[int]) -> None:
        self.app, self.pilot = app, pilot

    async def type(self, text: str, *keys: str) -> None:
        """Put `text` where one writes, then press keys (Enter if none is given)."""
        self.app.composer.load(text)
        await self.pilot.press(*(keys or ("enter",)))

    async def until(self, true: Callable[[], object], what: str) -> None:
        """Wait until it is true; say what was on the screen where it never is."""
        deadline = time.monotonic() + WAIT_S
        while not true():
            if time.monotonic() > deadline:
                pytest.fail(f"{self.app.desk.me} never saw {what}; screen:\n{self.screen()}")
            await asyncio.sleep(0.02)

    async def sees(self, text: str) -> None:
        """Wait until `text` is on the screen."""
        await self.until(lambda: text in self.screen(), repr(text))

    def screen(self) -> str:
        """All that the terminal shows."""
        lines = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text.rstrip() for strip in lines)

    def messages(self) -> list[str]:
        """What people said in the conversation on the screen, loaded or on its way."""
        assert self.app.log_open is not None
        thread = self.app.desk.threads[self.app.log_open]
        blocks = self.app.painter.paint(thread, 60)
        lines = [line for block in blocks for line in plain_lines(block)]
        return [line[2:].split("   ")[0].strip() for line in lines if line.startswith("  ")]

    def unread(self, title: str) -> int:
        """The count beside a conversation of the list."""
        return next((i.unread for i in self.app.desk.items() if i.title == title), 0)


@contextlib.asynccontextmanager
async def seat(
    server: ServerProcess,
    user: str,
    device: str = "desk",
    *,
    cls: str = "desktop",
    lang: str = "en",
    size: tuple[int, int] = (80, 24),
    data: Path | None = None,
) -> AsyncIterator[Seat]:
    """Sit down; leave at the end."""

    async def token() -> str:
        return server.token(user)

    client = Client(server.url, token, device=device, cls=cls, data=data)
    app = ChatApp(client, user, Words(lang))
    async with client:
        await client.connected(WAIT_S)
        async with app.run_test(size=size) as pilot:
            yield Seat(app, pilot)


async def with_history(server: ServerProcess, n: int) -> str:
    """bob has said `n` things to alice; the log."""

    async def token() -> str:
        return server.token("bob")

    async def alices() -> str:
        return server.token("alice")

    async with (
        Client(server.url, alices, device="first", cls="web") as alice,
        Client(server.url, token, device="past", cls="web") as bob,
    ):
        await alice.connected(WAIT_S)  # makes the account
        log = (await bob.call("chat.open", {"user": "alice"})).log
        texts = (f"past {k:03} " + "and more of it " * (k % 7) for k in range(n))
        await asyncio.gather(*(bob.send(log, text) for text in texts))
    return log
