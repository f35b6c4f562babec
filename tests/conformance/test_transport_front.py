"""One port, its limits, its ends, and the engine's side of a connection."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from echo_server import echo_front, hello, in_thread
from rawsocket import TEXT, Client, Gone, close_frame, frame, request
from recording import RecordingGateway, recorded

from hongyan.config import Limits
from hongyan.transport.front import Front
from hongyan.transport.handshake import MAX_HEAD

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
    assert "handshake_timeouts" not in front.stats()  # closed for what it is, not for its silence


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
