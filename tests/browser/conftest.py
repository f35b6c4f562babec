"""A real browser and a real server, for tests of the pages.

The browser is the system's: nothing is downloaded. Without one these tests are skipped, and say
so; where HONGYAN_BROWSER_REQUIRED is set, as in CI, that is a failure.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright
from site_rig import Enter, chromium

RERUNS = 2  # a page that passes at the third try is slow, not wrong; all three show in the report
FLAGS = [
    "--no-sandbox",  # tests run as root in CI
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser, server and driver share the machine with whatever else runs there."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.flaky(reruns=RERUNS))


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Headless Chromium."""
    path = chromium()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        await browser.close()


@pytest.fixture
async def enter(browser: Browser) -> AsyncIterator[Enter]:
    """`await enter(link)`: a page of a new browser profile, logged in; what its console says in
    red fails the test."""
    complaints: list[str] = []
    contexts: list[BrowserContext] = []

    async def open_link(link: str, **options: object) -> Page:
        context = await browser.new_context(**{"locale": "en-GB", **options})  # type: ignore[arg-type]
        contexts.append(context)
        page = await context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda said: (
                complaints.append(said.text)
                if said.type == "error" and "Content Security Policy" in said.text
                else None
            ),
        )
        await page.goto(link)
        return page

    yield open_link
    for context in contexts:
        await context.close()
    assert complaints == []
