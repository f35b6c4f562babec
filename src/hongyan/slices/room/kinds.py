"""The kind `room`."""

from __future__ import annotations

from hongyan.model.kind import Kind
from hongyan.model.live import LiveSpec
from hongyan.slices.room import rules
from hongyan.slices.room.state import (
    Room,
    audience_of,
    listing_of,
    settle,
    spec_of,
    totals_of,
    values_of,
    view_room,
)

DEFAULTS = {
    "create": "users",  # who opens rooms: users, or admins (and back ends) only
    "gifts": "backend",  # who may send gifts: backend, or users (where nothing is paid)
    "moderators": 100,  # of a room, with the host
    "attributes": 100,  # of a room
    "listed": 10_000,  # users on a list of a room: muted, banned, shadowed
}

# A visitor, a message, a like, the smallest coin of a gift, and each viewer who is here now.
HEAT = {"visitors": 5, "said": 2, "likes": 1, "gifts": 1, "online": 1}

ROOM_KIND = Kind(
    name="room",
    code=rules.ROOM,
    state=Room,
    rules=rules.RULES,
    defaults=DEFAULTS,
    told=("create", "gifts"),  # what a page offers
    view=view_room,
    receipts=False,
    live=LiveSpec(),
    admit=rules.admit,
    arrives=rules.arrives,
    live_of=spec_of,
    values=values_of,
    totals=totals_of,
    settle=settle,
    audience=audience_of,
    listing=listing_of,
    heat=HEAT,
)

KINDS = (ROOM_KIND,)
