"""Pulls: a back end fetches a tenant's entries under a name and acknowledges how far it has come.

The cursor moves only by an acknowledgement: what was given and not acknowledged is given again.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence

import msgspec

from hongyan.engine.backends.events import Event, Wanted, check_filters, event_of
from hongyan.engine.backends.feed import SharedFeed
from hongyan.engine.identity import Identity
from hongyan.model.errors import BadArgs, BadId, Conflict, Forbidden, Full, NoSuchEntry
from hongyan.model.ids import TenantId
from hongyan.model.outlets import Pull
from hongyan.ports import Clock, FeedItem, Outlets, Store

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}", re.ASCII)
MOST_EVENTS = 500
MOST_BYTES = 2 * 1024 * 1024  # of bodies in one answer, roughly
MOST_WAIT_S = 30.0
SCAN = 200  # entries of the feed looked at in one go
MOST_SCANS = 50  # of them in one request; then the answer is short, and says there is more
MOST_WAITING = 64  # requests of a tenant that wait at once
POLL_S = 5.0  # when a hint was lost
GATHER_S = 0.02  # from a hint to the look: commits come in bursts


class PullEvent(msgspec.Struct, frozen=True, gc=False):
    """An event and its place in the feed: the position to acknowledge once it is done."""

    pos: int
    event: Event


class PullPage(msgspec.Struct, frozen=True):
    """Events after the acknowledged position. Acknowledge `next` when all are done. `lag` counts
    positions of the feed that are not acknowledged; those of other tenants are among them."""

    events: list[PullEvent]
    next: int
    more: bool
    lag: int


class PullView(msgspec.Struct, frozen=True, kw_only=True):
    """A pull as its owner sees it."""

    name: str
    pos: int
    kinds: tuple[str, ...]
    types: tuple[str, ...]
    created_at: int
    lag: int
    lag_ms: int  # age of the oldest entry not acknowledged, of any tenant; 0 = there is none


class Pulls:
    """For administrators and API keys with the scope `read`.

    Every method may raise Forbidden and StoreDown (retry), and NoSuchEntry where there is no
    pull of the name.
    """

    def __init__(
        self,
        known: Mapping[str, str],
        *,
        store: Store,
        outlets: Outlets,
        clock: Clock,
        most: int = 16,
    ) -> None:
        """`known` are the names of kinds by code; a tenant may have `most`."""
        self._known, self._store, self._outlets, self._clock = known, store, outlets, clock
        self._most = most
        self._feed = SharedFeed(store)
        self._commits = 0  # that we were told of
        self._news = asyncio.Event()
        self._waiting: dict[TenantId, int] = {}
        self._stopping = False

    def wake(self) -> None:
        """Something was committed. Never waits."""
        self._feed.wake()
        self._commits += 1
        if self._waiting:
            self._news.set()
            self._news = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Requests that wait now, of all tenants."""
        return sum(self._waiting.values())

    def stop(self) -> None:
        """Requests that wait are answered at once."""
        self._stopping = True
        self._news.set()

    async def list(self, who: Identity) -> list[PullView]:
        """All of the tenant."""
        return [await self._view(pull) for pull in await self._outlets.pulls(_tenant(who))]

    async def create(
        self,
        who: Identity,
        name: str,
        *,
        kinds: tuple[str, ...] = (),
        types: tuple[str, ...] = (),
        beginning: bool = False,
    ) -> PullView:
        """A pull for what is committed from now on, or from the `beginning`.

        Raises: BadId, BadArgs; Full: there are enough; Conflict: there is one of the name.
        """
        tenant = _tenant(who)
        if NAME.fullmatch(name) is None:
            raise BadId(f"a consumer's name must match {NAME.pattern}")
        check_filters(kinds, types, self._known)
        known = await self._outlets.pulls(tenant)
        if any(pull.name == name for pull in known):
            raise Conflict(f"consumer {name} exists")
        if len(known) >= self._most:
            raise Full(f"a tenant has at most {self._most} consumers")
        pull = Pull(
            tenant=tenant,
            name=name,
            pos=0 if beginning else await self._store.feed_end(),
            kinds=kinds,
            types=types,
            created_at=self._clock.now_ms(),
        )
        await self._outlets.put_pull(pull)
        return await self._view(pull)

    async def fetch(self, who: Identity, name: str, *, limit: int, wait_s: float) -> PullPage:
        """The first events after the acknowledged position, at most `limit`; where there are
        none, wait up to `wait_s` for one.

        Raises: Full: too many requests of the tenant wait already.
        """
        pull = await self._find(who, name)
        wanted = Wanted(pull.tenant, pull.kinds, pull.types, self._known)
        until = self._clock.monotonic() + min(wait_s, MOST_WAIT_S)
        scanned = pull.pos
        while True:
            seen = self._commits
            found, scanned, more = await self._scan(wanted, scanned, limit)
            left = until - self._clock.monotonic()
            if found or more or left <= 0 or self._stopping:
                break
            if self._commits == seen:  # else there is news already
                await self._wait(pull.tenant, min(left, POLL_S))
            await asyncio.sleep(min(GATHER_S, left))
        if not found and scanned > pull.pos:
            # Nothing of it is wanted: nobody needs to acknowledge it, and the next look is short.
            await self._outlets.move_pull(pull.tenant, pull.name, scanned)
        lag = max(await self._store.feed_end() - pull.pos, 0)
        events = [PullEvent(item.pos, event_of(item, self._known)) for item in found]
        return PullPage(events, scanned, more, lag)

    async def _scan(
        self, wanted: Wanted, after: int, limit: int
    ) -> tuple[Sequence[FeedItem], int, bool]:
        """Wanted entries after `after`, the position looked up to, whether there may be more."""
        found: list[FeedItem] = []
        size = 0
        for _ in range(MOST_SCANS):
            items = await self._feed.feed(after=after, limit=SCAN)
            for item in items:
                if wanted.takes(item):
                    found.append(item)
                    size += len(bytes(item.entry.body))
                after = item.pos
                if len(found) >= limit or size >= MOST_BYTES:
                    return found, after, True
            if len(items) < SCAN:
                return found, after, False
        return found, after, True

    async def _wait(self, tenant: TenantId, seconds: float) -> None:
        waiting = self._waiting.get(tenant, 0)
        if waiting >= MOST_WAITING:
            raise Full(f"{MOST_WAITING} requests of this tenant wait already")
        self._waiting[tenant] = waiting + 1
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            pass
        finally:
            self._waiting[tenant] -= 1
            if not self._waiting[tenant]:
                del self._waiting[tenant]

    async def ack(self, who: Identity, name: str, pos: int) -> PullView:
        """Everything up to `pos` is done. A lower one than before changes nothing.

        Raises: BadArgs: there is no such position yet.
        """
        pull = await self._find(who, name)
        if pos > await self._store.feed_end():
            raise BadArgs("pos lies beyond the feed")
        moved = await self._outlets.move_pull(pull.tenant, name, pos)
        if moved < 0:
            raise NoSuchEntry("there is no such consumer")
        return await self._view(msgspec.structs.replace(pull, pos=moved))

    async def drop(self, who: Identity, name: str) -> bool:
        """Forget it; False where there was none."""
        return await self._outlets.drop_pull(_tenant(who), name)

    async def _find(self, who: Identity, name: str) -> Pull:
        pull = await self._outlets.pull(_tenant(who), name)
        if pull is None:
            raise NoSuchEntry("there is no such consumer: make it with POST /v1/consumers")
        return pull

    async def _view(self, pull: Pull) -> PullView:
        oldest = await self._store.feed(after=pull.pos, limit=1)
        age = self._clock.now_ms() - oldest[0].entry.at if oldest else 0
        return PullView(
            name=pull.name,
            pos=pull.pos,
            kinds=pull.kinds,
            types=pull.types,
            created_at=pull.created_at,
            lag=max(await self._store.feed_end() - pull.pos, 0),
            lag_ms=max(age, 0),
        )


def _tenant(who: Identity) -> TenantId:
    """Raises Forbidden for all but administrators and keys with the scope `read`."""
    if not who.may("read"):
        raise Forbidden("this needs an administrator or a key with the scope read")
    return who.tenant
