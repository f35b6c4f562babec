"""Every call of a conversation: data with its limits, no behaviour. The tag is the call's name.

New fields come last, with a default. What is left out of `chat.update` and `chat.settings` stays
as it is.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from hongyan.model.ids import LOG, UserName
from hongyan.model.ids import Seq as SeqId
from hongyan.slices.chat.content import END, Avatar, Sendable, Short, Title
from hongyan.slices.chat.state import JoinMode

MAX_USERS = 100  # in one call
MAX_MENTIONS = 100
MAX_SEQS = 100
MAX_SOURCES = 100

Seq = Annotated[SeqId, msgspec.Meta(ge=1)]
Users = Annotated[tuple[UserName, ...], msgspec.Meta(min_length=1, max_length=MAX_USERS)]
Mentions = Annotated[tuple[UserName, ...], msgspec.Meta(max_length=MAX_MENTIONS)]
Quote = Annotated[str, msgspec.Meta(max_length=500)]
Notice = Annotated[str, msgspec.Meta(max_length=4_000)]
Draft = Annotated[str, msgspec.Meta(max_length=8_000)]
Emoji = Annotated[str, msgspec.Meta(min_length=1, max_length=32, pattern=rf"^[^\s:]+{END}")]
Log = Annotated[str, msgspec.Meta(pattern=f"^{LOG.pattern}{END}")]
YEAR_S = 366 * 86_400


class Command(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What all commands share."""


# --- come and go ------------------------------------------------------------------------------


class OpenDirect(Command, tag="chat.open", frozen=True):
    """Have a conversation with `user`; the same one from both sides. Leave `log` empty."""

    user: UserName


class CreateGroup(Command, tag="chat.create", frozen=True):
    """Make a group and be its owner. Leave `log` empty; the ack says its id."""

    title: Title
    members: Annotated[tuple[UserName, ...], msgspec.Meta(max_length=MAX_USERS)] = ()
    avatar: Avatar = ""
    join_mode: JoinMode = "invite"
    members_invite: bool = True
    history_visible: bool = False
    max_members: Annotated[int, msgspec.Meta(ge=0)] = 0  # 0 = the server's limit


class Invite(Command, tag="chat.invite", frozen=True):
    """Make `users` members; those who are stay as they are."""

    users: Users


class Join(Command, tag="chat.join", frozen=True):
    """Become a member, or ask to be one where admins approve."""

    token: Annotated[str, msgspec.Meta(max_length=64)] = ""


class Approve(Command, tag="chat.approve", frozen=True):
    """Let in a user who asked."""

    user: UserName


class Reject(Command, tag="chat.reject", frozen=True):
    """Do not let in a user who asked; the user is not told and may ask again."""

    user: UserName


class Leave(Command, tag="chat.leave", frozen=True):
    """Stop being a member. What was said until now stays readable."""


class Remove(Command, tag="chat.remove", frozen=True):
    """Make `users` leave; those who are no members stay as they are."""

    users: Users


# --- govern -----------------------------------------------------------------------------------


class SetRole(Command, tag="chat.set_role", frozen=True):
    """Make a member an admin, or an admin a plain member."""

    user: UserName
    role: Literal["admin", "member"]


class Transfer(Command, tag="chat.transfer", frozen=True):
    """Make a member the owner; the owner until now becomes an admin."""

    user: UserName


class Mute(Command, tag="chat.mute", frozen=True):
    """Let a member not speak for some seconds from now; 0 = may speak again."""

    user: UserName
    seconds: Annotated[int, msgspec.Meta(ge=0, le=YEAR_S)]


class MuteAll(Command, tag="chat.mute_all", frozen=True):
    """Let only admins speak, or everybody again."""

    on: bool


class Update(Command, tag="chat.update", frozen=True):
    """Change what the group is called, how it looks and who may come in."""

    title: Title | msgspec.UnsetType = msgspec.UNSET
    avatar: Avatar | msgspec.UnsetType = msgspec.UNSET
    notice: Notice | msgspec.UnsetType = msgspec.UNSET
    join_mode: JoinMode | msgspec.UnsetType = msgspec.UNSET
    members_invite: bool | msgspec.UnsetType = msgspec.UNSET
    history_visible: bool | msgspec.UnsetType = msgspec.UNSET
    max_members: Annotated[int, msgspec.Meta(ge=0)] | msgspec.UnsetType = msgspec.UNSET


class SetLink(Command, tag="chat.link", frozen=True):
    """Have a link that lets people in, or none. With `renew` the old one stops working."""

    on: bool = True
    renew: bool = False


class Dissolve(Command, tag="chat.dissolve", frozen=True):
    """End the group: nobody writes any more, members may still read."""


# --- talk -------------------------------------------------------------------------------------


class Send(Command, tag="chat.send", frozen=True):
    """Say something; acknowledged only once it is durable."""

    content: Sendable
    reply_to: Seq | None = None
    quote: Quote = ""  # a passage of the message that is answered
    mentions: Mentions = ()
    mention_all: bool = False
    silent: bool = False  # no mobile push; the entry itself is the same


class Source(msgspec.Struct, frozen=True, gc=False):
    """A message somewhere."""

    log: Log
    seq: Seq


class Forward(Command, tag="chat.forward", frozen=True):
    """Say here what was said elsewhere: one message each, or all in one bundle."""

    sources: Annotated[tuple[Source, ...], msgspec.Meta(min_length=1, max_length=MAX_SOURCES)]
    merged: bool = False
    title: Short = ""  # of the bundle
    silent: bool = False


class Edit(Command, tag="chat.edit", frozen=True):
    """Replace the content of an own message. `mentions` None = as they were; nobody is called
    again."""

    seq: Seq
    content: Sendable
    mentions: Mentions | None = None


class Recall(Command, tag="chat.recall", frozen=True):
    """Take a message back: its content is gone for everybody, for ever."""

    seq: Seq


class React(Command, tag="chat.react", frozen=True):
    """Put an emoji on a message, or take an own one away."""

    seq: Seq
    emoji: Emoji
    on: bool = True


class PinMessage(Command, tag="chat.pin", frozen=True):
    """Pin a message for all, or unpin it."""

    seq: Seq
    on: bool = True


# --- for the caller alone ---------------------------------------------------------------------


class Delete(Command, tag="chat.delete", frozen=True):
    """Delete entries for the caller alone."""

    seqs: Annotated[tuple[Seq, ...], msgspec.Meta(min_length=1, max_length=MAX_SEQS)]


class Clear(Command, tag="chat.clear", frozen=True):
    """Delete all that is in the conversation, for the caller alone."""


class Settings(Command, tag="chat.settings", frozen=True):
    """The caller's own settings of this conversation, shared by all the caller's devices. null
    takes one away. `nickname` is the only one that others see."""

    mute: bool | msgspec.UnsetType | None = msgspec.UNSET  # no mobile push
    pinned: bool | msgspec.UnsetType | None = msgspec.UNSET  # on top of the list
    archived: bool | msgspec.UnsetType | None = msgspec.UNSET
    draft: Draft | msgspec.UnsetType | None = msgspec.UNSET
    remark: Short | msgspec.UnsetType | None = msgspec.UNSET  # the caller's name for it
    nickname: Short | msgspec.UnsetType | None = msgspec.UNSET  # how the caller is called here


class MarkUnread(Command, tag="chat.mark_unread", frozen=True):
    """Show the conversation as unread, or not any more; cursors stay where they are."""

    on: bool = True


class Typing(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The signal `typing`: the sender is writing (`on`), or stopped."""

    on: bool = True
