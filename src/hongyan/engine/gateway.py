"""The engine's door: opens sessions, takes every frame to where it is handled, closes.

One method per frame type; what a peer sends ends in an answer with its `ref`, never in an
exception that leaves this module.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any
from uuid import uuid4

import structlog

from hongyan import __version__
from hongyan.engine.auth import Identity
from hongyan.engine.callers import Caller
from hongyan.engine.hub import Link, Peer
from hongyan.engine.limits import Counts, address_key
from hongyan.engine.parts import Parts
from hongyan.engine.questions import Questions
from hongyan.engine.signs import Signs, fail_of
from hongyan.engine.single import SingleRequests
from hongyan.engine.updates import Updates
from hongyan.engine.viewing import SETTLE_S
from hongyan.model.errors import (
    BadFrame,
    Forbidden,
    GoingAway,
    Kicked,
    Refusal,
    TimedOut,
    Unauthenticated,
)
from hongyan.model.ids import DEVICE, DeviceId, check, user_key
from hongyan.ports import Evicted
from hongyan.wire import frames as f
from hongyan.wire.codec import Codec
from hongyan.wire.session import ServerSession

__all__ = ["Gateway", "Parts"]

logger = structlog.get_logger(__name__)

MAX_OPENING = 256  # hellos worked on at once; the others wait in line
RECONNECT_SPREAD_MS = 5000  # goodbyes of a closing server spread the return over this


class Gateway(SingleRequests):
    """Takes connections from any transport, and single requests from HTTP."""

    def __init__(self, parts: Parts) -> None:
        """Nothing starts before `start`."""
        super().__init__(parts)
        limits = parts.config.limits
        self._limits = f.Limits(limits.message_bytes, limits.window, limits.page)
        self._counts = Counts(
            limits.connections, limits.connections_per_ip, limits.connections_per_user
        )
        self._opening = asyncio.Semaphore(MAX_OPENING)
        self._tasks: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.Task[None] | None = None
        self._settler: asyncio.Task[None] | None = None
        self._questions = Questions(
            parts.reader, parts.queries, parts.notifier, parts.cache, parts.viewing
        )
        self._signs = Signs(
            parts.notifier, parts.cache, parts.reader, parts.bus, parts.clock, self._spawn
        )
        self._frames: dict[type, Callable[[Peer, Any], None]] = {
            f.Hello: self._hello,
            f.Call: self._call,
            f.Cursor: self._signs.cursor,
            f.Ping: self._signs.ping,
            f.Signal: self._signs.signal,
            f.Bye: self._bye,
            f.Read: partial(self._ask, self._questions.read),
            f.Sync: partial(self._ask, self._questions.sync),
            f.Query: partial(self._ask, self._questions.query),
            f.Subscribe: partial(self._ask, self._questions.subscribe),
            f.Unsubscribe: partial(self._ask, self._questions.unsubscribe),
        }
        parts.hub.on_left = self._gone
        self.updates = Updates(
            parts.store, parts.bus, parts.cache, parts.clock, limits, self._asking
        )
        parts.metrics.gauge(
            "receivers", "Receivers without a session, now.", lambda: len(self.updates)
        )

    # --- life -------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether new sessions and calls are taken."""
        return self._sweeper is not None and not self._draining

    def start(self) -> None:
        """Begin to look after connections; needs a running loop."""
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep())
        self._p.notifier.start()
        if self._p.viewing is not None:
            self._settler = asyncio.get_running_loop().create_task(self._settle())

    async def drain(self, seconds: float) -> None:
        """Take nothing new, answer what was accepted, then say goodbye to all: the return is
        spread over time by what each is told. Idempotent."""
        if self._draining:
            return
        self._draining = True
        await self.erasures.stop()
        if not await self._p.pipeline.idle(seconds):
            logger.warning("some calls are not answered; clients send them again")
        self.updates.close()
        why = GoingAway("the server is closing")
        for peer in list(self._p.hub.peers):
            peer.close(why, reconnect_after_ms=random.randrange(100, RECONNECT_SPREAD_MS))
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=seconds)
        await self._p.notifier.stop()
        if self._settler is not None and self._p.viewing is not None:
            self._settler.cancel()
            await asyncio.gather(self._settler, return_exceptions=True)
            try:
                await self._p.viewing.settle(self._p.store)
            except Refusal as why:
                logger.warning("totals not kept", error=why.text)
            self._p.viewing.logs.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)

    async def _settle(self) -> None:
        """Keep the totals of live logs."""
        viewing = self._p.viewing
        assert viewing is not None
        while True:
            await asyncio.sleep(SETTLE_S)
            try:
                await viewing.settle(self._p.store)
            except Refusal as why:
                logger.warning("totals not kept, again later", error=why.text)
            except Exception:
                logger.exception("totals not kept")

    async def _sweep(self) -> None:
        """Close what never said hello and what fell silent (half-open connections)."""
        limits = self._p.config.limits
        every = min(limits.handshake_ms, limits.heartbeat_ms) / 4000
        while True:
            await asyncio.sleep(every)
            now, now_ms = self._p.clock.monotonic(), self._p.clock.now_ms()
            for number, peer in enumerate(list(self._p.hub.peers)):
                if peer.session.state in ("new", "opening"):
                    if now - peer.opened_at > limits.handshake_ms / 1000:
                        peer.close(TimedOut("no hello in time"), reconnect_after_ms=1000)
                elif peer.session.expired(now):
                    peer.close(TimedOut(), reconnect_after_ms=0)
                elif peer.identity is not None and 0 < peer.identity.expires_at < now_ms:
                    peer.close(Unauthenticated("the token has expired"), reconnect_after_ms=0)
                if number % 1000 == 999:
                    await asyncio.sleep(0)  # many connections: let others run in between

    # --- connections ------------------------------------------------------------------------

    def accept(self, link: Link, codec: Codec) -> Peer:
        """A new connection. Raises Overloaded, GoingAway: close it with the text."""
        if self._draining:
            raise GoingAway("the server is closing", retry_after_ms=1000)
        try:
            self._counts.opened(address_key(link.ip))
        except Refusal:
            self._p.metrics.refused_total += 1
            raise
        limits, now = self._p.config.limits, self._p.clock.monotonic()
        session = ServerSession(
            codec,
            self._limits,
            limits.heartbeat_ms / 1000,
            queue_bytes=limits.send_queue_bytes,
            queue_frames=limits.send_queue_frames,
            overflowed=self._overflowed,
        )
        peer = Peer(self._p.hub, link, session, self._received, now)
        self._p.hub.peers.add(peer)
        self._p.metrics.accepted_total += 1
        self._p.metrics.connections += 1
        return peer

    def _overflowed(self) -> None:
        self._p.metrics.behind_total += 1

    def _gone(self, peer: Peer) -> None:
        self._counts.closed(address_key(peer.link.ip))
        self._p.metrics.connections -= 1
        if peer.identity is not None:
            self._p.metrics.sessions -= 1
            self._counts.signed_out(user_key(peer.identity.tenant, peer.identity.user))
            if peer.identity.guest is None:
                self._p.notifier.left(peer)
        if peer.caller is not None:
            self._p.pipeline.abandon(peer.caller)
        if self._p.viewing is not None:
            self._p.viewing.logs.forget(peer)

    def _received(self, peer: Peer, message: bytes) -> None:
        if peer.closing or self._draining:
            return  # what is not answered is sent again after the reconnect
        now = self._p.clock.monotonic()
        try:
            for frame in peer.session.receive(message, now):
                self._p.metrics.frames_total += 1
                self._frames[type(frame)](peer, frame)
        except Refusal as why:
            again = 1000 if why.retry or isinstance(why, BadFrame) else -1
            peer.close(why, reconnect_after_ms=again)
            return
        except Exception:
            logger.exception("frame handling failed", user=peer.identity and peer.identity.user)
            peer.close(Refusal("internal error"), reconnect_after_ms=1000)
            return
        if peer.session.pending:
            self._p.hub.wake(peer)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- hello ------------------------------------------------------------------------------

    def _hello(self, peer: Peer, hello: f.Hello) -> None:
        self._spawn(self._open(peer, hello))

    async def _open(self, peer: Peer, hello: f.Hello) -> None:
        """Authenticate, admit, attach, then sync: what commits after the attach is pushed, what
        committed before is in the rows, so nothing falls between."""
        try:
            async with self._opening:
                if peer.closing:
                    return
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
        self._counts.signed_in(user_key(identity.tenant, identity.user))
        p.metrics.sessions += 1
        peer.identity, peer.epoch = identity, epoch
        peer.session.device = device
        peer.caller = Caller(
            identity.tenant,
            identity.user,
            device,
            admin=identity.admin,
            ip=peer.link.ip,
            connection=uuid4().hex,
            guest=identity.guest,
        )
        p.hub.attach(peer)
        p.notifier.came(peer)
        p.hub.attach_all(peer, await p.store.large_logs(identity.tenant, identity.user))
        return await self._welcome(identity, peer.caller, hello)

    def _let_in_guest(self, peer: Peer, identity: Identity, device: DeviceId) -> f.Welcome:
        """A guest has no account, no device and no list: nothing is read or written."""
        self._p.metrics.sessions += 1
        self._counts.signed_in(user_key(identity.tenant, identity.user))
        peer.identity, peer.epoch, peer.session.device = identity, identity.epoch, device
        peer.caller = caller = Caller(
            identity.tenant,
            identity.user,
            device,
            ip=peer.link.ip,
            connection=uuid4().hex,
            guest=identity.guest,
        )
        return self._hail(caller, f.InboxPage([], 0), "", admin=False)

    async def _welcome(self, identity: Identity, caller: Caller, hello: f.Hello) -> f.Welcome:
        p = self._p
        inbox = await p.reader.inbox(
            caller.tenant,
            caller.user,
            after=hello.inbox,
            limit=hello.rows,
            large=hello.large,
        )
        account = await p.directory.user(caller.tenant, caller.user)
        name = account.name if account else ""
        return self._hail(caller, inbox, name, admin=identity.admin)

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

    # --- calls, cursors, signals ------------------------------------------------------------

    def _call(self, peer: Peer, call: f.Call) -> None:
        caller = peer.caller
        assert caller is not None  # the session lets calls through only after the welcome
        self._p.pipeline.submit(caller, call, partial(self._done, peer, call.ref))

    def _done(self, peer: Peer, ref: int, answer: f.Ack | Refusal) -> None:
        peer.answer(answer if isinstance(answer, f.Ack) else fail_of(ref, answer))

    def _bye(self, peer: Peer, bye: f.Bye) -> None:
        caller = peer.caller
        if bye.logout and caller is not None:
            self._spawn(self._log_out(peer, caller))
            return
        peer.link.close(1000, "bye")
        self._p.hub.forget(peer)

    async def _log_out(self, peer: Peer, caller: Caller) -> None:
        try:
            await self._p.directory.revoke(caller.tenant, caller.user, caller.device)
        except Refusal as why:
            logger.warning("log-out not stored", user=caller.user, error=why.text)
        peer.link.close(1000, "bye")
        self._p.hub.forget(peer)

    # --- questions --------------------------------------------------------------------------

    def _ask(self, work: Callable[[Peer, Any], Awaitable[f.Frame]], peer: Peer, frame: Any) -> None:
        assert peer.caller is not None  # the session lets questions through after the welcome
        try:
            _only_own(peer.caller, frame)
            self._p.notifier.limits.asks.take(peer.caller.key, self._p.clock.monotonic())
        except Refusal as why:
            peer.answer(fail_of(frame.ref, why))
            return
        self._spawn(self._answer(work, peer, frame))

    async def _answer(
        self, work: Callable[[Peer, Any], Awaitable[f.Frame]], peer: Peer, frame: Any
    ) -> None:
        answer: f.Frame
        try:
            answer = await work(peer, frame)
        except Refusal as why:
            answer = fail_of(frame.ref, why)
        except Exception:
            logger.exception("question failed", frame=type(frame).__name__)
            answer = fail_of(frame.ref, Refusal("internal error"))
        if not peer.closing:
            peer.answer(answer)


def _only_own(caller: Caller, frame: Any) -> None:
    """A guest asks about the one log it may watch, and nothing else. Raises Forbidden."""
    if caller.guest is None:
        return
    if isinstance(frame, f.Sync | f.Query) or frame.log != caller.guest:
        raise Forbidden("guests watch one room; to do more, log in")
