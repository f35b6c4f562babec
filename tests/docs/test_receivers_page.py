"""The programs of the page about receivers do what it says, over a killed server."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from hongyan.bench.server import ServerProcess

ROOT = Path(__file__).parents[2]
SNIPPETS = ROOT / "docs" / "snippets"
NODE = shutil.which("node")
EVENTSOURCE = ROOT / "node_modules" / "eventsource" / "package.json"
BROWSER = """
import { EventSource } from "eventsource";
import { listen } from "%s";
globalThis.EventSource = EventSource;
const [url, token] = process.argv.slice(2);
const show = ({ log, entry }) => console.log(log, entry.seq, entry.type);
listen(url, async () => token, show);
console.log("listening");
"""


async def call(http: httpx.AsyncClient, token: str, path: str, key: str, body: Any) -> Any:
    """A call, again until it is answered."""
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key}
    async with asyncio.timeout(30):
        while True:
            try:
                got = await http.post(path, json=body, headers=headers)
            except httpx.TransportError:
                await asyncio.sleep(0.05)
                continue
            assert got.status_code == 200, got.text
            return got.json()


async def lines(process: asyncio.subprocess.Process, number: int) -> list[str]:
    assert process.stdout is not None
    async with asyncio.timeout(40):
        found = [(await process.stdout.readline()).decode().strip() for _ in range(number)]
    return found


async def talk(server: ServerProcess, http: httpx.AsyncClient) -> str:
    headers = {"Authorization": f"Bearer {server.token('bob')}"}
    assert (await http.get("/v1/sync", headers=headers)).status_code == 200  # makes the account
    opened = {"name": "chat.open", "args": {"user": "bob"}}
    return str((await call(http, server.token("alice"), "/v1/calls", "o", opened))["log"])


async def say(server: ServerProcess, http: httpx.AsyncClient, log: str, number: int) -> str:
    body = {"name": "chat.send", "args": {"content": {"type": "text", "text": "hi"}}}
    path = f"/v1/logs/{log}/calls"
    done = await call(http, server.token("alice"), path, f"k{number}", body)
    return f"{log} {done['seq']} message"


@pytest.fixture
async def http(server: ServerProcess) -> Any:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
        yield client


@pytest.fixture
def server(tmp_path: Path) -> Any:
    with ServerProcess(tmp_path / "data", core=None) as process:
        yield process


async def test_RB11_back_end_of_the_page_goes_on_where_it_ended(
    server: ServerProcess, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    """Killed itself, and the server too: every entry, once."""
    log = await talk(server, http)
    env = os.environ | {
        "URL": f"http://127.0.0.1:{server.port}",
        "TOKEN": server.token("bob"),
        "CURSOR_FILE": str(tmp_path / "cursor"),
    }
    seen: list[str] = []
    wanted: list[str] = []
    for life in range(2):
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(SNIPPETS / "receive_updates.py"), env=env, stdout=-1
        )
        wanted += [await say(server, http, log, 10 * life + number) for number in range(3)]
        seen += await lines(process, len(wanted) - len(seen))
        server.stop(signal.SIGKILL)
        server.start()
        wanted.append(await say(server, http, log, 10 * life + 9))
        seen += await lines(process, 1)
        cursor = (tmp_path / "cursor").read_text()
        async with asyncio.timeout(20):  # its file is written after the work
            while (await after(server, http, cursor)) != []:
                cursor = (tmp_path / "cursor").read_text()
                await asyncio.sleep(0.01)
        process.kill()
        await process.communicate()
    assert seen == wanted


async def after(server: ServerProcess, http: httpx.AsyncClient, cursor: str) -> list[Any]:
    headers = {"Authorization": f"Bearer {server.token('bob')}"}
    got = await http.get(f"/v1/updates?cursor={cursor}&wait=0", headers=headers)
    entries: list[Any] = got.json()["entries"]
    return entries


@pytest.mark.skipif(
    NODE is None or not EVENTSOURCE.exists(),
    reason="npm's eventsource is not installed: npm ci",
)
async def test_RB14_page_of_the_page_comes_back_with_a_new_ticket(
    server: ServerProcess, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    """The browser's function, in node with npm's EventSource, over a killed server."""
    log = await talk(server, http)
    script = ROOT / "node_modules" / f".receivers-{os.getpid()}.mjs"  # finds its import there
    script.write_text(BROWSER % (SNIPPETS / "receive_browser.js").as_uri())
    try:
        process = await asyncio.create_subprocess_exec(
            str(NODE),
            "--no-warnings",
            str(script),
            f"http://127.0.0.1:{server.port}",
            server.token("bob"),
            stdout=-1,
        )
        assert await lines(process, 1) == ["listening"]
        async with asyncio.timeout(20):
            number = 0
            while True:  # it may begin to listen only now: what was before does not come
                number += 1
                last = await say(server, http, log, number)
                if (told := await heard(process)) is not None:
                    break
        while told != last:
            [told] = await lines(process, 1)
        server.stop(signal.SIGKILL)
        server.start()
        wanted = [await say(server, http, log, 100 + n) for n in range(3)]
        assert await lines(process, 3) == wanted
        process.kill()
        await process.communicate()
    finally:
        script.unlink()


async def heard(process: asyncio.subprocess.Process) -> str | None:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(0.3):
            return (await process.stdout.readline()).decode().strip()
    except TimeoutError:
        return None
