"""RFC 6455 on the wire, table by table, on the real transport with blocking sockets."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from echo_server import echo_front, in_thread
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
)

from hongyan.transport.front import Front
from hongyan.transport.websocket import DISCARD, Terms

MOST = 70_000  # message_bytes of the server under test


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    with in_thread(echo_front(terms=Terms(message_bytes=MOST, close_timeout_s=0.5))) as running:
        yield running


@pytest.fixture
def client(front: Front) -> Iterator[Client]:
    with Client(front.port) as connected:
        yield connected.open()


def alive(client: Client) -> None:
    """The connection still works."""
    client.send(frame(TEXT, b"alive?"))
    assert client.frame() == Frame(True, TEXT, b"alive?")


# --- messages -------------------------------------------------------------------------------

SIZES = [0, 1, 125, 126, 127, 128, 65535, 65536, MOST]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", [TEXT, BINARY])
def test_T6_a_message_of_any_size_comes_back(client: Client, kind: int, size: int) -> None:
    data = b"x" * size if kind == TEXT else random_bytes(size)
    client.send(frame(kind, data))
    assert client.frame() == Frame(True, kind, data)


@pytest.mark.parametrize("mask", [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x01\x80\x00\x7f"])
def test_T6_any_mask_is_taken_off(client: Client, mask: bytes) -> None:
    data = random_bytes(1000)
    client.send(frame(BINARY, data, mask=mask))
    assert client.frame() == Frame(True, BINARY, data)


def test_T6_a_frame_may_come_byte_by_byte(client: Client) -> None:
    for byte in frame(TEXT, "Grüße 雁".encode()):
        client.send(bytes([byte]))
    assert client.frame().data.decode() == "Grüße 雁"


@pytest.mark.parametrize("cuts", [(0,), (3,), (0, 0, 5), (1, 2, 3, 4, 5), (5,)])
def test_T6_fragments_become_one_message(client: Client, cuts: tuple[int, ...]) -> None:
    whole, parts, start = b"hello", [], 0
    for cut in cuts:
        parts.append(whole[start:cut])
        start = max(start, cut)
    parts.append(whole[start:])
    kinds = [BINARY] + [CONT] * (len(parts) - 1)
    pieces = [
        frame(kind, part, fin=number == len(parts) - 1)
        for number, (kind, part) in enumerate(zip(kinds, parts, strict=True))
    ]
    client.send(*pieces)
    assert client.frame() == Frame(True, BINARY, whole)


def test_T6_control_frames_may_stand_between_fragments(client: Client) -> None:
    client.send(
        frame(TEXT, b"one ", fin=False),
        frame(PING, b"now"),
        frame(CONT, b"two ", fin=False),
        frame(PONG, b"unasked"),
        frame(CONT, b"three"),
    )
    assert client.frame() == Frame(True, PONG, b"now")
    assert client.frame() == Frame(True, TEXT, b"one two three")


def test_T6_a_close_may_stand_between_fragments(client: Client) -> None:
    client.send(frame(TEXT, b"never ends", fin=False), close_frame(1000))
    assert client.closed_with() == (1000, "")


TOO_BIG = {
    "one frame": [frame(BINARY, b"x" * (MOST + 1))],
    "a head that promises too much": [frame(BINARY, b"", length=MOST + 1)],
    "a head that promises 2**62": [frame(BINARY, b"", length=1 << 62)],
    "fragments": [frame(BINARY, b"x" * MOST, fin=False), frame(CONT, b"x")],
    "fragments without an end": [
        frame(BINARY, b"x" * 60_000, fin=False),
        frame(CONT, b"x" * 60_000, fin=False),
    ],
}


@pytest.mark.parametrize("name", TOO_BIG)
def test_T6_a_message_over_the_bound_closes_with_1009(client: Client, name: str) -> None:
    client.send(*TOO_BIG[name])
    assert client.closed_with()[0] == 1009


# --- text -----------------------------------------------------------------------------------

GOOD_TEXT = ["κόσμε", "\x00", "\x7f\x80߿ࠀ\uffff\U00010000\U0010ffff", "雁" * 99, "\ufdd0\ufffe"]
BAD_TEXT = {
    "a lone continuation": b"\x80",
    "a start without its rest": b"ab\xc3",
    "a surrogate": b"\xed\xa0\x80",
    "a pair of surrogates": b"\xed\xa0\x81\xed\xb0\x80",
    "an overlong slash": b"\xc0\xaf",
    "an overlong NUL": b"\xe0\x80\x80",
    "above U+10FFFF": b"\xf4\x90\x80\x80",
    "five bytes": b"\xf8\x88\x80\x80\x80",
    "FE": b"\xfe",
    "Latin-1": "Grüße".encode("latin-1"),
}


@pytest.mark.parametrize("text", GOOD_TEXT)
def test_T7_text_may_be_cut_inside_a_character(client: Client, text: str) -> None:
    """Every split of the bytes over two frames."""
    data = text.encode()
    for cut in range(len(data) + 1):
        client.send(frame(TEXT, data[:cut], fin=False), frame(CONT, data[cut:]))
        assert client.frame() == Frame(True, TEXT, data)


@pytest.mark.parametrize("name", BAD_TEXT)
def test_T7_text_that_is_not_utf8_closes_with_1007(front: Front, name: str) -> None:
    """Whole, and at every split."""
    data = b"so far good: " + BAD_TEXT[name]
    for cut in [None, *range(len(b"so far good: ") - 1, len(data) + 1)]:
        with Client(front.port) as client:
            client.open()
            if cut is None:
                client.send(frame(TEXT, data))
            else:
                client.send(frame(TEXT, data[:cut], fin=False), frame(CONT, data[cut:]))
            assert client.closed_with()[0] == 1007


def test_T7_binary_may_be_anything(client: Client) -> None:
    client.send(frame(BINARY, b"\xff\xfe\x80"))
    assert client.frame().data == b"\xff\xfe\x80"


# --- violations -----------------------------------------------------------------------------

VIOLATIONS: dict[str, list[bytes]] = {
    **{f"reserved bit {rsv}": [frame(TEXT, b"x", rsv=rsv)] for rsv in (1, 2, 4, 7)},
    **{f"reserved bit {rsv} on a ping": [frame(PING, b"x", rsv=rsv)] for rsv in (1, 2, 4)},
    "reserved bit on a continuation": [
        frame(TEXT, b"x", fin=False),
        frame(CONT, b"x", rsv=4),
    ],
    **{f"opcode {kind:#x}": [frame(kind, b"x")] for kind in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "no mask on text": [frame(TEXT, b"x", mask=None)],
    "no mask on a ping": [frame(PING, b"x", mask=None)],
    "no mask on an empty frame": [frame(BINARY, b"", mask=None)],
    "continuation of nothing": [frame(CONT, b"x")],
    "unfinished continuation of nothing": [frame(CONT, b"x", fin=False)],
    "continuation after the end": [
        frame(TEXT, b"x", fin=False),
        frame(CONT, b"x"),
        frame(CONT, b"x"),
    ],
    "a message inside a message": [frame(TEXT, b"x", fin=False), frame(TEXT, b"x")],
    "a fragmented ping": [frame(PING, b"x", fin=False)],
    "a fragmented close": [frame(CLOSE, b"", fin=False)],
    "a ping of 126 bytes": [frame(PING, b"x" * 126)],
    "a close of 126 bytes": [frame(CLOSE, b"\x03\xe8" + b"x" * 124)],
    "a close of one byte": [frame(CLOSE, b"\x03")],
    "a size in more bytes than needed (2)": [frame(TEXT, b"x", wide=2)],
    "a size in more bytes than needed (8)": [frame(TEXT, b"x" * 200, wide=8)],
    "a size of 2**63": [frame(BINARY, b"", length=1 << 63)],
}


@pytest.mark.parametrize("name", VIOLATIONS)
def test_T8_a_violation_closes_with_1002(client: Client, name: str) -> None:
    client.send(*VIOLATIONS[name])
    assert client.closed_with()[0] == 1002


@pytest.mark.parametrize("name", VIOLATIONS)
def test_T8_a_violation_after_good_messages_closes_with_1002(client: Client, name: str) -> None:
    alive(client)
    for piece in VIOLATIONS[name]:
        client.send(piece)
    assert client.closed_with()[0] == 1002


BAD_CODES = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]
GOOD_CODES = [*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4000, 4999]


@pytest.mark.parametrize("code", BAD_CODES)
def test_T8_a_code_that_may_not_be_sent_closes_with_1002(client: Client, code: int) -> None:
    client.send(close_frame(code, b"why not"))
    assert client.closed_with()[0] == 1002


def test_T8_a_close_reason_that_is_not_utf8_closes_with_1007(client: Client) -> None:
    client.send(close_frame(1000, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xed\xa0\x80"))
    assert client.closed_with()[0] == 1007


# --- closing --------------------------------------------------------------------------------


@pytest.mark.parametrize("code", GOOD_CODES)
def test_T10_a_close_is_answered_with_its_code(client: Client, code: int) -> None:
    client.send(close_frame(code, "bis später".encode()))
    got = client.frame()
    assert (got.kind, got.data[:2]) == (CLOSE, struct.pack("!H", code))
    with pytest.raises(Gone):
        client.frame()


def test_T10_a_close_without_code_is_answered_with_1000(client: Client) -> None:
    client.send(close_frame())
    assert client.frame() == Frame(True, CLOSE, struct.pack("!H", 1000))
    client.gone()


def test_T10_the_longest_reason_is_taken(client: Client) -> None:
    client.send(close_frame(1000, b"r" * 123))
    assert client.closed_with()[0] == 1000


def test_T10_messages_before_a_close_are_answered_those_after_are_not(client: Client) -> None:
    client.send(frame(TEXT, b"before"), close_frame(1000), frame(TEXT, b"after"), frame(PING))
    assert client.frame().data == b"before"
    assert client.frame().kind == CLOSE
    with pytest.raises(Gone):
        client.frame()


def test_T10_who_never_answers_our_close_is_dropped(client: Client) -> None:
    client.send(frame(BINARY, b"", fin=True, rsv=4))
    assert client.frame().kind == CLOSE
    client.gone()  # after close_timeout_s; the socket's own time limit is the deadline


def test_T10_what_comes_after_our_close_is_thrown_away_up_to_a_bound(client: Client) -> None:
    client.send(frame(CONT, b"wrong"))
    assert client.frame().kind == CLOSE
    with pytest.raises(ConnectionError):  # long before the 64 MiB are through
        for _ in range(1024):
            client.send(frame(BINARY, b"x" * 65_000))
    assert DISCARD < 1024 * 65_000


# --- ping -----------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"hello", b"\x00\xff\xfe", b"x" * 125])
def test_T11_a_ping_is_answered_with_its_bytes(client: Client, data: bytes) -> None:
    client.send(frame(PING, data))
    assert client.frame() == Frame(True, PONG, data)


def test_T11_unasked_pongs_are_ignored(client: Client) -> None:
    client.send(frame(PONG), frame(PONG, b"hm"), frame(PONG, b"x" * 125))
    alive(client)


def test_T11_ten_pings_at_once_get_ten_pongs(client: Client) -> None:
    client.send(*(frame(PING, bytes([n])) for n in range(10)))
    assert [client.frame().data for _ in range(10)] == [bytes([n]) for n in range(10)]


@pytest.mark.parametrize("kind", [PING, PONG])
def test_T11_a_flood_of_control_frames_closes_with_1008(client: Client, kind: int) -> None:
    client.send(*(frame(kind) for _ in range(2000)))
    assert client.closed_with()[0] == 1008


def test_T11_a_flood_of_empty_fragments_closes_with_1008(client: Client) -> None:
    client.send(frame(TEXT, b"", fin=False), *(frame(CONT, b"", fin=False) for _ in range(2000)))
    assert client.closed_with()[0] == 1008


def test_T11_messages_are_no_flood(client: Client) -> None:
    for _ in range(20):
        client.send(*(frame(TEXT, b"m") for _ in range(100)))
        assert [client.frame().data for _ in range(100)] == [b"m"] * 100


# --- flow -----------------------------------------------------------------------------------


def test_T12_a_peer_that_takes_nothing_is_read_no_more(front: Front) -> None:
    """The echo of what it sends fills its way back; then our writes stop moving."""
    with Client(front.port, buffer=8192) as client:
        client.open()
        client.sock.settimeout(1.0)
        sent, piece = 0, frame(BINARY, b"x" * 60_000)
        with pytest.raises(TimeoutError):
            while sent < 64 << 20:
                sent += client.sock.send(piece)
        client.sock.settimeout(10)
        assert sent < 64 << 20
        # Once it takes them all whole messages come back: nothing was lost or reordered.
        for _ in range(sent // len(piece)):
            assert client.frame() == Frame(True, BINARY, b"x" * 60_000)
