"""The quotes bench notices what it is there to notice."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from hongyan.bench import quotes
from hongyan.bench.quotes_viewers import Viewer, digest, seen


class Desk:
    """What a viewer needs, and no server."""

    def __init__(self) -> None:
        self.log: Any = "main/q/bench"
        self.known: dict[Any, Any] = {}
        self.delays: list[float] = []
        self.joins: list[float] = []
        self.snapshot_bytes = self.ready = 0
        self.troubles: list[str] = []

    def token(self, user: str) -> str:
        return user

    def trouble(self, text: str) -> None:
        self.troubles.append(text)


class Board(Desk):
    """A run that is over."""

    def __init__(self) -> None:
        super().__init__()
        crowd: Any = None
        self.viewers = [Viewer(crowd, n, self, clocked=True) for n in (1, 2)]
        self.newest = {"A": 1e-6, "B": 5e-6}
        self.fills = 3
        for viewer in self.viewers:
            viewer.head = 1
            tell(viewer, values(0, 1, A=1, B=2))
            tell(viewer, deliver(2, 3), values(1, 2, B=5))
            tell(viewer, deliver(4))


def deliver(*seqs: int) -> dict[str, Any]:
    return {"t": "deliver", "log": "l", "entries": [{"seq": n, "type": "fill"} for n in seqs]}


def values(prev: int, seq: int, **times: int) -> dict[str, Any]:
    told = [[key, 1, {"ask": 1, "t": at}] for key, at in times.items()]
    return {"t": "values", "log": "l", "epoch": 1, "prev": prev, "seq": seq, "values": told}


def tell(viewer: Viewer, *frames: dict[str, Any]) -> None:
    viewer.message(msgspec.json.encode(list(frames)))


def broken(board: Any) -> list[str]:
    return quotes._broken(board)


def test_a_run_without_fault_is_not_broken() -> None:
    board = Board()
    assert broken(board) == []
    assert board.viewers[0].told == 3 and len(board.delays) == 4


@pytest.mark.parametrize(
    ("frames", "why"),
    [
        ([deliver(4)], "fills came twice"),
        ([deliver(6)], "fills were lost"),
        ([values(3, 4, A=1)], "a chain of values broke"),
        ([values(2, 3, A=9)], "a viewer does not hold the newest quotes"),
    ],
)
def test_what_is_lost_twice_or_old_is_found(
    frames: list[Any], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = Board()
    monkeypatch.setattr(Viewer, "subscribe", lambda self: None)
    tell(board.viewers[1], *frames)
    assert why in broken(board)


def test_what_is_read_after_a_hole_counts_once() -> None:
    board = Board()
    board.fills = 5
    for viewer in board.viewers:
        tell(viewer, deliver(6))
        page = {"t": "page", "ref": 2, "entries": deliver(5, 6)["entries"]}
        tell(viewer, page)
    assert broken(board) == []


def test_a_message_with_more_than_a_tick_is_no_digest() -> None:
    assert digest(seen(msgspec.json.encode([values(0, 1, A=1), {"t": "ack", "ref": 1}]))) is None
