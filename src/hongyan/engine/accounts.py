"""Accounts with passwords: log in, register, change, disable, and the first administrator."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets

from msgspec.structs import replace

from hongyan.config import Config
from hongyan.engine.budget import note
from hongyan.engine.identity import Identity
from hongyan.engine.limits import KeyedBuckets, address_key
from hongyan.engine.passwords import Passwords, check_policy
from hongyan.model.errors import (
    BadArgs,
    BadState,
    Conflict,
    Disabled,
    Forbidden,
    NoSuchUser,
    TooFast,
    Unauthenticated,
    WrongPassword,
)
from hongyan.model.ids import TENANT, USER, TenantId, UserId, check, user_key
from hongyan.ports import Clock, Directory, Evicted, User
from hongyan.telemetry import Metrics

CODE_TTL_S = 1800.0  # of the first administrator's one-time code
FIRST_PAGE = 1000  # accounts that are looked through for an administrator at start


class Accounts:
    """The accounts of all tenants. Every method may raise StoreDown (retry).

    Rate limits and the one-time code live in memory: they start anew with the process.
    """

    def __init__(
        self,
        config: Config,
        directory: Directory,
        clock: Clock,
        passwords: Passwords,
        metrics: Metrics | None = None,
    ) -> None:
        """Starts nothing."""
        self._metrics = metrics or Metrics()
        self._config = config
        self._directory = directory
        self._clock = clock
        self._passwords = passwords
        self._by_user = KeyedBuckets(config.limits.rates.login_user)
        self._by_ip = KeyedBuckets(config.limits.rates.login_ip)
        # The port replaces whole accounts, so changes of this process go one after the other.
        self._changing = asyncio.Lock()
        self._code: tuple[bytes, float] | None = None  # digest, good until (monotonic)

    async def prove(self, tenant: str, user: str, password: str, ip: str) -> User:
        """The account, if this is its password. Failed attempts are limited per user and per
        address, successful ones cost nothing. An unknown user takes as long as a wrong password
        and is told in the same words.

        Raises:
            WrongPassword: user or password is wrong.
            Disabled: the password is right, but the account is disabled.
            TooFast: nothing was tried; again after `retry_after_ms`.
            Overloaded: too many logins at once. Forbidden: accounts are off. BadId.
        """
        if not self._config.accounts.enabled:
            raise Forbidden("this server has no accounts with passwords")
        tenant_id = TenantId(check(TENANT, tenant, "tenant"))
        user_id = UserId(check(USER, user, "user"))
        keys = ((self._by_user, user_key(tenant, user)), (self._by_ip, address_key(ip)))
        self._count(keys)
        account = await self._directory.user(tenant_id, user_id)
        stored = account.password if account is not None and account.password else ""
        right = await self._passwords.verify(stored or self._passwords.nobody, password)
        if account is None or not stored or not right:
            self._tell(keys)
            self._metrics.login_failures_total += 1
            raise WrongPassword
        self._metrics.logins_total += 1
        for table, key in keys:
            table.give_back(key)
        if account.disabled:
            raise Disabled
        if self._passwords.outdated(stored):
            await self._renew_hash(account, password)
        return account

    def _count(self, keys: tuple[tuple[KeyedBuckets, str], ...]) -> None:
        """Take an attempt of all keys, or of none."""
        now = self._clock.monotonic()
        wait = max(table.wait(key, now) for table, key in keys)
        if wait > 0:
            self._tell(keys)
            raise TooFast("too many logins", retry_after_ms=int(wait * 1000) + 1)
        for table, key in keys:
            table.put(key, now)

    def _tell(self, keys: tuple[tuple[KeyedBuckets, str], ...]) -> None:
        """Say what is left after an attempt that counts."""
        now = self._clock.monotonic()
        for table, key in keys:
            name = "logins" if table is self._by_user else "logins-address"
            note(table.budget(name, key, now))

    def guess(self, ip: str, right: bool) -> None:
        """Count a try at a code that somebody holds, like a password; a right one costs nothing.

        Raises:
            TooFast: so many were wrong that this one does not count, right or not.
        """
        self._count(keys := ((self._by_ip, address_key(ip)),))
        if right:
            self._by_ip.give_back(address_key(ip))
        else:
            self._tell(keys)

    async def _renew_hash(self, account: User, password: str) -> None:
        fresh = await self._passwords.hash(password)
        async with self._changing:
            now = await self._directory.user(account.tenant, account.user)
            if now is not None and now.password == account.password:
                await self._directory.put_user(replace(now, password=fresh))

    @property
    def registration_open(self) -> bool:
        """Whether anybody may make an account."""
        return self._config.accounts.enabled and self._config.accounts.registration

    async def register(
        self,
        tenant: str,
        user: str,
        password: str,
        *,
        name: str = "",
        admin: bool = False,
        avatar: str = "",
        by: Identity | None = None,
        ip: str = "",
        op: str = "",
    ) -> User:
        """Make an account. `password` "" = it cannot log in by password. The same creation with
        the same `op` once more gives the account that is there.

        Raises:
            Forbidden: registration is closed, or `by` lacks the scope `users` in this tenant, or
                `admin` was asked by somebody who is none.
            BadArgs: the name is taken, or the password is not allowed. TooFast, BadId.
        """
        tenant_id = TenantId(check(TENANT, tenant, "tenant"))
        user_id = UserId(check(USER, user, "user"))
        invited = by is not None and by.tenant == tenant and by.may("users")
        if not invited:
            if by is not None or not self.registration_open:
                raise Forbidden("registration is closed")
            self._count(keys := ((self._by_ip, address_key(ip)),))
            self._tell(keys)
        if admin and (by is None or not by.admin):
            raise Forbidden("only an administrator makes administrators")
        if password or not invited:
            check_policy(password, user)
        made = _digest(op, name, avatar, str(admin)) if op else ""
        if (known := await self._directory.user(tenant_id, user_id)) is not None:
            return self._again(known, made)
        return await self._make(
            User(
                tenant=tenant_id,
                user=user_id,
                name=name[:64],
                avatar=avatar,
                admin=admin,
                password=await self._passwords.hash(password) if password else "",
                created_at=self._clock.now_ms(),
                made=made,
            )
        )

    async def _make(self, account: User) -> User:
        try:
            await self._directory.put_user(account, create=True)
        except Conflict:  # somebody was faster, maybe the same call
            known = await self._directory.user(account.tenant, account.user)
            return self._again(known or account, account.made)
        return account

    @staticmethod
    def _again(known: User, made: str) -> User:
        if not made or known.made != made:
            raise BadArgs("this user name is taken")
        return known

    async def describe(
        self, by: Identity, user: UserId, *, name: str | None, avatar: str | None
    ) -> User:
        """Change the name or avatar of oneself, or of others with the right; None = as it is.

        Raises:
            Forbidden: `by` lacks the scope `users`. NoSuchUser; BadState: erased.
        """
        if by.user != user:
            await self.theirs(by, user)
        async with self._changing:
            account = await self._directory.user(by.tenant, user)
            if account is None:
                raise NoSuchUser
            _alive(account)
            if account.admin and by.scopes and not by.admin:
                raise Forbidden("only an administrator changes administrators")
            account = replace(
                account,
                name=account.name if name is None else name,
                avatar=account.avatar if avatar is None else avatar,
            )
            await self._directory.put_user(account)
        return account

    async def begin_erasure(self, by: Identity, user: str) -> tuple[User, list[Evicted]]:
        """Take everything personal off an account and disable it for ever; it keeps its id, so
        that nobody else gets it. Repeating does no harm. Publish what is returned.

        Raises:
            Forbidden: `by` lacks the scope `users`, or erases itself. NoSuchUser.
        """
        account = await self.theirs(by, user)
        if by.user == user and not by.scopes:
            raise Forbidden("nobody erases the own account")
        async with self._changing:
            account = await self._directory.user(account.tenant, account.user) or account
            now = self._clock.now_ms()
            account = User(
                tenant=account.tenant,
                user=account.user,
                disabled=True,
                created_at=account.created_at,
                valid_from=max(now, account.valid_from) + 1,
                erased=account.erased or now,
            )
            await self._directory.put_user(account)
        return account, await self._connected(account, Disabled.code)

    async def ensure_user(self, tenant: TenantId, user: UserId) -> User:
        """The account of a user somebody trusted has named; made where absent."""
        account = User(tenant=tenant, user=user, created_at=self._clock.now_ms())
        try:
            await self._directory.put_user(account, create=True)
        except Conflict:  # it is there, or another connection was faster
            account = await self._directory.user(tenant, user) or account
        return account

    async def change_password(
        self, identity: Identity, old: str, new: str, *, ip: str = ""
    ) -> tuple[User, list[Evicted]]:
        """Set one's own password; see `Authenticator.change_password`."""
        check_policy(new, identity.user)
        await self.prove(identity.tenant, identity.user, old, ip)
        return await self._set_password(identity.tenant, identity.user, new)

    async def reset_password(self, by: Identity, user: str, new: str) -> list[Evicted]:
        """Set somebody's password; tokens of earlier logins are void. Publish what is returned:
        their devices are disconnected.

        Raises:
            Forbidden: `by` lacks the scope `users`. NoSuchUser, Overloaded; BadArgs.
        """
        account = await self.theirs(by, user)
        check_policy(new, user)
        return (await self._set_password(account.tenant, account.user, new))[1]

    async def _set_password(
        self, tenant: TenantId, user: UserId, new: str
    ) -> tuple[User, list[Evicted]]:
        fresh = await self._passwords.hash(new)
        async with self._changing:
            account = await self._directory.user(tenant, user)
            if account is None:
                raise NoSuchUser
            _alive(account)
            since = max(self._clock.now_ms(), account.valid_from) + 1
            account = replace(account, password=fresh, valid_from=since)
            await self._directory.put_user(account)
        return account, await self._connected(account, Unauthenticated.code)

    async def end_logins(self, account: User) -> None:
        """Void every token of this server for the account's logins so far."""
        async with self._changing:
            known = await self._directory.user(account.tenant, account.user) or account
            since = max(self._clock.now_ms(), known.valid_from) + 1
            await self._directory.put_user(replace(known, valid_from=since))

    async def set_disabled(self, by: Identity, user: str, disabled: bool) -> list[Evicted]:
        """Disable or enable an account. Publish what is returned: connections end by it.

        Raises:
            Forbidden: `by` lacks the scope `users`, or disables itself. NoSuchUser.
        """
        account = await self.theirs(by, user)
        if by.user == user:
            raise Forbidden("nobody disables the own account")
        async with self._changing:
            account = await self._directory.user(account.tenant, account.user) or account
            _alive(account)
            await self._directory.put_user(replace(account, disabled=disabled))
        if not disabled:
            return []
        return await self._connected(account, Disabled.code)

    async def list_users(self, by: Identity, *, after: str, limit: int) -> list[User]:
        """Accounts of the tenant by user id, after `after`. Raises Forbidden."""
        if not by.may("users"):
            raise Forbidden("this needs an administrator or a key with the scope users")
        return await self._directory.list_users(by.tenant, after=after, limit=limit)

    async def theirs(self, by: Identity, user: str) -> User:
        """An account that `by` may administer. Raises Forbidden, NoSuchUser, BadId."""
        if not by.may("users"):
            raise Forbidden("this needs an administrator or a key with the scope users")
        account = await self._directory.user(by.tenant, UserId(check(USER, user, "user")))
        if account is None:
            raise NoSuchUser
        if account.admin and not by.admin:
            raise Forbidden("only an administrator changes administrators")
        return account

    async def _connected(self, account: User, code: int) -> list[Evicted]:
        """What ends the connections of all the user's logins so far."""
        devices = await self._directory.devices(account.tenant, account.user)
        return [
            Evicted(account.tenant, account.user, device.device, device.epoch, code)
            for device in devices
            if device.epoch > device.kicked
        ]

    # --- the first administrator ------------------------------------------------------------

    async def first_admin_code(self) -> str | None:
        """A one-time code for `claim_admin`, if tenant main has no administrator who can log in.

        For the operator's eyes only. Good for 30 minutes and one use; a new one replaces it.
        None where an administrator exists, or accounts are off.
        """
        if not self._config.accounts.enabled or await self._has_admin():
            return None
        code = secrets.token_urlsafe(15)
        digest = hashlib.sha256(code.encode()).digest()
        self._code = (digest, self._clock.monotonic() + CODE_TTL_S)
        return code

    async def _has_admin(self) -> bool:
        accounts = await self._directory.list_users(TenantId("main"), limit=FIRST_PAGE)
        return any(a.admin and a.password and not a.disabled for a in accounts)

    async def claim_admin(
        self, code: str, password: str, *, user: str = "admin", ip: str = ""
    ) -> User:
        """Use the one-time code: make (or take) the account `user` of tenant main an
        administrator with this password.

        Raises:
            WrongPassword: no such code, used, or too old; restart the server for a new one.
            BadArgs: the password is not allowed; the code stays good. TooFast, BadId.
        """
        self._count(((self._by_ip, address_key(ip)),))
        user_id = UserId(check(USER, user, "user"))
        check_policy(password, user)
        digest = hashlib.sha256(code.encode("utf-8", "surrogatepass")).digest()
        known = self._code
        if known is None or not hmac.compare_digest(known[0], digest):
            raise WrongPassword("this code is wrong or was used")
        if self._clock.monotonic() >= known[1]:
            raise WrongPassword("this code is too old; restart the server for a new one")
        self._code = None  # before anything waits: of two that claim at once, one gets it
        tenant = TenantId("main")
        fresh = await self._passwords.hash(password)
        async with self._changing:
            account = await self._directory.user(tenant, user_id) or User(
                tenant=tenant, user=user_id, created_at=self._clock.now_ms()
            )
            account = replace(account, admin=True, disabled=False, password=fresh)
            await self._directory.put_user(account)
        return account


def _alive(account: User) -> None:
    if account.erased:
        raise BadState("this account was erased")


def _digest(*parts: str) -> str:
    """Of a creation. Not of the password: what is quick to compute must not be kept of it."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
