"""Values and how a client follows them, without a clock."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from test_quotes_board import BOARD, answer

from hongyan.client.latest import Latest
from hongyan.engine.live.values import Values
from hongyan.model.errors import Full
from hongyan.model.live import Put, Value
from hongyan.wire import frames as f


def value(key: str, number: Any, version: int = 1) -> Value:
    return Value(key, version, msgspec.Raw(msgspec.json.encode(number)))


def news(prev: int, seq: int, *values: Value, epoch: int = 7) -> f.Values:
    return f.Values(BOARD, epoch, prev, seq, list(values))


def test_GT4_a_client_drops_what_the_snapshot_holds_and_finds_a_gap_by_itself() -> None:
    latest = Latest()
    latest.attach(answer(7, 10, [value("A", 1), value("B", 2)]))
    assert latest.take(news(8, 9, value("A", 0))) == "old"
    assert latest.take(news(9, 10, value("A", 0))) == "old"
    assert latest.values == {"A": 1, "B": 2}
    assert latest.take(news(10, 11, value("A", 3), value("B", None))) == "taken"
    assert latest.values == {"A": 3}
    assert latest.take(news(12, 13, value("A", 5))) == "gap"
    assert latest.values == {"A": 5}, "absolute values are right also after a gap"
    assert latest.take(news(13, 14, value("C", 6))) == "taken"
    assert latest.take(news(0, 15, value("C", 6))) == "taken"
    assert latest.values == {"C": 6}, "prev 0: these are all"
    assert latest.take(news(0, 14, value("X", 1))) == "old"
    assert latest.take(news(15, 16, value("C", 9), epoch=8)) == "gap"
    assert latest.values == {"C": 6}, "another epoch says nothing of this one"


def test_GT2_a_delta_that_is_taken_twice_changes_nothing() -> None:
    latest = Latest()
    latest.attach(answer(7, 0, []))
    latest.take(news(0, 1, value("A", 1), value("B", 1)))
    overlap = news(1, 3, value("A", 2), value("B", None))
    latest.take(news(1, 2, value("A", 2)))
    assert latest.take(overlap) == "taken"
    once = dict(latest.values)
    latest._put(overlap.values)
    assert latest.values == once == {"A": 2}


def test_GT2_a_put_that_does_not_fit_is_refused_whole() -> None:
    values = Values(3)
    values.put_all([Put("A", 1), Put("B", 1)])
    values.take()
    with pytest.raises(Full):
        values.put_all([Put("A", 2), Put("C", 1), Put("D", 1)])
    assert not values.changed
    values.put_all([Put("C", 1), Put("D", 1), Put("A", None)])
    assert {v.key for v in values.all()} == {"B", "C", "D"}
    values.put("online", 7)  # there is always room for it
    values.most = 2  # a board made smaller: what is there goes on
    values.put_all([Put("B", 2), Put("C", 2), Put("D", 2)])
    with pytest.raises(Full):
        values.put_all([Put("E", 1)])
    with pytest.raises(Full):
        values.put("E", 1)


@pytest.mark.parametrize("seed", range(30))
def test_GT6_what_changed_since_any_moment_brings_a_viewer_to_the_newest(seed: int) -> None:
    rng = random.Random(seed)
    values = Values(rng.choice((3, 8)))
    seen: list[tuple[int, dict[str, Any]]] = []
    for _ in range(120):
        key = f"k{rng.randrange(12)}"
        number = None if rng.random() < 0.4 else rng.randrange(5)
        if number is None or len(values.all()) < values.most:
            values.put(key, number)
        if rng.random() < 0.5:
            values.take()
            latest = Latest()
            latest.attach(answer(7, values.seq, values.all()))
            seen.append((values.seq, dict(latest.values)))
        assert len(values._gone) <= values.most + 12
    values.take()
    held = {v.key: msgspec.json.decode(v.value) for v in values.all()}
    for seq, then in seen:
        latest = Latest()
        latest.epoch, latest.seq = 7, seq
        latest.values.update(then)
        if seq < values.seq:
            prev, changed = values.since(seq)
            assert prev in (0, seq)
            assert latest.take(news(prev, values.seq, *changed)) == "taken"
        assert latest.values == held


def test_GT6_what_is_gone_is_not_remembered_for_ever() -> None:
    values = Values(10)
    for n in range(1_000):
        values.put(f"k{n}", 1)
        values.take()
        values.put(f"k{n}", None)
        values.take()
    assert len(values._gone) <= 10 and len(values._told) <= 20
    assert values.since(1)[0] == 0


def test_GT6_what_came_back_but_was_not_told_yet_is_not_told_to_be_gone() -> None:
    values = Values(10)
    values.put("A", 1)
    values.put("B", 1)
    values.take()
    values.put("A", None)
    values.take()
    values.put("A", 2)
    _, changed = values.since(1)
    assert [(v.key, bytes(v.value)) for v in changed][-1:] != [("A", b"null")]
