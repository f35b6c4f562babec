"""Two people chat in real browsers with a real server."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import expect
from site_rig import SLOW_MS, DemoServer, Enter, chromium, composer, message, open_chat, say, sees


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[DemoServer]:
    chromium()  # skip before anything is started
    with DemoServer(tmp_path / "data") as server:
        yield server


async def test_BR1_two_people_chat_and_see_how_far_it_came(demo: DemoServer, enter: Enter) -> None:
    alice, bob = [await enter(link) for link in demo.links]
    await open_chat(alice, "Bob Martin")
    await say(alice, "Are you there?")
    await sees(alice, "Are you there?")
    row = bob.get_by_role("link", name=re.compile("^Alice Chen"))
    await expect(row).to_contain_text("Are you there?", timeout=SLOW_MS)
    await expect(row).to_have_accessible_name(re.compile("unread"), timeout=SLOW_MS)
    await open_chat(bob, "Alice Chen")
    await sees(bob, "Are you there?")
    read = message(alice, "Are you there?").get_by_role("img", name="Read")
    await expect(read).to_be_visible(timeout=SLOW_MS)
    await expect(row).not_to_have_accessible_name(re.compile("unread"), timeout=SLOW_MS)
    await composer(bob).press_sequentially("Ye")
    head = alice.get_by_role("main").get_by_text(re.compile("is typing"))
    await expect(head).to_be_visible(timeout=SLOW_MS)
    await say(bob, "Yes, always.")
    await sees(alice, "Yes, always.")


async def test_BR2_kill_9_while_both_write_loses_and_doubles_nothing(
    demo: DemoServer, enter: Enter
) -> None:
    alice, bob = [await enter(link) for link in demo.links]
    await open_chat(alice, "Bob Martin")
    await open_chat(bob, "Alice Chen")
    for number in range(12):
        if number == 4:
            demo.stop(signal.SIGKILL)
        if number == 8:
            demo.start()
        await say(alice, f"from Alice {number:02}")
        await say(bob, f"from Bob {number:02}")
    for page in (alice, bob):
        for number in range(12):
            await sees(page, f"from Alice {number:02}")
            await sees(page, f"from Bob {number:02}")
        texts = await page.get_by_role("article").all_inner_texts()
        mine = [m[0] for text in texts if (m := re.search(r"from (?:Alice|Bob) \d\d", text))]
        for who in ("Alice", "Bob"):
            ours = [text for text in mine if who in text]
            assert ours == sorted(ours), "out of order"


async def test_BR3_what_was_said_offline_arrives_once_and_in_order(
    demo: DemoServer, enter: Enter
) -> None:
    alice, bob = [await enter(link) for link in demo.links]
    await open_chat(alice, "Bob Martin")
    await open_chat(bob, "Alice Chen")
    await bob.context.set_offline(True)
    await expect(bob.get_by_text(re.compile("offline", re.I)).first).to_be_visible(timeout=SLOW_MS)
    for number in range(5):
        await say(bob, f"offline {number}")
        await say(alice, f"meanwhile {number}")
    await sees(alice, "meanwhile 4")
    await bob.context.set_offline(False)
    for number in range(5):
        await sees(alice, f"offline {number}")
        await sees(bob, f"meanwhile {number}")
    await expect(bob.get_by_text(re.compile("you are offline", re.I))).to_have_count(
        0, timeout=SLOW_MS
    )


async def test_BR4_two_tabs_of_one_person_are_one_device(demo: DemoServer, enter: Enter) -> None:
    alice, bob = [await enter(link) for link in demo.links]
    await open_chat(alice, "Bob Martin")
    second = await alice.context.new_page()
    await second.goto(alice.url)
    await open_chat(second, "Bob Martin")
    await say(second, "from the second tab")
    await sees(alice, "from the second tab")
    await sees(second, "from the second tab")
    await say(alice, "from the first tab")
    await sees(second, "from the first tab")
    await alice.close()  # whichever of the two held the connection
    await say(second, "after the first is gone")
    await open_chat(bob, "Alice Chen")
    for text in ("from the second tab", "from the first tab", "after the first is gone"):
        await sees(bob, text)


async def test_BR5_edits_and_recalls_are_seen_everywhere(demo: DemoServer, enter: Enter) -> None:
    alice, bob = [await enter(link) for link in demo.links]
    await open_chat(alice, "Bob Martin")
    await open_chat(bob, "Alice Chen")
    await say(alice, "first version")
    await sees(bob, "first version")
    await _choose(message(alice, "first version"), "Edit")
    await expect(composer(alice)).to_have_value("first version", timeout=SLOW_MS)
    await say(alice, "second version")
    await sees(bob, "second version")
    await sees(bob, "first version", times=0)
    await _choose(message(alice, "second version"), "Recall")
    await alice.get_by_role("dialog").get_by_role("button", name="Recall").click()
    for page in (alice, bob):
        await sees(page, "second version", times=0)


async def _choose(bubble: object, action: str) -> None:
    """An action of a message's menu."""
    await bubble.hover()  # type: ignore[attr-defined]
    await bubble.get_by_role("button", name="More").click()  # type: ignore[attr-defined]
    page = bubble.page  # type: ignore[attr-defined]
    await page.get_by_role("menuitem", name=action).click()
