"""What people do with a chat app besides writing, each once, in a real browser."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.async_api import Locator, Page, expect
from site_rig import (
    SLOW_MS,
    DemoServer,
    Enter,
    chromium,
    composer,
    message,
    open_chat,
    say,
    sees,
)

from hongyan.bench.server import ServerProcess

FILES = """([to, type, name, mime, data]) => {
    const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
    const carried = new DataTransfer();
    carried.items.add(new File([bytes], name, { type: mime }));
    const given = { bubbles: true, cancelable: true };
    document.querySelector(to).dispatchEvent(
        type === 'paste'
            ? new ClipboardEvent(type, { ...given, clipboardData: carried })
            : new DragEvent(type, { ...given, dataTransfer: carried }));
}"""
# What the browser would show beside the page, and a page that nobody looks at.
NOTES = """window.notes = [];
window.Notification = class {
    static permission = 'granted';
    static requestPermission = async () => 'granted';
    constructor(title, options) { window.notes.push([title, options.body]); }
    close() {}
};
document.hasFocus = () => false;"""


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[DemoServer]:
    chromium()  # skip before anything is started
    with DemoServer(tmp_path / "data") as server:
        yield server


def row(page: Page, title: str) -> Locator:
    """A conversation of the list."""
    return page.get_by_role("link", name=re.compile(f"^{re.escape(title)}")).first


async def choose_for_row(page: Page, title: str, *actions: str) -> None:
    """Actions of a conversation's menu, one after the other."""
    for action in actions:
        await row(page, title).click(button="right")
        await page.get_by_role("menuitem", name=action, exact=True).click()


async def choose(bubble: Locator, action: str) -> None:
    """An action of a message's menu."""
    await bubble.hover()
    await bubble.get_by_role("button", name="More").click()
    await bubble.page.get_by_role("menuitem", name=action, exact=True).click()


async def test_BR11_a_list_is_put_in_order_and_stays_so(demo: DemoServer, enter: Enter) -> None:
    alice = await enter(demo.links[0])
    await expect(row(alice, "Bob Martin")).to_be_visible(timeout=SLOW_MS)
    await choose_for_row(alice, "Launch team", "Unpin")
    await choose_for_row(alice, "Bob Martin", "Pin on top", "Mute", "Mark as read")
    await open_chat(alice, "Saved messages")
    await composer(alice).fill("not sent yet")
    await choose_for_row(alice, "Diego Ramos", "Archive")
    second = await enter(demo.links[0])  # another device of hers
    for page in (alice, second):
        links = page.get_by_role("navigation").get_by_role("link")
        muted = re.compile("^Bob Martin muted (?!.*unread)")
        await expect(links.first).to_have_accessible_name(muted, timeout=SLOW_MS)
        await expect(row(page, "Diego Ramos")).to_have_count(0, timeout=SLOW_MS)
    await expect(row(second, "Saved messages")).to_contain_text("not sent yet", timeout=SLOW_MS)
    await second.get_by_role("button", name="Archived").click()
    await expect(row(second, "Diego Ramos")).to_be_visible(timeout=SLOW_MS)
    await choose_for_row(second, "Diego Ramos", "Move out of the archive")
    await expect(row(alice, "Diego Ramos")).to_be_visible(timeout=SLOW_MS)


async def test_BR12_a_message_is_answered_quoted_reacted_to_and_forwarded(
    demo: DemoServer, enter: Enter
) -> None:
    alice, bob = [await enter(link) for link in demo.links]
    await open_chat(alice, "Bob Martin")
    await open_chat(bob, "Alice Chen")
    await say(alice, "The red door or the blue one?")
    await sees(bob, "The red door or the blue one?")
    await choose(message(bob, "The red door"), "Reply")
    await say(bob, "Blue.")
    await expect(message(alice, "Blue.")).to_contain_text("red door", timeout=SLOW_MS)
    await message(bob, "Blue.").hover()
    await choose(message(alice, "Blue."), "Pin")
    await expect(bob.get_by_text("Pinned message").first).to_be_visible(timeout=SLOW_MS)
    await message(alice, "Blue.").click(button="right")
    await (
        alice.get_by_role("button", name="👍")
        .or_(alice.get_by_role("menuitem", name="👍"))
        .first.click()
    )
    await expect(message(bob, "Blue.")).to_contain_text("👍", timeout=SLOW_MS)
    await choose(message(bob, "The red door").first, "Forward")
    dialog = bob.get_by_role("dialog")
    await dialog.get_by_text("Launch team").click()
    await dialog.get_by_role("button", name=re.compile("^Send")).click()
    await open_chat(alice, "Launch team")
    forwarded = message(alice, "The red door or the blue one?")
    await expect(forwarded).to_contain_text("Forwarded from", timeout=SLOW_MS)


async def test_BR13_a_mention_is_completed_and_told(demo: DemoServer, enter: Enter) -> None:
    alice, bob = [await enter(link) for link in demo.links]
    await open_chat(alice, "Launch team")
    await bob.add_init_script(NOTES)
    await bob.reload()
    await expect(row(bob, "Launch team")).to_be_visible(timeout=SLOW_MS)
    await composer(alice).press_sequentially("look @Bo")
    await alice.get_by_role("option", name=re.compile("Bob Martin")).click()
    await composer(alice).press_sequentially("here")
    await composer(alice).press("Enter")
    await sees(alice, "look @Bob Martin here")
    shown = (
        "() => window.notes.some(([t, b]) => t === 'Launch team' && /look @Bob .* here/.test(b))"
    )
    await bob.wait_for_function(shown, timeout=SLOW_MS)
    assert "(" in await bob.title()


async def test_BR14_pictures_come_by_paste_and_drop_and_open_large(
    demo: DemoServer, enter: Enter
) -> None:
    alice = await enter(demo.links[0])
    await open_chat(alice, "Bob Martin")
    made = io.BytesIO()
    Image.linear_gradient("L").resize((640, 480)).save(made, "PNG")
    data = base64.b64encode(made.getvalue()).decode()
    for place, how, name in (
        (".composer textarea", "paste", "a.png"),
        (".thread", "drop", "b.png"),
    ):
        await alice.evaluate(FILES, [place, how, name, "image/png", data])
        send = alice.get_by_role("dialog").get_by_role("button", name=re.compile("^Send"))
        await send.click()
        await alice.get_by_role("button", name=f"Open photo {name}").wait_for(timeout=SLOW_MS)
    await alice.get_by_role("button", name="Open photo b.png").click()
    large = alice.get_by_role("dialog").locator("img").last
    await expect(large).to_be_visible(timeout=SLOW_MS)
    await alice.keyboard.press("Escape")
    await expect(alice.get_by_role("dialog")).to_have_count(0)
    await alice.get_by_role("button", name="Record a voice message").click()
    timer = alice.get_by_role("timer")
    await expect(timer).to_contain_text("0:01", timeout=SLOW_MS)
    await alice.get_by_role("button", name="Send the recording").click()
    await expect(
        alice.get_by_role("article").last.get_by_role("button", name="Play")
    ).to_be_visible(timeout=SLOW_MS)


async def test_BR15_a_group_is_made_and_kept(demo: DemoServer, enter: Enter) -> None:
    alice, bob = [await enter(link) for link in demo.links]
    await row(alice, "Bob Martin").wait_for(timeout=SLOW_MS)
    await alice.get_by_role("button", name="New chat").click()
    dialog = alice.get_by_role("dialog")
    await dialog.get_by_text("New group").click()
    await dialog.get_by_text("Bob Martin").first.click()
    await dialog.get_by_role("button", name="Next").click()
    await dialog.get_by_label("Name of the group").fill("Garden club")
    await dialog.get_by_role("button", name="Create group").click()
    await say(alice, "Welcome")
    await open_chat(bob, "Garden club")
    await sees(bob, "Welcome")
    await alice.get_by_role("button", name="Details").last.click()
    side = alice.get_by_role("complementary")
    await side.get_by_role("button", name="Members").click()
    await alice.get_by_role("button", name="What to do with Bob Martin").click()
    await alice.get_by_role("menuitem", name=re.compile("^Remove")).click()
    await alice.get_by_role("dialog").get_by_role("button", name=re.compile("^Remove")).click()
    await expect(bob.get_by_text("You are not in this group any more").first).to_be_visible(
        timeout=SLOW_MS
    )


async def test_BR16_devices_are_logged_out_and_looks_are_chosen(
    demo: DemoServer, enter: Enter
) -> None:
    alice = await enter(demo.links[0])
    await row(alice, "Bob Martin").wait_for(timeout=SLOW_MS)
    other = await enter(demo.links[0])
    await row(other, "Bob Martin").wait_for(timeout=SLOW_MS)
    await alice.get_by_role("button", name="Menu of your account").click()
    await alice.get_by_role("menuitem", name="Settings").click()
    dialog = alice.get_by_role("dialog")
    await dialog.get_by_text("Devices", exact=True).click()
    await dialog.get_by_role("listitem").get_by_role("button", name="Log out").click()
    await expect(alice.get_by_role("dialog")).to_have_count(2)  # it asks first
    await alice.get_by_role("dialog").last.get_by_role("button", name="Log out").click()
    await expect(other.get_by_label("User name")).to_be_visible(timeout=SLOW_MS)
    await dialog.get_by_text("Appearance", exact=True).first.click()
    await dialog.get_by_label("Appearance").last.select_option(label="Dark")
    await expect(alice.locator("html")).to_have_attribute("data-theme", "dark")
    await dialog.get_by_label("Language").select_option(label="简体中文")
    await expect(dialog.get_by_role("button", name="登录设备")).to_be_visible()


async def test_BR17_a_day_is_jumped_to(demo: DemoServer, enter: Enter) -> None:
    alice = await enter(demo.links[0])
    await open_chat(alice, "Bob Martin")
    await alice.get_by_role("button", name="Search in this conversation").click()
    await alice.get_by_role("button", name="Jump to a date").click()
    days = alice.get_by_role("dialog").get_by_role("button", name=re.compile("^Jump to"))
    await days.and_(alice.locator(":enabled")).last.click()
    await sees(alice, "Hi Alice! Did you see the new message service?")


async def test_BR20_a_server_is_set_up_and_joined_in_the_browser(
    tmp_path: Path, enter: Enter
) -> None:
    chromium()
    settings = ("accounts.registration=true",)
    with ServerProcess(tmp_path / "data", core=None, settings=settings) as server:
        base = f"http://127.0.0.1:{server.port}/"
        root = await enter(base)
        await root.get_by_role("button", name="Have a first-start code?").click()
        await root.get_by_label("One-time code").fill(server.code)
        await fill_in(root, "root", "Set up this server")
        await expect(
            row(root, "Saved messages").or_(root.get_by_text("No conversations yet")).first
        ).to_be_visible(timeout=SLOW_MS)
        ann = await enter(base)
        await ann.get_by_role("button", name="New here? Create an account").click()
        await fill_in(ann, "root", "Create account")
        await expect(ann.get_by_text("This user name is taken.")).to_be_visible(timeout=SLOW_MS)
        await fill_in(ann, "ann", "Create account")
        await ann.get_by_role("button", name="New chat").click()
        await ann.get_by_role("dialog").get_by_label("Name or user name").fill("root")
        await ann.get_by_role("dialog").get_by_text("root").last.click()
        await composer(ann).fill("Thank you for the server")
        await composer(ann).press("Enter")
        await expect(row(root, "ann")).to_contain_text("Thank you", timeout=SLOW_MS)


async def fill_in(page: Page, user: str, send: str) -> None:
    """The form of a new account, and off it goes."""
    await page.get_by_label("User name").fill(user)
    await page.get_by_label("Password", exact=True).fill("correct horse battery")
    await page.get_by_label("Password, once more").fill("correct horse battery")
    await page.get_by_role("button", name=send, exact=True).click()


async def test_BR18_the_api_is_shown_by_files_of_this_server(
    demo: DemoServer, enter: Enter
) -> None:
    base = demo.links[0].partition("/#")[0]
    page = await enter("about:blank")
    said: list[str] = []
    page.on("console", lambda line: said.append(line.text) if line.type == "error" else None)
    hosts: set[str] = set()
    page.on("request", lambda request: hosts.add(request.url.partition("/v1")[0][: len(base)]))
    await page.goto(f"{base}/docs")
    call = page.locator(".opblock").filter(has_text="/v1/calls").first
    await call.get_by_role("button").first.click(timeout=SLOW_MS)
    await expect(call.get_by_text("Idempotency-Key").first).to_be_visible()
    assert said == [] and hosts == {base}
