"""An engine wired to its adapters: which part is made of what, whatever the adapters are.

`build_engine` is given memory adapters by tests and those of a data directory by `app`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence

import structlog

from hongyan.adapters.memory.archive import MemoryArchive
from hongyan.adapters.memory.audit import MemoryAudit
from hongyan.adapters.memory.outlets import MemoryOutlets
from hongyan.adapters.webhook import WebhookPoster
from hongyan.config import Config, check_kinds
from hongyan.engine.admission.directory import KeptDirectory
from hongyan.engine.admission.load import Level, Load
from hongyan.engine.admission.quotas import TenantCalls, ViewerPlaces
from hongyan.engine.audit import Trail
from hongyan.engine.auth import Authenticator
from hongyan.engine.backends.service import BackEnds
from hongyan.engine.consumers import Consumer, SearchSink
from hongyan.engine.files.service import FileAdapters, FileService
from hongyan.engine.gateway import Gateway, Parts
from hongyan.engine.hub import Hub
from hongyan.engine.inspect import Inspector
from hongyan.engine.limits import CallLimits
from hongyan.engine.live.archive import Archiver
from hongyan.engine.live.logs import LiveLogs
from hongyan.engine.live.viewing import Viewing
from hongyan.engine.logs import LogCache
from hongyan.engine.needs import Judge
from hongyan.engine.notify import Notifier
from hongyan.engine.operations import Operations
from hongyan.engine.overview import Overview
from hongyan.engine.pipeline import Pipeline
from hongyan.engine.presence import Presence
from hongyan.engine.queries import Queries
from hongyan.engine.sessions import Sessions, session_key
from hongyan.engine.sync import Reader
from hongyan.engine.tokens import Tokens, TrustedIssuer
from hongyan.model.kind import Kind, settings_of
from hongyan.model.live import Lane
from hongyan.ports import Archive, Audit, Bus, Clock, Directory, Outlets, Poster, Search, Store
from hongyan.slices.chat.kinds import KINDS as CHAT_KINDS
from hongyan.slices.own.kinds import KINDS as OWN_KINDS
from hongyan.slices.quotes.kinds import KINDS as QUOTES_KINDS
from hongyan.slices.room.kinds import KINDS as ROOM_KINDS
from hongyan.telemetry import Metrics, measure_loop_lag, memory_limit, usage

logger = structlog.get_logger(__name__)

KINDS: Mapping[str, Kind] = {
    kind.code: kind for kind in (*CHAT_KINDS, *OWN_KINDS, *ROOM_KINDS, *QUOTES_KINDS)
}
STOP_S = 5.0  # for goodbyes and answers at the end


class Node:
    """An engine with its parts; no socket yet."""

    def __init__(
        self,
        gateway: Gateway,
        authenticator: Authenticator,
        hub: Hub,
        consumers: Sequence[Consumer],
        metrics: Metrics,
        cache: LogCache,
        sessions: Sessions,
        operations: Operations,
        back_ends: BackEnds,
        viewing: Viewing,
        load: Load,
        files: FileService | None = None,
    ) -> None:
        """Made by `build_engine`."""
        self.load = load
        self.sessions, self.operations, self.back_ends = sessions, operations, back_ends
        self.gateway, self.authenticator, self.hub = gateway, authenticator, hub
        self.consumers, self.metrics, self.cache = consumers, metrics, cache
        self.viewing, self.files = viewing, files
        self._lag: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to work; needs a running loop."""
        self.gateway.start()
        for consumer in self.consumers:
            consumer.start()
        watch = measure_loop_lag(self.metrics, told=self._late)
        self._lag = asyncio.get_running_loop().create_task(watch)
        self.operations.start()
        self.back_ends.start()
        if self.viewing.archiver is not None:
            self.viewing.archiver.start()
        if self.files is not None:
            self.files.start()

    def _late(self, seconds: float) -> None:
        now = asyncio.get_running_loop().time()
        self.load.sample(seconds, usage().memory_bytes, now)

    async def drain(self, seconds: float) -> None:
        """Take nothing new, answer what waits. Idempotent."""
        self.back_ends.drain()
        await self.gateway.drain(seconds)

    async def stop(self, seconds: float = STOP_S) -> None:
        """Say goodbye, settle, stop. The adapters are closed by who made them."""
        await self.gateway.drain(seconds)
        if self.viewing.archiver is not None:
            await self.viewing.archiver.stop(seconds)
        await self.operations.stop()
        await self.back_ends.stop()
        if self.files is not None:
            await self.files.stop(seconds)
        for consumer in self.consumers:
            await consumer.stop(seconds)
        if self._lag is not None:
            self._lag.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._lag
        self.hub.close()
        self.authenticator.close()


# size: a list of which part is made of what; there is nothing in it to follow
def build_engine(
    config: Config,
    *,
    store: Store,
    directory: Directory,
    search: Search,
    bus: Bus,
    clock: Clock,
    secret: bytes,
    issuers: Sequence[TrustedIssuer] = (),
    kinds: Mapping[str, Kind] = KINDS,
    audit: Audit | None = None,
    outlets: Outlets | None = None,
    poster: Poster | None = None,
    files: FileAdapters | None = None,
    judge: Judge | None = None,
    archive: Archive | None = None,
) -> Node:
    """Wire an engine. `secret` signs this server's tokens; `kinds` are the scenarios by code;
    without `audit` the list of administrative acts lives in memory, as without `outlets` webhooks,
    hooks and pulls do. `poster` sends to the outside. Without `files` there are no uploads;
    `judge` finds unwanted words; without `archive` what is said in live logs is kept in memory.

    Raises:
        ConfigError: a setting of a kind that there is not.
    """
    check_kinds(config, {kind.name: kind.defaults for kind in kinds.values()})
    metrics = Metrics()
    load = Load(config.load, memory_limit())
    directory = KeptDirectory(directory, bus, clock)
    cache = LogCache(store, kinds, most=config.logs.cache)
    limits = CallLimits(config.limits.rates)
    hub = Hub(cache=cache, bus=bus, metrics=metrics, clock=clock)
    viewing = Viewing(
        LiveLogs(clock, hub.wake), cache, clock, bus, settings_of(kinds, config.kinds)
    )
    viewing.show(metrics)
    viewing.archiver = Archiver(archive or MemoryArchive(), clock, config.logs.archive_days)
    viewing.archiver.show(metrics)
    hub.viewing = viewing
    viewing.logs.places = ViewerPlaces(config)
    load.on_change(lambda level: _shed(viewing, level))
    reader = Reader(store, kinds, most=config.limits.page)
    presence = Presence(
        "node-1",
        heartbeat_s=config.limits.heartbeat_ms / 1000,
        ttl_s=config.presence.ttl_ms / 1000,
        grace_s=config.presence.grace_ms / 1000,
        watch_most=config.presence.watch,
    )
    authenticator = Authenticator(
        config,
        directory,
        clock,
        Tokens(secret, issuers, leeway_s=config.tokens.leeway_s),
        metrics=metrics,
    )
    indexer = Consumer("search", store, SearchSink(search, kinds), clock)
    back_ends = BackEnds(
        config,
        kinds,
        store=store,
        outlets=outlets or MemoryOutlets(),
        poster=poster or WebhookPoster(allow_private=config.webhooks.allow_private),
        asking=poster or WebhookPoster(allow_private=config.webhooks.allow_private),
        clock=clock,
    )

    service: FileService | None = None
    if files is not None and config.files.enabled:
        service = FileService(
            config,
            files,
            store=store,
            directory=directory,
            reader=reader,
            kinds=kinds,
            clock=clock,
            asks=limits.asks,
            secret=secret,
        )
        service.show(metrics)

    def appended() -> None:
        indexer.wake()
        if service is not None:
            service.wake()
        back_ends.wake()

    hub.on_appended = appended
    gateway = Gateway(
        Parts(
            store=store,
            directory=directory,
            bus=bus,
            clock=clock,
            cache=cache,
            hub=hub,
            pipeline=Pipeline(
                store=store,
                directory=directory,
                bus=bus,
                clock=clock,
                cache=cache,
                kinds=kinds,
                limits=limits,
                settings=config.kinds,
                metrics=metrics,
                hooks=back_ends.hooks,
                tenants=TenantCalls(config),
                viewing=viewing,
                judge=judge,
            ),
            reader=reader,
            queries=Queries(
                store=store,
                directory=directory,
                search=search,
                presence=presence,
                reader=reader,
                kinds=kinds,
                clock=clock,
                settings=config.kinds,
                listed=config.accounts.listed,
                viewing=viewing,
            ),
            notifier=Notifier(
                hub=hub,
                cache=cache,
                store=store,
                reader=reader,
                bus=bus,
                clock=clock,
                presence=presence,
                limits=limits,
                silent=_silent(kinds, config),
            ),
            authenticator=authenticator,
            metrics=metrics,
            config=config,
            load=load,
            viewing=viewing,
        )
    )
    _show(metrics, hub, cache, indexer)
    back_ends.show(metrics)
    sessions = Sessions(authenticator, session_key(secret), clock, ttl_s=config.tokens.ttl_s)
    operations = Operations(
        config,
        trail=Trail(audit or MemoryAudit(), clock, keep_days=config.audit.keep_days),
        overview=Overview(node="node-1", metrics=metrics, hub=hub, store=store, clock=clock),
        inspector=Inspector(
            store=store, directory=directory, hub=hub, cache=cache, presence=presence, clock=clock
        ),
        files=files.records if files is not None and config.files.enabled else None,
    )
    return Node(
        gateway,
        authenticator,
        hub,
        [indexer],
        metrics,
        cache,
        sessions,
        operations,
        back_ends,
        viewing,
        load,
        service,
    )


def _silent(kinds: Mapping[str, Kind], config: Config) -> frozenset[str]:
    """Kinds whose receipts are off by a setting."""
    settings = settings_of(kinds, config.kinds)
    return frozenset(code for code, given in settings.items() if given.get("receipt_counts") == 0)


def _shed(viewing: Viewing, level: Level) -> None:
    """Let live logs take what they may at this level."""
    lowest = {Level.OVERLOADED: Lane.NORMAL, Level.CRITICAL: Lane.HIGH}.get(level, Lane.LOW)
    viewing.logs.counters.lowest = lowest


def _show(metrics: Metrics, hub: Hub, cache: LogCache, indexer: Consumer) -> None:
    """Put what the parts know into the metrics."""
    metrics.gauge("log_cache", "Logs in the cache.", lambda: len(cache))
    metrics.gauge(
        "send_queue_bytes",
        "Bytes that wait for slow connections.",
        lambda: sum(peer.session.pending for peer in hub.peers),
    )
    metrics.gauge("encodes", "Deliveries encoded: once per entry and codec.", lambda: hub.encodes)
    for name in ("lag_seconds", "failures", "handled"):
        metrics.gauge(
            f"search_{name}",
            f"Of the search consumer: {name}.",
            lambda name=name: indexer.stats()[name],  # type: ignore[misc]
        )
