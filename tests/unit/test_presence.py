from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hongyan.engine.presence import AWAY, OFFLINE, ONLINE, Presence
from hongyan.model.errors import Full
from hongyan.model.ids import TenantId, UserId
from hongyan.ports import PresenceChanged

MAIN, ALICE, BOB = TenantId("main"), UserId("alice"), UserId("bob")
TTL, GRACE, BEAT = 60.0, 3.0, 25.0


def presence(node: str = "n1", **more: object) -> Presence:
    kept: dict[str, object] = {"heartbeat_s": BEAT, "ttl_s": TTL, "grace_s": GRACE, **more}
    return Presence(node, **kept)  # type: ignore[arg-type]


def at(now: float) -> int:
    return int(now * 1000) + 1_000_000


class Watched:
    """A presence and one watcher of alice; what it was told, in order."""

    def __init__(self, **more: object) -> None:
        self.presence = presence(**more)
        self.presence.watch("w", MAIN, [ALICE])
        self.told: list[str] = []
        self.last_seen: list[int] = []

    def seen(self, session: str, now: float, *, away: bool = False) -> None:
        self.presence.seen(MAIN, ALICE, session, now, at(now), away=away)
        self.due(now)

    def left(self, session: str, now: float) -> None:
        self.presence.left(MAIN, ALICE, session, now, at(now))
        self.due(now)

    def due(self, now: float) -> list[PresenceChanged]:
        due = self.presence.due(now)
        self.told += [one.state for one in due.tell]
        self.last_seen += [one.last_seen for one in due.tell]
        return due.publish

    def state(self, now: float) -> object:
        return self.presence.look(MAIN, ALICE, now)["state"]


def test_P1_best_device_counts() -> None:
    w = Watched()
    w.seen("phone", 0, away=True)
    assert w.state(0) == AWAY
    w.seen("desktop", 1)
    assert w.state(1) == ONLINE
    w.left("desktop", 2)
    w.due(2 + GRACE)
    assert w.state(2 + GRACE) == AWAY
    w.left("phone", 10)
    w.due(10 + GRACE)
    assert w.state(10 + GRACE) == OFFLINE
    assert w.told == [AWAY, ONLINE, AWAY, OFFLINE]


def test_P1_all_devices_away_is_away() -> None:
    w = Watched()
    w.seen("a", 0)
    w.seen("b", 0)
    w.seen("a", 1, away=True)
    w.due(10)
    assert w.state(10) == ONLINE
    w.seen("b", 11, away=True)
    w.due(11 + GRACE)
    assert w.state(11 + GRACE) == AWAY


def test_P2_reconnect_within_grace_is_seen_by_nobody() -> None:
    w = Watched()
    w.seen("first", 0)
    for n in range(1, 20):
        w.left("first", n * 10)
        w.due(n * 10 + GRACE - 0.01)
        w.seen("first", n * 10 + GRACE - 0.01)
    assert w.told == [ONLINE]


def test_P2_each_fall_gets_its_whole_grace_time() -> None:
    """A fall that was interrupted starts anew, also when the interruption changed nothing."""
    w = Watched()
    w.seen("a", 0)
    w.left("a", 10)
    w.seen("b", 11)
    w.left("b", 12)
    w.due(10 + GRACE)
    assert w.told == [ONLINE]
    w.due(12 + GRACE)
    assert w.told == [ONLINE, OFFLINE]


def test_P2_rise_is_told_at_once_and_grace_zero_tells_falls_at_once() -> None:
    w = Watched(grace_s=0.0)
    w.seen("a", 0)
    assert w.told == [ONLINE]
    w.left("a", 1)
    assert w.told == [ONLINE, OFFLINE]


def test_P3_silent_session_ends_after_ttl() -> None:
    w = Watched()
    w.seen("a", 0)
    w.seen("a", BEAT)
    w.due(BEAT + TTL - 0.01)
    assert w.state(BEAT + TTL - 0.01) == ONLINE
    w.due(BEAT + TTL)
    w.due(BEAT + TTL + GRACE)
    assert w.told == [ONLINE, OFFLINE]
    assert w.last_seen[-1] == at(BEAT)


def test_P3_one_late_heartbeat_changes_nothing() -> None:
    w = Watched()
    for n in range(10):
        w.seen("a", n * 2 * BEAT)  # every second one is lost
        w.due(n * 2 * BEAT + 49)
    assert w.told == [ONLINE]


def test_P3_ttl_shorter_than_two_heartbeats_is_refused() -> None:
    with pytest.raises(ValueError, match="two heartbeats"):
        presence(ttl_s=2 * BEAT - 0.1)
    presence(ttl_s=2 * BEAT)


def test_P4_restart_begins_empty_and_heartbeats_fill_it() -> None:
    w = Watched()
    assert w.presence.look(MAIN, ALICE, 0) == {"state": OFFLINE, "last_seen": 0}
    assert w.due(0) == []
    w.left("of an older life", 1)  # a connection that closes was not seen by this life
    assert w.told == []
    w.seen("a", 2)
    assert w.told == [ONLINE]


def test_P5_two_nodes_agree_through_hints() -> None:
    here, there = presence("n1", alone=False), presence("n2", alone=False)
    here.seen(MAIN, ALICE, "a", 0, at(0))
    for hint in here.due(0).publish:
        there.heard(hint, 0.1)
    assert there.look(MAIN, ALICE, 0.1)["state"] == ONLINE
    # She moves over to the other node: nobody sees a fall.
    here.left(MAIN, ALICE, "a", 10, at(10))
    there.seen(MAIN, ALICE, "b", 11, at(11))
    states = set()
    for now in range(11, 50):
        for hint in here.due(now).publish:
            there.heard(hint, now)
        for hint in there.due(now).publish:
            here.heard(hint, now)
        states |= {here.look(MAIN, ALICE, now)["state"], there.look(MAIN, ALICE, now)["state"]}
        there.seen(MAIN, ALICE, "b", now, at(now))
    assert states == {ONLINE}


def test_P5_dead_node_views_end_with_their_ttl() -> None:
    w = Watched(alone=False)
    hint = PresenceChanged("dead", MAIN, ALICE, ONLINE, at(0))
    w.presence.heard(hint, 0)
    w.due(0)
    w.due(TTL - 0.01)
    assert w.told == [ONLINE]
    w.due(TTL)
    assert w.told == [ONLINE, OFFLINE]


def test_P5_late_hint_does_not_undo_a_newer_one() -> None:
    w = Watched(alone=False)
    w.presence.heard(PresenceChanged("n2", MAIN, ALICE, ONLINE, 10), 0)
    w.presence.heard(PresenceChanged("n2", MAIN, ALICE, OFFLINE, 12), 1)
    w.presence.heard(PresenceChanged("n2", MAIN, ALICE, ONLINE, 11), 2)
    assert w.state(2) == OFFLINE
    w.presence.heard(PresenceChanged("n2", MAIN, ALICE, "dancing", 99), 3)
    assert w.state(3) == OFFLINE


def test_P5_own_hints_come_back_without_effect() -> None:
    """However late: a node's own past is not another node's view."""
    w = Watched(alone=False, grace_s=0.0)
    w.presence.seen(MAIN, ALICE, "a", 0, at(0))
    own = w.due(0)
    w.left("a", 1)
    for hint in own:
        w.presence.heard(hint, 2)
    w.due(2)
    assert w.told == [ONLINE, OFFLINE]


def test_P5_every_hint_of_a_user_has_a_higher_number() -> None:
    """Also when the wall clock stands still or goes back: order is not left to the bus."""
    w = Watched(alone=False, grace_s=0.0)
    hints = []
    for n in range(20):
        w.presence.seen(MAIN, ALICE, "a", n, at(5) - n, away=n % 2 == 0)
        hints += w.due(n)
    w.presence.left(MAIN, ALICE, "a", 20, at(5))
    hints += w.due(20)
    numbers = [hint.at for hint in hints]
    assert len(hints) == 21
    assert numbers == sorted(set(numbers))


@given(seed=st.integers(0, 10**9), lost=st.floats(0, 0.9))
def test_P5_lossy_bus_converges_after_a_heartbeat(seed: int, lost: float) -> None:
    """Whatever the bus loses, repeats or reorders: once it is well and everybody has given one
    more heartbeat (and old views have timed out), every node knows the truth."""
    rng = random.Random(seed)
    nodes = [presence(f"n{i}", alone=False) for i in range(3)]
    alive: dict[str, tuple[int, bool]] = {}  # session -> node, away
    waiting: list[PresenceChanged] = []
    now = 0.0

    def turn(*, well: bool) -> None:
        for node in nodes:
            waiting.extend(node.due(now).publish)
        rng.shuffle(waiting)
        for hint in list(waiting):
            for node in nodes:
                if well or rng.random() > lost:
                    node.heard(hint, now)
            if well or rng.random() < 0.7:  # else it stays, and comes again later
                waiting.remove(hint)

    for _ in range(60):
        now += rng.uniform(0, 8)
        session = f"s{rng.randrange(4)}"
        if session in alive and rng.random() < 0.5:
            node, _away = alive.pop(session)
            nodes[node].left(MAIN, ALICE, session, now, at(now))
        elif session not in alive:
            alive[session] = (rng.randrange(3), rng.random() < 0.5)
        for one, (node, away) in alive.items():
            nodes[node].seen(MAIN, ALICE, one, now, at(now), away=away)
        turn(well=False)
    waiting.clear()
    for _ in range(10):
        now += BEAT / 2
        for one, (node, away) in alive.items():
            nodes[node].seen(MAIN, ALICE, one, now, at(now), away=away)
        turn(well=True)
    truth = OFFLINE if not alive else AWAY if all(a for _, a in alive.values()) else ONLINE
    assert [node.look(MAIN, ALICE, now)["state"] for node in nodes] == [truth] * 3


def test_P5_views_are_published_again_while_they_last() -> None:
    w = Watched(alone=False)
    published = []
    for now in range(0, 121, 5):
        w.presence.seen(MAIN, ALICE, "a", now, at(now))
        published += w.due(now)
    assert len(published) == 7  # at 0, 20, 40 … 120
    assert sorted({hint.at for hint in published}) == [hint.at for hint in published]
    alone = Watched()
    published = []
    for now in range(0, 121, 5):
        alone.presence.seen(MAIN, ALICE, "a", now, at(now))
        published += alone.due(now)
    assert len(published) == 1


def test_P6_watchers_hear_what_they_watch_until_they_stop() -> None:
    p = presence()
    p.watch("w1", MAIN, [ALICE, BOB])
    p.watch("w2", MAIN, [BOB])
    p.watch("w3", TenantId("other"), [ALICE])
    p.seen(MAIN, ALICE, "a", 0, at(0))
    p.seen(MAIN, BOB, "b", 0, at(0))
    told = {one.user: one.watchers for one in p.due(0).tell}
    assert told == {ALICE: ("w1",), BOB: ("w1", "w2")}
    p.watch("w1", MAIN, [ALICE])  # a new list replaces the old one
    p.unwatch("w2")
    p.unwatch("w2")
    p.left(MAIN, BOB, "b", 1, at(1))
    p.left(MAIN, ALICE, "a", 1, at(1))
    assert [(one.user, one.watchers) for one in p.due(1 + GRACE).tell] == [(ALICE, ("w1",))]


def test_P6_watching_is_bounded_and_all_or_nothing() -> None:
    p = presence(watch_most=2)
    p.watch("w", MAIN, [ALICE])
    with pytest.raises(Full, match="at most 2"):
        p.watch("w", MAIN, [ALICE, BOB, UserId("carol")])
    p.seen(MAIN, ALICE, "a", 0, at(0))
    p.seen(MAIN, BOB, "b", 0, at(0))
    assert [one.user for one in p.due(0).tell] == [ALICE]


def test_P6_of_several_changes_between_two_looks_the_last_is_told() -> None:
    p = presence(grace_s=0.0)
    p.watch("w", MAIN, [ALICE])
    p.seen(MAIN, ALICE, "a", 0, at(0))
    p.left(MAIN, ALICE, "a", 0.1, at(0.1))
    p.seen(MAIN, ALICE, "a", 0.2, at(0.2), away=True)
    assert [one.state for one in p.due(1).tell] == [AWAY]
    assert p.due(2).tell == []


def test_P7_last_seen_is_the_last_sign_of_life() -> None:
    w = Watched()
    w.seen("a", 5)
    assert w.presence.look(MAIN, ALICE, 6) == {"state": ONLINE, "last_seen": at(5)}
    w.left("a", 9)
    w.due(9 + GRACE)
    assert w.last_seen == [at(5), at(9)]
    look = w.presence.look(MAIN, ALICE, 5000)
    assert look == {"state": OFFLINE, "last_seen": at(9)}


def test_P7_memory_of_who_left_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hongyan.engine.presence.REMEMBERED", 10)
    p = presence(grace_s=0.0)
    for n in range(100):
        p.seen(MAIN, UserId(f"u{n}"), "a", n, at(n))
        p.left(MAIN, UserId(f"u{n}"), "a", n, at(n))
        p.due(n)
    seen = [p.look(MAIN, UserId(f"u{n}"), 100)["last_seen"] for n in range(100)]
    assert [n for n in range(100) if seen[n]] == list(range(90, 100))
    p.heard(PresenceChanged("n2", MAIN, ALICE, OFFLINE, 7), 100)
    assert p.look(MAIN, ALICE, 100)["last_seen"] == 7


def test_P7_clock_set_back_does_not_move_last_seen_back() -> None:
    w = Watched(alone=False)
    w.presence.seen(MAIN, ALICE, "a", 10, at(10))
    w.presence.seen(MAIN, ALICE, "a", 35, at(35) - 3_600_000)
    assert w.presence.look(MAIN, ALICE, 36)["last_seen"] == at(10)


def test_heartbeats_do_not_grow_the_schedule() -> None:
    p = presence()
    for n in range(10_000):
        p.seen(MAIN, ALICE, "a", n * 0.5, at(n * 0.5))
        if n % 2:
            p.due(n * 0.5)
    assert len(p._schedule) <= 2
    for n in range(1000):  # within one time to live, so that nothing is taken out
        p.seen(MAIN, BOB, "b", 5000 + n * 0.05, at(0), away=n % 2 == 0)
    assert len(p._schedule) <= 5
