"""The client's half of a session: what to send, what an answer belongs to, when to come back.

This is the whole protocol of a client without a socket, and the contract for SDKs in other
languages: `docs/protocol.md` tells the same in prose. One object serves one device for its whole
life, over all its connections. The shell around it owns the socket, the clock and the disk:

1. Connect; send `hello(token, now)` as the first message.
2. For every message: handle the events of `receive(message, now)` in order. A BadFrame out of it
   means that the peer is no hongyan server: close.
3. After whatever may have queued something (a request, receive, tick): send what `take()` gives
   until it gives None.
4. Call `tick(now)` at the latest at `due()`; handle its events like those of receive.
5. When the socket is gone, or could not be opened: `lost(now)`; then wait `reconnect_in(random())`
   seconds and start again at 1. None means: not before a person says so.

Calls survive a lost connection by themselves: they are sent again, in order, with the same `op`.
Reads and queries do not: they come back as Refused with a retryable error. Times are seconds of a
monotonic clock. No method waits; none but those documented raises for what the peer does.
"""

# size: the client's half is one state machine; parted, its states and moves part

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from hongyan.model.errors import BadFrame, GoingAway, TimedOut
from hongyan.model.ids import DeviceId, LogId, OpId, Seq
from hongyan.wire.codec import Codec
from hongyan.wire.events import (
    Answered,
    Closed,
    Event,
    Opened,
    Refused,
    Rows,
    Stale,
    backoff,
    refusal_of,
)
from hongyan.wire.frames import (
    Ack,
    Attached,
    Behind,
    Bye,
    Call,
    Cursor,
    Deliver,
    Fail,
    Goodbye,
    Hello,
    Inbox,
    InboxPage,
    Limits,
    Page,
    Ping,
    Pong,
    Query,
    Read,
    Result,
    ServerFrame,
    Signal,
    Subscribe,
    Sync,
    Unsubscribe,
    Welcome,
)
from hongyan.wire.heads import Heads
from hongyan.wire.requests import Requests
from hongyan.wire.states import CLIENT, ClientInput, ClientState

OPEN_TIMEOUT = 10.0  # s from hello to welcome
STABLE = 5.0  # s open after which the next loss counts as the first
SYNC_ROWS = 100  # rows asked for in a page of a sync


class ClientSession:
    """See the module. Not thread-safe; one owner."""

    def __init__(
        self,
        codec: Codec,
        device: DeviceId,
        *,
        cls: str = "web",
        client: str = "",
        lang: str = "",
        token: int = 0,
        large: Mapping[LogId, Seq] | None = None,
    ) -> None:
        """`token` and `large` are what was saved of an earlier process (see Rows), or nothing."""
        self.state: ClientState = "down"
        self.away = False  # said with every ping; set it when the person is away
        self.heads = Heads(token, large)
        self._codec = codec
        self._device, self._cls, self._client, self._lang = device, cls, client, lang
        self._requests = Requests(codec)
        # Moves without ref, by log: of this heartbeat and of the one before. The server stores
        # them within seconds; until two pongs later they are sent again after a reconnect.
        self._cursors: dict[LogId, Cursor] = {}
        self._older: dict[LogId, Cursor] = {}
        self._syncing = 0  # ref of the sync page asked for
        self._sync_again = False
        self._heartbeat = 0.0  # s
        self._began = 0.0  # hello, or welcome
        self._opened = False  # by a welcome, on this connection
        self._next_ping = 0.0
        self._missed = 0  # pings since anything came
        self._attempts = 0
        self._comeback: float | None = 0.0  # s, as the last goodbye said

    @property
    def limits(self) -> Limits | None:
        """What the server takes, as its newest welcome said."""
        return self._requests.limits

    # --- requests -----------------------------------------------------------------------------

    def call(self, name: str, args: bytes, *, op: OpId, log: LogId = LogId("")) -> int:
        """Queue a call; return its ref. `args` is JSON. Allowed in any state.

        Answered once, by Answered with an Ack or by Refused, however many connections it takes.

        Raises:
            FrameTooBig: it can never be sent.
        """
        return self._requests.ask(Call(self._requests.next_ref(), name, op, log, msgspec.Raw(args)))

    def read(
        self,
        log: LogId,
        *,
        after: Seq | None = None,
        before: Seq | None = None,
        around: Seq | None = None,
        limit: int = 50,
    ) -> int:
        """Queue a read of a range (exactly one of the three; `before` 0 = the newest).

        Raises:
            GoingAway: there is no open session; ask again after the next Opened.
        """
        self._need_open()
        return self._requests.ask(
            Read(self._requests.next_ref(), log, after, before, around, limit)
        )

    def query(self, name: str, args: bytes = b"{}", *, log: LogId = LogId("")) -> int:
        """Queue a query; `args` is JSON. Raises like `read`."""
        self._need_open()
        return self._requests.ask(Query(self._requests.next_ref(), name, log, msgspec.Raw(args)))

    def subscribe(
        self, log: LogId, on: bool = True, *, rate: int = 0, epoch: int = 0, after: int = 0
    ) -> int:
        """Queue a subscribe or unsubscribe; it holds for this connection. For a live log `rate`
        items a second are wanted at most (0 = as the log says), and `epoch` and `after` say what
        was seen of it. Raises like `read`."""
        self._need_open()
        ref = self._requests.next_ref()
        asked = Subscribe(ref, log, rate, epoch, after) if on else Unsubscribe(ref, log)
        return self._requests.ask(asked)

    def move(
        self,
        log: LogId,
        *,
        delivered: Seq = Seq(0),
        read: Seq = Seq(0),
        mark: int = -1,
        durable: bool = False,
    ) -> int:
        """Queue a move of the own cursors; return its ref, or 0 where no answer is wanted.

        With `durable` it is answered like a call. Without, moves of one log are merged, and those
        of the last one or two heartbeats are sent again after a reconnect. Allowed in any state.
        """
        if durable:
            ref = self._requests.next_ref()
            return self._requests.ask(Cursor(log, delivered, read, mark, ref))
        cursor = self._merge(Cursor(log, delivered, read, mark))
        if self.state == "open":
            self._requests.say(cursor)
        return 0

    def signal(self, log: LogId, name: str, body: bytes = b"{}") -> bool:
        """Queue a signal, or drop it (False) when the session is not open or much is waiting."""
        return self.state == "open" and self._requests.say(Signal(log, name, msgspec.Raw(body)))

    def sync(self) -> None:
        """Bring the rows up to date. Runs by itself after a welcome, when a heartbeat shows a
        loss, and when the server says that it left something out; Rows follow."""
        if self._syncing:
            self._sync_again = True
        elif self.state == "open":
            self._ask_rows(after=self.heads.token, upto=0)

    # --- connection ---------------------------------------------------------------------------

    def hello(self, token: str, now: float) -> bytes:
        """Start on a new connection; return the first message to send.

        `token` is the access token; get a fresh one for every connection.
        """
        self._step("hello")
        self._began = now
        self._comeback = 0.0
        self.heads.begin()
        return self._codec.encode(
            Hello(
                token,
                self._device,
                self._cls,
                self._client,
                self.heads.token,
                self.heads.large_digest(),
                SYNC_ROWS,
                self._lang,
            )
        )

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Take one message of the server; return what it means, in order.

        Raises:
            BadFrame: the message is none of a hongyan server; close the socket, then `lost`.
        """
        self._missed = 0
        events: list[Event] = []
        for frame in self._codec.decode_server(data):
            self._take_in(frame, now, events)
        return events

    def due(self) -> float | None:
        """When to call `tick` at the latest; None = not before the state changes."""
        if self.state == "opening":
            return self._began + OPEN_TIMEOUT
        return self._next_ping if self.state == "open" else None

    def tick(self, now: float) -> list[Event]:
        """Keep the heartbeat: queue a ping each interval, notice that the server is dead.

        Closed comes when no welcome came within 10 s, or nothing at all after two pings.
        """
        if self.state == "opening" and now >= self._began + OPEN_TIMEOUT:
            return self._give_up("no welcome")
        if self.state != "open" or now < self._next_ping:
            return []
        if self._missed == 2:
            return self._give_up("no answer to two pings")
        self._missed += 1
        self._next_ping = now + self._heartbeat
        self._requests.say(Ping(self.heads.token, self.away))
        return []

    def bye(self, *, logout: bool = False) -> bytes:
        """The last message of a client that leaves on purpose; close after sending it."""
        self._step("bye")
        self._comeback = None
        return self._codec.encode(Bye(logout))

    def lost(self, now: float) -> list[Event]:
        """The connection is gone, or could not be made. Reads and queries come back as Refused;
        calls wait."""
        stable = self._opened and now - self._began >= STABLE
        self._attempts = 0 if stable else self._attempts + 1
        self._opened = False
        if self.state == "down":
            return []
        self._step("lost")
        self._syncing, self._sync_again, self._missed = 0, False, 0
        self.heads.abandon()
        why = GoingAway("the connection was lost; ask again")
        return [
            Refused(request, why)
            for request in self._requests.lost()
            if not isinstance(request.frame, Sync)
        ]

    def reconnect_in(self, roll: float) -> float | None:
        """Seconds to wait before the next connection; `roll` is a random number in [0, 1).

        None: the server said not to come back by itself (kicked, disabled, mend the client), or
        this side said bye.
        """
        if self._comeback is None:
            return None
        return max(self._comeback, backoff(self._attempts, roll))

    def take(self, most: int = 64 * 1024) -> bytes | None:
        """The next message to send, of one or several frames; None = nothing may be sent now."""
        return self._requests.take(most) if self.state == "open" else None

    # --- inside -------------------------------------------------------------------------------

    def _step(self, given: ClientInput) -> None:
        after = CLIENT.get((self.state, given))
        if after is None:
            raise RuntimeError(f"{given} while {self.state}")
        self.state = after

    def _need_open(self) -> None:
        if self.state != "open":
            raise GoingAway("no open session; ask again when there is one")

    def _give_up(self, text: str) -> list[Event]:
        self._step("goodbye")
        return [Closed(TimedOut(text))]

    def _take_in(self, frame: ServerFrame, now: float, events: list[Event]) -> None:
        """One frame of the server: keep the books, tell the shell."""
        match frame:
            case Welcome():
                self._welcomed(frame, now, events)
            case Goodbye():
                self._step("goodbye")
                after = frame.reconnect_after_ms
                self._comeback = None if after < 0 else after / 1000
                events.append(Closed(refusal_of(frame.code, frame.text, max(after, 0))))
            case Fail():
                self._failed(frame, events)
            case _ if (self.state, "frame") not in CLIENT:
                raise BadFrame(f"{type(frame).__name__} while {self.state}")
            case Ack() | Page() | Result() | Attached():
                self._answered(frame, events)
            case Inbox():
                self._inbox(frame, events)
            case Pong():
                self._ponged(frame)
            case _:
                if isinstance(frame, Deliver):
                    self.heads.entries(frame.log, frame.entries)
                elif isinstance(frame, Behind):
                    self.heads.reached(frame.log, frame.head)
                events.append(frame)

    def _welcomed(self, welcome: Welcome, now: float, events: list[Event]) -> None:
        if (self.state, "welcome") not in CLIENT:
            raise BadFrame(f"a welcome while {self.state}")
        self._step("welcome")
        self._began, self._opened = now, True
        self._heartbeat = max(1.0, welcome.heartbeat_ms / 1000)
        self._next_ping = now + self._heartbeat
        events.append(Opened(welcome))
        events.extend(self._requests.opened(welcome.limits))
        for cursor in self._older.values():
            self._merge(cursor)
        for cursor in self._cursors.values():
            self._requests.say(cursor)
        self._rows(welcome.inbox, events)

    def _answered(self, frame: Ack | Page | Result | Attached, events: list[Event]) -> None:
        request = self._requests.answered(frame.ref, frame)
        if request is not None:  # else it was answered before, over another connection
            if isinstance(frame, Attached):
                self.heads.viewed.add(frame.log)
            events.append(Answered(request, frame))

    def _failed(self, frame: Fail, events: list[Event]) -> None:
        why = refusal_of(frame.code, frame.text, frame.retry_after_ms)
        request = self._requests.failed(frame.ref)
        if request is not None and request.ref == self._syncing:
            self._syncing, self._sync_again = 0, True  # with the next pong
            self.heads.abandon()
            request = None
        events.append(Refused(request, why))

    def _inbox(self, frame: Inbox, events: list[Event]) -> None:
        if not frame.ref:
            for row in frame.page.rows:
                self.heads.pushed(row)
            if frame.page.rows:
                events.append(Rows(frame.page.rows, [], None))
            if frame.page.more:
                events.append(Stale())
                self.sync()
        elif frame.ref == self._syncing:
            self._requests.answered(frame.ref, frame)
            self._syncing = 0
            self._rows(frame.page, events)

    def _rows(self, page: InboxPage, events: list[Event]) -> None:
        """A page of a sync: go on, or finish."""
        for row in page.rows:
            self.heads.synced(row)
        self.heads.list_large(page.large)
        if page.more:
            events.append(Rows(page.rows, page.large, None))
            if page.rows:
                self._ask_rows(after=page.rows[-1].useq, upto=page.upto)
            else:  # a server that says more and gives none: do not spin, try with the next pong
                self._sync_again = True
                self.heads.abandon()
            return
        self.heads.finish(page.upto)
        events.append(Rows(page.rows, page.large, page.upto))
        if self._sync_again:
            self._sync_again = False
            self.sync()

    def _ask_rows(self, after: int, upto: int) -> None:
        ref = self._syncing = self._requests.next_ref()
        if not upto:
            self.heads.begin()
        large = self.heads.large_digest()
        self._requests.ask(Sync(ref, after, upto, SYNC_ROWS, large), first=True)

    def _merge(self, move: Cursor) -> Cursor:
        """Remember the move, together with what is remembered of its log."""
        if (old := self._cursors.get(move.log)) is not None:
            move = Cursor(
                move.log,
                max(move.delivered, old.delivered),
                max(move.read, old.read),
                max(move.mark, old.mark),
            )
        self._cursors[move.log] = move
        return move

    def _ponged(self, pong: Pong) -> None:
        self._older, self._cursors = self._cursors, {}
        if pong.inbox != self.heads.token or self._syncing:
            return  # counted from another token, or about to be mended
        if pong.digest != self.heads.digest() or self._sync_again:
            self._sync_again = False
            self.sync()
