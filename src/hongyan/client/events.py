"""What happens, as the application hears of it, and the bounded queue it waits in."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Self

import msgspec

from hongyan.client.replica import Cut
from hongyan.model.errors import Refusal
from hongyan.model.ids import DeviceId, LogId, OpId, Seq, UserId
from hongyan.model.log import Entry, InboxRow
from hongyan.wire.frames import Ack

QUEUE = 4_096


class Event(msgspec.Struct, frozen=True, gc=False):
    """What all events share."""


class Connected(Event, frozen=True, gc=False):
    """The session is open and calls go out. `repeat`: it was open before."""

    session: str
    user: UserId
    repeat: bool


class Disconnected(Event, frozen=True, gc=False):
    """There is no connection; the next try is in `retry_in_s` seconds. `wake` tries now."""

    reason: str
    retry_in_s: float


class Stopped(Event, frozen=True, gc=False):
    """It is over and no try will be made: kicked, disabled, or the token source gave up."""

    error: Exception


class Synced(Event, frozen=True, gc=False):
    """The conversation list is complete as of this token."""

    token: int


class RowChanged(Event, frozen=True, gc=False):
    """A conversation's row is new or changed; `client.rows` has it too."""

    row: InboxRow


class Entries(Event, frozen=True, gc=False):
    """Entries of an opened log, in order, each once."""

    log: LogId
    entries: tuple[Entry, ...]


class Skipped(Event, frozen=True, gc=False):
    """The replica of an opened log passed entries over; `cut` says which and why."""

    log: LogId
    cut: Cut


class Receipted(Event, frozen=True, gc=False):
    """Another member has received or read up to here."""

    log: LogId
    user: UserId
    delivered: Seq
    read: Seq


class Signalled(Event, frozen=True, gc=False):
    """Another member signals (typing …). Best effort."""

    log: LogId
    name: str
    user: UserId
    device: DeviceId
    body: msgspec.Raw


class Dropped(Event, frozen=True, gc=False):
    """The server left `n` entries of a live log out for good, and why."""

    log: LogId
    n: int
    reason: str


class Acked(Event, frozen=True, gc=False):
    """A call nobody waits for any more (after a restart) is stored."""

    op: OpId
    name: str
    ack: Ack


class Refused(Event, frozen=True, gc=False):
    """A call nobody waits for any more was refused for good."""

    op: OpId
    log: LogId
    name: str
    error: Refusal


class CacheBroken(Event, frozen=True, gc=False):
    """The data file cannot be written: what is called from now on would not survive."""

    error: Exception


class Missed(Event, frozen=True, gc=False):
    """The application was too slow: `n` events before this one were dropped. Nothing durable is
    lost: `client.rows` and the replicas are complete, look there."""

    n: int


class EventStream:
    """Events for one reader: `async for event in client.events()`.

    Bounded; when it is full the oldest go and `Missed` says how many. Ends after `Stopped`, or
    when the client is closed.
    """

    def __init__(self, most: int = QUEUE) -> None:
        """Hold at most `most` events."""
        self.most = most
        self._events: deque[Event] = deque()
        self._missed = 0
        self._closed = False
        self._wake = asyncio.Event()

    def put(self, event: Event) -> None:
        """For the client. Never waits."""
        if self._closed:
            return
        if len(self._events) >= self.most:
            self._events.popleft()
            self._missed += 1
        self._events.append(event)
        self._wake.set()

    def close(self) -> None:
        """Take no more; the reader finishes what is here, then ends."""
        self._closed = True
        self._wake.set()

    def __aiter__(self) -> Self:
        """Itself."""
        return self

    async def __anext__(self) -> Event:
        """The next event."""
        while not self._events:
            if self._closed:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        if self._missed:
            missed, self._missed = self._missed, 0
            return Missed(missed)
        return self._events.popleft()
