"""What the operator's back end does with one person: kick, block, token, and a copy of all data."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import msgspec

from hongyan.engine.callers import Caller
from hongyan.engine.identity import Identity
from hongyan.engine.parts import Parts
from hongyan.model.errors import BadState, Forbidden, Kicked
from hongyan.model.ids import (
    DEVICE,
    DeviceId,
    LogId,
    OpId,
    Seq,
    TenantId,
    UserId,
    check,
    self_log,
)
from hongyan.model.log import Entry
from hongyan.ports import Device, Evicted, User
from hongyan.wire import frames as f

SCAN = 500  # entries looked through at once


class Persons:
    """Every method takes who asks, and raises Forbidden for who may not, NoSuchUser, BadId."""

    def __init__(self, parts: Parts) -> None:
        """Shares the gateway's parts."""
        self._p = parts
        self._accounts = parts.authenticator.accounts

    async def look(self, by: Identity, user: str) -> tuple[User, list[Device]]:
        """An account and its devices, newest login first."""
        account = await self._accounts.theirs(by, user)
        return account, await self._p.directory.devices(account.tenant, account.user)

    async def kick(self, by: Identity, user: str, device: str = "") -> list[DeviceId]:
        """Log out one device, or all: connections end, tokens of this server are void. Returns
        the devices that were logged in."""
        if device:
            check(DEVICE, device, "device")
        account, devices = await self.look(by, user)
        gone = [d for d in devices if d.epoch > d.kicked and device in ("", d.device)]
        if not device:
            await self._accounts.end_logins(account)
        for one in gone:
            await self._p.directory.revoke(account.tenant, account.user, one.device)
            hint = Evicted(account.tenant, account.user, one.device, one.epoch, Kicked.code)
            self._p.bus.publish(hint)
        return [one.device for one in gone]

    async def token(self, by: Identity, user: str, *, device: str, ttl_s: int) -> str:
        """A token for somebody, as a new login.

        Raises:
            Forbidden: `by` lacks the scope `send_as`, or the account is an administrator's.
            Disabled.
        """
        if not by.may("send_as"):
            raise Forbidden("this needs an administrator or a key with the scope send_as")
        account = await self._p.authenticator.other(by, user)
        return await self._p.authenticator.grant(
            account.tenant, account.user, device=device, ttl_s=ttl_s
        )

    async def blocks(self, by: Identity, user: str) -> dict[UserId, int]:
        """Whom a user has blocked, since when (ms)."""
        account = await self._accounts.theirs(by, user)
        info = await self._p.store.info(self_log(account.tenant, account.user))
        if info is None:
            return {}
        blocked = msgspec.json.decode(info.state).get("blocked", {})
        return {UserId(other): int(at) for other, at in blocked.items()}

    async def block(
        self, by: Identity, user: str, other: str, on: bool, *, op: str = "", ip: str = ""
    ) -> f.Ack:
        """Block or unblock `other` in the name of `user`. Raises BadState: erased."""
        account = await self._accounts.theirs(by, user)
        if account.erased:
            raise BadState("this account was erased")
        caller = Caller(account.tenant, account.user, DeviceId("http"), ip=ip)
        call = f.Call(
            ref=1,
            name="own.block" if on else "own.unblock",
            op=OpId(op or uuid4().hex),
            args=msgspec.Raw(msgspec.json.encode({"user": other})),
        )
        return await self._p.pipeline.call(caller, call)

    async def export(self, by: Identity, user: str) -> AsyncIterator[dict[str, Any]]:
        """All that is kept of a person, piece by piece: see `docs/http-api.md` for the pieces.
        Holds one page of a log at a time. The rights are checked before this returns: an API key
        needs the scopes `users` and `read`."""
        if not by.may("read"):
            raise Forbidden("the key lacks the scope read")
        account, devices = await self.look(by, user)
        return self._pieces(account, devices)

    async def _pieces(self, account: User, devices: list[Device]) -> AsyncIterator[dict[str, Any]]:
        tenant, user = account.tenant, account.user
        shown = msgspec.structs.asdict(account)
        for secret in ("password", "made"):
            del shown[secret]
        yield {"piece": "account", **shown}
        for device in devices:
            yield {"piece": "device", **msgspec.structs.asdict(device)}
        for key in await self._p.directory.keys(tenant):
            if key.user == user:
                yield {"piece": "key", "id": key.id, "scopes": key.scopes, "at": key.created_at}
        logs, entries = 0, 0
        for log in await logs_of(self._p, tenant, user):
            for row in await self._p.store.rows(tenant, user, [log]):
                logs += 1
                # What others said last is not this person's; the state is the log's.
                last = None if row.last and row.last.sender != user else row.last
                state = row.state if log == self_log(tenant, user) else msgspec.Raw(b"{}")
                yield {
                    "piece": "membership",
                    "row": msgspec.structs.replace(row, last=last, state=state),
                }
            async for page in authored(self._p, log, user):
                for entry in page:
                    entries += 1
                    yield {"piece": "entry", "log": log, "entry": entry}
        yield {"piece": "end", "logs": logs, "entries": entries}


async def logs_of(parts: Parts, tenant: TenantId, user: UserId) -> list[LogId]:
    """All logs a user is or was a member of, by id."""
    return sorted({log for log, _ in await parts.store.heads(tenant, user, after=-1)})


async def authored(
    parts: Parts, log: LogId, user: UserId, *, after: int = 0
) -> AsyncIterator[list[Entry]]:
    """A user's own entries of a log from `after` on to its present head, also those the user may
    not read any more, page by page."""
    info = await parts.store.info(log)
    if info is None:
        return
    for low in range(max(info.floor, after + 1), info.head + 1, SCAN):
        high = min(low + SCAN - 1, info.head)
        found = await parts.store.entries(log, low=Seq(low), high=Seq(high))
        yield [entry for entry in found if entry.sender == user]
