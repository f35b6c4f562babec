"""Logins of browsers: a long-lived credential for the cookie, short-lived tokens for the page.

The credential is signed with a key of its own, so neither of the two is taken for the other: a
cookie that leaks into a header is no access token, and a page never sees what renews it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict

import msgspec
from msgspec.structs import replace

from hongyan.engine.auth import Authenticator, Identity
from hongyan.engine.tokens import Claims, Tokens
from hongyan.model.errors import Kicked, Unauthenticated, WrongPassword
from hongyan.model.ids import DEVICE, DeviceId, TenantId, UserId, check
from hongyan.ports import Clock, Evicted

ACCESS_S = 900  # how long a page's token is good
MAX_PASSES = 1000


def session_key(secret: bytes) -> bytes:
    """The key of credentials, made from the server's secret; 32 bytes."""
    return hmac.new(secret, b"hongyan browser session", hashlib.sha256).digest()


class Session(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A browser's login: `credential` goes into the cookie for `seconds`."""

    identity: Identity
    credential: str
    seconds: int
    evicted: tuple[Evicted, ...] = ()  # to be published: these lost their place to it


class Access(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A token for the page, and whose it is. `renewed` replaces the cookie where it is set."""

    identity: Identity
    token: str
    renewed: Session | None = None


class _Pass(msgspec.Struct, gc=False):
    tenant: TenantId
    user: UserId
    until: float  # monotonic
    uses: int


class Sessions:
    """Begins, renews and ends the logins of browsers. Every method may raise StoreDown."""

    def __init__(self, auth: Authenticator, key: bytes, clock: Clock, *, ttl_s: int) -> None:
        """`key` is that of `session_key`; a login not used for `ttl_s` seconds is over."""
        self._auth, self._clock, self._ttl_s = auth, clock, ttl_s
        self._tokens = Tokens(key, leeway_s=0)
        self._passes: OrderedDict[bytes, _Pass] = OrderedDict()

    async def begin(
        self, tenant: str, user: str, password: str, *, device: str, ip: str = ""
    ) -> Session:
        """Log a browser in. Raises what `Authenticator.login` raises; BadId: the device."""
        check(DEVICE, device, "device")
        token = await self._auth.login(tenant, user, password, device=device, ip=ip)
        return await self._begin(token)

    async def claim(
        self, code: str, password: str, *, user: str, device: str, ip: str = ""
    ) -> Session:
        """Become the first administrator; see `Authenticator.claim_admin`."""
        check(DEVICE, device, "device")
        token = await self._auth.claim_admin(code, password, user=user, device=device, ip=ip)
        return await self._begin(token)

    async def enter(self, code: str, *, device: str, ip: str = "") -> Session:
        """Log a browser in by a pass. Wrong codes are limited per address, as passwords are.

        Raises:
            WrongPassword: no such pass, used up, or too old. TooFast, NoSuchUser, Disabled, BadId.
        """
        check(DEVICE, device, "device")
        known = self._passes.get(_digest(code))
        right = known is not None and self._clock.monotonic() < known.until
        self._auth.accounts.guess(ip, right)
        if known is None or not right:
            raise WrongPassword("this link is wrong, used or too old: ask for a new one")
        known.uses -= 1  # before anything waits: of two that come at once, one gets the last use
        if not known.uses:
            del self._passes[_digest(code)]
        token = await self._auth.grant(known.tenant, known.user, device=device)
        return await self._begin(token)

    def make_pass(self, tenant: TenantId, user: UserId, *, ttl_s: float, uses: int = 1) -> str:
        """A code that logs a browser in as `user`; whoever holds it can, so show it to nobody
        else. Kept in memory: gone with the process, or when a thousand newer ones were made."""
        code = secrets.token_urlsafe(18)
        self._passes[_digest(code)] = _Pass(tenant, user, self._clock.monotonic() + ttl_s, uses)
        if len(self._passes) > MAX_PASSES:
            self._passes.popitem(last=False)
        return code

    async def renew(self, credential: str) -> Access:
        """A short-lived token for the login of this credential.

        The login keeps its place among the user's devices. After a seventh of its time the
        credential is replaced, so a browser in use stays logged in.

        Raises:
            Unauthenticated: log in again; also after a changed password. Kicked: this login was
            ended, or a newer one took its place. Disabled.
        """
        if not credential:
            raise Unauthenticated("nobody is logged in in this browser")
        now_ms = self._clock.now_ms()
        claims, _ = await self._tokens.verify(credential, now_ms)
        token = self._auth.issue(_identity(claims), ACCESS_S)
        identity = await self._auth.authenticate(token)  # the account and device as of now
        session = None
        if now_ms / 1000 - claims.iat > self._ttl_s / 7:
            session = self._session(identity)
        return Access(identity=identity, token=token, renewed=session)

    async def end(self, credential: str) -> Evicted | None:
        """Log the browser out. Publish the hint; None where the credential was worth nothing."""
        try:
            claims, _ = await self._tokens.verify(credential, self._clock.now_ms())
        except Unauthenticated:
            return None
        identity = _identity(claims)
        return await self._auth.logout(identity, identity.device)

    async def _begin(self, token: str) -> Session:
        """Take the browser's place among the user's devices at once: a login that never
        connects can be seen in the list and be ended like any other."""
        who = await self._auth.authenticate(token)
        epoch, lost = await self._auth.admit(who, who.device, "web")
        evicted = [Evicted(who.tenant, who.user, device, epoch, Kicked.code) for device in lost]
        return replace(self._session(who), evicted=tuple(evicted))

    def _session(self, identity: Identity) -> Session:
        now_s = self._clock.now_ms() // 1000
        claims = Claims(
            sub=identity.user,
            tnt=identity.tenant,
            iat=now_s,
            exp=now_s + self._ttl_s,
            ep=identity.epoch,
            dev=identity.device,
        )
        return Session(identity=identity, credential=self._tokens.sign(claims), seconds=self._ttl_s)


def _identity(claims: Claims) -> Identity:
    return Identity(
        tenant=TenantId(claims.tnt),
        user=UserId(claims.sub),
        epoch=claims.ep,
        device=DeviceId(claims.dev),
    )


def _digest(code: str) -> bytes:
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).digest()
