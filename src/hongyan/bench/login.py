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
from hongyan.bench.crowd import BenchError, Client, Crowd, files_allowed
from hongyan.bench.links import percentile
from hongyan.bench.server import ServerProcess
from hongyan.model.ids import DeviceId, OpId, UserId, log_id
from hongyan.model.log import Commit, MemberChange, Role, Write
from hongyan.wire import frames as f
from hongyan.wire.events import backoff

CONVERSATIONS = 20  # of each user
MEMBERS = 100  # of each conversation
BATCH = 50  # commits at once while the store is filled
STORM_S = 120.0  # then who is not in has failed
PATIENCE_S = 10.0  # for the handshake, then for the welcome: as the SDKs have it
PING_S = 20.0
SPARE = 200  # open files beside connections
MOST_TRIES = 100
_NETSTAT = Path("/proc/net/netstat")
_now = time.perf_counter
_encode = msgspec.json.Encoder().encode


class Storm(msgspec.Struct, frozen=True):
    """All users once. Times from the moment at which all came, to the welcome."""

    name: str
    users: int
    inside: int  # who were let in
    failed: int  # who were not
    seconds: float  # until the last was in
    p50_ms: float
    p99_ms: float
    connects: int  # tries of all
    sent_away: int  # told by the server when to come back
    gave_up: int  # waited PATIENCE_S for the handshake or the welcome, and tried again
    cut: int  # connections that ended without a word
    wrong: int  # users whose rows were not those they have
    connects_dropped: int  # by the kernel, in front of a full backlog; all of this machine
    server_cpu_s: float
    cpu_us_per_hello: float
    server_share: float  # of a core; near 1 the server was the bound
    generator_share: float


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
    inbox: _Page | int | None = None  # of a welcome; a digest of a pong
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
        self.rows = 0
        self.done_at = self.after_s = 0.0

    def again(self) -> None:
        """Ready for the next storm."""
        self.tries, self.rows, self.done_at, self.after_s = 0, 0, 0.0, 0.0

    def begin(self) -> None:
        """Say hello, with the token of the last sync."""
        device = DeviceId("phone")
        hello = f.Hello(token=self.token, device=device, cls="phone", inbox=self.inbox)
        self.send(_encode(hello))
        self.desk.patience.append((_now() + PATIENCE_S, self, self.tries, True))

    def message(self, payload: bytes) -> None:
        """The welcome, or why not."""
        for frame in _many(payload) if payload[:1] == b"[" else [_one(payload)]:
            if isinstance(frame.inbox, _Page):
                self.done_at = _now()
                self.rows += len(frame.inbox.rows)
                self.inbox = frame.inbox.upto
                self.desk.came(self)
            elif frame.t == "goodbye":
                self.after_s = max(frame.reconnect_after_ms, 1) / 1000
                if frame.reconnect_after_ms < 0:
                    raise BenchError(f"the server sent a user away for good: {frame.text}")

    def lost(self) -> None:
        """Come back when told to."""
        self.desk.away(self)


class Desk:
    """All users of one storm after the other."""

    def __init__(self, server: ServerProcess, users: int, hold: int) -> None:
        """Tokens are made here."""
        self.server, self.hold = server, hold
        self.oldest: deque[_User] = deque()  # those inside
        self.patience: deque[tuple[float, _User, int, bool]] = deque()  # until, try, said hello
        self.crowd = Crowd(server.port, "/v1/ws", f.JSON_SUBPROTOCOL)
        self.inside = self.connects = self.sent_away = self.gave_up = self.cut = 0
        self.later: list[tuple[float, _User]] = []
        self.ping_at = 0.0
        self.users = [_User(self, n, server.token(f"u{n}")) for n in range(users)]

    def came(self, user: _User) -> None:
        """Somebody was let in."""
        self.inside += 1
        self.oldest.append(user)

    def away(self, user: _User) -> None:
        """Somebody was sent away, gave up, or lost the connection."""
        user.tries += 1
        if user.tries > MOST_TRIES:
            raise BenchError(f"user {user.number} was sent away {user.tries} times")
        if user.done_at:
            self.inside -= 1
            self.oldest.remove(user)
            user.done_at = 0.0
        if user.after_s:
            self.sent_away += 1
        else:
            self.cut += 1
        wait = max(user.after_s, backoff(user.tries, random.random()))
        user.after_s = 0.0
        self.later.append((_now() + wait, user))

    def storm(self, name: str, at_once: int, rows: int) -> Storm:
        """All come; `rows` is what the welcomes of each have to bring."""
        self._begin()
        before, own, began = self.server.usage(), time.process_time(), _now()
        dropped, self.ping_at = connects_dropped(), began + PING_S
        waiting, begun = iter(self.users), 0
        while self.inside < len(self.users) and _now() - began < STORM_S:
            while begun < len(self.users) and begun - self.inside < at_once:
                if len(self.crowd) >= self.hold and not self._make_room():
                    break
                self._open(next(waiting))
                begun += 1
                if not begun % 100:
                    self._turn(0)
            self._turn(0.01)
        took = _now() - began
        cpu = self.server.usage().cpu_s - before.cpu_s
        times = [user.done_at - began for user in self.users if user.done_at]
        return Storm(
            name=name,
            users=len(self.users),
            inside=self.inside,
            failed=len(self.users) - self.inside,
            seconds=round(took, 2),
            p50_ms=round(percentile(times, 0.5) * 1e3, 1),
            p99_ms=round(percentile(times, 0.99) * 1e3, 1),
            connects=self.connects,
            sent_away=self.sent_away,
            gave_up=self.gave_up,
            cut=self.cut,
            wrong=sum(user.rows != rows for user in self.users),
            connects_dropped=connects_dropped() - dropped,
            server_cpu_s=round(cpu, 2),
            cpu_us_per_hello=round(cpu / max(self.inside, 1) * 1e6, 1),
            server_share=round(cpu / took, 2),
            generator_share=round((time.process_time() - own) / took, 2),
        )

    def _begin(self) -> None:
        self.inside = self.connects = self.sent_away = self.gave_up = self.cut = 0
        for waits in (self.later, self.oldest, self.patience):
            waits.clear()
        for user in self.users:
            user.again()

    def _open(self, user: _User) -> None:
        self.connects += 1
        self.patience.append((_now() + PATIENCE_S, user, user.tries, False))
        self.crowd.open(user)

    def _make_room(self) -> bool:
        """Who came first leaves; False where nobody is in."""
        if not self.oldest:
            return False
        self.crowd.leave(self.oldest.popleft())
        return True

    def _turn(self, seconds: float) -> None:
        self.crowd.turn(seconds)
        now = _now()
        while self.patience and self.patience[0][0] <= now:
            _, user, tries, said = self.patience.popleft()
            if user.tries == tries and not user.done_at and (said or not user.opened):
                self.gave_up += 1
                self.cut -= 1  # as `away` counts it: nobody said a word
                self.crowd.drop(user)
        if now >= self.ping_at:
            self.ping_at = now + PING_S
            for user in self.oldest:
                user.send(_encode(f.Ping(inbox=user.inbox)))
        ready = [user for at, user in self.later if at <= now]
        if ready:
            self.later = [(at, user) for at, user in self.later if at > now]
            for user in ready:
                self._open(user)

    def leave(self) -> None:
        """All connections end, and nobody comes back; a new crowd for the next storm."""
        self.crowd.close()
        self.later.clear()
        self.crowd = Crowd(self.server.port, "/v1/ws", f.JSON_SUBPROTOCOL)
        for user in self.users:
            user.crowd = self.crowd


def connects_dropped() -> int:
    """Connects that this machine's kernel has thrown away so far, as their backlog was full."""
    names, numbers = _NETSTAT.read_text().splitlines()[:2]
    return int(dict(zip(names.split(), numbers.split(), strict=True))["ListenDrops"])


def prepare(users: int) -> int:
    """How many connections this process, and the server it starts, may hold: all of them, where
    the system lets us."""
    return min(users, files_allowed(users + SPARE) - SPARE)


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


def table(result: LoginResult, cores: int | None) -> str:
    """The result for people."""
    lines = [
        f"{result.users:,} users with {result.conversations} conversations each,"
        f" {result.at_once:,} on the way at once; {cores} cores, the server on one of them",
        f"restart after the kill: {result.restart_s} s",
    ]
    if result.held < result.users:
        lines.append(
            f"at most {result.held:,} are connected at a time, for the limit of open files is"
            f" {result.held + SPARE:,}: the first who are in leave for the last"
        )
    lines += [
        "",
        f"  {'':<14}{'in / users':>17}{'s':>7}{'p50 ms':>8}{'p99 ms':>8}{'us CPU':>8}"
        f"{'server':>8}{'load':>6}{'connects':>10}{'away':>6}{'gave up':>9}{'cut':>5}"
        f"{'dropped':>9}{'wrong':>7}",
    ]
    lines += [
        f"  {s.name:<14}{f'{s.inside:,} / {s.users:,}':>17}{s.seconds:>7.1f}{s.p50_ms:>8.0f}"
        f"{s.p99_ms:>8.0f}{s.cpu_us_per_hello:>8.0f}{s.server_share:>8.0%}"
        f"{s.generator_share:>6.0%}{s.connects:>10,}{s.sent_away:>6,}{s.gave_up:>9,}{s.cut:>5,}"
        f"{s.connects_dropped:>9,}{s.wrong:>7,}"
        for s in result.storms
    ]
    lines += [
        "",
        "  first visit: accounts are made and all rows read. nine o'clock: all were here before.",
        "  us CPU: of the server, for each who got in. away: told when to come back. gave up:"
        f" after {PATIENCE_S:.0f} s,",
        "  as the SDKs do. cut: ended without a word. dropped: connects that found no place in the"
        " backlog.",
    ]
    return "\n".join(lines)
