"""What stands in the entries of a conversation: the body of every entry type.

Only `message` is countable (unread); all others tell of a change. New fields come last, with a
default: bodies are read by clients that are years older than the server, and the other way
round.
"""

from __future__ import annotations

import msgspec

from hongyan.model.ids import Seq, UserId
from hongyan.slices.chat.content import Content
from hongyan.slices.chat.state import JoinMode


class Body(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What all bodies share: fields that hold their default are left out."""


class Reply(Body, frozen=True):
    """What a message answers; `quote` is a passage of it."""

    seq: Seq
    author: UserId
    quote: str = ""


class Origin(Body, frozen=True):
    """Who said first, and when (ms), what is forwarded. Where it was said is not told."""

    author: UserId
    at: int


class Message(Body, frozen=True):
    """`message`, and `edit`: the body of the newest edit replaces that of its target."""

    content: Content
    reply: Reply | None = None
    mentions: tuple[UserId, ...] = ()
    mention_all: bool = False
    forward: Origin | None = None
    silent: bool = False  # no mobile push
    edited_at: int = 0  # ms; 0 = as it was sent


class Recalled(Body, frozen=True):
    """`recall`: the target's body is gone. `author` wrote it; the sender of the entry took it."""

    author: UserId


class Reaction(Body, frozen=True):
    """`reaction`: the sender puts `emoji` on the target, or takes it away."""

    emoji: str
    on: bool


class Pin(Body, frozen=True):
    """`pin`: the target is pinned for all, or not any more."""

    on: bool


class Created(Body, frozen=True):
    """`created`: the sender made the group with these first members."""

    title: str
    members: tuple[UserId, ...] = ()


class Joined(Body, frozen=True):
    """`joined`: `how` is invite, link, open or approve (the sender let them in)."""

    users: tuple[UserId, ...]
    how: str


class Left(Body, frozen=True):
    """`left`: by their own will, or `removed` by the sender."""

    users: tuple[UserId, ...]
    removed: bool = False


class RoleChanged(Body, frozen=True):
    """`role`: `admin` or `member`; with `owner` the sender's or former owner's office moved."""

    user: UserId
    role: str


class MuteChanged(Body, frozen=True):
    """`muted`: `user` may not speak before `until` (ms); 0 = may speak again."""

    user: UserId
    until: int


class Nickname(Body, frozen=True):
    """`nickname`: how the sender wants to be called here; "" = by the usual name."""

    name: str


class Changed(Body, frozen=True):
    """`changed`: the fields that changed, with their new values. `link` says only whether there
    is one: the token is for admins."""

    title: str | msgspec.UnsetType = msgspec.UNSET
    avatar: str | msgspec.UnsetType = msgspec.UNSET
    notice: str | msgspec.UnsetType = msgspec.UNSET
    join_mode: JoinMode | msgspec.UnsetType = msgspec.UNSET
    members_invite: bool | msgspec.UnsetType = msgspec.UNSET
    history_visible: bool | msgspec.UnsetType = msgspec.UNSET
    max_members: int | msgspec.UnsetType = msgspec.UNSET
    mute_all: bool | msgspec.UnsetType = msgspec.UNSET
    link: bool | msgspec.UnsetType = msgspec.UNSET


class Dissolved(Body, frozen=True):
    """`dissolved`: the sender ended the group; it stays readable."""


BODIES: dict[str, type[Body]] = {
    "message": Message,
    "edit": Message,
    "recall": Recalled,
    "reaction": Reaction,
    "pin": Pin,
    "created": Created,
    "joined": Joined,
    "left": Left,
    "role": RoleChanged,
    "muted": MuteChanged,
    "nickname": Nickname,
    "changed": Changed,
    "dissolved": Dissolved,
}
