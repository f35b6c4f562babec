"""picows, given no frame that it would refuse.

picows parses a frame ahead: with a fault in the next one it drops the good one before it and
answers by itself, and a second close frame spoils the answer to the first. So here the first
bytes of each frame are judged before, and what comes before a fault or a close is given first.
What picows gets is well formed. Most reads hold just one frame; these are told at a glance.
"""

from __future__ import annotations

from typing import Any, Protocol

import structlog
from picows.picows import WSProtocol  # type: ignore[attr-defined]  # not public, see ADR 0030

from hongyan.transport import messages as ws

log = structlog.get_logger(__name__)

THROWN = 1024 * 1024  # bytes read and thrown away after a fault, until the peer is gone
_USUAL = frozenset({0x80 | kind for kind in (ws.TEXT, ws.BINARY, ws.PING, ws.PONG)})


class Owner(Protocol):
    """Whose connection it is."""

    def fail(self, code: int, reason: str) -> None:
        """The peer sent a frame that may not be; nothing after it will be given."""
        ...

    def ahead(self, start: bytes) -> ws.TextAhead | None:
        """What judges the frame that begins with `start`, of which the end has not come."""
        ...


class Framewise(WSProtocol):  # type: ignore[misc]  # picows gives no types for it
    """A server's protocol; `owner.fail` is called at most once."""

    __slots__ = ("_ahead", "_head", "_left", "_most", "_owner", "_room", "_thrown")

    def __init__(self, owner: Owner, most: int, before: int, *args: Any) -> None:
        """`most` bytes have a payload; `before` the first frame so many bytes of a request come.

        `args` are picows' own.
        """
        super().__init__(*args)
        self._owner = owner
        self._most = most
        self._left = before  # bytes of the frame that is being read, which are still to come
        self._head = b""  # the beginning of a frame that did not say its size yet
        self._ahead: ws.TextAhead | None = None  # of the frame that is being read
        self._room: memoryview | None = None  # what is being read into
        self._thrown = -1  # counts, once there was a fault

    def get_buffer(self, size_hint: int) -> memoryview:
        """Room for the next read."""
        room: memoryview = super().get_buffer(size_hint)
        self._room = room
        return room

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes were read into what `get_buffer` gave."""
        room, self._room = self._room, None
        assert room is not None
        if self._thrown >= 0:
            self._throw(nbytes)
        elif self._left > nbytes:  # the middle of a long frame
            if self._ahead is None or self._may_be(self._ahead, bytes(room[:nbytes])):
                self._left -= nbytes
                super().buffer_updated(nbytes)
        elif not self._left and not self._head and self._is_one(room, nbytes):
            super().buffer_updated(nbytes)
        else:
            self._read(bytes(room[:nbytes]))

    def _is_one(self, room: memoryview, nbytes: int) -> bool:
        """hot: whether this read is one whole message or control frame, of less than 64 KiB."""
        if nbytes < 6 or room[0] not in _USUAL:
            return False
        if nbytes <= 131:
            size = nbytes - 6
            return room[1] == 0x80 + size and size <= self._most
        size = nbytes - 8
        fits = room[1] == 0xFE and 126 <= size <= self._most and room[2] << 8 | room[3] == size
        return fits and room[0] < 0x80 | ws.CLOSE  # a control frame is never that long

    def _read(self, data: bytes) -> None:
        """Give `data`, which already stands in picows' buffer, in as few pieces as may be.

        A piece ends before a fault, and before and after a close frame: what is good goes first.
        """
        at = given = 0  # of `data`: judged, and in picows' hands
        if self._left:
            at, self._left, self._ahead = self._left, 0, None  # an idle connection keeps nothing
            given = self._give(data, 0, at)
        while given >= 0 and at < len(data):
            at, given = self._frame(data, self._short(data, at), given)
        if given >= 0:
            self._give(data, given, len(data))

    def _short(self, data: bytes, at: int) -> int:
        """hot: pass over short whole frames from `at` on, which cannot be wrong."""
        size, most = len(data), self._most
        while not self._head and at + 6 <= size and data[at] in _USUAL:
            end = at + 6 + data[at + 1] - 0x80
            if not at + 6 <= end <= min(size, at + 131, at + 6 + most):
                break
            at = end
        return at

    def _frame(self, data: bytes, at: int, given: int) -> tuple[int, int]:
        """Judge the frame at `at`; where to go on, and what is given. Given < 0: nowhere."""
        start = self._head + data[at : at + ws.LONGEST_HEAD]
        try:
            size = ws.frame_size(start, self._most)
        except ws.Violation as why:
            if self._give(data, given, at) >= 0:
                self._fault(why)
            return at, -1
        if size is None:  # so `start` ends where the data ends
            self._head = start
            return len(data), given
        end, self._head = at + size - len(self._head), b""
        if end > len(data):
            self._left = end - len(data)
            given = self._give(data, given, at)  # `ahead` goes on from what was before
            if given >= 0 and not self._begins_well(start, size - self._left, data):
                given = -1
        elif start[0] & 0xF == ws.CLOSE:
            given = self._give(data, given, at)
            given = given if given < 0 else self._give(data, given, end)
        return end, given

    def _give(self, data: bytes, start: int, end: int) -> int:
        """Let picows read a piece; return `end`, or -1 when the connection is over.

        What came first in a read is where picows wants it; the rest is put there.
        """
        if start == 0 < end:
            super().buffer_updated(end)
            start = end
        while start < end:
            room = super().get_buffer(-1)
            size = min(len(room), end - start)
            room[:size] = data[start : start + size]
            super().buffer_updated(size)
            start += size
        return -1 if self.transport.underlying_transport.is_closing() else end

    def _begins_well(self, start: bytes, come: int, data: bytes) -> bool:
        """Judge a frame of which the first `come` bytes are there, the last of them in `data`."""
        self._ahead = self._owner.ahead(start)
        if self._ahead is None:
            return True
        payload = come - ws.head_size(start)
        return self._may_be(self._ahead, data[len(data) - payload :])

    def _may_be(self, ahead: ws.TextAhead, masked: bytes) -> bool:
        """Whether these can be the next bytes of a text."""
        try:
            ahead.read(masked)
        except ws.Violation as why:
            self._fault(why)
            return False
        return True

    def _fault(self, why: ws.Violation) -> None:
        """Say so; nothing more is given to picows."""
        self._thrown = 0
        self._owner.fail(why.code, why.reason)

    def _throw(self, nbytes: int) -> None:
        """Nothing that comes after a fault can be trusted."""
        self._thrown += nbytes
        if self._thrown > THROWN:
            self.transport.disconnect(False)


class _Quiet:
    """The logger picows gets: what a peer does wrong is not an error of the server.

    Not a logging.Logger, of which picows makes a child per connection (and keeps it there).
    """

    def isEnabledFor(self, level: int) -> bool:
        return False

    def debug(self, *args: object) -> None: ...

    info = warning = error = log = debug

    def exception(self, text: str, *args: object) -> None:
        log.exception(text, *args)


QUIET = _Quiet()
