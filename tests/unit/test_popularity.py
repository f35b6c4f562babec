from __future__ import annotations

import pytest

from hongyan.engine.live.popularity import EXACT, HALF_S, Popularity, Visitors
from hongyan.model.ids import UserId

WEIGHTS = {"visitors": 5, "said": 2, "likes": 1, "gifts": 1, "online": 1}


@pytest.mark.parametrize("people", [1, EXACT, EXACT + 1, 5_000, 40_000, 150_000])
def test_LR9_different_visitors_are_counted_to_two_percent(people: int) -> None:
    """However often each of them comes."""
    visitors = Visitors()
    for _ in range(2):
        for number in range(people):
            visitors.add(UserId(f"user{number}"))
    exact = people <= EXACT
    assert abs(visitors.count() - people) <= (0 if exact else 0.02 * people)


def test_LR9_who_was_counted_in_an_earlier_life_is_not_counted_again() -> None:
    crowd = Popularity(WEIGHTS)
    for number in range(100):
        crowd.came(UserId(f"user{number}"), new=number >= 60)
    assert crowd.visitors(1.0) == 40
    crowd.came(UserId("user3"), new=True)  # another page of somebody who was here
    crowd.came(UserId("late"), new=True)
    assert crowd.visitors(2.0) == 1
    assert crowd.visitors(3.0) == 0


def test_LR9_heat_comes_from_what_happens_and_halves_in_five_minutes() -> None:
    crowd = Popularity(WEIGHTS)
    crowd.happened("likes", 300, 10.0)
    crowd.happened("said", 50, 10.0)
    crowd.happened("mood", 10**6, 10.0)
    assert crowd.heat(0, 10.0) == 400
    assert crowd.heat(20, 10.0) == 420
    assert crowd.heat(0, 10.0 + HALF_S) == 200
    assert crowd.heat(0, 10.0 + 20 * HALF_S) == 0


def test_LR9_heat_is_told_in_steps_so_that_a_quiet_log_is_quiet() -> None:
    crowd = Popularity(WEIGHTS)
    crowd.happened("gifts", 123_456_789, 0.0)
    told = [crowd.heat(0, float(second)) for second in range(0, 3600, 5)]
    assert told[0] == 120_000_000
    assert len(set(told)) < len(told) / 2
