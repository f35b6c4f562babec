"""How fast and how many: token buckets for calls, counts for connections. No clock inside.

A bucket is one number, the moment at which it is full again (the generic cell rate algorithm):
a call moves it on by 1/rate, and is refused when it lies too far ahead. A full bucket is the
same as none, so an idle key can be forgotten without forgiving anything.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Hashable
from functools import lru_cache
from itertools import islice
from math import ceil, inf

from hongyan.config import Rate, Rates
from hongyan.engine.budget import Budget
from hongyan.model.errors import Overloaded, TooFast

ROUNDING = 1e-6  # seconds of float noise that are forgiven, so that `retry_after_ms` is exact
MOST_KEYS = 32_768  # of one table; about 200 bytes each, so 7 MB a table at the worst
TRIM_EVERY = 64  # calls between looks at a table's size
TRIM_BATCH = 96  # keys looked at then: more than can have been added, so a table shrinks
CROWDED_RETRY_MS = 5000


class TokenBucket:
    """`burst` calls at once, then `rate` a second: in any t seconds at most burst + rate * t."""

    __slots__ = ("full_at", "interval", "slack")

    def __init__(self, rate: Rate) -> None:
        """A full bucket; a rate of 0 never refuses."""
        self.interval, self.slack = _shape(rate)
        self.full_at = -inf

    def take(self, now: float) -> float:
        """Take one at `now` (monotonic seconds); 0.0, or how long to wait with nothing taken."""
        start = self.full_at if self.full_at > now else now
        if (wait := start - now - self.slack) > 0:
            return wait
        self.full_at = start + self.interval
        return 0.0


def _shape(rate: Rate) -> tuple[float, float]:
    """(seconds between calls, how far ahead the full moment may lie)."""
    if not rate.rate:
        return 0.0, inf
    return 1 / rate.rate, (rate.burst - 1) / rate.rate + ROUNDING


class KeyedBuckets:
    """A token bucket for each key, at most `most` + 64 of them at any time.

    Idle buckets are forgotten first. If more than `most` keys are busy at once, those that are
    nearest to idle are forgotten: the limit softens for them, memory stays bounded.
    """

    __slots__ = ("_calls", "full_at", "interval", "most", "slack")

    def __init__(self, rate: Rate, most: int = MOST_KEYS) -> None:
        """Every key starts with a full bucket."""
        self.interval, self.slack = _shape(rate)
        self.most = most
        self.full_at: dict[Hashable, float] = {}
        self._calls = 0

    def take(self, key: Hashable, now: float) -> None:
        """Take one of `key`.

        Raises:
            TooFast: nothing was taken; a call after `retry_after_ms` is.
        """
        wait = self.wait(key, now)
        if wait > 0:
            raise TooFast("too many at once", retry_after_ms=_ms(wait))
        self.put(key, now)

    def wait(self, key: Hashable, now: float) -> float:
        """Seconds until a call of `key` is taken; <= 0: now."""
        return max(self.full_at.get(key, now), now) - now - self.slack

    def put(self, key: Hashable, now: float) -> None:
        """Count a call of `key` without asking."""
        self.full_at[key] = max(self.full_at.get(key, now), now) + self.interval
        self._calls += 1
        if self._calls % TRIM_EVERY == 0:
            self.trim(now)

    def budget(self, name: str, key: Hashable, now: float) -> Budget | None:
        """What is left for `key`; None where there is no limit."""
        return _budget(name, self.interval, self.slack, self.full_at.get(key, now) - now)

    def give_back(self, key: Hashable) -> None:
        """Undo one `put` of `key`; nothing where it was forgotten meanwhile."""
        if key in self.full_at:
            self.full_at[key] -= self.interval

    def trim(self, now: float) -> None:
        """Forget idle keys of a table that is more than half full; call once per 64 new keys."""
        table = self.full_at
        if len(table) <= self.most // 2:
            return
        busy = []
        for key, full_at in list(islice(table.items(), TRIM_BATCH)):
            del table[key]  # the busy ones go back, behind those not looked at yet
            if full_at > now:
                busy.append((full_at, key))
        if (spare := len(table) + len(busy) - self.most) > 0:
            busy.sort(key=lambda pair: pair[0], reverse=True)
            del busy[max(0, len(busy) - spare) :]
        table.update((key, full_at) for full_at, key in busy)


def _budget(name: str, interval: float, slack: float, full_in: float) -> Budget | None:
    if not interval:
        return None
    full_in = max(0.0, full_in)
    return Budget(
        name=name,
        quota=int(slack / interval) + 1,
        window_s=max(1, ceil(slack - ROUNDING + interval)),
        left=max(0, int((slack - full_in) / interval + 1)),
        full_s=ceil(full_in),
    )


def _ms(wait: float) -> int:
    """Whole ms after which the call is taken; at least 1."""
    return max(1, ceil(wait * 1000))


class CallLimits:
    """The four buckets that a call must fit: its connection's, user's, log's and address's."""

    def __init__(self, rates: Rates, most: int = MOST_KEYS) -> None:
        """At most `most` + 64 keys of each sort are kept, about 200 bytes each."""
        self._tables = tuple(
            KeyedBuckets(rate, most) for rate in (rates.connection, rates.user, rates.log, rates.ip)
        )
        # hot: every call passes here; plain locals and inlined buckets cost a fifth of eight
        # method calls (0.6 µs; docs/adr/0012).
        self._dicts = tuple(table.full_at for table in self._tables)
        self._intervals = tuple(table.interval for table in self._tables)
        self._slacks = tuple(table.slack for table in self._tables)
        self._calls = 0
        self.asks = KeyedBuckets(rates.asks, most)  # what is not a call, by user

    def take(self, conn: Hashable, user: Hashable, log: Hashable, ip: Hashable, now: float) -> None:
        """Take one from all four, or from none. `ip` is an `address_key`; "" as `log` is a key
        like any other, so leave creation calls to the caller's choice of key.

        Raises:
            TooFast: a call after `retry_after_ms` is taken if nobody else calls meanwhile.
        """
        conns, users, logs, ips = self._dicts
        a, b = conns.get(conn, now), users.get(user, now)
        c, d = logs.get(log, now), ips.get(ip, now)
        if a < now:
            a = now
        if b < now:
            b = now
        if c < now:
            c = now
        if d < now:
            d = now
        most_a, most_b, most_c, most_d = self._slacks
        if a - now > most_a or b - now > most_b or c - now > most_c or d - now > most_d:
            self._refuse((a - most_a, b - most_b, c - most_c, d - most_d), now)
        step_a, step_b, step_c, step_d = self._intervals
        conns[conn] = a + step_a
        users[user] = b + step_b
        logs[log] = c + step_c
        ips[ip] = d + step_d
        self._calls += 1
        if not self._calls % TRIM_EVERY:
            for table in self._tables:
                table.trim(now)

    def _refuse(self, free_at: tuple[float, ...], now: float) -> None:
        latest = max(free_at)
        whose = ("this connection", "this user", "this conversation", "this address")
        raise TooFast(
            f"too many calls of {whose[free_at.index(latest)]}", retry_after_ms=_ms(latest - now)
        )

    def user_budget(self, name: str, user: Hashable, now: float) -> Budget | None:
        """What is left of the user's bucket; None where there is no limit."""
        full_in = self._dicts[1].get(user, now) - now
        return _budget(name, self._intervals[1], self._slacks[1], full_in)

    def sizes(self) -> tuple[int, int, int, int]:
        """Keys kept: connections, users, logs, addresses."""
        a, b, c, d = self._dicts
        return len(a), len(b), len(c), len(d)


class Counts:
    """How many connections there are: in all, of an address, of a user. 0 = any number."""

    def __init__(
        self,
        total: int = 0,
        per_ip: int = 0,
        per_user: int = 0,
        per_tenant: Callable[[str], int] | None = None,
    ) -> None:
        """Only addresses and users with a connection take memory. `per_tenant` says how many
        one may have."""
        self._most_tenant = per_tenant
        self._tenants: dict[str, int] = {}
        self.total = 0
        self._most_total, self._most_ip, self._most_user = total, per_ip, per_user
        self._ips: dict[str, int] = {}
        self._users: dict[str, int] = {}

    def opened(self, ip: str) -> None:
        """A connection came from `ip` (an `address_key`); call `closed` once for it.

        Raises:
            Overloaded: it is one too many and was not counted; do not call `closed`.
        """
        if self._most_total and self.total >= self._most_total:
            raise Overloaded("too many connections", retry_after_ms=CROWDED_RETRY_MS)
        _up(self._ips, ip, self._most_ip, "this address")
        self.total += 1

    def closed(self, ip: str) -> None:
        """A counted connection is gone."""
        _down(self._ips, ip)
        self.total -= 1

    def signed_in(self, user: str, tenant: str = "") -> None:
        """A connection belongs to `user` (a UserKey) of `tenant` now; call `signed_out` once for
        it.

        Raises:
            Overloaded: it is one too many and was not counted; do not call `signed_out`.
        """
        most = self._most_tenant(tenant) if self._most_tenant is not None else 0
        _up(self._tenants, tenant, most, "this tenant")
        try:
            _up(self._users, user, self._most_user, "this user")
        except Overloaded:
            _down(self._tenants, tenant)
            raise

    def signed_out(self, user: str, tenant: str = "") -> None:
        """A counted connection of `user` is gone."""
        _down(self._users, user)
        _down(self._tenants, tenant)

    def of_tenant(self, tenant: str) -> int:
        """Connections of this tenant's users now."""
        return self._tenants.get(tenant, 0)

    def of_ip(self, ip: str) -> int:
        """Connections from this address now."""
        return self._ips.get(ip, 0)

    def of_user(self, user: str) -> int:
        """Connections of this user now."""
        return self._users.get(user, 0)


def _up(counts: dict[str, int], key: str, most: int, whose: str) -> None:
    count = counts.get(key, 0)
    if most and count >= most:
        raise Overloaded(f"too many connections of {whose}", retry_after_ms=CROWDED_RETRY_MS)
    counts[key] = count + 1


def _down(counts: dict[str, int], key: str) -> None:
    left = counts[key] - 1  # a KeyError here is a bug of the caller and must show
    if left:
        counts[key] = left
    else:
        del counts[key]


@lru_cache(maxsize=32_768)  # a connection asks four times: 5 µs each
def address_key(ip: str) -> str:
    """What an address is counted by: IPv4 whole, IPv6 by its /64 (a customer owns all of it).

    Text that is no address (a Unix socket) is its own key.
    """
    try:
        address = ipaddress.ip_address(ip.partition("%")[0])
    except ValueError:
        return ip
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Address(int(address) >> 64 << 64)) + "/64"
