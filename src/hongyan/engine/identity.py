"""What the server knows of whoever is calling."""

from __future__ import annotations

import msgspec

from hongyan.model.ids import DeviceId, LogId, TenantId, UserId

SCOPES = frozenset({"users", "send", "send_as", "read", "admin", "metrics"})  # of API keys


class Identity(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Somebody who was let in. `user` is "" for an API key that speaks for nobody (`act_as`)."""

    tenant: TenantId
    user: UserId
    epoch: int  # ms; orders the logins of a user
    device: DeviceId = DeviceId("")  # the only device the token is good for; "" = any
    name: str = ""  # as shown to people; "" where it was not read
    admin: bool = False
    scopes: tuple[str, ...] = ()  # of an API key
    key: str = ""  # the id of the API key
    expires_at: int = 0  # ms; 0 = never
    guest: LogId | None = None  # a viewer without an account: may watch this live log only

    def may(self, scope: str) -> bool:
        """Does this identity carry the right? Administrators carry all."""
        return self.admin or scope in self.scopes
