"""The calls of a user's own log. Leave `log` empty: a user has only one."""

from __future__ import annotations

from typing import Annotated

import msgspec

from hongyan.model.ids import UserName

MAX_KEYS = 100  # settings of a user
MAX_VALUE = 4_096  # bytes of JSON of one setting
MAX_VALUES = 32_768  # bytes of JSON of all settings

Key = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$(?!\n)")]


class Command(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What all commands share."""


class Block(Command, tag="own.block", frozen=True):
    """Take nothing from `user` any more: no message, no invitation, no new conversation."""

    user: UserName


class Unblock(Command, tag="own.unblock", frozen=True):
    """Take `user` off the block list."""

    user: UserName


class Set(Command, tag="own.set", frozen=True):
    """Change settings that all devices of the user share; null takes a key away."""

    settings: Annotated[dict[Key, msgspec.Raw], msgspec.Meta(min_length=1, max_length=MAX_KEYS)]
