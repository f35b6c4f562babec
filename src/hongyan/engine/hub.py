"""The node's table of connections, and the way of an entry from the bus to their send queues.

Small logs are fanned out by their member list, large ones by the sessions attached to them; a
member sees the same in both. Everything here is synchronous: offering an entry never waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import structlog

from hongyan.engine.followers import Followers
from hongyan.engine.logs import LogCache, LogState
from hongyan.engine.peer import Peer
from hongyan.engine.writes import Writes
from hongyan.model.errors import Refusal, Replaced
from hongyan.model.ids import LogId, Seq, UserId, UserKey, tenant_of, user_key
from hongyan.model.log import Entry
from hongyan.ports import Appended, Bus, Clock, CursorMoved, Evicted, Hint, RowsChanged, Signalled
from hongyan.telemetry import Metrics
from hongyan.wire.frames import Cursor, Deliver, Frame, Signal
from hongyan.wire.session import Outgoing

if TYPE_CHECKING:
    from hongyan.engine.live.viewing import Viewing

logger = structlog.get_logger(__name__)


class Hub:
    """Who is connected here, and who gets what."""

    def __init__(self, *, cache: LogCache, bus: Bus, metrics: Metrics, clock: Clock) -> None:
        """Listens to the bus from now on, until `close`."""
        self._cache, self._metrics = cache, metrics
        self._unsubscribe = bus.subscribe(self.hint)
        self.peers: set[Peer] = set()  # all connections, also those before hello
        self.users: dict[UserKey, list[Peer]] = {}  # open sessions by user
        self.followers = Followers(self.users, cache.page)  # open sessions by large log
        self._late: dict[LogId, list[Appended]] = {}  # hints that wait for the store, in order
        self.writes = Writes(clock)
        self._tasks: set[asyncio.Task[None]] = set()
        self.encodes = 0
        metrics.gauge(
            "fan_out_rounds", "Rounds of writes to many listeners.", lambda: self.writes.rounds
        )
        self.viewing: Viewing | None = None
        self.on_rows: Callable[[RowsChanged], None] = lambda hint: None
        self.on_appended: Callable[[], None] = lambda: None
        self.on_left: Callable[[Peer], None] = lambda peer: None
        self.on_other: Callable[[Hint], None] = lambda hint: None

    # --- connections ------------------------------------------------------------------------

    def wake(self, peer: Peer) -> None:
        """Write to this peer soon; see Writes."""
        self.writes.wake(peer)

    def attach(self, peer: Peer) -> None:
        """Make an authenticated peer reachable. An older connection of the device must go."""
        identity = peer.identity
        if identity is None or peer not in self.peers:
            return
        key = user_key(identity.tenant, identity.user)
        for other in list(self.users.get(key, ())):
            if other.session.device == peer.session.device:
                other.close(Replaced(), reconnect_after_ms=-1)
        self.users.setdefault(key, []).append(peer)

    def attach_all(self, peer: Peer, large: Iterable[LogId]) -> None:
        """See Followers.attach_all; nothing where the peer is gone."""
        if peer in self.peers:
            self.followers.attach_all(peer, large)

    def forget(self, peer: Peer) -> None:
        """Take a peer out of every table. Idempotent."""
        if peer not in self.peers:
            return
        self.peers.discard(peer)
        peer.closing = True  # what still works for it stops, and registers it nowhere
        self.followers.forget(peer)
        if peer.identity is not None:
            key = user_key(peer.identity.tenant, peer.identity.user)
            table = self.users.get(key)
            if table is not None and peer in table:
                table.remove(peer)
                if not table:
                    del self.users[key]
        self.on_left(peer)

    # --- hints ------------------------------------------------------------------------------

    def hint(self, hint: Hint) -> None:
        """Take one hint of the bus. Never waits."""
        if isinstance(hint, Appended):
            self._appended(hint)
        elif isinstance(hint, Signalled):
            frame = Signal(
                log=hint.log, name=hint.name, body=hint.body, user=hint.user, device=hint.device
            )
            self._tell(hint.log, frame, hint.user, hint.device)
        elif isinstance(hint, CursorMoved):
            at = hint.position
            moved = Cursor(log=hint.log, delivered=at.delivered, read=at.read, user=hint.user)
            self._tell(hint.log, moved, hint.user, None)
        elif isinstance(hint, RowsChanged):
            if user_key(hint.tenant, hint.user) in self.users:
                self.on_rows(hint)
        elif isinstance(hint, Evicted):
            self._evict(hint)
        else:
            self.on_other(hint)

    def _evict(self, hint: Evicted) -> None:
        why = Refusal.by_code[hint.code]()
        for peer in list(self.users.get(user_key(hint.tenant, hint.user), ())):
            if peer.session.device == hint.device and peer.epoch <= hint.epoch:
                peer.close(why, reconnect_after_ms=-1)

    def _tell(self, log: LogId, frame: Frame, user: UserId, device: str | None) -> None:
        """Offer a frame to the members here, but not to who caused it (device None = user)."""
        state = self._cache.get(log)
        if state is None:
            return  # nobody here used the log lately: a lost signal is what signals may be
        encoded: dict[str, Outgoing] = {}
        given = []
        for peer in self.listeners(state):
            identity = peer.identity
            mine = identity is not None and identity.user == user
            if mine and (device is None or peer.session.device == device):
                continue
            codec = peer.session.codec
            item = encoded.get(codec.name)
            if item is None:
                item = encoded[codec.name] = Outgoing(log, Seq(0), codec.encode(frame))
            peer.session.push(item)
            given.append(peer)
        self.writes.wake_all(given)

    def listeners(self, state: LogState) -> list[Peer]:
        """The connections here that get what happens in this log, but for `muted`."""
        if state.large:
            return list(self.followers.of(state.log))
        users = self.users
        return [peer for key in state.keys if key in users for peer in users[key]]

    # --- fan-out ----------------------------------------------------------------------------

    def _appended(self, hint: Appended) -> None:
        """Follow a commit, then fan it out; behind those of its log that wait for the store."""
        before = self._cache.get(hint.log)
        was_small = before is not None and not before.large
        state = self._cache.apply(hint)
        if state is not None and state.large and was_small:
            self.followers.grown(state)
        waiting = self._late.get(hint.log)
        if waiting is not None:
            waiting.append(hint)
        elif state is None or (state.large and not self.followers.fits(hint)):
            self._late[hint.log] = [hint]
            self._spawn(self._catch_up(hint.log))
        else:
            self._offer(state, hint)

    async def _catch_up(self, log: LogId) -> None:
        """Fan out commits of a log that is not in the cache, or whose followers are not known."""
        waiting = self._late[log]
        try:
            while waiting:
                state = await self._cache.load(log)
                if state.large and not self.followers.fits(waiting[0]):
                    await self.followers.read_again(state)
                if state.version:
                    self._offer(state, waiting[0])
                del waiting[0]
        except Refusal as why:  # readers find it by the digest of the next heartbeat
            logger.warning("fan-out skipped", log=log, left=len(waiting), error=why.text)
        except Exception:
            logger.exception("fan-out failed", log=log, left=len(waiting))
        finally:
            self._metrics.gaps_total += len(waiting)
            del self._late[log]

    def _spawn(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _offer(self, state: LogState, hint: Appended) -> None:
        if state.large:
            self.followers.came(hint)
        if hint.entries:
            peers = self._watching(state, self.listeners(state))
            if hint.head < state.head:  # a late hint: who joined after it must not see it
                peers = [peer for peer in peers if _sees(state, peer, hint.entries[0].seq)]
            if hint.members:
                peers += self._leavers(state, hint)
            self.fan_out(hint.log, hint.entries, peers)
            self.on_appended()
        if self.viewing is not None and state.kind.live is not None:
            self.viewing.appended(state, hint.entries, hint.state is not None)
        if _shows_in_rows(hint, state):
            self._rows_of_all(state)
        for user in hint.called:
            self._row_of(hint.log, user)
        self._left(hint, state)

    def _watching(self, state: LogState, peers: list[Peer]) -> list[Peer]:
        """Without those who watch a live log: they are given its entries with the tick."""
        live = self.viewing.logs.get(state.log) if self.viewing is not None else None
        if live is None or not live.viewers:
            return peers
        return [peer for peer in peers if peer not in live.viewers]

    def _rows_of_all(self, state: LogState) -> None:
        tenant = tenant_of(state.log)
        for peer in self.listeners(state):
            if peer.identity is not None:
                self.on_rows(RowsChanged(tenant, peer.identity.user, (state.log,)))

    def _leavers(self, state: LogState, hint: Appended) -> list[Peer]:
        """Who left with this commit still gets its entries: they say why nothing follows."""
        if state.large:
            return []  # still attached until `_left`
        tenant = tenant_of(hint.log)
        keys = [user_key(tenant, c.user) for c in hint.members if c.leave]
        return [p for key in keys if key not in state.keys for p in self.users.get(key, ())]

    def _left(self, hint: Appended, state: LogState) -> None:
        if state.large:
            self.followers.went(hint)
        for change in hint.members:
            self._row_of(hint.log, change.user)

    def _row_of(self, log: LogId, user: UserId) -> None:
        """A user's row changed in a way that entries alone do not tell."""
        if user_key(tenant_of(log), user) in self.users:
            self.on_rows(RowsChanged(tenant_of(log), user, (log,)))

    def fan_out(self, log: LogId, entries: tuple[Entry, ...], peers: list[Peer]) -> None:
        """Offer entries to peers: one encoding per codec, one append per peer. Never waits.

        # hot: bench fanout. The same `Outgoing` object is put into every queue, so that a
        delivery allocates nothing.
        """
        encoded: dict[str, Outgoing] = {}
        seq, given = Seq(entries[-1].seq), []
        for peer in peers:
            if peer.muted and log in peer.muted:
                continue
            session = peer.session
            codec = session.codec
            item = encoded.get(codec.name)
            if item is None:
                frame = Deliver(log=log, entries=list(entries))
                item = encoded[codec.name] = Outgoing(log, seq, codec.encode(frame))
                self.encodes += 1
            session.push(item)
            given.append(peer)
        self.writes.wake_all(given)
        self._metrics.deliveries_total += len(peers) * len(entries)

    def close(self) -> None:
        """Stop listening to the bus."""
        self._unsubscribe()


def _shows_in_rows(hint: Appended, state: LogState) -> bool:
    """Whether the rows of all members change in a way that entries alone do not tell: the kind's
    state, who is called, or how many members there are (of a large log as of the last sync)."""
    moved = not state.large and any(change.join or change.leave for change in hint.members)
    return moved or hint.all_rows or hint.state is not None


def _sees(state: LogState, peer: Peer, seq: Seq) -> bool:
    member = state.members.get(peer.identity.user) if peer.identity is not None else None
    return member is not None and member.since <= seq
