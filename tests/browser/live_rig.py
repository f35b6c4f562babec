"""What pages of a live room can do, and a way to put frames into their connection."""

from __future__ import annotations

import json
import re
from typing import Any

from playwright.async_api import Locator, Page, WebSocketRoute, expect
from site_rig import SLOW_MS

ROOM = "#/live/main/r/launch"


async def watch(page: Page) -> None:
    """Go to the demonstration's room."""
    await expect(page.locator(".row").first).to_be_visible(timeout=SLOW_MS)
    await page.evaluate("hash => { location.hash = hash }", ROOM)
    await inside(page)


async def inside(page: Page) -> None:
    """Wait until the room is there."""
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Launch", timeout=SLOW_MS)


def line(page: Page, text: str) -> Locator:
    """The lines of the list that hold this text."""
    return page.get_by_role("log").locator(".line").filter(has_text=text)


def field(page: Page) -> Locator:
    """Where one writes."""
    return page.get_by_role("textbox", name="Message to the room")


async def say(page: Page, text: str) -> None:
    """Write and send."""
    await field(page).fill(text)
    await field(page).press("Enter")
    await expect(field(page)).to_have_value("", timeout=SLOW_MS)


async def sees(page: Page, text: str, times: int = 1) -> None:
    """Wait until exactly so many lines hold the text."""
    await expect(line(page, text)).to_have_count(times, timeout=SLOW_MS)


async def moderate(page: Page, text: str, item: str) -> None:
    """Choose from the menu of a message."""
    await page.get_by_role("button", name=re.compile(f"^Moderate: .*{text}")).click()
    await page.get_by_role("menuitem", name=item).click()


class Wire:
    """The connection of a page, to which frames can be added as if the server had sent them."""

    def __init__(self) -> None:
        """Nothing is connected yet."""
        self._page: WebSocketRoute | None = None
        self.attached: dict[str, Any] = {}

    async def take(self, page: Page) -> None:
        """Take hold of the page's connections, from the next one on: load the page anew."""
        await page.route_web_socket(re.compile(r"/v1/ws"), self._connected)
        await page.reload()

    def _connected(self, route: WebSocketRoute) -> None:
        server = route.connect_to_server()
        route.on_message(server.send)

        def heard(message: str | bytes) -> None:
            frames = json.loads(message)
            for frame in frames if isinstance(frames, list) else [frames]:
                if frame["t"] == "attached":
                    self._page, self.attached = route, frame
            route.send(message)

        server.on_message(heard)

    def tell(self, frame: dict[str, Any]) -> None:
        """Send the page a frame about its room."""
        assert self._page is not None, "the page watches no room"
        room = {"log": self.attached["log"], "epoch": self.attached["epoch"]}
        self._page.send(json.dumps({**room, **frame}))
