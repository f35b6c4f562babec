"""How far this device has come, and what of that the server does not have yet.

Pure. Delivered cursors are sent by themselves, merged, without an answer; the session sends a
lost one again. Read cursors are the user's word: they are kept until the server has them.
"""

from __future__ import annotations

from hongyan.model.ids import LogId, Seq
from hongyan.wire.frames import Cursor

PAUSE_S = 0.6  # between two delivered cursors of one log
MOST = 128  # cursors sent at once; the rest follows after the next pause


class Reading:
    """A read cursor that the server has not confirmed. `sent`: it is under way."""

    __slots__ = ("mark", "not_before", "sent", "seq")

    def __init__(self, seq: Seq, mark: int) -> None:
        """Read up to `seq`; `mark` = version of the "mark unread" flag that was seen."""
        self.seq, self.mark, self.sent = seq, mark, False
        self.not_before = 0.0


class Cursors:
    """Own cursors, merged by max."""

    def __init__(self) -> None:
        """Nothing to say yet."""
        self._delivered: dict[LogId, Seq] = {}
        self._said: dict[LogId, Seq] = {}  # handed to the session
        self._next = 0.0
        self.reads: dict[LogId, Reading] = {}

    # --- delivered ------------------------------------------------------------------------------

    def deliver(self, log: LogId, seq: Seq, known: Seq = Seq(0)) -> None:
        """This device has everything up to `seq`; the server knows of `known`."""
        if seq > max(known, self._said.get(log, 0), self._delivered.get(log, 0)):
            self._delivered[log] = seq

    def due(self) -> float | None:
        """When `take` will have delivered cursors; None = nothing to say."""
        return self._next if self._delivered else None

    def take(self, now: float) -> list[Cursor]:
        """Delivered cursors to send now; none before the pause is over."""
        if not self._delivered or now < self._next:
            return []
        self._next = now + PAUSE_S
        logs = list(self._delivered)[:MOST]
        taken = [(log, self._delivered.pop(log)) for log in logs]
        self._said.update(taken)
        return [Cursor(log=log, delivered=seq) for log, seq in taken]

    # --- read -----------------------------------------------------------------------------------

    def read(self, log: LogId, seq: Seq, mark: int) -> bool:
        """The user has read up to `seq`; whether that is news."""
        held = self.reads.get(log)
        if held is None:
            self.reads[log] = Reading(seq, mark)
        elif seq > held.seq or mark > held.mark:
            held.seq, held.mark = max(seq, held.seq), max(mark, held.mark)
        else:
            return False
        return True

    def take_reads(self, now: float, most: int) -> list[Cursor]:
        """Read cursors to send now (give them a ref), one at a time per log."""
        taken: list[Cursor] = []
        for log, held in self.reads.items():
            if len(taken) >= most:
                break
            if not held.sent and held.not_before <= now:
                held.sent = True
                taken.append(Cursor(log=log, read=held.seq, mark=held.mark))
        return taken

    def reads_due(self) -> float | None:
        """When `take_reads` will have something; None = nothing."""
        return min((r.not_before for r in self.reads.values() if not r.sent), default=None)

    def confirmed(self, cursor: Cursor) -> bool:
        """The server has this read cursor; whether there is nothing newer to send."""
        held = self.reads.get(cursor.log)
        if held is None:
            return True
        if held.seq <= cursor.read and held.mark <= cursor.mark:
            del self.reads[cursor.log]
            return True
        held.sent = False
        return False

    def later(self, log: LogId, not_before: float) -> None:
        """The server could not take it now."""
        if (held := self.reads.get(log)) is not None:
            held.sent, held.not_before = False, not_before

    def drop(self, log: LogId) -> None:
        """The server will never take it (no member any more)."""
        self.reads.pop(log, None)
