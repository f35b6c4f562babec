"""The engine's side of a connection: codecs, flow, ends and faults."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog
from echo_server import hello, in_thread
from rawsocket import BINARY, TEXT, Client, Frame, close_frame, frame, request
from recording import Recorder, RecordingGateway, recorded

from hongyan.model.errors import Overloaded
from hongyan.transport.front import Front
from hongyan.transport.websocket import HIGH_WATER

JSON, MSGPACK = "hongyan.v1.json", "hongyan.v1.msgpack"


@pytest.fixture
def gateway() -> RecordingGateway:
    return RecordingGateway()


@pytest.fixture
def front(gateway: RecordingGateway) -> Iterator[Front]:
    with in_thread(recorded(gateway, hello)) as running:
        yield running


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


@pytest.mark.parametrize("slow", [False, True], ids=["reads", "stalls"])
def test_T12_long_messages_written_one_after_the_other_arrive_as_they_are(
    front: Front, gateway: RecordingGateway, slow: bool
) -> None:
    sizes = (8_192, 8_193, 65_535, 65_536, 30_000, 9_000, 70_000, 125, 126) * (4 if slow else 1)

    def pour(peer: Recorder, message: bytes) -> None:
        for number, size in enumerate(sizes):
            peer.link.write(bytes((65 + number % 26,)) * size)

    gateway.react = pour
    with Client(front.port, buffer=4096) as client:
        client.open()
        client.send(frame(TEXT, b"go"))
        if slow:  # all is written before the first byte is read
            gateway.wait(lambda: bool(gateway.peers and gateway.peers[0].seen))
        for number, size in enumerate(sizes):
            whole = client.frame()
            assert (whole.fin, whole.kind, len(whole.data)) == (True, TEXT, size)
            assert set(whole.data) == {65 + number % 26}
