"""Clients that others wrote, against the echo server: they judge us by their own reading."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import websockets
from echo_server import echo_front, in_thread
from tests.node_sdk import ROOT, node
from websockets.asyncio.client import connect

from hongyan.transport.front import Front
from hongyan.transport.websocket import Terms


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    with in_thread(echo_front(terms=Terms(message_bytes=64 << 20, close_timeout_s=0.5))) as running:
        yield running


async def test_T6_nodes_ws_gets_what_it_expects(front: Front) -> None:
    process = await asyncio.create_subprocess_exec(
        *(node(), Path(__file__).parent / "ws_client.mjs", f"ws://127.0.0.1:{front.port}"),
        cwd=ROOT,
        env={**os.environ, "NODE_PATH": str(ROOT / "node_modules")},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    lines = out.decode().splitlines()
    assert process.returncode == 0, out.decode()
    assert len(lines) == 23 and all(line.startswith("ok ") for line in lines), lines


@pytest.mark.parametrize("compression", ["deflate", None])
async def test_T6_pythons_websockets_gets_what_it_expects(
    front: Front, compression: str | None
) -> None:
    url = f"ws://127.0.0.1:{front.port}/any/path?at=all"
    async with connect(url, compression=compression, max_size=None, ping_interval=None) as ws:
        for data in ("", "鸿雁" * 50_000, b"", b"\xff" * 65536, b"\x00" * (5 << 20)):
            await ws.send(data)
            assert await ws.recv() == data
        await ws.send(["in ", "three ", "pieces"])
        assert await ws.recv() == "in three pieces"
        await asyncio.wait_for(await ws.ping(b"there?"), 10)
        await ws.close(3456, "enough")
        assert (ws.close_code, ws.close_reason) == (3456, "")
        assert ws.protocol.close_rcvd_then_sent is False


async def test_T6_pythons_websockets_learns_that_it_sent_too_much() -> None:
    with in_thread(echo_front(terms=Terms(message_bytes=4096))) as small:
        async with connect(f"ws://127.0.0.1:{small.port}") as ws:
            await ws.send(b"x" * 2_000_000)
            with pytest.raises(websockets.ConnectionClosedError) as why:
                await ws.recv()
            assert why.value.rcvd is not None and why.value.rcvd.code == 1009
