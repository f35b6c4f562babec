"""Limits and addresses, the start and the end of a server."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest
from echo_server import EchoEndpoint, echo_front, hello, in_thread
from rawsocket import CLOSE, TEXT, Client, Frame, close_frame, frame, request
from recording import RecordingGateway, recorded

from hongyan.config import Limits, Server
from hongyan.transport import httpserver
from hongyan.transport.front import CannotListen, Front, raise_fd_limit
from hongyan.transport.websocket import Terms


@pytest.fixture
def gateway() -> RecordingGateway:
    return RecordingGateway()


def wait_until(ready: Callable[[], bool]) -> None:
    """At most 10 seconds."""
    deadline = time.monotonic() + 10
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.005)


# --- limits and addresses -------------------------------------------------------------------


def test_T21_T25_clients_of_a_trusted_proxy_are_counted_by_their_own_address() -> None:
    server = Server(port=0, trusted_proxies=("127.0.0.0/8",))
    endpoint = EchoEndpoint(Terms())
    front = Front(server, Limits(connections_per_ip=2), endpoint=endpoint, http=hello)
    with in_thread(front), Client(front.port) as a, Client(front.port) as b:
        a.open(X_Forwarded_For="6.6.6.6, 198.51.100.1")
        b.open(X_Forwarded_For="198.51.100.1")
        with Client(front.port) as third, Client(front.port) as other:
            third.send(request(X_Forwarded_For="198.51.100.1"))
            assert third.answer()[0] == 429
            other.open(X_Forwarded_For="198.51.100.2")
        b.send(close_frame(1000))
        b.closed_with()
        with Client(front.port) as again:  # b's place is free again
            again.open(X_Forwarded_For="198.51.100.1")
    assert endpoint.ips == ["198.51.100.1", "198.51.100.1", "198.51.100.2", "198.51.100.1"]


@pytest.mark.parametrize("limits", [Limits(connections=3), Limits(connections_per_ip=3)])
def test_T25_one_connection_too_many_is_turned_away(limits: Limits) -> None:
    with in_thread(echo_front(limits=limits)) as front:
        clients = [Client(front.port) for _ in range(3)]
        clients[0].open()
        clients[1].open()
        clients[2].send(b"GET /3 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert clients[2].answer()[0] == 200
        with Client(front.port) as extra:
            extra.gone()
        clients[0].send(frame(TEXT, b"not disturbed"))
        assert clients[0].frame().data == b"not disturbed"
        for number in (2, 0):  # an HTTP connection gives its place back, and a WebSocket
            clients[number].sock.close()
            wait_until(lambda: front.stats()["open"] == 2)
            clients[number] = Client(front.port).open()
        for client in clients:
            client.sock.close()
        assert front.stats()["turned_away"] >= 1


def test_T25_the_limit_of_files_is_raised() -> None:
    code = (
        "import resource as r; hard = r.getrlimit(r.RLIMIT_NOFILE)[1];"
        "r.setrlimit(r.RLIMIT_NOFILE, (64, hard));"
        "from hongyan.transport.front import raise_fd_limit as f; print(f(), hard)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    got, hard = map(int, done.stdout.split())
    assert got == (min(hard, 1 << 20) if hard != resource.RLIM_INFINITY else 1 << 20)


def test_T25_a_flood_of_connections_is_taken_by_the_backlog() -> None:
    """200 connects before the loop has run once are all served."""
    with in_thread(echo_front()) as front:
        clients = [Client(front.port) for _ in range(200)]
        for client in clients:
            client.send(request())
        for client in clients:
            assert client.head().startswith("HTTP/1.1 101 ")
            client.sock.close()


# --- life and end ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("server", "words"),
    [
        (lambda port: Server(port=port), "is taken"),
        (lambda port: Server(host="192.0.2.1", port=0), "does not have the address"),
        (lambda port: Server(host="no-such-host.invalid", port=0), "cannot listen on"),
    ],
)
async def test_T24_an_address_that_cannot_be_had_is_one_line(server, words) -> None:  # type: ignore[no-untyped-def]
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        front = echo_front(server(other.getsockname()[1]))
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(CannotListen, match=words) as caught:
            await front.start()
        assert "\n" not in str(caught.value)
        assert len(os.listdir("/proc/self/fd")) == before


async def test_T24_two_servers_that_bind_at_once_do_not_share_a_port() -> None:
    first, port = echo_front(), 0
    await first.start()
    port = first.port
    second = echo_front(Server(port=port))
    with pytest.raises(CannotListen, match="is taken"):
        await second.start()
    await first.stop(0.5)
    third = echo_front(Server(port=port))  # at once: no waiting for old connections to end
    await third.start()
    assert third.port == port
    await third.stop(0.5)


def test_T23_stop_says_goodbye_and_closes(gateway: RecordingGateway) -> None:
    front = recorded(gateway, hello)

    def goodbye() -> None:
        gateway.peers[0].link.write(b"goodbye")
        gateway.peers[0].link.close(1013, "GoingAway")
        with pytest.raises(ConnectionRefusedError):  # nobody is taken in any more
            socket.create_connection(("127.0.0.1", front.port), 5)

    gateway.on_drain = goodbye
    said: list[object] = []

    def watch(client: Client) -> None:
        said.append(client.frame().data)
        said.append(client.closed_with())

    with in_thread(front):
        client, left, idle = Client(front.port), Client(front.port), Client(front.port)
        client.open()
        gateway.wait(lambda: len(gateway.peers) == 1)
        left.open()
        idle.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert idle.answer()[0] == 200
        watcher = threading.Thread(target=watch, args=(client,))
        watcher.start()
    watcher.join(10)
    assert said == [b"goodbye", (1013, "GoingAway")]
    assert left.frame().kind == CLOSE  # 1001; it never answered and was dropped
    idle.gone()
    gateway.wait(lambda: all(peer.seen[-1] == "lost" for peer in gateway.peers))
    assert gateway.drained == [1.0]
    assert front.stats()["open"] == 0
    for one in (client, left, idle):
        one.sock.close()


def test_T23_a_running_request_is_answered_before_the_end() -> None:
    running, finish = threading.Event(), threading.Event()

    async def slow(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        running.set()
        await asyncio.to_thread(finish.wait, 10)
        await hello(scope, receive, send)

    front = recorded(RecordingGateway(), slow)
    with in_thread(front):
        client = Client(front.port)
        client.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        assert running.wait(10)
        threading.Timer(0.1, finish.set).start()
    status, head, body = client.answer()
    assert (status, body, "connection: close" in head) == (200, b"/slow", True)
    client.gone()
    client.sock.close()


def test_T23_who_does_not_close_in_time_is_dropped(gateway: RecordingGateway) -> None:
    with in_thread(recorded(gateway, hello, close_timeout_s=60.0)) as front:
        client = Client(front.port).open()
        gateway.wait(lambda: len(gateway.peers) == 1)
    assert client.frame() == Frame(True, CLOSE, b"\x03\xe9the server stops")
    client.gone()
    client.sock.close()


def test_T23_a_request_that_does_not_end_is_cut() -> None:
    running = threading.Event()

    async def stuck(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        running.set()
        await asyncio.Event().wait()

    front = recorded(RecordingGateway(), stuck)
    with in_thread(front):
        client = Client(front.port)
        client.send(b"GET /stuck HTTP/1.1\r\nHost: a\r\n\r\n")
        assert running.wait(10)
    client.gone()
    client.sock.close()
    assert front.stats()["open"] == 0


def test_T25_raising_the_limit_twice_is_harmless() -> None:
    assert raise_fd_limit() == raise_fd_limit()


@pytest.mark.parametrize("keep", ["keep-alive", "close"])
def test_T18_who_takes_nothing_of_an_answer_is_dropped(
    monkeypatch: pytest.MonkeyPatch, keep: str
) -> None:
    async def large(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * (32 << 20)})

    monkeypatch.setattr(httpserver, "STALL_S", 0.5)
    with (
        in_thread(recorded(RecordingGateway(), large)) as front,
        Client(front.port, buffer=8192) as client,
        Client(front.port) as reader,
    ):
        ask = f"GET / HTTP/1.1\r\nHost: a\r\nConnection: {keep}\r\n\r\n".encode()
        client.send(ask)
        wait_until(lambda: front.stats().get("http", 0) == 1)
        wait_until(lambda: front.stats()["open"] == 1)  # the reader stays
        reader.send(ask)
        got = 0
        while got < 32 << 20:
            more = len(reader.sock.recv(1 << 20))
            assert more, "the reader was dropped"
            got += more
        client.gone()


@pytest.mark.parametrize("head", ["Content-Length: 999999999", "Transfer-Encoding: chunked"])
def test_T18_a_body_that_nobody_reads_is_thrown_away_for_a_while(head: str) -> None:
    async def deaf(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    chunk = b"1000\r\n" + b"x" * 4096 + b"\r\n"
    with in_thread(recorded(RecordingGateway(), deaf)) as front, Client(front.port) as client:
        client.send(f"POST / HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n".encode())
        assert client.head().startswith("HTTP/1.1 200 ")
        with pytest.raises(ConnectionError):
            for _ in range(8192):
                client.send(chunk)
