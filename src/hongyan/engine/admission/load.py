"""How loaded this node is, in four levels, and what it does no more at each of them.

normal → busy (newcomers come later) → overloaded (live items of the lowest lane are shed, signals
dropped, questions refused) → critical (all live items but the highest lane, all hellos refused).
What was acknowledged is kept and calls are taken at every level: a loaded server is slow before
it is silent, and never forgets.

Measured are how late the event loop is and how much memory the process has. A level begins when
three looks in a row say so, and ends after a calm time well below its threshold.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from enum import IntEnum

import structlog

from hongyan.config import Load as Settings
from hongyan.model.errors import Overloaded
from hongyan.telemetry import Metrics

logger = structlog.get_logger(__name__)

LOOKS = 3  # that must agree before a level begins
LAG_FALLS = 0.5  # a level ends below this share of the lag at which it began
MEMORY_FALLS = 0.97  # the same for memory, which falls slowly: an allocator keeps what it has
RETRY_MS = (1000, 5000)  # what is refused now comes back in between


class Level(IntEnum):
    """How loaded."""

    NORMAL = 0
    BUSY = 1
    OVERLOADED = 2
    CRITICAL = 3


class Load:
    """The level of one node. Sync; `sample` is called a few times a second."""

    def __init__(self, settings: Settings, memory: int) -> None:
        """`memory` is what the process may take, where the settings do not say; 0 = not known."""
        self._settings = settings
        self.memory = settings.memory_bytes or memory
        self.queues = settings.queues_bytes or self.memory // 8
        self.level = Level.NORMAL
        self.calm_s = settings.calm_ms / 1000
        self.changes = 0
        self.refused = 0  # questions
        self.dropped = 0  # signals
        self._lags = (settings.busy_lag_ms, settings.overloaded_lag_ms, settings.critical_lag_ms)
        self._shares = (
            settings.busy_memory,
            settings.overloaded_memory,
            settings.critical_memory,
        )
        self._looks: deque[Level] = deque(maxlen=LOOKS)
        self._loud_at = 0.0  # when it was last too loud for a lower level (monotonic)
        self._told: list[Callable[[Level], None]] = []

    def on_change(self, told: Callable[[Level], None]) -> None:
        """Call `told` with the level, now and whenever it changes."""
        self._told.append(told)
        told(self.level)

    def sample(self, lag_s: float, memory_bytes: int, now: float) -> None:
        """Look once: the loop is `lag_s` late and the process has `memory_bytes` at `now`
        (monotonic seconds)."""
        share = memory_bytes / self.memory if self.memory else 0.0
        self._looks.append(self._level(lag_s * 1000, share))
        rises = min(self._looks) if len(self._looks) == LOOKS else Level.NORMAL
        if rises > self.level:
            self._loud_at = now
            self._set(rises, lag_s, share)
        elif self.level:
            if self._level(lag_s * 1000 / LAG_FALLS, share / MEMORY_FALLS) >= self.level:
                self._loud_at = now
            elif now - self._loud_at >= self._settings.calm_ms / 1000:
                self._loud_at = now  # each level has its own calm time
                self._set(Level(self.level - 1), lag_s, share)

    def _level(self, lag_ms: float, share: float) -> Level:
        lag = sum(lag_ms >= most for most in self._lags)
        memory = sum(share >= most for most in self._shares)
        return Level(max(lag, memory))

    def _set(self, level: Level, lag_s: float, share: float) -> None:
        self.level = level
        self.changes += 1
        logger.warning(
            "load level changed",
            level=level.name.lower(),
            lag_ms=round(lag_s * 1000),
            memory=round(share, 2),
        )
        for told in self._told:
            told(level)

    def show(self, metrics: Metrics) -> None:
        """Put the level into the metrics."""
        metrics.gauge(
            "load_level", "0 normal, 1 busy, 2 overloaded, 3 critical.", lambda: self.level
        )
        metrics.gauge("load_changes", "How often the level changed.", lambda: self.changes)
        metrics.gauge("load_memory_limit_bytes", "0 = not known.", lambda: self.memory)
        metrics.gauge("load_asks_refused", "Questions refused.", lambda: self.refused)
        metrics.gauge("load_signals_dropped", "Signals dropped.", lambda: self.dropped)

    def ask(self) -> None:
        """Whether a question may be asked now. Raises Overloaded: ask again later."""
        if self.level >= Level.OVERLOADED:
            self.refused += 1
            after = random.randint(*RETRY_MS)
            raise Overloaded("the server sheds load: ask again later", retry_after_ms=after)

    def signal(self) -> bool:
        """Whether a signal is passed on; what is not is counted."""
        if self.level >= Level.OVERLOADED:
            self.dropped += 1
            return False
        return True
