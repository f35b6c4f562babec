"""The line in front of hello, without an engine behind it."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, cast

from hongyan.adapters.memory.clock import ManualClock
from hongyan.config import Config
from hongyan.engine.admission.line import LEAST_MS, Admission
from hongyan.engine.admission.load import Load
from hongyan.engine.peer import Peer
from hongyan.model.errors import Refusal, Unauthenticated
from hongyan.model.ids import DeviceId
from hongyan.wire.frames import Hello


class Came:
    """A client, as far as the line looks at it."""

    closing = False
    opened_at = 0.0

    def __init__(self) -> None:
        self.told: list[tuple[int, int]] = []

    def close(self, why: Refusal, reconnect_after_ms: int = 0) -> None:
        self.closing = True
        self.told.append((why.code, reconnect_after_ms))


class Line:
    """An Admission, and what it let in; nothing that it let in ever ends."""

    def __init__(self) -> None:
        self.spawned: list[Coroutine[Any, Any, None]] = []
        self.judged = 0
        self.admission = Admission(
            Config().admission,
            ManualClock(),
            Load(Config().load, 0),
            self._let_in,
            self.spawned.append,
            self._refusal,
        )

    async def _let_in(self, peer: Peer, hello: Hello) -> None:
        """Takes its time."""

    def _refusal(self, hello: Hello) -> Refusal | None:
        self.judged += 1
        return Unauthenticated("forged") if hello.token == "forged" else None

    def come(self, token: str) -> Came:
        came = Came()
        hello = Hello(token=token, device=DeviceId("d"))
        self.admission.enter(cast(Peer, came), hello)
        return came

    def end(self) -> None:
        for work in self.spawned:
            work.close()


def test_AD22_who_forges_a_token_takes_no_place_and_no_turn() -> None:
    line = Line()
    bots = [line.come("forged") for _ in range(5000)]
    assert len(line.admission) == line.admission.inside == line.admission.admitted == 0
    assert line.admission.unknown == 5000 and not line.spawned
    assert all(bot.told == [(Unauthenticated.code, LEAST_MS)] for bot in bots)
    good = line.come("good")  # and the turns that a second has are all there for it
    assert line.admission.inside == 1 and not good.told
    line.end()


def test_AD22_a_server_that_lets_nobody_in_judges_no_token() -> None:
    line = Line()
    load = line.admission._load
    for second in range(3):
        load.sample(9.0, 0, float(second))
    came = line.come("forged")
    assert line.judged == 0 and came.told[0][0] == 304
