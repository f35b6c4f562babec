"""Viewers of a board, and its feed: each keeps the account of what it was given.

A message of a tick is the same for all viewers, so it is taken apart once, however many get it.
"""

from __future__ import annotations

import time
from typing import Protocol

import msgspec

from hongyan.bench.crowd import Client, Crowd
from hongyan.model.ids import DeviceId, LogId, Seq
from hongyan.wire import frames as f

MOST_KNOWN = 256  # messages remembered
HEAD_BYTES = 2_048  # that tell one message from all others: the seqs stand there, behind fills
PAGE = 200
OWN = ("board", "online")  # keys that are no symbols

encode = msgspec.json.Encoder().encode
_now = time.perf_counter


class _Entry(msgspec.Struct, gc=False):
    seq: int
    type: str = ""


class Seen(msgspec.Struct, gc=False):
    """What is looked at of any frame."""

    t: str
    ref: int = 0
    seq: int = 0
    prev: int = 0
    epoch: int = 0
    head: int = 0
    code: int = 0
    text: str = ""
    more: bool = False
    heartbeat_ms: int = 0
    entries: list[_Entry] = []
    values: list[tuple[str, int, msgspec.Raw]] = []


_one = msgspec.json.Decoder(Seen).decode
_many = msgspec.json.Decoder(list[Seen]).decode


def seen(payload: bytes) -> list[Seen]:
    """The frames of a message."""
    return _many(payload) if payload[:1] == b"[" else [_one(payload)]


class Digest(msgspec.Struct, gc=False):
    """What a message of a tick says. `times`: when each quote was put, by symbol."""

    prev: int = 0
    seq: int = 0
    times: dict[str, float] = {}
    newest: float = 0.0
    entries: list[_Entry] = []
    behind: int = 0


class _Quote(msgspec.Struct, gc=False):
    t: int


_quote = msgspec.json.Decoder(_Quote).decode


def times_of(values: list[tuple[str, int, msgspec.Raw]]) -> dict[str, float]:
    """When each of these quotes was put, as it says itself."""
    return {key: _quote(raw).t / 1e6 for key, _, raw in values if key not in OWN}


def digest(frames: list[Seen]) -> Digest | None:
    """What these frames say together; None where there is more than a tick in them."""
    found = Digest()
    for frame in frames:
        if frame.t == "values":
            found.prev, found.seq = frame.prev, frame.seq
            found.times = times_of(frame.values)
            found.newest = max(found.times.values(), default=0.0)
        elif frame.t == "deliver":
            found.entries = frame.entries
        elif frame.t == "behind":
            found.behind = frame.head
        else:
            return None
    return found


class Desk(Protocol):
    """What viewers need of the run."""

    log: LogId
    known: dict[tuple[int, bytes], Digest]
    delays: list[float]
    joins: list[float]
    snapshot_bytes: int
    ready: int

    def token(self, user: str) -> str:
        """Of a user."""
        ...

    def trouble(self, text: str) -> None:
        """Something that ought not to happen."""
        ...


class Viewer(Client):
    """Follows the chain of values, and the fills without a hole."""

    __slots__ = (
        "asked_at",
        "behind",
        "bytes",
        "desk",
        "doubled",
        "epoch",
        "fills",
        "frames",
        "gaps",
        "have",
        "head",
        "held",
        "inside",
        "pushed",
        "seq",
        "snapshots",
        "staleness",
        "told",
    )

    def __init__(self, crowd: Crowd, number: int, desk: Desk, *, clocked: bool) -> None:
        """`clocked`: it holds every quote and says how old each was that it was given."""
        super().__init__(crowd, number)
        self.desk = desk
        self.held: dict[str, float] | None = {} if clocked else None
        self.staleness: list[float] = []
        self.inside = False
        self.epoch = self.seq = self.frames = self.bytes = self.snapshots = self.gaps = 0
        self.head = self.behind = self.fills = self.told = self.doubled = self.pushed = 0
        self.have: set[int] = set()  # entries beyond the first hole
        self.asked_at = 0.0

    def begin(self) -> None:
        """Say hello."""
        token = self.desk.token(f"v{self.number}")
        self.send(encode(f.Hello(token=token, device=DeviceId("d"), cls="web", rows=1)))

    def subscribe(self) -> None:
        """Ask for the board."""
        self.asked_at = _now()
        self.send(encode(f.Subscribe(ref=1, log=self.desk.log)))

    def lost(self) -> None:
        """No viewer may be."""
        self.desk.trouble(f"viewer {self.number} was closed")

    def message(self, payload: bytes) -> None:
        """Take a message; most were seen before."""
        key = (len(payload), payload[:HEAD_BYTES])
        found = self.desk.known.get(key)
        if found is None:
            frames = seen(payload)
            found = digest(frames)
            if found is None:
                for frame in frames:
                    self.frame(frame, len(payload))
                return
            known = self.desk.known
            if len(known) >= MOST_KNOWN:
                known.clear()
            known[key] = found
        self.bytes += len(payload)
        self.take(found)

    def take(self, found: Digest) -> None:
        """Enter what a tick says. Hot."""
        if found.seq:
            now = _now()
            self.frames += 1
            if found.newest:
                self.desk.delays.append(now - found.newest)
            if not found.prev:
                self.snapshots += 1
            elif found.prev > self.seq:
                self.gaps += 1
                self.subscribe()
            self.seq = max(found.seq, self.seq)
            if self.held is not None:
                self.held.update(found.times)
                self.told += len(found.times)
                self.staleness += [now - put for put in found.times.values()]
        if found.entries:
            self.doubled += sum(1 for entry in found.entries if entry.seq <= self.pushed)
            self.pushed = found.entries[-1].seq
            self.entries(found.entries)
        if found.behind > self.behind:
            self.behind = found.behind
            self.fetch()

    def entries(self, entries: list[_Entry]) -> None:
        """Count each once, in whatever way it came: what was pushed may have been read before."""
        for entry in entries:
            if entry.seq <= self.head or entry.seq in self.have:
                continue
            self.have.add(entry.seq)
            self.fills += entry.type == "fill"
        while self.head + 1 in self.have:
            self.head += 1
            self.have.discard(self.head)

    def fetch(self) -> None:
        """Read the entries that it was told to lack."""
        after = f.At(Seq(self.head))
        self.send(encode(f.Read(ref=2, log=self.desk.log, after=after, limit=PAGE)))

    def frame(self, frame: Seen, size: int) -> None:
        """An answer."""
        if frame.t == "welcome":
            self.subscribe()
        elif frame.t == "attached":
            self.attached(frame, size)
        elif frame.t == "page":
            self.entries(frame.entries)
            if frame.more or self.head < self.behind:
                self.fetch()
        elif frame.t in ("fail", "goodbye"):
            self.desk.trouble(f"viewer {self.number}: {frame.text}")
        elif (found := digest([frame])) is not None:
            self.take(found)

    def attached(self, frame: Seen, size: int) -> None:
        """It is in."""
        self.epoch, self.seq = frame.epoch, frame.seq
        if self.held is not None:
            self.held.update(times_of(frame.values))
        if not self.inside:
            self.inside = True
            self.head = frame.head
            self.desk.ready += 1
        elif frame.head > self.head:  # committed meanwhile: read it
            self.behind = frame.head
            self.fetch()
        self.desk.joins.append(_now() - self.asked_at)
        self.desk.snapshot_bytes = max(self.desk.snapshot_bytes, size)


class Feed(Client):
    """Sets up the board and publishes. Calls wait while the window is full."""

    __slots__ = ("acked", "create", "desk", "inflight", "refs", "waiting", "window")

    def __init__(self, crowd: Crowd, desk: Desk, create: bytes) -> None:
        """`create` are the args of quotes.create."""
        super().__init__(crowd, 0)
        self.desk, self.create = desk, create
        self.inflight = self.refs = self.acked = 0
        self.window = 100
        self.waiting: list[bytes] = []

    def begin(self) -> None:
        """Say hello."""
        token = self.desk.token("feed")
        self.send(encode(f.Hello(token=token, device=DeviceId("d"), cls="web", rows=1)))

    def call(self, name: str, args: bytes) -> None:
        """Publish."""
        self.refs += 1
        log = self.desk.log if name != "quotes.create" else ""
        head = f'{{"t":"call","ref":{self.refs},"name":"{name}","op":"o{self.refs}","log":"{log}"'
        self.waiting.append(b'%b,"args":%b}' % (head.encode(), args))
        self._pump()

    def _pump(self) -> None:
        while self.waiting and self.inflight < self.window:
            self.inflight += 1
            self.send(self.waiting.pop(0))

    def lost(self) -> None:
        """It may not be."""
        self.desk.trouble("the feed was closed")

    def message(self, payload: bytes) -> None:
        """Acks, and what the owner of a log is given."""
        for frame in seen(payload):
            if frame.t == "welcome":
                self.call("quotes.create", self.create)
            elif frame.t == "ack":
                self.inflight -= 1
                self.acked += 1
                self.desk.ready += self.acked == 1
            elif frame.t in ("fail", "goodbye"):
                self.desk.trouble(f"feed: {frame.code} {frame.text}")
        self._pump()
