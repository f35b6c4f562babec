"""After a run of the live bench: wait for what is on the way, then look at every account."""

from __future__ import annotations

from collections import Counter

import msgspec

from hongyan.bench.crowd import BenchError
from hongyan.bench.live_room import Phase, Run
from hongyan.bench.live_viewers import GIFT, Viewer

PATIENCE_S = 20.0  # for what is on the way when the sending ends
LOOK_S = 0.3
LONG_ENOUGH_S = 5.0  # a phase in which times are judged
SLOWER = 1.10  # healthy viewers' p99 with stalled ones beside them, at most
NOISE_MS = 25.0
LATE_MS = 50.0  # a generator that is later than this shares its core: no time is judged


class LiveResult(msgspec.Struct, frozen=True):
    """One run, over all viewers."""

    viewers: int
    rate: float
    gifts: float
    likes: float
    tick_ms: int
    connect_s: float
    connects_again: int  # connections that had to be made again, before and after a stall
    kb_per_viewer: float
    stalled_kb_per_viewer: float  # that a stalled one costs more
    danmaku_said: int
    danmaku_expected: int
    danmaku_delivered: int
    gaps: dict[str, int]
    unaccounted_viewers: int  # whose items and gaps do not add up
    gifts_sent: int
    gifts_expected: int
    gifts_delivered: int
    gifts_lost: int
    gift_duplicates: int
    read_after_behind: int  # viewers who had to read gifts from the log
    likes_sent: int
    likes_right: int  # viewers who were told exactly that
    own_missing: int
    host_missing: int
    disorder: int
    refused: dict[str, int]  # calls, by kind and why
    goodbyes: dict[str, int]  # connections, by why
    phases: list[Phase]
    broken: list[str]  # promises


def settle(
    work: Run, phases: list[Phase], connect_s: float, kb: float, stalled_kb: float
) -> LiveResult:
    """Wait until nothing more comes, then judge. Raises BenchError."""
    work.until(lambda: _answered(work), PATIENCE_S)
    end = _probe(work)
    everybody = work.everybody
    for _ in range(int(PATIENCE_S / LOOK_S)):
        for viewer in everybody:
            if viewer.inside and viewer.seq < min(viewer.behind, end.seq):
                viewer.fetch()
        work.until(lambda: False, LOOK_S)
        if all(_complete(viewer, end, work) for viewer in everybody):
            break
    return _judge(work, end, phases, connect_s, kb, stalled_kb)


def _answered(work: Run) -> bool:
    refused = sum(work.refused.values())
    return sum(work.acked_n) + refused >= sum(map(len, work.due))


def _probe(work: Run) -> Viewer:
    """One who comes last is told where the room is."""
    probe = Viewer(work.crowd, 0, work, "probe")
    work.crowd.open(probe)
    if not work.until(lambda: probe.inside, PATIENCE_S):
        raise BenchError("the room lets nobody in any more")
    return probe


def _complete(viewer: Viewer, end: Viewer, work: Run) -> bool:
    return viewer.place == end.base and viewer.seq == end.seq and viewer.likes == work.likes


# size: one line for each promise that is judged
def _judge(
    work: Run,
    end: Viewer,
    phases: list[Phase],
    connect_s: float,
    kb: float,
    stalled_kb: float,
) -> LiveResult:
    plan, viewers = work.plan, work.viewers
    gaps = _gaps(viewers)
    said, sent = len(work.due[0]), work.acked_n[GIFT]
    result = LiveResult(
        viewers=len(viewers),
        rate=plan.rate,
        gifts=plan.gifts,
        likes=plan.likes,
        tick_ms=plan.tick_ms,
        connect_s=round(connect_s, 1),
        connects_again=work.again,
        kb_per_viewer=kb,
        stalled_kb_per_viewer=stalled_kb,
        danmaku_said=work.acked_n[0],
        danmaku_expected=sum(end.base - viewer.base for viewer in viewers),
        danmaku_delivered=sum(viewer.got for viewer in viewers),
        gaps=gaps,
        unaccounted_viewers=sum(viewer.place != end.base for viewer in viewers),
        gifts_sent=sent,
        gifts_expected=sent * len(viewers),
        gifts_delivered=sum(viewer.gifts for viewer in viewers),
        gifts_lost=sum(max(end.seq - viewer.seq, 0) for viewer in viewers)
        + max(sent - work.host.gifts, 0),
        gift_duplicates=sum(viewer.duplicates for viewer in viewers),
        read_after_behind=sum(bool(viewer.behind) for viewer in viewers),
        likes_sent=work.likes,
        likes_right=sum(viewer.likes == work.likes for viewer in viewers),
        own_missing=sum(len(speaker.said) - speaker.own for speaker in work.speakers)
        - (said - work.acked_n[0]),
        host_missing=work.host.missing,
        disorder=sum(viewer.disorder for viewer in viewers),
        refused=dict(work.refused),
        goodbyes=dict(work.goodbyes),
        phases=phases,
        broken=[],
    )
    result.broken.extend(_broken(result))
    return result


def _gaps(viewers: list[Viewer]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for viewer in viewers:
        rest = viewer.missing
        for reason, n in (viewer.gaps or {}).items():
            total[reason] += n
            rest -= n
        total["sampled"] += rest
    return {reason: n for reason, n in total.items() if n}


def _broken(result: LiveResult) -> list[str]:
    """The promises that were not kept, in words."""
    found = []
    if result.gifts_lost or result.gifts_delivered != result.gifts_expected:
        found.append(
            f"gifts: {result.gifts_delivered} of {result.gifts_expected}, {result.gifts_lost} lost"
        )
    if result.gift_duplicates:
        found.append(f"gifts came twice: {result.gift_duplicates}")
    if result.likes_right != result.viewers:
        found.append(
            f"{result.viewers - result.likes_right} viewers were told a wrong sum of likes"
        )
    if result.unaccounted_viewers:
        found.append(f"{result.unaccounted_viewers} viewers: items and gaps do not add up")
    if result.own_missing:
        found.append(f"{result.own_missing} danmaku did not come back to who said them")
    if result.host_missing:
        found.append(f"the host was not shown {result.host_missing} danmaku")
    if result.disorder:
        found.append(f"{result.disorder} messages out of order")
    if judged(result):
        before, after = (phase.danmaku_p99_ms for phase in result.phases)
        if after > max(before * SLOWER, before + NOISE_MS):
            found.append(f"stalled viewers delay the others: p99 {before} to {after} ms")
    return found


def judged(result: LiveResult) -> bool:
    """Whether the times of the phases can be compared: they were long enough, and nothing else
    had the generator's core."""
    phases = result.phases
    return len(phases) == 2 and all(
        phase.seconds >= LONG_ENOUGH_S and phase.late_p99_ms <= LATE_MS for phase in phases
    )


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{n} times {why}" for why, n in counts.items()) or "nothing"


def table(result: LiveResult, cores: int | None) -> str:
    """The result for people."""
    percent = 100 * result.danmaku_delivered / max(result.danmaku_expected, 1)
    gaps = ", ".join(f"{n} {reason}" for reason, n in result.gaps.items()) or "none"
    likes = f"{result.likes_sent} told exactly to {result.likes_right} of {result.viewers} viewers"
    lines = [
        f"live room, {result.viewers} viewers, {cores} cores; server on one, load on another",
        "",
        f"  came in      {result.connect_s} s, {result.connects_again} tries again",
        f"  memory       {result.kb_per_viewer} KB a viewer;"
        f" {result.stalled_kb_per_viewer} KB more while it is stalled",
        f"  danmaku      {result.danmaku_said} said; {result.danmaku_delivered} of"
        f" {result.danmaku_expected} shown ({percent:.1f} %); gaps: {gaps}",
        f"  accounts     shown + gaps = said for"
        f" {result.viewers - result.unaccounted_viewers} of {result.viewers} viewers",
        f"  gifts        {result.gifts_delivered} of {result.gifts_expected} delivered,"
        f" {result.gifts_lost} lost, {result.gift_duplicates} twice;"
        f" {result.read_after_behind} viewers read them later",
        f"  likes        {likes}",
        f"  refused      {_listed(result.refused)}",
        f"  sent away    {_listed(result.goodbyes)}",
        "",
        f"  {'':<14}{'danmaku p50/p99 ms':>20}{'gift p50/p99 ms':>18}{'ack p50/p99 ms':>18}"
        f"{'CPU':>7}{'us/message':>12}{'us/item':>9}{'load CPU':>10}"
        f"{'late ms':>9}",
    ]
    for phase in result.phases:
        name = f"{phase.stalled} stalled"
        lines.append(
            f"  {name:<14}"
            f"{f'{phase.danmaku_p50_ms} / {phase.danmaku_p99_ms}':>20}"
            f"{f'{phase.gift_p50_ms} / {phase.gift_p99_ms}':>18}"
            f"{f'{phase.ack_p50_ms} / {phase.ack_p99_ms}':>18}"
            f"{phase.server_cpu:>7.0%}{phase.cpu_us_per_message:>12}{phase.cpu_us_per_item:>9}"
            f"{phase.generator_cpu:>10.0%}{phase.late_p99_ms:>9}"
        )
    lines.append("")
    if len(result.phases) == 2 and not judged(result):
        lines.append("  times not judged: too short, or something else had the load's core")
    lines += [f"  BROKEN: {text}" for text in result.broken] or ["  every promise was kept"]
    return "\n".join(lines)
