"""What the gateway is made of."""

from __future__ import annotations

import msgspec

from hongyan.config import Config
from hongyan.engine.admission.load import Load
from hongyan.engine.auth import Authenticator
from hongyan.engine.hub import Hub
from hongyan.engine.live.viewing import Viewing
from hongyan.engine.logs import LogCache
from hongyan.engine.notify import Notifier
from hongyan.engine.pipeline import Pipeline
from hongyan.engine.queries import Queries
from hongyan.engine.sync import Reader
from hongyan.ports import Bus, Clock, Directory, Store
from hongyan.telemetry import Metrics


class Parts(msgspec.Struct, frozen=True, gc=False):
    """What the gateway is made of; the composition root fills it."""

    store: Store
    directory: Directory
    bus: Bus
    clock: Clock
    cache: LogCache
    hub: Hub
    pipeline: Pipeline
    reader: Reader
    queries: Queries
    notifier: Notifier
    authenticator: Authenticator
    metrics: Metrics
    config: Config
    load: Load
    viewing: Viewing | None = None
