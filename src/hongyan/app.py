"""The composition root of the embedded default: SQLite in a data directory, one port, one process.

The only place that chooses adapters; `node` says what an engine is made of.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog
from starlette.applications import Starlette

from hongyan.adapters.images import WorkerPictures
from hongyan.adapters.jwks import issuers as trusted_issuers
from hongyan.adapters.localdisk import LocalDiskBlobs
from hongyan.adapters.memory.bus import MemoryBus
from hongyan.adapters.memory.clock import SystemClock
from hongyan.adapters.secret import load_or_create_secret
from hongyan.adapters.sqlite import SqliteDirectory, SqliteOutlets, SqliteStore
from hongyan.adapters.sqlite.archive import SqliteArchive
from hongyan.adapters.sqlite.audit import SqliteAudit
from hongyan.adapters.sqlite.filerecords import SqliteFileRecords
from hongyan.adapters.sqlite_search import SqliteSearch
from hongyan.adapters.uploads import LocalUploads
from hongyan.adapters.wordfilter import WordFilter
from hongyan.adapters.wordlist import BadList
from hongyan.config import Config, ConfigError
from hongyan.engine.files.service import FileAdapters
from hongyan.node import KINDS, Node, build_engine
from hongyan.telemetry import Metrics
from hongyan.transport.console import ConsoleRoutes
from hongyan.transport.files import FileRoutes
from hongyan.transport.front import Front, bind
from hongyan.transport.hooks import HookRoutes, PullRoutes
from hongyan.transport.http import Part, build_http
from hongyan.transport.pages import page_routes
from hongyan.transport.sessions import SessionRoutes
from hongyan.transport.tls import Tls
from hongyan.transport.webhooks import WebhookRoutes
from hongyan.transport.websocket import GatewayEndpoint, Terms
from hongyan.wire.codec import CODECS

logger = structlog.get_logger(__name__)

__all__ = ["KINDS", "Node", "Server", "build_engine"]


def _show_front(metrics: Metrics, front: Front) -> None:
    """Put what the listening side counts into the metrics."""
    for name in front.stats():
        metrics.gauge(
            f"front_{name}",
            f"Of the listening port: {name.replace('_', ' ')}.",
            lambda name=name: float(front.stats()[name]),  # type: ignore[misc]
        )


class Server:
    """The embedded default: everything of one data directory, served on one port."""

    def __init__(self, config: Config) -> None:
        """Opens nothing before `start`."""
        self._config = config
        self.first_code: str | None = None  # for the first administrator, to be shown once
        self._closing = contextlib.AsyncExitStack()
        self._front: Front | None = None
        self.node: Node
        self.http: Starlette  # what is served beside WebSockets

    @property
    def port(self) -> int:
        """The port listened on."""
        assert self._front is not None
        return self._front.port

    async def start(self) -> None:
        """Open the data directory, then listen; return when calls are taken.

        Raises:
            StoreFault: the directory is in use, of a newer version, or damaged.
            CannotListen, BadCertificate, ConfigError: one line for the operator each.
        """
        try:
            await self._start()
        except BaseException:
            await self._closing.aclose()
            raise

    async def _start(self) -> None:
        config, closing = self._config, self._closing
        if config.server.tls_cert:
            Tls(Path(config.server.tls_cert), Path(config.server.tls_key))  # readable at all?
        sockets = await bind(config.server)  # before any file is touched
        for sock in sockets:
            closing.callback(sock.close)
        bus = MemoryBus()
        closing.push_async_callback(bus.close)
        node, store = self._open_data(bus)

        async def metrics() -> bytes:
            return node.metrics.render(await store.stats())

        front = self._listen(node, bus, sockets, metrics)
        _show_front(node.metrics, front)
        node.start()
        closing.push_async_callback(node.stop)
        await front.start()
        self._front = front
        closing.push_async_callback(front.stop)
        self.first_code = await node.authenticator.accounts.first_admin_code()
        logger.info("serving", port=front.port, data=config.data.dir, fd_limit=front.fd_limit)

    def _listen(
        self,
        node: Node,
        bus: MemoryBus,
        sockets: list[socket.socket],
        metrics: Callable[[], Awaitable[bytes]],
    ) -> Front:
        """The listening side; it takes nothing yet."""
        config, gateway = self._config, node.gateway
        self.http = build_http(
            gateway,
            node.authenticator,
            config,
            publish=bus.publish,
            metrics=metrics,
            parts=self._parts(node, bus),
            trail=node.operations.trail,
        )
        return Front(
            config.server,
            config.limits,
            endpoint=GatewayEndpoint(
                gateway, CODECS, Terms(message_bytes=config.limits.message_bytes)
            ),
            http=self.http,
            drain=node.drain,
            sockets=sockets,
        )

    def _parts(self, node: Node, bus: MemoryBus) -> list[Part]:
        """The HTTP routes beside those that every engine has."""
        return [
            lambda requests: SessionRoutes(requests, node.sessions, bus.publish).routes(),
            lambda requests: ConsoleRoutes(requests, node.operations).routes(),
            lambda requests: WebhookRoutes(requests, node.back_ends.webhooks).routes(),
            lambda requests: HookRoutes(requests, node.back_ends.hooks).routes(),
            lambda requests: PullRoutes(requests, node.back_ends.pulls).routes(),
            lambda requests: (
                FileRoutes(requests, node.files.files, node.files.links).routes()
                if node.files is not None
                else []
            ),
            lambda _: page_routes(),
        ]

    def _open_data(self, bus: MemoryBus) -> tuple[Node, SqliteStore]:
        """Open the data directory and wire an engine to it. Blocks: the loop is idle yet."""
        config, closing = self._config, self._closing
        data = Path(config.data.dir)
        store = SqliteStore(data, large_above=config.logs.large_above)
        closing.push_async_callback(store.close)
        search = SqliteSearch(data / "search.db")
        closing.push_async_callback(search.close)
        files = self._open_files(data, store)
        words = self._open_words()
        self.node = build_engine(
            config,
            files=files,
            store=store,
            directory=SqliteDirectory(store),
            audit=SqliteAudit(store),
            outlets=SqliteOutlets(store),
            search=search,
            bus=bus,
            clock=SystemClock(),
            secret=load_or_create_secret(data / "secret"),
            issuers=trusted_issuers(config.tokens),
            judge=words.judge,
            archive=SqliteArchive(store),
        )
        self._show_words(words)
        return self.node, store

    def _open_files(self, data: Path, store: SqliteStore) -> FileAdapters:
        """What files are kept with: `blobs` and `uploads` of the data directory."""
        closing = self._closing
        blobs = LocalDiskBlobs(data / "blobs", SystemClock())
        closing.push_async_callback(blobs.close)
        uploads = LocalUploads(data / "uploads")
        closing.push_async_callback(uploads.close)
        pictures = WorkerPictures(pixels=self._config.files.picture_pixels)
        closing.push_async_callback(pictures.close)
        return FileAdapters(SqliteFileRecords(store), uploads, blobs, pictures)

    def _open_words(self) -> WordFilter:
        """The word filter. Raises ConfigError: a list that cannot be used."""
        config = self._config.words
        try:
            words = WordFilter([(given.tenant, given.file) for given in config.files])
        except BadList as why:
            raise ConfigError(f"words.files: {why}") from None
        words.start(config.look_s)
        self._closing.push_async_callback(words.stop)
        return words

    def _show_words(self, words: WordFilter) -> None:
        gauge = self.node.metrics.gauge
        gauge("words", "Unwanted words and spellings held.", lambda: len(words))
        gauge("words_reloads", "Lists of words read again.", lambda: words.reloads)
        gauge("words_failures", "Lists of words that could not be.", lambda: words.failures)

    async def stop(self) -> None:
        """Take no more connections, say goodbye, settle, close. Idempotent."""
        await self._closing.aclose()
