"""The session over its connections: socket, clock, timer. Everything else is sans-IO.

One task connects, waits for the loss, pauses and connects again. While it is connected all work
happens in callbacks: a message arrives, a timer falls due, the application asks for something.
"""

from __future__ import annotations

import asyncio
import random
import ssl as ssl_module
import time
from collections.abc import Callable
from typing import Protocol

from hongyan.client.errors import Closed, Offline
from hongyan.client.link import CONNECT_ERRORS, Link, connect
from hongyan.client.login import GetToken
from hongyan.model.errors import BadFrame, Denied, GoingAway, Refusal, Unauthenticated
from hongyan.wire.codec import CODECS
from hongyan.wire.frames import Page, Result
from hongyan.wire.session import Answered, ClientSession, Event, Opened, Refused, backoff
from hongyan.wire.session import Closed as SessionClosed

LEAVE_S = 1.0
PROBE_S = 5.0  # after `wake`: a connection that stays silent this long is dropped


class Owner(Protocol):
    """Whom the shell works for. All are called on the loop and never wait."""

    def handle(self, event: Event) -> None:
        """An event of the session that is no answer to `ask`."""

    def work(self, now: float) -> None:
        """Queue in the session what is due. Only called while the session is open."""

    def due(self) -> float | None:
        """When `work` has something to do next."""

    def disconnected(self, reason: str, retry_in_s: float) -> None:
        """There is no connection now."""

    def ended(self, error: Exception) -> None:
        """There will be none any more."""


class Shell:
    """See the module. `error` is why it stopped for ever, or None."""

    def __init__(
        self,
        owner: Owner,
        url: str,
        get_token: GetToken,
        *,
        subprotocol: str,
        ssl: ssl_module.SSLContext | None,
    ) -> None:
        """Nothing runs before `run`."""
        self.session: ClientSession  # set by the owner before `run`
        self.error: Exception | None = None
        self.codec = CODECS[subprotocol]
        self.clock = time.monotonic
        self._owner, self._url, self._get_token = owner, url, get_token
        self._subprotocol, self._ssl = subprotocol, ssl
        self.random = random.Random()
        self._link: Link | None = None
        self._asked: dict[int, asyncio.Future[Page | Result]] = {}
        self._open = asyncio.Event()  # set while the session is open, and for good at the end
        self._awake = asyncio.Event()
        self._why: Refusal | None = None  # the goodbye of this connection
        self._heard = 0.0
        self._failures = 0  # connections in a row that did not come to a welcome
        self._soon = False
        self._timer: asyncio.TimerHandle | None = None

    # --- for the owner --------------------------------------------------------------------------

    @property
    def open(self) -> bool:
        """Whether the session is open now."""
        return self._link is not None and self.session.state == "open"

    def poke(self) -> None:
        """Something may be due: look, at the end of this tick of the loop. Cheap, idempotent."""
        if not self._soon and self.error is None:
            self._soon = True
            asyncio.get_running_loop().call_soon(self._look)

    def wake(self) -> None:
        """The network may have changed: try at once, or find out whether it still works."""
        self._awake.set()
        if self.open:
            self.session.sync()
            self.poke()
            heard = self._heard
            asyncio.get_running_loop().call_later(PROBE_S, self._probed, self._link, heard)

    def renew(self, why: Refusal) -> None:
        """Connect anew with a new token."""
        self._why = why
        if self._link is not None:
            self._link.close(why.text)

    async def opened(self, within: float | None = None) -> None:
        """Wait until the session is open.

        Raises:
            Offline: it was not `within` seconds.
            Exception: why it never will be (Kicked, Disabled, Closed …).
        """
        try:
            async with asyncio.timeout(within):
                while not self.open:
                    if self.error is not None:
                        raise self.error
                    self._open.clear()
                    await self._open.wait()
        except TimeoutError:
            raise Offline("no connection in time") from None

    async def ask(self, make: Callable[[], int], within: float) -> Page | Result:
        """Send the read or query that `make` queues; again after a reconnect. Raises what the
        server refuses, and like `opened`."""
        deadline = self.clock() + within
        while True:
            await self.opened(max(0.0, deadline - self.clock()))
            try:
                return await self._ask_once(make, deadline - self.clock())
            except GoingAway:
                await asyncio.sleep(0.05)  # the loss is on its way, or the server closes

    async def _ask_once(self, make: Callable[[], int], within: float) -> Page | Result:
        ref = make()
        future: asyncio.Future[Page | Result] = asyncio.get_running_loop().create_future()
        self._asked[ref] = future
        self.poke()
        try:
            async with asyncio.timeout(within):
                return await future
        except TimeoutError:
            raise Offline("no answer in time") from None
        finally:
            self._asked.pop(ref, None)

    # --- the task -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Connect, again and again, until the server or the token source says never again."""
        while self.error is None:
            self._awake.clear()
            reason = await self._once()
            for event in self.session.lost(self.clock()):
                self._handle(event)
            pause = self._pause()
            if pause is None:
                self.stop(self._why or Refusal(reason))
                return
            self._owner.disconnected(reason, pause)
            try:
                async with asyncio.timeout(pause):
                    await self._awake.wait()
            except TimeoutError:
                continue  # the pause is over

    def stop(self, error: Exception) -> None:
        """It is over: whoever waits is told why. Idempotent."""
        if self.error is not None:
            return
        self.error = error
        if self._timer is not None:
            self._timer.cancel()
        for future in self._asked.values():
            if not future.done():
                future.set_exception(error)
        self._open.set()
        self._owner.ended(error)

    async def leave(self, *, logout: bool) -> None:
        """Say bye, tell whoever waits, close; waits at most 1 s for the last bytes to go out."""
        link = self._link
        if link is not None and self.open:
            self._look()
            link.write(self.session.bye(logout=logout))
        why = "the client was closed"
        self.stop(Closed(why))
        if link is not None:
            link.close(why)
            await asyncio.wait([link.lost], timeout=LEAVE_S)

    def drop(self, why: str) -> None:
        """Close the connection without a word."""
        if self._link is not None:
            self._link.close(why)

    def _pause(self) -> float | None:
        """Seconds to the next try; None = never again by itself."""
        why = self._why
        if isinstance(why, Unauthenticated):  # a new token may help
            if (forget := getattr(self._get_token, "forget", None)) is not None:
                forget()
            return self._roll()
        if isinstance(why, Denied | Closed) or self.error is not None:
            return None
        pause = self.session.reconnect_in(self.random.random())
        if pause is not None and why is not None:
            pause = max(pause, why.retry_after_ms / 1000 if why.retry else 0.0)
        return pause

    def _failed(self, text: str) -> str:
        self._why = Offline(text, retry_after_ms=int(1000 * self._roll()))
        return text

    def _roll(self) -> float:
        self._failures += 1
        return max(0.1, backoff(self._failures, self.random.random()))

    async def _once(self) -> str:
        """One connection from start to loss; return why it ended."""
        self._why = None
        try:
            token = await self._get_token()
        except Denied as why:
            self._why = why
            return f"no token: {why.text}"
        except Exception as exc:  # the application's own; it may work next time
            return self._failed(f"no token: {type(exc).__name__} {exc}".rstrip())
        try:
            self._link = await connect(
                self._url,
                self._received,
                subprotocol=self._subprotocol,
                binary=self.codec.binary,
                ssl=self._ssl,
            )
        except CONNECT_ERRORS as exc:
            return self._failed(f"cannot connect: {type(exc).__name__} {exc}".rstrip())
        try:
            self._link.write(self.session.hello(token, self.clock()))
            self.poke()
            return await self._link.lost
        finally:
            self._link.abort("the client was closed")
            self._link = None

    # --- callbacks ------------------------------------------------------------------------------

    def _received(self, message: bytes) -> None:
        link, now = self._link, self.clock()
        if link is None:
            return
        self._heard = now
        try:
            events = self.session.receive(message, now)
        except BadFrame as why:
            self._why = why
            link.close(f"the server makes no sense: {why.text}")
            return
        for event in events:
            self._handle(event)
        self.poke()

    def _handle(self, event: Event) -> None:
        if isinstance(event, Answered | Refused) and event.request is not None:
            future = self._asked.get(event.request.ref)
            if future is not None:
                if not future.done():
                    self._settle(future, event)
                return
        if isinstance(event, SessionClosed):
            self._why = event.why
            if self._link is not None:
                self._link.close(event.why.text)
            return
        if isinstance(event, Opened):
            self._failures = 0
            self._open.set()
        self._owner.handle(event)

    @staticmethod
    def _settle(future: asyncio.Future[Page | Result], event: Answered | Refused) -> None:
        if isinstance(event, Refused):
            future.set_exception(event.why)
        elif isinstance(event.answer, Page | Result):
            future.set_result(event.answer)

    def _look(self) -> None:
        """Do what is due, send what is queued, set the timer for what comes next."""
        self._soon = False
        link, now = self._link, self.clock()
        if link is None or self.error is not None:
            return
        for event in self.session.tick(now):
            self._handle(event)
        if self.open:
            self._owner.work(now)
        while link.writable and (message := self.session.take()) is not None:
            link.write(message)
        self._set_timer(now)

    def _set_timer(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        times = [at for at in (self.session.due(), self._owner.due()) if at is not None]
        if times:
            pause = max(0.01, min(times) - now)
            self._timer = asyncio.get_running_loop().call_later(pause, self._look)

    def _probed(self, link: Link | None, heard: float) -> None:
        if link is not None and link is self._link and self._heard == heard:
            link.abort("silent after a change of the network")
