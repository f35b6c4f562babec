"""What a tick of a live log tells, and what the live logs of a node count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hongyan.engine.live.values import Values
from hongyan.model.ids import LogId, Seq, UserId
from hongyan.model.live import GAP_SAMPLED, GAP_SHED, GAP_SLOW, Lane, LiveItem, Value
from hongyan.model.log import Entry
from hongyan.wire import frames as f
from hongyan.wire.codec import Codec
from hongyan.wire.session import Batch


class Counters:
    """What the live logs of a node have done; read by the metrics."""

    def __init__(self) -> None:
        """All zero."""
        self.items = [0, 0, 0]  # said, by lane
        self.shed = [0, 0, 0]  # by lane
        self.deliveries = 0  # items put into queues
        self.encodes = 0  # batches, also those for a single viewer
        self.gaps = dict.fromkeys((GAP_SAMPLED, GAP_SHED, GAP_SLOW), 0)  # items told by a gap
        self.ticks = 0
        self.closed = 0  # viewers closed for being too slow
        self.lowest = Lane.LOW  # that is taken; lanes below are shed while the node is overloaded


class Place(Protocol):
    """Of which log a tick is."""

    log: LogId
    epoch: int
    values: Values


class Tick:
    """What one tick has to tell, and the bytes of it."""

    __slots__ = ("_place", "_values", "entries", "hosts", "own", "prev", "public", "shed", "values")

    def __init__(
        self,
        place: Place,
        entries: Sequence[Entry] = (),
        public: Sequence[LiveItem] = (),
        hosts: Sequence[LiveItem] = (),
        shed: int = 0,
        prev: int = 0,
        values: Sequence[Value] = (),
    ) -> None:
        """`hosts`: items for hosts only, which have no offset; `prev` of the values."""
        self._place = place
        self.entries, self.public, self.hosts, self.shed = entries, public, hosts, shed
        self.prev, self.values = prev, values
        self.own: dict[UserId, list[LiveItem]] = {}  # for the sender, whatever the sample
        self._values: dict[tuple[str, int], bytes] = {}

    @property
    def n(self) -> int:
        """Offsets this tick accounts for."""
        return len(self.public) + self.shed

    def batch(
        self,
        codec: Codec,
        items: Sequence[LiveItem],
        left: int,
        skipped: int = 0,
        since: int = -1,
    ) -> Batch:
        """The message with these items. `left` of the tick's are not among them, `skipped` were
        not given before; `since`: the values that the reader has, -1 = all but this tick's."""
        place, log = self._place, self._place.log
        frames: list[f.Frame] = []
        if skipped:
            frames.append(f.Gap(log, skipped, GAP_SLOW))
        if self.entries:
            frames.append(f.Deliver(log, list(self.entries)))
        if items:
            frames.append(f.Live(log, place.epoch, list(items)))
        if left:
            frames.append(f.Gap(log, left, GAP_SAMPLED))
        if self.shed:
            frames.append(f.Gap(log, self.shed, GAP_SHED))
        pieces = [codec.encode(frame) for frame in frames]
        if since >= 0 or self.values:
            pieces.append(self._told(codec, since if since >= 0 else self.prev))
        data = codec.join(pieces) if pieces else b""
        seq = self.entries[-1].seq if self.entries else Seq(0)
        return Batch(log, len(self.public) - left, left, self.shed, data, seq)

    def _told(self, codec: Codec, since: int) -> bytes:
        """The frame of the values for who has those up to `since`: encoded once a tick."""
        data = self._values.get((codec.name, since))
        if data is None:
            place = self._place
            fresh = since == self.prev and self.values
            prev, values = (since, list(self.values)) if fresh else place.values.since(since)
            frame = f.Values(place.log, place.epoch, prev, place.values.seq, values)
            data = self._values[codec.name, since] = codec.encode(frame)
        return data
