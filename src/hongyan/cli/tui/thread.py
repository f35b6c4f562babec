"""What one opened conversation shows: messages as they stand, and what is on its way. Pure.

older pages ──older()──> [ messages by seq ] <──apply()── entries, in order
composer ────draft()───> [ drafts by op    ] ──an entry of that op──> gone
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from hongyan.client import Cut, Message, Replica, fold, fold_page
from hongyan.client.replica import NO_AMENDS
from hongyan.model.ids import LogId, OpId, Seq, UserId
from hongyan.model.log import HIDDEN, Entry
from hongyan.wire.frames import Page

MOST = 3_000  # messages kept; beyond it, while the newest are shown, the oldest go
LEAST = 500

SENDING, STORED, FAILED = "sending", "stored", "failed"


class Draft(msgspec.Struct, gc=False):
    """A message of this device that is not in the log yet, as far as is known here."""

    op: OpId
    text: str
    at: int  # ms, this machine's clock
    reply_to: Seq = Seq(0)
    state: str = SENDING
    why: str = ""  # of a failed one


class Thread:
    """The messages of one conversation from `first` on, and this device's drafts."""

    def __init__(self, log: LogId, me: UserId) -> None:
        """Nothing is known yet."""
        self.log, self.me = log, me
        self.more = True  # there may be older ones
        self.drafts: dict[OpId, Draft] = {}
        self.version = 0  # grows with every change
        self.last = Seq(0)  # highest seq applied, of any entry
        self.divider = Seq(0)  # the first unread message when it was opened; 0 = none
        self._first = Seq(0)  # lowest seq loaded, of any entry; 0 = nothing is
        self._floor = Seq(1)
        self._messages: dict[Seq, Message] = {}  # in rising seq

    # --- from the log ---------------------------------------------------------------------------

    def load(self, replica: Replica) -> None:
        """Begin again with what the replica holds."""
        self._messages = {m.entry.seq: m for m in replica.messages()}
        self._first, self.last, self._floor = replica.first, replica.last, replica.floor
        self.more = self._first > self._floor
        for message in self._messages.values():
            self._settle(message.entry)
        self.version += 1

    def apply(self, entries: Iterable[Entry]) -> list[Message]:
        """Entries follow; return the new messages of others among them."""
        fresh: list[Message] = []
        for entry in entries:
            if entry.seq <= self.last:
                continue
            self.last = entry.seq
            self._first = self._first or entry.seq
            if entry.target:
                self._amend(entry)
                continue
            message = self._messages[entry.seq] = fold(entry, NO_AMENDS)
            self._settle(entry)
            if entry.count and entry.sender != self.me:
                fresh.append(message)
        self.version += 1
        return fresh

    def older(self, page: Page) -> int:
        """Put an older page in front; return how many messages that were."""
        fresh = {m.entry.seq: m for m in fold_page(page) if m.entry.seq < self._first}
        self._messages = fresh | self._messages
        if page.entries:
            self._first = Seq(min(self._first, page.entries[0].seq))
        self._floor = page.floor
        self.more = bool(page.entries) and self._first > self._floor
        self.version += 1
        return len(fresh)

    def cut(self, cut: Cut, replica: Replica | None) -> None:
        """The replica passed entries over: show what it has now."""
        del cut  # whatever the reason, what is held no longer joins what comes
        if replica is not None:
            self.load(replica)

    def trim(self) -> None:
        """Forget the oldest where there are very many; they can be loaded again."""
        if len(self._messages) <= MOST:
            return
        keep = list(self._messages)[-LEAST:]
        self._messages = {seq: self._messages[seq] for seq in keep}
        self._first, self.more = keep[0], True
        self.version += 1

    # --- drafts ---------------------------------------------------------------------------------

    def draft(self, draft: Draft) -> None:
        """A message goes out."""
        self.drafts[draft.op] = draft
        self.version += 1

    def stored(self, op: OpId, seq: Seq = Seq(0)) -> None:
        """The server has it on disk; the entry itself follows."""
        draft = self.drafts.get(op)
        if draft is None:
            return
        if 0 < seq <= self.last:  # it was here before its ack, as entry
            del self.drafts[op]
        else:
            draft.state = STORED
        self.version += 1

    def failed(self, op: OpId, why: str) -> Draft | None:
        """It was refused for good."""
        if (draft := self.drafts.get(op)) is not None:
            draft.state, draft.why = FAILED, why
            self.version += 1
        return draft

    def dismiss(self) -> int:
        """Forget the drafts that failed; return how many."""
        gone = [op for op, draft in self.drafts.items() if draft.state == FAILED]
        for op in gone:
            del self.drafts[op]
        self.version += bool(gone)
        return len(gone)

    # --- what is here ---------------------------------------------------------------------------

    @property
    def first(self) -> Seq:
        """The lowest seq loaded; 0 = nothing is."""
        return self._first

    def __iter__(self) -> Iterator[Message]:
        """The messages in order, without those hidden from this user."""
        return (m for m in self._messages.values() if m.entry.type != HIDDEN)

    def __len__(self) -> int:
        """How many messages are loaded."""
        return len(self._messages)

    def get(self, seq: Seq) -> Message | None:
        """The message, if it is loaded."""
        return self._messages.get(seq)

    def newest(self, *, mine: bool | None = None) -> Message | None:
        """The newest message that a person wrote and that stands: own ones, those of others, or
        any."""
        for message in reversed(self._messages.values()):
            entry = message.entry
            if not entry.count or message.erased or entry.type == HIDDEN:
                continue
            if mine is None or mine == (entry.sender == self.me):
                return message
        return None

    def mark_unread(self, read: Seq) -> None:
        """Remember where the unread part begins; nowhere, where that is not loaded."""
        if self.more and self._first > read + 1:
            self.divider = Seq(0)
            return
        self.divider = next(
            (
                m.entry.seq
                for m in self
                if m.entry.seq > read and m.entry.count and m.entry.sender != self.me
            ),
            Seq(0),
        )
        self.version += 1

    # --- inside ---------------------------------------------------------------------------------

    def _amend(self, entry: Entry) -> None:
        held = self._messages.get(entry.target)
        if held is None:
            return  # not loaded: the page that brings it brings this too
        newest = held.amends.get(entry.slot)
        if newest is None or newest.seq < entry.seq:
            self._messages[entry.target] = fold(held.entry, {**held.amends, entry.slot: entry})

    def _settle(self, entry: Entry) -> None:
        if entry.op and entry.sender == self.me:
            self.drafts.pop(entry.op, None)


def body_of(message: Message) -> dict[str, Any]:
    """The body as plain data; {} once recalled."""
    found = msgspec.json.decode(message.body)
    return found if isinstance(found, dict) else {}


def reactions(message: Message) -> dict[str, list[UserId]]:
    """Who put which emoji, each in the order of time."""
    found: dict[str, list[UserId]] = {}
    for slot, entry in sorted(message.amends.items(), key=lambda item: item[1].seq):
        if slot.startswith("react:"):
            body = msgspec.json.decode(entry.body)
            if body.get("on", True):
                found.setdefault(str(body.get("emoji", "?")), []).append(entry.sender)
    return found


def pinned(message: Message) -> bool:
    """Whether it is pinned for all."""
    entry = message.amends.get("pin")
    return entry is not None and bool(msgspec.json.decode(entry.body).get("on", False))
