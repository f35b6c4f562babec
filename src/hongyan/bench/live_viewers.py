"""Viewers of a live room: each keeps the account of what it was given and what it was told.

All viewers of a class are sent the same bytes, so a message is taken apart once, however many get
it: `Digests` remembers what is in it by its bytes.
"""

# size: a viewer and the crowd it belongs to share every counter

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import msgspec

from hongyan.bench.crowd import Client, Crowd, server_frames
from hongyan.model.ids import DeviceId, LogId, Seq
from hongyan.wire import frames as f

MOST_KNOWN = 256  # messages remembered; a tick makes a handful
SAY, LIKE, GIFT, OTHER = range(4)  # what a call is: the last two bits of its ref
MOST_TRIES = 30
PONG = b'{"t":"pong"'

encode = msgspec.json.Encoder().encode
_now = time.perf_counter


class _Item(msgspec.Struct, gc=False):
    off: int
    op: str = ""


class _Entry(msgspec.Struct, gc=False):
    seq: int
    op: str = ""
    type: str = ""


class Seen(msgspec.Struct, gc=False):
    """What a viewer looks at of any frame."""

    t: str
    ref: int = 0
    seq: int = 0
    off: int = 0
    epoch: int = 0
    head: int = 0
    missed: int = 0
    n: int = 0
    prev: int = 0
    code: int = 0
    text: str = ""
    reason: str = ""
    retry: bool = False
    more: bool = False
    repeat: bool = False
    retry_after_ms: int = 0
    reconnect_after_ms: int = 0
    heartbeat_ms: int = 0
    log: str = ""
    items: list[_Item] = []
    entries: list[_Entry] = []
    values: list[tuple[str, int, msgspec.Raw]] = []


_one = msgspec.json.Decoder(Seen).decode
_many = msgspec.json.Decoder(list[Seen]).decode


def seen(payload: bytes) -> list[Seen]:
    """The frames of a message."""
    return _many(payload) if payload[:1] == b"[" else [_one(payload)]


class Digest(msgspec.Struct, gc=False):
    """What a message of a live log says, for whoever gets it."""

    items: int = 0
    gaps: dict[str, int] = {}
    missing: int = 0  # the sum of the gaps
    first: int = 0  # offsets
    last: int = 0
    seqs: tuple[int, ...] = ()  # of entries
    gifts: int = 0
    behind: int = 0
    likes: int = -1
    ops: list[str] = []  # of items and gifts

    @property
    def simple(self) -> bool:
        """Whether it has nothing but items and what was left out of them."""
        return not self.seqs and not self.behind and self.likes < 0


PASSING = {"live", "gap", "values", "deliver", "behind"}


def digest(frames: list[Seen]) -> Digest:
    """What these frames, all of them PASSING, say together."""
    gaps: dict[str, int] = {}
    offs: list[int] = []
    ops: list[str] = []
    seqs: list[int] = []
    gifts = behind = 0
    likes = -1
    for frame in frames:
        if frame.t == "live":
            offs += [item.off for item in frame.items if item.off]
            ops += [item.op for item in frame.items if item.op]
        elif frame.t == "gap":
            gaps[frame.reason] = gaps.get(frame.reason, 0) + frame.n
        elif frame.t == "deliver":
            seqs += [entry.seq for entry in frame.entries]
            given = [entry.op for entry in frame.entries if entry.type == "gift"]
            gifts += len(given)
            ops += given
        elif frame.t == "behind":
            behind = max(behind, frame.head)
        for key, _, value in frame.values:
            if key == "likes":
                likes = int(bytes(value))
    return Digest(
        items=len(offs),
        gaps=gaps,
        missing=sum(gaps.values()),
        first=min(offs, default=0),
        last=max(offs, default=0),
        seqs=tuple(seqs),
        gifts=gifts,
        behind=behind,
        likes=likes,
        ops=ops,
    )


class Desk(Protocol):
    """What viewers need of the run."""

    log: str
    known: dict[bytes, Digest]
    heartbeat_s: float
    rate: int  # items a second that viewers ask for

    def token(self, user: str) -> str:
        """A token for a user."""
        ...

    def attached(self, viewer: Viewer) -> None:
        """A viewer is in the room."""
        ...

    def acked(self, frame: Seen) -> None:
        """A call was done."""
        ...

    def failed(self, frame: Seen) -> None:
        """A call was refused."""
        ...

    def parted(self, frame: Seen) -> None:
        """The server said goodbye."""
        ...

    def lost(self, viewer: Viewer, after_s: float) -> None:
        """A viewer's connection is gone; it may come back after so long."""
        ...

    def timed(self, ops: list[str], now: float) -> None:
        """A viewer with a clock got these."""
        ...


class Viewer(Client):
    """One viewer and its account: `base` + `got` + `missing` is where it is in the room."""

    __slots__ = (
        "base",
        "batches",
        "behind",
        "clocked",
        "come_back_s",
        "desk",
        "disorder",
        "duplicates",
        "epoch",
        "gaps",
        "gifts",
        "got",
        "have",
        "inside",
        "last",
        "likes",
        "missing",
        "seq",
        "told",
        "tries",
        "user",
    )

    rate: int | None = None  # items a second that it asks for; None = as the desk says

    def __init__(self, crowd: Crowd, number: int, desk: Desk, user: str) -> None:
        """Of the desk's room."""
        super().__init__(crowd, number)
        self.desk, self.user = desk, user
        self.inside = self.clocked = False
        self.epoch = self.base = self.got = self.missing = self.batches = 0
        self.last = self.disorder = self.duplicates = self.tries = 0
        self.seq = self.behind = self.gifts = 0
        self.likes = -1
        self.gaps: dict[str, int] | None = None  # by reason, but for sampled: that is the rest
        self.have: set[int] | None = None  # entries beyond the first hole
        self.told = 0  # times that it was told to be behind
        self.come_back_s = 0.5

    @property
    def place(self) -> int:
        """The offset up to which everything is accounted for."""
        return self.base + self.got + self.missing

    # --- coming in ------------------------------------------------------------------------------

    def begin(self) -> None:
        """Say hello."""
        token = self.desk.token(self.user)
        self.send(encode(f.Hello(token=token, device=DeviceId("tv"), cls="web", rows=1)))

    def subscribe(self) -> None:
        """Ask to be let in, from where it was."""
        log = LogId(self.desk.log)
        ref = 1 << 40 | OTHER
        rate = self.desk.rate if self.rate is None else self.rate
        self.send(encode(f.Subscribe(ref, log, rate, self.epoch, self.place)))

    def attached(self, frame: Seen) -> None:
        """It is in; what it missed on the way is a gap too."""
        if self.epoch == frame.epoch:
            self.got += len(frame.items)
            self.gap("missed", frame.missed)
            if frame.head > self.seq:  # what was committed meanwhile: read it
                self.behind = max(self.behind, frame.head)
        else:
            self.epoch, self.base, self.seq = frame.epoch, frame.off, frame.head
        self.last = frame.off
        for key, _, value in frame.values:
            if key == "likes":
                self.likes = int(bytes(value))
        self.inside, self.tries = True, 0
        self.desk.attached(self)

    def lost(self) -> None:
        """Come back, unless it was too often."""
        self.tries += 1
        self.desk.lost(self, self.come_back_s)
        self.inside = False

    def gap(self, reason: str, n: int) -> None:
        """Items that it will not get."""
        self.missing += n
        if n:
            gaps = self.gaps = self.gaps or {}
            gaps[reason] = gaps.get(reason, 0) + n

    # --- what comes -----------------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        """Bytes as they came: mostly one message that others got before."""
        if not self.rest:
            found = self.desk.known.get(data)
            if found is not None:
                self.take(found)
                return
        whole = not self.rest
        frames, self.rest = server_frames(self.rest + data if self.rest else data)
        for kind, payload in frames:
            if kind == 1:
                found = self._text(payload)
                if found is not None and whole and len(frames) == 1 and not self.rest:
                    self._remember(data, found)
            elif kind == 8:
                self.crowd.drop(self)
                return

    def _remember(self, data: bytes, found: Digest) -> None:
        known = self.desk.known
        if len(known) >= MOST_KNOWN:
            known.clear()
        known[data] = found

    def _text(self, payload: bytes) -> Digest | None:
        """Take a message; the digest where it may be remembered."""
        if payload.startswith(PONG):
            return None
        found = self.desk.known.get(payload)
        if found is None:
            frames = seen(payload)
            passing = [frame for frame in frames if frame.t in PASSING]
            for frame in frames:
                if frame.t not in PASSING:
                    self.frame(frame)
            if not passing:
                return None
            found = digest(passing)
            if len(passing) < len(frames):
                self.take(found)
                return None
            self._remember(payload, found)
        self.take(found)
        return found

    def take(self, found: Digest) -> None:
        """Enter a message into the account. Hot: runs for every viewer and tick."""
        self.batches += 1
        self.got += found.items
        self.missing += found.missing
        if found.items:
            if found.first <= self.last:
                self.disorder += 1
            self.last = found.last
        if found.missing and (len(found.gaps) > 1 or "sampled" not in found.gaps):
            self._reasons(found)
        if self.clocked:
            self.desk.timed(found.ops, _now())
        if not found.simple:
            self._more(found)

    def _reasons(self, found: Digest) -> None:
        gaps = self.gaps = self.gaps or {}
        for reason, n in found.gaps.items():
            if reason != "sampled":
                gaps[reason] = gaps.get(reason, 0) + n

    def _more(self, found: Digest) -> None:
        if found.likes >= 0:
            self.likes = found.likes
        if found.behind:
            self.told += 1
            self.behind = max(self.behind, found.behind)
        if found.seqs:
            self.gifts += found.gifts
            self.entries(found.seqs)

    def entries(self, seqs: tuple[int, ...]) -> None:
        """Durable entries: in order without a hole, or kept until the hole is filled."""
        if seqs[0] == self.seq + 1 and not self.have:
            self.seq = seqs[-1]
            return
        have = self.have = self.have or set()
        for seq in seqs:
            if seq <= self.seq or seq in have:
                self.duplicates += 1
            else:
                have.add(seq)
        while self.seq + 1 in have:
            self.seq += 1
            have.discard(self.seq)

    def frame(self, frame: Seen) -> None:
        """An answer, or how the session goes."""
        if frame.t == "ack":
            self.desk.acked(frame)
        elif frame.t == "fail":
            if frame.ref & 3 == OTHER:
                self.come_back_s = max(frame.retry_after_ms / 1000, 0.5)
                self.crowd.drop(self)
            else:
                self.desk.failed(frame)
        elif frame.t == "welcome":
            self.desk.heartbeat_s = frame.heartbeat_ms / 1000
            self.welcomed()
        elif frame.t == "attached":
            self.attached(frame)
        elif frame.t == "page":
            self.page(frame)
        elif frame.t == "goodbye":
            self.come_back_s = max(frame.reconnect_after_ms / 1000, 0.1)
            self.desk.parted(frame)

    def welcomed(self) -> None:
        """The session is open."""
        self.subscribe()

    def fetch(self) -> None:
        """Read the entries that it was told to lack."""
        log = LogId(self.desk.log)
        self.send(encode(f.Read(ref=2 << 40 | OTHER, log=log, after=Seq(self.seq), limit=200)))

    def page(self, frame: Seen) -> None:
        """Entries that it asked for."""
        have = self.have = self.have or set()
        missing = [e for e in frame.entries if e.seq > self.seq and e.seq not in have]
        if missing:
            self.gifts += sum(1 for entry in missing if entry.type == "gift")
            self.entries(tuple(entry.seq for entry in missing))
        if frame.more and self.seq < self.behind:
            self.fetch()


class Speaker(Viewer):
    """A viewer who speaks: it must see all of its own words."""

    __slots__ = ("own", "said")

    def __init__(self, crowd: Crowd, number: int, desk: Desk, user: str) -> None:
        """Nothing said yet."""
        super().__init__(crowd, number, desk, user)
        self.own = 0
        self.said: set[str] = set()

    def take(self, found: Digest) -> None:
        """Also look for its own."""
        super().take(found)
        self.own += sum(1 for op in found.ops if op in self.said)


class Host(Viewer):
    """Opens the room, and is shown everything."""

    __slots__ = ("on_open", "opening")

    def __init__(self, crowd: Crowd, desk: Desk, create: bytes, on_open: Callable[[str], None]):
        """`create` is the call; `on_open` is told the log."""
        super().__init__(crowd, 0, desk, "host")
        self.opening, self.on_open = create, on_open

    def welcomed(self) -> None:
        """Open the room first."""
        if self.opening:
            self.send(self.opening)
            self.opening = b""
        else:
            self.subscribe()

    def frame(self, frame: Seen) -> None:
        """The answer to the call that opens the room brings it in."""
        if frame.t == "ack" and frame.ref & 3 == OTHER:
            if frame.log and not self.desk.log:
                self.on_open(frame.log)
                self.subscribe()
        else:
            super().frame(frame)
