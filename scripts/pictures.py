"""Take the pictures of the documentation: `scripts/pictures.py [FOLDER]`.

Starts a demonstration, opens it in the system's Chromium, and writes PNG files. Run it after the
pages changed; look at the pictures before you commit them.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"http://\S+/#enter=\S+")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


async def enter(browser: Browser, link: str, size: dict[str, int], **options: object) -> Page:
    """A page of a new profile, logged in."""
    context = await browser.new_context(viewport=size, locale="en-GB", **options)  # type: ignore[arg-type]
    page = await context.new_page()
    await page.goto(link)
    await page.get_by_role("navigation").wait_for()
    return page


async def open_chat(page: Page, title: str) -> None:
    """Click on a conversation and wait until it has settled."""
    await page.get_by_role("link", name=re.compile(f"^{title}")).first.click()
    await page.get_by_role("heading", level=1, name=title).wait_for()
    await page.wait_for_function(
        "() => [...document.querySelectorAll('[role=feed] img')].every(i => i.complete)"
    )
    await page.wait_for_timeout(1500)  # the day's label fades


SAID = (
    "Hello from Hamburg!",
    "大家好 👋",
    "What a view",
    "first time here",
    "The sound is great",
    "加油加油",
    "Ship it!",
    "when does it start?",
    "❤️❤️❤️",
    "right now :)",
)


async def room(host: Page, viewer: Page, folder: Path) -> None:
    """The live room of the demonstration, as its host and as a viewer see it."""
    for page in (host, viewer):
        await page.evaluate("location.hash = '#/live/main/r/launch'")
        await page.get_by_role("textbox", name="Message to the room").wait_for()
    for number, text in enumerate(SAID):
        page = (viewer, host)[number % 2]
        field = page.get_by_role("textbox", name="Message to the room")
        await field.fill(text)
        await field.press("Enter")
        await page.wait_for_timeout(350)
    for _ in range(6):
        await viewer.get_by_role("button", name="Like").first.click()
    await viewer.wait_for_timeout(900)
    await host.screenshot(path=folder / "live-host.png")
    await viewer.screenshot(path=folder / "live-phone.png")


async def take(links: list[str], folder: Path) -> None:
    """All pictures."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        alice = await enter(browser, links[0], WIDE)
        await open_chat(alice, "Launch team")
        await alice.screenshot(path=folder / "app.png")
        await alice.get_by_role("main").get_by_role("button", name="Details").last.click()
        await alice.wait_for_timeout(800)
        await alice.screenshot(path=folder / "app-details.png")
        bob = await enter(browser, links[1], PHONE, color_scheme="dark", device_scale_factor=2)
        await bob.wait_for_timeout(800)
        await bob.screenshot(path=folder / "app-phone-list.png")
        await open_chat(bob, "Launch team")
        await bob.screenshot(path=folder / "app-phone.png")
        await room(alice, bob, folder)
        await browser.close()


def main(folder: Path) -> int:
    """Start the demonstration, take the pictures, stop it."""
    command = [sys.executable, "-m", "hongyan", "serve", "--demo", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        links: list[str] = []
        for line in server.stdout:
            links += LINK.findall(line)
            if line.startswith("hongyan serves"):
                break
        try:
            asyncio.run(take(links, folder))
        finally:
            server.terminate()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "docs/pictures")))
