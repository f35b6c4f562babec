"""Live logs and the rest of the engine: who may watch, what rules say, what was committed."""

from __future__ import annotations

import asyncio
import contextlib
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec

from hongyan.engine.callers import Caller, Job
from hongyan.engine.commits import appended
from hongyan.engine.live.archive import Archiver
from hongyan.engine.live.crowds import Crowds
from hongyan.engine.live.log import LiveLog
from hongyan.engine.live.logs import LiveLogs
from hongyan.engine.live.popularity import SAID, VISITORS
from hongyan.engine.live.spoken import Spoken
from hongyan.engine.live.viewers import Viewer
from hongyan.engine.logs import LogCache, LogState
from hongyan.engine.peer import Peer
from hongyan.engine.sync import Reader
from hongyan.model.errors import BadArgs, Conflict, GoingAway, NoSuchLog, Overloaded, Refusal
from hongyan.model.ids import DeviceId, LogId, OpId, Seq, UserId, tenant_of
from hongyan.model.kind import Context, Decision, Kind
from hongyan.model.live import Lane, LiveItem, LiveSpec, Say
from hongyan.model.log import MAX_BODY_BYTES, Commit, Entry, Member, Role
from hongyan.ports import Bus, Clock, Kept, Store
from hongyan.telemetry import Metrics
from hongyan.wire.frames import Ack, Attached, Subscribe

SETTLER = "_settle"  # the sender of commits that nobody made
SETTLE_S = 5.0  # between two settlings
VISITORS_EVERY = 12  # settlings: how many came is an estimate, and not worth a commit each time
MOST_SLOW = 50  # viewers that the metrics name
# What a viewer may ask for: few, as each is a group of its own in every tick.
RATES = (1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)

_encode = msgspec.json.Encoder().encode


class Viewing:
    """The live side of calls, subscriptions and commits. Only `subscribe` waits."""

    def __init__(
        self,
        logs: LiveLogs,
        cache: LogCache,
        clock: Clock,
        bus: Bus,
        settings: Mapping[str, Mapping[str, Any]],
    ) -> None:
        """`settings` by kind code, complete."""
        self.logs = logs
        self._cache, self._clock, self._settings = cache, clock, settings
        self._spoken = Spoken(logs)
        self.crowds = Crowds(logs, clock, self._may_watch)
        self._refused: dict[int, int] = {}  # who wanted to watch, by code
        self._bus = bus
        self._settled = self._settlings = 0
        self.archiver: Archiver | None = None  # of what is kept for replays

    def show(self, metrics: Metrics) -> None:
        """Put what the live logs count into the metrics."""
        counters = self.logs.counters
        metrics.gauge("live_logs", "Live logs held.", lambda: len(self.logs))
        metrics.gauge("live_viewers", "Viewers of live logs.", lambda: self.logs.viewers)
        metrics.gauge(
            "live_slow", "Viewers whose queues are over the mark.", lambda: len(self.logs.slow())
        )
        for name, text, read in (
            ("queue", "wait for a viewer over the mark", lambda viewer: viewer.depth),
            ("given", "a viewer over the mark was given", lambda viewer: viewer.bytes),
        ):
            metrics.labelled(
                f"live_slow_{name}_bytes",
                f"Bytes that {text}, the {MOST_SLOW} slowest.",
                "viewer",
                lambda read=read: self._slow(read),  # type: ignore[misc]
            )
        metrics.labelled("live_refused", "Viewers not let in, by code.", "code", self._codes)
        for name in ("deliveries", "encodes", "ticks", "closed"):
            metrics.gauge(
                f"live_{name}",
                f"Of live logs: {name}.",
                lambda name=name: getattr(counters, name),  # type: ignore[misc]
            )
        for lane in Lane:
            metrics.gauge(
                f"live_shed_{lane.name.lower()}",
                "Live items let go under overload.",
                lambda lane=lane: counters.shed[lane],  # type: ignore[misc]
            )
        for reason in counters.gaps:
            metrics.gauge(
                f"live_gap_{reason}",
                "Live items that viewers were told they did not get.",
                lambda reason=reason: counters.gaps[reason],  # type: ignore[misc]
            )

    def _codes(self) -> dict[str, float]:
        return {str(code): float(n) for code, n in self._refused.items()}

    def _slow(self, read: Callable[[Viewer], int]) -> dict[str, float]:
        slow = islice(self.logs.slow(), MOST_SLOW)
        return {f"{v.user}/{v.peer.session.device}@{log}": read(v) for log, v in slow}

    # --- watching -------------------------------------------------------------------------------

    async def subscribe(self, peer: Peer, frame: Subscribe, log: LogId) -> Attached:
        """Let a connection watch. The answer is queued at the moment from which everything comes;
        the one that is returned is that one again.

        Raises:
            NoSuchLog; what the kind's `admit` raises; Overloaded.
        """
        caller = peer.caller
        assert caller is not None
        state, context = await self.admitted(caller, log)
        live, host = self.of(state), state.kind.shows_all(state.state, context)
        rate = 0 if host else self._rate(frame.rate, live.spec.rate)

        def attached() -> None:
            try:
                self._may_watch(peer, self._cache.get(log) or state)
            except Refusal as why:  # who was sent away while it waited for the tick
                self._count(why)
                self.logs.leave(log, peer)
                if not here.done():
                    here.set_exception(why)
                return
            answer = self._snapshot(live, state, context, frame, rate)
            peer.answer(answer)  # before anything that comes from now on
            self.crowds.came(log, caller.user, new=frame.epoch in (0, live.epoch))
            if frame.epoch != live.epoch:  # not who was here a moment ago
                self._greet(live, state, context)
            if not here.done():
                here.set_result(answer)

        def gone() -> None:
            if not here.done():
                here.set_exception(GoingAway("left before the log was watched; ask again"))

        here: asyncio.Future[Attached] = asyncio.get_running_loop().create_future()
        self.logs.join(live, peer, rate=rate, host=host, attached=attached, gone=gone)
        return await here

    async def admitted(self, caller: Caller, log: LogId) -> tuple[LogState, Context]:
        """A live log that the caller may watch, and as whom.

        Raises:
            NoSuchLog; what the kind's `admit` raises.
        """
        state = await self._cache.load(log)
        if not state.version or state.kind.live is None:
            raise NoSuchLog(f"no log {log}")
        member = state.members.get(caller.user)
        if member is None and (state.large or self._cache.behind(state)):
            member = await self._cache.member(state, caller.user)  # else all members are here
        context = self._context(caller, state, member)
        try:
            state.kind.admit(state.state, context)
        except Refusal as why:
            self._count(why)
            raise
        return state, context

    def _count(self, why: Refusal) -> None:
        self._refused[why.code] = self._refused.get(why.code, 0) + 1

    def _may_watch(self, peer: Peer, state: LogState) -> None:
        """Raises why this peer may not, or not any more."""
        caller = peer.caller
        assert caller is not None
        member = state.members.get(caller.user)
        state.kind.admit(state.state, self._context(caller, state, member))

    async def look(self, caller: Caller, log: LogId) -> Attached:
        """What a viewer who came now would be given, without coming. Raises like `admitted`."""
        state, context = await self.admitted(caller, log)
        live = self.of(state)
        return self._snapshot(live, state, context, Subscribe(0, log), live.spec.rate)

    @staticmethod
    def _snapshot(
        live: LiveLog, state: LogState, context: Context, frame: Subscribe, rate: int
    ) -> Attached:
        items, missed = live.catch_up(frame.epoch, frame.after)
        return Attached(
            ref=frame.ref,
            log=live.log,
            epoch=live.epoch,
            off=live.off,
            items=items,
            values=live.values.all(),
            head=state.head,
            rate=rate,
            tick_ms=live.spec.tick_ms,
            seq=live.values.seq,
            state=Reader.state_view(state.kind, _encode(state.state), context.role),
            missed=missed,
        )

    def _greet(self, live: LiveLog, state: LogState, context: Context) -> None:
        say = state.kind.arrives(state.state, context, len(live.viewers))
        if say is None:
            return
        item = LiveItem(
            0, say.type, context.user, context.now_ms, msgspec.Raw(_encode(say.body)), say.lane
        )
        with contextlib.suppress(Overloaded):  # then nobody has to know who comes
            live.say(item, say.audience)
            self.logs.touched(live)

    def reads_as(self, peer: Peer, log: LogId, user: UserId) -> UserId:
        """By whose eyes a connection reads a log: those who watch it see what its owner sees."""
        live, state = self.logs.get(log), self._cache.get(log)
        if live is None or state is None or peer not in live.viewers or user in state.members:
            return user
        owners = (u for u, member in state.members.items() if member.role is Role.OWNER)
        return next(owners, user)

    def of(self, state: LogState) -> LiveLog:
        """The live log of this state, made where it is the first to be asked for."""
        known = self.logs.get(state.log)
        spec = state.kind.live_of(state.state) or state.kind.live or LiveSpec()
        live = self.logs.hold(state.log, spec)
        if known is None:
            for key, total in state.kind.totals(state.state).items():
                live.values.start(key, total)
            self._show(live, state.kind, state.state)
            self.crowds.begins(live, state)
        return live

    def spoke_ms(self, log: LogId, user: UserId) -> int:
        """When this user's last item here was taken; 0 = not known."""
        return self._spoken.ms(log, user)

    @staticmethod
    def _rate(asked: int, usual: int) -> int:
        """What a viewer is shown: never more than the log says, and one of RATES."""
        if not asked or 0 < usual <= asked:
            return usual
        return RATES[bisect_right(RATES, asked) - 1]

    def _context(self, caller: Caller, state: LogState, member: Member | None) -> Context:
        return Context(
            tenant=caller.tenant,
            log=state.log,
            user=caller.user,
            device=caller.device,
            op=OpId(""),
            now_ms=self._clock.now_ms(),
            role=member.role if member is not None else Role.NONE,
            member=member,
            head=state.head,
            count=state.count,
            token="",
            admin=caller.admin,
            backend=caller.backend,
            settings=self._settings[state.kind.code],
            guest=bool(caller.guest),
        )

    async def takes_guests(self, log: LogId) -> None:
        """Raises why somebody without an account may not watch this log; NoSuchLog."""
        await self.admitted(
            Caller(tenant_of(log), UserId("guest"), DeviceId("guest"), guest=log), log
        )

    # --- totals ---------------------------------------------------------------------------------

    async def settle(self, store: Store) -> None:
        """Put the totals of all live logs into their states: what is lost with the process is
        what came since. One that somebody else changes meanwhile is settled the next time. The
        numbers that are told now and then are told."""
        self._spoken.prune()
        self.crowds.count()
        self._settlings += 1
        unkept = VISITORS if self._settlings % VISITORS_EVERY else ""
        for log, live in list(self.logs.items()):
            totals = {k: n for k, n in live.values.totals.items() if k != unkept}
            state = self._cache.get(log)
            if not totals or state is None or state.kind.settle is None or not state.version:
                continue
            settled = state.kind.settle(state.state, totals)
            if settled is state.state:
                continue
            self._settled += 1
            commit = Commit(
                log=log,
                sender=UserId(SETTLER),
                op=OpId(f"settle-{live.epoch}-{self._settled}"),
                hash=b"settle".ljust(16, b"\0"),
                at=self._clock.now_ms(),
                expect=state.version,
                state=_encode(settled),
            )
            try:
                done = await store.commit(commit)
            except Conflict:
                continue
            self._bus.publish(appended(commit, done))

    # --- what rules say -------------------------------------------------------------------------

    def repeated(self, job: Job) -> Ack | None:
        """The first answer to this op, where it was one without a commit. Raises Clash."""
        first = self._spoken.before(job)
        return None if first is None else _ack(job, *first, repeat=True)

    def said(self, job: Job, state: LogState, decision: Decision, now_ms: int) -> Ack:
        """Do the live part of a decision. The ack is for a call that commits nothing.

        Raises:
            Full: too many values, and nothing was done. Overloaded: too much is said here at once.
            BadArgs: a body is too large. What came before in the same decision is done.
        """
        live = self.of(state)
        live.values.put_all(decision.values)
        caller, off = job.caller, 0
        for say in decision.live:
            body = _encode(say.body)
            if len(body) > MAX_BODY_BYTES:
                raise BadArgs(f"the body has {len(body)} bytes, at most {MAX_BODY_BYTES}")
            item = LiveItem(
                off=0,
                type=say.type,
                sender=caller.user,
                at=now_ms,
                body=msgspec.Raw(body),
                lane=say.lane,
                op=job.call.op,
                device=caller.device,
            )
            erases = say.erases if say.epoch in (0, live.epoch) else 0
            at = live.say(item, say.audience, erases)
            off = at or off
            if at and say.lane is Lane.NORMAL:
                self.crowds.happened(live.log, SAID, 1)
            self._archive(live, say, item, at)
        for count in decision.counts:
            live.values.add(count.key, count.n)
            self.crowds.happened(live.log, count.key, count.n)
        for user in decision.dismiss:
            self.crowds.dismiss(live.log, live.peers_of(user))
        self._spoken.note(live, job, off, now_ms, decision)
        self.logs.touched(live)
        return _ack(job, off, now_ms)

    def _archive(self, live: LiveLog, say: Say, item: LiveItem, off: int) -> None:
        if self.archiver is None:
            return
        if say.erases:
            self.archiver.erase(live.log, say.epoch or live.epoch, say.erases)
        elif say.keep and off:
            body, sender = item.body, item.sender
            kept = Kept(live.epoch, off, item.at, item.type, sender, body, say.media_ms)
            self.archiver.keep(live.log, kept)

    # --- what was committed ---------------------------------------------------------------------

    def appended(self, state: LogState, entries: Sequence[Entry], changed: bool) -> None:
        """A commit: viewers get its entries, and the values that the new state says."""
        live = self.logs.get(state.log)
        if live is None:
            return
        if entries:
            live.append(entries)
        if changed:
            live.respec(state.kind.live_of(state.state) or state.kind.live or live.spec)
            self._show(live, state.kind, state.state)
            self.crowds.changed(live, state)
        self.logs.touched(live)

    @staticmethod
    def _show(live: LiveLog, kind: Kind, state: Any) -> None:
        for key, value in kind.values(state).items():
            live.values.put(key, value)


def _ack(job: Job, off: int, at: int, *, repeat: bool = False) -> Ack:
    return Ack(
        ref=job.call.ref,
        stage="accepted",
        log=job.log,
        seq=Seq(off),
        first=Seq(off),
        at=at,
        cls="live",
        repeat=repeat,
    )
