from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hongyan.config import Rate, Rates
from hongyan.engine.limits import (
    ROUNDING,
    TRIM_EVERY,
    CallLimits,
    Counts,
    KeyedBuckets,
    TokenBucket,
    address_key,
)
from hongyan.model.errors import Overloaded, TooFast

FREE = Rate(rate=0, burst=1)

rates = st.builds(
    Rate,
    rate=st.floats(0.01, 1000, allow_nan=False),
    burst=st.floats(1, 50, allow_nan=False),
)
starts = st.floats(0, 1e6)
pauses = st.lists(st.floats(0, 5), min_size=1, max_size=60)


def free(**over: Rate) -> Rates:
    return Rates(**{"connection": FREE, "user": FREE, "log": FREE, "ip": FREE, **over})


@given(rate=rates, start=starts, pauses=pauses)
def test_L1_never_more_than_burst_and_rate_in_any_window(
    rate: Rate, start: float, pauses: list[float]
) -> None:
    bucket, now, taken = TokenBucket(rate), start, []
    for pause in pauses:
        now += pause
        if bucket.take(now) == 0.0:
            taken.append(now)
    for i, first in enumerate(taken):
        for n, last in enumerate(taken[i:], start=1):
            assert n <= rate.burst + rate.rate * (last - first + 2 * ROUNDING) + 1e-6


@given(rate=rates, start=starts)
def test_L1_a_full_bucket_takes_its_whole_burst(rate: Rate, start: float) -> None:
    bucket = TokenBucket(rate)
    taken = 0
    while taken <= 50 and bucket.take(start) == 0.0:
        taken += 1
    assert taken == int(rate.burst) or taken == int(rate.burst + rate.rate * 2 * ROUNDING)


def test_L1_rate_zero_is_no_limit() -> None:
    limits = CallLimits(free())
    for _ in range(10_000):
        limits.take(1, "u", "l", "i", 5.0)


@given(rate=rates, start=starts, pauses=pauses)
def test_L2_retry_after_is_exact(rate: Rate, start: float, pauses: list[float]) -> None:
    """At the moment that was told a call is taken; 2 ms before it was not."""
    table, now = KeyedBuckets(rate), start
    for pause in pauses:
        now += pause
        try:
            table.take("k", now)
        except TooFast as why:
            assert why.retry_after_ms >= 1
            if why.retry_after_ms > 2:
                with pytest.raises(TooFast):
                    table.take("k", now + (why.retry_after_ms - 2) / 1000)
            now += why.retry_after_ms / 1000
            table.take("k", now)


def test_L2_retry_after_is_exact_where_floats_round() -> None:
    """Big clocks and round rates: sums that are not exact must not refuse at the told moment."""
    for rate in (Rate(rate=100, burst=2), Rate(rate=3, burst=1), Rate(rate=0.1, burst=5)):
        for start in (0.0, 969041.0, 12345.678, 4e6):
            table, now = KeyedBuckets(rate), start
            for _ in range(50):
                try:
                    table.take("k", now)
                except TooFast as why:
                    now += why.retry_after_ms / 1000
                    table.take("k", now)


@given(
    which=st.sampled_from(["connection", "user", "log", "ip"]),
    rate=rates,
    pauses=pauses,
    start=starts,
)
def test_L2_L3_a_call_is_taken_after_the_longest_of_four_waits(
    which: str, rate: Rate, pauses: list[float], start: float
) -> None:
    slow = Rate(rate=0.5, burst=2)
    limits = CallLimits(free(**{"user": slow, which: rate}))
    now = start
    for pause in pauses:
        now += pause
        try:
            limits.take(1, "u", "l", "i", now)
        except TooFast as why:
            if why.retry_after_ms > 2:
                with pytest.raises(TooFast):
                    limits.take(1, "u", "l", "i", now + (why.retry_after_ms - 2) / 1000)
            now += why.retry_after_ms / 1000
            limits.take(1, "u", "l", "i", now)


@pytest.mark.parametrize("tight", ["connection", "user", "log", "ip"])
def test_L3_a_refusal_takes_from_none(tight: str) -> None:
    """One bucket is empty; the other three still have their whole burst afterwards."""
    names = ["connection", "user", "log", "ip"]
    wide = Rate(rate=0.001, burst=5)
    limits = CallLimits(
        Rates(**{name: Rate(rate=0.001, burst=1) if name == tight else wide for name in names})
    )
    key = dict.fromkeys(names, "same")
    limits.take(*key.values(), 0.0)
    for _ in range(20):
        with pytest.raises(TooFast, match="too many calls of this"):
            limits.take(*key.values(), 0.0)
    for round_ in range(4):
        limits.take(*{**key, tight: f"other {round_}"}.values(), 0.0)
    with pytest.raises(TooFast):
        limits.take(*{**key, tight: "yet another"}.values(), 0.0)


def test_L3_the_text_says_whose_limit_it_was() -> None:
    limits = CallLimits(free(log=Rate(rate=1, burst=1)))
    limits.take(1, "a", "l", "i", 0.0)
    with pytest.raises(TooFast, match="this conversation"):
        limits.take(2, "b", "l", "j", 0.0)


@given(seed=st.integers(0, 10**9))
@settings(max_examples=20, deadline=None)
def test_L4_forgetting_idle_keys_forgives_nothing(seed: int) -> None:
    """A table that must forget answers like one that never does, as long as the busy fit in."""
    rng = random.Random(seed)
    rate = Rate(rate=10, burst=2)
    small, whole, now = KeyedBuckets(rate, most=100), KeyedBuckets(rate, most=10**9), 0.0
    for _ in range(3000):  # about 40 of 300 keys are busy at any time
        key = rng.randrange(300)
        now += rng.uniform(0, 0.005)
        assert (small.wait(key, now) > 0) == (whole.wait(key, now) > 0)
        if whole.wait(key, now) <= 0:
            whole.put(key, now)
            small.put(key, now)
    assert len(small.full_at) < len(whole.full_at)


def test_L4_tables_are_bounded_and_shrink() -> None:
    limits = CallLimits(
        Rates(**dict.fromkeys(["connection", "user", "log", "ip"], Rate(rate=1000, burst=5))),
        most=1000,
    )
    for n in range(50_000):
        limits.take(n, n, n, n, n * 1e-3)  # idle again after 1 ms
        assert max(limits.sizes()) <= 1000 // 2 + TRIM_EVERY + 1


def test_L4_with_more_busy_keys_than_room_the_nearest_to_idle_go() -> None:
    table = KeyedBuckets(Rate(rate=0.001, burst=3), most=100)
    for _ in range(3):
        table.put("heavy", 0.0)
    for n in range(10_000):
        table.put(n, 0.0)
        assert len(table.full_at) <= 100 + TRIM_EVERY
    with pytest.raises(TooFast):
        table.take("heavy", 0.0)


def test_L5_connections_are_counted_per_address_user_and_in_all() -> None:
    counts = Counts(total=3, per_ip=2, per_user=1)
    counts.opened("a")
    counts.opened("a")
    with pytest.raises(Overloaded, match="this address") as why:
        counts.opened("a")
    assert why.value.retry_after_ms > 0
    assert (counts.total, counts.of_ip("a")) == (2, 2)
    counts.opened("b")
    with pytest.raises(Overloaded, match=r"too many connections$"):
        counts.opened("c")
    counts.closed("a")
    counts.opened("c")
    counts.signed_in("main/u")
    with pytest.raises(Overloaded, match="this user"):
        counts.signed_in("main/u")
    counts.signed_out("main/u")
    counts.signed_in("main/u")
    assert counts.of_user("main/u") == 1


@given(
    steps=st.lists(st.tuples(st.booleans(), st.sampled_from("abc")), max_size=60),
    most=st.integers(1, 3),
)
def test_L5_counts_fit_what_is_open(steps: list[tuple[bool, str]], most: int) -> None:
    counts, open_ = Counts(total=5, per_ip=most), []
    for coming, ip in steps:
        if coming:
            fits = len(open_) < 5 and open_.count(ip) < most
            try:
                counts.opened(ip)
            except Overloaded:
                assert not fits
            else:
                assert fits
                open_.append(ip)
        elif ip in open_:
            counts.closed(ip)
            open_.remove(ip)
        assert counts.total == len(open_)
        assert [counts.of_ip(one) for one in "abc"] == [open_.count(one) for one in "abc"]


def test_L5_closing_what_was_not_open_is_a_bug_that_shows() -> None:
    with pytest.raises(KeyError):
        Counts().closed("a")


@pytest.mark.parametrize(
    ("ip", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::1", "::/64"),
        ("", ""),
        ("unix:", "unix:"),
    ],
)
def test_L5_addresses_count_by_the_network_one_customer_owns(ip: str, key: str) -> None:
    assert address_key(ip) == key


def test_L6_giving_back_undoes_one_attempt() -> None:
    table = KeyedBuckets(Rate(rate=0.001, burst=2))
    for _ in range(10):
        table.take("k", 0.0)
        table.give_back("k")
    table.take("k", 0.0)
    table.take("k", 0.0)
    with pytest.raises(TooFast):
        table.take("k", 0.0)
    table.give_back("never seen")
    assert "never seen" not in table.full_at
