"""What the pages must withstand: long histories, pictures, words that are meant as code."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image
from playwright.async_api import expect
from site_rig import SLOW_MS, DemoServer, Enter, chromium, open_chat, sees

from hongyan.client import Client

LOOSE = [
    f'limits.rates.{name}={{"rate":0,"burst":1}}' for name in ("connection", "user", "log", "ip")
]
ENTRIES = 10_000
STEP = 320  # px of a turn of the wheel: less than a window, so what was on top stays in it
LINE = "line (\\d{5})"
# The number of the first whole line in view, and where it stands.
FIRST = f"""() => {{
    const feed = document.querySelector('[role=feed]').getBoundingClientRect();
    for (const one of document.querySelectorAll('[role=feed] article')) {{
        const found = one.textContent.match(/{LINE}/), top = one.getBoundingClientRect().top;
        if (found && top >= feed.top) return [Number(found[1]), top];
    }}
}}"""
# Whether that line went down as far as the wheel turned, and came to rest there.
MOVED = f"""async ([number, top, step]) => {{
    const far = () => [...document.querySelectorAll('[role=feed] article')]
        .find((one) => Number(one.textContent.match(/{LINE}/)?.[1]) === number)
        ?.getBoundingClientRect().top - top - step;
    if (!(Math.abs(far()) <= 2)) return false;
    await new Promise((done) => setTimeout(done, 120));
    return Math.abs(far()) <= 2;
}}"""


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[DemoServer]:
    chromium()  # skip before anything is started
    with DemoServer(tmp_path / "data", *LOOSE) as server:
        yield server


async def token_of(link: str, device: str) -> str:
    """What a page would get by this link."""
    base, _, code = link.partition("/#enter=")
    guard = {"Hongyan-Request": "1"}
    async with httpx.AsyncClient(base_url=base, headers=guard) as http:
        body = {"code": code, "device": device}
        assert (await http.post("/v1/session/enter", json=body)).status_code == 201
        return str((await http.post("/v1/session/token")).json()["token"])


async def test_BR6_ten_thousand_messages_scroll_without_a_jump(
    demo: DemoServer, enter: Enter
) -> None:
    token = await token_of(demo.links[1], "filler-1")

    async def get_token() -> str:
        return token

    url = f"http://127.0.0.1:{demo.port}"
    async with Client(url, get_token, device="filler-1", cls="server") as client:
        log = (await client.call("chat.open", {"user": "alice"})).log
        for start in range(0, ENTRIES, 500):
            await asyncio.gather(
                *(client.send(log, f"line {n:05}") for n in range(start, start + 500))
            )
    alice = await enter(demo.links[0])
    await open_chat(alice, "Bob Martin")
    feed = alice.get_by_role("feed")
    first = feed.get_by_text("line 00000")  # the first unread one
    await expect(first).to_be_in_viewport(timeout=SLOW_MS)
    await alice.get_by_role("button", name=re.compile("go to the newest message", re.I)).click()
    await expect(feed.get_by_text("line 09999")).to_be_in_viewport(timeout=SLOW_MS)
    await feed.hover()
    low = ENTRIES
    for _ in range(40):
        number, top = await alice.evaluate(FIRST)
        await alice.mouse.wheel(0, -STEP)
        await alice.wait_for_function(MOVED, arg=[number, top, STEP], timeout=SLOW_MS)
        count = await alice.get_by_role("article").count()
        assert count < 400, "the page draws what nobody sees"
        low = min(low, number)
    assert low < ENTRIES - 200
    texts = re.findall(r"line (\d{5})", await feed.inner_text())
    numbers = [int(text) for text in texts]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "a hole or a double"


async def test_BR7_a_picture_goes_from_one_to_the_other(demo: DemoServer, enter: Enter) -> None:
    alice, bob = [await enter(link) for link in demo.links]
    await open_chat(alice, "Bob Martin")
    await open_chat(bob, "Alice Chen")
    picture = io.BytesIO()
    Image.linear_gradient("L").resize((800, 600)).convert("RGB").save(picture, "JPEG")
    async with alice.expect_file_chooser() as chooser:
        await alice.get_by_role("button", name="Attach files").click()
        chosen = alice.get_by_role("menuitem", name=re.compile("photo|picture|file", re.I)).first
        if await chosen.is_visible():
            await chosen.click()
    file = {"name": "sunset.jpg", "mimeType": "image/jpeg", "buffer": picture.getvalue()}
    await (await chooser.value).set_files([file])  # type: ignore[list-item]
    send = alice.get_by_role("dialog").get_by_role("button", name=re.compile("^Send"))
    await expect(send).to_be_visible(timeout=SLOW_MS)
    await send.click()
    for page in (alice, bob):
        shown = page.get_by_role("article").locator("img.picture, figure img, button img").last
        await expect(shown).to_be_visible(timeout=SLOW_MS)
        await page.wait_for_function(
            "() => [...document.querySelectorAll('[role=feed] article img')]"
            ".some(img => img.complete && img.naturalWidth >= 240)",
            timeout=SLOW_MS,
        )


NASTY = (
    "<img src=x onerror=window.hit=1>",
    "<script>window.hit=1</script>",
    "javascript:window.hit=1",
    '[x](javascript:window.hit=1) https://ok.example/"onmouseover=window.hit=1 x',
    "<svg onload=window.hit=1>",
    "{{constructor.constructor('window.hit=1')()}} ${window.hit=1}",
)


async def test_BR8_words_stay_words_wherever_they_are_written(
    demo: DemoServer, enter: Enter
) -> None:
    alice = await enter(demo.links[0])
    token = await token_of(demo.links[1], "api-1")
    base = f"http://127.0.0.1:{demo.port}"
    auth = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=base, headers=auth) as http:
        renamed = await http.patch("/v1/me", json={"name": NASTY[0][:64]})
        assert renamed.status_code == 200, renamed.text

        async def call(name: str, args: object, log: str = "") -> str:
            path = f"/v1/logs/{log}/calls" if log else "/v1/calls"
            op = {"Idempotency-Key": f"{name}-{abs(hash(str(args)))}"}
            got = await http.post(path, json={"name": name, "args": args}, headers=op)
            assert got.status_code == 200, got.text
            return str(got.json()["log"])

        log = await call("chat.create", {"title": NASTY[1], "members": ["alice"]})
        await call("chat.update", {"notice": NASTY[4]}, log)
        await call("chat.settings", {"nickname": NASTY[0]}, log)
        for text in NASTY:
            await call("chat.send", {"content": {"type": "text", "text": text}}, log)
        card = {"type": "card", "of": "link", "title": NASTY[0], "url": "javascript:window.hit=1"}
        await call("chat.send", {"content": card}, log)
        blob = {"digest": "0" * 64, "size": 1, "media_type": "text/html", "name": NASTY[0]}
        await call("chat.send", {"content": {"type": "file", "blob": blob}}, log)
    await alice.get_by_role("link", name=re.compile("script")).first.click()
    for text in NASTY:
        said = alice.get_by_role("feed").get_by_text(text, exact=True)
        await expect(said.last).to_be_visible(timeout=SLOW_MS)
    await alice.get_by_role("button", name="Details").last.click()
    await expect(alice.get_by_text(NASTY[4]).first).to_be_visible(timeout=SLOW_MS)
    assert await alice.evaluate("window.hit") is None
    links = await alice.evaluate("[...document.querySelectorAll('a[href]')].map(a => a.href)")
    assert [link for link in links if not re.match(r"https?://", link)] == []
    loaded = await alice.evaluate("performance.getEntriesByType('resource').map(r => r.name)")
    assert [name for name in loaded if not name.startswith((base, "blob:", "data:"))] == []


async def test_BR9_search_finds_and_jumps(demo: DemoServer, enter: Enter) -> None:
    alice = await enter(demo.links[0])
    await open_chat(alice, "Launch team")
    await alice.get_by_role("searchbox", name="Search").fill("upgrade notes")
    hit = alice.get_by_role("navigation").get_by_text(re.compile("Docs are updated")).first
    await expect(hit).to_be_visible(timeout=SLOW_MS)
    await hit.click()
    await sees(alice, "Docs are updated")
