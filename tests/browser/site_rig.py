"""A demonstration server as a child process, and what the pages of two people can do."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType

import pytest
from playwright.async_api import Locator, Page, expect

from hongyan.bench.server import free_port
from hongyan.transport.pages import PAGES

Enter = Callable[..., Awaitable[Page]]  # see the fixture `enter`
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
REQUIRED = "HONGYAN_BROWSER_REQUIRED"
LINK = re.compile(r"http://\S+/#enter=\S+")
SLOW_MS = 20_000  # how long a busy machine may take for what a person sees
expect.set_options(timeout=SLOW_MS)  # where a test names no other


def chromium() -> str:
    """The browser's path, or the end of this test."""
    found = os.environ.get("HONGYAN_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), "")
    why = ""
    if not found:
        why = "no Chromium on this machine: apt-get install chromium"
    elif not (PAGES / "index.html").is_file():
        why = "the web pages were not built: unset HONGYAN_SKIP_PAGES and install again"
    if why and os.environ.get(REQUIRED):
        pytest.fail(why)
    if why:
        pytest.skip(why)
    return found


class DemoServer:
    """`hongyan serve --demo` on a directory that is kept over `restart`."""

    def __init__(self, data: Path, *settings: str) -> None:
        """`settings` are KEY=VALUE. Starts nothing."""
        self._data, self._settings = data, settings
        self.port = free_port()
        self.links: list[str] = []
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> DemoServer:
        """Serve."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()

    def start(self) -> None:
        """Serve; the links of this start are in `links`: Alice's, then Bob's."""
        given = [f"--set={setting}" for setting in ("telemetry.level=warning", *self._settings)]
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "hongyan", "serve", "--demo", "--data", str(self._data)),
                *("--port", str(self.port), *given),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.links = []
        for line in self._process.stdout:
            self.links += LINK.findall(line)
            if line.startswith("hongyan serves"):
                return
        process, self._process = self._process, None
        process.stdout.close()  # type: ignore[union-attr]
        raise RuntimeError(f"the server did not start, status {process.wait()}")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it; SIGKILL for a crash. Idempotent."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        if process.stdout is not None:
            process.stdout.close()
        process.wait(30)


async def open_chat(page: Page, title: str) -> None:
    """Click on a conversation of the list."""
    await page.get_by_role("link", name=re.compile(f"^{re.escape(title)}")).first.click()
    await expect(page.get_by_role("heading", level=1, name=title)).to_be_visible(timeout=SLOW_MS)


def composer(page: Page) -> Locator:
    """Where one writes."""
    return page.get_by_role("textbox", name=re.compile("^Message "))


async def say(page: Page, text: str) -> None:
    """Write and send."""
    await composer(page).fill(text)
    await composer(page).press("Enter")


def message(page: Page, text: str) -> Locator:
    """The bubbles that hold this text."""
    return page.get_by_role("article").filter(has_text=text)


async def sees(page: Page, text: str, *, times: int = 1) -> None:
    """Wait until exactly so many bubbles hold the text."""
    await expect(message(page, text)).to_have_count(times, timeout=SLOW_MS)
