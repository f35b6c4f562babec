"""What a room keeps for ever, and what of it who sees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from hongyan.model.ids import UserId
from hongyan.model.live import LiveSpec
from hongyan.model.log import Role

FilterMode = Literal["refuse", "hold", "hide"]


class Pinned(msgspec.Struct, frozen=True, gc=False):
    """A message on top of the room."""

    text: str
    author: UserId
    at: int  # ms


class Room(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The state of a room. Users who may not are listed with the end of it in ms, 0 = for ever."""

    host: UserId
    title: str = ""
    open: bool = True
    guests: bool = False  # who is not logged in may watch
    slow_s: int = 0  # seconds between two messages of one user; 0 = off
    muted_all: bool = False
    hold: bool = False  # moderators approve what is said before others see it
    filter: FilterMode = "refuse"  # what becomes of a text with unwanted words
    rate: int = 10  # messages a second that a viewer is shown; 0 = all
    tick_ms: int = 200
    greet: int = 200  # viewers up to which is told who comes; 0 = never
    muted: dict[UserId, int] = {}
    banned: dict[UserId, int] = {}
    shadowed: frozenset[UserId] = frozenset()  # they see what they say, others do not
    attributes: dict[str, msgspec.Raw] = {}
    pinned: Pinned | None = None
    likes: int = 0  # settled so far
    gifts: int = 0  # their value, settled so far
    visitors: int = 0  # different ones, settled so far
    listed: bool = False  # all users of the tenant may find it
    barred: bool = False  # by an administrator: nobody else watches, speaks or opens it


def view_room(state: Room | None, role: Role) -> Any:
    """Who is muted or banned is for moderators alone."""
    if state is None or role >= Role.ADMIN:
        return state
    return msgspec.structs.replace(state, muted={}, banned={}, shadowed=frozenset())


def spec_of(state: Room | None) -> LiveSpec | None:
    """How this room is live."""
    if state is None:
        return None
    values = max(200, len(state.attributes) + 100)  # also where the operator allows for more
    return LiveSpec(ring=50, tick_ms=state.tick_ms, rate=state.rate, values=values)


def values_of(state: Room | None) -> Mapping[str, Any]:
    """The values that the state says: settings a viewer has to know of, attributes, the pin."""
    if state is None:
        return {}
    told: dict[str, Any] = {
        "room": {
            "title": state.title,
            "open": state.open,
            "slow_s": state.slow_s,
            "muted_all": state.muted_all,
        },
        "pinned": state.pinned,
    }
    told.update({f"attr:{key}": value for key, value in state.attributes.items()})
    return told


def totals_of(state: Room | None) -> Mapping[str, int]:
    """What the totals begin with."""
    if state is None:
        return {}
    return {"likes": state.likes, "gifts": state.gifts, "visitors": state.visitors}


def settle(state: Room, totals: Mapping[str, int]) -> Room:
    """The state with these totals."""
    before = totals_of(state)
    now = {key: totals.get(key, kept) for key, kept in before.items()}
    return state if now == before else msgspec.structs.replace(state, **now)


def listing_of(state: Room | None) -> Mapping[str, Any] | None:
    """What a list of rooms shows of it; None where it is on none."""
    if state is None or not (state.listed and state.open) or state.barred:
        return None
    return {"title": state.title, "host": state.host, "guests": state.guests}


def audience_of(state: Room | None) -> tuple[bool, ...] | None:
    """What of it says who may watch."""
    return None if state is None else (state.open, state.guests, state.barred)
