"""What one tenant may take of a node, so that another one's crowd is not everybody's trouble."""

from __future__ import annotations

from collections import Counter
from math import ceil

from hongyan.config import Config, Rate
from hongyan.engine.limits import KeyedBuckets, TokenBucket
from hongyan.model.errors import Overloaded, TooFast

BURST_S = 2.0  # of a tenant's calls at once, after a pause
RETRY_MS = 5000  # for a place: nobody knows when one is free


class TenantCalls:
    """Calls a second of all users of a tenant."""

    def __init__(self, config: Config) -> None:
        """As `quota.calls` and `tenants.NAME.calls` say."""
        own = {name: config.quota_of(name).calls for name in config.tenants}
        self._own = {
            name: TokenBucket(_rate(calls)) if calls else None for name, calls in own.items()
        }
        usual = config.quota.calls
        self._others = KeyedBuckets(_rate(usual)) if usual else None
        self.limited = bool(usual) or any(self._own.values())
        self.refused: Counter[str] = Counter()  # by tenant with a quota of its own, else ""

    def check(self, tenant: str, now: float) -> None:
        """Whether a call would be taken; nothing is counted. Raises TooFast."""
        wait = self._wait(tenant, now)
        if wait > 0:
            self.refused[tenant if tenant in self._own else ""] += 1
            raise TooFast("too many calls of this tenant", retry_after_ms=max(1, ceil(wait * 1000)))

    def count(self, tenant: str, now: float) -> None:
        """A call was taken."""
        if tenant in self._own:
            bucket = self._own[tenant]
            if bucket is not None:
                bucket.full_at = max(bucket.full_at, now) + bucket.interval
        elif self._others is not None:
            self._others.put(tenant, now)

    def _wait(self, tenant: str, now: float) -> float:
        if tenant in self._own:
            bucket = self._own[tenant]
            return 0.0 if bucket is None else max(bucket.full_at, now) - now - bucket.slack
        return 0.0 if self._others is None else self._others.wait(tenant, now)


def _rate(calls: float) -> Rate:
    return Rate(rate=calls, burst=max(1.0, calls * BURST_S))


class ViewerPlaces:
    """Places of viewers in the live logs of a tenant."""

    def __init__(self, config: Config) -> None:
        """As `quota.viewers` and `tenants.NAME.viewers` say."""
        self._config = config
        self._taken: Counter[str] = Counter()

    def take(self, tenant: str) -> None:
        """One more viewer; call `give` once for it.

        Raises:
            Overloaded: it is one too many and was not counted.
        """
        most = self._config.quota_of(tenant).viewers
        if most and self._taken[tenant] >= most:
            raise Overloaded("too many viewers of this tenant", retry_after_ms=RETRY_MS)
        self._taken[tenant] += 1

    def give(self, tenant: str) -> None:
        """A counted viewer left."""
        self._taken[tenant] -= 1
        if not self._taken[tenant]:
            del self._taken[tenant]

    def of(self, tenant: str) -> int:
        """Viewers now."""
        return self._taken.get(tenant, 0)
