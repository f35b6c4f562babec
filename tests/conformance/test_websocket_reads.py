"""Bytes reach picows frame by frame, however they were read."""

from __future__ import annotations

import asyncio
import socket

from hypothesis import given
from hypothesis import strategies as st
from rawsocket import BINARY, CLOSE, CONT, PING, PONG, TEXT, frame

from hongyan.transport import messages as ws
from hongyan.transport.framewise import THROWN
from hongyan.transport.handshake import Upgrade
from hongyan.transport.reception import feed_buffered
from hongyan.transport.websocket import Connection, Terms, picows_protocol, replay

MOST = 70_000


class Wire(asyncio.Transport):
    """Enough of a transport for picows."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = bytearray()
        self.ended = self.gone = False
        self.tcp = socket.socket()

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self.tcp if name == "socket" else default

    def get_write_buffer_size(self) -> int:
        return 1  # so that picows does not write to the socket behind our back

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def write(self, data: object) -> None:
        self.sent += bytes(data)  # type: ignore[call-overload]

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def is_closing(self) -> bool:
        return self.gone

    def close(self) -> None:
        self.gone = True

    abort = close


class Seen(Connection):
    """Keeps what it gets."""

    def __init__(self) -> None:
        super().__init__("1.2.3.4", Terms(message_bytes=MOST))
        self.got: list[tuple[int, bytes]] = []
        self.why = 0

    def message(self, kind: int, data: bytes) -> None:
        self.got.append((kind, data))

    def close(self, code: int, reason: str) -> None:
        self.why = self.why or code
        super().close(code, reason)


def read(reads: list[bytes]) -> tuple[Seen, Wire]:
    """A connection that got these reads."""

    async def run() -> tuple[Seen, Wire]:
        upgrade = Upgrade("/", "dGhlIHNhbXBsZSBub25jZQ==", "", "1.2.3.4")
        seen, wire = Seen(), Wire()
        protocol = picows_protocol(upgrade, seen, Terms(message_bytes=MOST))
        protocol.connection_made(wire)
        feed_buffered(wire, protocol, replay(upgrade) + reads[0])
        for data in reads[1:]:
            feed_buffered(wire, protocol, data)
        protocol.connection_lost(None)
        wire.tcp.close()
        return seen, wire

    return asyncio.run(run())


_sizes = st.sampled_from([0, 1, 5, 124, 125, 126, 127, 128, 300, 4096, 65535, 65536])
_messages = st.lists(st.tuples(st.sampled_from([TEXT, BINARY]), _sizes), max_size=6)
_cuts = st.lists(st.integers(0, 200_000), max_size=12)


@given(messages=_messages, cuts=_cuts, early=st.booleans())
def test_T6_reads_may_be_cut_anywhere(
    messages: list[tuple[int, int]], cuts: list[int], early: bool
) -> None:
    """Heads in two reads, many frames in one: the same messages."""
    sent = [(kind, b"%d" % (n % 10) * size) for n, (kind, size) in enumerate(messages)]
    data = b"".join(frame(kind, body) + frame(PING, b"p") for kind, body in sent)
    ends = sorted({cut % (len(data) + 1) for cut in cuts})
    pieces = [data[a:b] for a, b in zip([0, *ends], [*ends, len(data)], strict=True)]
    seen, wire = read(pieces if early else [b"", *pieces])
    assert seen.got == sent and not seen.why
    assert wire.sent.count(b"\x8a\x01p") == len(sent)


@given(
    text=st.text(max_size=300),
    frames=st.lists(st.integers(0, 900), max_size=3),
    cuts=_cuts,
    mask=st.binary(min_size=4, max_size=4),
)
def test_T7_good_text_is_never_refused_while_it_comes(
    text: str, frames: list[int], cuts: list[int], mask: bytes
) -> None:
    whole = text.encode()
    ends = sorted({end % (len(whole) + 1) for end in frames})
    bodies = [whole[a:b] for a, b in zip([0, *ends], [*ends, len(whole)], strict=True)]
    data = b"".join(
        frame(CONT if n else TEXT, body, fin=n == len(bodies) - 1, mask=mask) + frame(PING)
        for n, body in enumerate(bodies)
    )
    ends = sorted({cut % (len(data) + 1) for cut in cuts})
    seen, _ = read([data[a:b] for a, b in zip([0, *ends], [*ends, len(data)], strict=True)])
    assert seen.got == [(TEXT, whole)] and not seen.why


BAD = {
    "opcode": (frame(3, b"x"), 1002),
    "reserved bit": (frame(TEXT, b"x", rsv=4), 1002),
    "no mask": (frame(TEXT, b"x", mask=None), 1002),
    "long ping": (frame(PING, b"x" * 126), 1002),
    "long pong with a short size": (frame(PONG, b"x", wide=2), 1002),
    "fragment of a close": (frame(CLOSE, fin=False), 1002),
    "wide": (frame(CONT, b"x" * 125, wide=8), 1002),
    "too big": (frame(BINARY, length=MOST + 1), 1009),
}


@given(name=st.sampled_from(sorted(BAD)), cuts=_cuts, after=st.binary(max_size=40))
def test_T8_a_bad_frame_ends_the_stream_after_the_good_ones(
    name: str, cuts: list[int], after: bytes
) -> None:
    bad, code = BAD[name]
    data = frame(TEXT, b"good") + frame(PING, b"p") + bad + after + frame(TEXT, b"never")
    ends = sorted({cut % (len(data) + 1) for cut in cuts})
    seen, wire = read([data[a:b] for a, b in zip([0, *ends], [*ends, len(data)], strict=True)])
    assert seen.got == [(TEXT, b"good")] and seen.why == code
    assert wire.ended and b"\x8a\x01p" in wire.sent


def test_T10_what_comes_after_a_bad_frame_is_bounded() -> None:
    """Nothing of it is kept, and at last TCP is dropped."""
    bad = frame(3, b"x")
    _, waits = read([bad, *[b"z" * 65536] * (THROWN // 65536 - 1)])
    assert not waits.gone
    _, dropped = read([bad, *[b"z" * 65536] * (THROWN // 65536 + 1)])
    assert dropped.gone


@given(start=st.binary(max_size=20), most=st.integers(0, 1 << 20))
def test_T8_a_head_is_judged_the_same_when_more_of_it_has_come(start: bytes, most: int) -> None:
    """Where a shorter beginning says anything, it says what the longer one says."""

    def said(data: bytes) -> object:
        try:
            return ws.frame_size(data, most)
        except ws.Violation as why:
            return why.code

    verdicts = [said(start[:n]) for n in range(len(start) + 1)]
    first = next((one for one in verdicts if one is not None), None)
    assert all(one in (None, first) for one in verdicts)
    assert len(start) < ws.LONGEST_HEAD or first is not None
