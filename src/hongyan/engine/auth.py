"""Who is it, and may they be here: tokens, passwords, API keys and the places of devices."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from msgspec.structs import replace

from hongyan.config import Config, Devices
from hongyan.engine.accounts import Accounts
from hongyan.engine.identity import SCOPES, Identity
from hongyan.engine.passwords import Passwords
from hongyan.engine.tokens import OWN, Claims, Tokens
from hongyan.model.errors import (
    BadArgs,
    Clash,
    Disabled,
    Forbidden,
    Kicked,
    NoSuchUser,
    Unauthenticated,
)
from hongyan.model.ids import (
    DEVICE,
    LOG,
    TENANT,
    USER,
    DeviceId,
    LogId,
    TenantId,
    UserId,
    check,
    hashed_name,
    tenant_of,
)
from hongyan.ports import ApiKey, Clock, Device, Directory, Evicted, User
from hongyan.telemetry import Metrics

__all__ = ["Authenticator", "Identity"]

GUEST_S = 3600  # how long a guest's token is good
KEY_PREFIX = "hyk_"
MAX_KEY_LENGTH = 128


class Authenticator:
    """Tokens, API keys and devices of all tenants; passwords are proven by `accounts`.

    Every method that waits may raise StoreDown (retry).
    """

    def __init__(
        self,
        config: Config,
        directory: Directory,
        clock: Clock,
        tokens: Tokens,
        passwords: Passwords | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        """`passwords` is made from `config.accounts` where not given; `close` ends it. Logins
        are counted in `metrics`."""
        self._config = config
        self._directory = directory
        self._clock = clock
        self._tokens = tokens
        settings = config.accounts
        self._passwords = passwords or Passwords(settings.hash_memory_kib, settings.hash_rounds)
        self.accounts = Accounts(config, directory, clock, self._passwords, metrics)

    def close(self) -> None:
        """End the worker threads. Idempotent."""
        self._passwords.close()

    # --- tokens and keys --------------------------------------------------------------------

    async def authenticate(self, token: str, *, admits: bool = False) -> Identity:
        """Whose token or API key this is. With `admits` the caller promises to call `admit`
        next, which looks at the device; without, an evicted device's token is refused here.

        The first token of a trusted issuer for a new user makes the account. The account is
        read each time: `disabled` and `admin` are as of now, not as of the login.

        Raises:
            Unauthenticated: get a new token.
            Disabled: the account is disabled; ask an administrator.
            Kicked: the token's device was logged out, or a newer login took its place.
        """
        if token.startswith(KEY_PREFIX):
            return await self._by_key(token)
        claims, issuer = await self._tokens.verify(token, self._clock.now_ms())
        tenant, user = _names(claims)
        if claims.gst and issuer.iss == OWN:
            return Identity(
                tenant=tenant,
                user=user,
                epoch=claims.ep,
                expires_at=int(claims.exp * 1000),
                guest=LogId(check(LOG, claims.gst, "log")),
            )
        account = await self._directory.user(tenant, user)
        if account is None:
            if issuer.iss == OWN:
                raise Unauthenticated("the account is gone")
            account = await self.accounts.ensure_user(tenant, user)
        if account.disabled:
            raise Disabled
        if issuer.iss == OWN and claims.ep < account.valid_from:
            raise Unauthenticated("the password was changed: log in again")
        if claims.dev and not admits:
            await self._check_device(tenant, user, claims)
        return Identity(
            tenant=tenant,
            user=user,
            epoch=claims.ep,
            device=DeviceId(claims.dev),
            name=account.name,
            admin=account.admin or (issuer.iss != OWN and issuer.admin and claims.adm),
            expires_at=int(claims.exp * 1000),
        )

    def refusal(self, token: str) -> Unauthenticated | None:
        """Why a session's token is refused, as far as that is known without waiting; None: ask
        `authenticate`. Costs microseconds, so that who forges tokens waits in no line."""
        if token.startswith(KEY_PREFIX):
            return Unauthenticated("an API key opens no session; use it over HTTP")
        return self._tokens.refusal(token, self._clock.now_ms())

    async def _check_device(self, tenant: TenantId, user: UserId, claims: Claims) -> None:
        for device in await self._directory.devices(tenant, user):
            late = claims.ep <= device.kicked or claims.ep < device.epoch
            if late and device.device == claims.dev:
                raise Kicked

    def issue(self, identity: Identity, ttl_s: int) -> str:
        """A token of this server for `identity`, good for `ttl_s` seconds from now. The login
        epoch is kept: renewing a token does not take another device's place."""
        now_s = self._clock.now_ms() / 1000
        return self._tokens.sign(
            Claims(
                sub=identity.user,
                tnt=identity.tenant,
                iat=int(now_s),
                exp=int(now_s) + ttl_s,
                ep=identity.epoch,
                dev=identity.device,
                adm=identity.admin,
            )
        )

    def guest(self, log: LogId) -> tuple[str, int]:
        """A token by which somebody without an account watches a live log, and its end in ms.
        Whoever calls must have asked whether the log takes guests."""
        now_s = self._clock.now_ms() // 1000
        claims = Claims(
            sub=f"guest.{secrets.token_hex(8)}",
            tnt=tenant_of(log),
            iat=now_s,
            exp=now_s + GUEST_S,
            ep=now_s * 1000,
            gst=log,
        )
        return self._tokens.sign(claims), (now_s + GUEST_S) * 1000

    async def grant(
        self, tenant: TenantId, user: UserId, *, device: str = "", ttl_s: int = 0
    ) -> str:
        """A token of this server for an account, as a new login; no password is asked, so the
        caller must have the right. `ttl_s` 0 = as configured.

        Raises:
            NoSuchUser, Disabled; BadId: the device's name.
        """
        if device:
            check(DEVICE, device, "device")
        account = await self._directory.user(tenant, user)
        if account is None:
            raise NoSuchUser
        if account.disabled:
            raise Disabled
        identity = Identity(
            tenant=tenant,
            user=user,
            epoch=await self._next_epoch(account),
            device=DeviceId(device),
            admin=account.admin,
        )
        return self.issue(identity, ttl_s or self._config.tokens.ttl_s)

    async def _next_epoch(self, account: User) -> int:
        """Above all logins of the user's devices, also when the clock was set back."""
        devices = await self._directory.devices(account.tenant, account.user)
        newest = max((max(device.epoch, device.kicked) for device in devices), default=0)
        return max(self._clock.now_ms(), account.valid_from, newest + 1)

    async def create_key(
        self, tenant: TenantId, scopes: tuple[str, ...], *, user: str = "", op: str = ""
    ) -> tuple[ApiKey, str]:
        """A new API key and its text, which cannot be shown again. With the scope `send` it
        speaks for `user`. `op` names the creation: the same one makes no second key.

        Raises:
            BadArgs: no scope, or one that does not exist. NoSuchUser, BadId.
            Clash: `op` made a key before; its text is gone, so drop it and make another.
        """
        check(TENANT, tenant, "tenant")
        if not scopes or not SCOPES.issuperset(scopes):
            raise BadArgs(f"scopes are some of {', '.join(sorted(SCOPES))}")
        if user:
            account = await self._directory.user(tenant, UserId(check(USER, user, "user")))
            if account is None:
                raise NoSuchUser
        key_id = hashed_name("key", tenant, op)[:12] if op else secrets.token_hex(6)
        if op and any(key.id == key_id for key in await self._directory.keys(tenant)):
            raise Clash(f"this made key {key_id} before; its text cannot be shown again")
        text = f"{KEY_PREFIX}{key_id}_{secrets.token_urlsafe(32)}"
        key = ApiKey(
            id=key_id,
            tenant=tenant,
            digest=hashlib.sha256(text.encode()).digest(),
            scopes=tuple(sorted(set(scopes))),
            created_at=self._clock.now_ms(),
            user=UserId(user),
        )
        await self._directory.put_key(key)
        return key, text

    @staticmethod
    def must_be_admin(identity: Identity) -> None:
        """Raises Forbidden for everybody else."""
        if not identity.admin:
            raise Forbidden("this needs an administrator")

    async def list_keys(self, identity: Identity) -> list[ApiKey]:
        """The tenant's API keys. Raises Forbidden."""
        self.must_be_admin(identity)
        return await self._directory.keys(identity.tenant)

    async def drop_key(self, identity: Identity, key_id: str) -> bool:
        """End an API key; False where there is none. Raises Forbidden."""
        self.must_be_admin(identity)
        return await self._directory.drop_key(identity.tenant, key_id)

    async def _by_key(self, text: str) -> Identity:
        if len(text) > MAX_KEY_LENGTH:
            raise Unauthenticated("no such API key")
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        key = await self._directory.key(digest)
        if key is None or not hmac.compare_digest(key.digest, digest):
            raise Unauthenticated("no such API key")
        speaker = UserId("")
        if key.user and "send" in key.scopes:
            account = await self._directory.user(key.tenant, key.user)
            if account is not None and not account.disabled:
                speaker = key.user
        return Identity(
            tenant=key.tenant,
            user=speaker,
            epoch=key.created_at,
            admin="admin" in key.scopes,
            scopes=key.scopes,
            key=key.id,
        )

    async def act_as(self, identity: Identity, user: str) -> Identity:
        """The same tenant's `user`, in whose name an API key calls: anybody with the scope
        `send_as`, else only the service user that the key speaks for.

        Raises:
            Forbidden: not an API key, or none that may. NoSuchUser, Disabled, BadId.
        """
        if not identity.scopes:
            raise Forbidden("only an API key speaks for others")
        if not (identity.may("send_as") or (identity.user and identity.user == user)):
            raise Forbidden("the key lacks the scope send_as")
        account = await self._directory.user(identity.tenant, UserId(check(USER, user, "user")))
        if account is None:
            raise NoSuchUser
        if account.disabled:
            raise Disabled
        # What `admin` carries is carried on, but for the power over rules that no user has.
        scopes = tuple(sorted(SCOPES - {"admin"})) if identity.admin else identity.scopes
        return replace(identity, user=account.user, admin=False, scopes=scopes)

    async def other(self, by: Identity, user: str) -> User:
        """An account that `by` may get a token for: of an administrator only for one.

        Raises: Forbidden, NoSuchUser, BadId.
        """
        account = await self._directory.user(by.tenant, UserId(check(USER, user, "user")))
        if account is None:
            raise NoSuchUser
        if account.admin and not by.admin:
            raise Forbidden("only an administrator speaks for administrators")
        return account

    async def login(
        self, tenant: str, user: str, password: str, *, device: str = "", ip: str = ""
    ) -> str:
        """A token for user and password; with `device`, good for that device only.

        `ttl_s` of the token is as configured. Raises what `Accounts.prove` raises: WrongPassword,
        Disabled, TooFast, Overloaded, Forbidden, BadId.
        """
        account = await self.accounts.prove(tenant, user, password, ip)
        return await self.grant(account.tenant, account.user, device=device)

    async def change_password(
        self, identity: Identity, old: str, new: str, *, ip: str = ""
    ) -> tuple[str, list[Evicted]]:
        """Set one's own password. All tokens of earlier logins are void, a new one is returned;
        publish the hints: the user's other devices are disconnected.

        Raises what `Accounts.prove` raises; BadArgs: the new password is not allowed.
        """
        account, evicted = await self.accounts.change_password(identity, old, new, ip=ip)
        token = await self.grant(account.tenant, account.user, device=identity.device)
        return token, [hint for hint in evicted if hint.device != identity.device]

    async def claim_admin(
        self, code: str, password: str, *, user: str = "admin", device: str = "", ip: str = ""
    ) -> str:
        """Use the first administrator's one-time code and log in; see `Accounts.claim_admin`."""
        account = await self.accounts.claim_admin(code, password, user=user, ip=ip)
        return await self.grant(account.tenant, account.user, device=device)

    # --- devices ----------------------------------------------------------------------------

    async def admit(self, identity: Identity, device: str, cls: str) -> tuple[int, list[DeviceId]]:
        """Give the login its place among the user's devices of this class.

        Returns its epoch and the devices that lose theirs (publish Evicted for them). The newer
        login stays, whatever the order in which the two come, on whatever node.

        Raises:
            Kicked: newer logins hold all places, or this one was evicted before.
            Unauthenticated: the token is for another device. BadId; BadArgs: no such class.
        """
        device_id = DeviceId(check(DEVICE, device, "device"))
        if cls not in Devices.__struct_fields__:
            raise BadArgs(f"a device class is one of {', '.join(Devices.__struct_fields__)}")
        if identity.device and identity.device != device:
            raise Unauthenticated("this token was issued to another device")
        if identity.scopes:  # an API key holds no device
            return identity.epoch, []
        evicted = await self._directory.admit(
            identity.tenant,
            identity.user,
            Device(device=device_id, cls=cls, epoch=identity.epoch),
            most=getattr(self._config.devices, cls),
            now_ms=self._clock.now_ms(),
        )
        return identity.epoch, evicted

    async def account(self, identity: Identity) -> User:
        """The account of a user who was let in. Raises NoSuchUser: it went meanwhile."""
        account = await self._directory.user(identity.tenant, identity.user)
        if account is None:
            raise NoSuchUser
        return account

    async def devices(self, identity: Identity) -> list[Device]:
        """All devices that ever logged in, newest login first."""
        return await self._directory.devices(identity.tenant, identity.user)

    async def logout(self, identity: Identity, device: str, *, epoch: int | None = None) -> Evicted:
        """Forget this device's login: its token is refused from now on. Publish the hint: its
        connections end. They are those up to the login `epoch`, where it is known which one is
        ended; else up to now, as the device may hold a later login than who asks."""
        device_id = DeviceId(check(DEVICE, device, "device"))
        await self._directory.revoke(identity.tenant, identity.user, device_id)
        if epoch is None:
            epoch = max(identity.epoch, self._clock.now_ms())
        return Evicted(identity.tenant, identity.user, device_id, epoch, Unauthenticated.code)


def _names(claims: Claims) -> tuple[TenantId, UserId]:
    """Tenant and user of a verified token.

    Raises:
        BadId: the issuer names somebody as nobody can be called here.
    """
    if claims.dev:
        check(DEVICE, claims.dev, "device")
    return (
        TenantId(check(TENANT, claims.tnt, "tenant")),
        UserId(check(USER, claims.sub, "user")),
    )
