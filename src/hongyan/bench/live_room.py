"""A live room with its viewers, and what is said in it: open loop, in one thread."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import msgspec

from hongyan.bench.crowd import BenchError, Crowd, open_all, text_frame
from hongyan.bench.links import percentile
from hongyan.bench.live_viewers import (
    GIFT,
    LIKE,
    MOST_TRIES,
    OTHER,
    SAY,
    Digest,
    Host,
    Seen,
    Speaker,
    Viewer,
    encode,
)
from hongyan.bench.server import ServerProcess
from hongyan.model.ids import LogId, OpId
from hongyan.wire import frames as f

CLOCKED = 200  # viewers whose deliveries are timed
STALLED_BUFFER = 4096  # of the kernel, so that a stall is felt soon
PING_SHARE = 0.7  # of the heartbeat
_now = time.perf_counter


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to do. Rates are per second, `stalled` a share of the viewers."""

    viewers: int = 1000
    rate: float = 200.0  # danmaku
    gifts: float = 5.0
    likes: float = 2000.0  # calls; each says one to three likes
    stalled: float = 0.05
    tick_ms: int = 200
    shown: int = 10  # items a second that a viewer is shown
    seconds: float = 20.0
    size: int = 40  # characters of a danmaku


class Phase(msgspec.Struct, frozen=True):
    """A stretch of the run. Latencies of healthy viewers, ms, from when a send was due."""

    stalled: int
    seconds: float
    said: int
    shown: int  # danmaku put before viewers
    messages: int  # WebSocket messages that brought them
    danmaku_p50_ms: float
    danmaku_p99_ms: float
    gift_p50_ms: float
    gift_p99_ms: float
    ack_p50_ms: float
    ack_p99_ms: float
    server_cpu: float  # share of a core
    cpu_us_per_message: float
    cpu_us_per_item: float
    generator_cpu: float
    late_p99_ms: float  # how late the generator was to do what was due


class Run:
    """One run: the desk of its viewers."""

    def __init__(self, server: ServerProcess, plan: Plan) -> None:
        """Nothing is connected yet."""
        self.server, self.plan = server, plan
        self.crowd = Crowd(server.port, "/v1/ws", f.JSON_SUBPROTOCOL)
        self.log = ""
        self.known: dict[bytes, Digest] = {}
        self.heartbeat_s = 25.0
        self.rate = plan.shown
        self.inside = self.again = 0
        self.due: list[list[float]] = [[], [], []]
        self.acked_n = [0, 0, 0]
        self.done: set[int] = set()  # gifts that were acknowledged
        self.liked: list[int] = []
        self.likes = 0
        self.refused: Counter[str] = Counter()
        self.goodbyes: Counter[str] = Counter()
        self.acks: list[float] = []
        self.late: list[float] = []
        self.delays: tuple[list[float], list[float]] = ([], [])
        self.later: list[tuple[float, Viewer]] = []
        self.healthy: list[Viewer] = []
        self.speakers: list[Speaker] = []
        self.stalled: list[Viewer] = []
        self.viewers: list[Viewer] = []
        create = encode(
            f.Call(
                ref=1 << 40 | OTHER,
                name="room.create",
                op=OpId("open"),
                args=msgspec.Raw(encode({"title": "bench", "tick_ms": plan.tick_ms, "rate": 0})),
            )
        )
        self.host = Host(self.crowd, self, create, self._opened)
        self.everybody: list[Viewer] = [self.host]
        self._pinged, self._pinged_at = 0, _now()
        self._filler = "x" * max(plan.size - 9, 0)

    # --- what viewers tell ----------------------------------------------------------------------

    def token(self, user: str) -> str:
        """Made when it is needed: a hundred thousand of them are not kept."""
        return self.server.token(user)

    def _opened(self, log: str) -> None:
        self.log = log
        args = msgspec.Raw(b'{"greet":0}')
        call = f.Call(
            ref=3 << 40 | OTHER,
            name="room.update",
            op=OpId("greet"),
            log=LogId(log),
            args=args,
        )
        self.host.send(encode(call))

    def attached(self, viewer: Viewer) -> None:
        """One more is in."""
        self.inside += 1

    def acked(self, frame: Seen) -> None:
        """Count what was done."""
        kind, number = frame.ref & 3, (frame.ref >> 2) - 1
        if kind == OTHER:
            return
        self.acked_n[kind] += 1
        self.acks.append(_now() - self.due[kind][number])
        if kind == LIKE:
            self.likes += self.liked[number]

    def failed(self, frame: Seen) -> None:
        """Count what was refused."""
        kind = ("danmaku", "like", "gift", "other")[frame.ref & 3]
        self.refused[f"{kind}: {frame.code} {frame.text}"] += 1

    def parted(self, frame: Seen) -> None:
        """Count why."""
        self.goodbyes[f"{frame.code} {frame.text}"] += 1

    def lost(self, viewer: Viewer, after_s: float) -> None:
        """Let it come again."""
        self.again += 1
        self.inside -= viewer.inside
        if viewer.tries > MOST_TRIES:
            raise BenchError(f"{viewer.user} was sent away {viewer.tries} times")
        self.later.append((_now() + after_s, viewer))

    def timed(self, ops: list[str], now: float) -> None:
        """Ops are m<number> for danmaku, g<number> for gifts."""
        for op in ops:
            kind = op[0]
            if kind == "m":
                self.delays[0].append(now - self.due[SAY][int(op[1:])])
            elif kind == "g":
                self.delays[1].append(now - self.due[GIFT][int(op[1:])])

    # --- turns ----------------------------------------------------------------------------------

    def turn(self, seconds: float) -> None:
        """One turn of the crowd, with heartbeats and comebacks."""
        self.crowd.turn(seconds)
        now = _now()
        if self.later and self.later[0][0] <= now:
            ready = [viewer for at, viewer in self.later if at <= now]
            self.later = [(at, viewer) for at, viewer in self.later if at > now]
            for viewer in ready:
                self.crowd.open(viewer)
        self._heartbeats(now)

    def _heartbeats(self, now: float) -> None:
        """All in turn, spread over the heartbeat."""
        everybody = self.everybody
        n = int(len(everybody) * (now - self._pinged_at) / (self.heartbeat_s * PING_SHARE))
        if not n:
            return
        self._pinged_at = now
        for at in range(self._pinged, self._pinged + min(n, len(everybody))):
            viewer = everybody[at % len(everybody)]
            if viewer.inside:
                viewer.write(_PING)
        self._pinged = (self._pinged + n) % len(everybody)

    def until(self, done: Callable[[], bool], seconds: float) -> bool:
        """Turn until it is done; False: it was not in time."""
        end = _now() + seconds
        while not done():
            if _now() > end:
                return False
            self.turn(0.02)
        return True

    # --- the parts of a run ---------------------------------------------------------------------

    def fill(self) -> None:
        """The host opens the room, and all come in."""
        plan = self.plan
        self.crowd.open(self.host)
        if not self.until(lambda: self.host.inside, 30):
            raise BenchError("the host could not open the room")
        stall_every = round(1 / plan.stalled) if plan.stalled else 0
        speakers = max(1, min(plan.viewers // 4, int(max(plan.rate, 10))))
        for n in range(1, plan.viewers + 1):
            viewer: Viewer
            if stall_every and n % stall_every == 0:
                viewer = _Stallable(self.crowd, n, self, f"v{n}")
                self.stalled.append(viewer)
            elif len(self.speakers) < speakers:
                viewer = Speaker(self.crowd, n, self, f"v{n}")
                self.speakers.append(viewer)
                self.healthy.append(viewer)
            else:
                viewer = Viewer(self.crowd, n, self, f"v{n}")
                self.healthy.append(viewer)
            self.viewers.append(viewer)
        self.everybody = [self.host, *self.viewers]
        listeners = [viewer for viewer in self.healthy if not isinstance(viewer, Speaker)]
        for viewer in listeners[:: max(1, len(listeners) // CLOCKED)]:
            viewer.clocked = True
        self._open_all()

    def _open_all(self) -> None:
        """As `open_all`, with heartbeats; who is sent away comes again."""
        open_all(self.crowd, self.viewers, lambda: self.inside - 1, turn=self.turn)

    def send(self, seconds: float) -> None:
        """What is due, for so long, whatever the server does."""
        plan = self.plan
        sources = [
            _Source(plan.rate, self._say),
            _Source(plan.likes, self._like),
            _Source(plan.gifts, self._gift),
        ]
        began = _now()
        last = began
        while (now := _now()) - began < seconds:
            for source in sources:
                for due in source.due(began, now):
                    self.late.append(now - due)
                    source.act(due)
            self.turn(0.001)
            if seconds > 60 and now - last > 10:
                last = now
                sys.stderr.write(f"  {now - began:.0f} s of {seconds:.0f}, {self.inside} came in\n")

    def _say(self, due: float) -> None:
        dues = self.due[SAY]
        number = len(dues)
        dues.append(due)
        speaker = _inside(self.speakers, number)
        op = f"m{number}"
        speaker.said.add(op)
        speaker.send(
            f'{{"t":"call","ref":{number + 1 << 2 | SAY},"name":"room.say","op":"{op}",'
            f'"log":"{self.log}","args":{{"text":"{number:08d} {self._filler}"}}}}'.encode()
        )

    def _like(self, due: float) -> None:
        dues = self.due[LIKE]
        number, n = len(dues), 1 + len(dues) % 3
        dues.append(due)
        self.liked.append(n)
        _inside(self.healthy, number * 31).send(
            f'{{"t":"call","ref":{number + 1 << 2 | LIKE},"name":"room.like","op":"l{number}",'
            f'"log":"{self.log}","args":{{"n":{n}}}}}'.encode()
        )

    def _gift(self, due: float) -> None:
        """Every fourth is sent twice: an order is one gift however often it is sent."""
        dues = self.due[GIFT]
        number = len(dues)
        dues.append(due)
        sender = _inside(self.healthy, number * 17)
        message = (
            f'{{"t":"call","ref":{number + 1 << 2 | GIFT},"name":"room.gift","op":"g{number}",'
            f'"log":"{self.log}","args":{{"order":"g{number}","gift":"rose","count":1,"value":1}}}}'
        ).encode()
        sender.send(message)
        if number % 4 == 3:
            again = message.replace(
                b'"ref":%d' % (number + 1 << 2 | GIFT), b'"ref":%d' % (7 << 40 | OTHER)
            )
            sender.send(again)

    def phase(self, seconds: float, stalled: int) -> Phase:
        """Send and measure."""
        self.acks.clear()
        self.late.clear()
        for delays in self.delays:
            delays.clear()
        shown, messages = self._shown()
        said, before, own = len(self.due[SAY]), self.server.usage(), time.process_time()
        began = _now()
        self.send(seconds)
        took = _now() - began
        cpu = self.server.usage().cpu_s - before.cpu_s
        after = self._shown()
        shown, messages = after[0] - shown, after[1] - messages
        danmaku, gifts = self.delays
        return Phase(
            stalled=stalled,
            seconds=round(took, 2),
            said=len(self.due[SAY]) - said,
            shown=shown,
            messages=messages,
            danmaku_p50_ms=_ms(danmaku, 0.5),
            danmaku_p99_ms=_ms(danmaku, 0.99),
            gift_p50_ms=_ms(gifts, 0.5),
            gift_p99_ms=_ms(gifts, 0.99),
            ack_p50_ms=_ms(self.acks, 0.5),
            ack_p99_ms=_ms(self.acks, 0.99),
            server_cpu=round(cpu / took, 3),
            cpu_us_per_message=round(cpu / max(messages, 1) * 1e6, 2),
            cpu_us_per_item=round(cpu / max(shown, 1) * 1e6, 2),
            generator_cpu=round((time.process_time() - own) / took, 3),
            late_p99_ms=_ms(self.late, 0.99),
        )

    def _shown(self) -> tuple[int, int]:
        return sum(v.got for v in self.viewers), sum(v.batches for v in self.viewers)


_Any = TypeVar("_Any", bound=Viewer)


def _inside(viewers: Sequence[_Any], number: int) -> _Any:
    """The one whose turn it is, or the next who is in the room just now."""
    for step in range(len(viewers)):
        viewer = viewers[(number + step) % len(viewers)]
        if viewer.inside:
            return viewer
    raise BenchError("nobody is in the room any more")


class _Stallable(Viewer):
    """Who will stop reading. It asks for all that is said, so that its queue on the server is full
    after seconds and not after minutes."""

    __slots__ = ()
    receive_buffer = STALLED_BUFFER
    rate = 0


class _Source:
    """Something that is due `rate` times a second."""

    def __init__(self, rate: float, act: Callable[[float], None]) -> None:
        self.act = act
        self._rate, self._done = rate, 0

    def due(self, began: float, now: float) -> Iterator[float]:
        """When each was due that was not done yet."""
        while self._rate and began + self._done / self._rate <= now:
            self._done += 1
            yield began + (self._done - 1) / self._rate


_PING = text_frame(encode(f.Ping()))


def _ms(values: list[float], share: float) -> float:
    return round(percentile(values, share) * 1e3, 1) if values else 0.0
