"""People, devices and keys in dicts."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from hongyan.adapters import logins
from hongyan.adapters.people import asked, starts
from hongyan.model.errors import Conflict
from hongyan.model.ids import DeviceId, TenantId, UserId
from hongyan.ports import ApiKey, Device, User


class MemoryDirectory:
    """The model of the Directory port."""

    def __init__(self) -> None:
        """Empty."""
        self._users: dict[tuple[str, str], User] = {}
        self._devices: dict[tuple[str, str], dict[DeviceId, Device]] = {}
        self._keys: dict[tuple[str, str], ApiKey] = {}

    async def user(self, tenant: TenantId, user: UserId) -> User | None:
        """See the port."""
        return self._users.get((tenant, user))

    async def users(self, tenant: TenantId, ids: Sequence[UserId]) -> list[User]:
        """See the port."""
        return [found for user in set(ids) if (found := self._users.get((tenant, user)))]

    async def list_users(
        self, tenant: TenantId, *, after: str = "", limit: int = 100
    ) -> list[User]:
        """See the port."""
        names = sorted(u for t, u in self._users if t == tenant and u > after)
        return [self._users[tenant, name] for name in names[:limit]]

    async def find_users(self, tenant: TenantId, text: str, *, limit: int = 20) -> list[User]:
        """See the port."""
        found: dict[UserId, User] = {}
        people = [u for u in self._users.values() if u.tenant == tenant and not u.disabled]
        for wanted in asked(text):
            hits = [
                (start, user.user, user)
                for user in people
                for start in starts(user.user, user.name)
                if start.startswith(wanted)
            ]
            for _, name, user in sorted(hits, key=lambda hit: hit[:2]):
                found.setdefault(name, user)
        return list(found.values())[:limit]

    async def put_user(self, user: User, *, create: bool = False) -> None:
        """See the port."""
        if create and (user.tenant, user.user) in self._users:
            raise Conflict(f"user {user.user} exists")
        self._users[user.tenant, user.user] = user

    async def admit(
        self, tenant: TenantId, user: UserId, device: Device, *, most: int, now_ms: int
    ) -> list[DeviceId]:
        """See the port."""
        rows = self._devices.get((tenant, user), {})
        mine, losers = logins.admit(rows.values(), device, most=most, now_ms=now_ms)
        rows = self._devices.setdefault((tenant, user), rows)
        rows.update({row.device: row for row in (mine, *losers)})
        return [row.device for row in losers]

    async def devices(self, tenant: TenantId, user: UserId) -> list[Device]:
        """See the port."""
        rows = self._devices.get((tenant, user), {}).values()
        return sorted(rows, key=lambda d: (d.epoch, d.device), reverse=True)

    async def revoke(self, tenant: TenantId, user: UserId, device: DeviceId) -> None:
        """See the port."""
        rows = self._devices.get((tenant, user), {})
        if (row := rows.get(device)) is not None:
            rows[device] = replace(row, kicked=max(row.kicked, row.epoch))

    async def forget_devices(self, tenant: TenantId, user: UserId) -> None:
        """See the port."""
        self._devices.pop((tenant, user), None)

    async def key(self, digest: bytes) -> ApiKey | None:
        """See the port."""
        return next((key for key in self._keys.values() if key.digest == digest), None)

    async def keys(self, tenant: TenantId) -> list[ApiKey]:
        """See the port."""
        return sorted((k for k in self._keys.values() if k.tenant == tenant), key=lambda k: k.id)

    async def put_key(self, key: ApiKey) -> None:
        """See the port."""
        self._keys[key.tenant, key.id] = key

    async def drop_key(self, tenant: TenantId, key_id: str) -> bool:
        """See the port."""
        return self._keys.pop((tenant, key_id), None) is not None
