"""A client's frames on their way out: numbered, sent within the window, kept until answered."""

from __future__ import annotations

from collections import deque

from hongyan.model.errors import BadFrame, FrameTooBig
from hongyan.wire.codec import MAX_FRAMES, Codec
from hongyan.wire.events import Asked, Refused, Request
from hongyan.wire.frames import (
    Ack,
    Attached,
    Call,
    Cursor,
    Frame,
    Inbox,
    Limits,
    Page,
    Query,
    Read,
    Result,
    Signal,
    Subscribe,
    Sync,
    Unsubscribe,
)

MAX_SIGNALS = 64  # waiting to be sent; further ones are dropped

LASTING = (Call, Cursor)  # sent again on the next connection: they are harmless to repeat
ANSWERS: dict[type[Frame], type[Frame] | tuple[type[Frame], ...]] = {
    Call: Ack,
    Cursor: Ack,
    Subscribe: (Ack, Attached),  # the latter of live logs
    Unsubscribe: Ack,
    Read: Page,
    Query: Result,
    Sync: Inbox,
}


class Requests:
    """Requests of one ClientSession over all its connections, and frames that want no answer."""

    __slots__ = ("_codec", "_inflight", "_loose", "_ref", "_signals", "_waiting", "limits")

    def __init__(self, codec: Codec) -> None:
        """Nothing is sent before `opened` told the server's limits."""
        self.limits: Limits | None = None  # of the newest welcome
        self._codec = codec
        self._ref = 0
        self._waiting: deque[Request] = deque()  # not sent on this connection
        self._inflight: dict[int, Request] = {}  # sent, in order, not answered
        self._loose: deque[bytes] = deque()  # frames that want no answer
        self._signals = 0  # of them

    def next_ref(self) -> int:
        """A ref that was never used before."""
        self._ref += 1
        return self._ref

    def ask(self, frame: Asked, *, first: bool = False) -> int:
        """Queue a request; return its ref. Raises FrameTooBig: it can never be sent."""
        request = Request(frame.ref, frame, self._codec.encode(frame))
        self._check_size(request)
        if first:
            self._waiting.appendleft(request)
        else:
            self._waiting.append(request)
        return request.ref

    def say(self, frame: Frame) -> bool:
        """Queue a frame that wants no answer; False = a signal that was dropped."""
        if isinstance(frame, Signal):
            if self._signals >= MAX_SIGNALS:
                return False
            self._signals += 1
        self._loose.append(self._codec.encode(frame))
        return True

    def opened(self, limits: Limits) -> list[Refused]:
        """A session is open under these limits; requests that do not fit them are refused."""
        self.limits = limits
        refused = []
        fitting: deque[Request] = deque()
        for request in self._waiting:
            try:
                self._check_size(request)
                fitting.append(request)
            except FrameTooBig as why:
                refused.append(Refused(request, why))
        self._waiting = fitting
        return refused

    def lost(self) -> list[Request]:
        """The connection is gone: what lasts waits again, before all others and in its order; the
        rest is returned."""
        requests = [*self._inflight.values(), *self._waiting]
        self._inflight.clear()
        self._waiting = deque(r for r in requests if isinstance(r.frame, LASTING))
        self._loose.clear()
        self._signals = 0
        return [r for r in requests if not isinstance(r.frame, LASTING)]

    def answered(self, ref: int, answer: Frame) -> Request | None:
        """The request that this answers; None = it was answered before.

        Raises BadFrame: the answer is of the wrong type for it.
        """
        request = self._inflight.get(ref)
        if request is not None:
            if not isinstance(answer, ANSWERS[type(request.frame)]):
                raise BadFrame(f"{type(answer).__name__} answers {type(request.frame).__name__}")
            del self._inflight[ref]
        return request

    def failed(self, ref: int) -> Request | None:
        """The request that was refused; None where there is none."""
        return self._inflight.pop(ref, None)

    def take(self, most: int) -> bytes | None:
        """The next message, within the server's limits; None = nothing may be sent now."""
        limits = self.limits
        if limits is None:
            return None
        most = min(most, limits.message_bytes)
        frames: list[bytes] = []
        size = 1  # of the array: brackets and a comma between two
        while len(frames) < MAX_FRAMES:
            if self._loose:
                data = self._loose[0]
            elif self._waiting and len(self._inflight) < limits.window:
                data = self._waiting[0].data
            else:
                break
            size += len(data) + 1
            if size > most and frames:
                break
            frames.append(data)
            if self._loose:
                self._loose.popleft()
            else:
                request = self._waiting.popleft()
                self._inflight[request.ref] = request
        if not self._loose:
            self._signals = 0
        return self._codec.join(frames) if frames else None

    def _check_size(self, request: Request) -> None:
        if self.limits is not None and len(request.data) > self.limits.message_bytes:
            raise FrameTooBig(f"{len(request.data)} bytes, limit {self.limits.message_bytes}")
