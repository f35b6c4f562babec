"""What the entries and live items of a room say. Fields with their default are left out."""

from __future__ import annotations

from typing import Any

import msgspec

from hongyan.model.ids import UserId


class Body(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What all bodies share."""


# --- entries: kept for ever --------------------------------------------------------------------


class Created(Body, frozen=True):
    """`created`."""

    title: str


class Changed(Body, frozen=True):
    """`changed`: what did."""

    changes: dict[str, Any]


class Given(Body, frozen=True):
    """`gift`."""

    order: str
    gift: str
    count: int
    value: int = 0
    name: str = ""
    combo: str = ""


class Announced(Body, frozen=True):
    """`announcement`."""

    text: str


class Kept(Body, frozen=True):
    """`order`: an act of a moderator. `until` in ms, 0 = for ever or over."""

    act: str  # appoint, mute, ban, unban, shadow
    user: UserId
    until: int = 0
    on: bool = True


# --- live items ----------------------------------------------------------------------------------


class Danmaku(Body, frozen=True):
    """`danmaku`."""

    text: str
    color: str = ""
    position: str = "scroll"
    media_ms: int = -1
    held: bool = False  # waits for a moderator
    by: UserId | None = None  # who said it, where a moderator let it through


class Deleted(Body, frozen=True):
    """`deleted`: take the item with this offset off the screen. `epoch` 0 = the present one."""

    off: int
    epoch: int = 0


class Came(Body, frozen=True):
    """`came`: somebody watches now."""
