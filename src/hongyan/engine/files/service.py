"""All of files in one: uploads, links, references, collection; `start` and `stop` once each."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec

from hongyan.config import Config
from hongyan.engine.consumers import Consumer, StoredSink
from hongyan.engine.files.collect import CONSUMER, Collector, References
from hongyan.engine.files.links import Links
from hongyan.engine.files.uploads import Files
from hongyan.engine.limits import KeyedBuckets
from hongyan.engine.sync import Reader
from hongyan.model.kind import Kind
from hongyan.ports import Blobs, Clock, Directory, FileRecords, Pictures, Store, Uploads
from hongyan.telemetry import Metrics


class FileAdapters(msgspec.Struct, frozen=True):
    """What files are kept with."""

    records: FileRecords
    uploads: Uploads
    blobs: Blobs
    pictures: Pictures


class FileService:
    """The parts, wired."""

    def __init__(
        self,
        config: Config,
        adapters: FileAdapters,
        *,
        store: Store,
        directory: Directory,
        reader: Reader,
        kinds: Mapping[str, Kind],
        clock: Clock,
        asks: KeyedBuckets,
        secret: bytes,
    ) -> None:
        """`secret` is the server's; `asks` limits how often a user may ask for links."""
        self.files = Files(
            config.files,
            records=adapters.records,
            uploads=adapters.uploads,
            blobs=adapters.blobs,
            pictures=adapters.pictures,
            clock=clock,
            day_bytes=lambda tenant: config.quota_of(tenant).day_bytes,
        )
        self.links = Links(
            self.files,
            secret=secret,
            store=store,
            directory=directory,
            reader=reader,
            kinds=kinds,
            clock=clock,
            asks=asks,
        )
        self.collector = Collector(self.files, clock)
        references = References(self.files, store)
        self.consumer = Consumer(
            CONSUMER, store, StoredSink(CONSUMER, store, references.handle), clock
        )
        self._start: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; needs a running loop. Uploads wait until what a crash left is looked at."""
        self.consumer.start()
        self._start = asyncio.create_task(self.files.start(), name="files")
        self.collector.start()

    def wake(self) -> None:
        """Something was committed."""
        self.consumer.wake()

    async def stop(self, seconds: float = 5.0) -> None:
        """End. The adapters are closed by who made them."""
        await self.collector.stop()
        if self._start is not None:
            self._start.cancel()
            await asyncio.gather(self._start, return_exceptions=True)
        await self.files.stop()
        await self.consumer.stop(seconds)

    def show(self, metrics: Metrics) -> None:
        """Put what is known into the metrics; totals are those of the last round."""
        collector, consumer = self.collector, self.consumer
        for name, text in (
            ("files", "Files kept."),
            ("bytes", "Bytes of them."),
            ("refs", "References from entries to files."),
            ("uploads", "Uploads on their way."),
            ("uploads_bytes", "Bytes of them that are here."),
            ("drops", "Files that have to be removed yet."),
        ):
            metrics.gauge(
                f"files_{name}" if name != "files" else "files",
                text,
                lambda name=name: float(getattr(collector.totals, name)),  # type: ignore[misc]
            )
        metrics.gauge("files_collected", "Files removed.", lambda: collector.collected)
        metrics.gauge("files_expired", "Uploads that expired.", lambda: collector.expired)
        metrics.gauge("files_refused", "Files refused.", lambda: self.files.keeper.refused)
        metrics.gauge(
            "files_lag_seconds",
            "Of the files consumer: lag_seconds.",
            lambda: consumer.stats()["lag_seconds"],
        )
