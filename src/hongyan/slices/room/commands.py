"""The calls of a room, and the limits of what they may say. Texts are characters, times as said."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from hongyan.model.ids import UserName
from hongyan.slices.room.state import FilterMode

END = r"$(?!\n)"
Title = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=r"\S")]
Said = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"\S")]
Notice = Annotated[str, msgspec.Meta(min_length=1, max_length=1_000, pattern=r"\S")]
RoomName = Annotated[str, msgspec.Meta(pattern=rf"^[A-Za-z0-9_-]{{1,64}}{END}")]
Colour = Annotated[str, msgspec.Meta(pattern=rf"^(#[0-9a-fA-F]{{6}})?{END}")]
Order = Annotated[str, msgspec.Meta(pattern=rf"^[A-Za-z0-9_.:-]{{1,64}}{END}")]
Key = Annotated[str, msgspec.Meta(pattern=rf"^[A-Za-z0-9_.-]{{1,64}}{END}")]
MediaMs = Annotated[int, msgspec.Meta(ge=-1, le=7 * 86_400_000)]
Seconds = Annotated[int, msgspec.Meta(ge=0, le=366 * 86_400)]  # 0 = for ever, where it is a term
Off = Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]
Position = Literal["scroll", "top", "bottom"]


class Create(msgspec.Struct, frozen=True, tag="room.create"):
    """Open a room and be its host. Leave the log empty. `name` becomes part of the log id; left
    out, one is found."""

    title: Title
    name: RoomName | None = None
    guests: bool = False
    slow_s: Annotated[int, msgspec.Meta(ge=0, le=120)] = 0
    rate: Annotated[int, msgspec.Meta(ge=0, le=1_000)] = 10
    tick_ms: Annotated[int, msgspec.Meta(ge=5, le=5_000)] = 200
    listed: bool = False


class Update(msgspec.Struct, frozen=True, tag="room.update"):
    """Change what is given, leave the rest."""

    title: Title | msgspec.UnsetType = msgspec.UNSET
    open: bool | msgspec.UnsetType = msgspec.UNSET
    guests: bool | msgspec.UnsetType = msgspec.UNSET
    slow_s: Annotated[int, msgspec.Meta(ge=0, le=120)] | msgspec.UnsetType = msgspec.UNSET
    muted_all: bool | msgspec.UnsetType = msgspec.UNSET
    hold: bool | msgspec.UnsetType = msgspec.UNSET
    filter: FilterMode | msgspec.UnsetType = msgspec.UNSET
    rate: Annotated[int, msgspec.Meta(ge=0, le=1_000)] | msgspec.UnsetType = msgspec.UNSET
    tick_ms: Annotated[int, msgspec.Meta(ge=5, le=5_000)] | msgspec.UnsetType = msgspec.UNSET
    greet: Annotated[int, msgspec.Meta(ge=0, le=100_000)] | msgspec.UnsetType = msgspec.UNSET
    listed: bool | msgspec.UnsetType = msgspec.UNSET


class Bar(msgspec.Struct, frozen=True, tag="room.bar"):
    """Shut a room that breaks the rules of the house; its host cannot open it again."""

    on: bool = True


class Appoint(msgspec.Struct, frozen=True, tag="room.appoint"):
    """Make somebody a moderator, or a viewer again."""

    user: UserName
    on: bool = True


class Say(msgspec.Struct, frozen=True, tag="room.say"):
    """Danmaku. `media_ms` is the moment of the recording it belongs to; -1 = now."""

    text: Said
    color: Colour = ""
    position: Position = "scroll"
    media_ms: MediaMs = -1


class Approve(msgspec.Struct, frozen=True, tag="room.approve"):
    """Let all see what a user said and what waits; the words are those that the moderator saw."""

    user: UserName
    op: Annotated[str, msgspec.Meta(max_length=64)]
    text: Said
    color: Colour = ""
    position: Position = "scroll"
    media_ms: MediaMs = -1


class Like(msgspec.Struct, frozen=True, tag="room.like"):
    """Likes since the last call; they are added up."""

    n: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1


class Gift(msgspec.Struct, frozen=True, tag="room.gift"):
    """A gift that was paid for. `order` is the order's id and has to be the call's `op`, so that
    an order is one gift however often it is sent. `combo` names gifts that are shown as one."""

    order: Order
    gift: Key
    name: Annotated[str, msgspec.Meta(max_length=64)] = ""
    count: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1
    value: Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)] = 0  # of all of them together
    combo: Annotated[str, msgspec.Meta(max_length=64)] = ""


class Announce(msgspec.Struct, frozen=True, tag="room.announce"):
    """Tell all, for ever."""

    text: Notice


class Pin(msgspec.Struct, frozen=True, tag="room.pin"):
    """Put a text on top of the room; "" takes it away."""

    text: Annotated[str, msgspec.Meta(max_length=200)]


class SetAttribute(msgspec.Struct, frozen=True, tag="room.attribute"):
    """Set an attribute that all viewers know; null takes it away."""

    key: Key
    value: msgspec.Raw


class Mute(msgspec.Struct, frozen=True, tag="room.mute"):
    """Let a user not speak for `seconds`; 0 = may speak again."""

    user: UserName
    seconds: Seconds


class Ban(msgspec.Struct, frozen=True, tag="room.ban"):
    """Send a user away who cannot come back for `seconds`, 0 = for ever."""

    user: UserName
    seconds: Seconds = 0


class Unban(msgspec.Struct, frozen=True, tag="room.unban"):
    """Let a user come back."""

    user: UserName


class Shadow(msgspec.Struct, frozen=True, tag="room.shadow"):
    """Let a user speak to oneself alone, without being told."""

    user: UserName
    on: bool = True


class Delete(msgspec.Struct, frozen=True, tag="room.delete"):
    """Take a message back from all screens and the replay, by its offset. `epoch` is that of the
    message where it was said before the server's last restart."""

    off: Off
    epoch: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)] = 0
