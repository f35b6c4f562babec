"""picows, one frame at a time.

picows parses a frame ahead: with a fault in the next one it drops the good one before it and
answers by itself, and a second close frame spoils the answer to the first. So here the bytes of
a read are given to it frame by frame, and the first bytes of each are judged before. What it
gets is well formed. Most reads hold just one frame; these are told by their first bytes.
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
            self._one_by_one(bytes(room[:nbytes]))

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

    def _one_by_one(self, data: bytes) -> None:
        """Give `data`, which already stands in picows' buffer, up to the end of each frame."""
        at, in_place = 0, True
        while at < len(data) and not self.transport.underlying_transport.is_closing():
            if not self._left:
                start = self._head + data[at : at + ws.LONGEST_HEAD]
                try:
                    size = ws.frame_size(start, self._most)
                except ws.Violation as why:
                    self._fault(why)
                    return
                if size is None:  # so `start` ends where the data ends
                    self._left, self._head = len(data) - at, start
                else:
                    self._left, self._head = size - len(self._head), b""
                    missing = at + self._left - len(data)
                    if missing > 0 and not self._begins_well(start, size - missing, data):
                        return
            end = min(at + self._left, len(data))
            self._left -= end - at
            if not self._left:
                self._ahead = None  # an idle connection keeps nothing
            self._give(data[at:end], in_place)
            at, in_place = end, False

    def _give(self, piece: bytes, in_place: bool) -> None:
        """Let picows read `piece`; what came first in a read is where it has to be."""
        if in_place:
            super().buffer_updated(len(piece))
            return
        while piece:
            room = super().get_buffer(-1)
            size = min(len(room), len(piece))
            room[:size] = piece[:size]
            super().buffer_updated(size)
            piece = piece[size:]

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
