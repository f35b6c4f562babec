"""What an administrator sees of people and logs: truth of the store, and who is connected here.

Everything is of the administrator's own tenant. Contents of messages are left out unless asked
for, and who asks for them is put down (the transport's part).
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from hongyan.engine.hub import Hub
from hongyan.engine.identity import Identity
from hongyan.engine.logs import LogCache, LogState
from hongyan.engine.peer import Peer
from hongyan.engine.presence import Presence
from hongyan.model.errors import BadArgs, Forbidden, NoSuchLog, NoSuchUser
from hongyan.model.ids import LOG, USER, DeviceId, LogId, Seq, UserId, check, tenant_of, user_key
from hongyan.model.log import Entry
from hongyan.ports import Clock, Device, Directory, Store, User

MAX_PEOPLE = 100
MAX_NAMED = 20
MAX_ROWS = 200
MAX_ENTRIES = 100
MAX_SHOWN = 200  # connections of one log or user in an answer
TOP = 1 << 62
BLANK = msgspec.Raw(b"{}")


def must_be_admin(who: Identity) -> None:
    """Raises Forbidden for everybody but administrators and API keys with the scope admin."""
    if not who.admin:
        raise Forbidden("this needs an administrator")


class Inspector:
    """Answers are plain builtins, ready for JSON. Methods that wait may raise StoreDown."""

    def __init__(
        self,
        *,
        store: Store,
        directory: Directory,
        hub: Hub,
        cache: LogCache,
        presence: Presence,
        clock: Clock,
    ) -> None:
        """Starts nothing."""
        self._store, self._directory, self._hub = store, directory, hub
        self._cache, self._presence, self._clock = cache, presence, clock

    # --- people -----------------------------------------------------------------------------

    async def people(
        self, who: Identity, *, prefix: str = "", after: str = "", limit: int = 50
    ) -> dict[str, Any]:
        """Accounts whose id begins with `prefix`, by id, after `after`; with the first page also
        a few others whose name has a word that begins so (`named`).

        Raises: Forbidden. BadArgs: `limit` is not 1 to 100.
        """
        must_be_admin(who)
        if not 1 <= limit <= MAX_PEOPLE:
            raise BadArgs(f"limit must be 1 to {MAX_PEOPLE}")
        found: list[User] = []
        begun = bool(after)
        if prefix and after < prefix:
            found += await self._directory.users(who.tenant, [UserId(prefix)])
            after = prefix
        found += await self._directory.list_users(who.tenant, after=after, limit=limit + 1)
        fitting = [account for account in found if account.user.startswith(prefix)]
        page, named = fitting[:limit], []
        if prefix and not begun:
            by_name = await self._directory.find_users(who.tenant, prefix, limit=MAX_NAMED)
            named = [account for account in by_name if not account.user.startswith(prefix)]
        return {
            "users": [{**_account(account), **self._state(account)} for account in page],
            "named": [{**_account(account), **self._state(account)} for account in named],
            "more": len(fitting) > limit,
        }

    async def user(self, who: Identity, user: str) -> dict[str, Any]:
        """One account with its devices and the connections it has here.

        Raises: Forbidden, BadId, NoSuchUser.
        """
        account = await self._account(who, user)
        devices = await self._directory.devices(account.tenant, account.user)
        peers = self._hub.users.get(user_key(account.tenant, account.user), [])
        classes = {device.device: device.cls for device in devices}
        return {
            **_account(account),
            **self._state(account),
            "avatar": account.avatar,
            "devices": [_device(device) for device in devices],
            "connections": [self._connection(peer, classes) for peer in peers[:MAX_SHOWN]],
        }

    async def conversations(
        self, who: Identity, user: str, *, after: int = 0, limit: int = 100
    ) -> dict[str, Any]:
        """The user's rows with useq > `after`, in rising useq: cursors and unread, no contents.

        Raises: Forbidden, BadId, NoSuchUser. BadArgs: `limit` is not 1 to 200.
        """
        account = await self._account(who, user)
        if not 1 <= limit <= MAX_ROWS:
            raise BadArgs(f"limit must be 1 to {MAX_ROWS}")
        tenant, name = account.tenant, account.user
        rows = await self._store.inbox(tenant, name, after=after, upto=TOP, limit=limit + 1)
        more = len(rows) > limit
        rows = rows[:limit]
        last = rows[-1].useq if rows else after
        if not after:  # large logs have no useq that moves; they come once, with the first page
            known = {row.log for row in rows}
            large = [log for log in await self._store.large_logs(tenant, name) if log not in known]
            rows += await self._store.rows(tenant, name, large[:MAX_ROWS])
        return {
            "rows": [
                {
                    "log": row.log,
                    "useq": row.useq,
                    "role": int(row.role),
                    "head": row.head,
                    "read": row.read,
                    "delivered": row.delivered,
                    "unread": row.unread,
                    "mentions": row.mentions,
                    "members": row.count,
                    "large": row.large,
                    "until": row.until,
                    "state": row.state,
                    "last_at": row.last.at if row.last is not None else 0,
                }
                for row in rows
            ],
            "next": last,
            "more": more,
        }

    async def _account(self, who: Identity, user: str) -> User:
        must_be_admin(who)
        account = await self._directory.user(who.tenant, UserId(check(USER, user, "user")))
        if account is None:
            raise NoSuchUser
        return account

    def _state(self, account: User) -> dict[str, Any]:
        here = self._hub.users.get(user_key(account.tenant, account.user), ())
        seen = self._presence.look(account.tenant, account.user, self._clock.monotonic())
        return {"presence": seen["state"], "last_seen": seen["last_seen"], "online": len(here)}

    # --- logs -------------------------------------------------------------------------------

    async def log(self, who: Identity, log: str) -> dict[str, Any]:
        """A log as stored, and who follows it on this node; the slowest first.

        Raises: Forbidden, BadId; NoSuchLog, also for one of another tenant.
        """
        log_id = self._own(who, log)
        info = await self._store.info(log_id)
        if info is None:
            raise NoSuchLog(f"no log {log}")
        state = await self._cache.load(log_id)
        live = self._hub.viewing.logs.get(log_id) if self._hub.viewing is not None else None
        viewers = live.viewers if live is not None else {}
        peers = [*(peer for peer in self._listeners(state) if peer not in viewers), *viewers]
        peers.sort(key=lambda peer: -peer.session.pending)
        return {
            "log": log,
            "kind": state.kind.name,
            "epoch": info.epoch,
            "head": info.head,
            "ord": info.ord,
            "floor": info.floor,
            "version": info.version,
            "roster": info.roster,
            "members": info.count,
            "large": info.large,
            "created_at": info.created_at,
            "state": msgspec.Raw(info.state),
            "subscribers": len(peers),
            "queued_bytes": sum(peer.session.pending for peer in peers),
            "slow": sum(1 for peer in peers if peer.session.pending or peer.session.behind),
            "viewers": len(viewers),
            "connections": [
                {
                    **self._connection(peer, {}),
                    "given_bytes": viewers[peer].bytes if peer in viewers else 0,
                }
                for peer in peers[:MAX_SHOWN]
            ],
        }

    async def members(
        self, who: Identity, log: str, *, after: str = "", limit: int = 100, left: bool = False
    ) -> dict[str, Any]:
        """Members by user id, after `after`, with their cursors; `left`: also who left.

        Raises: Forbidden, BadId, NoSuchLog; BadArgs: `limit` is not 1 to 200.
        """
        log_id = self._own(who, log)
        if not 1 <= limit <= MAX_ROWS:
            raise BadArgs(f"limit must be 1 to {MAX_ROWS}")
        found = await self._store.members(
            log_id, after=after, limit=limit + 1, least=0 if left else 1
        )
        if not found and await self._store.info(log_id) is None:
            raise NoSuchLog(f"no log {log}")
        page = found[:limit]
        receipts = await self._store.receipts(log_id, users=[m.user for m in page], limit=limit)
        cursors = {receipt.user: receipt for receipt in receipts}
        return {
            "members": [
                {
                    "user": m.user,
                    "nickname": m.nickname,
                    "role": int(m.role),
                    "since": m.since,
                    "until": m.until,
                    "joined_at": m.joined_at,
                    "muted_until": m.muted_until,
                    "read": cursors[m.user].read if m.user in cursors else 0,
                    "delivered": cursors[m.user].delivered if m.user in cursors else 0,
                    "online": len(self._hub.users.get(user_key(who.tenant, m.user), ())),
                }
                for m in page
            ],
            "more": len(found) > limit,
        }

    async def entries(
        self, who: Identity, log: str, *, before: int = 0, limit: int = 50, contents: bool = False
    ) -> dict[str, Any]:
        """Entries with seq < `before` (0 = the newest), in rising seq. Bodies are empty but with
        `contents`, which is for a caller who has put down that they were looked at.

        Raises: Forbidden, BadId, NoSuchLog; BadArgs: `limit` is not 1 to 100.
        """
        log_id = self._own(who, log)
        if not 1 <= limit <= MAX_ENTRIES or before < 0:
            raise BadArgs(f"limit must be 1 to {MAX_ENTRIES}, before a seq")
        info = await self._store.info(log_id)
        if info is None:
            raise NoSuchLog(f"no log {log}")
        high = min(info.head, before - 1) if before else info.head
        low = max(info.floor, high - limit + 1)
        found = await self._store.entries(log_id, low=Seq(low), high=Seq(high))
        return {
            "entries": found if contents else [_without_body(entry) for entry in found],
            "sizes": [len(entry.body) for entry in found],
            "floor": info.floor,
            "head": info.head,
            "more": low > info.floor,
        }

    def _own(self, who: Identity, log: str) -> LogId:
        must_be_admin(who)
        check(LOG, log, "log")
        if tenant_of(log) != who.tenant:
            raise NoSuchLog(f"no log {log}")
        return LogId(log)

    def _listeners(self, state: LogState) -> list[Peer]:
        return [peer for peer in self._hub.listeners(state) if state.log not in peer.muted]

    # --- both -------------------------------------------------------------------------------

    def _connection(self, peer: Peer, classes: dict[DeviceId, str]) -> dict[str, Any]:
        age_ms = int((self._clock.monotonic() - peer.opened_at) * 1000)
        device = peer.session.device
        return {
            "user": peer.identity.user if peer.identity is not None else "",
            "device": device,
            "class": classes.get(device, ""),
            "ip": peer.link.ip,
            "since": self._clock.now_ms() - age_ms,
            "codec": peer.session.codec.name,
            "state": peer.session.state,
            "queued_bytes": peer.session.pending,
            "behind": peer.session.behind,
            "blocked": not peer.ok,
        }


def _account(account: User) -> dict[str, Any]:
    return {
        "user": account.user,
        "name": account.name,
        "admin": account.admin,
        "disabled": account.disabled,
        "password": bool(account.password),
        "created_at": account.created_at,
    }


def _device(device: Device) -> dict[str, Any]:
    return {
        "device": device.device,
        "class": device.cls,
        "login_at": device.epoch,
        "seen_at": device.seen_at,
        "active": device.epoch > device.kicked,
    }


def _without_body(entry: Entry) -> Entry:
    return replace(entry, body=BLANK)
