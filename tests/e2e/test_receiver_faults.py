"""Receivers where things break: bad proxies, kill -9; with curl, npm's EventSource, by hand."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from bad_proxy import bad_proxy
from receiver_rig import LONG, Polled, call, events, hello, streamed

from hongyan.bench.server import ServerProcess

HERE = Path(__file__).parent
NODE = shutil.which("node")
EVENTSOURCE = HERE.parents[1] / "node_modules" / "eventsource" / "package.json"
CURL = shutil.which("curl")
Id = tuple[str, int]
Enough = Callable[[list[Id]], bool]

curl_there = pytest.mark.skipif(CURL is None, reason="curl is not installed")


class Writer:
    """Says numbered words in two conversations, again until each is acknowledged."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.token = server.token("alice")
        self.logs: list[str] = []
        self.acked: list[Id] = []
        self.http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}")

    async def _call(self, path: str, name: str, key: str, **args: Any) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.token}", "Idempotency-Key": key}
        async with asyncio.timeout(60):
            while True:
                try:
                    body = {"name": name, "args": args}
                    got = await self.http.post(path, json=body, headers=headers)
                    if got.status_code == 200:
                        answer: dict[str, Any] = got.json()
                        return answer
                    assert got.status_code == 503, got.text
                except httpx.TransportError:
                    pass  # the server is dead: the same call again, with the same key
                await asyncio.sleep(0.05)

    async def open(self) -> None:
        await self._bob()
        direct = await self._call("/v1/calls", "chat.open", "open", user="bob")
        group = await self._call("/v1/calls", "chat.create", "make", title="g", members=["bob"])
        self.logs = [direct["log"], group["log"]]

    async def _bob(self) -> None:
        """The first request of a user makes the account."""
        got = await self.http.get("/v1/sync", headers=bearer(self.server.token("bob")))
        assert got.status_code == 200, got.text

    async def say(self, number: int) -> None:
        log = self.logs[number % 2]
        content = {"type": "text", "text": f"w{number}"}
        path = f"/v1/logs/{log}/calls"
        done = await self._call(path, "chat.send", f"w{number}", content=content)
        self.acked.append((log, done["seq"]))

    async def all_of(self, user: str) -> list[Id]:
        """What `user` may read, as a read tells it."""
        found: list[Id] = []
        for log in self.logs:
            headers = bearer(self.server.token(user))
            got = await self.http.get(f"/v1/logs/{log}/entries?after=0&limit=200", headers=headers)
            found += [(log, entry["seq"]) for entry in got.json()["entries"]]
        return found


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@asynccontextmanager
async def writing(server: ServerProcess) -> AsyncIterator[Writer]:
    writer = Writer(server)
    await writer.open()
    try:
        yield writer
    finally:
        await writer.http.aclose()


def assert_each_once(seen: list[Id], wanted: list[Id]) -> None:
    """Every entry, once, in order per log."""
    assert sorted(seen) == sorted(wanted)
    for log in {log for log, _ in wanted}:
        assert [seq for name, seq in seen if name == log] == sorted(
            seq for name, seq in wanted if name == log
        )


def crash(server: ServerProcess) -> None:
    server.stop(signal.SIGKILL)
    server.start()


class Lines:
    """A subprocess whose lines of output are JSON."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.seen: list[Any] = []

    async def until(self, enough: Callable[[list[Any]], bool], seconds: float = 40.0) -> None:
        assert self.process.stdout is not None
        async with asyncio.timeout(seconds):
            while not enough(self.seen):
                line = await self.process.stdout.readline()
                assert line, f"it ended after {self.seen[-3:]}"
                self.seen.append(json.loads(line))


@asynccontextmanager
async def running(*command: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, limit=1 << 20
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def curl(*args: str) -> str:
    async with running(str(CURL), "-sS", "--max-time", "30", *args) as process:
        out, _ = await process.communicate()
        return out.decode()


def ids_of(stream: str) -> list[Id]:
    """(log, seq) of the entries in a stream as curl saves it."""
    lines = [line[6:] for line in stream.splitlines() if line.startswith("data: ")]
    told = [json.loads(line) for line in lines]
    return [(one["log"], one["entry"]["seq"]) for one in told if "entry" in one]


@curl_there
async def test_RB10_curl_receives_by_stream_and_by_poll(server: ServerProcess) -> None:
    """As the docs show it: -N, a header, a cursor from the one to the other."""
    base = f"http://127.0.0.1:{server.port}"
    auth = f"Authorization: Bearer {server.token('bob')}"
    async with writing(server) as writer:
        for number in range(10):
            await writer.say(number)
        wanted = await writer.all_of("bob")
        async with running(str(CURL), "-sSN", "-H", auth, f"{base}/v1/events?after=0") as process:
            assert process.stdout is not None
            got = ""
            async with asyncio.timeout(20):
                while len(ids_of(got)) < len(wanted) - 3 or not got.endswith("\n\n"):
                    got += (await process.stdout.readline()).decode()
        seen = ids_of(got)
        cursor = [line[4:] for line in got.splitlines() if line.startswith("id: ")][-1]
        while len(seen) < len(wanted):
            answer = json.loads(
                await curl("-H", auth, f"{base}/v1/updates?cursor={cursor}&wait=5&limit=2")
            )
            seen += [(one["log"], one["entry"]["seq"]) for one in answer["entries"]]
            cursor = answer["cursor"]
        assert_each_once(seen, wanted)


@curl_there
async def test_RB1_curl_holds_a_session(server: ServerProcess) -> None:
    """Hello and a call by curl; the header names the session, the stream brings the ack."""
    base = f"http://127.0.0.1:{server.port}"
    async with writing(server) as writer:
        body = json.dumps(hello(server.token("bob")))
        async with running(str(CURL), "-sSNi", "--json", body, f"{base}/v1/stream") as process:
            assert process.stdout is not None
            session = ""
            async with asyncio.timeout(20):
                while not (line := (await process.stdout.readline()).decode()).startswith("data:"):
                    name, _, value = line.partition(": ")
                    if name.lower() == "hongyan-session":
                        session = value.strip()
                assert json.loads(line[6:])["t"] == "welcome"
                sent = json.dumps(call(1, "hi", writer.logs[0]))
                status = await curl(
                    "-o",
                    "/dev/null",
                    "-w",
                    "%{http_code}",
                    "--json",
                    sent,
                    f"{base}/v1/stream/{session}",
                )
                assert status == "202"
                while b'"ack"' not in await process.stdout.readline():
                    pass


@pytest.mark.skipif(
    NODE is None or not EVENTSOURCE.exists(),
    reason="npm's eventsource is not installed: npm ci",
)
async def test_RB11_eventsource_resumes_over_killed_connections_and_a_killed_server(
    server: ServerProcess,
) -> None:
    """The npm client behind a proxy that kills, and a server that is killed: each entry once."""
    async with writing(server) as writer, bad_proxy(server.port, kill=0.1) as proxy:
        script = str(HERE / "eventsource_client.mjs")
        url = f"http://127.0.0.1:{proxy.port}/v1/events?after=0"
        async with running(str(NODE), script, url, server.token("bob")) as process:
            lines = Lines(process)
            await lines.until(lambda seen: {"open": True} in seen)
            for number in range(40):
                if number == 20:
                    await asyncio.gather(asyncio.to_thread(crash, server), writer.say(number))
                else:
                    await writer.say(number)
            wanted = await writer.all_of("bob")
            await lines.until(lambda seen: len(told(seen)) >= len(wanted))
            assert_each_once(told(lines.seen), wanted)
        assert set(writer.acked) <= set(wanted)
        assert proxy.connections > 1


def told(seen: list[Any]) -> list[Id]:
    """(log, seq) of what the npm client printed."""
    return [(line["data"]["log"], line["data"]["entry"]["seq"]) for line in seen if "data" in line]


async def follow(base: Callable[[], str], token: str, enough: Enough) -> list[Id]:
    """A back end's loop, as the docs have it: stream, come back with the last id."""
    seen: list[Id] = []
    last = ""
    async with asyncio.timeout(90):
        while not enough(seen):
            headers = bearer(token) | ({"Last-Event-ID": last} if last else {})
            try:
                async with (
                    httpx.AsyncClient(timeout=LONG) as http,
                    http.stream("GET", f"{base()}/v1/events?after=0", headers=headers) as response,
                ):
                    assert response.status_code in (200, 503)
                    async for event in events(response):
                        last = event.id or last
                        if event.data and "entry" in event.json:
                            seen.append((event.json["log"], event.json["entry"]["seq"]))
                        if enough(seen):
                            break
            except httpx.TransportError:
                await asyncio.sleep(0.05)  # the connection or the server was killed
    return seen


async def pull(base: Callable[[], str], token: str, enough: Enough) -> list[Id]:
    """The same by long-polling; an answer that did not come is asked for again."""
    seen: list[Id] = []
    query = "after=0"
    async with asyncio.timeout(90), httpx.AsyncClient(timeout=LONG) as http:
        while not enough(seen):
            try:
                path = f"{base()}/v1/updates?{query}&wait=5&limit=3"
                got = await http.get(path, headers=bearer(token))
            except httpx.TransportError:
                await asyncio.sleep(0.05)
                continue
            if got.status_code == 503:
                continue
            assert got.status_code == 200, got.text
            seen += [(one["log"], one["entry"]["seq"]) for one in got.json()["entries"]]
            query = f"cursor={got.json()['cursor']}"
    return seen


@pytest.mark.parametrize("how", [follow, pull])
async def test_RB11_receivers_survive_kill_9_and_killed_connections(
    server: ServerProcess, how: Any
) -> None:
    """The server is killed three times amid sends, the proxy kills at random: each entry once."""
    async with writing(server) as writer, bad_proxy(server.port, kill=0.15) as proxy:
        last: list[Id] = []
        receiver = asyncio.create_task(
            how(
                lambda: f"http://127.0.0.1:{proxy.port}",
                server.token("bob"),
                lambda seen: bool(last) and last[0] in seen and last[1] in seen,
            )
        )
        for number in range(60):
            if number % 20 == 10:  # amid a send, which is said again until it is acknowledged
                await asyncio.gather(asyncio.to_thread(crash, server), writer.say(number))
            else:
                await writer.say(number)
        last += writer.acked[-2:]  # one in each conversation
        seen = await receiver
        assert_each_once(seen, await writer.all_of("bob"))
        assert proxy.kills


async def test_RB7_stream_passes_a_proxy_that_cuts_websockets_and_holds(
    server: ServerProcess,
) -> None:
    """Where a WebSocket is refused and bodies are held for a while, the session still works."""
    async with writing(server) as writer, bad_proxy(server.port, hold_s=0.3) as proxy:
        base = f"http://127.0.0.1:{proxy.port}"
        async with httpx.AsyncClient(base_url=base, timeout=LONG) as http:
            upgrade = {
                "Upgrade": "websocket",
                "Connection": "Upgrade",
                "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            }
            assert (await http.get("/v1/ws", headers=upgrade)).status_code == 400
            async with streamed(http, server.token("bob")) as stream:
                await stream.frame("welcome")
                for number in range(10):
                    await writer.say(number)
                assert (await stream.up(call(1, "hi", writer.logs[0]))).status_code == 202
                ack = await stream.frame("ack", ref=1)
                await stream.frame("deliver", log=writer.logs[1])
                await stream.until(
                    lambda f: f["t"] == "deliver" and f["entries"][-1]["seq"] == ack["seq"]
                )
                seqs = [e["seq"] for f in stream.seen if f["t"] == "deliver" for e in f["entries"]]
                assert len(seqs) >= 11
        assert proxy.upgrades == 1


async def retried(send: Callable[[], Any]) -> httpx.Response:
    """Again until there is an answer."""
    while True:
        try:
            got = await send()
        except httpx.TransportError:
            await asyncio.sleep(0.02)
            continue
        assert isinstance(got, httpx.Response)
        return got


async def test_RB4_RB6_polled_session_survives_killed_connections(server: ServerProcess) -> None:
    """Whole answers only, and those killed at random: one session, nothing lost, nothing twice."""
    async with (
        writing(server) as writer,
        bad_proxy(server.port, whole=True, kill=0.2) as proxy,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as direct,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{proxy.port}") as http,
    ):
        poll = await Polled(direct).open(server.token("bob"))
        poll.http = http
        seen: list[dict[str, Any]] = []

        async def receive() -> None:
            while sum(1 for f in seen if f["t"] == "ack") < 30:
                got = await retried(lambda: poll.get(wait=5))
                assert got.status_code == 200, got.text
                poll._take(got.json())
                seen[:] = poll.seen

        async with asyncio.timeout(60):
            receiver = asyncio.create_task(receive())
            for number in range(1, 31):
                frame = call(number, f"b{number}", writer.logs[0])
                got = await retried(lambda n=number, f=frame: poll.up(f, n=n))  # type: ignore[misc]
                assert got.status_code == 202, got.text
            await receiver
        acks = [f for f in seen if f["t"] == "ack"]
        assert [f["ref"] for f in acks] == list(range(1, 31))
        assert not any(f.get("repeat") for f in acks)
        assert not [f for f in seen if f["t"] in ("fail", "behind", "goodbye")]
        assert proxy.kills
