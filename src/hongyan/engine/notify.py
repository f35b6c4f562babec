"""What users are told beside entries: changed rows, moved cursors, presence."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import msgspec
import structlog

from hongyan.engine.hub import Hub
from hongyan.engine.limits import CallLimits
from hongyan.engine.logs import LogCache
from hongyan.engine.peer import Peer
from hongyan.engine.presence import Presence
from hongyan.engine.sync import Cursors, Reader
from hongyan.model.errors import Refusal
from hongyan.model.ids import LogId, TenantId, UserId, self_log, user_key
from hongyan.ports import Bus, Clock, CursorMoved, Hint, Moved, PresenceChanged, RowsChanged, Store
from hongyan.wire.frames import Inbox, InboxPage, Signal

logger = structlog.get_logger(__name__)

PRESENCE_TICK_S = 0.5
LIVE_RECEIPTS = 20  # members up to which everybody is told of everybody's cursors at once


class Notifier:
    """Turns hints into frames for the sessions of single users.

    Rows are read again after a change and pushed whole, many changes of a moment together: a
    row is absolute, so what is merged or lost in between costs nothing but time.
    """

    def __init__(
        self,
        *,
        hub: Hub,
        cache: LogCache,
        store: Store,
        reader: Reader,
        bus: Bus,
        clock: Clock,
        presence: Presence,
        limits: CallLimits,
        silent: Collection[str] = (),
    ) -> None:
        """Takes the hub's callbacks; nothing runs before `start`. In logs of the kinds (by code)
        in `silent` nobody is told of cursors."""
        self._silent = silent
        self._hub, self._cache, self._reader = hub, cache, reader
        self._bus, self._clock, self._presence = bus, clock, presence
        self.limits = limits  # signals are counted with calls
        self.cursors = Cursors(store, self._moved)
        self._rows: dict[tuple[TenantId, UserId], dict[LogId, None]] = {}
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        hub.on_rows = self._rows_changed
        hub.on_other = self._other

    def start(self) -> None:
        """Begin; needs a running loop."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._push_rows()), loop.create_task(self._announce())]

    async def stop(self) -> None:
        """Write the cursors that wait, then stop."""
        self.cursors.flush(everything=True)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    # --- rows -------------------------------------------------------------------------------

    def _rows_changed(self, hint: RowsChanged) -> None:
        waiting = self._rows.setdefault((hint.tenant, hint.user), {})
        waiting.update(dict.fromkeys(hint.logs))
        self._wake.set()

    async def _push_rows(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            waiting, self._rows = self._rows, {}
            for (tenant, user), logs in waiting.items():
                peers = list(self._hub.users.get(user_key(tenant, user), ()))
                if not peers:
                    continue
                try:
                    rows = await self._reader.rows(tenant, user, list(logs))
                except Refusal as why:
                    logger.warning("rows not pushed", user=user, error=why.text)
                    continue  # the digest of the next heartbeat makes the client sync
                except Exception:  # one broken row must not cost all others theirs
                    logger.exception("rows not pushed", user=user)
                    continue
                for peer in peers:
                    peer.say(Inbox(page=InboxPage(rows=rows, upto=0)))

    # --- cursors ----------------------------------------------------------------------------

    def _moved(
        self, tenant: TenantId, user: UserId, log: LogId, moved: Moved, reading: bool
    ) -> None:
        if not moved.changed:
            return
        if reading:  # the user's other devices show another unread count now
            self._bus.publish(RowsChanged(tenant, user, (log,)))
        state = self._cache.get(log)
        told = state is not None and state.kind.receipts and state.kind.code not in self._silent
        if state is not None and told and state.count <= LIVE_RECEIPTS:
            self._bus.publish(CursorMoved(log, user, moved.position))

    # --- presence ---------------------------------------------------------------------------

    def came(self, peer: Peer) -> None:
        """A session opened."""
        self.away(peer, away=False)

    def away(self, peer: Peer, away: bool) -> None:
        """A session gave a sign of life; `away`: its person is not there."""
        caller = peer.caller
        if caller is not None:
            now, at = self._clock.monotonic(), self._clock.now_ms()
            self._presence.seen(caller.tenant, caller.user, peer, now, at, away=away)

    def left(self, peer: Peer) -> None:
        """A session closed."""
        caller = peer.caller
        self._presence.unwatch(peer)
        if caller is not None:
            now, at = self._clock.monotonic(), self._clock.now_ms()
            self._presence.left(caller.tenant, caller.user, peer, now, at)

    def watch(self, peer: Peer, users: list[UserId]) -> None:
        """Tell this session of changes of these users, and of no others. Raises Full."""
        if peer.caller is not None:
            self._presence.watch(peer, peer.caller.tenant, users)

    def _other(self, hint: Hint) -> None:
        if isinstance(hint, PresenceChanged):
            self._presence.heard(hint, self._clock.monotonic())

    async def _announce(self) -> None:
        while True:
            await asyncio.sleep(PRESENCE_TICK_S)
            due = self._presence.due(self._clock.monotonic())
            for hint in due.publish:
                self._bus.publish(hint)
            for told in due.tell:
                body = msgspec.json.encode({"state": told.state, "last_seen": told.last_seen})
                frame = Signal(
                    log=self_log(told.tenant, told.user),
                    name="presence",
                    body=msgspec.Raw(body),
                    user=told.user,
                )
                for watcher in told.watchers:
                    if isinstance(watcher, Peer):
                        watcher.say(frame)
