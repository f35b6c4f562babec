"""Boards: the newest of each symbol, however many changes and however slow the viewer."""

from __future__ import annotations

import random
import tracemalloc
from typing import Any

import pytest
from test_live import JSON, MSGPACK, FakePeer

from hongyan.adapters.memory.clock import ManualClock
from hongyan.client.latest import Latest
from hongyan.engine.live.log import SKIP_BYTES, STALL_S
from hongyan.engine.live.logs import LiveLogs
from hongyan.engine.live.values import Values
from hongyan.model.ids import LogId, Seq
from hongyan.model.live import LiveSpec, Put, Value
from hongyan.wire import frames as f
from hongyan.wire.session import Outgoing

BOARD = LogId("main/q/us")
TICK_S = 0.1


class Board:
    """A board on a clock that the test moves, with viewers that follow as a client does."""

    def __init__(self, symbols: int = 2_000) -> None:
        self.clock = ManualClock()
        self.logs = LiveLogs(self.clock, lambda peer: None)
        spec = LiveSpec(ring=0, tick_ms=100, rate=0, values=symbols + 1)
        self.live = self.logs.hold(BOARD, spec)
        self.now: dict[str, Any] = {}

    def put(self, **quotes: Any) -> None:
        self.live.values.put_all([Put(symbol, quote) for symbol, quote in quotes.items()])
        self.logs.touched(self.live)
        self.now.update(quotes)

    def run(self, seconds: float = TICK_S) -> None:
        self.clock.advance(seconds)
        self.logs._run()

    def viewer(self, name: str = "bob", codec: Any = JSON, queue_bytes: int = 1 << 20) -> Viewer:
        return Viewer(self, name, codec, queue_bytes)


class Viewer:
    """Reads when the test says so; asks again by itself where its rule says that it must."""

    def __init__(self, board: Board, name: str, codec: Any, queue_bytes: int) -> None:
        self.board, self.latest, self.asked = board, Latest(), 0
        self.peer: Any = FakePeer(name, codec, queue_bytes)
        self.peer.session.queue._overflowed = lambda: board.logs.overflowed(self.peer)
        self.attach()

    def attach(self) -> None:
        live = self.board.live
        self.asked += 1
        self.board.logs.join(live, self.peer, rate=0, host=True, attached=self.attached)

    def attached(self) -> None:
        live = self.board.live
        self.latest.attach(answer(live.epoch, live.values.seq, live.values.all()))

    def read(self) -> list[Any]:
        frames = [x for x in self.peer.read() if isinstance(x, f.Values)]
        for frame in frames:
            if self.latest.take(frame) == "gap":
                self.attach()
        return frames

    @property
    def quotes(self) -> dict[str, Any]:
        return {key: value for key, value in self.latest.values.items() if key != "online"}


def answer(epoch: int, seq: int, values: list[Value]) -> f.Attached:
    return f.Attached(
        ref=1,
        log=BOARD,
        epoch=epoch,
        off=0,
        items=[],
        values=values,
        head=Seq(0),
        rate=0,
        tick_ms=100,
        seq=seq,
    )


# --- snapshot and deltas ------------------------------------------------------------------------


@pytest.mark.parametrize("codec", [JSON, MSGPACK], ids=["json", "msgpack"])
async def test_GT4_the_chain_of_frames_leads_from_the_snapshot_to_the_newest(codec: Any) -> None:
    board = Board()
    board.put(A=1, B={"last": "1.5"})
    board.run()
    viewer = board.viewer(codec=codec)
    assert viewer.quotes == board.now
    for n in range(5):
        board.put(A=n, **{f"S{n}": n})
        board.run()
    board.put(S3=None)
    del board.now["S3"]
    board.run()
    frames = viewer.read()
    assert [frame.prev for frame in frames[1:]] == [frame.seq for frame in frames[:-1]]
    assert viewer.quotes == board.now and viewer.asked == 1
    board.logs.close()


async def test_GT4_a_viewer_that_lost_a_frame_on_the_way_has_all_values_again() -> None:
    board = Board()
    viewer = board.viewer()
    board.put(A=1, B=1)
    board.run()
    viewer.read()
    board.put(A=2)
    board.run()
    viewer.peer.read()  # lost: a hub that answered with another node's frame, a broken proxy
    board.put(B=2)
    board.run()
    viewer.read()
    assert viewer.asked == 2 and viewer.quotes == {"A": 2, "B": 2}
    board.logs.close()


# --- conflation ---------------------------------------------------------------------------------


async def test_GT5_a_tick_tells_each_symbol_once_and_the_newest() -> None:
    board = Board()
    viewer = board.viewer()
    board.run(10)
    viewer.read()
    rng = random.Random(1)
    for _ in range(20):
        for n in range(500):
            board.put(**{f"S{rng.randrange(30)}": n})
        board.run()
        (frame,) = viewer.read()
        keys = [v.key for v in frame.values]
        assert len(keys) == len(set(keys)) <= 31
        assert viewer.quotes == board.now
    board.logs.close()


async def test_GT5_a_board_has_its_own_interval() -> None:
    board = Board()
    board.live.respec(LiveSpec(ring=0, tick_ms=250, rate=0, values=3))
    viewer = board.viewer()
    board.run(10)
    viewer.read()
    told = 0
    for n in range(100):  # 10 s
        board.put(A=n)
        board.run()
        told += len(viewer.read())
    assert 38 <= told <= 41
    board.logs.close()


async def test_GT9_lateness_does_not_add_up_and_a_lost_tick_is_not_made_up_for() -> None:
    board = Board()
    board.put(A=0)
    board.run(1)
    ticks = board.live._counters.ticks
    for n in range(1_000):  # 10 s of timers that come up to 9 ms late
        board.put(A=n)
        board.run(0.01 if n % 3 else 0.0101)
    assert board.live._counters.ticks - ticks in range(99, 102)
    board.put(A="before the stall")
    board.run(5)  # the loop stood still
    board.put(A="after")
    ticks = board.live._counters.ticks
    board.logs._run()
    board.run()
    assert board.live._counters.ticks - ticks <= 2
    board.logs.close()


# --- slow viewers -------------------------------------------------------------------------------


def big(n: int) -> dict[str, Any]:
    return {f"S{i}": f"{n:>100}" for i in range(300)}


async def test_GT6_a_slow_viewer_gets_what_changed_also_when_nothing_follows() -> None:
    board = Board()
    slow, quick = board.viewer("slow"), board.viewer("quick")
    for n in range(50):
        board.put(**big(n), **({"GONE": 1} if n < 5 else {"GONE": None}), **{f"X{n}": n})
        board.run()
        quick.read()
        assert slow.peer.session.pending < SKIP_BYTES + 64 * 1024
    board.now = {key: quote for key, quote in board.now.items() if quote is not None}
    assert [(log, viewer.user) for log, viewer in board.logs.slow()] == [(BOARD, "slow")]
    slow.read()
    assert slow.quotes != board.now
    board.run()  # nothing was put since
    (frame,) = slow.read()
    assert slow.quotes == quick.quotes == board.now
    assert frame.prev and slow.asked == 1, "the chain held: only what changed was sent"
    assert f"X{0}" not in {v.key for v in frame.values}
    assert board.logs.slow() == [] and board.logs._timer is None
    board.logs.close()


async def test_GT6_where_the_queue_was_dropped_all_values_come_anew() -> None:
    board = Board()
    viewer = board.viewer(queue_bytes=40_000)
    board.put(KEEP=1)
    board.run()
    for n in range(3):
        board.put(**big(n))
        board.run()
    assert viewer.peer.session.queue.overflows
    assert viewer.read() == []
    board.run()
    (frame,) = viewer.read()
    assert frame.prev == 0 and viewer.quotes == board.now
    board.run(10)
    viewer.read()
    assert board.logs._timer is None
    board.logs.close()


async def test_GT6_what_another_log_pushed_out_comes_anew_though_nothing_changes() -> None:
    board = Board()
    viewer = board.viewer(queue_bytes=10_000)
    board.put(A=1)
    board.run()
    board.put(A=2)
    board.run()
    chat = LogId("main/g/1")
    for seq in range(1, 4):
        viewer.peer.session.push(Outgoing(chat, Seq(seq), b'{"t":"ping"}' + b" " * 6_000))
    board.run()
    viewer.read()
    assert viewer.quotes == {"A": 2}
    board.logs.close()


async def test_GT6_who_takes_nothing_is_closed_also_when_nothing_is_put() -> None:
    board = Board()
    slow = board.viewer("slow")
    for n in range(10):
        board.put(**big(n))
        board.run()
    for _ in range(int(STALL_S / TICK_S) + 2):
        assert slow.peer.closed is None
        board.run()
        if slow.peer.closed:
            break
    assert slow.peer.closed is not None and slow.peer.closed[0] == "TooSlow"
    board.logs.forget(slow.peer)
    board.run(10)
    assert board.logs._timer is None
    board.logs.close()


async def test_GT6_many_who_were_slow_together_share_what_is_encoded() -> None:
    board = Board()
    crowd = [board.viewer(f"u{n}") for n in range(50)]
    for n in range(20):
        board.put(**big(n))
        board.run()
    for viewer in crowd:
        viewer.peer.read()
    encoded = 0
    whole = JSON.encode

    class Counting:
        name, binary, join = "json", False, JSON.join

        @staticmethod
        def encode(frame: Any) -> bytes:
            nonlocal encoded
            encoded += isinstance(frame, f.Values)
            return whole(frame)

    for known in board.live.viewers.values():
        known.group.codec = Counting()
    board.run()
    assert encoded == 1
    assert {viewer.peer.read()[0].seq for viewer in crowd} == {board.live.values.seq}
    board.logs.close()


async def test_GT6_depth_and_bytes_of_a_viewer_are_known() -> None:
    board = Board()
    viewer = board.viewer()
    board.run(10)
    board.put(A=1)
    board.run()
    (known,) = board.live.viewers.values()
    assert known.depth == known.bytes > 0
    viewer.read()
    assert known.depth == 0 and known.bytes > 0
    board.logs.close()


# --- size and bursts ----------------------------------------------------------------------------


def quote(n: int) -> dict[str, Any]:
    return {
        "last": f"{n % 977}.{n % 100:02}",
        "bid": n % 977,
        "ask": n % 977 + 1,
        "volume": n * 100,
    }


@pytest.mark.parametrize("codec", [JSON, MSGPACK], ids=["json", "msgpack"])
def test_GT7_a_board_of_a_thousand_symbols_is_one_frame(codec: Any) -> None:
    values = Values(1_000)
    values.put_all([Put(f"{600_000 + n}.SH", quote(n)) for n in range(1_000)])
    frame = codec.encode(answer(1, 1, values.all()))
    assert len(frame) < 100_000
    (again,) = codec.decode_server(codec.join([frame]))
    latest = Latest()
    latest.attach(again)
    assert len(latest.values) == 1_000 and latest.values["600007.SH"] == quote(7)


async def test_GT8_after_a_burst_memory_is_as_before_and_all_have_the_newest() -> None:
    board = Board()
    quick, slow, stalled = board.viewer("quick"), board.viewer("slow"), board.viewer("stalled")
    symbols = [f"S{n}" for n in range(500)]
    rng = random.Random(3)

    def ticks(seconds: float, puts: int) -> None:
        for step in range(int(seconds / TICK_S)):
            for _ in range(puts):
                picked = rng.choice(symbols)
                board.put(**{picked: quote(rng.randrange(10**6))})
            board.run()
            quick.read()
            if step % 7 == 0:
                slow.read()

    ticks(2, 10)
    tracemalloc.start()
    ticks(3, 200)  # all symbols were put, queues are at their mark
    before, _ = tracemalloc.get_traced_memory()
    ticks(7, 200)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 300_000, "14,000 puts would be more if one of them stayed"
    assert len(board.logs._due) <= 2
    board.run()
    quick.read()
    assert quick.quotes == board.now
    slow.read()
    board.run()
    slow.read()
    assert slow.quotes == board.now
    assert stalled.peer.session.pending < SKIP_BYTES + 100_000
    stalled.read()
    board.run()
    stalled.read()
    assert stalled.quotes == board.now and stalled.asked == 1
    board.logs.close()
