"""What a board keeps for ever. The quotes themselves are not kept: their feed has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from hongyan.model.live import LiveSpec

OWN_VALUES = ("online", "board")  # keys of values that are no symbols


class Board(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The state of a board."""

    title: str = ""
    open: bool = True  # for viewers; publishing goes on while it is not
    guests: bool = False  # who is not logged in may watch
    tick_ms: int = 100  # a symbol is told at most once in it
    symbols: int = 2_000  # at once


def spec_of(state: Board | None) -> LiveSpec | None:
    """How this board is live: no items, so no ring and no sampling."""
    if state is None:
        return None
    values = state.symbols + 1  # and the settings
    return LiveSpec(ring=0, tick_ms=state.tick_ms, rate=0, values=values)


def values_of(state: Board | None) -> Mapping[str, Any]:
    """What a viewer has to know of the settings."""
    if state is None:
        return {}
    return {"board": {"title": state.title, "open": state.open, "tick_ms": state.tick_ms}}
