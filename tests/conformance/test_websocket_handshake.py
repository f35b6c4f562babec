"""The opening handshake of RFC 6455 on the wire."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from echo_server import echo_front, in_thread
from rawsocket import BINARY, TEXT, Client, Frame, frame, random_bytes, request

from hongyan.transport.front import Front


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    with in_thread(echo_front()) as running:
        yield running


def alive(client: Client) -> None:
    """The connection works."""
    client.send(frame(TEXT, b"alive?"))
    assert client.frame() == Frame(True, TEXT, b"alive?")


REFUSED = {
    "no key": (400, request(Sec_WebSocket_Key="")),
    "a short key": (400, request(Sec_WebSocket_Key="c2hvcnQ=")),
    "a key that is not base64": (400, request(Sec_WebSocket_Key="!" * 24)),
    "no version": (426, request(Sec_WebSocket_Version="")),
    "an old version": (426, request(Sec_WebSocket_Version="8")),
    "no Connection": (400, request(Connection="")),
    "Connection: close": (400, request(Connection="close")),
    "another Upgrade beside": (101, request(Upgrade="h2c, WebSocket")),
    "no Host": (400, request(Host="")),
    "two Hosts": (400, request(extra=["Host: other"])),
    "a body": (400, request(Content_Length="5")),
    "chunks": (400, request(Transfer_Encoding="chunked")),
    "POST": (405, request().replace(b"GET", b"POST")),
    "HTTP/1.0": (505, request().replace(b"HTTP/1.1", b"HTTP/1.0")),
    "a folded header": (400, request(extra=["X-A: b", " folded"])),
    "a space before the colon": (400, request(extra=["X-A : b"])),
    "a NUL in a header": (400, request(extra=["X-A: b\0c"])),
    "129 headers": (431, request(extra=["X-A: b"] * 129)),
    "another origin": (403, request(Origin="https://evil.example")),
    "origin null": (403, request(Origin="null")),
    "two origins": (403, request(Origin="http://chat.example", extra=["Origin: null"])),
}


@pytest.mark.parametrize("name", REFUSED)
def test_T3_T5_a_bad_handshake_is_refused(front: Front, name: str) -> None:
    status, data = REFUSED[name]
    with Client(front.port) as client:
        client.send(data)
        got, head, body = client.answer()
        assert got == status, head
        if status != 101:
            assert b'"detail":' in body
            client.gone()
        if status == 426:
            assert "sec-websocket-version: 13" in head.lower()


ACCEPTED = {
    "as Firefox sends it": {"Connection": "keep-alive, Upgrade"},
    "in any case": {"Connection": "uPGRADE", "Upgrade": "WebSocket"},
    "with an extension offered": {"Sec_WebSocket_Extensions": "permessage-deflate"},
    "an empty body announced": {"Content_Length": "0"},
    "same origin": {"Origin": "https://chat.example"},
    "same origin, port 80": {"Origin": "http://chat.example:80"},
    "same origin, own port": {"Origin": "http://chat.example:81", "Host": "chat.example:81"},
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_T3_T5_a_good_handshake_is_accepted(front: Front, name: str) -> None:
    with Client(front.port) as client:
        client.send(request(**ACCEPTED[name]))
        head = client.head()
        assert head.startswith("HTTP/1.1 101 "), head
        assert "extension" not in head.lower()
        alive(client)


def test_T3_the_handshake_may_come_byte_by_byte(front: Front) -> None:
    with Client(front.port) as client:
        for byte in request():
            client.send(bytes([byte]))
        assert client.head().startswith("HTTP/1.1 101 ")
        alive(client)


def test_T3_frames_may_come_with_the_handshake(front: Front) -> None:
    big = random_bytes(40_000)  # more than picows' first buffer
    with Client(front.port) as client:
        client.send(request(), frame(TEXT, b"early"), frame(BINARY, big), frame(TEXT, b"x")[:3])
        client.send(frame(TEXT, b"x")[3:])
        assert client.head().startswith("HTTP/1.1 101 ")
        assert [client.frame().data for _ in range(3)] == [b"early", big, b"x"]
