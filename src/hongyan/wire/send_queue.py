"""What waits for one slow connection: bounded, in order, and honest about what it drops.

*Kept* frames (answers, and what is said once) are bounded by what the client may ask for.
*Droppable* ones (deliveries, signals, cursors, rows) are bounded by bytes and frames; when they
are over it, they are all dropped, and in their place stand the frames that tell of it: `behind`
with the highest dropped seq of each log, `gap` with how many items of each live log, and an empty
`inbox` with `more` where other things were lost. Until those have been sent, further deliveries
of a log that is behind are folded into its `behind`: the client must read the log anyway.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import msgspec

from hongyan.model.ids import LogId, Seq
from hongyan.model.live import GAP_SLOW
from hongyan.wire.codec import Codec
from hongyan.wire.frames import Behind, Frame, Gap, Inbox, InboxPage

# Why a kept frame is kept; the session counts what waits by it.
SAID, ANSWER, FAIL, PONG, MARK = range(5)


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """An encoded frame shared by all sessions of a codec: entries of `log` up to `seq`.

    `seq` 0: no entries but a signal or cursors that many get.
    """

    log: LogId
    seq: Seq
    data: bytes


class Batch(msgspec.Struct, frozen=True, gc=False):
    """What a live log sends in one tick, as a whole message, shared by all viewers alike. Of its
    items `shown` are in it and counted, `left` were sampled out and `shed` let go: gaps in it
    tell of those."""

    log: LogId
    shown: int
    left: int
    shed: int
    data: bytes
    seq: Seq = Seq(0)  # of the last entry in it, 0 = none: a dropped one is told by `behind`

    @property
    def n(self) -> int:
        """How many items it accounts for: when it is dropped, its gaps go with it."""
        return self.shown + self.left + self.shed


class _Kept(msgspec.Struct, frozen=True, gc=False):
    data: bytes
    why: int


class _Note(msgspec.Struct, frozen=True, gc=False):
    """Droppable, for this session only; `missed`: the client must be told that it is gone."""

    data: bytes
    missed: bool


_HERE = _Kept(b"", MARK)  # the place in the queue where losses are to be told


class SendQueue:
    """See the module. `held[why]` counts the kept frames that wait; `frames`, all that waits, is
    public so that the hottest loop may see that nothing does."""

    __slots__ = (
        "_behind",
        "_codec",
        "_count",
        "_gaps",
        "_kept",
        "_load",
        "_most_bytes",
        "_most_frames",
        "_overflowed",
        "_stale",
        "frames",
        "held",
        "lost",
        "overflows",
    )

    def __init__(
        self,
        codec: Codec,
        most_bytes: int,
        most_frames: int,
        overflowed: Callable[[], None] | None = None,
    ) -> None:
        """Droppable frames wait up to `most_bytes` (and one frame over) and `most_frames`;
        `overflowed` is told each time that they are dropped."""
        self._overflowed = overflowed
        self.held = [0] * 5
        self._codec = codec
        self._most_bytes, self._most_frames = most_bytes, most_frames
        self.frames: deque[Outgoing | Batch | _Note | _Kept] = deque()
        self._load = self._count = 0  # droppable bytes and frames in it
        self._kept = 0  # bytes of the others
        self._behind: dict[LogId, Seq] = {}  # dropped, not told yet
        self._gaps: dict[LogId, int] = {}  # live items dropped, not told yet
        self._stale = False  # other things were dropped, not told yet
        self.lost = 0  # live items that were dropped
        self.overflows = 0  # how often all that is droppable was dropped

    def detach(self) -> None:
        """Tell nobody any more when frames are dropped."""
        self._overflowed = None

    @property
    def pending(self) -> int:
        """Bytes that wait; 0 = `take` has nothing."""
        return self._load + self._kept + self.held[MARK]

    @property
    def behind(self) -> int:
        """Logs of which entries were dropped, which the client was not told yet."""
        return len(self._behind)

    def push(self, item: Outgoing) -> None:
        """Queue entries, or note that the client is behind. Hot: runs for every delivery;
        nothing is allocated, the item is the one that all sessions share."""
        if self._behind and (head := self._behind.get(item.log)) is not None:
            self._fold(item, head)
        elif self._load >= self._most_bytes or self._count >= self._most_frames:
            self._overflow(item)
        else:
            self._load += len(item.data)
            self._count += 1
            self.frames.append(item)

    def batch(self, item: Batch) -> None:
        """Queue a live log's tick, or drop it and all else that may be. Hot like `push`."""
        if self._load >= self._most_bytes or self._count >= self._most_frames:
            self._overflow(item)
        else:
            self._load += len(item.data)
            self._count += 1
            self.frames.append(item)

    def note(self, data: bytes, *, missed: bool) -> None:
        """Queue an encoded frame that may be dropped; `missed`: not without telling."""
        if self._load < self._most_bytes and self._count < self._most_frames:
            self.frames.append(_Note(data, missed))
            self._load += len(data)
            self._count += 1
        elif missed:
            self._missed()

    def keep(self, frame: Frame, why: int, *, first: bool = False) -> None:
        """Queue a frame that is never dropped; `first`: before all that waits."""
        kept = _Kept(self._codec.encode(frame), why)
        if first:
            self.frames.appendleft(kept)
        else:
            self.frames.append(kept)
        self._kept += len(kept.data)
        self.held[why] += 1

    def mark(self, log: LogId, head: Seq) -> None:
        """Tell, when all that waits now has been taken, that `log` is behind up to `head`."""
        self._behind[log] = max(head, self._behind.get(log, head))
        self._place()

    def take(self, most: int) -> bytes | None:
        """One message of the frames that wait, in order: as many as fit in `most` bytes, at least
        one; None when nothing waits."""
        queue = self.frames
        frames: list[bytes] = []
        size = 1  # of the array: brackets and a comma between two
        while queue:
            item = queue[0]
            if item is _HERE:
                self._tell()
                continue
            data = item.data
            if item.__class__ is Batch:  # a message by itself
                if frames:
                    break
                queue.popleft()
                self._load -= len(data)
                self._count -= 1
                return data
            size += len(data) + 1
            if size > most and frames:
                break
            queue.popleft()
            frames.append(data)
            if isinstance(item, _Kept):
                self._kept -= len(data)
                self.held[item.why] -= 1
            else:
                self._load -= len(data)
                self._count -= 1
        return self._codec.join(frames) if frames else None

    def take_kept(self) -> bytes | None:
        """A message of the first frame that waits where it is a kept one; else None."""
        queue = self.frames
        if not queue or not isinstance(queue[0], _Kept) or queue[0] is _HERE:
            return None
        item = queue.popleft()
        assert isinstance(item, _Kept)
        self._kept -= len(item.data)
        self.held[item.why] -= 1
        return item.data

    def _overflow(self, last: Outgoing | Batch) -> None:
        """Drop all that may be dropped, with `last`, and remember what the client must be told."""
        self.overflows += 1
        if self._overflowed is not None:
            self._overflowed()
        dropped = [item for item in self.frames if not isinstance(item, _Kept)]
        self.frames = deque(item for item in self.frames if isinstance(item, _Kept))
        self._load = self._count = 0
        for item in (*dropped, last):
            if isinstance(item, _Note):
                if item.missed:
                    self._missed()
            elif isinstance(item, Batch):
                self._gaps[item.log] = self._gaps.get(item.log, 0) + item.n
                if item.seq:
                    self._behind[item.log] = max(item.seq, self._behind.get(item.log, item.seq))
                self.lost += item.n
                self._place()
            elif item.seq:
                self.mark(item.log, item.seq)
            else:
                self._missed()

    def _fold(self, item: Outgoing, head: Seq) -> None:
        if item.seq > head:
            self._behind[item.log] = item.seq
        elif not item.seq:
            self._missed()

    def _missed(self) -> None:
        self._stale = True
        self._place()

    def _place(self) -> None:
        """Put the mark behind what waits now, once."""
        if not self.held[MARK]:
            self.held[MARK] = 1
            self.frames.append(_HERE)

    def _tell(self) -> None:
        """The queue has drained to the mark: put the frames in its place that tell of the loss."""
        self.frames.popleft()
        self.held[MARK] = 0
        notes: list[Frame] = [Behind(log, head) for log, head in self._behind.items()]
        notes += [Gap(log, n, GAP_SLOW) for log, n in self._gaps.items() if n]
        if self._stale:
            notes.append(Inbox(InboxPage([], 0, more=True)))
        self._behind.clear()
        self._gaps.clear()
        self._stale = False
        for note in reversed(notes):
            self.keep(note, SAID, first=True)
