"""A hello on its way to a welcome: who is it, may the device be here, what changed for it.

What commits after the attach is pushed, what committed before is in the rows, so nothing falls
between. A device that comes back and missed nothing costs the store two questions.
"""

from __future__ import annotations

import structlog

from hongyan import __version__
from hongyan.engine.auth import Identity
from hongyan.engine.callers import Caller, RandomTokens
from hongyan.engine.limits import Counts
from hongyan.engine.parts import Parts
from hongyan.engine.peer import Peer
from hongyan.model.errors import Kicked, Refusal, Unauthenticated
from hongyan.model.ids import DEVICE, DeviceId, check, user_key
from hongyan.ports import Evicted
from hongyan.wire import frames as f

logger = structlog.get_logger(__name__)


class Opening:
    """Opens sessions; `Admission` says which and when."""

    def __init__(self, parts: Parts, counts: Counts, limits: f.Limits) -> None:
        """`counts` takes the sessions that are open; `limits` are told with the welcome."""
        self._p, self._counts, self._limits = parts, counts, limits
        self._names = RandomTokens()

    def refusal(self, hello: f.Hello) -> Refusal | None:
        """Why this hello is let in by no means, as far as it is known without waiting."""
        return self._p.authenticator.refusal(hello.token)

    async def open(self, peer: Peer, hello: f.Hello) -> None:
        """Open a session, or say goodbye. Raises nothing."""
        if peer.closing:
            return
        try:
            welcome = await self._admit(peer, hello)
        except Refusal as why:
            final = why.code // 100 == 2 and not isinstance(why, Unauthenticated)
            peer.close(why, reconnect_after_ms=-1 if final else max(why.retry_after_ms, 500))
        except Exception:
            logger.exception("hello failed")
            peer.close(Refusal("internal error"), reconnect_after_ms=1000)
        else:
            if welcome is not None and not peer.closing:
                peer.session.opened(welcome)
                self._p.hub.wake(peer)

    async def _admit(self, peer: Peer, hello: f.Hello) -> f.Welcome | None:
        """Let a device in; None when its connection went away meanwhile. Raises its refusal."""
        p = self._p
        identity = await p.authenticator.authenticate(hello.token, admits=True)
        if identity.scopes:
            raise Unauthenticated("an API key opens no session; use it over HTTP")
        if identity.device and hello.device != identity.device:
            raise Unauthenticated(f"this token is for device {identity.device}")
        device = DeviceId(check(DEVICE, hello.device, "device"))
        if identity.guest is not None:
            return self._let_in_guest(peer, identity, device)
        epoch, evicted = await p.authenticator.admit(identity, device, hello.cls)
        for other in evicted:
            p.bus.publish(Evicted(identity.tenant, identity.user, other, epoch, Kicked.code))
        if peer.closing or peer not in p.hub.peers:
            return None
        self._register(peer, identity, device)
        assert peer.caller is not None
        p.hub.attach(peer)
        p.notifier.came(peer)
        large = await p.store.large_logs(identity.tenant, identity.user)
        p.hub.attach_all(peer, large)
        return await self._welcome(identity, peer.caller, hello, follows=bool(large))

    def _register(self, peer: Peer, identity: Identity, device: DeviceId) -> Caller:
        """From here on the peer counts as its user's. Raises Overloaded."""
        self._counts.signed_in(user_key(identity.tenant, identity.user), identity.tenant)
        self._p.metrics.sessions += 1
        peer.identity, peer.epoch, peer.session.device = identity, identity.epoch, device
        peer.caller = caller = Caller(
            identity.tenant,
            identity.user,
            device,
            admin=identity.admin,
            ip=peer.link.ip,
            connection=self._names.next(),
            guest=identity.guest,
        )
        return caller

    def _let_in_guest(self, peer: Peer, identity: Identity, device: DeviceId) -> f.Welcome:
        """A guest has no account, no device and no list: nothing is read or written."""
        caller = self._register(peer, identity, device)
        return self._hail(caller, f.InboxPage([], 0), "", admin=False)

    async def _welcome(
        self, identity: Identity, caller: Caller, hello: f.Hello, *, follows: bool
    ) -> f.Welcome:
        inbox = await self._p.reader.inbox(
            caller.tenant,
            caller.user,
            after=hello.inbox,
            limit=hello.rows,
            large=hello.large,
            follows=follows,
        )
        return self._hail(caller, inbox, identity.name, admin=identity.admin)

    def _hail(self, caller: Caller, inbox: f.InboxPage, name: str, *, admin: bool) -> f.Welcome:
        return f.Welcome(
            session=caller.connection,
            user=caller.user,
            tenant=caller.tenant,
            device=caller.device,
            now=self._p.clock.now_ms(),
            heartbeat_ms=self._p.config.limits.heartbeat_ms,
            limits=self._limits,
            inbox=inbox,
            server=f"hongyan/{__version__}",
            name=name,
            admin=admin,
        )
