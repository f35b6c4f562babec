"""When the sockets are written: what is for few at the end of the loop's turn, all merged; what is
for many as often as it is cheap, in slices.

A write costs about the same with one frame in it or with ten. So after a round for many the next
one waits in proportion to what this one took, and what comes meanwhile is merged.
"""

from __future__ import annotations

import asyncio

import structlog

from hongyan.engine.peer import Peer
from hongyan.ports import Clock

logger = structlog.get_logger(__name__)

MANY = 32  # listeners, above which a fan-out goes by rounds
SLICE = 64  # peers written to before others have their turn of the loop
SHARE = 0.5  # of the loop's time that rounds may take; entries are more urgent than what is live
MOST_PAUSE_S = 0.05  # between the beginnings of two rounds
SOON_S = 0.001  # a pause that is shorter is none: timers are not more exact


class Writes:
    """The peers for whom something waits. Everything is sync and runs on the loop."""

    def __init__(self, clock: Clock) -> None:
        """Nothing waits."""
        self.rounds = 0
        self._clock = clock
        self._soon: list[Peer] = []
        self._round: list[Peer] = []  # the next one
        self._going = False  # a round is on its way
        self._next_at = 0.0  # monotonic, when the next one may begin

    def wake(self, peer: Peer) -> None:
        """Write to this peer at the end of the loop's turn, with all others that got something."""
        if not peer.queued:
            peer.queued = True
            if not self._soon:
                asyncio.get_running_loop().call_soon(self._flush)
            self._soon.append(peer)

    def wake_all(self, peers: list[Peer]) -> None:
        """The same for all of a fan-out; where they are many, with the next round."""
        if len(peers) <= MANY:
            for peer in peers:
                self.wake(peer)
            return
        if not self._round and not self._going:
            self._plan()
        add = self._round.append
        for peer in peers:
            if not peer.paced:
                peer.paced = True
                add(peer)

    def _flush(self) -> None:
        peers, self._soon = self._soon, []
        for peer in peers:
            peer.queued = False
            _write(peer)

    def _plan(self) -> None:
        loop, pause = asyncio.get_running_loop(), self._next_at - self._clock.monotonic()
        if pause < SOON_S:
            loop.call_soon(self._begin)
        else:
            loop.call_later(pause, self._begin)

    def _begin(self) -> None:
        self._going, self.rounds = True, self.rounds + 1
        peers, self._round = self._round, []
        self._go_on(peers, 0, 0.0, self._clock.monotonic())

    def _go_on(self, peers: list[Peer], start: int, spent: float, began: float) -> None:
        """A slice of a round. What is queued for a peer that was reached goes with the next."""
        now = self._clock.monotonic()
        for peer in peers[start : start + SLICE]:
            peer.paced = False
            _write(peer)
        spent += self._clock.monotonic() - now
        if start + SLICE < len(peers):
            loop = asyncio.get_running_loop()
            loop.call_soon(self._go_on, peers, start + SLICE, spent, began)
            return
        self._going = False
        self._next_at = began + min(spent / SHARE, MOST_PAUSE_S)
        if self._round:
            self._plan()


def _write(peer: Peer) -> None:
    try:
        peer.flush()
    except Exception:  # one broken transport must not cost the others their turn
        logger.exception("flush failed")
        peer.link.close(1011, "internal error")
