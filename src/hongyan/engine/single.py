"""Requests without a session: what one HTTP request may do, each as the frame it stands for."""

from __future__ import annotations

from hongyan.engine.auth import Identity
from hongyan.engine.broadcasts import Broadcasts
from hongyan.engine.budget import note
from hongyan.engine.callers import Caller
from hongyan.engine.erasure import Erasures
from hongyan.engine.limits import KeyedBuckets, address_key
from hongyan.engine.parts import Parts
from hongyan.engine.persons import Persons
from hongyan.engine.signs import told
from hongyan.engine.sync import owned
from hongyan.model.errors import Forbidden, GoingAway, NoSuchLog, Unauthenticated
from hongyan.model.ids import DeviceId, LogId
from hongyan.wire import frames as f


class SingleRequests:
    """The part of the gateway that needs no connection. Every method raises its refusal."""

    def __init__(self, parts: Parts) -> None:
        """Shares the gateway's parts."""
        self._p = parts
        self.persons, self.erasures = Persons(parts), Erasures(parts)
        self.broadcasts = Broadcasts(parts)
        self._draining = False
        self._guests = KeyedBuckets(parts.config.limits.rates.login_ip)

    def _request(self, identity: Identity, ip: str) -> Caller:
        if self._draining:
            raise GoingAway("the server is closing", retry_after_ms=1000)
        if not identity.user:
            raise Unauthenticated("an API key speaks for no user: name one in Hongyan-User")
        device = DeviceId(identity.device or "http")
        if identity.guest is not None:
            raise Forbidden("guests watch over a session; to do more, log in")
        return Caller(
            identity.tenant,
            identity.user,
            device,
            admin=identity.admin,
            ip=ip,
            backend=bool(identity.scopes),
        )

    def _watching(self, identity: Identity, log: LogId, ip: str) -> Caller:
        """Who watches a live log: also a guest of it. Raises like `_asking`."""
        if identity.guest is None:
            return self._asking(identity, ip)
        if identity.guest != log:
            raise Forbidden("guests watch one room; to do more, log in")
        device = DeviceId(identity.device or "http")
        caller = Caller(identity.tenant, identity.user, device, ip=ip, guest=identity.guest)
        self._ask_of(caller)
        return caller

    async def guest_token(self, log: LogId, ip: str = "") -> tuple[str, int]:
        """A token by which somebody without an account watches a live log, and its end in ms; from
        one address as often as a login is tried.

        Raises:
            TooFast; NoSuchLog; what the kind's `admit` says against guests.
        """
        p = self._p
        if self._draining or p.viewing is None:
            raise GoingAway("the server is closing", retry_after_ms=1000)
        self._guests.take(address_key(ip), p.clock.monotonic())
        await p.viewing.takes_guests(log)
        return p.authenticator.guest(log)

    async def live(self, identity: Identity, log: LogId, ip: str = "") -> f.Attached:
        """A live log as it is now."""
        caller = self._watching(identity, log, ip)
        if self._p.viewing is None:
            raise NoSuchLog(f"no log {log}")
        return await self._p.viewing.look(caller, owned(log, caller.tenant))

    async def danmaku(self, identity: Identity, query: f.Query, ip: str = "") -> bytes:
        """The query `danmaku`, also for guests; who may not watch is told so first."""
        caller = self._watching(identity, query.log, ip)
        if self._p.viewing is not None:
            await self._p.viewing.admitted(caller, owned(query.log, caller.tenant))
        return await self._p.queries.answer(caller, query)

    def _asking(self, identity: Identity, ip: str) -> Caller:
        """Who asks. Raises TooFast; Forbidden for an API key that may not read."""
        caller = self._request(identity, ip)
        if identity.scopes and not identity.may("read"):
            raise Forbidden("the key lacks the scope read")
        self._ask_of(caller)
        return caller

    def _ask_of(self, caller: Caller) -> None:
        self._p.load.ask()
        asks, now = self._p.notifier.limits.asks, self._p.clock.monotonic()
        try:
            asks.take(caller.key, now)
        finally:
            note(asks.budget("asks", caller.key, now))

    def _acting(self, identity: Identity, ip: str) -> Caller:
        """Who does something. Raises Forbidden for an API key that may not speak."""
        caller = self._request(identity, ip)
        if identity.scopes and not (identity.may("send") or identity.may("send_as")):
            raise Forbidden("the key lacks the scopes send and send_as")
        return caller

    async def call(self, identity: Identity, call: f.Call, ip: str = "") -> f.Ack:
        """Do a call."""
        caller = self._acting(identity, ip)
        try:
            return await self._p.pipeline.call(caller, call)
        finally:
            now = self._p.clock.monotonic()
            note(self._p.notifier.limits.user_budget("calls", caller.key, now))

    async def read(self, identity: Identity, read: f.Read, ip: str = "") -> f.Page:
        """A range of a log."""
        caller = self._asking(identity, ip)
        return await self._p.reader.page(caller.tenant, caller.user, read)

    async def sync(self, identity: Identity, sync: f.Sync, ip: str = "") -> f.InboxPage:
        """Inbox rows."""
        caller = self._asking(identity, ip)
        return await self._p.reader.inbox(
            caller.tenant,
            caller.user,
            after=sync.after,
            upto=sync.upto,
            limit=sync.limit,
            large=sync.large,
        )

    async def query(self, identity: Identity, query: f.Query, ip: str = "") -> bytes:
        """The answer to a query, as JSON."""
        return await self._p.queries.answer(self._asking(identity, ip), query)

    async def cursor(self, identity: Identity, cursor: f.Cursor, ip: str = "") -> None:
        """Move cursors; durable on return."""
        caller = self._acting(identity, ip)
        log = owned(cursor.log, caller.tenant)
        self._ask_of(caller)
        await self._p.notifier.cursors.now(log, caller.user, caller.device, cursor)

    async def signal(self, identity: Identity, signal: f.Signal, ip: str = "") -> None:
        """Tell the other members now. Here, unlike in a session, a refusal is told."""
        caller = self._acting(identity, ip)
        log, p = owned(signal.log, caller.tenant), self._p
        now = p.clock.monotonic()
        p.notifier.limits.take(caller.connection, caller.key, log, caller.address, now)
        state = await p.cache.load(log)
        member = await p.cache.member(state, caller.user)
        p.bus.publish(told(caller, signal, state, member))
