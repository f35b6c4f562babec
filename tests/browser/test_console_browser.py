"""CO: the console in a real browser, against the real server and its content security policy."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Page, expect

from hongyan.app import Server
from hongyan.config import load

PASSWORD = "correct horse battery"
NASTY = "<img src=x onerror=document.title='owned'>"
AXE = Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js"
LOG = "main/d/alice~bob"
PLACES = (
    "overview",
    "people",
    "people/alice",
    "logs",
    f"logs/{LOG}",
    "webhooks",
    "hooks",
    "keys",
    "files",
    "settings",
    "audit",
)
FINDINGS = """async () => {
    const found = await axe.run(document, {resultTypes: ["violations"]});
    return found.violations.filter(v => v.impact === "serious" || v.impact === "critical")
        .map(v => [v.id, v.nodes[0].html.slice(0, 200)]);
}"""
OVERFLOW = (
    "() => { const m = document.querySelector('main'); return m.scrollWidth - m.clientWidth }"
)


class Site:
    """A server with an administrator, two users and what they said."""

    def __init__(self, server: Server, token: str) -> None:
        self.server = server
        self.base = f"http://127.0.0.1:{server.port}"
        self.http = httpx.AsyncClient(
            base_url=self.base, headers={"Authorization": f"Bearer {token}"}
        )

    async def call(self, by: str, path: str, name: str, **args: object) -> dict[str, Any]:
        got = await self.http.post("/v1/token", json={"user": by, "password": PASSWORD})
        done = await self.http.post(
            path,
            json={"name": name, "args": args},
            headers={"Authorization": f"Bearer {got.json()['token']}", "Idempotency-Key": name},
        )
        assert done.status_code == 200, done.text
        found: dict[str, Any] = done.json()
        return found

    async def get(self, path: str) -> dict[str, Any]:
        got = await self.http.get(path)
        assert got.status_code == 200, got.text
        found: dict[str, Any] = got.json()
        return found


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    options = {"server.port": 0, "data.dir": str(tmp_path / "data"), "accounts.hash_rounds": 1}
    server = Server(load(None, {}, options))
    await server.start()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as http:
        code = {"code": server.first_code, "password": PASSWORD, "user": "root"}
        claimed = await http.post("/v1/claim", json=code)
    made = Site(server, claimed.json()["token"])
    try:
        await furnish(made)
        yield made
    finally:
        await made.http.aclose()
        await server.stop()


async def furnish(made: Site) -> None:
    for user in ("alice", "bob"):
        account = {"user": user, "password": PASSWORD, "name": NASTY}
        assert (await made.http.post("/v1/register", json=account)).status_code == 201
    await made.call("alice", "/v1/calls", "chat.open", user="bob")
    content = {"type": "text", "text": f"meet me {NASTY}"}
    await made.call("alice", f"/v1/logs/{LOG}/calls", "chat.send", content=content)


async def log_in(browser: Browser, site: Site, user: str, **options: Any) -> Page:
    context = await browser.new_context(**{"locale": "en-GB", **options})
    page = await context.new_page()
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    page.on(
        "console",
        lambda said: pytest.fail(said.text) if "Content Security Policy" in said.text else None,
    )
    await page.goto(f"{site.base}/console")
    await page.locator("input[autocomplete=username]").fill(user)
    await page.locator("input[type=password]").fill(PASSWORD)
    await page.locator("button[type=submit]").click()
    return page


async def test_CO12_nothing_is_shown_to_others(browser: Browser, site: Site) -> None:
    page = await log_in(browser, site, "alice")

    await expect(page.get_by_text("alice is no administrator")).to_be_visible()
    await expect(page.locator("nav")).to_have_count(0)


async def test_CO12_the_overview_is_alive(browser: Browser, site: Site) -> None:
    page = await log_in(browser, site, "root")

    await expect(page.locator(".live")).to_contain_text("Live")
    await expect(page.locator(".chart canvas")).to_have_count(9)
    memory = page.get_by_role("img", name="Memory: resident")
    await expect(memory).to_have_accessible_name(re.compile(r"Memory: resident [\d.]+ MiB"))
    await expect(page.locator(".facts").first).to_contain_text("Running for")


async def test_CO13_a_user_is_disabled_after_a_question(browser: Browser, site: Site) -> None:
    page = await log_in(browser, site, "root")
    await page.get_by_role("link", name="People").click()
    await page.get_by_placeholder("Beginning of a user id or name").fill("al")
    await page.get_by_role("link", name="alice").click()

    await page.get_by_role("button", name="Disable").click()
    await page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    assert not (await site.get("/v1/admin/users/alice"))["disabled"]
    await page.get_by_role("button", name="Disable").click()
    await page.get_by_role("dialog").get_by_role("button", name="Disable").click()
    await expect(page.get_by_role("button", name="Enable")).to_be_visible()

    assert (await site.get("/v1/admin/users/alice"))["disabled"]
    audit = page.get_by_role("table").last
    await expect(audit).to_contain_text("users.disable")
    assert await page.title() == "alice · hongyan", "a name is text"


async def test_CO13_a_new_password_is_shown_once_and_works(browser: Browser, site: Site) -> None:
    page = await log_in(browser, site, "root")
    await page.goto(f"{site.base}/console#/people/bob")
    await page.get_by_role("button", name="Reset password").click()
    await page.get_by_role("dialog").get_by_role("button", name="Reset password").click()
    fresh = await page.get_by_role("dialog").locator("code").inner_text()
    await page.get_by_role("button", name="I have it").click()

    await expect(page.get_by_text(fresh)).to_have_count(0)
    body = {"user": "bob", "password": fresh}
    assert (await site.http.post("/v1/token", json=body)).status_code == 200


async def test_CO13_a_key_is_shown_once_and_dropped(browser: Browser, site: Site) -> None:
    page = await log_in(browser, site, "root")
    await page.goto(f"{site.base}/console#/keys")
    await page.get_by_role("button", name="New key").click()
    await page.get_by_role("checkbox", name="users").check()
    await page.get_by_role("button", name="Make key").click()
    text = await page.get_by_role("dialog").locator("code").inner_text()
    await page.get_by_role("button", name="I have it").click()
    answer = await site.http.get("/v1/users", headers={"Authorization": f"Bearer {text}"})
    assert answer.status_code == 200

    await page.get_by_role("button", name="Drop").click()
    await page.get_by_role("dialog").get_by_role("button", name="Drop").click()

    await expect(page.get_by_text("No keys yet.")).to_be_visible()
    answer = await site.http.get("/v1/users", headers={"Authorization": f"Bearer {text}"})
    assert answer.status_code == 401


async def test_CO11_contents_are_shown_after_a_reason(browser: Browser, site: Site) -> None:
    page = await log_in(browser, site, "root")
    await page.goto(f"{site.base}/console#/logs/{LOG}")
    await expect(page.get_by_role("table").last).to_contain_text("not shown")
    await expect(page.get_by_text("meet me")).to_have_count(0)

    await page.get_by_role("button", name="Show contents").click()
    await page.get_by_role("dialog").get_by_role("textbox").fill("complaint 7")
    await page.get_by_role("dialog").get_by_role("button", name="Show and put down").click()

    await expect(page.get_by_text(f"meet me {NASTY}")).to_be_visible()
    assert await page.title() == f"{LOG} · hongyan", "what was written is text"
    [line] = (await site.get("/v1/admin/audit?action=logs."))["lines"]
    assert line["detail"]["reason"] == "complaint 7"


@pytest.mark.parametrize(
    ("width", "scheme", "locale"),
    [
        (1280, "light", "en-GB"),
        (1280, "dark", "zh-CN"),
        (390, "light", "zh-CN"),
        (390, "dark", "en-GB"),
    ],
)
async def test_CO14_every_page_is_for_everybody(
    browser: Browser, site: Site, width: int, scheme: str, locale: str
) -> None:
    options = {"viewport": {"width": width, "height": 844}, "color_scheme": scheme}
    page = await log_in(browser, site, "root", locale=locale, **options)
    await expect(page.locator(".frame")).to_be_visible()
    axe = AXE.read_text("utf-8")
    found = {}
    for place in PLACES:
        await page.evaluate("place => { location.hash = `#/${place}` }", place)
        await expect(page.locator(".page").first).to_be_visible()
        await expect(page.locator(".page .spinner")).to_have_count(0)
        await page.evaluate(axe)
        if findings := await page.evaluate(FINDINGS):
            found[place] = findings
        assert await page.evaluate(OVERFLOW) <= 0, place
    assert found == {}
