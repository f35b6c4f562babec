"""The fields `RateLimit-Policy` and `RateLimit` of the IETF's draft, from the buckets a request
took from."""

from __future__ import annotations

from collections.abc import Iterable

from hongyan.engine.budget import Budget

POLICY, STATE = "RateLimit-Policy", "RateLimit"


def fields(spent: Iterable[Budget]) -> dict[str, str]:
    """The two fields, one item per bucket; of several states of a bucket the last. {} where
    nothing was taken from any."""
    last = {budget.name: budget for budget in spent}
    if not last:
        return {}
    return {
        POLICY: ", ".join(f'"{b.name}";q={b.quota};w={b.window_s}' for b in last.values()),
        STATE: ", ".join(f'"{b.name}";r={b.left};t={b.full_s}' for b in last.values()),
    }
