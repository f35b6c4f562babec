"""Every case of websocket_cases.py and of utf8_cases.py against the real transport, and the
large messages that need a server of their own."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from echo_server import echo_front, in_thread, suite_front
from rawsocket import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    Client,
    Frame,
    Gone,
    close_frame,
    frame,
    random_bytes,
    request,
)
from utf8_cases import BAD, GOOD, first_fault
from websocket_cases import GROUPS, Case, chops, parts

from hongyan.transport.front import Front
from hongyan.transport.websocket import Terms

TERMS = Terms(message_bytes=64 << 20, close_timeout_s=10.0)  # as echo_server.py, but more patient
CASES = {f"{number}: {name}": case for number, made in GROUPS.items() for name, case in made()}
SOON = 6.0  # seconds, less than the patience of the server


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    with in_thread(echo_front(terms=TERMS)) as running:
        yield running


@pytest.fixture
def client(front: Front) -> Iterator[Client]:
    with Client(front.port) as connected:
        yield connected.open()


def ends(client: Client, code: int) -> None:
    """The server closes with `code`, then TCP, without a word more and without an answer."""
    got = client.frame()
    assert (got.kind, got.data[:2]) == (CLOSE, struct.pack("!H", code)), got
    client.sock.settimeout(SOON)
    with pytest.raises(Gone):
        client.frame()


def closes(client: Client) -> None:
    """The connection works, and is closed as it should be."""
    client.send(frame(TEXT, b"still there?"), close_frame(1000))
    assert client.frame() == Frame(True, TEXT, b"still there?")
    ends(client, 1000)


def play(client: Client, case: Case) -> None:
    """Send, compare, end."""
    for piece in case.sends:
        try:
            client.send(piece)
        except ConnectionError:
            assert case.code is not None, "closed too soon"
            break
    assert [client.frame() for _ in case.answers] == list(case.answers)
    if case.code is None:
        closes(client)
    elif client_closed_first(case):
        ends(client, case.code)
    else:
        assert client.closed_with()[0] == case.code


def client_closed_first(case: Case) -> bool:
    """Whether a close frame was among what was sent, or its stream ended in a fault of framing."""
    return case.code not in (1007, 1002) or case.sends[-1][0] == 0x88


@pytest.mark.parametrize("name", [name for name in CASES if name[0] in "1258"])
def test_T6_T11_messages_and_control_frames(client: Client, name: str) -> None:
    play(client, CASES[name])


@pytest.mark.parametrize("name", [name for name in CASES if name[0] in "34"])
def test_T8_what_is_reserved_ends_the_connection_after_what_was_good(
    client: Client, name: str
) -> None:
    play(client, CASES[name])


@pytest.mark.parametrize("name", [name for name in CASES if name[0] == "7"])
def test_T10_every_way_to_close(client: Client, name: str) -> None:
    play(client, CASES[name])


# --- 6: text --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GOOD)
def test_T7_text_comes_back_however_it_is_cut(client: Client, name: str) -> None:
    data = GOOD[name]
    assert first_fault(data) is None
    whole = frame(TEXT, data)
    for pieces in ([whole], chops(1, whole), parts(TEXT, data, 1), chops(1, *parts(TEXT, data, 1))):
        for piece in pieces:
            client.send(piece)
        assert client.frame() == Frame(True, TEXT, data)
    closes(client)


@pytest.mark.parametrize("name", BAD)
def test_T7_bad_text_ends_with_the_fragment_that_cannot_be_mended(front: Front, name: str) -> None:
    """Until then the server waits; the end of the message is never sent, if the fault is
    inside."""
    data = BAD[name]
    fault = first_fault(data)
    assert fault is not None
    with Client(front.port) as client:  # every byte a fragment
        client.open()
        for at, byte in enumerate(data[:fault]):
            client.send(frame(CONT if at else TEXT, bytes([byte]), fin=False))
        client.send(frame(PING, b"so far"))
        assert client.frame() == Frame(True, PONG, b"so far")
        kind, last = (CONT if fault else TEXT), data[fault : fault + 1]
        client.send(frame(kind, last, fin=not last))
        assert client.closed_with()[0] == 1007
    with Client(front.port) as client:  # whole, byte by byte
        client.open()
        for piece in chops(1, frame(TEXT, data)):
            client.send(piece)
        assert client.closed_with()[0] == 1007


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("before", ["", "雁"])
@pytest.mark.parametrize("size", [100, 300, 70_000])
def test_T7_bad_text_ends_inside_a_frame_that_is_still_coming(
    front: Front, name: str, before: str, size: int
) -> None:
    """Sent up to the fault. `before` is cut by the end of the frame before."""
    start = before.encode()
    data = start + BAD[name].ljust(size, b"x")
    fault = first_fault(data)
    assert fault is not None and fault < len(data) - 10
    cut = 2 if before else 0
    with Client(front.port) as client:
        client.open()
        if before:
            client.send(frame(TEXT, data[:cut], fin=False))
        last = frame(CONT if before else TEXT, data[cut:])
        until = last[: len(last) - len(data) + fault + 1]
        for piece in (*chops(1, until[:9]), *chops(5, until[9:])):
            client.send(piece)
        assert client.closed_with()[0] == 1007


# --- 9 and 10: large ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [TEXT, BINARY])
@pytest.mark.parametrize("size", [1 << 18, 1 << 20, 16 << 20])
def test_T6_a_large_message_comes_back(client: Client, kind: int, size: int) -> None:
    data = b"BAsd7&jh23" * (size // 10) if kind == TEXT else random_bytes(size)
    client.send(frame(kind, data))
    assert client.frame() == Frame(True, kind, data)
    closes(client)


@pytest.mark.parametrize("size", [64, 1300, 4096, 65536, 1 << 20])
@pytest.mark.parametrize("chopped", [False, True])
def test_T6_a_large_message_comes_back_in_pieces(client: Client, size: int, chopped: bool) -> None:
    data = "雁chopped".encode() * 20_000 if size < 4096 else "雁chopped".encode() * 100_000
    for piece in chops(size, frame(TEXT, data)) if chopped else parts(TEXT, data, size):
        client.send(piece)
    assert client.frame() == Frame(True, TEXT, data)
    closes(client)


@pytest.mark.parametrize("size", [0, 16, 1024, 16384])
def test_T6_a_thousand_messages_come_back(client: Client, size: int) -> None:
    for _ in range(1000):
        client.send(frame(BINARY, b"m" * size))
        assert client.frame() == Frame(True, BINARY, b"m" * size)
    closes(client)


# --- 12 and 13: extensions ------------------------------------------------------------------

OFFERS = [
    "permessage-deflate",
    "permessage-deflate; client_max_window_bits",
    "permessage-deflate; server_no_context_takeover; server_max_window_bits=9",
    "permessage-deflate; server_max_window_bits=15, permessage-deflate",
    'x-webkit-deflate-frame, permessage-bzip2; param="a,b"',
]


@pytest.mark.parametrize("offer", OFFERS)
def test_T3_an_extension_is_declined_and_its_bit_refused(front: Front, offer: str) -> None:
    with Client(front.port) as client:
        client.send(request(Sec_WebSocket_Extensions=offer))
        head = client.head()
        assert head.startswith("HTTP/1.1 101 ") and "extension" not in head.lower()
        client.send(frame(TEXT, b"plain"))
        assert client.frame().data == b"plain"
        client.send(frame(TEXT, b"\xaa\x56\x50\x4a\x49\x04\x00", rsv=4))
        assert client.closed_with()[0] == 1002


# --- what suites need -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def suite() -> Iterator[Front]:
    with in_thread(suite_front(0, 64 << 20)) as running:
        yield running


def test_T1_two_hundred_connections_one_after_another(suite: Front) -> None:
    for number in range(200):
        with Client(suite.port) as client:
            client.open(f"/runCase?case={number}&agent=x", Origin="http://suite.example")
            closes(client)


def test_T11_the_server_for_suites_answers_thousands_of_pings(suite: Front) -> None:
    with Client(suite.port) as client:
        client.open(Sec_WebSocket_Protocol="chat, superchat")
        client.send(
            frame(TEXT, b"", fin=False), *(frame(CONT, b"", fin=False) for _ in range(3000))
        )
        for number in range(3000):
            client.send(frame(PING, b"%d" % number))
            assert client.frame() == Frame(True, PONG, b"%d" % number)
        client.send(frame(CONT, b"end"))
        assert client.frame() == Frame(True, TEXT, b"end")
        closes(client)


def test_T8_a_peer_in_the_middle_of_a_large_frame_learns_why(front: Front) -> None:
    """It sends on, far more than the kernel holds, and only then looks: no reset came before."""
    with in_thread(echo_front(terms=Terms(message_bytes=4096))) as small, Client(small.port) as one:
        one.open()
        one.send(frame(BINARY, b"x" * 900_000))
        assert one.closed_with()[0] == 1009
