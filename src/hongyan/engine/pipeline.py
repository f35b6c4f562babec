"""The path of a call: decode → authorise → limit → decide → append → ack → publish.

Most calls take the fast way: everything the rule needs is in the cache, so the call goes from
bytes to the store's queue inside one callback, without a task. A call that must load something
takes the slow way, in a task, and so does one that a hook must be asked about; calls of one caller
keep their order over both.
"""

# size: the path of a call, to be read in one go

from __future__ import annotations

import asyncio
from bisect import insort
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any

import msgspec
import structlog

from hongyan.engine.admission.quotas import TenantCalls
from hongyan.engine.backends.hooks import Hooks, NoHooks
from hongyan.engine.callers import Caller, Done, Flight, Job, RandomTokens
from hongyan.engine.commits import appended, commit_of, complete, hash_of
from hongyan.engine.limits import CallLimits
from hongyan.engine.live.viewing import Viewing
from hongyan.engine.logs import LogCache, LogState
from hongyan.engine.needs import Judge, Loader
from hongyan.model.errors import (
    BadArgs,
    Conflict,
    Forbidden,
    GoingAway,
    HookDown,
    NoSuchLog,
    NotAMember,
    Refusal,
    RoleTooLow,
    UnknownCall,
)
from hongyan.model.ids import LOG, OP, LogId, Seq, check
from hongyan.model.kind import NOTHING, Context, Decision, Kind, Rule, settings_of
from hongyan.model.log import Commit, Committed, Member, Role
from hongyan.ports import Bus, Clock, Directory, Store
from hongyan.telemetry import Metrics
from hongyan.wire.frames import Ack, Call

logger = structlog.get_logger(__name__)

MAX_TRIES = 16  # decisions of one call before the caller is told Conflict
HINT_TURNS = 4  # turns of the loop that a hint of this node needs at most
NEVER = 1 << 62  # a version no log has: such a commit can only find that its op was done before


class Pipeline:
    """Takes calls of every kind; knows none of them."""

    def __init__(
        self,
        *,
        store: Store,
        directory: Directory,
        bus: Bus,
        clock: Clock,
        cache: LogCache,
        kinds: Mapping[str, Kind],
        limits: CallLimits,
        settings: Mapping[str, Mapping[str, Any]],
        metrics: Metrics,
        hooks: Hooks | NoHooks | None = None,
        viewing: Viewing | None = None,
        judge: Judge | None = None,
        tenants: TenantCalls | None = None,
    ) -> None:
        """`kinds` by code; `settings` by kind name, over the kind's defaults."""
        self._tenants = tenants if tenants is not None and tenants.limited else None
        self._hooks = hooks or NoHooks()
        self._store, self._bus = store, bus
        self._needs = Loader(store, directory, cache, judge)
        self._viewing = viewing
        self._clock, self._cache, self._limits = clock, cache, limits
        self._metrics = metrics
        self._tokens = RandomTokens()
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = 0  # calls taken and not answered
        self._idle = asyncio.Event()
        self._idle.set()
        self._settings = settings_of(kinds, settings)
        self._calls: dict[tuple[str, str], tuple[Kind, Rule, Callable[[Any], Any]]] = {}
        self._placed: dict[str, tuple[Kind, Rule, Callable[[Any], Any]]] = {}
        for code, kind in kinds.items():
            for command, rule in kind.rules.items():
                name = str(command.__struct_config__.tag)  # type: ignore[attr-defined]
                decode: Callable[[Any], Any] = msgspec.json.Decoder(command).decode
                plan = (kind, rule, decode)
                self._calls[code, name] = plan
                if rule.place is not None:
                    self._placed[name] = plan

    # --- in ---------------------------------------------------------------------------------

    def submit(self, caller: Caller, call: Call, done: Done) -> None:
        """Take a call whose ids were checked where it was decoded; `done` is called once, with
        the ack or with why not. Never waits."""
        job = Job(caller, call, done, self._clock.monotonic())
        self._open += 1
        self._idle.clear()
        try:
            self._prepare(job)
            asks = self._hooks.busy and self._hooks.wants(job)
            if asks or caller.waiting or not self._fast(job):
                self._wait(job)
        except Refusal as refusal:
            self._refused(job, refusal)
        except Exception:
            self._broken(job)

    async def call(self, caller: Caller, call: Call) -> Ack:
        """The same for a call whose ids were not checked, awaited. Raises the refusal."""
        check(OP, call.op, "op")
        if call.log:
            check(LOG, call.log, "log")
        future: asyncio.Future[Ack | Refusal] = asyncio.get_running_loop().create_future()

        def done(answer: Ack | Refusal) -> None:
            if not future.done():
                future.set_result(answer)

        self.submit(caller, call, done)
        answer = await future
        if isinstance(answer, Refusal):
            raise answer
        return answer

    async def idle(self, seconds: float) -> bool:
        """Wait until every call taken is answered, at most `seconds`; False = some are not."""
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def _prepare(self, job: Job) -> None:
        """Find the rule, decode the command, place the log, check tenant and limits."""
        call, caller, log = job.call, job.caller, job.call.log
        if caller.guest is not None:
            raise Forbidden("guests watch; to speak, log in")
        if log:
            if not log.startswith(caller.prefix):
                raise NoSuchLog(f"no log {log}")
            start = len(caller.prefix)
            plan = self._calls.get((log[start : log.index("/", start)], call.name))
        else:
            plan = self._placed.get(call.name)
        if plan is None:
            raise UnknownCall(f"no call {call.name[:40]!r} here")
        job.kind, job.rule, decode = plan
        args = bytes(call.args) or b"{}"
        try:
            job.command = decode(args)
        except msgspec.DecodeError as exc:
            raise BadArgs(f"{call.name}: {exc}") from None
        except RecursionError:
            raise BadArgs(f"{call.name}: nested too deep") from None
        if job.rule.place is not None:
            placed = job.rule.place(job.command, self._context(job, None, None))
            if call.log and placed != call.log:
                raise BadArgs(f"{call.name}: these arguments belong to log {placed}")
            job.log = placed
        job.hash = blake2b(b"%b\0%b" % (call.name.encode(), args), digest_size=16).digest()
        tenants = self._tenants
        if tenants is not None:
            tenants.check(caller.tenant, job.started)
        crowd = f"{job.log}!" if job.rule.apart else job.log
        self._limits.take(caller.connection, caller.key, crowd, caller.address, job.started)
        if tenants is not None:  # after: one who is too fast alone costs the tenant nothing
            tenants.count(caller.tenant, job.started)

    def _context(
        self, job: Job, state: LogState | None, member: Member | None, **loaded: Any
    ) -> Context:
        caller = job.caller
        return Context(
            tenant=caller.tenant,
            log=job.log,
            user=caller.user,
            device=caller.device,
            op=job.call.op,
            now_ms=self._clock.now_ms(),
            role=member.role if member is not None else Role.NONE,
            member=member,
            head=state.head if state is not None else Seq(0),
            count=state.count if state is not None else 0,
            token=self._tokens.next() if job.rule.draws else "",
            admin=caller.admin,
            backend=caller.backend,
            settings=self._settings[job.kind.code],
            spoke_ms=self._spoke(job),
            **loaded,
        )

    def _spoke(self, job: Job) -> int:
        if job.kind.live is None or self._viewing is None:
            return 0
        return self._viewing.spoke_ms(job.log, job.caller.user)

    # --- the fast way -----------------------------------------------------------------------

    def _fast(self, job: Job) -> bool:
        """Decide from the cache alone; False when something must be loaded first."""
        state = self._cache.get(job.log)
        if state is None:
            return False
        flight = job.caller.flights.get(job.log)
        if flight is not None and flight.version != state.version:
            return False  # would overtake calls that have to decide again
        member = state.members.get(job.caller.user)
        old = (flight is not None and flight.joins) or self._cache.behind(state)
        stranger = job.rule.role is Role.NONE and job.kind.live is None
        if member is None and (old or state.large or stranger):
            return False
        context = self._context(job, state, member)
        if job.rule.needs is not None:
            needs = job.rule.needs(job.command, context)
            if needs is not NOTHING:
                loaded = self._needs.at_hand(state, needs)
                if loaded is None or (old and needs.members):
                    return False
                complete(context, loaded)
        self._decide(job, state, context)
        return True

    # --- the slow way -----------------------------------------------------------------------

    def _wait(self, job: Job) -> None:
        caller = job.caller
        insort(caller.waiting, job, key=lambda other: other.number)
        if caller.runner is None:
            caller.runner = self._spawn(self._run(caller))

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _run(self, caller: Caller) -> None:
        """Do a caller's waiting calls in their order until none is left."""
        try:
            while caller.waiting:
                job = caller.current = caller.waiting[0]
                try:
                    await self._slow(job)
                except Refusal as refusal:
                    self._refused(job, refusal)
                except Exception:
                    self._broken(job)
                if job in caller.waiting:  # else the caller left meanwhile
                    caller.waiting.remove(job)
        finally:
            caller.runner = caller.current = None

    def abandon(self, caller: Caller) -> None:
        """The caller is gone: forget what waits. It was not acknowledged, so the client has it
        in its outbox; what was begun goes on to its end."""
        waiting, caller.waiting = caller.waiting, []
        for job in waiting:
            if job is not caller.current:
                self._finish(job, GoingAway("the connection is gone"))

    async def _slow(self, job: Job) -> None:
        """Load what is missing, then decide, all on one version of the log."""
        caller = job.caller
        if job.stale >= 0:
            await self._refresh(job.log, lambda now: now.version != job.stale)
        while True:
            state = await self._cache.load(job.log)
            flight = caller.flights.get(job.log)
            if flight is not None and (flight.joins or flight.version != state.version):
                if flight.landed is None:
                    flight.landed = asyncio.get_running_loop().create_future()
                await flight.landed
                continue
            if self._cache.behind(state):
                await self._refresh(job.log, lambda now: not self._cache.behind(now))
                continue
            version = state.version
            member = await self._cache.member(state, caller.user)
            context = self._context(job, state, member)
            if not job.asked and self._hooks.busy and self._hooks.wants(job):
                self._authorise(job, state, context)  # strangers are refused unasked
                await self._hooks.ask(job, lambda args: self._rewrite(job, args))
                job.asked = True
                continue  # the log went on meanwhile
            if job.rule.needs is not None:
                needs = job.rule.needs(job.command, context)
                if needs is not NOTHING:
                    loaded = await self._needs.load(job.caller, state, needs, member)
                    complete(context, loaded)
            if state.version == version:  # else a role or the state changed while loading
                self._decide(job, state, context)
                return

    def _rewrite(self, job: Job, args: msgspec.Raw) -> None:
        """Other args, of a hook. The hash stays that of the call: a retry is the same call,
        whatever a hook makes of it then. Raises DecodeError, BadArgs: these cannot be."""
        _, _, decode = self._calls[job.kind.code, job.call.name]
        command = decode(args)
        place = job.rule.place
        if place is not None and place(command, self._context(job, None, None)) != job.log:
            raise BadArgs("these arguments belong to another log")
        job.command = command

    async def _refresh(self, log: LogId, fresh: Callable[[LogState], bool]) -> None:
        """The cache is old. The hint that mends it is usually on its way, and following it keeps
        the fan-out exact; where it does not come, the store is read."""
        for _ in range(HINT_TURNS):
            state = self._cache.get(log)
            if state is None or fresh(state):
                return
            await asyncio.sleep(0)
        self._cache.drop(log)

    # --- decide and append ------------------------------------------------------------------

    def _authorise(self, job: Job, state: LogState, context: Context) -> None:
        rule = job.rule
        if not state.version and not rule.creates:
            raise NoSuchLog(f"no log {job.log}")
        if context.role < rule.role and state.version:
            if context.role is Role.NONE:
                raise NotAMember()
            raise RoleTooLow(f"{job.call.name} needs role {rule.role.name.lower()}")

    def _decide(self, job: Job, state: LogState, context: Context) -> None:
        self._authorise(job, state, context)
        if job.kind.live is not None and self._viewing is not None:
            first = self._viewing.repeated(job)
            if first is not None:
                self._finish(job, first)
                return
        decision = job.rule.decide(state.state, job.command, context)
        if decision.passes:
            assert self._viewing is not None, f"kind {job.kind.name} is not live here"
            self._finish(job, self._viewing.said(job, state, decision, context.now_ms))
            return
        commit = commit_of(job, state, context, decision)
        job.tries += 1
        flight = job.caller.flights.get(job.log)
        if flight is None:
            flight = job.caller.flights[job.log] = Flight(state.version)
        flight.version = state.version
        flight.count += 1
        flight.joins |= any(change.join for change in commit.members)
        future = self._store.commit(commit)
        if decision.tells:
            job.tells = decision
        future.add_done_callback(lambda settled: self._settled(job, commit, flight, settled))

    def _settled(
        self, job: Job, commit: Commit, flight: Flight, future: asyncio.Future[Committed]
    ) -> None:
        flight.count -= 1
        if not flight.count:
            if job.caller.flights.get(job.log) is flight:
                del job.caller.flights[job.log]
            if flight.landed is not None:
                flight.landed.set_result(None)
        if future.cancelled():
            self._refused(job, Conflict("the server is closing; retry with the same op"))
            return
        error = future.exception()
        if error is None:
            self._committed(job, commit, future.result())
        elif isinstance(error, Conflict) and job.tries < MAX_TRIES:
            job.stale = commit.expect
            self._wait(job)
        elif isinstance(error, Refusal):
            self._finish(job, error)
        else:
            logger.error("commit failed", call=job.call.name, exc_info=error)
            self._finish(job, Refusal("internal error"))

    def _committed(self, job: Job, commit: Commit, done: Committed) -> None:
        if not done.repeat:
            if commit.members:
                self._cache.expect(commit.log, done.roster)
            self._bus.publish(appended(commit, done))
            if job.tells is not None:
                self._tell(job, job.tells, done.at)
        ack = Ack(
            ref=job.call.ref,
            log=job.log,
            seq=done.last if done.last >= done.first else Seq(0),
            first=done.first if done.last >= done.first else Seq(0),
            at=done.at,
            cls=job.kind.class_of(commit.writes[0].type).name if commit.writes else "durable",
            repeat=done.repeat,
        )
        self._finish(job, ack)

    def _tell(self, job: Job, decision: Decision, at: int) -> None:
        """The live part of a decision that is on disk. It may be lost, as what is live may be."""
        state = self._cache.get(job.log)
        if state is None or self._viewing is None:
            return
        try:
            self._viewing.said(job, state, decision, at)
        except Refusal as why:
            logger.warning("not told to viewers", log=job.log, error=why.text)

    # --- out --------------------------------------------------------------------------------

    def _finish(self, job: Job, answer: Ack | Refusal) -> None:
        self._open -= 1
        if not self._open:
            self._idle.set()
        code = answer.code if isinstance(answer, Refusal) else 0
        known = job.hash or isinstance(answer, BadArgs)  # a name of a client is no label
        self._metrics.called(job.call.name if known else "unknown", code)
        if not code:
            self._metrics.ack_seconds.add(self._clock.monotonic() - job.started)
        job.done(answer)

    def _broken(self, job: Job) -> None:
        logger.exception("call failed", call=job.call.name, log=job.log)
        self._finish(job, Refusal("internal error"))

    def _refused(self, job: Job, refusal: Refusal) -> None:
        """Refuse, unless this op was done before: then a retry must get its first answer.

        Without this, who left a group and lost the ack would hear "not a member" on the retry
        and believe that the call had failed.
        """
        later = refusal.retry and not isinstance(refusal, HookDown)
        later |= bool(job.hash) and job.rule.passing
        if not job.hash or isinstance(refusal, BadArgs | UnknownCall) or later:
            self._finish(job, refusal)
        else:
            self._spawn(self._probe(job, refusal))

    async def _probe(self, job: Job, refusal: Refusal) -> None:
        commit = Commit(
            log=job.log,
            sender=job.caller.user,
            op=job.call.op,
            hash=hash_of(job),
            at=self._clock.now_ms(),
            expect=NEVER,
            once=job.rule.once,
        )
        try:
            try:
                done = await self._store.commit(commit)
            except Conflict:
                return await self._look_again(job, refusal)
        except Refusal as other:
            self._finish(job, other)
        except Exception:
            self._broken(job)
        else:
            self._committed(job, commit, done)

    async def _look_again(self, job: Job, refusal: Refusal) -> None:
        """A lost hint of a join meets no fence: a member refused as a stranger is judged again."""
        if isinstance(refusal, NotAMember) and not job.doubted:
            job.doubted = True
            row = await self._store.member(job.log, job.caller.user)
            if row is not None and row.role:
                self._cache.drop(job.log)
                return self._wait(job)
        self._finish(job, refusal)
