"""The terminal client, driven as a person drives it, against a real server."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from hongyan.bench.server import ServerProcess
from hongyan.cli.tui.app import ChatApp
from hongyan.cli.tui.blocks import plain_lines
from hongyan.cli.tui.panels import Panel, Picker
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


async def test_N1_two_people_with_two_devices_each_talk(server: ServerProcess) -> None:
    """Receipts, unread counts and history agree on all four screens."""
    async with (
        seat(server, "bob") as bob,
        seat(server, "bob", "phone", cls="phone") as bobs_phone,
        seat(server, "alice") as alice,
        seat(server, "alice", "phone", cls="phone", lang="zh", size=(44, 24)) as phone,
    ):
        await alice.type("/open bob")
        await alice.until(lambda: alice.app.log_open, "the conversation")
        await alice.type("hello bob")
        await alice.sees("hello bob")
        await alice.sees("✓✓")  # delivered: bob's devices have it, nobody has read it
        assert alice.app.desk.row(alice.app.log_open).peer_read == 0

        for there in (bob, bobs_phone):
            await there.until(lambda seat=there: seat.unread("alice") == 1, "one unread message")
        await bob.pilot.press("ctrl+n")
        await bob.sees("hello bob")
        for there in (bob, bobs_phone):  # read at one device is read at the other
            await there.until(lambda seat=there: seat.unread("alice") == 0, "nothing unread")
        row = alice.app.desk.row
        await alice.until(lambda: row(alice.app.log_open).peer_read == 1, "that bob has read")

        await bob.type("你好，alice")
        await alice.sees("你好，alice")
        await phone.until(lambda: phone.app.desk.items(), "the conversation in the list")
        await phone.pilot.press("ctrl+n")
        await phone.sees("你好，alice")
        assert phone.messages() == alice.messages() == bob.messages() == ["hello bob", "你好，alice"]


async def test_N2_kill_in_the_middle_loses_and_doubles_nothing(
    server: ServerProcess, tmp_path: Path
) -> None:
    """The client says so, queues, comes back; both sides have each message once, in order."""
    async with (
        seat(server, "alice", data=tmp_path / "a.db") as alice,
        seat(server, "bob", lang="zh") as bob,
    ):
        await alice.type("/open bob")
        await alice.until(lambda: alice.app.log_open, "the conversation")
        await bob.until(lambda: bob.app.desk.items(), "the conversation")
        await bob.pilot.press("ctrl+n")
        said = []
        for n in range(8):
            said.append(f"before {n}")
            await alice.type(said[-1])
        server.stop(signal.SIGKILL)
        await alice.sees("offline")
        for n in range(8):
            said.append(f"while it is down {n}")
            await alice.type(said[-1])
        await alice.sees("queued")
        await alice.sees("while it is down 7 sending")
        server.start()
        await alice.until(lambda: alice.app.desk.client.online, "the server again")
        said.append("after")
        await alice.type(said[-1])
        await alice.until(lambda: not len(alice.app.desk.client.outbox), "an empty outbox")
        await alice.until(lambda: alice.messages() == said, "all of it once")
        await bob.until(lambda: bob.messages() == said, "all of it once")
        await bob.until(lambda: bob.unread("alice") == 0, "nothing unread")
