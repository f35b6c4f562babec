"""The send queue under any reader, garbage into a session, both halves against each other."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from wire_strategies import CLIENT_FRAMES

from hongyan.model.errors import Refusal
from hongyan.model.ids import DeviceId, LogId, OpId, Seq, UserId
from hongyan.model.log import Entry
from hongyan.wire.codec import CODECS, Codec
from hongyan.wire.frames import (
    Ack,
    Behind,
    Call,
    Cursor,
    Deliver,
    Fail,
    Hello,
    Inbox,
    InboxPage,
    Limits,
    Page,
    Read,
    ServerFrame,
    Signal,
    Welcome,
)
from hongyan.wire.server_session import MAX_BAD, MAX_FAILS
from hongyan.wire.session import (
    Answered,
    ClientSession,
    Event,
    Opened,
    Outgoing,
    Refused,
    ServerSession,
)

codecs = pytest.mark.parametrize("codec", CODECS.values(), ids=lambda codec: codec.name)
JSON = CODECS["hongyan.v1.json"]
LIMITS = Limits(message_bytes=4096, window=4, page=50)
LOGS = [LogId(f"main/g/{name}") for name in "abc"]
QUEUE_BYTES, QUEUE_FRAMES = 2000, 12


def welcome(limits: Limits = LIMITS) -> Welcome:
    return Welcome("s", UserId("alice"), "main", DeviceId("d"), 1, 25_000, limits, InboxPage([], 0))


def entry(seq: int, size: int = 0) -> Entry:
    body = msgspec.Raw(msgspec.json.encode("x" * size))
    return Entry(Seq(seq), "message", UserId("bob"), 1, seq, body)


def deliver(codec: Codec, log: LogId, first: int, last: int, size: int = 0) -> Outgoing:
    frame = Deliver(log, [entry(seq, size) for seq in range(first, last + 1)])
    return Outgoing(log, Seq(last), codec.encode(frame))


@dataclass
class Reader:
    """What a client has been told; checks the promise at every frame."""

    seen: dict[LogId, int] = field(default_factory=lambda: dict.fromkeys(LOGS, 0))
    told: dict[LogId, int] = field(default_factory=lambda: dict.fromkeys(LOGS, 0))
    stale: int = 0
    answers: list[int] = field(default_factory=list)

    def take(self, frame: ServerFrame) -> None:
        if isinstance(frame, Deliver):
            for one in frame.entries:
                known = max(self.seen[frame.log], self.told[frame.log])
                assert one.seq == known + 1, "a hole, a repeat or a wrong order"
                self.seen[frame.log] = one.seq
        elif isinstance(frame, Behind):
            assert frame.head > self.told[frame.log]
            self.told[frame.log] = frame.head
        elif isinstance(frame, Inbox):
            self.stale += frame.page.more
        elif isinstance(frame, Ack | Page):
            self.answers.append(frame.ref)


class SlowReader(RuleBasedStateMachine):
    """Any sequence of pushes, answers and notes against a reader of any speed."""

    codec = JSON

    def __init__(self) -> None:
        super().__init__()
        self.session = ServerSession(
            self.codec, LIMITS, 25.0, queue_bytes=QUEUE_BYTES, queue_frames=QUEUE_FRAMES
        )
        self.session.receive(self.codec.encode(Hello("t", DeviceId("d"))), 0.0)
        self.session.opened(welcome())
        self.session.take()
        self.pushed = dict.fromkeys(LOGS, 0)
        self.reader = Reader()
        self.ref = 0
        self.asked: list[int] = []
        self.answered: list[int] = []
        self.answer_bytes = 0
        self.largest = 0

    @rule(log=st.sampled_from(LOGS), count=st.integers(1, 3), size=st.integers(0, 600))
    def push(self, log: LogId, count: int, size: int) -> None:
        first = self.pushed[log] + 1
        self.pushed[log] = first + count - 1
        item = deliver(self.codec, log, first, self.pushed[log], size)
        self.largest = max(self.largest, len(item.data))
        self.session.push(item)

    @rule(log=st.sampled_from(LOGS), times=st.integers(5, 40))
    def storm(self, log: LogId, times: int) -> None:
        for _ in range(times):
            self.push(log, 1, 0)

    @rule(log=st.sampled_from(LOGS))
    def signal(self, log: LogId) -> None:
        self.session.say(Signal(log, "typing", user=UserId("bob")))

    @rule(log=st.sampled_from(LOGS))
    def cursor(self, log: LogId) -> None:
        self.session.say(Cursor(log, read=Seq(1), user=UserId("bob")))

    @precondition(lambda self: len(self.asked) - len(self.reader.answers) < LIMITS.window)
    @rule()
    def call(self) -> None:
        self.ref += 1
        call = Call(self.ref, "x", OpId(f"o{self.ref}"), LOGS[0])
        assert len(self.session.receive(self.codec.encode(call), 1.0)) == 1
        self.asked.append(self.ref)

    @precondition(lambda self: len(self.asked) > len(self.answered))
    @rule(page=st.booleans())
    def answer(self, page: bool) -> None:
        ref = self.asked[len(self.answered)]
        self.answered.append(ref)
        entries = [entry(seq, 500) for seq in range(1, 4)]
        big = Page(ref, LOGS[0], entries, [], Seq(1), Seq(3), 1, False)
        frame = big if page else Ack(ref)
        self.answer_bytes = max(self.answer_bytes, len(self.codec.encode(frame)))
        self.session.answer(frame)

    @rule(times=st.integers(1, 4), most=st.sampled_from([1, 100, 1000, 64 * 1024]))
    def read(self, times: int, most: int) -> None:
        for _ in range(times):
            message = self.session.take(most)
            if message is None:
                assert self.session.pending == 0
                return
            frames = self.codec.decode_server(message)
            assert len(frames) == 1 or len(message) <= most
            for frame in frames:
                self.reader.take(frame)

    @invariant()
    def bounded(self) -> None:
        tellings = (len(LOGS) + 1) * 2 * 70  # behinds: those being sent, those being collected
        most = QUEUE_BYTES + self.largest + LIMITS.window * self.answer_bytes + tellings
        assert self.session.pending <= most

    def teardown(self) -> None:
        while (message := self.session.take()) is not None:
            for frame in self.codec.decode_server(message):
                self.reader.take(frame)
        assert self.session.pending == 0
        for log in LOGS:
            assert max(self.reader.seen[log], self.reader.told[log]) == self.pushed[log]
        assert self.reader.answers == self.answered


class SlowMsgpackReader(SlowReader):
    codec = CODECS["hongyan.v1.msgpack"]


@pytest.mark.parametrize("machine", [SlowReader, SlowMsgpackReader])
def test_S3_S7_S8_S10_slow_reader(machine: type[RuleBasedStateMachine]) -> None:
    run_state_machine_as_test(machine)


@codecs
@given(st.lists(st.binary(max_size=60) | CLIENT_FRAMES, max_size=60), st.booleans())
def test_W11_S6_anything_into_a_session_is_refused_or_ends_it(
    codec: Codec, messages: list[object], reads: bool
) -> None:
    """Garbage, frames out of state, wrong ids: only a Refusal comes out; what waits is bounded."""
    session = ServerSession(codec, LIMITS, 25.0)
    for message in messages:
        data = message if isinstance(message, bytes) else codec.encode(message)  # type: ignore[arg-type]
        try:
            session.receive(data, 1.0)
        except Refusal as why:
            assert why.code in (101, 307)
            break
        if session.state == "opening":
            session.opened(welcome())
        if reads:
            while session.take() is not None:
                pass
        assert session.pending <= (MAX_FAILS + 1) * 400


@given(st.integers(1, 80))
def test_S6_a_row_of_bad_messages_ends_the_connection(good_after: int) -> None:
    """A good one in between starts the count anew."""
    session = ServerSession(JSON, LIMITS, 25.0)
    session.receive(JSON.encode(Hello("t", DeviceId("d"))), 0.0)
    session.opened(welcome())
    bad = 0
    with pytest.raises(Refusal) as ended:
        for count in range(1, 200):
            if count == good_after:
                session.receive(b'{"t":"ping"}', 1.0)
                bad = 0
            bad += 1
            session.receive(b"{}", 1.0)
            while session.take() is not None:
                pass
    assert (ended.value.code, bad) == (101, MAX_BAD)


@dataclass
class Server:
    """The least engine there is: applies each op once, answers what it is asked."""

    codec: Codec
    applied: list[str] = field(default_factory=list)
    session: ServerSession | None = None

    def accept(self) -> None:
        self.session = ServerSession(self.codec, LIMITS, 25.0)

    def receive(self, message: bytes, lose_answers: bool) -> None:
        assert self.session is not None
        for frame in self.session.receive(message, 1.0):
            if isinstance(frame, Hello):
                self.session.opened(welcome())
            elif isinstance(frame, Call):
                repeat = frame.op in self.applied
                if not repeat:
                    self.applied.append(frame.op)
                if not lose_answers:
                    self.session.answer(Ack(frame.ref, repeat=repeat))
            elif isinstance(frame, Read) and not lose_answers:
                self.session.answer(Fail(frame.ref, 202, "no"))


# size: the machine that plays both sides is the test
@codecs
@given(st.data())
def test_S4_S13_S14_calls_survive_any_number_of_lost_connections(
    codec: Codec, data: st.DataObject
) -> None:
    """Each op is applied once, in order, and answered once; each read is refused once."""
    server = Server(codec)
    client = ClientSession(codec, DeviceId("d"))
    calls: list[int] = []
    reads: list[int] = []
    events: list[Event] = []

    def connect() -> None:
        server.accept()
        server.receive(client.hello("t", 0.0), False)

    def exchange(lose_answers: bool) -> None:
        """Both directions until nothing moves."""
        assert server.session is not None
        moved = True
        while moved:
            moved = False
            while (message := server.session.take()) is not None:
                events.extend(client.receive(message, 1.0))
                moved = True
            while (message := client.take()) is not None:
                server.receive(message, lose_answers)
                moved = True

    connect()
    exchange(False)
    for number in range(data.draw(st.integers(0, 8))):
        for _ in range(data.draw(st.integers(0, 7))):
            op = OpId(f"{number}.{len(calls)}")
            calls.append(client.call("x", b"{}", op=op, log=LOGS[0]))
        if data.draw(st.booleans()):
            reads.append(client.read(LOGS[0], before=Seq(0)))
        exchange(lose_answers=data.draw(st.booleans()))
        if data.draw(st.booleans()):
            events += client.lost(1.0)
            connect()
            exchange(False)
    events += client.lost(1.0)
    connect()
    exchange(False)
    done = [event.request.ref for event in events if isinstance(event, Answered)]
    refused = [e.request.ref for e in events if isinstance(e, Refused) and e.request is not None]
    assert sorted(done) == calls
    assert sorted(refused) == reads
    assert len(server.applied) == len(calls)
    assert server.applied == sorted(server.applied, key=lambda op: int(op.split(".")[1]))
    assert any(isinstance(event, Opened) for event in events)
