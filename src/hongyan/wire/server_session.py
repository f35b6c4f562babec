"""The server's half of a session: judges what comes, orders and bounds what goes.

What a client may ask for is bounded here: a message has a size, a frame with a ref a place in the
window until its answer is taken, a complaint a place among 256. What goes waits in a SendQueue.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hongyan.model.errors import (
    BadFrame,
    FrameTooBig,
    OutOfState,
    Refusal,
    TooManyInFlight,
    TooSlow,
)
from hongyan.model.ids import DEVICE, LOG, OP, DeviceId, UserId, check
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
    Limits,
    Pong,
    Query,
    Read,
    Signal,
    Welcome,
)
from hongyan.wire.send_queue import ANSWER, FAIL, PONG, SAID, Batch, Outgoing, SendQueue
from hongyan.wire.states import SERVER, ServerInput, ServerState

MAX_BAD = 20  # messages in a row without one acceptable frame
MAX_FAILS = 256  # complaints that wait to be sent

_INPUT: Final[dict[type[Frame], ServerInput]] = {Hello: "hello", Bye: "bye"}
_DROPPABLE = (Signal, Cursor, Inbox)
_FROM_A_USER = (Signal, Cursor)
_log_fits, _op_fits = LOG.fullmatch, OP.fullmatch


class ServerSession:
    """See the module. One per connection; not thread-safe; no method waits.

    The engine calls `receive` for each message, then `opened` or `goodbye` once it has judged
    the hello, `answer` exactly once for each frame with a ref, `push` and `say` for what happens,
    and writes what `take` gives while the transport takes it.
    """

    __slots__ = (
        "_bad",
        "_decode",
        "_heard",
        "_limits",
        "_patience",
        "_refs",
        "codec",
        "device",
        "queue",
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
        overflowed: Callable[[], None] | None = None,
    ) -> None:
        """`queue_bytes` and `queue_frames` bound what waits and may be dropped (one frame over);
        `overflowed` is called when that happens."""
        self.state: ServerState = "new"
        self.codec, self._decode = codec, codec.decode_client
        self.device = DeviceId("")  # the engine's to set, once it knows
        self._limits = limits
        self._patience = 2 * heartbeat_s
        self._heard: float | None = None
        self._refs: set[int] = set()  # asked, not answered
        self._bad = 0  # messages in a row
        self.queue = SendQueue(codec, queue_bytes, queue_frames, overflowed)

    def detach(self) -> None:
        """The connection is gone: hold nothing of it."""
        self.queue.detach()

    @property
    def pending(self) -> int:
        """Bytes that wait; 0 = `take` has nothing."""
        return self.queue.pending

    @property
    def behind(self) -> int:
        """Logs of which entries were dropped, which the client was not told yet."""
        return self.queue.behind

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
            if len(self._refs) + self.queue.held[ANSWER] >= self._limits.window:
                return fail(TooManyInFlight(f"at most {self._limits.window}"), ref)
            self._refs.add(ref)
        self.state = state
        return None

    def _complain(self, complaint: Fail) -> None:
        if self.queue.held[FAIL] >= MAX_FAILS:
            raise TooSlow(f"{MAX_FAILS} complaints were not read")
        self.queue.keep(complaint, FAIL)

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
        self.queue.keep(welcome, SAID, first=True)

    def answer(self, frame: Frame) -> None:
        """Answer a frame with a ref: Ack, Fail, Page, Result, Inbox. Never dropped, also after a
        goodbye; its place in the window is free once it is taken. An answer to a ref that does
        not wait is ignored: its call was answered before."""
        ref = getattr(frame, "ref", 0)
        if ref not in self._refs:
            return
        self._refs.remove(ref)
        self.queue.keep(frame, ANSWER)

    def push(self, item: Outgoing) -> None:
        """Queue entries for this client, or note that it is behind (see SendQueue). Never waits."""
        if self.state != "new" and self.state != "closed":
            self.queue.push(item)

    def batch(self, item: Batch) -> None:
        """Queue what a live log sends in a tick; where it is dropped a gap tells. Never waits."""
        if self.state == "open":
            self.queue.batch(item)

    def say(self, frame: Frame) -> None:
        """Queue a frame that answers nothing.

        Signals, cursors and rows may be dropped when the client is slow; it is told to sync if
        it was more than a signal. A pong is dropped where one waits already. A Behind joins what
        is to be told. Everything else is kept.
        """
        if self.state == "new" or self.state == "closed":
            return
        if isinstance(frame, Behind):
            self.queue.mark(frame.log, frame.head)
        elif isinstance(frame, _DROPPABLE):
            self.say_encoded(self.codec.encode(frame), missed=not isinstance(frame, Signal))
        elif not isinstance(frame, Pong):
            self.queue.keep(frame, SAID)
        elif not self.queue.held[PONG]:
            self.queue.keep(frame, PONG)

    def say_encoded(self, data: bytes, *, missed: bool = True) -> None:
        """Queue an encoded frame that many get and that may be dropped. `missed`: when it is, the
        client is told to sync."""
        if self.state != "new" and self.state != "closed":
            self.queue.note(data, missed=missed)

    def goodbye(self, why: Refusal, reconnect_after_ms: int) -> None:
        """End the session: the last frame but for answers. Negative = do not come back."""
        if self.state == "closed":
            return
        early = self.state == "opening"  # what came meanwhile is for nobody
        self.state = SERVER[self.state, "goodbye"]
        self.queue.keep(Goodbye(why.code, why.text, reconnect_after_ms), SAID, first=early)

    def take(self, most: int = 64 * 1024) -> bytes | None:
        """The next message to write; None when nothing waits. While the engine opens the session
        deliveries wait too: the welcome, or the goodbye, goes before them.

        Joins waiting frames in order, as many as fit in `most` bytes, at least one.
        """
        if self.state == "opening":
            return self.queue.take_kept()
        return self.queue.take(most)


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
    elif (log := getattr(frame, "log", None)) is not None:
        check(LOG, log, "log")
        if isinstance(frame, Read):
            if (frame.after, frame.before, frame.around).count(None) != 2:
                raise BadFrame("exactly one of after, before, around")
        elif isinstance(frame, _FROM_A_USER):
            frame.user = UserId("")
            if isinstance(frame, Signal):
                frame.device = DeviceId("")
