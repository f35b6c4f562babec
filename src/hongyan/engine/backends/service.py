"""The tenants' own back ends: told by webhooks, asked by hooks, fetching by pulls."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hongyan.config import Config
from hongyan.config import Webhooks as WebhookSettings
from hongyan.engine.backends.courier import Terms
from hongyan.engine.backends.events import names_of
from hongyan.engine.backends.hooks import Hooks
from hongyan.engine.backends.pulls import Pulls
from hongyan.engine.backends.webhooks import Webhooks
from hongyan.model.kind import Kind
from hongyan.ports import Clock, Outlets, Poster, Store
from hongyan.telemetry import Metrics

Stats = Mapping[str, Mapping[str, float]]

WEBHOOK_NUMBERS = {
    "delivered": "Entries taken by the target.",
    "failed": "Attempts that were not taken.",
    "dead": "Dead letters there are.",
    "held": "Logs that wait for another attempt.",
    "lag_seconds": "No entry older than this is unread; held logs not counted.",
}
HOOK_NUMBERS = {
    "allowed": "Calls allowed as they are.",
    "refused": "Calls refused.",
    "rewritten": "Calls with other arguments.",
    "failed": "Questions without a good answer.",
    "passed": "Calls let through unasked.",
    "open": "1 = it failed again and again and is left alone now.",
}


class BackEnds:
    """Keeps the three together for the composition root."""

    def __init__(
        self,
        config: Config,
        kinds: Mapping[str, Kind],
        *,
        store: Store,
        outlets: Outlets,
        poster: Poster,
        asking: Poster,
        clock: Clock,
    ) -> None:
        """`kinds` by code. Webhooks go out by `poster`, hooks by `asking`: slow targets of the
        first must not take the connections of the second. Owns both: `stop` closes them."""
        settings, known = config.webhooks, names_of(kinds)
        self._posters = (poster, asking)
        self.hooks = Hooks(
            known,
            {code: calls_of(kind) for code, kind in kinds.items()},
            outlets=outlets,
            poster=asking,
            clock=clock,
            allow_private=settings.allow_private,
            most=settings.per_tenant,
        )
        self.pulls = Pulls(
            known, store=store, outlets=outlets, clock=clock, most=settings.per_tenant
        )
        self.webhooks = Webhooks(
            known,
            store=store,
            outlets=outlets,
            poster=poster,
            clock=clock,
            terms=_terms(settings),
            allow_private=settings.allow_private,
            most=settings.per_tenant,
        )

    def start(self) -> None:
        """Begin to work; needs a running loop."""
        self.hooks.start()
        self.webhooks.start()

    def wake(self) -> None:
        """Something was committed. Never waits."""
        self.webhooks.wake()
        self.pulls.wake()

    def drain(self) -> None:
        """Requests that wait for news are answered now, without."""
        self.pulls.stop()

    def show(self, metrics: Metrics) -> None:
        """Put their numbers into the metrics, by the ids of webhooks and hooks."""
        metrics.gauge(
            "pulls_waiting", "Requests of pulls that wait for news.", lambda: self.pulls.waiting
        )
        for what, numbers, stats in (
            ("webhook", WEBHOOK_NUMBERS, self.webhooks.stats),
            ("hook", HOOK_NUMBERS, self.hooks.stats),
        ):
            for name, text in numbers.items():

                def read(
                    name: str = name, stats: Callable[[], Stats] = stats
                ) -> Mapping[str, float]:
                    return {key: each[name] for key, each in stats().items()}

                metrics.labelled(f"{what}_{name}", text, what, read)

    async def stop(self) -> None:
        """Stop; nothing is lost. Idempotent."""
        self.drain()
        await self.webhooks.stop()
        await self.hooks.stop()
        for poster in self._posters:
            await poster.close()


def calls_of(kind: Kind) -> frozenset[str]:
    """The names of a kind's calls."""
    return frozenset(
        str(command.__struct_config__.tag)  # type: ignore[attr-defined]
        for command in kind.rules
    )


def _terms(settings: WebhookSettings) -> Terms:
    """How hard is tried, from the settings."""
    return Terms(
        timeout_s=settings.timeout_ms / 1000,
        tries=settings.tries,
        pause_s=settings.pause_ms / 1000,
        most_pause_s=settings.most_pause_s,
        max_age_s=settings.max_age_s,
        disable_after_s=settings.disable_after_s,
        parallel=settings.parallel,
        most_dead=settings.dead_letters,
    )
