"""Take a person's data away: once begun the account is shut, and what remains is done in pieces
that may be repeated, so a server that dies in between loses nothing but time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from hashlib import blake2b

import msgspec
import structlog

from hongyan.engine.callers import Caller
from hongyan.engine.commits import appended
from hongyan.engine.identity import Identity
from hongyan.engine.parts import Parts
from hongyan.engine.persons import authored, logs_of
from hongyan.model.errors import (
    BadState,
    GoingAway,
    NotAMember,
    Overloaded,
    Refusal,
    Transient,
)
from hongyan.model.ids import (
    DeviceId,
    LogId,
    OpId,
    UserId,
    UserKey,
    hashed_name,
    kind_of,
    self_log,
    user_key,
)
from hongyan.model.log import MAX_WRITES, Commit, MemberChange, Write
from hongyan.ports import User
from hongyan.wire.frames import Call

logger = structlog.get_logger(__name__)

GROUP = "g"  # the kind that is left
NAMED = "nickname"  # an entry that is not counted, but says how the person is called
RECALL = "recall"  # type and slot of an entry that erases its target
DEVICE = DeviceId("erasure")
MOST = 4  # persons at once
WAIT_S = 10.0  # that a request waits for the end
RETRIES = 20
RETRY_S = 0.25


class Erased(msgspec.Struct):
    """How far it is. `done` is False while it goes on; counts are of this run."""

    user: UserId
    done: bool = False
    logs: int = 0
    entries: int = 0  # whose body was taken away


class Erasures:
    """Runs erasures in the background, at most MOST at once, each at most once."""

    def __init__(self, parts: Parts) -> None:
        """Shares the gateway's parts."""
        self._p = parts
        self._running: dict[UserKey, tuple[Erased, asyncio.Task[None]]] = {}

    async def erase(self, by: Identity, user: str, *, wait_s: float = WAIT_S) -> Erased:
        """Shut the account, then take its data away; answers at the end, or after `wait_s` with
        `done` False: ask again. Asking again, also after a restart, goes on.

        Raises:
            Forbidden, NoSuchUser, BadId; Overloaded: others are being erased.
            Transient: a piece could not be done; ask again.
        """
        account, evicted = await self._p.authenticator.accounts.begin_erasure(by, user)
        for hint in evicted:
            self._p.bus.publish(hint)
        key = user_key(account.tenant, account.user)
        if key not in self._running:
            if len(self._running) >= MOST:
                raise Overloaded("others are being erased: try again", retry_after_ms=5000)
            state = Erased(account.user)
            task = asyncio.get_running_loop().create_task(self._run(account, state))
            task.add_done_callback(lambda _: self._running.pop(key, None))
            self._running[key] = (state, task)
        state, task = self._running[key]
        done, _ = await asyncio.wait({task}, timeout=wait_s)
        if done:
            if task.cancelled():
                raise GoingAway("the server is closing; ask again")
            task.result()
        return msgspec.structs.replace(state)

    async def stop(self) -> None:
        """Let go of what runs; it goes on when somebody asks again."""
        tasks = [task for _, task in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, account: User, state: Erased) -> None:
        try:
            await self._all(account, state)
        except Refusal as why:
            logger.warning("erasure not finished", user=account.user, error=why.text)
            raise
        logger.info("erased", user=account.user, logs=state.logs, entries=state.entries)

    async def _all(self, account: User, state: Erased) -> None:
        tenant, user, p = account.tenant, account.user, self._p
        heads: dict[LogId, int] = {}
        for log in await logs_of(p, tenant, user):
            heads[log] = await self._head(log)
            await self._blank(log, user, state)
            if log == self_log(tenant, user):
                await self._commit(log, user, "state", state=b"{}")
            else:
                await self._part(account, log)
            state.logs += 1
        for log in await logs_of(p, tenant, user):  # what was on its way when the account shut
            await self._blank(log, user, state, after=heads.get(log, 0))
        if p.viewing is not None and p.viewing.archiver is not None:
            await p.viewing.archiver.forget_sender(tenant, user)
        for key in await p.directory.keys(tenant):
            if key.user == user:
                await p.directory.drop_key(tenant, key.id)
        await p.directory.forget_devices(tenant, user)
        state.done = True

    async def _head(self, log: LogId) -> int:
        info = await self._p.store.info(log)
        return info.head if info else 0

    async def _blank(self, log: LogId, user: UserId, state: Erased, *, after: int = 0) -> None:
        """Recall all that the user said after a seq, whatever the age of it."""
        own = kind_of(log) == "u"
        async for page in authored(self._p, log, user, after=after):
            targets = [
                entry.seq
                for entry in page
                if (own or entry.count or entry.type == NAMED)
                and not entry.target
                and bytes(entry.body) != b"{}"
            ]
            for at in range(0, len(targets), MAX_WRITES):
                some = targets[at : at + MAX_WRITES]
                body = msgspec.json.encode({"author": user})
                writes = tuple(
                    Write(RECALL, body, target=seq, slot=RECALL, erases=True) for seq in some
                )
                await self._commit(log, user, f"{some[0]}-{some[-1]}", writes=writes)
                state.entries += len(some)

    async def _part(self, account: User, log: LogId) -> None:
        """Drop the user's own settings of a log, and leave it where one can."""
        tenant, user = account.tenant, account.user
        for row in await self._p.store.rows(tenant, user, [log]):
            kept = msgspec.json.decode(bytes(row.settings) or b"{}", type=dict[str, msgspec.Raw])
            if kept:
                nothing = msgspec.Raw(msgspec.json.encode(dict.fromkeys(kept)))
                change = MemberChange(user=user, settings=nothing)
                await self._commit(log, user, f"settings-{row.useq}", members=(change,))
            if row.role and kind_of(log) == GROUP:
                await self._leave(account, log)

    async def _leave(self, account: User, log: LogId) -> None:
        try:
            await self._call(account, log, "chat.leave", {})
        except NotAMember:
            return  # removed meanwhile
        except BadState:  # the owner: the group goes to the highest of the others
            others = await self._p.store.members(log, limit=1000)
            heirs = [m for m in others if m.user != account.user]
            heir = max(heirs, key=lambda member: (member.role, -member.joined_at))
            await self._call(account, log, "chat.transfer", {"user": heir.user})
            await self._call(account, log, "chat.leave", {})

    async def _call(self, account: User, log: LogId, name: str, args: dict[str, str]) -> None:
        caller = Caller(account.tenant, account.user, DEVICE)
        raw = msgspec.Raw(msgspec.json.encode(args))
        op = hashed_name("erase", name, str(await self._head(log)), *args.values())
        await _patiently(
            lambda: self._p.pipeline.call(
                caller, Call(ref=1, name=name, op=OpId(op), log=log, args=raw)
            )
        )

    async def _commit(
        self,
        log: LogId,
        user: UserId,
        what: str,
        *,
        writes: tuple[Write, ...] = (),
        members: tuple[MemberChange, ...] = (),
        state: bytes | None = None,
    ) -> None:
        """Straight into the store: no rule lets an old message be recalled."""
        name = hashed_name("erase", log, what, *(str(write.target) for write in writes))
        commit = Commit(
            log=log,
            sender=user,
            op=OpId(f"erase.{name}"),
            hash=blake2b(name.encode(), digest_size=16).digest(),
            at=self._p.clock.now_ms(),
            device=DEVICE,
            writes=writes,
            members=members,
            state=state,
        )

        async def once() -> None:
            done = await self._p.store.commit(commit)
            if not done.repeat:
                if commit.members:
                    self._p.cache.expect(log, done.roster)
                self._p.bus.publish(appended(commit, done))

        await _patiently(once)


async def _patiently(work: Callable[[], Awaitable[object]]) -> None:
    """Do it, again while the refusal says that it may pass."""
    for left in range(RETRIES, -1, -1):
        try:
            await work()
            return
        except Transient as why:
            if not left or isinstance(why, GoingAway):
                raise
            await asyncio.sleep(max(RETRY_S, why.retry_after_ms / 1000))
