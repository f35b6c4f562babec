"""Who watches a live log, and with whom it shares the bytes that it is given."""

from __future__ import annotations

from collections.abc import Sequence

from hongyan.engine.live.sampling import Sampler
from hongyan.engine.peer import Peer
from hongyan.model.ids import Seq, UserId
from hongyan.model.live import LiveItem
from hongyan.wire.codec import Codec
from hongyan.wire.session import Batch

THIN_OF_ALL = 10  # items a second for a slow viewer that is otherwise shown everything


class Group:
    """Viewers who are given the same bytes: one codec, one rate, hosts or not."""

    __slots__ = ("batch", "codec", "data", "given", "host", "items", "sampler", "spare", "viewers")

    def __init__(self, codec: Codec, rate: int, host: bool) -> None:
        """`rate` 0 = everything. Hosts also see what waits for approval."""
        self.codec, self.host = codec, host
        self.sampler = Sampler(rate)
        self.viewers = 0  # whose usual group it is
        self.spare = 0  # who are in it only while they are slow
        self.given = 0  # viewers who got the batch of the present tick
        self.items: Sequence[LiveItem] | None = None  # of the present tick, once it was chosen
        self.batch: Batch | None = None  # of the present tick, once somebody needed it
        self.data = b""  # of it


class Viewer:
    """A connection's place in a live log."""

    __slots__ = (
        "behind",
        "bytes",
        "group",
        "here",
        "lost",
        "overflows",
        "owed",
        "peer",
        "queue",
        "since",
        "skipped",
        "stuck_at",
        "thin",
        "user",
    )

    def __init__(self, peer: Peer, user: UserId, group: Group, thin: Group) -> None:
        """`thin` is the group whose batches it is given while it is slow."""
        self.peer, self.user, self.group, self.thin = peer, user, group, thin
        self.here = True  # until it leaves
        self.behind = Seq(0)  # the last entry it was not given while its queue was full
        self.skipped = 0  # items it was not given while its queue was full
        self.since = -1  # `seq` of the values it has, where it was not given later ones; 0 = none
        self.owed = False  # it is to be told more than the others
        self.bytes = 0  # put into its queue by this log
        self.stuck_at = 0.0  # since when it is given nothing (monotonic); 0 = it is not
        self.queue = peer.session.queue
        self.overflows, self.lost = self.queue.overflows, self.queue.lost

    @property
    def depth(self) -> int:
        """Bytes that wait for it."""
        return self.peer.session.pending


def thinner(rate: int) -> int:
    """The rate of a slow viewer."""
    return max(1, rate // 4) if rate else THIN_OF_ALL
