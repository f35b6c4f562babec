"""Nine o'clock: everybody logs in at once, and once more after the server was killed.

Each user has 20 conversations of which nothing has changed since the last visit; the token is made
beforehand, as a back end would. A user who is sent away comes back when told to, as an SDK does.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import msgspec

from hongyan.adapters.sqlite import SqliteStore
from hongyan.bench.crowd import SPARE_FILES, BenchError, Client, Crowd, files_allowed
from hongyan.bench.links import percentile
from hongyan.bench.server import ServerProcess
from hongyan.model.ids import DeviceId, OpId, UserId, log_id
from hongyan.model.log import Commit, MemberChange, Role, Write
from hongyan.wire import frames as f

CONVERSATIONS = 20  # of each user
MEMBERS = 100  # of each conversation
BATCH = 50  # commits at once while the store is filled
PATIENCE_S = 120.0
MOST_TRIES = 100
COME_BACK_S = (0.2, 0.6)  # where nothing was said about it
_now = time.perf_counter
_encode = msgspec.json.Encoder().encode


class Storm(msgspec.Struct, frozen=True):
    """All users once. Times from the moment at which all came, to the welcome."""

    name: str
    seconds: float  # until the last was in
    failed: int
    sent_away: int  # and came back
    wrong: int  # users whose rows were not those they have
    p50_ms: float
    p99_ms: float
    server_cpu_s: float
    cpu_us_per_hello: float
    generator_cpu_s: float


class LoginResult(msgspec.Struct, frozen=True):
    """One run."""

    users: int
    conversations: int
    at_once: int
    held: int  # connections at most: where the system allows fewer, who came first leaves
    restart_s: float  # after the kill, until calls are taken
    storms: list[Storm]


class _Page(msgspec.Struct, gc=False):
    rows: list[msgspec.Raw]
    upto: int
    more: bool = False


class _Seen(msgspec.Struct, gc=False):
    t: str
    inbox: _Page | None = None
    reconnect_after_ms: int = 0
    text: str = ""


_one = msgspec.json.Decoder(_Seen).decode
_many = msgspec.json.Decoder(list[_Seen]).decode


async def fill(data: Path, users: int) -> None:
    """Write a data directory in which u0 to u<users-1> have CONVERSATIONS groups each."""
    store = SqliteStore(data)
    try:
        waiting = []
        for commit in _groups(users):
            waiting.append(store.commit(commit))
            if len(waiting) == BATCH:
                await asyncio.gather(*waiting)
                waiting.clear()
        await asyncio.gather(*waiting)
    finally:
        await store.close()


def _groups(users: int) -> Iterator[Commit]:
    """Members of group k are those after user k * step, in a ring."""
    members = min(MEMBERS, users)
    count = users * CONVERSATIONS // members
    now = time.time_ns() // 1_000_000
    for k in range(count):
        start = k * users // count
        people = [UserId(f"u{(start + n) % users}") for n in range(members)]
        yield Commit(
            log=log_id("main", "g", f"bench{k}"),
            sender=people[0],
            op=OpId("open"),
            hash=b"0" * 16,
            at=now,
            writes=(
                Write("created", b'{"title":"bench"}'),
                Write("message", b'{"content":{"type":"text","text":"hello"}}', count=True),
            ),
            expect=0,
            state=_encode({"title": "bench", "owner": people[0]}),
            members=tuple(
                MemberChange(user=user, join=True, role=Role.OWNER if user == people[0] else None)
                for user in people
            ),
            touch=tuple(people),
        )


class _User(Client):
    """One who logs in."""

    __slots__ = ("after_s", "desk", "done_at", "inbox", "rows", "token", "tries")

    def __init__(self, desk: Desk, number: int, token: str) -> None:
        """Nothing synced yet."""
        super().__init__(desk.crowd, number)
        self.desk, self.token = desk, token
        self.inbox = self.tries = 0
        self.rows = -1
        self.done_at = self.after_s = 0.0

    def again(self) -> None:
        """Ready for the next storm."""
        self.tries, self.rows, self.done_at = 0, -1, 0.0

    def begin(self) -> None:
        """Say hello, with the token of the last sync."""
        device = DeviceId("phone")
        hello = f.Hello(token=self.token, device=device, cls="phone", inbox=self.inbox)
        self.send(_encode(hello))

    def message(self, payload: bytes) -> None:
        """The welcome, or why not."""
        for frame in _many(payload) if payload[:1] == b"[" else [_one(payload)]:
            if frame.t == "welcome" and frame.inbox is not None:
                self.done_at, self.rows = _now(), len(frame.inbox.rows)
                self.inbox = frame.inbox.upto
                self.desk.inside += 1
                self.desk.oldest.append(self)
            elif frame.t == "goodbye":
                self.after_s = frame.reconnect_after_ms / 1000
                if frame.reconnect_after_ms < 0:
                    raise BenchError(f"the server sent a user away for good: {frame.text}")

    def lost(self) -> None:
        """Come back when told to."""
        self.tries += 1
        self.desk.away(self)


class Desk:
    """All users of one storm after the other."""

    def __init__(self, server: ServerProcess, users: int, hold: int) -> None:
        """Tokens are made here."""
        self.server, self.hold = server, hold
        self.oldest: deque[_User] = deque()  # those inside
        self.crowd = Crowd(server.port, "/v1/ws", f.JSON_SUBPROTOCOL)
        self.inside = self.sent_away = 0
        self.later: list[tuple[float, _User]] = []
        self.users = [_User(self, n, server.token(f"u{n}")) for n in range(users)]

    def away(self, user: _User) -> None:
        """Somebody was sent away, or lost the connection."""
        self.sent_away += 1
        if user.tries > MOST_TRIES:
            raise BenchError(f"user {user.number} was sent away {user.tries} times")
        if user.done_at:
            self.inside -= 1
            user.done_at = 0.0
        wait = user.after_s or random.uniform(*COME_BACK_S)
        self.later.append((_now() + wait, user))

    def storm(self, name: str, at_once: int, rows: int) -> Storm:
        """All come; `rows` is what each welcome has to bring."""
        self.inside = self.sent_away = 0
        self.later.clear()
        self.oldest.clear()
        for user in self.users:
            user.again()
        before, own, began = self.server.usage(), time.process_time(), _now()
        waiting, begun = iter(self.users), 0
        while self.inside < len(self.users) and _now() - began < PATIENCE_S:
            while begun < len(self.users) and begun - self.inside < at_once:
                if len(self.crowd) >= self.hold and not self._make_room():
                    break
                self.crowd.open(next(waiting))
                begun += 1
                if not begun % 100:
                    self._turn(0)
            self._turn(0.01)
        took = _now() - began
        cpu = self.server.usage().cpu_s - before.cpu_s
        times = [user.done_at - began for user in self.users if user.done_at]
        return Storm(
            name=name,
            seconds=round(took, 2),
            failed=len(self.users) - self.inside,
            sent_away=self.sent_away,
            wrong=sum(user.rows != rows for user in self.users),
            p50_ms=round(percentile(times, 0.5) * 1e3, 1),
            p99_ms=round(percentile(times, 0.99) * 1e3, 1),
            server_cpu_s=round(cpu, 2),
            cpu_us_per_hello=round(cpu / max(self.inside, 1) * 1e6, 1),
            generator_cpu_s=round(time.process_time() - own, 2),
        )

    def _make_room(self) -> bool:
        """Who came first leaves; False where nobody is in."""
        if not self.oldest:
            return False
        self.crowd.leave(self.oldest.popleft())
        return True

    def _turn(self, seconds: float) -> None:
        self.crowd.turn(seconds)
        if not self.later:
            return
        now = _now()
        ready = [user for at, user in self.later if at <= now]
        if ready:
            self.later = [(at, user) for at, user in self.later if at > now]
            for user in ready:
                self.crowd.open(user)

    def leave(self) -> None:
        """All connections end, and nobody comes back; a new crowd for the next storm."""
        self.crowd.close()
        self.later.clear()
        self.crowd = Crowd(self.server.port, "/v1/ws", f.JSON_SUBPROTOCOL)
        for user in self.users:
            user.crowd = self.crowd


def prepare(users: int) -> int:
    """How many connections this process, and the server it starts, may hold: all of them, where
    the system lets us."""
    return min(users, files_allowed(users + SPARE_FILES) - SPARE_FILES)


async def run(server: ServerProcess, *, users: int, at_once: int, hold: int) -> LoginResult:
    """`server` serves a directory made by `fill`. At the end it was killed once.

    Raises:
        BenchError: a user was sent away for good, or over and over.
    """
    rows = min(CONVERSATIONS, users)
    await server.quiet()
    desk = Desk(server, users, hold)
    storms = [desk.storm("first visit", at_once, rows)]
    desk.leave()
    await server.quiet()
    storms.append(desk.storm("nine o'clock", at_once, 0))
    server.stop(signal.SIGKILL)
    desk.leave()
    restart_s = server.start()
    storms.append(desk.storm("after kill -9", at_once, 0))
    desk.crowd.close()
    return LoginResult(
        users=users,
        conversations=rows,
        at_once=at_once,
        held=hold,
        restart_s=round(restart_s, 2),
        storms=storms,
    )


def table(result: LoginResult) -> str:
    """The result for people."""
    lines = [
        f"{result.users} users with {result.conversations} conversations each,"
        f" {result.at_once} on the way at once; restart {result.restart_s} s",
        "",
        f"  {'':<14}{'s':>7}{'failed':>8}{'sent away':>11}{'wrong':>7}{'p50 ms':>9}{'p99 ms':>9}"
        f"{'us/hello':>10}",
    ]
    lines += [
        f"  {s.name:<14}{s.seconds:>7}{s.failed:>8}{s.sent_away:>11}{s.wrong:>7}{s.p50_ms:>9}"
        f"{s.p99_ms:>9}{s.cpu_us_per_hello:>10}"
        for s in result.storms
    ]
    return "\n".join(lines)
