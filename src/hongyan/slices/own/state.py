"""What a user's own log knows."""

from __future__ import annotations

import msgspec

from hongyan.model.ids import UserId


class Self(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """`blocked` says since when (ms); `settings` are JSON values the service does not read."""

    blocked: dict[UserId, int] = {}
    settings: dict[str, msgspec.Raw] = {}
