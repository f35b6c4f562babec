"""The account of those who listen to joins: what came, came twice, or did not come."""

from __future__ import annotations

from typing import cast

import pytest

from hongyan.bench import fanout
from hongyan.bench.crowd import BenchError
from hongyan.bench.server import ServerProcess
from hongyan.bench.supergroup import Desk, _Joiner, _Listener


class NoServer:
    port = 1

    def token(self, user: str) -> str:
        return f"token of {user}"


@pytest.fixture
def desk() -> Desk:
    return Desk(cast(ServerProcess, NoServer()))


def deliver(*seqs: int, log: str = fanout.LOG) -> bytes:
    entries = ",".join(f'{{"seq":{seq},"type":"joined"}}' for seq in seqs)
    return f'{{"t":"deliver","log":"{log}","entries":[{entries}]}}'.encode()


def counted(desk: Desk) -> tuple[int, int, int]:
    return desk.delivered, desk.duplicates, desk.gaps


def test_what_came_is_counted_for_each_who_listens(desk: Desk) -> None:
    people = [_Listener(desk, n) for n in range(3)]
    for person in people:
        person.message(b'{"t":"welcome"}')
        person.message(deliver(7))
        person.message(b"[" + deliver(8, 9) + b"," + deliver(10) + b"]")
    assert desk.ready == 3
    assert counted(desk) == (12, 0, 0)
    assert [person.head for person in people] == [10, 10, 10]


def test_what_is_missing_or_comes_twice_is_seen(desk: Desk) -> None:
    person = _Listener(desk, 0)
    for message in (deliver(5), deliver(8, 9), deliver(9), deliver(9, 10), deliver(11, 13)):
        person.message(message)
    # 5; a hole of two, then 8 and 9; 9 again; 9 again and 10; 11, and 13 after a hole of one
    assert counted(desk) == (6, 2, 3)


def test_other_logs_and_other_frames_are_not_counted(desk: Desk) -> None:
    person = _Listener(desk, 0)
    person.message(deliver(4, log="main/g/other"))
    person.message(b'{"t":"pong"}')
    assert counted(desk) == (0, 0, 0)


def test_a_refused_joiner_is_not_counted_as_joined(desk: Desk) -> None:
    joiner = _Joiner(desk, 0, "j0", "j0")
    joiner.message(b'{"t":"fail","ref":1,"code":209,"text":"members only"}')
    assert (desk.joined, desk.gone, desk.trouble) == (0, 1, "members only")


def test_a_member_who_listens_may_not_go(desk: Desk) -> None:
    with pytest.raises(BenchError, match="listens"):
        _Listener(desk, 0).lost()
