"""The built pages and how they are served."""

from __future__ import annotations

import gzip
import os
import re
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from hongyan.transport.pages import PAGES, page_routes

BUILT = (PAGES / "index.html").is_file()
needs_pages = pytest.mark.skipif(not BUILT, reason="the web pages were not built here")


def test_WB7_the_pages_are_there_where_they_must_be() -> None:
    if os.environ.get("HONGYAN_BROWSER_REQUIRED"):
        assert BUILT, "CI needs the built pages"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small build."""
    for name, text in {
        "index.html": "<!doctype html><title>app</title>",
        "console/index.html": "<!doctype html><title>console</title>",
        "docs/index.html": "<!doctype html><title>docs</title>",
        "assets/app-1a2b.js": "export {};" * 500,
        "sw.js": "self;",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    script = tmp_path / "assets/app-1a2b.js"
    Path(f"{script}.gz").write_bytes(gzip.compress(script.read_bytes()))
    return tmp_path


def pages(folder: Path) -> httpx.AsyncClient:
    app = Starlette(routes=page_routes(folder))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://x")


async def test_WB7_every_page_is_under_the_policy(folder: Path) -> None:
    async with pages(folder) as http:
        for path in ("/", "/c/main/d/a~b", "/console", "/console/", "/docs", "/sw.js"):
            got = await http.get(path)
            assert got.status_code == 200, path
            policy = got.headers["content-security-policy"]
            assert "default-src 'none'" in policy and "script-src 'self';" in policy
            assert "unsafe" not in policy and "frame-ancestors 'none'" in policy
            assert "http" not in policy
            assert got.headers["x-content-type-options"] == "nosniff"
            assert got.headers["x-frame-options"] == "DENY"
        assert "title>console" in (await http.get("/console")).text
        assert (await http.get("/assets/../index.html")).status_code in (200, 404)
        assert (await http.get("/assets/none.js")).status_code == 404
        assert (await http.post("/")).status_code == 405


async def test_WB8_what_never_changes_is_kept_and_the_rest_is_asked_for(folder: Path) -> None:
    async with pages(folder) as http:
        script = await http.get("/assets/app-1a2b.js", headers={"Accept-Encoding": "br, gzip"})
        assert "immutable" in script.headers["cache-control"]
        assert script.headers["content-encoding"] == "gzip"
        assert script.text == "export {};" * 500
        assert script.headers["content-type"].startswith("text/javascript")
        for refused in ("", "gzip;q=0", "br"):
            plain = await http.get("/assets/app-1a2b.js", headers={"Accept-Encoding": refused})
            assert "content-encoding" not in plain.headers
            assert plain.headers["vary"] == "Accept-Encoding"
        page = await http.get("/")
        assert page.headers["cache-control"] == "no-cache"
        for tag in (page.headers["etag"], f'"other", W/{page.headers["etag"]}'):
            again = await http.get("/", headers={"If-None-Match": tag})
            assert again.status_code == 304 and again.content == b""
        assert (await http.get("/", headers={"If-None-Match": '"x"'})).status_code == 200


async def test_WB8_without_pages_the_server_says_how_to_get_them(tmp_path: Path) -> None:
    async with pages(tmp_path) as http:
        got = await http.get("/")
        assert got.status_code == 503 and "scripts/serve" in got.text


@needs_pages
def test_WB7_the_built_pages_have_nothing_inline_and_name_no_other_host() -> None:
    documents = list(PAGES.rglob("*.html"))
    assert len(documents) >= 3
    for document in documents:
        html = document.read_text()
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", html), document
        for script in re.findall(r"<script[^>]*>([^<]*)</script>", html):
            assert not script.strip(), document
        for link in re.findall(r'(?:src|href)="([^"]+)"', html):
            assert link.startswith("/") and not link.startswith("//"), link
    for sheet in PAGES.rglob("*.css"):
        for url in re.findall(r"url\(([^)]+)\)", sheet.read_text()):
            assert not re.match(r"[\"']?(https?:)?//", url), (sheet, url)
        assert "@import" not in sheet.read_text()
