"""One before-send hook at work: asks, with a deadline and a circuit breaker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec
import structlog

from hongyan.engine.backends.breaker import Breaker
from hongyan.engine.backends.courier import error_of, taken
from hongyan.engine.backends.events import body_of, iso
from hongyan.engine.backends.signing import sign
from hongyan.engine.callers import Job
from hongyan.model.errors import HookDown, RefusedByHook
from hongyan.model.ids import hashed_name
from hongyan.model.outlets import Hook
from hongyan.ports import Clock, Poster, Reply
from hongyan.wire.codec import canonical

logger = structlog.get_logger(__name__)

MOST_ANSWER = 128 * 1024  # bytes
MOST_TEXT = 300  # characters of a refusal
PARALLEL = 64  # questions to one hook at once; the others wait within their deadline
LEAST_RETRY_MS = 500

Rewrite = Callable[[msgspec.Raw], None]


class HookQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """What a hook is asked. `id` is the same for each retry of the call."""

    id: str
    type: str = "call.before"
    timestamp: str
    tenant: str
    log: str
    kind: str
    name: str  # of the call
    user: str
    device: str
    op: str
    args: msgspec.Raw


class HookAnswer(msgspec.Struct, frozen=True):
    """What it says. `text` of a refusal is shown to the user; `args` replace those of the call."""

    action: Literal["allow", "refuse", "rewrite"] = "allow"
    text: str = ""
    args: msgspec.Raw = msgspec.Raw(b"")


_answer = msgspec.json.Decoder(HookAnswer).decode


class Asker:
    """Asks one hook, and counts."""

    def __init__(self, hook: Hook, known: Mapping[str, str], poster: Poster, clock: Clock) -> None:
        """`known` are the names of kinds by code."""
        self.hook = hook
        self.breaker = Breaker()
        self.allowed = self.refused = self.rewritten = self.failed = self.passed = 0
        self.last_error = ""
        self._known, self._poster, self._clock = known, poster, clock
        self._slots = asyncio.Semaphore(PARALLEL)

    async def ask(self, job: Job, args: msgspec.Raw, rewrite: Rewrite) -> msgspec.Raw:
        """The args of the call after this hook; `rewrite` was called where they are new.

        Raises:
            RefusedByHook: it says no.
            HookDown: it cannot say, and its policy is `closed`.
        """
        if not self.breaker.admit(self._clock.monotonic()):
            return self._down(args, "the circuit breaker is open")
        try:
            reply = await self._post(self._question(job, args))
        except BaseException:
            self.breaker.unknown()
            raise
        try:
            answer = _read(reply)
            if answer.action == "rewrite":
                args = canonical(bytes(answer.args))
                rewrite(args)
        except Exception as exc:  # whatever a hook says: it is the hook that is wrong
            self.breaker.bad(self._clock.monotonic())
            return self._down(args, str(exc))
        self.breaker.good()
        if answer.action == "refuse":
            self.refused += 1
            text = " ".join(answer.text.split())[:MOST_TEXT]
            raise RefusedByHook(text or "this was refused")
        self.rewritten += answer.action == "rewrite"
        self.allowed += answer.action == "allow"
        return args

    def _question(self, job: Job, args: msgspec.Raw) -> HookQuestion:
        caller, code = job.caller, job.kind.code
        return HookQuestion(
            id="msg_" + hashed_name("call", job.log, caller.user, job.call.op),
            timestamp=iso(self._clock.now_ms()),
            tenant=caller.tenant,
            log=job.log,
            kind=self._known.get(code, code),
            name=job.call.name,
            user=caller.user,
            device=caller.device,
            op=job.call.op,
            args=args,
        )

    async def _post(self, question: HookQuestion) -> Reply:
        deadline_s = self.hook.deadline_ms / 1000
        body = body_of(question)
        try:
            async with asyncio.timeout(deadline_s), self._slots:
                return await self._poster.post(
                    self.hook.url,
                    sign(self.hook.secrets, question.id, self._clock.now_ms(), body),
                    body,
                    timeout_s=deadline_s,
                    most=MOST_ANSWER,
                )
        except TimeoutError:
            return Reply(0, error=f"no answer within {self.hook.deadline_ms} ms")

    def _down(self, args: msgspec.Raw, why: str) -> msgspec.Raw:
        """What its policy says."""
        self.failed += 1
        if why != self.last_error:
            logger.warning("hook failed", hook=self.hook.id, why=why, then=self.hook.when_down)
            self.last_error = why
        if self.hook.when_down == "open":
            self.passed += 1
            return args
        wait_ms = self.breaker.wait_ms(self._clock.monotonic())
        raise HookDown(retry_after_ms=max(wait_ms, LEAST_RETRY_MS))


def _read(reply: Reply) -> HookAnswer:
    """Raises ValueError for what is no answer of a hook."""
    if not taken(reply):
        raise ValueError(error_of(reply))
    if len(reply.body) >= MOST_ANSWER:
        raise ValueError(f"the answer has {MOST_ANSWER} bytes or more")
    answer = _answer(reply.body) if reply.body.strip() else HookAnswer()
    if answer.action == "rewrite" and not bytes(answer.args).startswith(b"{"):
        raise ValueError("a rewrite needs args, an object")
    return answer


def stats_of(asker: Asker, now: float) -> dict[str, Any]:
    """What is shown of it."""
    return {
        "state": asker.breaker.state(now),
        "allowed": asker.allowed,
        "refused": asker.refused,
        "rewritten": asker.rewritten,
        "failed": asker.failed,
        "passed": asker.passed,
        "last_error": asker.last_error,
    }
