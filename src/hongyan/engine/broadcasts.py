"""One call into many direct conversations: the same message to a list of users."""

from __future__ import annotations

import asyncio

import msgspec

from hongyan.engine.callers import Caller
from hongyan.engine.parts import Parts
from hongyan.model.errors import BadArgs, NoSuchLog, NotAMember, Refusal, Transient
from hongyan.model.ids import (
    OP,
    USER,
    DeviceId,
    LogId,
    OpId,
    Seq,
    TenantId,
    UserId,
    UserKey,
    check,
    hashed_name,
    log_id,
    pair_name,
)
from hongyan.wire.frames import Ack, Call

MOST_USERS = 1000
AT_ONCE = 64
TRIES = 4
LONGEST_S = 2.0  # wait before a try
DIRECT = "d"


class Outcome(msgspec.Struct, omit_defaults=True):
    """What became of one user's copy: `seq` where it is stored, else why not. Where `retry` is
    set, the same broadcast with the same key may be sent again."""

    user: str
    log: LogId = LogId("")
    seq: Seq = Seq(0)
    repeat: bool = False
    code: int = 0  # 0 = stored
    text: str = ""
    retry: bool = False


class Broadcasts:
    """Each copy is counted by the address that asks and by its conversation, not by the sender:
    a broadcast does not use up what the sender may say elsewhere."""

    def __init__(self, parts: Parts) -> None:
        """Shares the gateway's parts."""
        self._p = parts

    async def send(
        self,
        tenant: TenantId,
        sender: UserId,
        users: list[str],
        call: Call,
        *,
        ip: str = "",
    ) -> list[Outcome]:
        """Do `call` in the direct conversation of `sender` with each of `users`, which is opened
        where there is none; the outcomes in the order of `users`, each user once.

        With the same op again, who has a copy gets no second one.

        Raises:
            BadArgs: no user, or more than MOST_USERS. BadId: the op.
        """
        check(OP, call.op, "Idempotency-Key")
        names = list(dict.fromkeys(users))
        if not 1 <= len(names) <= MOST_USERS:
            raise BadArgs(f"users: 1 to {MOST_USERS}")
        room = asyncio.Semaphore(AT_ONCE)

        async def one(user: str) -> Outcome:
            async with room:
                try:
                    ack = await self._copy(tenant, sender, user, call, ip)
                except Refusal as why:
                    return Outcome(user, code=why.code, text=why.text, retry=why.retry)
                return Outcome(user, ack.log, ack.seq, ack.repeat)

        return list(await asyncio.gather(*map(one, names)))

    async def _copy(self, tenant: TenantId, sender: UserId, user: str, call: Call, ip: str) -> Ack:
        check(USER, user, "user")
        caller = Caller(tenant, sender, DeviceId("http"), ip=ip)
        log = log_id(tenant, DIRECT, pair_name(sender, user))
        caller.key, caller.connection = UserKey(f"{caller.key}>{user}"), log
        copy = Call(ref=1, name=call.name, op=call.op, log=log, args=call.args)
        try:
            return await self._try(caller, copy)
        except (NoSuchLog, NotAMember):
            op = OpId(hashed_name("open", call.op))
            args = msgspec.Raw(msgspec.json.encode({"user": user}))
            await self._try(caller, Call(ref=1, name="chat.open", op=op, args=args))
        return await self._try(caller, copy)

    async def _try(self, caller: Caller, call: Call) -> Ack:
        for left in range(TRIES - 1, -1, -1):
            try:
                return await self._p.pipeline.call(caller, call)
            except Transient as why:
                wait = max(0.05, why.retry_after_ms / 1000)
                if not left or wait > LONGEST_S:
                    raise
            await asyncio.sleep(wait)
        raise AssertionError  # the last try returns or raises
