"""tus-js-client against `hongyan serve`, over a link that is cut and a server that is killed
(rules FU1 and FU2)."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import random
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hongyan.bench.server import ServerProcess

SCRIPT = Path(__file__).with_name("tus_upload.mjs")
ROOT = Path(__file__).parents[2]
SIZE = 6_000_000

needs_node = pytest.mark.skipif(
    shutil.which("node") is None or not (ROOT / "node_modules/tus-js-client").is_dir(),
    reason="needs node and the packages of package.json",
)


class Cutter:
    """A proxy that passes bytes on and cuts connections, after 1 byte to `most` of them. It stops
    cutting after `cuts`."""

    def __init__(self, port: int, *, cuts: int, most: int, seed: int) -> None:
        self.target, self.left, self._most = port, cuts, most
        self._random = random.Random(seed)
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Cutter:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        budget = [1 << 62]
        if self.left > 0:
            self.left -= 1
            budget = [self._random.randrange(1, self._most)]
        ends = (
            asyncio.create_task(self._pass(reader, there[1], budget)),
            asyncio.create_task(self._pass(there[0], writer, budget)),
        )
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for task in ends:
            task.cancel()
        await asyncio.gather(*ends, return_exceptions=True)
        writer.transport.abort()
        there[1].transport.abort()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, budget: list[int]
    ) -> None:
        while data := await reader.read(16_384):
            writer.write(data[: budget[0]])
            await writer.drain()
            budget[0] -= len(data)
            if budget[0] <= 0:
                return


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=60) as made:
        yield made


async def run_node(port: int, token: str, file: Path, chunk: str) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *("node", str(SCRIPT), f"http://127.0.0.1:{port}/v1/files", token, str(file), chunk),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    answer: dict[str, Any] = json.loads(out)
    return answer


def made_file(folder: Path, size: int = SIZE) -> tuple[Path, str]:
    data = random.Random(7).randbytes(size)
    (folder / "source").write_bytes(data)
    return folder / "source", hashlib.sha256(data).hexdigest()


async def judged(client: httpx.AsyncClient, server: ServerProcess, done: dict[str, Any]) -> Any:
    path = httpx.URL(done["url"]).path
    auth = {"Authorization": f"Bearer {server.token('ann')}"}
    base = f"http://127.0.0.1:{server.port}"
    view = (await client.get(f"{base}{path}?wait=25", headers=auth)).json()
    body = {"items": [{"upload": view["id"]}]}
    links = (await client.post(f"{base}/v1/files/links", json=body, headers=auth)).json()
    got = await client.get(base + links["links"][0]["url"])
    assert hashlib.sha256(got.content).hexdigest() == view["blob"]["digest"]
    return view


@needs_node
@pytest.mark.parametrize("chunk", ["500000", "Infinity"])
async def test_FU1_tus_js_client_over_a_link_that_is_cut(
    server: ServerProcess, tmp_path: Path, client: httpx.AsyncClient, chunk: str
) -> None:
    file, digest = made_file(tmp_path)
    async with Cutter(server.port, cuts=25, most=600_000, seed=3) as cutter:
        done = await run_node(cutter.port, server.token("ann"), file, chunk)
        assert done["failures"] >= 10
    view = await judged(client, server, done)
    assert view["blob"]["digest"] == digest
    assert view["blob"]["name"] == "evil.bin"


@needs_node
@pytest.mark.slow
async def test_FU2_tus_js_client_while_the_server_is_killed(
    tmp_path: Path, client: httpx.AsyncClient
) -> None:
    """Three times kill -9 in the middle: what was acknowledged is there, the bytes match."""
    file, digest = made_file(tmp_path, 12_000_000)
    with ServerProcess(tmp_path / "data", core=None) as server:
        async with Cutter(server.port, cuts=0, most=1, seed=1) as cutter:
            node = asyncio.create_task(run_node(cutter.port, server.token("ann"), file, "400000"))
            uploads = tmp_path / "data" / "uploads"
            for number in range(3):
                await grown(uploads, 1_500_000 * (number + 1), node)
                await asyncio.to_thread(server.stop, signal.SIGKILL)
                await asyncio.to_thread(server.start)
            done = await node
        assert done["failures"] >= 1
        assert (await judged(client, server, done))["blob"]["digest"] == digest
        assert list(uploads.iterdir()) == []


def sizes(folder: Path) -> list[int]:
    with contextlib.suppress(FileNotFoundError):
        return [path.stat().st_size for path in folder.iterdir()]
    return []


async def grown(folder: Path, size: int, node: asyncio.Task[Any]) -> None:
    """Until so many bytes of an upload lie there."""
    async with asyncio.timeout(60):
        while not node.done():
            if max(sizes(folder), default=0) >= size:
                return
            await asyncio.sleep(0.005)
    raise AssertionError(f"the upload ended before {size} bytes: {node.result()}")
