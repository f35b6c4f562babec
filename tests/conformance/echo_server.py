"""An echo session on the real transport, for WebSocket test suites.

    python tests/conformance/echo_server.py --port 9001 [--host H] [--message-bytes N]
        [--cert C --key K]

Every path takes WebSockets, of any origin and subprotocol (none is agreed on); text and binary
messages come back as they were. What the service limits for its own sake is not limited here:
connections of an address, control frames. It prints `listening on PORT` once it does.
docs/conformance.md says how to point a suite at it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

import uvloop
from picows import WSMsgType

from hongyan.config import Limits, Server
from hongyan.transport.front import Front
from hongyan.transport.handshake import Upgrade
from hongyan.transport.websocket import Connection, Terms


class Echo(Connection):
    """Sends every message back."""

    def message(self, kind: int, data: bytes) -> None:
        self.send(WSMsgType(kind), data)


class EchoEndpoint:
    """Echoes at every path."""

    path = ""
    subprotocols = ()

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.ips: list[str] = []

    def connection(self, upgrade: Upgrade) -> Connection:
        self.ips.append(upgrade.ip)
        return Echo(upgrade.ip, self.terms)


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """The least ASGI application: the body of the request, or its path."""
    body, more = b"", True
    while more:
        event = await receive()
        body += event.get("body", b"")
        more = event.get("more_body", False)
    answer = body or scope["path"].encode()
    headers = [(b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


def echo_front(
    server: Server | None = None, limits: Limits | None = None, terms: Terms | None = None
) -> Front:
    """A front that echoes; a free port by default."""
    endpoint = EchoEndpoint(terms or Terms(close_timeout_s=0.5))
    return Front(server or Server(port=0), limits or Limits(), endpoint=endpoint, http=hello)


@contextlib.contextmanager
def in_thread(front: Front) -> Iterator[Front]:
    """Run a front on uvloop in a thread, so that a test may use blocking sockets."""
    started = threading.Event()
    left: list[float] = []
    ready: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def run() -> None:
        await front.start()
        end = asyncio.Event()
        ready.append((asyncio.get_running_loop(), end))
        started.set()
        await end.wait()
        await front.stop(1.0)
        left.append(front.stats()["open"])

    thread = threading.Thread(target=lambda: uvloop.run(run()), daemon=True)
    thread.start()
    try:
        assert started.wait(10), "the server did not start"
        yield front
    finally:
        if ready:
            loop, end = ready[0]
            loop.call_soon_threadsafe(end.set)
        thread.join(10)
        assert not thread.is_alive(), "the server did not stop"
        assert left == [0], "connections outlived the server"


def suite_front(
    port: int, message_bytes: int, *, host: str = "127.0.0.1", cert: str = "", key: str = ""
) -> Front:
    """What this program runs."""
    limits = Limits(connections_per_ip=0)  # a suite comes from one address
    terms = Terms(message_bytes=message_bytes, close_timeout_s=1.0, control_burst=1e9)
    server = Server(host=host, port=port, tls_cert=cert, tls_key=key, allowed_origins=("*",))
    return echo_front(server, limits, terms)


async def serve(front: Front) -> None:
    """Until SIGTERM or SIGINT."""
    await front.start()
    print(f"listening on {front.port}", flush=True)
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end.set)
    await end.wait()
    await front.stop(1.0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Echo WebSocket messages.")
    parser.add_argument("--port", type=int, default=9001)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--message-bytes", type=int, default=64 * 1024 * 1024)
    parser.add_argument("--cert", default="", help="PEM file: speak TLS (wss)")
    parser.add_argument("--key", default="", help="PEM file of its key")
    args = parser.parse_args()
    front = suite_front(args.port, args.message_bytes, host=args.host, cert=args.cert, key=args.key)
    uvloop.run(serve(front))
