"""Z: hostile and broken clients against a real server process."""

from __future__ import annotations

import asyncio
import json
import random
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from hongyan.bench.server import ServerProcess

SUBPROTOCOL = [Subprotocol("hongyan.v1.json")]
MB = 1 << 20


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    settings = ("limits.heartbeat_ms=1000", "presence.ttl_ms=4000", "devices.web=0")
    data = tmp_path_factory.mktemp("hostile") / "data"
    with ServerProcess(data, core=None, settings=settings) as process:
        yield process


class Raw:
    """A bare connection: frames in and out as JSON values."""

    def __init__(self, ws: ClientConnection) -> None:
        self.ws = ws
        self.waiting: list[Any] = []

    async def next(self) -> Any:
        while not self.waiting:
            found = json.loads(await asyncio.wait_for(self.ws.recv(), 20))
            self.waiting += found if isinstance(found, list) else [found]
        return self.waiting.pop(0)

    async def answer(self, ref: int) -> Any:
        while True:
            frame = await self.next()
            if frame.get("ref") == ref:
                return frame

    async def ask(self, **frame: Any) -> Any:
        await self.ws.send(json.dumps(frame))
        return await self.answer(frame["ref"])

    async def open_direct(self, user: str) -> str:
        ack = await self.ask(t="call", ref=1, name="chat.open", op=f"o-{user}", args={"user": user})
        return str(ack["log"])

    async def say(self, log: str, ref: int, text: str) -> Any:
        args = {"content": {"type": "text", "text": text}}
        return await self.ask(t="call", ref=ref, name="chat.send", op=f"s{ref}", log=log, args=args)


@asynccontextmanager
async def session(server: ServerProcess, user: str, **options: Any) -> AsyncIterator[Raw]:
    async with connect(server.url, subprotocols=SUBPROTOCOL, **options) as ws:
        raw = Raw(ws)
        hello = {"t": "hello", "token": server.token(user), "device": f"{user}-raw"}
        await ws.send(json.dumps(hello))
        assert (await raw.next())["t"] == "welcome"
        yield raw


async def known(server: ServerProcess, *users: str) -> None:
    """Make the accounts: the first token of a trusted issuer does."""
    for user in users:
        async with session(server, user):
            pass


def garbage(chance: random.Random, log: str) -> bytes | str:
    """One bad message: broken JSON, wrong types, deep nests, odd text, huge numbers …"""
    good = {
        "t": "call",
        "ref": chance.randrange(1 << 20),
        "name": "chat.send",
        "op": "x",
        "log": log,
    }
    kind = chance.randrange(12)
    if kind == 0:
        return json.dumps(good)[: chance.randrange(1, 60)]
    if kind == 1:
        return "[" * chance.randrange(1, 5000)
    if kind == 2:
        return json.dumps({**good, "args": {"content": chance.choice([None, 1, [], {"type": 7}])}})
    if kind == 3:
        return json.dumps({"t": chance.choice(["", "nope", "welcome", "ack", None, 3]), "ref": 5})
    if kind == 4:
        return json.dumps(
            {**good, "log": chance.choice(["", "../etc", "main/d/\u0000", "x" * 5000])}
        )
    if kind == 5:
        return json.dumps({**good, "ref": chance.choice([-1, 1 << 63, 1e308, "7", None])})
    if kind == 6:
        return '{"t":"call","ref":1,"args":' + '{"a":' * 500 + "1" + "}" * 501
    if kind == 7:
        return json.dumps([good] * chance.randrange(2, 100))
    if kind == 8:
        return json.dumps(
            {"t": "read", "ref": 9, "log": log, "after": chance.choice([-1, "a", 1e9])}
        )
    if kind == 9:
        return json.dumps({"t": "cursor", "log": log, "read": chance.choice([-5, 1 << 60, "z"])})
    if kind == 10:
        return "".join(chr(chance.choice([0x41, 0x10FFFF, 0xFFFE, 0x1F600])) for _ in range(50))
    return json.dumps({**good, "args": {"content": {"type": "text", "text": "x" * 9000}}})


@pytest.mark.slow
async def test_Z1_ten_thousand_bad_messages(hostile: ServerProcess) -> None:
    """The server answers, closes what it cannot trust, keeps its memory, and serves the others."""
    chance = random.Random(11)
    await known(hostile, "mallory")
    async with session(hostile, "victim") as good:
        log = await good.open_direct("mallory")
        before = hostile.usage().rss_bytes
        sent = 0
        while sent < 10_000:
            async with session(hostile, "mallory", max_queue=None) as bad:
                reader = asyncio.create_task(_drain(bad.ws))
                try:
                    for _ in range(200):
                        await bad.ws.send(garbage(chance, log))
                        sent += 1
                except ConnectionClosed:
                    sent += 1  # it was sent away: that is allowed, and it comes back
                reader.cancel()
                await asyncio.gather(reader, return_exceptions=True)
            if chance.random() < 0.1:
                await good.ws.send('{"t":"ping"}')
        ack = await good.say(log, 77, "still here")
        assert ack["t"] == "ack"
        page = await good.ask(t="read", ref=78, log=log, after=0, limit=200)
        texts = [e["body"]["content"]["text"] for e in page["entries"]]
        assert texts == ["still here"]  # nothing of the garbage was stored
        assert hostile.usage().rss_bytes - before < 64 * MB


async def _drain(ws: ClientConnection) -> None:
    async for _ in ws:
        pass


async def test_Z2_client_that_never_reads_is_bounded_and_harms_nobody(tmp_path: Path) -> None:
    """6 MB are offered to each of eight connections that take nothing: 1 MB of it may wait."""
    names = [f"stuck{n}" for n in range(8)]
    with ServerProcess(tmp_path, core=None, settings=("devices.web=0",)) as server:
        await known(server, "healthy", *names)
        async with session(server, "talker") as talker, session(server, "healthy") as healthy:
            args = {"title": "g", "members": ["healthy", *names]}
            made = await talker.ask(t="call", ref=2, name="chat.create", op="g", args=args)
            log = made["log"]
            reading = asyncio.create_task(_read_all(healthy, log, 1501))
            stuck = [await _stuck(server, name) for name in names]
            before = server.usage().rss_bytes
            for ref in range(10, 1510):
                ack = await talker.say(log, ref, "y" * 4000)
            assert await reading == list(range(2, ack["seq"] + 1))  # 1 came before it listened
            assert server.usage().rss_bytes - before < 8 * 2 * MB + 8 * MB
            for sock in stuck:
                sock.close()


async def _read_all(raw: Raw, log: str, last: int) -> list[int]:
    seen: list[int] = []
    while not seen or seen[-1] < last:
        frame = await raw.next()
        assert frame["t"] != "behind"
        if frame["t"] == "deliver" and frame["log"] == log:
            seen += [entry["seq"] for entry in frame["entries"] if entry["type"] == "message"]
    return seen


async def _stuck(server: ServerProcess, user: str) -> socket.socket:
    """A raw connection that says hello and then never reads again, but pings by itself."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", server.port))
    sock.sendall(
        b"GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: hongyan.v1.json\r\n\r\n"
    )
    hello = json.dumps({"t": "hello", "token": server.token(user), "device": user}).encode()
    sock.sendall(b"\x81\xfe" + len(hello).to_bytes(2, "big") + b"\0\0\0\0" + hello)
    got = b""
    while b"welcome" not in got:  # then nothing is read any more
        got += await asyncio.get_running_loop().run_in_executor(None, sock.recv, 4096)
    return sock


async def test_Z3_half_open_connection_ends_within_two_heartbeats(hostile: ServerProcess) -> None:
    """The peer is gone without a word: no FIN, no ping. The server lets go by itself."""
    await known(hostile, "gone")
    async with session(hostile, "watcher") as watcher:
        sock = await _stuck(hostile, "gone")
        log = await watcher.open_direct("gone")
        asked = {"users": ["gone"], "watch": True}
        states = await watcher.ask(t="query", ref=5, name="presence", args=asked)
        assert states["body"]["presence"][0]["state"] == "online"
        deadline = asyncio.get_running_loop().time() + 20
        while True:
            await watcher.ws.send('{"t":"ping"}')
            frame = await watcher.next()
            if frame["t"] == "signal" and frame["name"] == "presence":
                assert (frame["user"], frame["body"]["state"]) == ("gone", "offline")
                break
            assert asyncio.get_running_loop().time() < deadline
        assert log == "main/d/gone~watcher"
        sock.close()


async def test_Z4_lost_ack_and_retry_on_another_connection(hostile: ServerProcess) -> None:
    """The connection dies right after the send; the retry on a new one gives the same seq."""
    await known(hostile, "peer")
    async with session(hostile, "retry") as first:
        log = await first.open_direct("peer")
    args = {"content": {"type": "text", "text": "once"}}
    call = {"t": "call", "ref": 4, "name": "chat.send", "op": "op-1", "log": log, "args": args}
    for _ in range(5):
        async with session(hostile, "retry") as dying:
            await dying.ws.send(json.dumps(call))
            dying.ws.transport.abort()
    async with session(hostile, "retry") as last:
        again = await last.ask(**call)
        assert again["t"] == "ack"
        other = await last.ask(
            **{**call, "ref": 5, "args": {"content": {"type": "text", "text": "2"}}}
        )
        assert (other["t"], other["code"]) == ("fail", 110)
        page = await last.ask(t="read", ref=6, log=log, after=0)
        assert [e["seq"] for e in page["entries"]] == [again["seq"]]


async def test_Z5_second_server_newer_directory_and_taken_port_say_one_line(
    hostile: ServerProcess, tmp_path: Path
) -> None:
    async def serve(*options: str) -> tuple[int, list[str]]:
        import sys

        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "hongyan", "serve", "--set=telemetry.level=error", *options),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 30)
        assert out == b""
        return process.returncode or 0, err.decode().splitlines()

    status, lines = await serve("--data", str(hostile.data), "--port", "0")
    assert status == 1 and len(lines) == 1 and "in use" in lines[0], lines
    status, lines = await serve("--data", str(tmp_path / "b"), "--port", str(hostile.port))
    assert status == 1 and len(lines) == 1 and str(hostile.port) in lines[0], lines
    status, lines = await serve("--data", str(tmp_path / "c"), "--set", "server.nope=1")
    assert status == 1 and len(lines) == 1 and "nope" in lines[0], lines
    broken = tmp_path / "d"
    broken.mkdir()
    (broken / "hongyan.db").write_bytes(b"this is no database, it is a text" * 100)
    status, lines = await serve("--data", str(broken), "--port", "0")
    assert status == 1 and len(lines) == 1, lines
    assert (broken / "hongyan.db").read_bytes().startswith(b"this is no database")
