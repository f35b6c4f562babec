"""What a WebSocket server has to do, case by case, from RFC 6455. Numbers are groups, see
docs/conformance.md; every case stands by itself and gets a connection of its own."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rawsocket import BINARY, CLOSE, CONT, PING, PONG, TEXT, Frame, close_frame, frame


class Case(NamedTuple):
    """What is sent, as one write each; the frames that come back before anything else; and the
    code the server closes with, None when the connection works on."""

    sends: Sequence[bytes]
    answers: Sequence[Frame] = ()
    code: int | None = None


def octets(*frames: bytes) -> list[bytes]:
    """Every byte a write of its own."""
    return chops(1, *frames)


def chops(size: int, *frames: bytes) -> list[bytes]:
    """Writes of `size` bytes, which know nothing of frames."""
    data = b"".join(frames)
    return [data[at : at + size] for at in range(0, len(data), size)]


def parts(kind: int, data: bytes, size: int) -> list[bytes]:
    """A message in frames of `size` bytes of payload."""
    ends = range(0, max(len(data), 1), size)
    return [
        frame(kind if at == 0 else CONT, data[at : at + size], fin=at == ends[-1]) for at in ends
    ]


def back(data: bytes, kind: int = TEXT) -> Frame:
    """The echo of a message."""
    return Frame(True, kind, data)


def pong(data: bytes = b"") -> Frame:
    return Frame(True, PONG, data)


HI, PING_HI = frame(TEXT, b"hi"), frame(PING, b"after")


def group_1() -> Iterator[tuple[str, Case]]:
    """Whole messages."""
    for kind, name in ((TEXT, "text"), (BINARY, "binary")):
        for size in (0, 125, 126, 127, 128, 65535, 65536):
            data = (b"*" if kind == TEXT else b"\xfe") * size
            yield f"{name} of {size}", Case([frame(kind, data)], [back(data, kind)])
        chopped = chops(997, frame(kind, b"*" * 65536))
        yield f"{name} of 65536 in writes of 997", Case(chopped, [back(b"*" * 65536, kind)])


def group_2() -> Iterator[tuple[str, Case]]:
    """Pings and pongs."""
    for size, data in (
        (0, b""),
        (5, b"Hello"),
        (6, b"\x00\xff\xfe\xfd\xfc\xfb"),
        (125, b"\xfe" * 125),
    ):
        yield f"ping of {size}", Case([frame(PING, data)], [pong(data)])
    yield "ping of 126", Case([frame(PING, b"x" * 126)], code=1002)
    yield "ping in octets", Case(octets(frame(PING, b"\xfe" * 125)), [pong(b"\xfe" * 125)])
    yield "pong unasked, empty", Case([frame(PONG)])
    yield "pong unasked", Case([frame(PONG, b"unasked")])
    yield "pong unasked, then ping", Case([frame(PONG, b"x"), frame(PING, b"y")], [pong(b"y")])
    ten = [frame(PING, b"ping %d" % n) for n in range(10)]
    answers = [pong(b"ping %d" % n) for n in range(10)]
    yield "ten pings", Case(ten, answers)
    yield "ten pings in one write", Case([b"".join(ten)], answers)
    yield "ten pings in octets", Case(octets(*ten), answers)


def group_3() -> Iterator[tuple[str, Case]]:
    """Reserved bits: the message before counts, nothing after it."""
    for rsv in range(1, 8):
        bad = frame(TEXT, b"x", rsv=rsv)
        yield f"rsv {rsv} first", Case([bad], code=1002)
        yield f"rsv {rsv} after text", Case([HI, bad, PING_HI], [back(b"hi")], 1002)
        yield f"rsv {rsv} after text, one write", Case([HI + bad + PING_HI], [back(b"hi")], 1002)
        yield f"rsv {rsv} in octets", Case(octets(HI, bad, PING_HI)[:-13], [back(b"hi")], 1002)
    yield "rsv on binary", Case([frame(BINARY, b"\xff" * 8, rsv=5)], code=1002)
    yield "rsv on a ping", Case([frame(PING, b"x", rsv=6)], code=1002)
    yield "rsv on a close", Case([frame(CLOSE, b"\x03\xe8", rsv=7)], code=1002)


def group_4() -> Iterator[tuple[str, Case]]:
    """Reserved opcodes."""
    for kind in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        empty, full = frame(kind), frame(kind, b"reserved opcode payload")
        yield f"opcode {kind}", Case([empty], code=1002)
        yield f"opcode {kind} with payload", Case([full], code=1002)
        yield f"opcode {kind} after text", Case([HI, full, PING_HI], [back(b"hi")], 1002)
        yield (
            f"opcode {kind} after text, one write",
            Case([HI + full + PING_HI], [back(b"hi")], 1002),
        )
        yield f"opcode {kind} in octets", Case(octets(HI, full[:2]), [back(b"hi")], 1002)


def group_5() -> Iterator[tuple[str, Case]]:
    """Fragments, and what stands between them."""
    one, two = frame(TEXT, b"one,", fin=False), frame(CONT, b"two")
    mid = frame(CONT, b"mid,", fin=False)
    ping, asked, whole = frame(PING, b"p"), pong(b"p"), back(b"one,two")
    yield "a ping in fragments", Case([frame(PING, b"x", fin=False), frame(CONT, b"y")], code=1002)
    yield "a pong in fragments", Case([frame(PONG, b"x", fin=False), frame(CONT, b"y")], code=1002)
    for name, cut in (("frames", lambda *x: list(x)), ("octets", octets), ("one write", one_write)):
        yield f"two fragments, {name}", Case(cut(one, two), [whole])
        yield f"a ping between, {name}", Case(cut(one, ping, two), [asked, whole])
        three = [one, ping, mid, ping, two]
        yield (
            f"pings between three, {name}",
            Case(cut(*three), [asked, asked, back(b"one,mid,two")]),
        )
        yield (
            f"two messages of fragments, {name}",
            Case(cut(one, ping, two, ping, one, two), [asked, whole, asked, whole]),
        )
        yield f"a message before a lone end, {name}", Case(cut(HI, two), [back(b"hi")], 1002)
        lone = frame(CONT, b"x")
        yield f"an end after the end, {name}", Case(cut(one, two, lone), [whole], 1002)
    for fin in (True, False):
        start = frame(CONT, b"no beginning", fin=fin)
        yield f"no beginning, fin {fin}", Case([start, HI], code=1002)
        yield f"no beginning, fin {fin}, one write", Case([start + HI], code=1002)
        yield f"again after the end, fin {fin}", Case([one, two, start, HI], [whole], 1002)
    yield "a beginning inside", Case([one, frame(TEXT, b"two", fin=False)], code=1002)
    yield "another kind inside", Case([one, frame(BINARY, b"two")], code=1002)
    empty = [frame(TEXT, fin=False), frame(CONT, fin=False), frame(CONT)]
    yield "three empty fragments", Case(empty, [back(b"")])
    yield "an empty end", Case([one, frame(CONT)], [back(b"one,")])
    yield "text in a hundred", Case(parts(TEXT, b"ab" * 50, 1), [back(b"ab" * 50)])
    close = close_frame(1000)
    yield "a close between", Case([one, close, two], code=1000)


def one_write(*frames: bytes) -> list[bytes]:
    return [b"".join(frames)]


def group_7() -> Iterator[tuple[str, Case]]:
    """Closing."""
    end = close_frame(1000)
    for name, cut in (("frames", lambda *x: list(x)), ("one write", one_write)):
        yield f"text and close, {name}", Case(cut(HI, end), [back(b"hi")], 1000)
        yield f"two closes, {name}", Case(cut(end, end), code=1000)
        yield f"two closes, the other empty, {name}", Case(cut(end, close_frame()), code=1000)
        yield f"two closes, the other wrong, {name}", Case(cut(end, close_frame(5)), code=1000)
        yield f"ping after close, {name}", Case(cut(end, PING_HI), code=1000)
        yield f"text after close, {name}", Case(cut(end, HI), code=1000)
        yield f"a bad frame after close, {name}", Case(cut(end, frame(3, b"x")), code=1000)
        rest = [frame(TEXT, b"one", fin=False), end, frame(CONT, b"two")]
        yield f"an end after close, {name}", Case(cut(*rest), code=1000)
    yield (
        "256 KiB, close, ping",
        Case([frame(TEXT, b"x" * (1 << 18)), end, PING_HI], [back(b"x" * (1 << 18))], 1000),
    )
    yield "no code", Case([close_frame()], code=1000)
    yield "one byte", Case([frame(CLOSE, b"\x03")], code=1002)
    yield "a code", Case([close_frame(1000)], code=1000)
    yield "a code in octets", Case(octets(close_frame(1000, b"bye")), code=1000)
    yield "a reason", Case([close_frame(1000, "tschüß".encode())], code=1000)
    yield "a reason of 123", Case([close_frame(1000, b"*" * 123)], code=1000)
    yield "a reason of 124", Case([close_frame(1000, b"*" * 124)], code=1002)
    yield (
        "a reason that is not UTF-8",
        Case([close_frame(1000, b"\xce\xba\xed\xa0\x80")], code=1007),
    )
    yield "a reason cut in a character", Case([close_frame(1000, b"ab\xe9\x9b")], code=1007)
    yield "a masked 126 in a close", Case([frame(CLOSE, b"\x03\xe8", wide=2)], code=1002)
    yield "a close in fragments", Case([frame(CLOSE, b"\x03\xe8", fin=False)], code=1002)
    good = (*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4000, 4999)
    for code in good:
        yield f"code {code}", Case([close_frame(code)], code=code)
    bad = (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 32768, 65535)
    for code in bad:
        yield f"code {code} is none", Case([close_frame(code, b"x")], code=1002)


def group_8() -> Iterator[tuple[str, Case]]:
    """Masks and sizes: what the public suites leave out."""
    data = bytes(range(256)) * 2
    for mask in (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x01\x00\x00\x80", b"\x81\x81\x81\x81"):
        for size in (0, 1, 2, 3, 4, 5, 125, 126, 512):
            one = frame(BINARY, data[:size], mask=mask)
            yield f"mask {mask.hex()} of {size}", Case([one], [back(data[:size], BINARY)])
    for kind in (TEXT, BINARY, CONT, PING, PONG, CLOSE):
        bare = frame(kind, b"\x03\xe8", mask=None)
        yield f"kind {kind} without a mask", Case([bare], code=1002)
        yield f"kind {kind} without a mask, after text", Case([HI + bare], [back(b"hi")], 1002)
    for kind, name in ((TEXT, "text"), (PING, "ping")):
        for size, wide in (
            (0, 2),
            (125, 2),
            (0, 8),
            (125, 8),
            *(((126, 8), (65535, 8)) if kind == TEXT else ()),
        ):
            long = frame(kind, b"x" * size, wide=wide)
            yield f"{name}: {size} written in {wide} bytes", Case([long], code=1002)
    for size in (1 << 63, (1 << 64) - 1):
        yield f"a size of {size:#x}", Case([frame(BINARY, length=size)], code=1002)
    yield "a size beyond all limits", Case([frame(BINARY, length=(1 << 63) - 1)], code=1009)
    every = [struct.pack("!B", n) * n for n in range(1, 80)]
    many = b"".join(frame(BINARY, piece) for piece in every)
    for size in (2, 3, 5, 7, 8, 13, 127, 1021):
        answers = [back(piece, BINARY) for piece in every]
        yield f"79 messages in writes of {size}", Case(chops(size, many), answers)


GROUPS = {
    "1": group_1,
    "2": group_2,
    "3": group_3,
    "4": group_4,
    "5": group_5,
    "7": group_7,
    "8": group_8,
}
