"""The same rules at /v1/ws of a whole server, in a process of its own, before any hello."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rawsocket import (
    BINARY,
    CONT,
    PING,
    PONG,
    TEXT,
    Client,
    Frame,
    close_frame,
    frame,
    request,
)
from test_websocket_handshake import ACCEPTED, REFUSED
from websocket_cases import GROUPS, parts

from hongyan.bench.server import ServerProcess
from hongyan.config import Limits

MOST = Limits().message_bytes
FAULTS = {
    f"{number}: {name}": case
    for number in "234578"
    for name, case in GROUPS[number]()
    if case.code in (1002, 1007) and not case.answers
}
MSGPACK = "hongyan.v1.msgpack"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with ServerProcess(core=None) as server:
        yield server.port


@pytest.fixture
def client(port: int) -> Iterator[Client]:
    with Client(port) as connected:
        yield connected.open()


@pytest.mark.parametrize("name", FAULTS)
def test_T8_a_fault_ends_a_connection_of_the_service(client: Client, name: str) -> None:
    for piece in FAULTS[name].sends:
        try:
            client.send(piece)
        except ConnectionError:
            break
    assert client.closed_with()[0] == FAULTS[name].code


@pytest.mark.parametrize("name", REFUSED)
def test_T3_T5_the_service_refuses_a_bad_handshake(port: int, name: str) -> None:
    status, data = REFUSED[name]
    with Client(port) as client:
        client.send(data)
        assert client.answer()[0] == status


@pytest.mark.parametrize("name", ACCEPTED)
def test_T3_the_service_accepts_a_good_handshake(port: int, name: str) -> None:
    with Client(port) as client:
        client.send(request(**ACCEPTED[name]), frame(PING, b"there?"))
        assert client.head().startswith("HTTP/1.1 101 ")
        assert client.frame() == Frame(True, PONG, b"there?")


@pytest.mark.parametrize("path", ["/", "/v1/ws/", "/v1/wsx", "/v1", "//v1/ws"])
def test_T3_websockets_are_at_one_path(port: int, path: str) -> None:
    with Client(port) as client:
        client.send(request(path))
        assert client.answer()[0] == 404


def test_T3_only_its_own_subprotocols_are_agreed_on(port: int) -> None:
    with Client(port) as client:
        client.send(request(Sec_WebSocket_Protocol="chat, superchat"))
        assert client.answer()[0] == 400


@pytest.mark.parametrize("cut", [1, 7, 1000])
def test_T6_a_hello_may_come_in_fragments(client: Client, cut: int) -> None:
    """It is read: the answer speaks of the token in it."""
    for piece in parts(TEXT, b'{"t":"hello","token":"none","device":"d"}', cut):
        client.send(piece)
    got = client.frame()
    assert got.kind == TEXT and b'"this is not a token"' in got.data, got


TOO_BIG = {
    "one frame": [frame(TEXT, b" " * (MOST + 1))],
    "a head": [frame(TEXT, length=MOST + 1)],
    "fragments": parts(TEXT, b" " * (MOST + 1), 1000),
    "an end": [frame(TEXT, b" " * MOST, fin=False), frame(CONT, b" ")],
    "ten times": [frame(TEXT, b" " * MOST * 10)],
}


@pytest.mark.parametrize("name", TOO_BIG)
def test_T6_more_than_the_limit_closes_with_1009(client: Client, name: str) -> None:
    for piece in TOO_BIG[name]:
        client.send(piece)
    assert client.closed_with()[0] == 1009


def test_T6_the_limit_itself_is_read(client: Client) -> None:
    """The token in them is no good, which says that they were."""
    hello = b'{"t":"hello","token":"none","device":"d"}'
    client.send(frame(TEXT, hello.ljust(MOST)))
    assert b'"this is not a token"' in client.frame().data


@pytest.mark.parametrize(("offered", "wrong"), [("", BINARY), (MSGPACK, TEXT)])
def test_T9_the_other_sort_of_message_closes_with_1003(port: int, offered: str, wrong: int) -> None:
    with Client(port) as client:
        client.open(Sec_WebSocket_Protocol=offered)
        client.send(frame(wrong, b"{}"))
        assert client.closed_with()[0] == 1003


def test_T10_a_close_before_hello_is_answered(client: Client) -> None:
    client.send(close_frame(1001, b"going"))
    assert client.closed_with()[0] == 1001
