"""The server's half, case by case."""

# size: the cases of one subject share their fixtures; parted, each part would repeat them

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from hongyan.model.errors import BadFrame, GoingAway, Kicked, TooSlow
from hongyan.model.ids import DeviceId, LogId, OpId, Seq, UserId
from hongyan.model.log import InboxRow, Role
from hongyan.wire.codec import CODECS
from hongyan.wire.frames import (
    Ack,
    Behind,
    Bye,
    Call,
    Cursor,
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
from hongyan.wire.server_session import MAX_BAD, MAX_FAILS
from hongyan.wire.session import Outgoing, ServerSession

JSON = CODECS["hongyan.v1.json"]
LIMITS = Limits(message_bytes=2000, window=3, page=50)
LOG = LogId("main/g/x")
HELLO = Hello("token", DeviceId("d1"))
WELCOME = Welcome("s", UserId("alice"), "main", DeviceId("d1"), 1, 25_000, LIMITS, InboxPage([], 0))


def fresh(**queue: int) -> ServerSession:
    return ServerSession(JSON, LIMITS, 25.0, **queue)


def opened(**queue: int) -> ServerSession:
    session = fresh(**queue)
    assert send(session, HELLO) == [HELLO]
    session.opened(WELCOME)
    assert drain(session) == [WELCOME]
    return session


def send(session: ServerSession, *frames: Any) -> list[Any]:
    return session.receive(JSON.join([JSON.encode(frame) for frame in frames]), 1.0)


def drain(session: ServerSession) -> list[Any]:
    frames: list[Any] = []
    while (message := session.take()) is not None:
        frames += JSON.decode_server(message)
    assert session.pending == 0
    return frames


def codes(session: ServerSession) -> list[tuple[int, int]]:
    """(code, ref) of the complaints that wait; there is nothing else."""
    frames = drain(session)
    assert all(isinstance(frame, Fail) for frame in frames), frames
    return [(frame.code, frame.ref) for frame in frames]


def call(ref: int, log: str = LOG) -> Call:
    return Call(ref, "chat.send", OpId(f"op{ref}"), LogId(log))


def pushed(seq: int, size: int = 20, log: str = LOG) -> Outgoing:
    frame = b'{"t":"deliver","log":"%b","entries":[],"seq":%d,"pad":"%b"}'
    data = frame % (log.encode(), seq, b"x" * size)
    return Outgoing(LogId(log), Seq(seq), data)


def raw(session: ServerSession) -> list[dict[str, Any]]:
    """All that waits, as plain JSON."""
    frames: list[dict[str, Any]] = []
    while (message := session.take()) is not None:
        value = msgspec.json.decode(message)
        frames += value if isinstance(value, list) else [value]
    return frames


# --- S1, S2: hello ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "frame",
    [
        call(4),
        Read(4, LOG, before=Seq(0)),
        Sync(4, 0),
        Query(4, "log", LOG),
        Subscribe(4, LOG),
        Cursor(LOG, read=Seq(1), ref=4),
    ],
)
def test_S1_nothing_before_hello(frame: Any) -> None:
    session = fresh()
    assert send(session, frame) == []
    assert codes(session) == [(104, 4)]
    assert session.state == "new"


@pytest.mark.parametrize("frame", [Ping(), Signal(LOG, "typing"), Cursor(LOG)])
def test_S1_nothing_before_hello_without_a_ref(frame: Any) -> None:
    session = fresh()
    assert send(session, frame) == []
    assert codes(session) == [(104, 0)]


def test_S1_nothing_between_hello_and_welcome() -> None:
    session = fresh()
    assert send(session, HELLO, call(1)) == [HELLO]
    assert session.state == "opening"
    assert codes(session) == [(104, 1)]


def test_S2_what_is_pushed_while_the_session_opens_is_written_after_the_welcome() -> None:
    session = fresh()
    send(session, HELLO)
    session.push(pushed(1))
    assert session.pending and session.take() is None
    send(session, call(1))  # too early: may be told at once where nothing else waits
    assert session.take() is None
    session.opened(WELCOME)
    first = session.codec.decode_server(session.take() or b"")
    assert first[0] == WELCOME and len(first) == 3


def test_S2_who_is_refused_is_told_so_first() -> None:
    session = fresh()
    send(session, HELLO)
    session.push(pushed(1))
    session.goodbye(GoingAway("later"), 1000)
    first = session.codec.decode_server(session.take() or b"")[0]
    assert isinstance(first, Goodbye)


def test_S1_no_second_hello() -> None:
    session = fresh()
    assert send(session, HELLO, HELLO) == [HELLO]
    assert codes(session) == [(104, 0)]
    session.opened(WELCOME)
    assert drain(session) == [WELCOME]
    assert send(session, HELLO) == []
    assert codes(session) == [(104, 0)]
    assert session.state == "open"


def test_S1_a_refused_frame_takes_no_place_in_the_window() -> None:
    session = fresh()
    send(session, call(1), call(2), call(3), call(4))
    send(session, HELLO)
    session.opened(WELCOME)
    assert len(send(session, call(1), call(2), call(3))) == 3


def test_S2_the_welcome_goes_first() -> None:
    """The engine listens before it syncs, so entries may be there before the welcome."""
    session = fresh()
    send(session, HELLO)
    session.push(pushed(5))
    session.opened(WELCOME)
    assert [frame["t"] for frame in raw(session)] == ["welcome", "deliver"]


def test_S2_nothing_is_pushed_before_hello() -> None:
    session = fresh()
    session.push(pushed(5))
    session.say(Pong(1, 0, 0))
    session.say_encoded(b"{}")
    assert session.take() is None


def test_opened_after_a_bye_is_nothing() -> None:
    """The client left while its token was checked."""
    session = fresh()
    send(session, HELLO, Bye())
    session.opened(WELCOME)
    assert (session.state, session.take()) == ("closed", None)


# --- W8, W10, S19: what a frame may say ---------------------------------------------------------


def test_W8_a_large_message_is_refused_unread() -> None:
    session = opened()
    message = JSON.encode(call(1)) + b" " * LIMITS.message_bytes
    assert session.receive(message, 1.0) == []
    assert codes(session) == [(102, 0)]
    assert send(session, call(1)) == [call(1)]


def test_W8_a_message_of_exactly_the_limit_is_taken() -> None:
    session = opened()
    message = JSON.encode(call(1))
    message += b" " * (LIMITS.message_bytes - len(message))
    assert session.receive(message, 1.0) == [call(1)]


@pytest.mark.parametrize(
    "frame",
    [
        call(4, "main/g"),
        call(4, "main/g/x\n"),
        call(4, "MAIN/g/x"),
        Call(4, "x", OpId("")),
        Call(4, "x", OpId("o" * 65)),
        Call(4, "x", OpId("a b"), LOG),
        Read(4, LogId(""), before=Seq(0)),
        Read(4, LogId("x"), before=Seq(0)),
        Query(4, "log", LogId("x")),
        Subscribe(4, LogId("x")),
        Unsubscribe(4, LogId("../g/x")),
        Cursor(LogId("x"), ref=4),
    ],
)
def test_W10_an_id_that_is_none(frame: Any) -> None:
    session = opened()
    assert send(session, frame) == []
    assert codes(session) == [(107, 4)]


def test_W10_a_device_that_is_none() -> None:
    session = fresh()
    assert send(session, Hello("token", DeviceId("a b"))) == []
    assert codes(session) == [(107, 0)]
    assert session.state == "new"


def test_W10_a_signal_without_a_log() -> None:
    session = opened()
    assert send(session, Signal(LogId("x"), "typing")) == []
    assert codes(session) == [(107, 0)]


def test_W10_calls_and_queries_may_leave_the_log_out() -> None:
    session = opened()
    frames = [Call(1, "chat.open", OpId("o")), Query(2, "users")]
    assert send(session, *frames) == frames


@pytest.mark.parametrize(
    "read",
    [
        Read(4, LOG),
        Read(4, LOG, after=Seq(1), before=Seq(5)),
        Read(4, LOG, after=Seq(1), before=Seq(5), around=Seq(3)),
    ],
)
def test_W6_a_read_has_one_anchor(read: Read) -> None:
    session = opened()
    assert send(session, read) == []
    assert codes(session) == [(101, 4)]


def test_S19_a_client_cannot_speak_for_others() -> None:
    session = opened()
    signal = Signal(LOG, "typing", user=UserId("bob"), device=DeviceId("phone"))
    cursor = Cursor(LOG, read=Seq(3), user=UserId("bob"))
    assert send(session, signal, cursor) == [Signal(LOG, "typing"), Cursor(LOG, read=Seq(3))]


# --- S3, S4, S5: answers and the window ---------------------------------------------------------


def test_S3_each_ref_is_answered_once() -> None:
    session = opened()
    send(session, call(1), Read(2, LOG, before=Seq(0)), Query(3, "log", LOG))
    session.answer(Ack(1))
    session.answer(Ack(1, repeat=True))  # a second answer is one too many
    session.answer(Ack(9))  # nobody asked
    session.answer(Page(2, LOG, [], [], Seq(1), Seq(0), 1, False))
    session.answer(Result(3, msgspec.Raw(b"7")))
    assert [frame.ref for frame in drain(session)] == [1, 2, 3]


def test_S3_answers_survive_an_overflow() -> None:
    session = opened(queue_frames=2)
    send(session, call(1), Sync(2, 0))
    session.push(pushed(1))
    session.answer(Ack(1))
    session.push(pushed(2))
    session.push(pushed(3))
    session.answer(Inbox(InboxPage([], 1), 2))
    assert drain(session) == [Ack(1), Behind(LOG, Seq(3)), Inbox(InboxPage([], 1), 2)]


def test_S4_no_more_than_the_window() -> None:
    session = opened()
    assert len(send(session, call(1), call(2), call(3), call(4), call(5))) == 3
    assert codes(session) == [(305, 4), (305, 5)]


def test_S4_a_place_is_free_when_the_answer_was_taken() -> None:
    """Not when it was queued: a client that asks and never reads cannot fill the memory."""
    session = opened()
    send(session, call(1), call(2), call(3))
    session.answer(Ack(2))
    assert send(session, call(4)) == []
    assert drain(session)[0] == Ack(2)
    assert send(session, call(4)) == [call(4)]


def test_S4_frames_without_ref_need_no_place() -> None:
    session = opened()
    send(session, call(1), call(2), call(3))
    free = [Ping(), Signal(LOG, "typing"), Cursor(LOG, read=Seq(1))]
    assert send(session, *free) == free


def test_S4_a_flood_over_the_window_is_no_garbage() -> None:
    session = opened()
    send(session, call(1), call(2), call(3))
    for ref in range(4, 4 + 3 * MAX_BAD):
        send(session, call(ref))
        drain(session)
    assert session.state == "open"


def test_S5_a_ref_in_use_is_not_taken_twice() -> None:
    session = opened()
    assert send(session, call(1)) == [call(1)]
    assert send(session, Read(1, LOG, before=Seq(0))) == []
    assert codes(session) == [(101, 0)]
    session.answer(Ack(1))
    assert drain(session) == [Ack(1)]
    assert send(session, call(1)) == [call(1)]


# --- S6, S11, S12: the end ----------------------------------------------------------------------


def test_S6_unread_complaints_end_the_connection() -> None:
    session = opened()
    for _ in range(MAX_FAILS):
        assert send(session, Subscribe(1, LogId("x")), Ping()) == [Ping()]
    with pytest.raises(TooSlow):
        send(session, Subscribe(1, LogId("x")), Ping())
    assert codes(session) == [(107, 1)] * MAX_FAILS


def test_S6_complaints_that_are_read_do_not_add_up() -> None:
    session = opened()
    for _ in range(2 * MAX_FAILS):
        send(session, Subscribe(1, LogId("x")), Ping())
        assert codes(session) == [(107, 1)]


def test_S6_a_bad_piece_among_good_ones_does_not_count() -> None:
    session = opened()
    for _ in range(2 * MAX_BAD):
        assert send(session, Ping(), Subscribe(1, LogId("x"))) == [Ping()]
        drain(session)


def test_S6_twenty_bad_messages_in_a_row() -> None:
    session = opened()
    for _ in range(MAX_BAD - 1):
        session.receive(b"garbage", 1.0)
    with pytest.raises(BadFrame, match="20 bad messages"):
        session.receive(b"garbage", 1.0)
    assert codes(session) == [(101, 0)] * MAX_BAD


def test_S11_silence_of_two_heartbeats() -> None:
    session = fresh()
    assert not session.expired(100.0)  # the first question starts the clock
    assert not session.expired(150.0)
    assert session.expired(150.1)
    session.receive(b"garbage", 200.0)
    assert not session.expired(250.0)
    assert session.expired(250.1)


def test_S12_a_goodbye_is_the_end() -> None:
    session = opened()
    send(session, call(1))
    session.push(pushed(1))
    session.goodbye(Kicked("another phone"), -1)
    session.goodbye(GoingAway(), 5)
    session.push(pushed(2))
    session.say(Signal(LOG, "typing"))
    session.say_encoded(b"{}")
    session.answer(Ack(1))
    assert send(session, call(2)) == []
    assert session.receive(b"garbage", 1.0) == []
    frames = raw(session)
    assert [frame["t"] for frame in frames] == ["deliver", "goodbye", "ack"]
    assert frames[1] == {
        "t": "goodbye",
        "code": 206,
        "text": "another phone",
        "reconnect_after_ms": -1,
    }


def test_S12_a_bye_is_the_end() -> None:
    session = opened()
    assert send(session, call(1), Bye(logout=True), call(2)) == [call(1), Bye(logout=True)]
    session.answer(Ack(1))
    frames = drain(session)
    assert [(type(frame), frame.ref) for frame in frames] == [(Fail, 2), (Ack, 1)]
    assert session.state == "closed"


def test_S12_a_goodbye_instead_of_a_welcome() -> None:
    session = fresh()
    send(session, HELLO)
    session.goodbye(Kicked("x"), -1)
    session.opened(WELCOME)
    assert drain(session) == [Goodbye(206, "x", -1)]


# --- S7 … S10: the queue ------------------------------------------------------------------------


def test_S7_an_overflow_becomes_behind() -> None:
    session = opened(queue_frames=3)
    for seq in (1, 2, 3, 4, 5):
        session.push(pushed(seq))
    session.push(pushed(9, log="main/g/y"))  # another log goes on
    session.push(pushed(6))  # folded: the first one is still to be told
    frames = raw(session)
    assert frames[0] == {"t": "behind", "log": LOG, "head": 6}
    assert (frames[1]["log"], frames[1]["seq"]) == ("main/g/y", 9)
    session.push(pushed(7))
    assert [frame["seq"] for frame in raw(session)] == [7]


def test_S7_a_repeat_of_the_bus_does_not_lower_the_head() -> None:
    session = opened(queue_frames=1)
    for seq in (1, 2, 3, 2, 1):
        session.push(pushed(seq))
    assert drain(session) == [Behind(LOG, Seq(3))]


def test_S7_each_log_that_lost_entries_is_told() -> None:
    session = opened(queue_frames=4)
    for seq, log in ((1, "main/g/y"), (1, LOG), (2, "main/g/y"), (2, LOG), (3, LOG)):
        session.push(pushed(seq, log=log))
    assert drain(session) == [Behind(LogId("main/g/y"), Seq(2)), Behind(LOG, Seq(3))]


def test_S7_behind_is_told_though_other_logs_never_pause() -> None:
    """What was queued before goes first, what comes after does not."""
    session = opened(queue_frames=2)
    for seq in (1, 2, 3):
        session.push(pushed(seq))
    for seq in (1, 2):
        session.push(pushed(seq, log="main/g/y"))
    assert session.take(1) == JSON.encode(Behind(LOG, Seq(3)))


def test_S7_the_engine_may_say_behind() -> None:
    session = opened()
    session.push(pushed(1))
    session.say(Behind(LOG, Seq(4)))
    session.say(Behind(LOG, Seq(3)))
    session.push(pushed(5))
    assert [(frame["t"], frame.get("head")) for frame in raw(session)] == [
        ("deliver", None),
        ("behind", 5),
    ]


def test_S8_the_bound_is_in_bytes_and_in_frames() -> None:
    session = opened(queue_bytes=1000, queue_frames=100)
    size = len(pushed(1, 100).data)
    most = 1000 // size + 1  # one over
    for seq in range(1, most + 1):
        session.push(pushed(seq, 100))
    assert session.pending == most * size
    session.push(pushed(most + 1, 100))
    assert session.pending == 1  # the mark
    assert drain(session) == [Behind(LOG, Seq(most + 1))]


def test_S8_a_frame_larger_than_the_bound_still_fits_an_empty_queue() -> None:
    session = opened(queue_bytes=100)
    session.push(pushed(1, 500))
    assert [frame["seq"] for frame in raw(session)] == [1]


def row() -> InboxRow:
    return InboxRow(LOG, 5, Seq(1), 1, 0, 0, Role.MEMBER, Seq(1), Seq(0), Seq(0))


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        (Signal(LOG, "typing", user=UserId("bob")), False),
        (Cursor(LOG, read=Seq(1), user=UserId("bob")), True),
        (Inbox(InboxPage([row()], 0)), True),
    ],
)
@pytest.mark.parametrize("first", [False, True])
def test_S9_what_is_no_entry_is_told_as_stale(frame: Any, told: bool, first: bool) -> None:
    """Whether it waited when the queue ran over, or came when it was full already."""
    session = opened(queue_frames=2)
    if first:
        session.say(frame)
        session.push(pushed(1))
        session.push(pushed(2))
    else:
        session.push(pushed(1))
        session.push(pushed(2))
        session.say(frame)
        session.push(pushed(3))
    frames = drain(session)
    assert isinstance(frames[0], Behind)
    assert frames[1:] == ([Inbox(InboxPage([], 0, more=True))] if told else [])


def test_S9_what_is_dropped_alone_does_not_cost_the_entries() -> None:
    session = opened(queue_frames=2)
    session.push(pushed(1))
    session.push(pushed(2))
    session.say(Inbox(InboxPage([row()], 0)))
    frames = raw(session)
    assert [frame["t"] for frame in frames] == ["deliver", "deliver", "inbox"]
    assert frames[2]["page"] == {"rows": [], "upto": 0, "more": True}


def test_S9_shared_frames_that_are_no_entries() -> None:
    """seq 0: dropped with the rest, told as stale, also for a log that is behind."""
    session = opened(queue_frames=2)
    for seq in (1, 2, 3):
        session.push(pushed(seq))
    session.push(Outgoing(LOG, Seq(0), JSON.encode(Signal(LOG, "typing"))))
    assert drain(session) == [Behind(LOG, Seq(3)), Inbox(InboxPage([], 0, more=True))]
    session.push(Outgoing(LOG, Seq(0), JSON.encode(Signal(LOG, "typing"))))
    assert drain(session) == [Signal(LOG, "typing")]
    session.push(Outgoing(LOG, Seq(0), JSON.encode(Signal(LOG, "typing"))))
    session.push(pushed(4))
    session.push(pushed(5))
    assert drain(session) == [Behind(LOG, Seq(5)), Inbox(InboxPage([], 0, more=True))]


def test_S9_what_was_told_is_not_told_again() -> None:
    session = opened(queue_frames=1)
    session.push(pushed(1))
    session.say(Cursor(LOG, read=Seq(1), user=UserId("bob")))
    assert [frame["t"] for frame in raw(session)] == ["deliver", "inbox"]
    session.push(pushed(2))
    session.push(pushed(3))
    assert drain(session) == [Behind(LOG, Seq(3))]
    session.push(pushed(4))
    assert [frame["t"] for frame in raw(session)] == ["deliver"]


def test_S9_encoded_once_for_many() -> None:
    session = opened(queue_frames=2)
    for _ in range(3):
        session.say_encoded(JSON.encode(Signal(LOG, "typing")), missed=False)
    assert drain(session) == [Signal(LOG, "typing")] * 2


def test_S9_one_pong_waits() -> None:
    """The older one: its digest fits what was queued before it. A ping flood buys nothing."""
    session = opened()
    session.say(Pong(1, 0, 0))
    session.say(Pong(2, 0, 0))
    assert drain(session) == [Pong(1, 0, 0)]
    session.say(Pong(3, 0, 0))
    assert drain(session) == [Pong(3, 0, 0)]


def test_S9_what_is_said_once_is_kept() -> None:
    session = opened(queue_frames=2)
    said = [Reset(LOG, Seq(4), 2), Gap(LOG, 3, "load")]
    for frame in said:
        session.say(frame)
    for seq in (1, 2, 3):
        session.push(pushed(seq))
    assert drain(session) == [*said, Behind(LOG, Seq(3))]


def test_S10_frames_are_joined_up_to_a_size() -> None:
    session = opened()
    items = [pushed(seq, 100) for seq in range(1, 6)]
    for item in items:
        session.push(item)
    size = len(items[0].data)
    assert session.take(3 * size + 3) == JSON.join([item.data for item in items[:2]])
    assert session.take(2 * size + 3) == JSON.join([item.data for item in items[2:4]])
    assert session.pending == size
    assert session.take(1) == items[4].data
    assert session.take() is None
