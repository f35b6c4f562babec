"""Users of the login bench behave as clients do: they wait, come back when told to, give up."""

from __future__ import annotations

from typing import Any, cast

import pytest

from hongyan.bench import login
from hongyan.bench.crowd import BenchError, Client, Crowd
from hongyan.bench.server import ServerProcess


class NoServer:
    port = 1

    def token(self, user: str) -> str:
        return f"token of {user}"


class NoCrowd(Crowd):
    """Opens nothing, and notes what is asked of it."""

    def __init__(self) -> None:
        self.opened: list[Client] = []

    def open(self, client: Client) -> None:
        self.opened.append(client)

    def turn(self, seconds: float) -> int:
        return 0

    def drop(self, client: Client) -> None:
        client.opened = False
        client.lost()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    now = {"s": 100.0}
    monkeypatch.setattr(login, "_now", lambda: now["s"])
    return now


@pytest.fixture
def desk(clock: dict[str, float]) -> login.Desk:
    desk = login.Desk(cast(ServerProcess, NoServer()), 3, hold=3)
    desk.ping_at = 1e9
    desk.crowd = NoCrowd()
    for user in desk.users:
        user.crowd = desk.crowd
    return desk


def opened(desk: login.Desk) -> list[Any]:
    return cast(NoCrowd, desk.crowd).opened


def test_one_sent_away_comes_back_when_told_to_and_no_sooner(
    desk: login.Desk, clock: dict[str, float]
) -> None:
    user = desk.users[0]
    desk._open(user)
    user.message(b'{"t":"goodbye","code":304,"text":"later","reconnect_after_ms":5000}')
    user.lost()
    clock["s"] += 4.9
    desk._turn(0)
    assert opened(desk) == [user] and desk.sent_away == 1
    clock["s"] += 0.2
    desk._turn(0)
    assert opened(desk) == [user, user] and desk.connects == 2


def test_one_who_waits_too_long_gives_up_and_tries_again(
    desk: login.Desk, clock: dict[str, float]
) -> None:
    slow, greeted, welcomed = desk.users
    for user in desk.users:
        desk._open(user)
    clock["s"] += 5
    for user in (greeted, welcomed):
        user.opened = True
        user.begin()
    welcomed.message(b'{"t":"welcome","inbox":{"rows":[],"upto":7}}')
    clock["s"] += 5.1  # ten seconds without a handshake
    desk._turn(0)
    assert (desk.gave_up, desk.cut, desk.inside) == (1, 0, 1)
    clock["s"] += 5  # ten seconds from the hello
    desk._turn(0)
    assert (desk.gave_up, desk.cut, desk.inside) == (2, 0, 1)
    clock["s"] += 60
    desk._turn(0)
    assert opened(desk)[3:] == [slow, greeted]


def test_a_pong_is_no_welcome(desk: login.Desk) -> None:
    user = desk.users[0]
    user.message(b'{"t":"pong","inbox":1234567890}')
    assert not user.done_at and desk.inside == 0
    user.message(b'{"t":"welcome","inbox":{"rows":[{},{}],"upto":9}}')
    assert (user.rows, user.inbox, desk.inside) == (2, 9, 1)


def test_one_who_was_in_and_is_cut_off_is_in_no_more(desk: login.Desk) -> None:
    user = desk.users[0]
    user.message(b'{"t":"welcome","inbox":{"rows":[{}],"upto":9}}')
    user.lost()
    assert (desk.inside, desk.cut, len(desk.later)) == (0, 1, 1)
    user.message(b'{"t":"welcome","inbox":{"rows":[],"upto":9}}')
    assert (desk.inside, user.rows) == (1, 1), "what came before the cut is not missed"


def test_one_sent_away_for_good_ends_the_bench(desk: login.Desk) -> None:
    with pytest.raises(BenchError, match="for good"):
        desk.users[0].message(b'{"t":"goodbye","text":"disabled","reconnect_after_ms":-1}')


def test_dropped_connects_are_read_of_the_kernel() -> None:
    assert login.connects_dropped() >= 0
