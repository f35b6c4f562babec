"""The TypeScript SDK in a real browser: its locks, its channels, its database, its crashes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page, Route
from playwright.async_api import Error as BrowserError
from tests.e2e.http_rig import Service
from tests.node_sdk import BIN, node, run

WAIT_MS = 20_000
PAGE = "<!doctype html><title>SDK</title><script src=sdk.js></script>"
KEYS = """new Promise((done) => {
    const open = indexedDB.open("hongyan:main:alice");
    open.onsuccess = () => {
        const all = open.result.transaction("kv").objectStore("kv").getAllKeys();
        all.onsuccess = () => done(all.result);
    };
})"""
START = """async ([token, options]) => {
    const basic = {url: location.origin, getToken: async () => token, name: "main:alice"};
    window.client = sdk.createClient({...basic, ...options});
    await client.start();
}"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> str:
    node()
    made = tmp_path_factory.mktemp("sdk") / "sdk.js"
    run(
        *(BIN / "esbuild", "src/index.ts", "--bundle", "--format=iife", "--global-name=sdk"),
        *("--external:@msgpack/msgpack", f"--outfile={made}", "--log-level=warning"),
    )
    return made.read_text("utf-8")


class Tabs:
    """One browser profile of alice, on a page of the server that holds only the SDK."""

    def __init__(self, context: BrowserContext, service: Service, token: str, log: str) -> None:
        self.context, self.service, self.token, self.log = context, service, token, log

    async def open(self, **options: object) -> Page:
        page = await self.context.new_page()
        await page.goto(f"{self.service.http.base_url}/sdk-test/")
        await page.evaluate(START, [self.token, options])
        return page

    async def until(self, page: Page, condition: str) -> None:
        await page.wait_for_function(condition, timeout=WAIT_MS)

    async def opened(self, **options: object) -> Page:
        page = await self.open(**options)
        await self.until(page, "client.status.state === 'open' && client.status.synced")
        return page

    async def send(self, page: Page, *texts: str) -> None:
        """Without waiting for an answer."""
        say = "([log, texts]) => { texts.forEach((text) => client.send(log, text)); }"
        await page.evaluate(say, [self.log, list(texts)])

    async def texts(self) -> list[str]:
        """What the server holds."""
        got = await self.service.get(f"/v1/logs/{self.log}/entries?after=0&limit=200", self.token)
        assert got.status_code == 200, got.text
        entries: list[dict[str, Any]] = got.json()["entries"]
        return [e["body"]["content"]["text"] for e in entries if e["type"] == "message"]


@pytest.fixture
async def tabs(browser: Browser, script: str) -> AsyncIterator[Tabs]:
    async with Service() as service:
        token, _, log = await service.talk()
        context = await browser.new_context()

        async def fulfil(route: Route) -> None:
            is_script = route.request.url.endswith("sdk.js")
            kind = "text/javascript" if is_script else "text/html"
            await route.fulfill(body=script if is_script else PAGE, content_type=kind)

        await context.route("**/sdk-test/**", fulfil)
        yield Tabs(context, service, token, log)
        await context.close()


@pytest.mark.parametrize("transport", ["sse", "poll"])
async def test_G7_a_browser_without_websockets(tabs: Tabs, transport: str) -> None:
    page = await tabs.opened(transports=[transport])
    assert await page.evaluate("client.status.transport") == transport
    await tabs.send(page, "one", "two")
    await tabs.until(page, "client.outbox.length === 0")
    await tabs.until(page, "client.rows.values().next().value.last?.body.content.text === 'two'")
    assert await tabs.texts() == ["one", "two"]
    other = await tabs.opened(transports=[transport])
    assert await leaders(page, other) == [True, False]
    await page.evaluate("client.close()")
    await tabs.send(other, "three")
    await tabs.until(other, "client.status.leader && client.outbox.length === 0")
    assert await tabs.texts() == ["one", "two", "three"]


async def leaders(*pages: Page) -> list[bool]:
    return [bool(await page.evaluate("client.status.leader")) for page in pages]


async def test_G4_G5_another_tab_takes_over(tabs: Tabs) -> None:
    """Closed in the middle of everybody's calls: none is lost, none comes twice."""
    one, two, three = await tabs.opened(), await tabs.opened(), await tabs.opened()
    assert await leaders(one, two, three) == [True, False, False]
    first = [f"first {n}" for n in range(20)]
    await tabs.send(two, *first)
    await one.close()
    second = [f"second {n}" for n in range(20)]
    await tabs.send(three, *second)
    await tabs.until(two, "client.outbox.length === 0 && client.status.state === 'open'")
    await tabs.until(three, "client.outbox.length === 0 && client.status.state === 'open'")
    assert sum(await leaders(two, three)) == 1
    said = await tabs.texts()
    assert sorted(said) == sorted(first + second)
    assert [text for text in said if text in first] == first
    assert [text for text in said if text in second] == second


async def test_G5_a_crashed_tab_is_replaced(tabs: Tabs) -> None:
    """Its process is gone without a word; the others go on, with its calls."""
    one, two = await tabs.opened(), await tabs.opened()
    await tabs.send(one, "before the crash")
    await tabs.until(two, "client.rows.values().next().value.last !== null")
    with pytest.raises(BrowserError):
        await one.goto("chrome://crash")
    await tabs.send(two, "after the crash")
    await tabs.until(two, "client.status.leader && client.outbox.length === 0")
    assert await tabs.texts() == ["before the crash", "after the crash"]


async def test_G3_written_offline_sent_by_the_next_page(tabs: Tabs) -> None:
    one = await tabs.opened()
    await tabs.context.set_offline(True)
    await tabs.send(one, "written offline", "and another")
    await tabs.until(one, "client.outbox.length === 2")
    await tabs.until(
        one, f"({KEYS}).then((keys) => keys.filter((key) => key.startsWith('o/')).length === 2)"
    )
    await one.close()
    await tabs.context.set_offline(False)
    two = await tabs.open()
    await tabs.until(two, "client.status.synced && client.outbox.length === 0")
    assert await tabs.texts() == ["written offline", "and another"]


async def test_G6_log_out_ends_every_tab(tabs: Tabs) -> None:
    one, two = await tabs.opened(), await tabs.opened()
    await tabs.send(two, "hello")
    await tabs.until(one, "client.rows.values().next().value.last !== null")
    await two.evaluate("client.close({logout: true})")
    await tabs.until(one, "client.status.state === 'stopped'")
    assert await one.evaluate("client.status.error.name") == "LoggedOut"
    assert await two.evaluate(KEYS) == []
