"""What a live room shows beside its messages, and what one can do about it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from live_rig import ROOM, Wire, field, inside, line, moderate, say, sees, watch
from playwright.async_api import Page, expect
from site_rig import SLOW_MS, DemoServer, Enter, chromium

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[DemoServer]:
    chromium()  # skip before anything is started
    with DemoServer(tmp_path / "data") as server:
        yield server


async def test_LR5_LR6_what_is_left_out_is_told_by_number_and_reason(
    demo: DemoServer, enter: Enter
) -> None:
    bob = await enter(demo.links[1])
    await watch(bob)
    wire = Wire()
    await wire.take(bob)
    await inside(bob)
    gap = bob.locator(".room-gap")
    await expect(gap).to_have_count(0)
    wire.tell({"t": "gap", "n": 30, "reason": "sampled"})
    wire.tell({"t": "gap", "n": 7, "reason": "sampled"})
    await expect(gap).to_have_text("37 left out: more than a screen can show")
    wire.tell({"t": "gap", "n": 2, "reason": "slow"})
    wire.tell({"t": "gap", "n": 1, "reason": "shed"})
    await expect(gap).to_contain_text("2 left out: your connection is slow")
    await expect(gap).to_contain_text("1 left out: the server is busy")
    await expect(gap).to_have_text("40 messages left out since you came")  # after a while


async def test_LR1_a_host_sees_how_much_comes_in_by_lane(demo: DemoServer, enter: Enter) -> None:
    alice, bob = await enter(demo.links[0]), await enter(demo.links[1])
    await watch(alice)
    traffic = alice.locator(".traffic")
    await expect(traffic.locator(".traffic-normal dd")).to_have_text("0")
    await watch(bob)
    await expect(bob.locator(".traffic")).to_have_count(0)
    await expect(traffic.locator(".traffic-low dd")).to_have_text("2")  # both came
    for text in ("one", "two", "three"):
        await say(bob, text)
    await bob.get_by_role("button", name="Gifts").click()
    await bob.get_by_role("button", name="Give Tea").click()
    await expect(traffic.locator(".traffic-normal dd")).to_have_text("3")
    await expect(traffic.locator(".traffic-high dd")).to_have_text("1")
    await expect(traffic.locator(".traffic-missed dd")).to_have_text("0")


async def test_LR3_gifts_are_offered_only_where_they_are_taken(
    tmp_path: Path, enter: Enter
) -> None:
    chromium()
    with DemoServer(tmp_path / "data", "kinds.room.gifts=backend") as server:
        bob = await enter(server.links[1])
        await watch(bob)
        await expect(bob.get_by_role("button", name="Like")).to_be_visible()
        await sees(bob, "前排")
        # what the server offers was asked for before what was said of the recording came
        await expect(bob.get_by_role("button", name="Watch the recording")).to_be_visible()
        await bob.get_by_role("button", name="Like").click()
        await expect(bob.locator(".chip-heart")).to_contain_text("1")
        await expect(bob.get_by_role("button", name="Gifts")).to_have_count(0)


async def test_LR8_muted_sent_out_and_closed_are_said(demo: DemoServer, enter: Enter) -> None:
    alice, bob = await enter(demo.links[0]), await enter(demo.links[1])
    await watch(alice)
    await watch(bob)
    await say(bob, "loud words")
    await moderate(alice, "loud words", "Mute for 10 minutes")
    note = bob.locator(".speak-note")
    await expect(note).to_contain_text("A moderator muted you")
    await expect(bob.locator(".speak-left")).to_have_text(re.compile(r"^(10:00|9:\d\d)$"))
    await field(bob).fill("still here")
    await expect(bob.get_by_role("button", name="Send")).to_be_disabled()
    await moderate(alice, "loud words", "Let speak again")
    await expect(note).to_have_count(0)
    await moderate(alice, "loud words", "Send out for 5 minutes")
    await expect(bob.get_by_text("A moderator sent you out of this room.")).to_be_visible()
    await expect(bob.get_by_text(re.compile(r"You may come back in [45]:\d\d"))).to_be_visible()
    await alice.get_by_role("button", name="Moderation").click()
    await alice.get_by_role("button", name="Undo").click()
    await alice.keyboard.press("Escape")
    await bob.get_by_role("button", name="Try again").click()
    await inside(bob)
    await alice.get_by_role("button", name="Moderation").click()
    await alice.get_by_role("switch", name="The room is open").click()
    await expect(bob.get_by_text("This room is closed.")).to_be_visible()
    await expect(bob.get_by_text("sent you out")).to_have_count(0)


async def test_LR10_a_guest_reads_names_not_ids(demo: DemoServer, enter: Enter) -> None:
    guest = await enter(f"http://127.0.0.1:{demo.port}/{ROOM}")
    await sees(guest, "Bob Hello from Lisbon")
    await expect(guest.locator(".stage-host")).to_have_text("Alice")
    await expect(guest.get_by_role("button", name="Gifts")).to_have_count(0)


async def closes(page: Page, layer: str) -> None:
    """What is open closes and the room stays."""
    await expect(page.locator(layer)).to_have_count(0)
    assert page.url.endswith(ROOM)
    await inside(page)


@pytest.mark.parametrize("back", [True, False], ids=["back", "escape"])
async def test_BR21_panels_and_windows_of_a_room_close_before_the_room(
    demo: DemoServer, enter: Enter, back: bool
) -> None:
    alice = await enter(demo.links[0], **PHONE)
    await watch(alice)

    async def away() -> None:
        if back:
            await alice.evaluate("history.back()")
        else:
            await alice.keyboard.press("Escape")

    for button, layer in (
        ("Gifts", ".gifts"),
        ("Colour and place", ".looks"),
        ("Moderation", ".manage"),
    ):
        await alice.get_by_role("button", name=button, exact=True).click()
        await expect(alice.locator(layer)).to_be_visible()
        await away()
        await closes(alice, layer)
    await alice.get_by_role("button", name="Moderation").click()
    await alice.get_by_role("button", name="Announce").click()
    await expect(alice.locator("dialog[open]")).to_have_count(2)
    await away()
    await expect(alice.locator("dialog[open]")).to_have_count(1)
    await away()
    await closes(alice, "dialog[open]")
    await alice.get_by_role("button", name=re.compile("^Moderate: .*前排")).click()
    await expect(alice.get_by_role("menu")).to_be_visible()
    await away()
    await closes(alice, "dialog[open]")
    while await alice.evaluate("Boolean(history.state)"):  # until the step of the panels is gone
        await alice.wait_for_timeout(50)
    await alice.evaluate("history.back()")
    await expect(alice.locator(".row").first).to_be_visible(timeout=SLOW_MS)


async def test_LR12_a_recording_is_watched_with_what_was_said_of_it(
    demo: DemoServer, enter: Enter
) -> None:
    bob, guest = await enter(demo.links[1]), await enter(f"http://127.0.0.1:{demo.port}/{ROOM}")
    await watch(bob)
    await bob.get_by_role("button", name="Watch the recording").click()
    await expect(bob.locator(".reel-time")).to_contain_text("/ 1:23")
    flying = bob.locator(".flyers:not([data-flying='0'])")
    await expect(flying).to_have_count(1)  # the first one comes at its moment
    moment = bob.get_by_label("Moment of the recording")
    await moment.fill("30000")
    await bob.get_by_role("button", name="Pause").click()
    await say(bob, "what a moment")
    await expect(line(guest, "what a moment")).to_have_count(1)  # it is live too
    await guest.get_by_role("button", name="Watch the recording").click()
    token = "/v1/logs/main/r/launch/viewer-token"
    found = """async ([token, path]) => {
      const { token: bearer } = await (await fetch(token, { method: "POST" })).json();
      const answer = await fetch(path, { headers: { Authorization: `Bearer ${bearer}` } });
      return (await answer.json()).items.map(({ media_ms, body }) => [media_ms, body.text]);
    }"""
    path = "/v1/logs/main/r/launch/danmaku?from_ms=30000&to_ms=60000"
    deadline = SLOW_MS // 500
    kept: list[list[object]] = []
    while not kept and deadline:
        kept = await guest.evaluate(found, [token, path])
        deadline -= 1
        await guest.wait_for_timeout(500)
    assert [text for _, text in kept] == ["what a moment"]
    assert 30_000 <= int(str(kept[0][0])) <= 60_000
    await bob.get_by_role("button", name="Back to what is live").click()
    await expect(bob.locator(".reel")).to_have_count(0)


async def test_LR6_a_fast_list_draws_what_is_seen_and_keeps_still_when_it_is_held(
    demo: DemoServer, enter: Enter
) -> None:
    bob = await enter(demo.links[1])
    await watch(bob)
    wire = Wire()
    await wire.take(bob)
    await inside(bob)
    await sees(bob, "前排")
    off = wire.attached["off"]
    base = {"type": "danmaku", "from": "eve", "at": 1, "lane": 1}
    for first in range(1, 121, 30):
        numbers = range(first, first + 30)
        items = [{**base, "off": off + n, "body": {"text": f"line-{n}."}} for n in numbers]
        wire.tell({"t": "live", "items": items})
    await sees(bob, "line-120.")
    lines = bob.get_by_role("log").locator(".line")
    assert await lines.count() < 60
    await sees(bob, "line-20.", times=0)
    looked_at = line(bob, "line-110.")
    await bob.get_by_role("log").hover()
    await bob.mouse.wheel(0, -150)
    await sees(bob, "line-20.")  # all that is kept can be scrolled to
    await expect(bob.locator(".talk-go")).to_be_visible()
    before = await looked_at.bounding_box()
    items = [{**base, "off": off + n, "body": {"text": f"line-{n}."}} for n in range(121, 131)]
    wire.tell({"t": "live", "items": items})
    await expect(bob.locator(".talk-go")).to_contain_text("10 new below")
    assert await looked_at.bounding_box() == before
    await expect(looked_at).to_be_in_viewport()
    await bob.locator(".talk-go").click()
    await expect(line(bob, "line-130.")).to_be_in_viewport()
    assert await lines.count() < 60
