"""Those who watch live logs, as a crowd: how many came, how hot it is, and who has to go when a
log closes to them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from hongyan.engine.live.log import LiveLog
from hongyan.engine.live.logs import LiveLogs
from hongyan.engine.live.popularity import HEAT, VISITORS, Popularity
from hongyan.engine.logs import LogState
from hongyan.engine.peer import Peer
from hongyan.model.errors import Full, Refusal
from hongyan.model.ids import LogId, UserId
from hongyan.model.kind import Kind
from hongyan.ports import Clock
from hongyan.wire.frames import Signal

LIST_S = 1.0  # how old a list may be: many ask for it at once
SLICE = 256  # viewers judged before others have their turn of the loop: 1 ms
DISMISSED = "dismissed"  # the signal to a viewer who may not watch any more


class _Crowd:
    __slots__ = ("audience", "epoch", "kind", "listing", "popularity")

    def __init__(self, epoch: int, kind: Kind, state: Any) -> None:
        self.epoch, self.kind = epoch, kind
        self.audience, self.listing = kind.audience(state), kind.listing(state)
        self.popularity = Popularity(kind.heat)


class Listed(msgspec.Struct, frozen=True):
    """A live log on a list."""

    log: LogId
    heat: int
    online: int
    about: Mapping[str, Any]  # what its kind shows


class Crowds:
    """By log. Sync."""

    def __init__(
        self, logs: LiveLogs, clock: Clock, may_watch: Callable[[Peer, LogState], None]
    ) -> None:
        """`may_watch` raises why a peer may not."""
        self._logs, self._clock, self._may_watch = logs, clock, may_watch
        self._crowds: dict[LogId, _Crowd] = {}
        self._lists: dict[str, tuple[float, list[Listed]]] = {}  # by beginning of ids, and when

    def begins(self, live: LiveLog, state: LogState) -> None:
        """A live log is held from now on."""
        self._crowds[live.log] = _Crowd(live.epoch, state.kind, state.state)

    def came(self, log: LogId, user: UserId, *, new: bool) -> None:
        """Somebody watches. Not `new`: did so before this life of the log."""
        if (crowd := self._crowds.get(log)) is not None:
            crowd.popularity.came(user, new=new)

    def happened(self, log: LogId, what: str, n: int) -> None:
        """Something that makes it hotter, perhaps."""
        if (crowd := self._crowds.get(log)) is not None:
            crowd.popularity.happened(what, n, self._clock.monotonic())

    def dismiss(self, log: LogId, peers: Iterable[Peer]) -> None:
        """Tell them that they may not watch any more, and let them go."""
        for peer in peers:
            assert peer.identity is not None
            peer.say(Signal(log=log, name=DISMISSED, user=peer.identity.user))
            self._logs.leave(log, peer)

    def changed(self, live: LiveLog, state: LogState) -> None:
        """The state is another one: where it says so, viewers are judged again."""
        crowd, audience = self._crowds.get(live.log), state.kind.audience(state.state)
        if crowd is None:
            return
        crowd.listing = state.kind.listing(state.state)
        if crowd.audience != audience:
            crowd.audience = audience
            self._judge(live, state, list(live.viewers), 0)

    def _judge(self, live: LiveLog, state: LogState, peers: list[Peer], start: int) -> None:
        for peer in peers[start : start + SLICE]:
            try:
                self._may_watch(peer, state)
            except Refusal:
                self.dismiss(live.log, [peer])
        if start + SLICE < len(peers):
            loop = asyncio.get_running_loop()
            loop.call_soon(self._judge, live, state, peers, start + SLICE)

    def count(self) -> None:
        """Tell what is known now; forget logs that are not held any more."""
        now = self._clock.monotonic()
        self._lists.clear()
        for log, crowd in list(self._crowds.items()):
            live = self._logs.get(log)
            if live is None or live.epoch != crowd.epoch:
                del self._crowds[log]
            elif crowd.kind.heat:
                try:
                    self._tell(live, crowd.popularity, now)
                except Full:  # a log may fill all its places with values of its own
                    continue
                if live.values.changed:
                    self._logs.touched(live)

    def _tell(self, live: LiveLog, popularity: Popularity, now: float) -> None:
        more = popularity.visitors(now)
        if more:
            live.values.add(VISITORS, more)
        live.values.put(HEAT, popularity.heat(len(live.viewers), now))

    def listed(self, prefix: str) -> list[Listed]:
        """The live logs with ids that begin so and that want to be found, the hottest first. At
        most LIST_S old; not to be changed."""
        now = self._clock.monotonic()
        known = self._lists.get(prefix)
        if known is not None and now - known[0] < LIST_S:
            return known[1]
        found = []
        for log, crowd in self._crowds.items():
            live = self._logs.get(log)
            if crowd.listing is not None and live is not None and log.startswith(prefix):
                online = len(live.viewers)
                heat = crowd.popularity.heat(online, now)
                found.append(Listed(log, heat, online, crowd.listing))
        found.sort(key=lambda one: (-one.heat, one.log))
        self._lists[prefix] = (now, found)
        return found
