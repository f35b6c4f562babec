"""Webhooks of all tenants: who may make them, what they are now, and the couriers at work."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Mapping, Sequence

import msgspec
import structlog
from msgspec.structs import replace

from hongyan.engine.backends.courier import Courier, Terms, error_of, post, taken
from hongyan.engine.backends.events import body_of, check_filters, iso
from hongyan.engine.backends.feed import SharedFeed
from hongyan.engine.backends.signing import check_secret, new_secret, rotated
from hongyan.engine.backends.target import check_url
from hongyan.engine.identity import Identity
from hongyan.engine.once import named
from hongyan.model.errors import Forbidden, Full, NoSuchEntry
from hongyan.model.ids import TenantId
from hongyan.model.outlets import Dead, Progress, Webhook
from hongyan.ports import Clock, Outlets, Poster, Store

logger = structlog.get_logger(__name__)

STOP_S = 1.0  # for deliveries under way when a webhook changes; others are sent again
LOAD_PAUSE_S = 2.0  # when the store cannot be read at start
ROTATE_S = 24 * 3600  # how long a replaced secret signs on
MOST_ROTATE_S = 30 * 24 * 3600
MOST_ABOUT = 256


class WebhookView(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook as its administrator sees it: no secrets. Times are ms, 0 = never."""

    id: str
    url: str
    kinds: tuple[str, ...]
    types: tuple[str, ...]
    about: str
    enabled: bool
    reason: str  # why it is disabled
    created_at: int
    secrets: int  # how many sign now
    delivered: int
    failed: int
    given_up: int
    dead: int
    held: int  # logs that wait for another try
    lag: int  # positions of the feed that are not read yet
    failing_since: int
    last_ok_at: int
    last_failed_at: int
    last_status: int
    last_error: str


class TestResult(msgspec.Struct, frozen=True, kw_only=True):
    """What the target said to a test event; `status` 0 = nothing, `error` says why."""

    __test__ = False  # for pytest: no test

    ok: bool
    status: int
    ms: int
    error: str = ""
    answer: str = ""


class Webhooks:
    """Every public method but `start` and `wake` may raise StoreDown (retry).

    Raises, where a webhook is named: NoSuchEntry: there is none of that id in the tenant.
    """

    def __init__(
        self,
        known: Mapping[str, str],
        *,
        store: Store,
        outlets: Outlets,
        poster: Poster,
        clock: Clock,
        terms: Terms,
        allow_private: bool = False,
        most: int = 16,
    ) -> None:
        """`known` are the names of kinds by code; `most` webhooks a tenant may have."""
        self._known = known
        self._store, self._outlets, self._poster = store, outlets, poster
        self._clock, self._terms = clock, terms
        self._allow_private, self._most = allow_private, most
        self._feed = SharedFeed(store)
        self._couriers: dict[str, Courier] = {}
        self._changing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped = False

    # --- life -------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to deliver; needs a running loop."""
        self._spawn(self._load())

    def wake(self) -> None:
        """Something was committed. Never waits."""
        self._feed.wake()
        for courier in self._couriers.values():
            courier.wake()

    async def stop(self, grace_s: float = 1.0) -> None:
        """Stop delivering; it goes on from the same place at the next start. Idempotent."""
        self._stopped = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        couriers, self._couriers = list(self._couriers.values()), {}
        await asyncio.gather(*(courier.stop(grace_s) for courier in couriers))

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _load(self) -> None:
        while True:
            try:
                async with self._changing:
                    for webhook in await self._outlets.webhooks():
                        await self._run(webhook)
                return
            except Exception:
                logger.exception("webhooks could not be read, tried again")
                await asyncio.sleep(LOAD_PAUSE_S)

    async def _run(self, webhook: Webhook) -> None:
        """Have a courier for this webhook as it is now. Under the lock."""
        old = self._couriers.pop(webhook.id, None)
        if old is not None:
            await old.stop(STOP_S)
        if not webhook.enabled or self._stopped:
            return
        courier = Courier(
            webhook,
            self._known,
            feed=self._feed,
            store=self._store,
            outlets=self._outlets,
            poster=self._poster,
            clock=self._clock,
            terms=self._terms,
            disable=self._failed,
        )
        await courier.start()
        self._couriers[webhook.id] = courier

    def _failed(self, webhook: Webhook, reason: str) -> None:
        self._spawn(self._disable(webhook, reason))

    async def _disable(self, webhook: Webhook, reason: str) -> None:
        logger.warning("webhook disabled", webhook=webhook.id, tenant=webhook.tenant, why=reason)
        async with self._changing:
            known = await self._outlets.webhooks(webhook.tenant)
            now = next((w for w in known if w.id == webhook.id), None)
            if now is not None and now == webhook:  # else somebody changed it meanwhile
                changed = replace(now, enabled=False, reason=reason)
                await self._outlets.put_webhook(changed)
                await self._run(changed)

    # --- administration ---------------------------------------------------------------------

    async def list(self, who: Identity) -> list[WebhookView]:
        """All of the tenant. Raises Forbidden."""
        _check(who)
        return [await self._view(w) for w in await self._outlets.webhooks(who.tenant)]

    async def get(self, who: Identity, webhook: str) -> WebhookView:
        """One. Raises Forbidden."""
        return await self._view(await self._find(who, webhook))

    async def create(
        self,
        who: Identity,
        url: str,
        *,
        kinds: tuple[str, ...] = (),
        types: tuple[str, ...] = (),
        about: str = "",
        secret: str = "",
        beginning: bool = False,
        op: str = "",
    ) -> tuple[WebhookView, str]:
        """A webhook for what is committed from now on, or from the `beginning`; and its secret,
        which is not shown again. Raises Forbidden, BadArgs; Full: there are enough; Clash: `op`
        made one before."""
        _check(who)
        check_url(url, allow_private=self._allow_private)
        check_filters(kinds, types, self._known)
        signing = check_secret(secret) if secret else new_secret()
        async with self._changing:
            known = await self._outlets.webhooks(who.tenant)
            wanted = named("wh", who.tenant, op, (webhook.id for webhook in known))
            if len(known) >= self._most:
                raise Full(f"a tenant has at most {self._most} webhooks")
            webhook = Webhook(
                tenant=who.tenant,
                id=wanted,
                url=url,
                secrets=(signing,),
                kinds=kinds,
                types=types,
                about=about[:MOST_ABOUT],
                created_at=self._clock.now_ms(),
            )
            pos = 0 if beginning else await self._store.feed_end()
            await self._outlets.put_webhook(webhook, pos=pos)
            await self._run(webhook)
        return await self._view(webhook), signing.text

    async def change(
        self,
        who: Identity,
        webhook: str,
        *,
        url: str | None = None,
        kinds: tuple[str, ...] | None = None,
        types: tuple[str, ...] | None = None,
        about: str | None = None,
        enabled: bool | None = None,
    ) -> WebhookView:
        """Change what is not None. A webhook that is enabled again goes on where it had ended.
        Raises Forbidden, BadArgs."""
        if url is not None:
            check_url(url, allow_private=self._allow_private)
        check_filters(kinds or (), types or (), self._known)
        async with self._changing:
            now = await self._find(who, webhook)
            given = {"url": url, "kinds": kinds, "types": types, "about": about}
            changed = replace(now, **{k: v for k, v in given.items() if v is not None})
            if enabled is not None:
                reason = "" if enabled else (now.reason or "disabled by an administrator")
                changed = replace(changed, enabled=enabled, reason=reason)
            if changed.enabled and not now.enabled:
                await self._forgive(changed)
            await self._outlets.put_webhook(changed)
            await self._run(changed)
        return await self._view(changed)

    async def _forgive(self, webhook: Webhook) -> None:
        """Enabled again: what failed before does not count against it, and is tried at once."""
        _, progress = await self._outlets.progress(webhook.id)
        progress.failing_since = 0
        held = await self._outlets.holds(webhook.id)
        for hold in held:
            hold.tries = hold.since = hold.next_at = 0
        await self._outlets.settle(webhook.id, progress, held=held)

    async def drop(self, who: Identity, webhook: str) -> bool:
        """End it; its dead letters go too. False where there was none. Raises Forbidden."""
        _check(who)
        async with self._changing:
            dropped = await self._outlets.drop_webhook(who.tenant, webhook)
            courier = self._couriers.pop(webhook, None) if dropped else None
            if courier is not None:
                await courier.stop(0.1)
        return dropped

    async def rotate(
        self, who: Identity, webhook: str, *, secret: str = "", keep_s: int = ROTATE_S
    ) -> str:
        """A new secret, which is returned once; the one before signs beside it for `keep_s`.
        Raises Forbidden, BadArgs."""
        fresh = check_secret(secret) if secret else new_secret()
        keep_ms = min(max(keep_s, 0), MOST_ROTATE_S) * 1000
        async with self._changing:
            now = await self._find(who, webhook)
            known = rotated(now.secrets, fresh, now_ms=self._clock.now_ms(), keep_ms=keep_ms)
            changed = replace(now, secrets=known)
            await self._outlets.put_webhook(changed)
            await self._run(changed)
        return fresh.text

    async def test(self, who: Identity, webhook: str) -> TestResult:
        """Post an event of type `webhook.test` now, once, also to a disabled webhook; it counts
        for nothing. Raises Forbidden."""
        found = await self._find(who, webhook)
        message_id = f"msg_{secrets.token_hex(13)}"
        body = body_of(
            {
                "id": message_id,
                "type": "webhook.test",
                "timestamp": iso(self._clock.now_ms()),
                "tenant": found.tenant,
            }
        )
        began = self._clock.monotonic()
        reply = await post(self._poster, found, message_id, body, self._clock, self._terms)
        return TestResult(
            ok=taken(reply),
            status=reply.status,
            ms=int((self._clock.monotonic() - began) * 1000),
            error="" if taken(reply) else error_of(reply),
        )

    # --- dead letters -----------------------------------------------------------------------

    async def dead(self, who: Identity, webhook: str, *, after: int, limit: int) -> Sequence[Dead]:
        """Dead letters by rising pos, after `after`. Raises Forbidden."""
        await self._find(who, webhook)
        return await self._outlets.dead(webhook, after=after, limit=limit)

    async def replay(self, who: Identity, webhook: str, positions: Sequence[int] | None) -> int:
        """Send these dead letters again, or all: soon, once each, in the order of the feed; how
        many there were. What fails stays a dead letter. Raises Forbidden."""
        await self._find(who, webhook)
        marked = await self._outlets.ask_again(webhook, positions)
        if (courier := self._couriers.get(webhook)) is not None:
            courier.replay()
        return marked

    # --- numbers ----------------------------------------------------------------------------

    def stats(self) -> Mapping[str, Mapping[str, float]]:
        """Numbers of the enabled webhooks, by their ids."""
        return {
            name: {
                "delivered": courier.progress.delivered,
                "failed": courier.progress.failed,
                "given_up": courier.progress.given_up,
                "dead": courier.given_up,
                "held": courier.held,
                "lag_seconds": courier.lag_seconds,
            }
            for name, courier in self._couriers.items()
        }

    async def caught_up(self, webhook: str) -> None:
        """Wait until a webhook has read the feed to its end; held logs may still wait."""
        if (courier := self._couriers.get(webhook)) is not None:
            await courier.caught_up()

    # --- inside -----------------------------------------------------------------------------

    async def _find(self, who: Identity, webhook: str) -> Webhook:
        _check(who)
        for found in await self._outlets.webhooks(who.tenant):
            if found.id == webhook:
                return found
        raise NoSuchEntry("there is no such webhook")

    async def _view(self, webhook: Webhook) -> WebhookView:
        pos, progress = await self._outlets.progress(webhook.id)
        held = len(await self._outlets.holds(webhook.id))
        if (courier := self._couriers.get(webhook.id)) is not None:
            pos, progress, held = max(pos, await courier.position()), courier.progress, courier.held
        now = self._clock.now_ms()
        end = await self._store.feed_end()
        return view_of(
            webhook,
            progress,
            signing=sum(not s.until or s.until > now for s in webhook.secrets),
            dead=await self._outlets.count_dead(webhook.id),
            held=held,
            lag=max(end - pos, 0),
        )


def view_of(
    webhook: Webhook, progress: Progress, *, signing: int, dead: int, held: int, lag: int
) -> WebhookView:
    """What is shown; a new field of `Progress` must be shown too."""
    return WebhookView(
        id=webhook.id,
        url=webhook.url,
        kinds=webhook.kinds,
        types=webhook.types,
        about=webhook.about,
        enabled=webhook.enabled,
        reason=webhook.reason,
        created_at=webhook.created_at,
        secrets=signing,
        dead=dead,
        held=held,
        lag=lag,
        **msgspec.structs.asdict(progress),
    )


def _check(who: Identity) -> TenantId:
    """Raises Forbidden for all but administrators."""
    if not who.admin:
        raise Forbidden("this needs an administrator")
    return who.tenant


__all__ = ["TestResult", "WebhookView", "Webhooks"]
