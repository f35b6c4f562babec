"""Live rooms in a real browser: a host, a viewer and a guest in one room."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from live_rig import ROOM, moderate, say, sees, watch
from playwright.async_api import expect
from site_rig import SLOW_MS, DemoServer, Enter, chromium


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[DemoServer]:
    chromium()  # skip before anything is started
    with DemoServer(tmp_path / "data") as server:
        yield server


async def test_LR11_LR3_a_viewer_takes_part_and_a_guest_looks_on(
    demo: DemoServer, enter: Enter
) -> None:
    alice, bob = await enter(demo.links[0]), await enter(demo.links[1])
    for page in (alice, bob):
        await watch(page)
        await sees(page, "前排")  # what was said before they came
        await sees(page, "三点准时开始")
        await expect(page.locator(".room-pin")).to_contain_text("#Q")
    guest = await enter(f"http://127.0.0.1:{demo.port}/{ROOM}")
    await sees(guest, "前排")
    await say(bob, "is this on?")
    for page in (alice, bob, guest):
        await sees(page, "is this on?")
        await expect(page.locator(".flyers")).to_have_attribute("data-flying", "1", timeout=SLOW_MS)
    await bob.get_by_role("button", name="Gifts").click()
    for _ in range(3):
        await bob.get_by_role("button", name="Give Kite").click()
    await bob.get_by_role("button", name="Like").click(click_count=5)
    for page in (alice, guest):
        await expect(page.locator(".banner-count")).to_have_text("× 3", timeout=SLOW_MS)
        await sees(page, "Kite × 3")
        await expect(page.locator(".chip-heart")).to_contain_text("5", timeout=SLOW_MS)
        await expect(page.locator(".chip-eye")).to_contain_text("3", timeout=SLOW_MS)
    await expect(guest.get_by_role("textbox")).to_have_count(0)
    await guest.get_by_role("button", name="Log in").last.click()
    await expect(guest.get_by_label("Password", exact=True)).to_be_visible(timeout=SLOW_MS)


async def test_LR7_LR8_a_host_keeps_order(demo: DemoServer, enter: Enter) -> None:
    alice, bob = await enter(demo.links[0]), await enter(demo.links[1])
    await watch(alice)
    await watch(bob)
    await say(bob, "rude words")
    await sees(alice, "rude words")
    await moderate(alice, "rude words", "Delete the message")
    for page in (alice, bob):
        await sees(page, "rude words", times=0)
    await alice.get_by_role("button", name="Moderation").click()
    await alice.get_by_role("switch", name="Look at messages").click()
    await alice.get_by_label("Slow mode").select_option("120")
    await expect(bob.locator(".speak-note")).to_contain_text("Slow mode", timeout=SLOW_MS)
    await alice.keyboard.press("Escape")
    field = bob.get_by_role("textbox", name="Message to the room")
    await field.fill("too early")
    await field.press("Enter")
    await expect(bob.locator(".speak-left")).to_have_text(re.compile(r"\d+"), timeout=SLOW_MS)
    await sees(alice, "too early", times=0)
    await alice.get_by_role("button", name="Moderation").click()
    await alice.get_by_label("Slow mode").select_option("0")
    await alice.keyboard.press("Escape")
    await expect(bob.locator(".speak-note")).to_have_count(0, timeout=SLOW_MS)
    await field.press("Enter")
    waiting = alice.get_by_role("region", name="Waiting for you")
    await expect(waiting).to_contain_text("too early", timeout=SLOW_MS)
    await waiting.get_by_role("button", name="Let all see it").click()
    await sees(bob, "too early")
    await sees(alice, "too early")
    await moderate(alice, "too early", "Ban from the room")
    await alice.get_by_role("dialog").get_by_role("button", name="Ban from the room").click()
    await expect(bob.get_by_text("A moderator sent you out")).to_be_visible(timeout=SLOW_MS)
    await bob.get_by_role("button", name="Try again").click()
    await expect(bob.get_by_text("A moderator sent you out")).to_be_visible(timeout=SLOW_MS)


async def test_LR8_rooms_are_opened_from_the_lobby_and_closed(
    demo: DemoServer, enter: Enter
) -> None:
    alice, bob = await enter(demo.links[0]), await enter(demo.links[1])
    for page in (alice, bob):
        await expect(page.locator(".row").first).to_be_visible(timeout=SLOW_MS)
        await page.evaluate("location.hash = '#/live'")
    await bob.get_by_label("Title").fill("Bob's corner")
    await bob.get_by_label("Name in the address").fill("corner")
    await bob.get_by_role("button", name="Open the room").click()
    heading = bob.get_by_role("heading", level=1)
    await expect(heading).to_have_text("Bob's corner", timeout=SLOW_MS)
    await alice.get_by_label("Name or address").fill("corner")
    await alice.get_by_role("button", name="Watch").click()
    await expect(alice.get_by_role("heading", level=1)).to_have_text(
        "Bob's corner", timeout=SLOW_MS
    )
    await bob.get_by_role("button", name="Moderation").click()
    await bob.get_by_role("switch", name="The room is open").click()
    await expect(alice.locator(".room-note")).to_be_visible(timeout=SLOW_MS)
    guest = await enter(f"http://127.0.0.1:{demo.port}/#/live/main/r/corner")
    await expect(guest.get_by_text("This room cannot be watched")).to_be_visible(timeout=SLOW_MS)
