"""What live logs remember of those who spoke: for slow mode, and so that a retry says nothing
twice. Bounded, and gone with the life of its log."""

from __future__ import annotations

from collections import OrderedDict

from hongyan.engine.callers import Job
from hongyan.engine.live.log import LiveLog
from hongyan.engine.live.logs import LiveLogs
from hongyan.model.errors import Clash
from hongyan.model.ids import LogId, OpId, UserId
from hongyan.model.kind import Decision

MOST_OPS = 10_000  # of a log
MOST_SPEAKERS = 50_000  # of a log


class _Memory:
    __slots__ = ("epoch", "ops", "spoke")

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.ops: OrderedDict[tuple[UserId, OpId], tuple[bytes, int, int]] = OrderedDict()
        self.spoke: OrderedDict[UserId, int] = OrderedDict()


class Spoken:
    """By log. Sync."""

    def __init__(self, logs: LiveLogs) -> None:
        """Nothing yet."""
        self._logs = logs
        self._memory: dict[LogId, _Memory] = {}

    def __len__(self) -> int:
        """Logs of which something is remembered."""
        return len(self._memory)

    def ms(self, log: LogId, user: UserId) -> int:
        """When this user's last item here was taken; 0 = not known."""
        memory = self._of(log)
        return memory.spoke.get(user, 0) if memory is not None else 0

    def before(self, job: Job) -> tuple[int, int] | None:
        """(offset, time) of the first answer to this op, where it was one without a commit.

        Raises:
            Clash: it was used with other arguments.
        """
        memory = self._of(job.log)
        known = memory.ops.get((job.caller.user, job.call.op)) if memory is not None else None
        if known is None:
            return None
        digest, off, at = known
        if digest != job.hash:
            raise Clash("this op was used before with other arguments")
        return off, at

    def note(self, live: LiveLog, job: Job, off: int, now_ms: int, decision: Decision) -> None:
        """A decision was told."""
        memory = self._of(live.log)
        if memory is None:
            memory = self._memory[live.log] = _Memory(live.epoch)
        user = job.caller.user
        if decision.passes:  # else the store remembers
            memory.ops[user, job.call.op] = (job.hash, off, now_ms)
            if len(memory.ops) > MOST_OPS:
                memory.ops.popitem(last=False)
        if decision.live:
            memory.spoke[user] = now_ms
            memory.spoke.move_to_end(user)
            if len(memory.spoke) > MOST_SPEAKERS:
                memory.spoke.popitem(last=False)

    def prune(self) -> None:
        """Forget logs that are not held any more."""
        for log in list(self._memory):
            self._of(log)

    def _of(self, log: LogId) -> _Memory | None:
        held, live = self._memory.get(log), self._logs.get(log)
        if held is None:
            return None
        if live is None or live.epoch != held.epoch:
            del self._memory[log]
            return None
        return held
