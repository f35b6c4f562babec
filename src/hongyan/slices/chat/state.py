"""What a conversation knows of itself. Members are not here: the store keeps them."""

from __future__ import annotations

from typing import Literal

import msgspec

from hongyan.model.ids import Seq, UserId
from hongyan.model.log import Role

JoinMode = Literal["invite", "link", "approve", "open"]


class Direct(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The conversation of two users, or of one with herself."""

    pins: tuple[Seq, ...] = ()  # the newest pin last


class Group(msgspec.Struct, frozen=True, omit_defaults=True, gc=False, kw_only=True):
    """A group. `pending` says who asked to join and when (ms); bounded by a setting."""

    owner: UserId
    title: str
    avatar: str = ""  # digest of a blob
    notice: str = ""
    join_mode: JoinMode = "invite"
    members_invite: bool = True
    history_visible: bool = False  # who joins may read what was before
    max_members: int = 0  # 0 = the server's limit
    mute_all: bool = False
    link: str = ""  # the token that lets in; "" = none
    pins: tuple[Seq, ...] = ()
    pending: dict[UserId, int] = {}
    dissolved_at: int = 0  # ms; 0 = alive


def view_group(state: Group, role: Role) -> Group:
    """What a role may see: the link and who asked to join are for admins; who is gone sees only
    what the group is called, looks like and whether it is alive."""
    if role >= Role.ADMIN:
        return state
    if role == Role.NONE:
        return Group(
            owner=state.owner,
            title=state.title,
            avatar=state.avatar,
            dissolved_at=state.dissolved_at,
        )
    return msgspec.structs.replace(state, link="", pending={})
