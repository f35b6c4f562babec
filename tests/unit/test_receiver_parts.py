"""The small parts of the receivers: events, links, tickets, cursors."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from hongyan.engine.sync import PAGE_BYTES
from hongyan.engine.updates import _position, cursor_at, fitting
from hongyan.model.errors import BadArgs, TooFast, Unauthenticated
from hongyan.model.ids import LogId, OpId, Seq, UserId
from hongyan.model.log import Entry
from hongyan.ports import FeedItem
from hongyan.transport.eventstream import event
from hongyan.transport.httplink import HIGH_WATER
from hongyan.transport.polls import PollLink
from hongyan.transport.streams import StreamLink
from hongyan.transport.updates import (
    MOST_TICKETS,
    TICKETS_OF_ONE,
    Credential,
    Tickets,
)
from hongyan.wire.codec import Codec

WELCOME = b'{"t":"welcome","session":"s1"}'
ME = Credential("token", "")


class FakePeer:
    """The engine's side: says its first words at once, then what a test says."""

    def __init__(self, link: Any, words: tuple[bytes, ...]) -> None:
        self.link, self.words = link, words
        self.heard: list[bytes] = []
        self.flow: list[bool] = []
        self.ends = 0

    def received(self, message: bytes) -> None:
        self.heard.append(message)
        for word in self.words:
            self.link.write(word)
        self.words = ()

    def writable(self, ok: bool) -> None:
        self.flow.append(ok)

    def lost(self) -> None:
        self.ends += 1


class FakeGateway:
    def __init__(self, *words: bytes) -> None:
        self.words = words
        self.peer: FakePeer

    def accept(self, link: Any, codec: Codec) -> FakePeer:
        self.peer = FakePeer(link, self.words)
        return self.peer


def entry(seq: int, body: bytes = b"{}") -> FeedItem:
    made = Entry(Seq(seq), "message", UserId("ann"), 1, seq, msgspec.Raw(body), op=OpId("o"))
    return FeedItem(seq, LogId("main/g/x"), made)


def test_RB1_event_is_one_message_whatever_white_space_it_has() -> None:
    """A line end between tokens begins another data line; a reader joins them again."""
    assert event(b'{"a":1}', "c1-7") == b'id: c1-7\ndata: {"a":1}\n\n'
    assert event(b'{"a":\r\n1,\r"b":\n2}') == b'data: {"a":\ndata: 1,\ndata: "b":\ndata: 2}\n\n'


async def test_RB1_stream_gives_messages_in_the_order_they_were_written() -> None:
    link, gateway = StreamLink("", 60, lambda: None), FakeGateway(WELCOME, b"1", b"2")
    assert await link.open(gateway, b"hello") == "s1"
    pieces = link.pieces()
    assert await anext(pieces) == event(WELCOME) + event(b"1") + event(b"2")
    link.write(b"3")
    link.write(b"4")
    link.close(1013, "away")
    link.write(b"never")
    assert [piece async for piece in pieces] == [event(b"3") + event(b"4")]
    link.lost()
    link.lost()
    assert gateway.peer.ends == 1


async def test_RB8_link_stops_the_engine_above_its_mark_and_lets_it_go_on_below() -> None:
    """A stream when its reader took the rest, a poll when its client said so."""
    stream, gateway = StreamLink("", 60, lambda: None), FakeGateway(WELCOME)
    await stream.open(gateway, b"hello")
    stream.write(b"x" * HIGH_WATER)
    stream.write(b"y")
    assert gateway.peer.flow == [False]
    pieces = stream.pieces()
    await anext(pieces)
    assert gateway.peer.flow == [False], "the reader has not taken it yet"
    stream.write(b"z")
    await anext(pieces)
    assert gateway.peer.flow == [False, True]
    stream.lost()

    poll, gateway = PollLink("", 60, lambda: None), FakeGateway(WELCOME)
    await poll.open(gateway, b"hello")
    poll.write(b"x" * HIGH_WATER)
    assert poll.messages() == [msgspec.Raw(WELCOME), msgspec.Raw(b"x" * HIGH_WATER)]
    assert gateway.peer.flow == [False]
    poll.came(2)
    assert gateway.peer.flow == [False, True]
    poll.lost()


async def test_RB2_first_word_decides() -> None:
    """What a refused hello says becomes the refusal, with its time; the link is lost."""
    fail = b'[{"t":"fail","ref":0,"code":303,"text":"slow","retry_after_ms":70}]'
    link, gateway = StreamLink("", 60, lambda: None), FakeGateway(fail)
    with pytest.raises(TooFast, match="slow") as caught:
        await link.open(gateway, b"hello")
    assert caught.value.retry_after_ms == 70
    assert gateway.peer.ends == 1


def test_RB11_cursor_is_its_position() -> None:
    """Any position survives; anything else is refused."""
    for pos in (0, 1, 15, 16, 10**15):
        assert _position(cursor_at(pos)) == pos
    for text in ("", "c1-", "c1-G", "c2-1", "1", "c1-1 ", "c1-1\n", "c1-" + "f" * 16, "c1--1"):
        with pytest.raises(BadArgs):
            _position(text)


def test_RB16_page_is_bounded_in_bytes_and_never_empty() -> None:
    """A page ends before the entry that is too much, but brings one."""
    large = b'"' + b"x" * (PAGE_BYTES // 4) + b'"'
    items = [entry(seq, large) for seq in range(1, 9)]
    assert [item.pos for item in fitting(items)] == [1, 2, 3]
    huge = [entry(1, b'"' + b"x" * PAGE_BYTES + b'"'), entry(2)]
    assert [item.pos for item in fitting(huge)] == [1]
    assert fitting(items[:2]) == items[:2]
    assert fitting([]) == []


def test_RB14_tickets_are_bounded() -> None:
    """Of one user, and of all; the oldest goes, an expired one is worth nothing."""
    tickets = Tickets(30.0)
    mine = [tickets.give("main/ann", ME, 0.0) for _ in range(TICKETS_OF_ONE + 1)]
    with pytest.raises(Unauthenticated):
        tickets.take(mine[0], 1.0)
    assert tickets.take(mine[1], 1.0) == ME
    with pytest.raises(Unauthenticated):
        tickets.take(mine[1], 1.0)
    with pytest.raises(Unauthenticated):
        tickets.take(mine[2], 30.0)
    many = Tickets(30.0)
    first = many.give("main/u0", ME, 0.0)
    for number in range(1, MOST_TICKETS + 1):
        last = many.give(f"main/u{number % 1000}", ME, 1.0)
        assert len(many._out) <= MOST_TICKETS
    assert many.take(last, 2.0) == ME
    with pytest.raises(Unauthenticated):
        many.take(first, 2.0)
    many.give("main/ann", ME, 99.0)  # all others have expired
    assert (len(many._out), len(many._of)) == (1, 1)
