"""One port, its limits, its ends, and the engine's side of a connection."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import structlog
from echo_server import EchoEndpoint, echo_front, hello, in_thread
from rawsocket import BINARY, CLOSE, TEXT, Client, Frame, Gone, close_frame, frame, request
from recording import Recorder, RecordingGateway, recorded

from hongyan.config import Limits, Server
from hongyan.model.errors import Overloaded
from hongyan.transport.front import CannotListen, Front, raise_fd_limit
from hongyan.transport.handshake import MAX_HEAD
from hongyan.transport.websocket import HIGH_WATER, Terms

JSON, MSGPACK = "hongyan.v1.json", "hongyan.v1.msgpack"


@pytest.fixture
def gateway() -> RecordingGateway:
    return RecordingGateway()


@pytest.fixture
def front(gateway: RecordingGateway) -> Iterator[Front]:
    with in_thread(recorded(gateway, hello)) as running:
        yield running


@pytest.fixture(scope="module")
def impatient() -> Iterator[Front]:
    """An echo that waits 200 ms for a request head."""
    with in_thread(echo_front(limits=Limits(handshake_ms=200))) as running:
        yield running


def wait_until(ready: Callable[[], bool]) -> None:
    """At most 10 seconds."""
    deadline = time.monotonic() + 10
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.005)


# --- the first bytes ------------------------------------------------------------------------


def test_T1_http_and_websocket_share_the_port(front: Front) -> None:
    with Client(front.port) as client:
        client.send(b"GET /some/path HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.answer()[2] == b"/some/path"
    with Client(front.port) as client:
        client.open()
        client.send(close_frame(1000))
        assert client.closed_with() == (1000, "")


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x01\x02\x00\x01", b"\x10\x0c\x00\x04MQTT", b"PRI * HTTP/2.0\r\n\r\n", b"\n"]
)
def test_T1_everything_else_is_closed_without_an_answer(front: Front, data: bytes) -> None:
    with Client(front.port) as client:
        client.send(data)
        with pytest.raises(Gone) as gone:
            client.take(1)
        assert gone.value.args == (b"",)


def test_T1_a_body_comes_with_or_after_its_head(front: Front) -> None:
    post = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
    with Client(front.port) as client:
        client.send(post, b"hello")
        assert client.answer()[2] == b"hello"
        client.send(post)
        client.send(b"wor")
        client.send(b"ld")
        assert client.answer()[2] == b"world"


def test_T1_requests_may_be_pipelined(front: Front) -> None:
    with Client(front.port) as client:
        client.send(*(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % n for n in range(5)))
        assert [client.answer()[2] for _ in range(5)] == [b"/%d" % n for n in range(5)]


@pytest.mark.parametrize("start", [b"", b"G", b"GET / HTTP/1.1\r\nHost: a\r\n", request()[:-2]])
def test_T2_who_sends_no_whole_head_is_closed(impatient: Front, start: bytes) -> None:
    with Client(impatient.port) as client:
        client.send(start)
        client.gone()


def test_T2_a_later_request_has_to_come_in_time_too(impatient: Front) -> None:
    with Client(impatient.port) as client:
        client.send(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.answer()[2] == b"/1"
        client.send(b"GET /2 HTTP/1.1\r\nHos")
        assert client.answer()[0] == 408
        client.gone()


def test_T2_a_websocket_is_not_bound_by_the_time_of_heads(impatient: Front) -> None:
    with Client(impatient.port) as client, Client(impatient.port) as silent:
        client.open()
        silent.gone()  # the time is over for the one that came after
        client.send(frame(TEXT, b"still here"))
        assert client.frame().data == b"still here"


@pytest.mark.parametrize("pieces", [1, 20])
def test_T2_a_large_head_is_answered_with_431(front: Front, pieces: int) -> None:
    data = b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * MAX_HEAD
    with Client(front.port) as client:
        for start in range(0, len(data), len(data) // pieces):
            client.send(data[start : start + len(data) // pieces])
        assert client.answer()[0] == 431
        client.gone()


@pytest.mark.parametrize("what", ["one endless header", "many headers", "an endless path"])
def test_T2_a_later_large_head_is_answered_with_431(front: Front, what: str) -> None:
    with Client(front.port) as client:
        client.send(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.answer()[2] == b"/1"
        if what == "many headers":
            client.send(b"GET / HTTP/1.1\r\n", b"A: b\r\n" * 129, b"\r\n")
        elif what == "an endless path":
            client.send(b"GET /" + b"x" * (MAX_HEAD + 1))
        else:
            client.send(b"GET / HTTP/1.1\r\nX: " + b"x" * MAX_HEAD)
        assert client.answer()[0] == 431
        client.gone()


def test_T3_a_used_http_connection_may_become_a_websocket(
    front: Front, gateway: RecordingGateway
) -> None:
    with Client(front.port) as client:
        client.send(b"GET /1 HTTP/1.1\r\nHost: chat.example\r\n\r\n")
        assert client.answer()[2] == b"/1"
        client.open(Connection="keep-alive, Upgrade")
        client.send(frame(TEXT, b"hi"))
        gateway.wait(lambda: bool(gateway.peers) and b"hi" in gateway.peers[0].seen)
        client.send(close_frame(1000))
        assert client.closed_with() == (1000, "")


def test_T3_a_used_http_connection_may_be_refused_too(front: Front) -> None:
    with Client(front.port) as client:
        client.send(b"GET /1 HTTP/1.1\r\nHost: chat.example\r\n\r\n")
        assert client.answer()[2] == b"/1"
        client.send(request(Origin="https://evil.example"))
        assert client.answer()[0] == 403
        client.gone()


def test_T3_other_paths_have_no_websocket(front: Front) -> None:
    with Client(front.port) as client:
        client.send(request("/v2/ws"))
        status, _, body = client.answer()
        assert (status, b"/v1/ws" in body) == (404, True)


# --- links ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offered", "codec", "answer"),
    [
        ("", "json", None),
        (JSON, "json", JSON),
        (MSGPACK, "msgpack", MSGPACK),
        (f"other, {MSGPACK}, {JSON}", "msgpack", MSGPACK),
    ],
)
def test_T4_the_subprotocol_chooses_the_codec(
    front: Front, gateway: RecordingGateway, offered: str, codec: str, answer: str | None
) -> None:
    with Client(front.port) as client:
        client.send(request(Sec_WebSocket_Protocol=offered))
        head = client.head()
        agreed = [line for line in head.split("\r\n") if line.startswith("Sec-WebSocket-Protocol")]
        assert agreed == ([f"Sec-WebSocket-Protocol: {answer}"] if answer else [])
        gateway.wait(lambda: bool(gateway.peers))
        assert gateway.peers[0].codec.name == codec


@pytest.mark.parametrize(
    ("offered", "right", "wrong"), [(JSON, TEXT, BINARY), (MSGPACK, BINARY, TEXT)]
)
def test_T9_each_codec_has_its_sort_of_message(
    front: Front, gateway: RecordingGateway, offered: str, right: int, wrong: int
) -> None:
    gateway.react = lambda peer, message: peer.link.write(message)
    with Client(front.port) as client:
        client.open(Sec_WebSocket_Protocol=offered)
        client.send(frame(right, b"[]"))
        assert client.frame() == Frame(True, right, b"[]")
        client.send(frame(wrong, b"[]"))
        assert client.closed_with()[0] == 1003
    gateway.wait(lambda: "lost" in gateway.peers[0].seen)
    assert gateway.peers[0].seen == [b"[]", "lost"]


def test_T10_the_engine_closes_after_what_it_wrote(front: Front, gateway: RecordingGateway) -> None:
    def bye(peer: Recorder, message: bytes) -> None:
        peer.link.write(b"last words")
        peer.link.close(4001, "too " + "long " * 40)
        peer.link.close(4002, "twice")
        peer.link.write(b"ignored")

    gateway.react = bye
    with Client(front.port) as client:
        client.open()
        client.send(frame(TEXT, b"go"))
        assert client.frame().data == b"last words"
        code, reason = client.closed_with()
        assert (code, reason[:8], len(reason)) == (4001, "too long", 123)


def test_T12_a_slow_peer_is_told_to_the_engine_and_comes_back(
    front: Front, gateway: RecordingGateway
) -> None:
    def pour(peer: Recorder, message: bytes) -> None:
        while peer.seen[-1] is not False:
            peer.link.write(b"x" * 30_000)  # notes False from within when it is too much
            if peer.seen[-1] is not False:
                peer.note("wrote")

    gateway.react = pour
    with Client(front.port, buffer=8192) as client:
        client.open()
        client.send(frame(TEXT, b"pour"))
        gateway.wait(lambda: bool(gateway.peers) and False in gateway.peers[0].seen)
        peer = gateway.peers[0]
        written = peer.seen.count("wrote") + 1
        assert peer.seen[-1] is False
        assert written * 30_000 > HIGH_WATER
        for _ in range(written):
            assert client.frame().data == b"x" * 30_000
        gateway.wait(lambda: peer.seen[-1] is True)


@pytest.mark.parametrize("how", ["peer closes", "peer vanishes", "peer errs", "engine closes"])
def test_T13_the_end_is_told_exactly_once(
    front: Front, gateway: RecordingGateway, how: str
) -> None:
    gateway.react = lambda peer, message: peer.link.close(1000, "")
    with Client(front.port) as client:
        client.open()
        if how == "peer closes":
            client.send(close_frame(1000))
            client.gone()
        elif how == "peer errs":
            client.send(frame(TEXT, b"x", rsv=1))
            client.closed_with()
        elif how == "engine closes":
            client.send(frame(TEXT, b"x"))
            client.closed_with()
        client.sock.close()
        gateway.wait(lambda: bool(gateway.peers) and "lost" in gateway.peers[0].seen)
    with Client(front.port) as other:  # a round trip through the same loop: nothing came after
        other.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert other.answer()[0] == 200
    seen = gateway.peers[0].seen
    assert (seen.count("lost"), seen[-1]) == (1, "lost")


def test_T13_who_is_not_taken_gets_the_reason(front: Front, gateway: RecordingGateway) -> None:
    gateway.refuse = Overloaded("come back later")
    with Client(front.port) as client:
        client.open()
        assert client.closed_with() == (1013, "come back later")
    assert gateway.peers == []


@pytest.mark.parametrize("where", ["accept", "received", "writable", "lost"])
def test_T14_a_fault_of_the_engine_ends_one_connection(
    gateway: RecordingGateway, where: str
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    def pour(peer: Recorder, message: bytes) -> None:
        for _ in range(200):
            peer.link.write(b"x" * 60_000)

    with (
        structlog.testing.capture_logs() as logs,
        in_thread(recorded(gateway, hello)) as front,
        Client(front.port) as healthy,
    ):
        healthy.open()
        gateway.wait(lambda: len(gateway.peers) == 1)
        if where == "accept":
            gateway.refuse = RuntimeError("a bug")
        with Client(front.port) as client:
            client.open()
            if where != "accept":
                gateway.wait(lambda: len(gateway.peers) == 2)
                setattr(gateway.peers[1], where, fail)
                gateway.react = pour if where == "writable" else lambda peer, message: None
                client.send(frame(TEXT, b"x"))
            if where == "lost":
                client.send(close_frame(1000))
                client.gone()
            else:
                assert client.closed_with()[0] == 1011
        gateway.react = lambda peer, message: peer.link.write(message)
        healthy.send(frame(TEXT, b"fine"))
        assert healthy.frame().data == b"fine"
    assert [entry for entry in logs if entry["event"] == "a connection failed"]


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
