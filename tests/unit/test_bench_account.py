"""A viewer's account in the live bench: whatever a server gets wrong has to show in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hongyan.bench.crowd import BenchError, client_frame, server_frames
from hongyan.bench.live_account import LiveResult, _broken
from hongyan.bench.live_room import Phase, Plan, Run
from hongyan.bench.live_viewers import Digest, Viewer, digest, seen
from hongyan.bench.server import ServerProcess

LOG = "main/r/x"


def live(*offs: int) -> dict[str, Any]:
    items = [{"off": off, "type": "danmaku", "from": "v1", "at": 1, "body": {}} for off in offs]
    return {"t": "live", "log": LOG, "epoch": 1, "items": items}


def gap(n: int, reason: str = "sampled") -> dict[str, Any]:
    return {"t": "gap", "log": LOG, "n": n, "reason": reason}


def gifts(*seqs: int) -> dict[str, Any]:
    entries = [{"seq": seq, "op": f"g{seq}", "type": "gift"} for seq in seqs]
    return {"t": "deliver", "log": LOG, "entries": entries}


def values(likes: int) -> dict[str, Any]:
    return {
        "t": "values",
        "log": LOG,
        "epoch": 1,
        "prev": 0,
        "seq": 1,
        "values": [["likes", 1, likes]],
    }


def frame(*frames: dict[str, Any]) -> bytes:
    payload = json.dumps(frames).encode()
    size = len(payload)
    head = bytes((0x81, size)) if size < 126 else b"\x81\x7e" + size.to_bytes(2, "big")
    return head + payload


@pytest.fixture
def viewer(tmp_path: Path) -> Iterator[Viewer]:
    run = Run(ServerProcess(tmp_path), Plan(viewers=4))
    found = Viewer(run.crowd, 1, run, "v1")
    found.base, found.seq = 10, 5
    yield found
    run.crowd.close()


def test_what_is_shown_and_what_is_told_add_up(viewer: Viewer) -> None:
    viewer.received(frame(live(11, 13), gap(2), values(7)))
    viewer.received(frame(gap(3, "slow")) + frame(live(18)))
    assert (viewer.got, viewer.missing, viewer.place) == (3, 5, 18)
    assert viewer.gaps == {"slow": 3}
    assert viewer.likes == 7
    assert not viewer.disorder


def test_a_message_is_the_same_however_it_is_cut(viewer: Viewer) -> None:
    data = frame(live(11), gap(1)) + frame(gifts(6), live(13))
    for at in range(len(data)):
        viewer.received(data[at : at + 1])
    assert (viewer.place, viewer.seq, viewer.gifts, viewer.batches) == (13, 6, 1, 2)


def test_a_message_known_by_its_bytes_counts_again(viewer: Viewer) -> None:
    other = Viewer(viewer.crowd, 2, viewer.desk, "v2")
    other.base, other.seq = 10, 5
    data = frame(live(11, 12), gifts(6))
    viewer.received(data)
    assert isinstance(viewer.desk.known[data], Digest)
    other.received(data)
    assert (
        (other.got, other.seq, other.gifts) == (viewer.got, viewer.seq, viewer.gifts) == (2, 6, 1)
    )


def test_items_that_come_again_are_out_of_order(viewer: Viewer) -> None:
    viewer.received(frame(live(11, 12)))
    viewer.received(frame(live(12, 13)))
    assert viewer.disorder == 1


def test_a_gift_that_is_left_out_stays_missing_until_it_is_read(viewer: Viewer) -> None:
    viewer.received(frame(gifts(6)))
    viewer.received(frame(gifts(8, 9)))
    assert viewer.seq == 6
    viewer.received(frame({"t": "behind", "log": LOG, "head": 7}))
    assert (viewer.behind, viewer.told) == (7, 1)
    page = {"t": "page", "ref": 1, "log": LOG, "entries": gifts(7, 8)["entries"]}
    viewer.received(frame(page))
    assert (viewer.seq, viewer.gifts, viewer.duplicates) == (9, 4, 0)
    viewer.received(frame(gifts(9)))
    assert viewer.duplicates == 1


def test_who_comes_back_counts_what_was_missed(viewer: Viewer) -> None:
    viewer.epoch = 1
    viewer.received(frame(live(11)))
    attached = {"t": "attached", "ref": 3, "epoch": 1, "off": 20, "head": 8, "missed": 4}
    viewer.received(frame({**attached, "items": live(16, 17, 18, 19, 20)["items"], "values": []}))
    assert viewer.place == 20
    assert viewer.gaps == {"missed": 4}
    assert viewer.behind == 8


def test_the_frames_of_a_message() -> None:
    found = digest(seen(json.dumps([live(3, 4), gap(2), gap(1, "shed"), gifts(9)]).encode()))
    assert (found.items, found.missing, found.first, found.last) == (2, 3, 3, 4)
    assert found.gaps == {"sampled": 2, "shed": 1}
    assert (found.seqs, found.gifts, found.ops) == ((9,), 1, ["g9"])


def test_a_fragment_is_no_silent_loss() -> None:
    with pytest.raises(BenchError):
        server_frames(b"\x01\x02hi")


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_frames_of_every_size(size: int) -> None:
    sent = client_frame(1, b"x" * size)
    masked = 4  # bytes of the mask, which a server's frame has not
    head = len(sent) - size - masked
    plain = bytes((sent[0], sent[1] & 0x7F)) + sent[2:head] + sent[head + masked :]
    assert server_frames(plain + b"\x81") == ([(1, b"x" * size)], b"\x81")
    assert server_frames(plain[:-1])[0] == [] or not size


def _result(**changes: Any) -> Any:
    fields: dict[str, Any] = {
        **dict.fromkeys(LiveResult.__struct_fields__, 0),
        **{"viewers": 2, "likes_right": 2, "gifts_expected": 4, "gifts_delivered": 4},
        **{"gaps": {}, "refused": {}, "goodbyes": {}, "phases": [], "broken": []},
    }
    return LiveResult(**{**fields, **changes})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("gifts_lost", 1),
        ("gifts_delivered", 3),
        ("gift_duplicates", 1),
        ("likes_right", 1),
        ("unaccounted_viewers", 1),
        ("own_missing", 1),
        ("host_missing", 1),
        ("disorder", 1),
    ],
)
def test_each_broken_promise_is_named(field: str, value: int) -> None:
    assert _broken(_result()) == []
    assert len(_broken(_result(**{field: value}))) == 1


def _phase(p99: float, *, seconds: float = 10.0, late: float = 1.0) -> Phase:
    fields: dict[str, Any] = dict.fromkeys(Phase.__struct_fields__, 0)
    return Phase(**{**fields, "danmaku_p99_ms": p99, "seconds": seconds, "late_p99_ms": late})


def test_times_are_judged_where_they_mean_something() -> None:
    assert _broken(_result(phases=[_phase(200.0), _phase(219.0)])) == []
    assert len(_broken(_result(phases=[_phase(200.0), _phase(300.0)]))) == 1
    assert _broken(_result(phases=[_phase(200.0), _phase(300.0, late=400.0)])) == []
    assert _broken(_result(phases=[_phase(200.0, seconds=1.0), _phase(300.0)])) == []
