"""What a device knows of one log: sans-IO, no clock of its own, no task.

The receive rule: an entry with seq == last+1 is applied, a lower one is ignored, a higher one
waits in a buffer. What is still missing after `GRACE_S` is read from the log. So it does not
matter what the connection loses, repeats or reorders: every entry is applied once, in order.

    arrivals ──offer()──> [ window: first … last ]  hole  { buffer }  … head
                                   │                 │
                             messages()          missing() ──read──> merge()
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from hongyan.model.ids import LogId, Seq, UserId
from hongyan.model.log import EDIT, HIDDEN, Entry
from hongyan.wire.frames import Page

GRACE_S = 0.5  # a hole younger than this may still be filled by a frame on its way
KEEP = 500  # entries kept in memory per log
RECALL = "recall"  # the slot whose entry erases its target
NO_AMENDS: Mapping[str, Entry] = {}


class Hole(NamedTuple):
    """Seqs low … high (both inclusive) that exist in the log and have not been seen."""

    low: Seq
    high: Seq


class Cut(msgspec.Struct, frozen=True, gc=False):
    """Entries low … high were passed over, and why.

    - `far`: the hole was larger than what is kept in memory; they are in the log, read them.
    - `floor`: retention, a cleared conversation or a new membership: they cannot be read.
    - `epoch`: the log began anew; seqs before and after are not comparable, `low` is 0.
    """

    low: Seq
    high: Seq
    reason: str


class Message(msgspec.Struct, frozen=True, gc=False):
    """An entry as it stands now. `amends` is the newest entry per slot that changes it:
    edits, reactions, pins … `body` has the newest edit applied, and is `{}` once erased."""

    entry: Entry
    body: msgspec.Raw
    erased: bool = False
    amends: Mapping[str, Entry] = NO_AMENDS


def fold(entry: Entry, amends: Mapping[str, Entry]) -> Message:
    """`entry` with what changes it applied."""
    if RECALL in amends:
        return Message(entry, msgspec.Raw(b"{}"), erased=True, amends=amends)
    body = amends[EDIT].body if EDIT in amends else entry.body
    return Message(entry, body, erased=False, amends=amends)


def fold_page(page: Page) -> list[Message]:
    """The messages of a page that was read for itself (older history), amendments applied."""
    amends: dict[int, dict[str, Entry]] = {}
    for entry in (*page.entries, *page.amends):
        note_amend(amends, entry)
    return [
        fold(entry, amends.get(entry.seq, NO_AMENDS)) for entry in page.entries if not entry.target
    ]


def note_amend(amends: dict[int, dict[str, Entry]], entry: Entry) -> None:
    """Remember `entry` if it changes another one and is the newest of its slot.

    A later one wins by seq, so the order in which they arrive does not matter.
    """
    if not entry.target:
        return
    slots = amends.setdefault(entry.target, {})
    held = slots.get(entry.slot)
    if held is None or held.seq < entry.seq:
        slots[entry.slot] = entry


class Replica:
    """The newest part of one log. Bounded: `keep` entries, and as many waiting behind a hole.

    `first … last` is held without a hole; `head` is the highest seq known to exist. Seqs before
    `floor` cannot be read by this user.
    """

    def __init__(self, log: LogId, *, keep: int = KEEP, last: Seq = Seq(0)) -> None:
        """An empty replica that has applied everything up to `last`."""
        self.log = log
        self.keep = keep
        self.epoch = 0  # 0 = not known yet: the first page tells
        self.floor = Seq(1)
        self.last = last
        self.head = last
        self._window: list[Entry] = []
        self._buffer: dict[int, Entry] = {}
        self._amends: dict[int, dict[str, Entry]] = {}
        self._waiting: float | None = None  # when the hole that is open now was first seen
        self._urgent = False

    def seed(self, entries: Iterable[Entry]) -> None:
        """Begin with cached entries, in order and without a hole; only for an empty replica."""
        entries = list(entries)
        if entries:
            self.last = Seq(entries[0].seq - 1)
            self.offer(entries, 0.0)

    # --- what arrives ---------------------------------------------------------------------------

    def offer(self, entries: Iterable[Entry], now: float) -> list[Entry]:
        """Take what a deliver brought, in any order; return what was applied, in seq order."""
        applied: list[Entry] = []
        for entry in entries:
            seq = entry.seq
            if seq == self.last + 1:
                self._apply(entry, applied)
                self._follow_on(applied)
            elif seq > self.last:
                if len(self._buffer) < self.keep:  # beyond it the entry is read like the hole
                    self._buffer[seq] = entry
                self.head = max(self.head, seq)
        self._follow_on(applied)  # a floor that rose may have closed the hole before the buffer
        self._trim()
        self._note_hole(now)
        return applied

    def hint(self, head: Seq, now: float, *, urgent: bool = False) -> None:
        """The log is known to reach `head`. `urgent`: nothing is on its way (behind)."""
        if head > self.head:
            self.head = head
        self._note_hole(now)
        self._urgent = self.head > self.last and (self._urgent or urgent)

    def merge(self, page: Page, now: float, asked: Seq) -> tuple[list[Entry], Cut | None]:
        """Take a page read after `last`; return what was applied, and what cannot be had.

        `asked` is what `head` was when the read was sent. The page says how far the user may
        read: a head that was hinted at before and that it does not bear out (a member who left)
        is forgotten, a higher one that was hinted at since is not.
        """
        cut = self._align(page.floor, page.epoch, now)
        for entry in page.amends:
            self._amend(entry)
        applied = self.offer(page.entries, now)
        self._confirm(page.head, asked, now)
        return applied, cut

    def restart(self, page: Page, now: float, asked: Seq) -> tuple[list[Entry], Cut | None]:
        """Begin again at the newest page (`before` 0); return what is new, and what was skipped.

        For the first load, and for a hole that is larger than what is kept anyway. `asked` as
        for `merge`.
        """
        cut = self._align(page.floor, page.epoch, now)
        first = page.entries[0].seq if page.entries else Seq(page.head + 1)
        if first > self.last + 1:
            if cut is None and self.last >= self.floor:
                cut = Cut(Seq(self.last + 1), Seq(first - 1), "far")
            self._window.clear()
            self._amends.clear()
            self.last = Seq(first - 1)
            for seq in [seq for seq in self._buffer if seq <= self.last]:
                del self._buffer[seq]
        applied, _ = self.merge(page, now, asked)
        self.older(page)
        return applied, cut

    def older(self, page: Page) -> int:
        """Put the part of `page` that lies before `first` in front, as far as `keep` allows;
        return how many entries that was. 0 also where it does not join without a hole."""
        if page.epoch != self.epoch:
            return 0
        room = self.keep - len(self._window)
        fresh = [e for e in page.entries if self.floor <= e.seq < self.first]
        if not fresh or fresh[-1].seq != self.first - 1 or room <= 0:
            return 0
        fresh = fresh[-room:]
        self._window[:0] = fresh
        for entry in (*fresh, *page.amends, *self._window):
            self._amend(entry)
        return len(fresh)

    def hide(self, seq: Seq) -> None:
        """Deleted for this user alone: show it as a page read now would."""
        if (entry := self.get(seq)) is not None:
            blank = msgspec.structs.replace(entry, type=HIDDEN, body=msgspec.Raw(b"{}"))
            self._window[seq - self.first] = blank

    def reset(self, floor: Seq, epoch: int, now: float) -> Cut | None:
        """The server says: drop it, start at `floor` of `epoch`."""
        if epoch == self.epoch or not self.epoch:
            return self._align(floor, epoch or self.epoch, now)
        cut = Cut(Seq(0), Seq(floor - 1), "epoch")
        self._window.clear()
        self._buffer.clear()
        self._amends.clear()
        self.epoch, self.floor = epoch, floor
        self.last = self.head = Seq(floor - 1)
        self._waiting, self._urgent = None, False
        return cut

    # --- what is missing ------------------------------------------------------------------------

    @property
    def far(self) -> bool:
        """The hole is larger than what is kept: restart at the newest page instead."""
        return self.head - self.last > self.keep

    def due(self) -> float | None:
        """When `missing` will have something to say; None = nothing is missing."""
        if self._waiting is None:
            return None
        return self._waiting if self._urgent else self._waiting + GRACE_S

    def missing(self, now: float) -> list[Hole]:
        """What must be read now: nothing while the grace of the oldest hole runs."""
        due = self.due()
        if due is None or now < due:
            return []
        holes: list[Hole] = []
        low = self.last + 1
        for seq in sorted(self._buffer):
            if seq > low:
                holes.append(Hole(Seq(low), Seq(seq - 1)))
            low = seq + 1
        if low <= self.head:
            holes.append(Hole(Seq(low), self.head))
        return holes

    # --- what is held ---------------------------------------------------------------------------

    @property
    def first(self) -> Seq:
        """The lowest seq held; last+1 when nothing is."""
        return self._window[0].seq if self._window else Seq(self.last + 1)

    def entries(self, after: Seq = Seq(0)) -> list[Entry]:
        """Held entries with seq > `after`, in order."""
        return self._window[max(0, after + 1 - self.first) :]

    def get(self, seq: Seq) -> Entry | None:
        """The entry, if it is held."""
        index = seq - self.first
        return self._window[index] if 0 <= index < len(self._window) else None

    def message(self, seq: Seq) -> Message | None:
        """The entry as it stands now, if it is held."""
        entry = self.get(seq)
        return None if entry is None else fold(entry, self._amends.get(seq, NO_AMENDS))

    def messages(self, after: Seq = Seq(0)) -> list[Message]:
        """Held entries that do not themselves change another one, as they stand now."""
        return [
            fold(entry, self._amends.get(entry.seq, NO_AMENDS))
            for entry in self.entries(after)
            if not entry.target
        ]

    def ord_at(self, seq: Seq) -> int | None:
        """Countable entries up to and including `seq`; None where the window cannot tell."""
        if (entry := self.get(seq)) is not None:
            return entry.ord
        if self._window and seq == self.first - 1:
            return self._window[0].ord - self._window[0].count
        return None if seq else 0

    def unread(self, position: Seq, me: UserId) -> int | None:
        """Countable entries of others above `position` that still stand; None where the window
        does not reach down to it. `position` is the highest of the cursors and floors, and of
        the user's own last message."""
        if position >= self.last:
            return 0
        below = self.ord_at(position)
        if below is None or not self._window or position < self.first - 1:
            return None
        above = self.entries(position)
        gone = sum(e.count and e.sender != me and self._gone(e) for e in above)
        return above[-1].ord - below - gone

    def erased(self, seq: Seq) -> bool:
        """Whether the entry was recalled, as far as is known here."""
        return RECALL in self._amends.get(seq, NO_AMENDS)

    # --- inside ---------------------------------------------------------------------------------

    def _gone(self, entry: Entry) -> bool:
        return entry.type == HIDDEN or self.erased(entry.seq)

    def _follow_on(self, applied: list[Entry]) -> None:
        """Apply what waits right behind `last`."""
        while (nxt := self._buffer.pop(self.last + 1, None)) is not None:
            self._apply(nxt, applied)

    def _apply(self, entry: Entry, applied: list[Entry]) -> None:
        self._window.append(entry)
        self.last = entry.seq
        self.head = max(self.head, entry.seq)
        self._amend(entry)
        applied.append(entry)

    def _amend(self, entry: Entry) -> None:
        if not entry.target:
            return
        note_amend(self._amends, entry)
        if entry.slot == RECALL and (target := self.get(entry.target)) is not None:
            # what was recalled must not stay readable on the device either
            blank = msgspec.structs.replace(target, body=msgspec.Raw(b"{}"))
            self._window[target.seq - self.first] = blank

    def _trim(self) -> None:
        """Forget the oldest. In steps of a quarter, so that it costs O(1) per entry."""
        if len(self._window) <= self.keep + self.keep // 4:
            return
        del self._window[: len(self._window) - self.keep]
        self._forget_amends()

    def _forget_amends(self) -> None:
        first = self.first
        for seq in [seq for seq in self._amends if seq < first]:
            del self._amends[seq]

    def _align(self, floor: Seq, epoch: int, now: float) -> Cut | None:
        """Follow what a page says of floor and epoch."""
        if self.epoch and epoch != self.epoch:
            return self.reset(floor, epoch, now)
        self.epoch = epoch
        if floor <= self.floor:
            return None
        had, self.floor = self.floor, floor
        self._window = [e for e in self._window if e.seq >= floor]
        self._buffer = {seq: e for seq, e in self._buffer.items() if seq >= floor}
        self._forget_amends()
        if floor <= self.last + 1:
            return None
        cut = Cut(Seq(self.last + 1), Seq(floor - 1), "floor") if self.last >= had else None
        self._window.clear()
        self.last = Seq(floor - 1)
        self.head = max(self.head, self.last)
        return cut

    def _confirm(self, head: Seq, asked: Seq, now: float) -> None:
        """The log itself said how far it may be read: drop older hints it does not bear out."""
        if self.head > asked or head > self.last:
            self.head = max(self.head, head)
        else:
            self.head = Seq(max(self.last, max(self._buffer, default=0)))
        self._note_hole(now)

    def _note_hole(self, now: float) -> None:
        if self.head <= self.last:
            self._waiting, self._urgent = None, False
        elif self._waiting is None:
            self._waiting = now
