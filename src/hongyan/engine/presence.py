"""Who is online: soft state, told late when it falls and at once when it rises.

Two steps. First, this node's view of a user: the best state of the user's sessions here. A rise
shows at once; a fall only after it lasted for the grace time, so a reconnect is never seen. This
view is published to the other nodes. Second, the whole: the best view of all nodes. A node that
died cannot say so: its views end by their time to live, like a session that fell silent.

No clock, no task, no socket: methods are given `now` (monotonic seconds) and `at` (ms since 1970,
only shown, never compared between nodes), and `due` says what to send.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable
from heapq import heappop, heappush

import msgspec

from hongyan.model.errors import Full
from hongyan.model.ids import TenantId, UserId
from hongyan.ports import PresenceChanged

OFFLINE, AWAY, ONLINE = "offline", "away", "online"
RANK = {OFFLINE: 0, AWAY: 1, ONLINE: 2}

REMEMBERED = 100_000  # users whose last_seen is kept after they left, about 200 bytes each
REFRESHES = 3  # a view is published this many times in its time to live

Key = tuple[TenantId, UserId]


class Told(msgspec.Struct, frozen=True):
    """A change that `watchers` have to hear. `last_seen` in ms; 0 = not known."""

    tenant: TenantId
    user: UserId
    state: str
    last_seen: int
    watchers: tuple[Hashable, ...]


class Due(msgspec.Struct, frozen=True):
    """What to send now: hints for the bus, and changes for the watchers of this node."""

    publish: list[PresenceChanged]
    tell: list[Told]


class _Session(msgspec.Struct):
    seen: float
    away: bool


class _View(msgspec.Struct, gc=False):
    """What another node says of a user."""

    state: str
    at: int
    until: float


class _Known(msgspec.Struct):
    """A user who is, or was just now, not offline."""

    sessions: dict[Hashable, _Session] = {}
    views: dict[str, _View] = {}
    here: str = OFFLINE  # this node's view, after damping
    whole: str = OFFLINE  # what watchers were told
    fall_to: str = ""  # the lower state that waits for its grace time; "" = none
    falls_at: float = 0.0
    at: int = 0  # when last seen, on any node
    stamp: int = 0  # of this node's newest hint; grows with each
    refresh_at: float = 0.0
    check_at: float = 0.0  # when the schedule has this user


class Presence:
    """The presence of all users, as this node knows it. Empty at start: who is there says so
    with the next heartbeat or reconnect."""

    def __init__(
        self,
        node: str,
        *,
        heartbeat_s: float,
        ttl_s: float,
        grace_s: float = 3.0,
        watch_most: int = 500,
        alone: bool = True,
    ) -> None:
        """`alone`: no other node listens, so views are not published again and again.

        Raises:
            ValueError: `ttl_s` is less than two heartbeats: one late ping would look like a
                departure.
        """
        if ttl_s < 2 * heartbeat_s:
            raise ValueError("the time to live must be at least two heartbeats")
        self.node = node
        self._ttl, self._grace = ttl_s, grace_s
        self._refresh = float("inf") if alone else ttl_s / REFRESHES
        self._watch_most = watch_most
        self._known: dict[Key, _Known] = {}
        self._left: OrderedDict[Key, int] = OrderedDict()
        self._schedule: list[tuple[float, Key]] = []
        self._watched: dict[Key, dict[Hashable, None]] = {}
        self._watchers: dict[Hashable, set[Key]] = {}
        self._publish: list[PresenceChanged] = []
        self._tell: dict[Key, Told] = {}  # newest per user: who is slow hears the last state

    # --- sessions of this node --------------------------------------------------------------

    def seen(
        self,
        tenant: TenantId,
        user: UserId,
        session: Hashable,
        now: float,
        at: int,
        *,
        away: bool = False,
    ) -> None:
        """A session opened or gave a sign of life; call it at every heartbeat."""
        key = (tenant, user)
        known = self._of(key)
        known.sessions[session] = _Session(now, away)
        known.at = max(known.at, at)
        same = known.here == (AWAY if away else ONLINE) == known.whole
        if same and not known.fall_to and now < known.refresh_at:
            return  # hot: most heartbeats say nothing new
        self._check(key, known, now)

    def left(self, tenant: TenantId, user: UserId, session: Hashable, now: float, at: int) -> None:
        """A session closed. Unknown ones do not matter."""
        key = (tenant, user)
        known = self._known.get(key)
        if known is not None and known.sessions.pop(session, None) is not None:
            known.at = max(known.at, at)
            self._check(key, known, now)

    # --- other nodes ------------------------------------------------------------------------

    def heard(self, hint: PresenceChanged, now: float) -> None:
        """Another node's view of a user. Late, repeated and own hints do no harm."""
        if hint.node == self.node or hint.state not in RANK:
            return
        key = (hint.tenant, hint.user)
        known = self._known.get(key)
        if known is None and hint.state == OFFLINE:
            self._remember(key, hint.at)
            return
        known = known or self._of(key)
        old = known.views.get(hint.node)
        if old is not None and hint.at < old.at:
            return
        # Kept when offline, too, until its time is over: an older hint may still come.
        known.views[hint.node] = _View(hint.state, hint.at, now + self._ttl)
        known.at = max(known.at, hint.at)
        self._check(key, known, now)

    # --- results ----------------------------------------------------------------------------

    def due(self, now: float) -> Due:
        """What to send by now; call it about once a second. Each thing is given once."""
        while self._schedule and self._schedule[0][0] <= now:
            when, key = heappop(self._schedule)
            known = self._known.get(key)
            if known is not None and known.check_at == when:
                known.check_at = 0.0
                self._check(key, known, now)
        due = Due(self._publish, list(self._tell.values()))
        self._publish, self._tell = [], {}
        return due

    def look(self, tenant: TenantId, user: UserId, now: float) -> dict[str, str | int]:
        """`state` and `last_seen` (ms; 0 = not known) as watchers know them."""
        key = (tenant, user)
        known = self._known.get(key)
        if known is None:
            return {"state": OFFLINE, "last_seen": self._left.get(key, 0)}
        self._check(key, known, now)
        return {"state": known.whole, "last_seen": known.at}

    # --- watchers ---------------------------------------------------------------------------

    def watch(self, watcher: Hashable, tenant: TenantId, users: Iterable[UserId]) -> None:
        """From now on `watcher` is in `Told.watchers` of these users, and of no others. Whether
        it may is the caller's to check. Call `unwatch` when it is gone.

        Raises:
            Full: too many users; nothing changed.
        """
        keys = {(tenant, user) for user in users}
        if len(keys) > self._watch_most:
            raise Full(f"at most {self._watch_most} users can be watched")
        self.unwatch(watcher)
        if keys:
            self._watchers[watcher] = keys
        for key in keys:
            self._watched.setdefault(key, {})[watcher] = None

    def unwatch(self, watcher: Hashable) -> None:
        """`watcher` hears nothing any more. Unknown ones do not matter."""
        for key in self._watchers.pop(watcher, ()):
            watchers = self._watched[key]
            del watchers[watcher]
            if not watchers:
                del self._watched[key]

    # --- inside -----------------------------------------------------------------------------

    def _of(self, key: Key) -> _Known:
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = _Known(at=self._left.pop(key, 0))
        return known

    def _check(self, key: Key, known: _Known, now: float) -> None:
        """Bring one user up to `now`: end what is over, note what changed, plan the next look."""
        for session, sign in list(known.sessions.items()):
            if sign.seen + self._ttl <= now:
                del known.sessions[session]
        for node, view in list(known.views.items()):
            if view.until <= now:
                del known.views[node]
        self._settle_here(key, known, now)
        states = [known.here, *(view.state for view in known.views.values())]
        whole = max(states, key=RANK.__getitem__)
        if whole != known.whole:
            known.whole = whole
            self._note(key, known)
        self._plan(key, known, now)

    def _settle_here(self, key: Key, known: _Known, now: float) -> None:
        """Let this node's view rise at once, fall after its grace time; publish what changed."""
        state = OFFLINE
        for sign in known.sessions.values():
            if not sign.away:
                state = ONLINE
                break
            state = AWAY
        if RANK[state] >= RANK[known.here]:
            known.fall_to = ""
        elif state != known.fall_to:
            known.fall_to, known.falls_at = state, now + self._grace
        falls = known.fall_to and now >= known.falls_at
        changed = RANK[state] > RANK[known.here] or bool(falls)
        if changed:
            known.here, known.fall_to = state, ""
        if changed or (known.here != OFFLINE and now >= known.refresh_at):
            known.refresh_at = now + self._refresh
            known.stamp = max(known.at, known.stamp + 1)
            tenant, user = key
            self._publish.append(PresenceChanged(self.node, tenant, user, known.here, known.stamp))

    def _note(self, key: Key, known: _Known) -> None:
        watchers = tuple(self._watched.get(key, ()))
        self._tell.pop(key, None)
        if watchers:
            self._tell[key] = Told(*key, known.whole, known.at, watchers)

    def _plan(self, key: Key, known: _Known, now: float) -> None:
        """Put the next moment at which something may end into the schedule, or forget."""
        ends = [sign.seen + self._ttl for sign in known.sessions.values()]
        ends += [view.until for view in known.views.values()]
        if known.fall_to:
            ends.append(known.falls_at)
        if not ends:
            del self._known[key]
            self._remember(key, max(known.at, known.stamp))
            return
        when = min(ends)
        # An earlier look stays in the schedule: it finds nothing and plans again. So heartbeats
        # add nothing to it.
        if not known.check_at or when < known.check_at:
            known.check_at = when
            heappush(self._schedule, (when, key))

    def _remember(self, key: Key, at: int) -> None:
        self._left[key] = max(at, self._left.pop(key, 0))
        if len(self._left) > REMEMBERED:
            self._left.popitem(last=False)
