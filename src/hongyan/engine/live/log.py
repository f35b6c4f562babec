"""A live log on this node: what is said in a tick goes out once, in one message for all alike.

A log with viewers has a ring (for who comes late), pending items, and newest values by key. A tick
encodes a batch per group of viewers (codec, and how much a screen can show) and puts the same
bytes into every queue. What a viewer is not given is told by `gap`; the sum of what it was given
and of its gaps is what was said since it came.

Slow readers, in this order: a thinner sample, then nothing until the queue has drained (one gap,
and the newest of the values that changed; all of them where its queue was dropped), at last a
close with a code to come back by.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from math import inf

import msgspec
import structlog

from hongyan.engine.live.pending import Pending
from hongyan.engine.live.ticks import Counters, Tick
from hongyan.engine.live.values import Values
from hongyan.engine.live.viewers import Group, Viewer, thinner
from hongyan.engine.pacing import WEIGHT, Pacer, longest
from hongyan.engine.peer import Peer
from hongyan.model.errors import Overloaded, TooSlow
from hongyan.model.ids import LogId, Seq, UserId
from hongyan.model.live import (
    GAP_SAMPLED,
    GAP_SHED,
    GAP_SLOW,
    Audience,
    Lane,
    LiveItem,
    LiveSpec,
)
from hongyan.model.log import Entry
from hongyan.wire import frames as f
from hongyan.wire.codec import Codec
from hongyan.wire.session import Batch

logger = structlog.get_logger(__name__)

THIN_BYTES = 32 * 1024  # of a viewer's queue: above, it is shown a quarter
SKIP_BYTES = 128 * 1024  # above, nothing until it has drained
STALL_S = 30.0  # above SKIP_BYTES for this long: closed
MOST_GROUPS = 32  # above, those that nobody is in are let go
MOST_PENDING = 5_000  # items of a tick; above, the lowest lanes are shed
COME_BACK_MS = (1_000, 5_000)  # spread over this

Attach = Callable[[], None]


class LiveLog:
    """One live log. Everything is sync; `LiveLogs` calls `begin` and `give` when it is due."""

    def __init__(self, log: LogId, spec: LiveSpec, epoch: int, counters: Counters) -> None:
        """`epoch` (ms) differs from that of any earlier life of this log."""
        self.log, self.spec, self.epoch, self._counters = log, spec, epoch, counters
        self.off = 0
        self.values = Values(spec.values)
        self.viewers: dict[Peer, Viewer] = {}
        self.sent_at = 0.0  # monotonic, of the last tick
        self.values_at = 0.0  # of the last one that told values
        self.cost = 0.0  # seconds that a fan-out takes, of late
        self.crowded = False  # more was said than some viewers are shown
        self.sending = False  # a tick is on its way to the viewers
        self.owed: dict[Viewer, None] = {}  # who has to be given more, also when nothing comes
        self._by_user: dict[UserId, list[Viewer]] = {}
        self._entries: list[Entry] = []  # durable ones that viewers are to be given
        self._pending = Pending()
        self._shed = 0  # since the last tick
        self._ring: deque[LiveItem] = deque(maxlen=spec.ring)
        self._groups: dict[tuple[str, int, bool], Group] = {}
        self._arrivals: dict[Peer, tuple[Attach, Attach]] = {}  # or what if it leaves
        self._tick = Tick(self)

    def respec(self, spec: LiveSpec) -> None:
        """Go on like this; items and values that are held stay."""
        self.spec, self.values.most = spec, spec.values

    # --- what comes -----------------------------------------------------------------------------

    def say(self, item: LiveItem, audience: Audience = Audience.ALL, erases: int = 0) -> int:
        """Take an item for the next tick. Its offset; 0 for one not for all, which has none.

        Raises:
            Overloaded: the node is, or too much is pending. The highest lane is always taken.
        """
        if erases:
            self.erase(erases)
        lane = Lane(item.lane)
        full = len(self._pending) >= MOST_PENDING
        if lane > self._counters.lowest or (full and not self._make_room(lane)):
            self._counters.shed[lane] += 1
            raise Overloaded("too much is said at once: say it later", retry_after_ms=1000)
        self._counters.items[lane] += 1
        if audience is not Audience.ALL:
            self._pending.add(item, audience)
            return 0
        self.off += 1
        item = msgspec.structs.replace(item, off=self.off)
        self._pending.add(item, audience)
        if lane is not Lane.LOW:  # who came, an hour ago, is nothing for who comes late
            self._ring.append(item)
        return self.off

    def append(self, entries: Sequence[Entry]) -> None:
        """Give viewers what was committed to the log, with the tick."""
        if self.viewers or self._arrivals:
            self._entries += entries

    def erase(self, off: int) -> None:
        """Take an item out of what late joiners are given, and of what was not sent yet."""
        self._ring = deque((i for i in self._ring if i.off != off), maxlen=self._ring.maxlen)
        self._shed += self._pending.erase(off)

    def _make_room(self, lane: Lane) -> bool:
        """Shed a pending item of a lower lane than this."""
        gone = self._pending.shed(lane)
        if gone is None:
            return lane is Lane.HIGH
        self._counters.shed[gone[0]] += 1
        self._shed += gone[1] is Audience.ALL
        return True

    @property
    def waiting(self) -> bool:
        """Whether a tick has something to tell, or somebody to let in or to make good."""
        return self._hurries or bool(self.owed or self.values.changed)

    @property
    def _hurries(self) -> bool:
        return bool(self._pending or self._entries or self._shed or self._arrivals)

    def due(self, pacer: Pacer) -> float | None:
        """When the next tick is to begin (monotonic, perhaps in the past); None where nothing
        waits, or one is on its way.

        What is said goes as soon as the pace allows. What is more than is shown anyway, values,
        and who has to be made good have the longest time.
        """
        if self.sending:
            return None
        whole = longest(self.spec.tick_ms / 1000, self.cost)
        due = inf
        if self._hurries and not self.crowded:
            due = self.sent_at + pacer.pause(self.cost, whole)
        elif self._hurries or self.owed:
            due = self.sent_at + whole
        due = min(due, self.values_at + whole) if self.values.changed else due
        return None if due == inf else due

    # --- who comes and goes ---------------------------------------------------------------------

    def join(
        self,
        peer: Peer,
        user: UserId,
        *,
        rate: int,
        host: bool,
        attached: Attach,
        gone: Attach = lambda: None,
    ) -> None:
        """Let a peer watch, at `rate` items a second (0 = all). `attached` is called at the
        moment from which it is given everything: now, or with the tick where one is due; `gone`
        where it leaves, or asks again, before."""

        def attach() -> None:
            self.leave(peer)
            group = self._group(peer.session.codec, rate, host)
            thin = self._group(peer.session.codec, thinner(rate), host)
            group.viewers += 1
            thin.spare += 1
            viewer = self.viewers[peer] = Viewer(peer, user, group, thin)
            self._by_user.setdefault(user, []).append(viewer)
            attached()

        if self._pending or self._entries or self._shed or self.sending:
            if (older := self._arrivals.get(peer)) is not None:
                older[1]()
            self._arrivals[peer] = (attach, gone)
        else:
            attach()

    def leave(self, peer: Peer) -> bool:
        """Let a peer go; False where it was no viewer."""
        waited = self._arrivals.pop(peer, None)
        if waited is not None:
            waited[1]()
        viewer = self.viewers.pop(peer, None)
        if viewer is None:
            return waited is not None
        viewer.here = False
        self.owed.pop(viewer, None)
        viewer.group.viewers -= 1
        viewer.thin.spare -= 1
        mine = self._by_user[viewer.user]
        mine.remove(viewer)
        if not mine:
            del self._by_user[viewer.user]
        return True

    def peers_of(self, user: UserId) -> list[Peer]:
        """The connections by which a user watches."""
        return [viewer.peer for viewer in self._by_user.get(user, ())]

    def catch_up(self, epoch: int, after: int) -> tuple[list[LiveItem], int]:
        """The newest items for who comes now, and how many it missed: those after `after` of this
        `epoch` that are not held any more; all that is held for who was not here."""
        items = list(self._ring)
        if epoch != self.epoch or not 0 < after <= self.off:
            return items, 0
        items = [item for item in items if item.off > after]
        return items, self.off - after - len(items)

    def _group(self, codec: Codec, rate: int, host: bool) -> Group:
        key = (codec.name, rate, host)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(codec, rate, host)
        return group

    # --- what goes ------------------------------------------------------------------------------

    def begin(self, now: float, due: float | None = None) -> list[Viewer]:
        """Close the tick: choose for every group, and let in who came. Returns whom to `give` it;
        then `end`. Of a tick that was due the next counts from then, so that lateness does not
        add up; what is later than a whole tick is lost. Values are told once in `tick_ms`."""
        whole = self.spec.tick_ms / 1000
        self.sent_at = due if due is not None and now - due < whole else now
        tells = due is None or self.values_at + whole <= now
        if tells:
            last = now - self.values_at
            self.values_at += whole if whole <= last < 2 * whole else last
        pending = self._pending.take()
        shed, self._shed = self._shed, 0
        entries, self._entries = self._entries, []
        prev, news = self.values.take() if tells else (self.values.seq, [])
        public = [item for item, audience in pending if audience is Audience.ALL]
        hosts = [item for item, audience in pending if audience is Audience.HOSTS]
        self._tick = Tick(self, entries, public, hosts, shed, prev, news)
        self.sending = True
        self._counters.ticks += 1
        self.crowded = False
        for group in self._groups.values():
            if group.viewers:
                group.items = group.sampler.pick(public, now)
                self.crowded |= len(group.items) < len(public)
        for item, audience in pending:
            if item.sender in self._by_user and (audience is not Audience.ALL or item.op):
                self._tick.own.setdefault(item.sender, []).append(item)
        given = list(self.viewers.values() if entries or pending or shed or news else self.owed)
        arrivals, self._arrivals = self._arrivals, {}
        for attach, _ in arrivals.values():
            attach()  # all that was said so far is in the answer, what comes now in later ticks
        return given

    def fan_out(self, viewers: Sequence[Viewer], now: float, wake: Callable[[Peer], None]) -> None:
        """Give the tick to these viewers, of those that `begin` named.

        # hot: bench peers. Nearly every viewer lacks nothing and nothing waits for it: it is
        # written to at once. The others are given it by their queues, and woken.
        """
        own = self._tick.own
        for viewer in viewers:
            peer, group = viewer.peer, viewer.group
            try:
                if (
                    group.data
                    and peer.ok
                    and viewer.here
                    and not viewer.queue.frames
                    and not viewer.owed
                    and (not own or viewer.user not in own)
                ):
                    group.given += 1
                    viewer.bytes += len(group.data)
                    peer.link.write(group.data)
                elif viewer.here and self.give(viewer, now):
                    wake(peer)
            except Exception:  # one broken transport must not cost the others their tick
                logger.exception("write failed")
                peer.link.close(1011, "internal error")

    def give(self, viewer: Viewer, now: float) -> bool:
        """Put the tick into one viewer's queue; False where there is nothing to write."""
        session, tick = viewer.peer.session, self._tick
        waiting = session.pending
        if viewer.queue.overflows != viewer.overflows:
            self._lost(viewer)
        if waiting > SKIP_BYTES:
            self._skip(viewer, now)
            return False
        viewer.stuck_at = 0.0
        group = viewer.group
        if waiting > THIN_BYTES:
            group = viewer.thin
            if group.items is None:
                group.items = group.sampler.pick(tick.public, now)
        if viewer.owed or viewer.user in tick.own:
            batch = self._single(viewer, group)
            if not batch.data:
                return bool(session.pending)
            self._count(batch, 1)
        else:
            batch = group.batch or self._build(group)
            if not batch.data:
                return False
            group.given += 1
        session.batch(batch)
        viewer.bytes += len(batch.data)
        return True

    def end(self, spent: float = 0.0) -> None:
        """Every viewer was given the tick, which took `spent` seconds."""
        self.sending = False
        self.cost += (spent - self.cost) * WEIGHT
        self._tick = Tick(self)
        for group in self._groups.values():
            if group.batch is not None:
                self._count(group.batch, group.given)
            group.items, group.batch, group.data, group.given = None, None, b"", 0
        if len(self._groups) > MOST_GROUPS:
            used = self._groups.items()
            self._groups = {key: group for key, group in used if group.viewers or group.spare}

    def _count(self, batch: Batch, given: int) -> None:
        counters = self._counters
        counters.deliveries += batch.shown * given
        counters.gaps[GAP_SAMPLED] += batch.left * given
        counters.gaps[GAP_SHED] += batch.shed * given

    def overflowed(self, peer: Peer) -> None:
        """All that could be dropped of a viewer's queue was: make good what it lacks."""
        if (viewer := self.viewers.get(peer)) is not None:
            viewer.owed, self.owed[viewer] = True, None

    def _lost(self, viewer: Viewer) -> None:
        """The queue dropped what waited in it, and tells of the items itself; the few that were
        counted as sampled or shed before are counted twice."""
        viewer.overflows, viewer.since, viewer.owed = viewer.queue.overflows, 0, True
        lost, viewer.lost = viewer.queue.lost - viewer.lost, viewer.queue.lost
        self._counters.deliveries -= lost
        self._counters.gaps[GAP_SLOW] += lost

    def _skip(self, viewer: Viewer, now: float) -> None:
        tick = self._tick
        viewer.skipped += tick.n
        if tick.entries:
            viewer.behind = tick.entries[-1].seq
        if tick.values and viewer.since < 0:
            viewer.since = tick.prev
        self._counters.gaps[GAP_SLOW] += tick.n
        if viewer.skipped or viewer.behind or viewer.since >= 0:
            viewer.owed, self.owed[viewer] = True, None
        if not viewer.stuck_at:
            viewer.stuck_at = now
        elif now - viewer.stuck_at > STALL_S:
            self._counters.closed += 1
            why = TooSlow("this connection took nothing for too long")
            viewer.peer.close(why, reconnect_after_ms=random.randint(*COME_BACK_MS))

    def _build(self, group: Group) -> Batch:
        """The bytes for all viewers of a group: encoded once."""
        tick = self._tick
        shown = group.items or ()
        items = [*shown, *tick.hosts] if group.host else shown
        left = len(tick.public) - len(shown)
        group.batch = tick.batch(group.codec, items, left)
        group.data = group.batch.data
        self._counters.encodes += 1
        return group.batch

    def _single(self, viewer: Viewer, group: Group) -> Batch:
        """The same for one viewer: with its own items, and what it has to be told."""
        tick = self._tick
        items = list(group.items or ())
        shown = {item.off for item in items}
        own = tick.own.get(viewer.user, ())
        items += [item for item in own if not item.off or item.off not in shown]
        counted = sum(1 for item in items if item.off)
        if group.host:
            items += [item for item in tick.hosts if item not in items]
        items.sort(key=lambda item: item.off or self.off)
        if viewer.behind:
            viewer.peer.session.say(f.Behind(self.log, viewer.behind))
            viewer.behind = Seq(0)
        skipped, viewer.skipped = viewer.skipped, 0
        since, viewer.since = viewer.since, -1
        if viewer.owed:
            viewer.owed = False
            self.owed.pop(viewer, None)
        left = len(tick.public) - counted
        self._counters.encodes += 1
        return tick.batch(group.codec, items, left, skipped, since)
