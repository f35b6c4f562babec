"""What is left of a rate limit: told to whoever asked over HTTP, in the headers of the answer."""

from __future__ import annotations

from contextvars import ContextVar

import msgspec


class Budget(msgspec.Struct, frozen=True, gc=False):
    """The state of one bucket after a request took from it.

    At most `quota` at once, refilled within `window_s`; `left` now, all of it again in `full_s`.
    """

    name: str
    quota: int
    window_s: int
    left: int
    full_s: int


# The buckets that the present request took from, where somebody wants to know; else None.
SPENT: ContextVar[list[Budget] | None] = ContextVar("spent", default=None)


def note(budget: Budget | None) -> None:
    """Remember a bucket for the headers of the answer; None = no limit."""
    spent = SPENT.get()
    if spent is not None and budget is not None:
        spent.append(budget)
