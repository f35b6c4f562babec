"""The server's half of a session: judges what comes, orders and bounds what goes.

Two kinds of frames wait in the send queue. *Kept* ones (answers, and what is said once) are
bounded by what the client may ask for: an answer holds its place in the window until it is taken.
*Droppable* ones (deliveries, signals, rows) are bounded by `queue_bytes` and `queue_frames`; when
they are over it, they are all dropped, and in their place stand the frames that tell of it:
`behind` with the highest dropped seq of each log, and an empty `inbox` with `more` where other
things than entries were lost. Until those have been sent, further deliveries of a log that is
behind are folded into its `behind`: the client must read the log anyway.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec

from hongyan.model.errors import (
    BadFrame,
    FrameTooBig,
    OutOfState,
    Refusal,
    TooManyInFlight,
    TooSlow,
)
from hongyan.model.ids import DEVICE, LOG, OP, DeviceId, LogId, Seq, UserId, check
from hongyan.wire.codec import Codec, fail
from hongyan.wire.frames import (
    Behind,
    Bye,
    Call,
    ClientFrame,
    Cursor,
    Fail,
    Frame,
    Goodbye,
    Hello,
    Inbox,
    InboxPage,
    Limits,
    Pong,
    Query,
    Read,
    Signal,
    Welcome,
)
from hongyan.wire.states import SERVER, ServerInput, ServerState

MAX_BAD = 20  # messages in a row without one acceptable frame
MAX_FAILS = 256  # complaints that wait to be sent

_INPUT: Final[dict[type[Frame], ServerInput]] = {Hello: "hello", Bye: "bye"}
_DROPPABLE = (Signal, Cursor, Inbox)
_FROM_A_USER = (Signal, Cursor)
_log_fits, _op_fits = LOG.fullmatch, OP.fullmatch

# Why a kept frame is kept, and so what is given back when it is taken.
_SAID, _ANSWER, _FAIL, _PONG, _MARK = range(5)


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """An encoded frame shared by all sessions of a codec: entries of `log` up to `seq`.

    `seq` 0: no entries but a signal or cursors that many get.
    """

    log: LogId
    seq: Seq
    data: bytes


class _Kept(msgspec.Struct, frozen=True, gc=False):
    data: bytes
    why: int


class _Note(msgspec.Struct, frozen=True, gc=False):
    """Droppable, for this session only; `missed`: the client must be told that it is gone."""

    data: bytes
    missed: bool


_HERE = _Kept(b"", _MARK)  # the place in the queue where behinds are to be told


class ServerSession:
    """See the module. One per connection; not thread-safe; no method waits.

    The engine calls `receive` for each message, then `opened` or `goodbye` once it has judged
    the hello, `answer` exactly once for each frame with a ref, `push` and `say` for what happens,
    and writes what `take` gives while the transport takes it.
    """

    __slots__ = (
        "_bad",
        "_behind",
        "_count",
        "_decode",
        "_heard",
        "_held",
        "_kept",
        "_limits",
        "_load",
        "_most_bytes",
        "_most_frames",
        "_patience",
        "_queue",
        "_refs",
        "_stale",
        "codec",
        "device",
        "state",
    )

    def __init__(
        self,
        codec: Codec,
        limits: Limits,
        heartbeat_s: float,
        *,
        queue_bytes: int = 1 << 20,
        queue_frames: int = 2048,
    ) -> None:
        """`queue_bytes` and `queue_frames` bound what waits and may be dropped (one frame over)."""
        self.state: ServerState = "new"
        self.codec, self._decode = codec, codec.decode_client
        self.device = DeviceId("")  # the engine's to set, once it knows
        self._limits = limits
        self._patience = 2 * heartbeat_s
        self._most_bytes, self._most_frames = queue_bytes, queue_frames
        self._heard: float | None = None
        self._refs: set[int] = set()  # asked, not answered
        self._bad = 0  # messages in a row
        self._queue: deque[Outgoing | _Note | _Kept] = deque()
        self._load = self._count = 0  # droppable bytes and frames in it
        self._kept = 0  # bytes of the others
        self._held = [0] * 5  # kept frames in it, by why
        self._behind: dict[LogId, Seq] = {}  # dropped, not told yet
        self._stale = False  # other things were dropped, not told yet

    @property
    def pending(self) -> int:
        """Bytes that wait; 0 = `take` has nothing."""
        return self._load + self._kept + self._held[_MARK]

    def expired(self, now: float) -> bool:
        """Whether nothing came for two heartbeats. The first question starts the clock of a
        session that never got anything."""
        if self._heard is None:
            self._heard = now
        return now - self._heard > self._patience

    # --- what comes ---------------------------------------------------------------------------

    def receive(self, data: bytes, now: float) -> list[ClientFrame]:
        """Take one message; return the frames the engine has to deal with, in order.

        The rest is answered here. Of a returned frame it is known that its state, window and ref
        are right, its ids well-formed, its args canonical JSON. After `closed` all is ignored.

        Raises:
            BadFrame: 20 messages in a row without one good frame; say goodbye.
            TooSlow: 256 complaints wait for a client that does not read; say goodbye.
        """
        self._heard = now
        if self.state == "closed":
            return []
        try:
            if len(data) > self._limits.message_bytes:
                raise FrameTooBig(f"{len(data)} bytes, limit {self._limits.message_bytes}")
            frames = self._decode(data)
        except Refusal as why:
            self._complain(fail(why, 0))
            self._count_bad()
            return []
        good: list[ClientFrame] = []
        refused = False
        for frame in frames:
            if isinstance(frame, Fail):
                self._complain(frame)
                refused = True
            elif (complaint := self._judge(frame)) is None:
                good.append(frame)
            else:
                self._complain(complaint)
                refused |= complaint.code != TooManyInFlight.code
        if good or not refused:
            self._bad = 0
        else:
            self._count_bad()
        return good

    def _judge(self, frame: ClientFrame) -> Fail | None:
        """Whether the engine may see this frame: state, ids, window."""
        ref = getattr(frame, "ref", 0)
        state = SERVER.get((self.state, _INPUT.get(frame.__class__, "frame")))
        if state is None:
            return fail(OutOfState(f"{frame.__class__.__name__} while {self.state}"), ref)
        try:
            _check_ids(frame)
        except Refusal as why:
            return fail(why, ref)
        if ref:
            if ref in self._refs:  # the Fail has no ref: it would be taken for the first's answer
                return fail(BadFrame(f"ref {ref} is in use"), 0)
            if len(self._refs) + self._held[_ANSWER] >= self._limits.window:
                return fail(TooManyInFlight(f"at most {self._limits.window}"), ref)
            self._refs.add(ref)
        self.state = state
        return None

    def _complain(self, complaint: Fail) -> None:
        if self._held[_FAIL] >= MAX_FAILS:
            raise TooSlow(f"{MAX_FAILS} complaints were not read")
        self._keep(complaint, _FAIL)

    def _count_bad(self) -> None:
        self._bad += 1
        if self._bad >= MAX_BAD:
            raise BadFrame(f"{MAX_BAD} bad messages in a row")

    # --- what goes ----------------------------------------------------------------------------

    def opened(self, welcome: Welcome) -> None:
        """The engine accepts the hello. The welcome goes before all that waits already; nothing
        happens when the session was closed meanwhile."""
        if self.state != "opening":
            return
        self.state = "open"
        data = self.codec.encode(welcome)
        self._queue.appendleft(_Kept(data, _SAID))
        self._kept += len(data)
        self._held[_SAID] += 1

    def answer(self, frame: Frame) -> None:
        """Answer a frame with a ref: Ack, Fail, Page, Result, Inbox. Never dropped, also after a
        goodbye; its place in the window is free once it is taken. An answer to a ref that does
        not wait is ignored: its call was answered before."""
        ref = getattr(frame, "ref", 0)
        if ref not in self._refs:
            return
        self._refs.remove(ref)
        self._keep(frame, _ANSWER)

    def push(self, item: Outgoing) -> None:
        """Queue entries for this client, or note that it is behind. Hot: runs for every delivery;
        nothing is allocated, the item is the one that all sessions share."""
        if self._behind and (head := self._behind.get(item.log)) is not None:
            self._fold(item, head)
            return
        if self.state == "new" or self.state == "closed":
            return
        if self._load >= self._most_bytes or self._count >= self._most_frames:
            self._overflow(item)
            return
        self._load += len(item.data)
        self._count += 1
        self._queue.append(item)

    def say(self, frame: Frame) -> None:
        """Queue a frame that answers nothing.

        Signals, cursors and rows may be dropped when the client is slow; it is told to sync if
        it was more than a signal. A pong is dropped where one waits already. A Behind joins what
        is to be told. Everything else is kept.
        """
        if self.state == "new" or self.state == "closed":
            return
        if isinstance(frame, Behind):
            self._mark(frame.log, frame.head)
        elif isinstance(frame, _DROPPABLE):
            self.say_encoded(self.codec.encode(frame), missed=not isinstance(frame, Signal))
        elif not isinstance(frame, Pong):
            self._keep(frame, _SAID)
        elif not self._held[_PONG]:
            self._keep(frame, _PONG)

    def say_encoded(self, data: bytes, *, missed: bool = True) -> None:
        """Queue an encoded frame that many get and that may be dropped. `missed`: when it is, the
        client is told to sync."""
        if self.state == "new" or self.state == "closed":
            return
        if self._load < self._most_bytes and self._count < self._most_frames:
            self._queue.append(_Note(data, missed))
            self._load += len(data)
            self._count += 1
        elif missed:
            self._missed()

    def goodbye(self, why: Refusal, reconnect_after_ms: int) -> None:
        """End the session: the last frame but for answers. Negative = do not come back."""
        if self.state == "closed":
            return
        self.state = SERVER[self.state, "goodbye"]
        self._keep(Goodbye(why.code, why.text, reconnect_after_ms), _SAID)

    def take(self, most: int = 64 * 1024) -> bytes | None:
        """The next message to write; None when nothing waits.

        Joins waiting frames in order, as many as fit in `most` bytes, at least one.
        """
        queue = self._queue
        frames: list[bytes] = []
        size = 2
        while queue:
            item = queue[0]
            if item is _HERE:
                self._tell()
                continue
            data = item.data
            size += len(data) + 1
            if size > most and frames:
                break
            queue.popleft()
            frames.append(data)
            if isinstance(item, _Kept):
                self._kept -= len(data)
                self._held[item.why] -= 1
            else:
                self._load -= len(data)
                self._count -= 1
        return self.codec.join(frames) if frames else None

    # --- the queue ----------------------------------------------------------------------------

    def _keep(self, frame: Frame, why: int) -> None:
        data = self.codec.encode(frame)
        self._queue.append(_Kept(data, why))
        self._kept += len(data)
        self._held[why] += 1

    def _overflow(self, last: Outgoing) -> None:
        """Drop all that may be dropped, with `last`, and remember what the client must be told."""
        dropped = [item for item in self._queue if not isinstance(item, _Kept)]
        self._queue = deque(item for item in self._queue if isinstance(item, _Kept))
        self._load = self._count = 0
        for item in (*dropped, last):
            if isinstance(item, _Note):
                if item.missed:
                    self._missed()
            elif item.seq:
                self._mark(item.log, item.seq)
            else:
                self._missed()

    def _fold(self, item: Outgoing, head: Seq) -> None:
        if item.seq > head:
            self._behind[item.log] = item.seq
        elif not item.seq:
            self._missed()

    def _mark(self, log: LogId, head: Seq) -> None:
        self._behind[log] = max(head, self._behind.get(log, head))
        self._place()

    def _missed(self) -> None:
        self._stale = True
        self._place()

    def _place(self) -> None:
        """Put the mark behind what waits now, once."""
        if not self._held[_MARK]:
            self._held[_MARK] = 1
            self._queue.append(_HERE)

    def _tell(self) -> None:
        """The queue has drained to the mark: put the frames in its place that tell of the loss."""
        self._queue.popleft()
        self._held[_MARK] = 0
        notes: list[Frame] = [Behind(log, head) for log, head in self._behind.items()]
        if self._stale:
            notes.append(Inbox(InboxPage([], 0, more=True)))
        self._behind.clear()
        self._stale = False
        encoded = [_Kept(self.codec.encode(note), _SAID) for note in notes]
        self._kept += sum(len(item.data) for item in encoded)
        self._held[_SAID] += len(encoded)
        self._queue.extendleft(reversed(encoded))


def _check_ids(frame: ClientFrame) -> None:
    """Raise where an id is not one. What only the server may say is taken out of the frame."""
    if isinstance(frame, Call):
        if (frame.log and not _log_fits(frame.log)) or not _op_fits(frame.op):
            check(OP, frame.op, "op")
            check(LOG, frame.log, "log")
    elif isinstance(frame, Hello):
        check(DEVICE, frame.device, "device")
    elif isinstance(frame, Query):
        if frame.log:
            check(LOG, frame.log, "log")
    elif not isinstance(frame, Bye) and (log := getattr(frame, "log", None)) is not None:
        check(LOG, log, "log")
        if isinstance(frame, Read):
            if (frame.after, frame.before, frame.around).count(None) != 2:
                raise BadFrame("exactly one of after, before, around")
        elif isinstance(frame, _FROM_A_USER):
            frame.user = UserId("")
            if isinstance(frame, Signal):
                frame.device = DeviceId("")
