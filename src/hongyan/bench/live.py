"""A live room under load: what viewers were given, what they were told, and what it cost.

The promises that are checked, for every viewer: each gift arrives once and in order; the likes add
up to what was acknowledged; danmaku given and gaps told add up to what was said; who speaks sees
its own words; the host is shown everything.
"""

from __future__ import annotations

import time

from hongyan.bench.live_account import LiveResult, settle
from hongyan.bench.live_room import Phase, Plan, Run
from hongyan.bench.server import ServerProcess, Usage

SETTINGS = ('kinds.room={"gifts":"users"}',)  # of the server
WARM_UP_S = 2.0
REST_S = 0.5


def run(server: ServerProcess, plan: Plan) -> LiveResult:
    """Fill a room of `server` (started with SETTINGS), and measure.

    Raises:
        BenchError: it could not be filled.
    """
    work = Run(server, plan)
    empty, began = server.usage(), time.perf_counter()
    work.fill()
    connect_s = time.perf_counter() - began
    work.until(lambda: False, REST_S)
    full = server.usage()
    work.send(WARM_UP_S)
    phases, stalled_kb = _phases(work, server)
    try:
        return settle(work, phases, connect_s, _kb(empty, full, plan.viewers), stalled_kb)
    finally:
        work.crowd.close()


def _phases(work: Run, server: ServerProcess) -> tuple[list[Phase], float]:
    """All well, then some stalled; what each stalled one cost more, in KB."""
    seconds = work.plan.seconds
    if not work.stalled:
        return [work.phase(seconds, 0)], 0.0
    first = work.phase(seconds / 2, 0)
    before = server.usage()
    for viewer in work.stalled:
        viewer.pause(True)
    second = work.phase(seconds / 2, len(work.stalled))
    kb = _kb(before, server.usage(), len(work.stalled))
    for viewer in work.stalled:
        viewer.pause(False)
    return [first, second], kb


def _kb(before: Usage, after: Usage, count: int) -> float:
    return round((after.rss_bytes - before.rss_bytes) / max(count, 1) / 1024, 1)
