"""Clients of a live room that cost next to nothing, so that a test can have a thousand of them.

They speak to a real server process. A masked frame with the mask 0 is the payload itself.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Iterable
from typing import Any

import httpx

from hongyan.bench.server import ServerProcess

HANDSHAKE = (
    b"GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: hongyan.v1.json\r\n\r\n"
)
TEXT, CLOSE = 1, 8
DEADLINE_S = 30.0
OPEN: list[Bot] = []  # to be dropped when the test is over


def masked(payload: bytes, kind: int = TEXT) -> bytes:
    """A client's frame."""
    head = bytes((0x80 | kind,))
    if len(payload) < 126:
        return head + bytes((0x80 | len(payload),)) + b"\0\0\0\0" + payload
    if len(payload) < 65536:
        return head + b"\xfe" + len(payload).to_bytes(2, "big") + b"\0\0\0\0" + payload
    return head + b"\xff" + len(payload).to_bytes(8, "big") + b"\0\0\0\0" + payload


class Bot(asyncio.Protocol):
    """A connection. What comes is kept in `frames`; `stop_reading` leaves it in the socket."""

    def __init__(self) -> None:
        self.frames: list[Any] = []
        self.closed: tuple[int, str] | None = None  # the server's close frame
        self.gone = False
        self.ref = 0
        self.sips = False  # read no more after the next piece
        self._data = bytearray()
        self._upgraded = False
        self._transport: asyncio.Transport
        self._news = asyncio.Event()

    # --- asyncio ----------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(HANDSHAKE)

    def data_received(self, data: bytes) -> None:
        self._data += data
        if self.sips:
            self._transport.pause_reading()
        if not self._upgraded:
            head, found, rest = bytes(self._data).partition(b"\r\n\r\n")
            if not found:
                return
            assert head.startswith(b"HTTP/1.1 101"), head
            self._upgraded, self._data = True, bytearray(rest)
        while (frame := self._cut()) is not None:
            self._take(*frame)
        self._news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True
        self._news.set()

    def _cut(self) -> tuple[int, bytes] | None:
        data = self._data
        if len(data) < 2:
            return None
        size, at = data[1], 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size, at = int.from_bytes(data[2 : 2 + width], "big"), 2 + width
        if len(data) < at + size:
            return None
        kind, payload = data[0] & 15, bytes(data[at : at + size])
        del data[: at + size]
        return kind, payload

    def _take(self, kind: int, payload: bytes) -> None:
        if kind == CLOSE:
            self.closed = (int.from_bytes(payload[:2], "big"), payload[2:].decode())
            self._transport.write(masked(payload[:2], CLOSE))
        elif kind == TEXT:
            found = json.loads(payload)
            self.frames += found if isinstance(found, list) else [found]

    # --- for tests --------------------------------------------------------------------------

    def stop_reading(self) -> None:
        self._transport.pause_reading()

    def read_on(self) -> None:
        self._transport.resume_reading()

    def drop(self) -> None:
        self._transport.abort()

    def raw(self, text: str | bytes) -> None:
        self._transport.write(masked(text.encode() if isinstance(text, str) else text))

    def send(self, **frame: Any) -> int:
        """Send a frame with a new ref; the ref."""
        self.ref += 1
        self.raw(json.dumps({"ref": self.ref, **frame}))
        return self.ref

    async def until(self, found: Callable[[], Any], seconds: float = DEADLINE_S) -> Any:
        """What `found` gives once it is something; asked whenever data came."""
        async with asyncio.timeout(seconds):
            while not (what := found()):
                assert not self.gone, (self.closed, self.frames[-3:])
                self._news.clear()
                await self._news.wait()
            return what

    async def frame(self, seconds: float = DEADLINE_S, **wanted: Any) -> Any:
        """The first frame that has these fields."""

        def found() -> Any:
            alike = (x for x in self.frames if all(x.get(k) == v for k, v in wanted.items()))
            return next(alike, None)

        return await self.until(found, seconds)

    async def ask(self, **frame: Any) -> Any:
        return await self.frame(ref=self.send(**frame))

    async def call(self, name: str, log: str, /, op: str = "", **args: Any) -> Any:
        op = op or f"op-{id(self)}-{self.ref}"
        return await self.ask(t="call", name=name, log=log, op=op, args=args)

    async def watch(self, log: str, **more: Any) -> Any:
        return await self.ask(t="subscribe", log=log, **more)

    def items(self) -> list[Any]:
        return [i for x in self.frames if x["t"] == "live" for i in x["items"]]

    def texts(self) -> list[str]:
        return [i["body"]["text"] for i in self.items() if i["type"] == "danmaku"]

    def gifts(self) -> list[str]:
        """Orders, as they were delivered."""
        entries = [e for x in self.frames if x["t"] == "deliver" for e in x["entries"]]
        return [e["body"]["order"] for e in entries if e["type"] == "gift"]

    def values(self) -> dict[str, Any]:
        """The newest of all that was told."""
        told = [v for x in self.frames if x["t"] in ("attached", "values") for v in x["values"]]
        return {key: value for key, _, value in told}


async def bot(
    port: int, token: str, device: str, *, ip: str = "127.0.0.1", small: bool = False
) -> Bot:
    """Connect from `ip` (any of 127.0.0.0/8), say hello, be welcome. `small`: with as little
    room in the kernel as there may be."""
    sock = socket.socket()
    sock.setblocking(False)
    if small:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.bind((ip, 0))
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", port))
    _, made = await loop.create_connection(Bot, sock=sock)
    OPEN.append(made)
    made.raw(json.dumps({"t": "hello", "token": token, "device": device, "cls": "web"}))
    await made.frame(t="welcome")
    return made


async def drop_all() -> None:
    """At the end of a test: leave no socket behind."""
    for one in OPEN:
        one.drop()
    while OPEN:
        one = OPEN.pop()
        await one.until(lambda one=one: one.gone)


async def bots(
    server: ServerProcess, names: Iterable[str], addresses: Iterable[str] = ("127.0.0.1",)
) -> list[Bot]:
    """Many, 50 at a time, spread over addresses."""
    gate, ips = asyncio.Semaphore(50), list(addresses)

    async def one(number: int, name: str) -> Bot:
        async with gate:
            ip = ips[number % len(ips)]
            return await bot(server.port, server.token(name), f"{name}-d", ip=ip)

    return await asyncio.gather(*(one(*pair) for pair in enumerate(names)))


class Desk:
    """An administrator and a back end of a server process, over HTTP."""

    def __init__(self, server: ServerProcess) -> None:
        self.url = f"http://127.0.0.1:{server.port}"
        claim = {"code": server.code, "password": "correct horse battery", "user": "root"}
        got = httpx.post(f"{self.url}/v1/claim", json=claim)
        assert got.status_code < 300, got.text
        self.admin = str(got.json()["token"])
        made = self.ask("POST", "/v1/keys", {"scopes": ["send", "send_as"]}, op="key")
        assert made.status_code == 201, made.text
        self.key = str(made.json()["key"])

    def ask(
        self, method: str, path: str, body: Any = None, *, token: str = "", **more: str
    ) -> httpx.Response:
        """`op` is the idempotency key, `user` in whose name."""
        headers = {"Authorization": f"Bearer {token or self.admin}"}
        if op := more.pop("op", ""):
            headers["Idempotency-Key"] = op
        if user := more.pop("user", ""):
            headers["Hongyan-User"] = user
        return httpx.request(method, self.url + path, json=body, headers=headers, timeout=30)

    def gift(self, log: str, order: str, user: str, **args: Any) -> httpx.Response:
        """As the back end sends it; `op` where it is another than the order."""
        op = args.pop("op", order)
        body = {"name": "room.gift", "args": {"order": order, "gift": "rose", **args}}
        path = f"/v1/logs/{log}/calls"
        return self.ask("POST", path, body, token=self.key, op=op, user=user)

    def metrics(self) -> dict[str, float]:
        """By name with labels."""
        lines = httpx.get(f"{self.url}/metrics").text.splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if line and line[0] != "#")
        return {name: float(value) for name, value in pairs}

    def calls(self, name: str, code: int) -> int:
        """How many calls of this name were answered so."""
        series = f'hongyan_calls_total{{code="{code}",name="{name}"}}'
        return int(self.metrics().get(series, 0))
