"""The client's half, case by case: what an SDK may rely on."""

# size: the cases of one subject share their fixtures; parted, each part would repeat them

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from hongyan.model.errors import (
    BadFrame,
    BadRequest,
    Denied,
    FrameTooBig,
    GoingAway,
    Kicked,
    NotAMember,
    Refusal,
    TimedOut,
    Transient,
)
from hongyan.model.ids import DeviceId, LogId, OpId, Seq, UserId
from hongyan.model.log import Entry, InboxRow, Role
from hongyan.wire.client_session import OPEN_TIMEOUT, SYNC_ROWS
from hongyan.wire.codec import CODECS, MAX_FRAMES
from hongyan.wire.frames import (
    Ack,
    Behind,
    Bye,
    Call,
    Cursor,
    Deliver,
    Fail,
    Gap,
    Goodbye,
    Hello,
    Inbox,
    InboxPage,
    Limits,
    Page,
    Ping,
    Pong,
    Query,
    Read,
    Reset,
    Result,
    Signal,
    Subscribe,
    Sync,
    Unsubscribe,
    Welcome,
)
from hongyan.wire.requests import MAX_SIGNALS, Requests
from hongyan.wire.session import (
    Answered,
    ClientSession,
    Closed,
    Event,
    Opened,
    Refused,
    Rows,
    Stale,
    backoff,
    heads_digest,
    refusal_of,
)

JSON = CODECS["hongyan.v1.json"]
LOG = LogId("main/g/x")
LIMITS = Limits(message_bytes=2000, window=3, page=50)


def welcome(page: InboxPage | None = None, limits: Limits = LIMITS) -> Welcome:
    page = page or InboxPage([], 0)
    return Welcome("s", UserId("alice"), "main", DeviceId("d"), 1, 25_000, limits, page)


def row(useq: int, head: int = 1, log: str = LOG, *, large: bool = False) -> InboxRow:
    return InboxRow(
        LogId(log), useq, Seq(head), 1, 0, 0, Role.MEMBER, Seq(1), Seq(0), Seq(0), large=large
    )


def entry(seq: int) -> Entry:
    return Entry(Seq(seq), "message", UserId("bob"), 1, seq, msgspec.Raw(b"{}"))


class Rig:
    """A client session with its server played by the test."""

    def __init__(self, **kwargs: Any) -> None:
        self.session = ClientSession(JSON, DeviceId("d"), **kwargs)
        self.now = 100.0

    def hello(self) -> Hello:
        [frame] = JSON.decode_client(self.session.hello("token", self.now))
        assert isinstance(frame, Hello)
        return frame

    def open(self, page: InboxPage | None = None, limits: Limits = LIMITS) -> list[Event]:
        self.hello()
        return self.get(welcome(page, limits))

    def get(self, *frames: Any) -> list[Event]:
        return self.session.receive(JSON.join([JSON.encode(frame) for frame in frames]), self.now)

    def sent(self) -> list[Any]:
        frames: list[Any] = []
        while (message := self.session.take()) is not None:
            frames += JSON.decode_client(message)
        return frames

    def tick(self, seconds: float) -> list[Event]:
        self.now += seconds
        return self.session.tick(self.now)

    def lose(self) -> list[Event]:
        return self.session.lost(self.now)

    def call(self, op: str) -> int:
        return self.session.call("chat.send", b'{"a":1}', op=OpId(op), log=LOG)


@pytest.fixture
def rig() -> Rig:
    rig = Rig()
    rig.open()
    return rig


# --- hello and welcome --------------------------------------------------------------------------


def test_S1_hello_says_what_was_saved() -> None:
    saved = {LOG: Seq(5)}
    rig = Rig(cls="phone", client="x/1", lang="zh", token=7, large=saved)
    large = heads_digest(saved.items())
    assert rig.hello() == Hello("token", DeviceId("d"), "phone", "x/1", 7, large, SYNC_ROWS, "zh")


def test_S1_nothing_is_sent_before_the_welcome() -> None:
    rig = Rig()
    rig.call("a")
    assert rig.session.take() is None
    rig.hello()
    assert rig.session.take() is None
    [opened, rows] = rig.get(welcome(InboxPage([row(4)], 9)))
    assert isinstance(opened, Opened)
    assert rows == Rows([row(4)], [], 9)
    assert [frame.op for frame in rig.sent()] == ["a"]


@pytest.mark.parametrize(
    "frame", [Deliver(LOG, []), Ack(1), Inbox(InboxPage([], 1)), Pong(1, 0, 0)]
)
def test_S2_nothing_comes_before_the_welcome(frame: Any) -> None:
    rig = Rig()
    rig.hello()
    with pytest.raises(BadFrame):
        rig.get(frame)


def test_S2_no_second_welcome(rig: Rig) -> None:
    with pytest.raises(BadFrame):
        rig.get(welcome())


def test_S1_a_second_hello_is_a_mistake_of_the_shell(rig: Rig) -> None:
    with pytest.raises(RuntimeError):
        rig.session.hello("token", 1.0)


# --- requests and answers -----------------------------------------------------------------------


def test_S3_each_answer_finds_its_request(rig: Rig) -> None:
    refs = [
        rig.call("a"),
        rig.session.read(LOG, before=Seq(0), limit=5),
        rig.session.query("log", log=LOG),
    ]
    assert rig.sent() == [
        Call(refs[0], "chat.send", OpId("a"), LOG, msgspec.Raw(b'{"a":1}')),
        Read(refs[1], LOG, before=Seq(0), limit=5),
        Query(refs[2], "log", LOG),
    ]
    answers = [
        Result(refs[2], msgspec.Raw(b"7")),
        Page(refs[1], LOG, [], [], Seq(1), Seq(0), 1, False),
        Ack(refs[0], seq=Seq(3)),
    ]
    events = rig.get(*answers)
    assert [(e.request.ref, e.answer) for e in events if isinstance(e, Answered)] == [
        (answer.ref, answer) for answer in answers
    ]
    assert rig.get(*answers) == []  # a second time


def test_S3_subscriptions_and_durable_cursors_are_acknowledged(rig: Rig) -> None:
    on, off = rig.session.subscribe(LOG), rig.session.subscribe(LOG, on=False)
    moved = rig.session.move(LOG, read=Seq(4), durable=True)
    assert rig.sent() == [
        Subscribe(on, LOG),
        Unsubscribe(off, LOG),
        Cursor(LOG, read=Seq(4), ref=moved),
    ]
    events = rig.get(Ack(on), Ack(off), Ack(moved))
    assert [e.request.ref for e in events if isinstance(e, Answered)] == [on, off, moved]


def test_S3_an_answer_of_the_wrong_kind(rig: Rig) -> None:
    ref = rig.session.read(LOG, after=Seq(0))
    rig.sent()
    with pytest.raises(BadFrame, match="Ack answers Read"):
        rig.get(Ack(ref))


def test_W12_a_refusal_is_typed(rig: Rig) -> None:
    ref = rig.call("a")
    rig.sent()
    [event] = rig.get(Fail(ref, 202, "no", False, 0))
    assert isinstance(event, Refused) and event.request is not None
    assert event.request.ref == ref
    assert isinstance(event.why, NotAMember)
    assert (event.why.text, event.why.retry) == ("no", False)
    [complaint] = rig.get(Fail(0, 101, "what?"))
    assert isinstance(complaint, Refused)
    assert complaint.request is None


@pytest.mark.parametrize(
    ("code", "kind", "retry"),
    [
        (199, BadRequest, False),
        (299, Denied, False),
        (399, Transient, True),
        (100, Refusal, False),
        (777, Refusal, False),
        (305, Transient, True),
    ],
)
def test_W12_an_unknown_code_is_its_family(code: int, kind: type, retry: bool) -> None:
    why = refusal_of(code, "text", 40)
    assert isinstance(why, kind)
    assert (why.code, why.retry, why.text, why.retry_after_ms) == (code, retry, "text", 40)
    assert kind.code != 399  # the family itself is as it was


def test_S14_no_more_than_the_window_in_flight(rig: Rig) -> None:
    refs = [rig.call(str(n)) for n in range(5)]
    assert [frame.ref for frame in rig.sent()] == refs[:3]
    rig.get(Ack(refs[1]))
    assert [frame.ref for frame in rig.sent()] == refs[3:4]
    rig.get(Fail(refs[0], 202, "no"), Ack(refs[2]))
    assert [frame.ref for frame in rig.sent()] == refs[4:]


def test_S14_a_full_window_does_not_hold_up_the_heartbeat(rig: Rig) -> None:
    for n in range(5):
        rig.call(str(n))
    rig.sent()
    rig.session.signal(LOG, "typing")
    rig.tick(25)
    assert rig.sent() == [Signal(LOG, "typing"), Ping()]


def test_S14_messages_fit_the_servers_limit() -> None:
    rig = Rig()
    rig.open(limits=Limits(1000, 100, 50))
    for n in range(20):
        rig.session.call("x", b'{"a":"%b"}' % (b"x" * 200), op=OpId(str(n)), log=LOG)
    count = 0
    while (message := rig.session.take()) is not None:
        assert len(message) <= 1000
        count += len(JSON.decode_client(message))
    assert count == 20


def test_S14_a_message_has_at_most_64_frames() -> None:
    rig = Rig()
    rig.open(limits=Limits(1 << 20, 1000, 50))
    for n in range(MAX_FRAMES + 1):
        rig.call(str(n))
    message = rig.session.take()
    assert message is not None
    assert len(JSON.decode_client(message)) == MAX_FRAMES


def test_S14_what_never_fits_is_refused_at_once(rig: Rig) -> None:
    with pytest.raises(FrameTooBig):
        rig.session.call("x", b'"%b"' % (b"x" * 2000), op=OpId("a"))


def test_S14_what_does_not_fit_this_server_is_refused_at_its_welcome() -> None:
    rig = Rig()
    ref = rig.session.call("x", b'"%b"' % (b"x" * 2000), op=OpId("a"))
    small = rig.call("b")
    refused = [event for event in rig.open() if isinstance(event, Refused)]
    assert [(e.request and e.request.ref, e.why.code) for e in refused] == [(ref, 102)]
    assert [frame.ref for frame in rig.sent()] == [small]


# --- reconnecting -------------------------------------------------------------------------------


def test_S13_calls_are_sent_again_in_order_with_their_op(rig: Rig) -> None:
    first, second = rig.call("a"), rig.call("b")
    moved = rig.session.move(LOG, read=Seq(4), durable=True)
    rig.sent()
    rig.get(Ack(second))
    late = rig.call("c")
    assert rig.lose() == []
    later = rig.call("d")
    rig.open()
    frames = rig.sent()
    assert [frame.ref for frame in frames] == [first, moved, late]
    assert [getattr(frame, "op", None) for frame in frames] == ["a", None, "c"]
    rig.get(Ack(first, repeat=True))
    assert [frame.ref for frame in rig.sent()] == [later]


def test_S13_reads_come_back_retryable(rig: Rig) -> None:
    sent = rig.session.read(LOG, before=Seq(0))
    rig.sent()
    waiting = [rig.session.query("log", log=LOG), rig.session.subscribe(LOG)]
    refused = [event for event in rig.lose() if isinstance(event, Refused)]
    assert [e.request and e.request.ref for e in refused] == [sent, *waiting]
    assert all(isinstance(e.why, GoingAway) and e.why.retry for e in refused)
    rig.open()
    assert rig.sent() == []


def test_S13_no_reads_without_a_session() -> None:
    rig = Rig()
    for ask in (
        lambda: rig.session.read(LOG, before=Seq(0)),
        lambda: rig.session.query("log"),
        lambda: rig.session.subscribe(LOG),
    ):
        with pytest.raises(GoingAway):
            ask()
    assert rig.session.signal(LOG, "typing") is False


def test_S13_an_answer_of_the_old_connection_is_no_matter(rig: Rig) -> None:
    ref = rig.call("a")
    rig.sent()
    rig.lose()
    rig.open()
    assert rig.get(Ack(ref)) == []  # not sent on this connection yet
    assert [frame.ref for frame in rig.sent()] == [ref]


def test_S17_the_goodbye_says_when_to_come_back(rig: Rig) -> None:
    [event] = rig.get(Goodbye(306, "restarting", 4000))
    assert isinstance(event, Closed)
    assert isinstance(event.why, GoingAway)
    assert event.why.retry_after_ms == 4000
    rig.now += 60
    rig.lose()
    assert rig.session.reconnect_in(0.5) == 4.0
    rig.hello()
    rig.lose()
    assert rig.session.reconnect_in(0.0) == 0.0  # said once, for once


def test_S17_never_when_it_says_so(rig: Rig) -> None:
    [event] = rig.get(Goodbye(206, "kicked", -1))
    assert isinstance(event, Closed)
    assert isinstance(event.why, Kicked)
    rig.lose()
    assert rig.session.reconnect_in(0.5) is None


def test_S17_never_after_a_bye(rig: Rig) -> None:
    assert JSON.decode_client(rig.session.bye(logout=True)) == [Bye(logout=True)]
    rig.call("a")
    assert rig.session.take() is None
    rig.lose()
    assert rig.session.reconnect_in(0.5) is None
    rig.open()  # because a person said so
    assert len(rig.sent()) == 1


def test_S17_the_wait_doubles_until_a_session_was_stable(rig: Rig) -> None:
    waits = []
    rig.now += 60
    rig.lose()
    for _ in range(8):
        waits.append(rig.session.reconnect_in(0.5))
        rig.lose()  # could not connect
    assert waits == [0.5, 1, 2, 4, 8, 15, 15, 15]
    rig.open()
    rig.now += 1
    rig.lose()
    assert rig.session.reconnect_in(0.5) == 15  # a short session proves nothing
    rig.open()
    rig.now += 60
    rig.lose()
    assert rig.session.reconnect_in(0.5) == 0.5


@pytest.mark.parametrize("attempt", [0, 1, 5, 50, 10_000])
def test_S17_the_wait_is_random_and_bounded(attempt: int) -> None:
    assert backoff(attempt, 0.0) == 0.0
    assert backoff(attempt, 0.999) <= 30.0
    assert backoff(attempt, 0.2) * 4 == pytest.approx(backoff(attempt, 0.8))


# --- heartbeat and sync -------------------------------------------------------------------------


def test_S15_a_ping_each_heartbeat(rig: Rig) -> None:
    assert rig.session.due() == 125.0
    rig.tick(24.9)
    assert rig.sent() == []
    rig.session.away = True
    rig.tick(0.1)
    assert rig.sent() == [Ping(away=True)]
    assert rig.session.due() == 150.0
    rig.get(Pong(1, 0, 0))
    rig.tick(24)
    assert rig.sent() == []
    rig.tick(1)
    assert rig.sent() == [Ping(away=True)]


def test_S15_two_pings_without_an_answer(rig: Rig) -> None:
    assert rig.tick(25) == rig.tick(25) == []
    assert len(rig.sent()) == 2
    [event] = rig.tick(25)
    assert isinstance(event, Closed)
    assert isinstance(event.why, TimedOut)
    assert rig.session.due() is None
    assert rig.tick(25) == []
    rig.lose()
    assert rig.session.reconnect_in(0.5) == 0.5


def test_S15_whatever_comes_is_a_sign_of_life(rig: Rig) -> None:
    for _ in range(5):
        rig.tick(25)
        rig.get(Deliver(LOG, []))
    assert rig.session.state == "open"


def test_S15_no_welcome_in_time() -> None:
    rig = Rig()
    rig.hello()
    assert rig.session.due() == rig.now + OPEN_TIMEOUT
    assert rig.tick(OPEN_TIMEOUT - 0.1) == []
    [event] = rig.tick(0.1)
    assert isinstance(event, Closed)
    rig.lose()
    assert rig.session.reconnect_in(0.5) == 1.0


def test_S16_equal_digests_need_no_sync(rig: Rig) -> None:
    rig.get(Deliver(LOG, [entry(3)]))
    rig.tick(25)
    assert rig.sent() == [Ping()]
    rig.get(Pong(1, 0, heads_digest([(LOG, Seq(3))])))
    assert rig.sent() == []


def test_S16_a_lost_last_push_is_found(rig: Rig) -> None:
    rig.get(Deliver(LOG, [entry(3)]))
    rig.tick(25)
    rig.sent()
    rig.get(Pong(1, 0, heads_digest([(LOG, Seq(4))])))
    [sync] = rig.sent()
    assert sync == Sync(sync.ref, 0, limit=SYNC_ROWS)
    rig.get(Pong(1, 0, 5))  # while it runs
    assert rig.sent() == []
    [rows] = rig.get(Inbox(InboxPage([row(6, head=4)], 8), sync.ref))
    assert rows == Rows([row(6, head=4)], [], 8)
    rig.tick(25)
    assert rig.sent() == [Ping(inbox=8)]
    rig.get(Pong(1, 8, 0))
    assert rig.sent() == []


def test_S16_a_pong_for_an_older_token_is_not_compared(rig: Rig) -> None:
    rig.tick(25)
    rig.sent()
    rig.session.sync()
    [sync] = rig.sent()
    rig.get(Inbox(InboxPage([], 8), sync.ref), Pong(1, 0, 12345))
    assert rig.sent() == []


def test_S16_the_token_moves_at_the_end_of_a_sync_only() -> None:
    rig = Rig(token=3)
    rig.call("a")
    events = rig.open(InboxPage([row(4), row(6)], 9, more=True))
    assert events[1:] == [Rows([row(4), row(6)], [], None)]
    sync, call = rig.sent()  # the rest of the sync goes first
    assert sync == Sync(sync.ref, 6, 9, SYNC_ROWS)
    assert isinstance(call, Call)
    rig.get(Inbox(InboxPage([row(20)], 0)))  # a push in between
    assert rig.session.heads.token == 3
    [rows] = rig.get(Inbox(InboxPage([row(8)], 9), sync.ref))
    assert rows == Rows([row(8)], [], 9)
    assert rig.session.heads.token == 9


def test_S16_a_sync_that_was_cut_begins_anew() -> None:
    rig = Rig(token=3)
    rig.open(InboxPage([row(4)], 9, more=True))
    rig.sent()
    assert rig.lose() == []  # a sync is the session's own affair
    assert rig.hello().inbox == 3
    rig.get(welcome(InboxPage([row(4)], 10)))
    assert rig.session.heads.token == 10


def test_S16_pages_of_a_cut_sync_cover_nothing(rig: Rig) -> None:
    """Their token was never reached, so the server still counts what they showed."""
    rig.get(Deliver(LOG, [entry(4)]))
    rig.session.sync()
    [sync] = rig.sent()
    rig.get(Inbox(InboxPage([row(6, head=4)], 9, more=True), sync.ref))
    rig.lose()
    assert rig.session.heads.digest() == heads_digest([(LOG, Seq(4))])
    rig.open(InboxPage([row(6, head=4)], 9))  # the token is the old one, so it comes again
    assert rig.session.heads.digest() == heads_digest([])


def test_S16_a_refused_sync_is_tried_again_with_the_next_pong(rig: Rig) -> None:
    rig.session.sync()
    rig.session.sync()  # runs already
    [sync] = rig.sent()
    [event] = rig.get(Fail(sync.ref, 301, "store down", True))
    assert isinstance(event, Refused)
    assert event.request is None
    assert rig.sent() == []
    rig.get(Pong(1, 0, 0))
    assert [type(frame) for frame in rig.sent()] == [Sync]


def test_S16_a_sync_asked_for_during_a_sync_follows_it(rig: Rig) -> None:
    rig.session.sync()
    [first] = rig.sent()
    rig.session.sync()
    rig.get(Inbox(InboxPage([], 4), first.ref))
    [second] = rig.sent()
    assert second == Sync(second.ref, 4, limit=SYNC_ROWS)
    rig.get(Inbox(InboxPage([], 5), first.ref))  # not the one that runs
    assert rig.session.heads.token == 4


def test_S16_a_server_that_says_more_and_gives_none_does_not_make_us_spin(rig: Rig) -> None:
    rig.session.sync()
    [sync] = rig.sent()
    [rows] = rig.get(Inbox(InboxPage([], 9, more=True), sync.ref))
    assert rows == Rows([], [], None)
    assert rig.sent() == []
    assert rig.session.heads.token == 0
    rig.get(Pong(1, 0, 0))
    assert [type(frame) for frame in rig.sent()] == [Sync]


def test_S16_large_logs_are_listed_when_their_digest_differs(rig: Rig) -> None:
    rig.session.sync()
    [sync] = rig.sent()
    assert sync.large == 0
    page = InboxPage([], 4, large=[(LOG, Seq(700))])
    [rows] = rig.get(Inbox(page, sync.ref))
    assert rows == Rows([], [(LOG, Seq(700))], 4)
    rig.session.sync()
    [sync] = rig.sent()
    assert sync.large == heads_digest([(LOG, Seq(700))])


def test_S9_what_the_server_left_out_is_synced(rig: Rig) -> None:
    assert rig.get(Inbox(InboxPage([], 0, more=True))) == [Stale()]
    assert [type(frame) for frame in rig.sent()] == [Sync]


# --- what arrives, cursors, signals -------------------------------------------------------------


def test_what_arrives_is_told_as_it_is(rig: Rig) -> None:
    frames = [
        Deliver(LOG, [entry(3)]),
        Signal(LOG, "typing", user=UserId("bob")),
        Cursor(LOG, read=Seq(3), user=UserId("bob")),
        Behind(LOG, Seq(9)),
        Gap(LOG, 3, "load"),
        Reset(LOG, Seq(1), 2),
    ]
    assert rig.get(*frames) == frames
    assert rig.get(Inbox(InboxPage([row(5)], 0))) == [Rows([row(5)], [], None)]
    assert rig.session.heads.digest() == heads_digest([(LOG, Seq(9))])


def test_S12_what_comes_after_the_goodbye_counts(rig: Rig) -> None:
    ref = rig.call("a")
    rig.sent()
    closed, answered = rig.get(Goodbye(306, "restarting", 0), Ack(ref))
    assert isinstance(closed, Closed)
    assert isinstance(answered, Answered)
    assert rig.session.take() is None


def test_S20_moves_are_merged_and_sent_again(rig: Rig) -> None:
    rig.session.move(LOG, read=Seq(4), mark=2)
    assert rig.session.move(LOG, delivered=Seq(7), read=Seq(3)) == 0
    assert rig.sent() == [
        Cursor(LOG, read=Seq(4), mark=2),
        Cursor(LOG, delivered=Seq(7), read=Seq(4), mark=2),
    ]
    rig.lose()
    rig.session.move(LOG, read=Seq(5))
    rig.open()
    assert rig.sent() == [Cursor(LOG, delivered=Seq(7), read=Seq(5), mark=2)]


def test_S20_two_pongs_later_a_move_is_safe(rig: Rig) -> None:
    rig.session.move(LOG, read=Seq(4))
    rig.get(Pong(1, 0, 0))
    rig.sent()
    rig.lose()
    rig.open()
    assert rig.sent() == [Cursor(LOG, read=Seq(4))]
    rig.get(Pong(1, 0, 0))
    rig.get(Pong(1, 0, 0))
    rig.lose()
    rig.open()
    assert rig.sent() == []


def test_signals_do_not_pile_up(rig: Rig) -> None:
    sent = [rig.session.signal(LOG, "typing") for _ in range(MAX_SIGNALS + 5)]
    assert sent == [True] * MAX_SIGNALS + [False] * 5
    assert len(rig.sent()) == MAX_SIGNALS
    assert rig.session.signal(LOG, "typing")


def test_what_wanted_no_answer_is_not_sent_to_the_next_server(rig: Rig) -> None:
    for _ in range(MAX_SIGNALS):
        rig.session.signal(LOG, "typing")
    rig.tick(25)
    rig.lose()
    rig.open()
    assert rig.session.signal(LOG, "typing")
    assert rig.sent() == [Signal(LOG, "typing")]


def test_without_a_session_there_is_nothing_to_sync_and_to_take() -> None:
    rig = Rig()
    rig.session.sync()
    rig.call("a")
    assert rig.session.take() is None
    assert Requests(JSON).take(1000) is None  # nor may anything go before the limits are known
    rig.open()
    assert [type(frame) for frame in rig.sent()] == [Call]


def test_lost_twice_is_lost_once(rig: Rig) -> None:
    rig.lose()
    assert rig.lose() == []
    assert rig.session.limits == LIMITS
