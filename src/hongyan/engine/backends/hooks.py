"""Before-send hooks: a tenant's own back end is asked before a call is decided."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec
import structlog
from msgspec.structs import replace

from hongyan.engine.backends.asking import Asker, Rewrite, stats_of
from hongyan.engine.backends.events import PRIVATE, check_filters
from hongyan.engine.backends.signing import check_secret, new_secret, rotated
from hongyan.engine.backends.target import check_url
from hongyan.engine.callers import Job
from hongyan.engine.identity import Identity
from hongyan.engine.once import named
from hongyan.model.errors import BadArgs, Forbidden, Full, HookDown, NoSuchEntry
from hongyan.model.ids import TenantId
from hongyan.model.outlets import Hook
from hongyan.ports import Clock, Outlets, Poster

logger = structlog.get_logger(__name__)

LOAD_PAUSE_S = 1.0  # when the store cannot be read at start
LOAD_WAIT_S = 5.0  # how long a call waits for the list of hooks after a start
ROTATE_S = 24 * 3600
MOST_ABOUT = 256
LEAST_DEADLINE_MS, MOST_DEADLINE_MS = 10, 5000

Key = tuple[str, str, str]  # tenant, code of the kind, name of the call


class HookView(msgspec.Struct, frozen=True, kw_only=True):
    """A hook as its administrator sees it: no secrets. Counts are those since the server's start;
    `passed`: calls let through unasked, since it was down and its policy is open."""

    id: str
    url: str
    calls: tuple[str, ...]
    kinds: tuple[str, ...]
    deadline_ms: int
    when_down: str
    about: str
    enabled: bool
    created_at: int
    state: str = "closed"  # of the circuit breaker: closed (asking), open, half-open
    allowed: int = 0
    refused: int = 0
    rewritten: int = 0
    failed: int = 0
    passed: int = 0
    last_error: str = ""


class Hooks:
    """`busy` is False while no tenant has a hook: then a call costs nothing here.

    Methods that administer may raise StoreDown (retry) and Forbidden, and where a hook is named
    NoSuchEntry.
    """

    def __init__(
        self,
        known: Mapping[str, str],
        calls: Mapping[str, frozenset[str]],
        *,
        outlets: Outlets,
        poster: Poster,
        clock: Clock,
        allow_private: bool = False,
        most: int = 16,
    ) -> None:
        """`known` are the names of kinds by code, `calls` the names of their calls by code."""
        self.busy = True  # until the list was read: nothing may slip through at start
        self._known, self._calls = known, calls
        self._outlets, self._poster, self._clock = outlets, poster, clock
        self._allow_private, self._most = allow_private, most
        self._askers: dict[str, Asker] = {}
        self._plan: dict[Key, tuple[Asker, ...]] = {}
        self._loaded = asyncio.Event()
        self._changing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    # --- life -------------------------------------------------------------------------------

    def start(self) -> None:
        """Read the list; calls wait for it. Needs a running loop."""
        self._task = asyncio.create_task(self._load(), name="hooks")

    async def stop(self) -> None:
        """Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _load(self) -> None:
        while not self._loaded.is_set():
            try:
                async with self._changing:
                    await self._renew()
            except Exception:
                logger.exception("hooks could not be read, tried again")
                await asyncio.sleep(LOAD_PAUSE_S)

    async def _renew(self) -> None:
        """Read the list again; a hook that did not change keeps its breaker. Under the lock."""
        plan: dict[Key, list[Asker]] = {}
        askers: dict[str, Asker] = {}
        for hook in await self._outlets.hooks():
            old = self._askers.get(hook.id)
            if old is None or old.hook != hook:
                old = Asker(hook, self._known, self._poster, self._clock)
            askers[hook.id] = old
            for key in self._keys(hook) if hook.enabled else ():
                plan.setdefault(key, []).append(old)
        self._askers = askers
        self._plan = {key: tuple(found) for key, found in plan.items()}
        self.busy = bool(plan)
        self._loaded.set()

    def _keys(self, hook: Hook) -> list[Key]:
        asked = set(hook.kinds)
        return [
            (hook.tenant, code, call)
            for code, name in self._known.items()
            if (name in asked if asked else name != PRIVATE)
            for call in hook.calls
        ]

    # --- calls ------------------------------------------------------------------------------

    def wants(self, job: Job) -> bool:
        """Whether somebody must be asked about this call. Ask it only while `busy`."""
        if not self._loaded.is_set():
            return True
        return (job.caller.tenant, job.kind.code, job.call.name) in self._plan

    async def ask(self, job: Job, rewrite: Rewrite) -> None:
        """Ask all hooks of this call in the order they were made, each about what the one before
        left. `rewrite` puts new args in place; it raises where they are none for this call.

        Raises: RefusedByHook, HookDown.
        """
        try:
            async with asyncio.timeout(LOAD_WAIT_S):
                await self._loaded.wait()
        except TimeoutError:
            raise HookDown("the list of hooks is not read yet", retry_after_ms=1000) from None
        args = job.call.args if bytes(job.call.args) else msgspec.Raw(b"{}")
        key = (job.caller.tenant, job.kind.code, job.call.name)
        for asker in self._plan.get(key, ()):
            args = await asker.ask(job, args, rewrite)

    # --- administration ---------------------------------------------------------------------

    async def list(self, who: Identity) -> list[HookView]:
        """All of the tenant."""
        return [self._view(hook) for hook in await self._outlets.hooks(_tenant(who))]

    async def get(self, who: Identity, hook: str) -> HookView:
        """One."""
        return self._view(await self._find(who, hook))

    async def create(
        self,
        who: Identity,
        url: str,
        calls: tuple[str, ...],
        *,
        kinds: tuple[str, ...] = (),
        deadline_ms: int = 500,
        when_down: str = "closed",
        about: str = "",
        secret: str = "",
        op: str = "",
    ) -> tuple[HookView, str]:
        """A hook, asked from the answer on; and its secret, which is not shown again.
        Raises BadArgs; Full: there are enough; Clash: `op` made one before."""
        tenant = _tenant(who)
        signing = check_secret(secret) if secret else new_secret()
        hook = Hook(
            tenant=tenant,
            id=named("hk", tenant, op, ()),
            url=url,
            secrets=(signing,),
            calls=calls,
            kinds=kinds,
            deadline_ms=deadline_ms,
            when_down=when_down,
            about=about[:MOST_ABOUT],
            created_at=self._clock.now_ms(),
        )
        self._check(hook)
        async with self._changing:
            known = await self._outlets.hooks(tenant)
            named("hk", tenant, op, (other.id for other in known))
            if len(known) >= self._most:
                raise Full(f"a tenant has at most {self._most} hooks")
            await self._save(hook)
        return self._view(hook), signing.text

    async def change(self, who: Identity, hook: str, changes: Mapping[str, object]) -> HookView:
        """Change these fields: url, calls, kinds, deadline_ms, when_down, about, enabled.
        Raises BadArgs."""
        async with self._changing:
            changed = replace(await self._find(who, hook), **changes)
            self._check(changed)
            await self._save(changed)
        return self._view(changed)

    async def drop(self, who: Identity, hook: str) -> bool:
        """End it; False where there was none."""
        tenant = _tenant(who)
        async with self._changing:
            dropped = await self._outlets.drop_hook(tenant, hook)
            await self._renew()
        return dropped

    async def rotate(
        self, who: Identity, hook: str, *, secret: str = "", keep_s: int = ROTATE_S
    ) -> str:
        """A new secret, which is returned once; the one before signs beside it for `keep_s`."""
        fresh = check_secret(secret) if secret else new_secret()
        async with self._changing:
            now = await self._find(who, hook)
            known = rotated(now.secrets, fresh, now_ms=self._clock.now_ms(), keep_ms=keep_s * 1000)
            await self._save(replace(now, secrets=known))
        return fresh.text

    def stats(self) -> Mapping[str, Mapping[str, float]]:
        """Numbers by hook; `open` 1 = it is left alone now."""
        now = self._clock.monotonic()
        return {
            name: {
                "allowed": asker.allowed,
                "refused": asker.refused,
                "rewritten": asker.rewritten,
                "failed": asker.failed,
                "passed": asker.passed,
                "open": float(asker.breaker.state(now) == "open"),
            }
            for name, asker in self._askers.items()
        }

    # --- inside -----------------------------------------------------------------------------

    def _check(self, hook: Hook) -> None:
        check_url(hook.url, allow_private=self._allow_private)
        check_filters(hook.kinds, (), self._known)
        if not LEAST_DEADLINE_MS <= hook.deadline_ms <= MOST_DEADLINE_MS:
            raise BadArgs(f"deadline_ms must be {LEAST_DEADLINE_MS} to {MOST_DEADLINE_MS}")
        if hook.when_down not in ("open", "closed"):
            raise BadArgs("when_down is open or closed")
        there_are = frozenset[str]().union(*self._calls.values())
        if not hook.calls or not there_are.issuperset(hook.calls):
            raise BadArgs(f"calls are some of {', '.join(sorted(there_are))}")

    async def _save(self, hook: Hook) -> None:
        await self._outlets.put_hook(hook)
        await self._renew()

    async def _find(self, who: Identity, hook: str) -> Hook:
        for found in await self._outlets.hooks(_tenant(who)):
            if found.id == hook:
                return found
        raise NoSuchEntry("there is no such hook")

    def _view(self, hook: Hook) -> HookView:
        asker = self._askers.get(hook.id)
        return HookView(
            id=hook.id,
            url=hook.url,
            calls=hook.calls,
            kinds=hook.kinds,
            deadline_ms=hook.deadline_ms,
            when_down=hook.when_down,
            about=hook.about,
            enabled=hook.enabled,
            created_at=hook.created_at,
            **(stats_of(asker, self._clock.monotonic()) if asker else {}),
        )


class NoHooks:
    """For a pipeline on which nobody hooks."""

    busy = False

    def wants(self, job: Job) -> bool:
        """Nobody is asked."""
        return False

    async def ask(self, job: Job, rewrite: Rewrite) -> None:
        """Nobody is asked."""


def _tenant(who: Identity) -> TenantId:
    """Raises Forbidden for all but administrators."""
    if not who.admin:
        raise Forbidden("this needs an administrator")
    return who.tenant


__all__ = ["HookView", "Hooks", "NoHooks"]
