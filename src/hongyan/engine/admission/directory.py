"""Accounts and places of devices as they were read a moment ago.

When many come at once, each of them asks the same of the store as the one before: does the account
exist, may it be here, has the device its place? What this node read or wrote is kept for a short
while; what it writes itself holds at once. What another node writes is heard of by its hint, and
holds after KEEP_S where the hint is lost. Accounts asked for in one turn of the loop are read
together.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from hongyan.model.ids import DeviceId, TenantId, UserId
from hongyan.ports import ApiKey, Bus, Clock, Device, Directory, Evicted, Hint, User

KEEP_S = 30.0
MOST = 32_768  # accounts, and as many devices: about 20 MB together
MOST_DEVICES = 16  # of one of them
TOGETHER = 256  # accounts in one question

Key = tuple[TenantId, UserId]


class _Asked:
    """A read on its way; spoiled by a write that ended meanwhile."""

    __slots__ = ("answer", "spoiled")

    def __init__(self, answer: asyncio.Future[User | None]) -> None:
        self.answer, self.spoiled = answer, False


class _Writes:
    """Writes on their way, of one user's account or devices."""

    __slots__ = ("count", "crossed")

    def __init__(self) -> None:
        self.count = 1
        self.crossed = False  # there were two at once, or another node wrote


def _begin(table: dict[Key, _Writes], key: Key) -> None:
    writes = table.get(key)
    if writes is None:
        table[key] = _Writes()
    else:
        writes.count += 1
        writes.crossed = True


def _end(table: dict[Key, _Writes], key: Key) -> bool:
    """Whether it was alone: only then it is known what stands in the store."""
    writes = table[key]
    writes.count -= 1
    if not writes.count:
        del table[key]
    return not writes.crossed


class _Place(msgspec.Struct, frozen=True, gc=False):
    """A device that was admitted."""

    cls: str
    epoch: int
    most: int
    until: float


class KeptDirectory:
    """A Directory before another one; see the port for every method."""

    def __init__(self, directory: Directory, bus: Bus, clock: Clock) -> None:
        """Listens to the bus for as long as it lives."""
        self._to, self._clock = directory, clock
        self._users: OrderedDict[Key, tuple[User, float]] = OrderedDict()
        self._places: OrderedDict[Key, dict[DeviceId, _Place]] = OrderedDict()
        self._asked: dict[Key, _Asked] = {}
        self._batch: dict[Key, _Asked] = {}  # asked in this turn of the loop
        self._writing: dict[Key, _Writes] = {}
        self._moving: dict[Key, _Writes] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.hits = self.misses = 0
        bus.subscribe(self._hint)

    # --- accounts -------------------------------------------------------------------------------

    async def user(self, tenant: TenantId, user: UserId) -> User | None:
        """See the port."""
        key = (tenant, user)
        kept = self._users.get(key)
        if kept is not None and kept[1] > self._clock.monotonic():
            self.hits += 1
            return kept[0]
        asked = self._asked.get(key)
        if asked is None:
            self.misses += 1
            asked = self._ask(key)
        return await asyncio.shield(asked.answer)

    def _ask(self, key: Key) -> _Asked:
        loop = asyncio.get_running_loop()
        asked = _Asked(loop.create_future())
        self._asked[key] = asked
        if not self._batch:
            loop.call_soon(self._read_batch)
        self._batch[key] = asked
        return asked

    def _read_batch(self) -> None:
        batch, self._batch = self._batch, {}
        by_tenant: dict[TenantId, dict[Key, _Asked]] = {}
        for key, asked in batch.items():
            by_tenant.setdefault(key[0], {})[key] = asked
        for tenant, mine in by_tenant.items():
            keys = list(mine)
            for start in range(0, len(keys), TOGETHER):
                part = {key: mine[key] for key in keys[start : start + TOGETHER]}
                task = asyncio.get_running_loop().create_task(self._read(tenant, part))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _read(self, tenant: TenantId, part: dict[Key, _Asked]) -> None:
        try:
            found = {u.user: u for u in await self._to.users(tenant, [key[1] for key in part])}
        except BaseException as why:  # whatever it is, it is theirs who asked
            for key, asked in part.items():
                self._done(key, asked)
                if not asked.answer.done():
                    asked.answer.set_exception(why)
                    asked.answer.exception()  # who asked may be gone
            if not isinstance(why, Exception):
                raise
            return
        for key, asked in part.items():
            self._done(key, asked)
            account = found.get(key[1])
            if account is not None and not asked.spoiled:
                self._keep(key, account)
            if not asked.answer.done():
                asked.answer.set_result(account)

    def _done(self, key: Key, asked: _Asked) -> None:
        if self._asked.get(key) is asked:
            del self._asked[key]

    def _keep(self, key: Key, account: User) -> None:
        self._users[key] = (account, self._clock.monotonic() + KEEP_S)
        self._users.move_to_end(key)
        if len(self._users) > MOST:
            self._users.popitem(last=False)

    async def put_user(self, user: User, *, create: bool = False) -> None:
        """See the port."""
        key = (user.tenant, user.user)
        _begin(self._writing, key)
        try:
            await self._to.put_user(user, create=create)
        except BaseException:
            _end(self._writing, key)
            self._forget(key)
            raise
        self._forget(key)
        if _end(self._writing, key):
            self._keep(key, user)

    def _forget(self, key: Key) -> None:
        self._users.pop(key, None)
        if key in self._batch:
            return  # that read has not begun
        asked = self._asked.pop(key, None)
        if asked is not None:
            asked.spoiled = True

    def _hint(self, hint: Hint) -> None:
        if isinstance(hint, Evicted):  # a device lost its place, or the account changed
            key = (hint.tenant, hint.user)
            self._forget(key)
            self._places.pop(key, None)
            if key in self._moving:
                self._moving[key].crossed = True

    # --- devices --------------------------------------------------------------------------------

    async def admit(
        self, tenant: TenantId, user: UserId, device: Device, *, most: int, now_ms: int
    ) -> list[DeviceId]:
        """See the port. A login that had its place a moment ago has it still, unless something
        was written of the user's devices since; `seen_at` may then be KEEP_S old."""
        key = (tenant, user)
        place = self._places.get(key, {}).get(device.device)
        if place is not None and key not in self._moving:
            same = (place.cls, place.epoch, place.most) == (device.cls, device.epoch, most)
            if same and place.until > self._clock.monotonic():
                return []
        alone = False
        _begin(self._moving, key)
        try:
            evicted = await self._to.admit(tenant, user, device, most=most, now_ms=now_ms)
            alone = True
        finally:
            alone = _end(self._moving, key) and alone
            if not alone:
                self._places.pop(key, None)
        if alone:
            self._place(key, device, most, evicted)
        return evicted

    def _place(self, key: Key, device: Device, most: int, evicted: list[DeviceId]) -> None:
        until = self._clock.monotonic() + KEEP_S
        mine = self._places.setdefault(key, {})
        for other in evicted:
            mine.pop(other, None)
        mine[device.device] = _Place(device.cls, device.epoch, most, until)
        self._places.move_to_end(key)
        if len(mine) > MOST_DEVICES:
            del mine[next(iter(mine))]
        if len(self._places) > MOST:
            self._places.popitem(last=False)

    async def revoke(self, tenant: TenantId, user: UserId, device: DeviceId) -> None:
        """See the port."""
        _begin(self._moving, key := (tenant, user))
        try:
            await self._to.revoke(tenant, user, device)
        finally:
            _end(self._moving, key)
            self._places.pop(key, None)

    async def forget_devices(self, tenant: TenantId, user: UserId) -> None:
        """See the port."""
        _begin(self._moving, key := (tenant, user))
        try:
            await self._to.forget_devices(tenant, user)
        finally:
            _end(self._moving, key)
            self._places.pop(key, None)

    # --- what is asked seldom -------------------------------------------------------------------

    async def users(self, tenant: TenantId, ids: Sequence[UserId]) -> list[User]:
        """See the port."""
        return await self._to.users(tenant, ids)

    async def list_users(
        self, tenant: TenantId, *, after: str = "", limit: int = 100
    ) -> list[User]:
        """See the port."""
        return await self._to.list_users(tenant, after=after, limit=limit)

    async def find_users(self, tenant: TenantId, text: str, *, limit: int = 20) -> list[User]:
        """See the port."""
        return await self._to.find_users(tenant, text, limit=limit)

    async def devices(self, tenant: TenantId, user: UserId) -> list[Device]:
        """See the port."""
        return await self._to.devices(tenant, user)

    async def key(self, digest: bytes) -> ApiKey | None:
        """See the port."""
        return await self._to.key(digest)

    async def keys(self, tenant: TenantId) -> list[ApiKey]:
        """See the port."""
        return await self._to.keys(tenant)

    async def put_key(self, key: ApiKey) -> None:
        """See the port."""
        await self._to.put_key(key)

    async def drop_key(self, tenant: TenantId, key_id: str) -> bool:
        """See the port."""
        return await self._to.drop_key(tenant, key_id)
