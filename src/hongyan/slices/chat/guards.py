"""Questions that many rules ask first. Each raises the refusal, or gives what it found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from hongyan.model.errors import (
    BadArgs,
    BadState,
    Blocked,
    Muted,
    NoSuchEntry,
    NoSuchUser,
    NotAMember,
    RoleTooLow,
)
from hongyan.model.ids import LogId, Seq, UserId, kind_of
from hongyan.model.kind import Context, Needs
from hongyan.model.log import EDIT, MAX_BODY_BYTES, Entry, Member, Role
from hongyan.slices.chat.bodies import Body, Message
from hongyan.slices.chat.content import CustomContent, MergedContent
from hongyan.slices.chat.state import Direct, Group
from hongyan.slices.own.state import Self

DIRECT, GROUP = "d", "g"  # kind codes
RECALL = "recall"  # the slot of a recall
_decode_message = msgspec.json.Decoder(Message).decode
_encode = msgspec.json.Encoder().encode


def at_its_place(ctx: Context, log: LogId) -> None:
    """A creating call finds its log itself; a caller who names one may name only that one."""
    if ctx.log != log:
        raise BadArgs(f"this call belongs to {log}: leave the log empty")


def rank(ctx: Context) -> Role:
    """The caller's role; an administrator of the tenant governs as an owner does."""
    return Role.OWNER if ctx.admin else ctx.role


def demand(ctx: Context, least: Role) -> Role:
    """The caller's rank, which is at least `least`."""
    have = rank(ctx)
    if have == Role.NONE:
        raise NotAMember
    if have < least:
        raise RoleTooLow(f"this takes the role {least.name.lower()}")
    return have


def known(ctx: Context) -> Member:
    """The caller's row: of a member, or of somebody who was one."""
    if ctx.member is None:
        raise NotAMember
    return ctx.member


def alive(state: Group) -> None:
    """The group is not dissolved."""
    if state.dissolved_at:
        raise BadState("the group is dissolved")


def accounts(ctx: Context, users: Iterable[UserId]) -> None:
    """All `users` exist and are enabled."""
    if missing := sorted(set(users) - ctx.users):
        raise NoSuchUser(f"no such user: {', '.join(missing)}")


def blocks(ctx: Context, owner: UserId, other: UserId) -> bool:
    """Whether `owner` has `other` on the block list."""
    mine = ctx.selves.get(owner)
    return isinstance(mine, Self) and other in mine.blocked


def member(ctx: Context, user: UserId) -> Member:
    """The row of a present member."""
    row = ctx.members.get(user)
    if row is None or row.role == Role.NONE:
        raise NoSuchUser(f"{user} is not a member")
    return row


def peer_of(log: LogId, user: UserId) -> UserId:
    """The other side of a direct conversation; with oneself that is oneself."""
    one, _, two = log.rpartition("/")[2].partition("~")
    return UserId(two if one == user else one)


def pair(ctx: Context) -> tuple[UserId, ...]:
    """Whose block lists decide who may speak: both sides' of a direct conversation."""
    if kind_of(ctx.log) != DIRECT:
        return ()
    peer = peer_of(ctx.log, ctx.user)
    return () if peer == ctx.user else (ctx.user, peer)


def speak(state: Any, ctx: Context) -> None:
    """The caller may say something now."""
    if isinstance(state, Direct):
        _speak_direct(ctx)
        return
    quiet(state, ctx)
    if state.mute_all and ctx.role < Role.ADMIN:
        raise Muted("only admins may speak here now")


def quiet(state: Any, ctx: Context) -> None:
    """The caller may do what all see but is not speech (react, nickname): neither muted in
    person nor blocked, in a conversation that is alive."""
    if isinstance(state, Direct):
        _speak_direct(ctx)
        return
    alive(state)
    until = known(ctx).muted_until
    if until > ctx.now_ms:
        raise Muted(f"muted until {until}", retry_after_ms=until - ctx.now_ms)


def _speak_direct(ctx: Context) -> None:
    peer = peer_of(ctx.log, ctx.user)
    if blocks(ctx, ctx.user, peer):
        raise Blocked(f"you have blocked {peer}: unblock first")
    if blocks(ctx, peer, ctx.user):
        raise Blocked


def message(ctx: Context, seq: Seq) -> Entry:
    """The message at `seq`, which the caller may see and which was not recalled."""
    entry = ctx.entries.get(seq)
    if entry is None or entry.type != "message":
        raise NoSuchEntry(f"no message at {seq}")
    if (seq, RECALL) in ctx.amended:
        raise BadState(f"the message at {seq} was recalled")
    return entry


def body_of(ctx: Context, entry: Entry) -> Message:
    """What a message says now: its newest edit, or what it said first."""
    newest = ctx.amended.get((entry.seq, EDIT), entry)
    return _decode_message(newest.body)


def measured(body: Message) -> Message:
    """`body`, which fits into an entry. Other contents are bounded by their types."""
    if isinstance(body.content, CustomContent | MergedContent):
        fits((body,))
    return body


def fits(bodies: Sequence[Body], most: int = MAX_BODY_BYTES) -> None:
    """The bodies have together at most `most` bytes of JSON."""
    size = sum(len(_encode(body)) for body in bodies)
    if size > most:
        raise BadArgs(f"{size} bytes of JSON, the limit is {most}")


def present(ctx: Context, users: Iterable[UserId]) -> list[UserId]:
    """Those of `users` who are members now; each once, in this order."""
    rows = ctx.members
    return [u for u in dict.fromkeys(users) if u in rows and rows[u].role > Role.NONE]


def one_entry(command: Any, ctx: Context) -> Needs:
    """What commands with a `seq` need: that entry, and who blocks whom."""
    return Needs(entries=(command.seq,), selves=pair(ctx))


def one_member(command: Any, ctx: Context) -> Needs:
    """What commands with a `user` need: that member."""
    return Needs(members=(command.user,))
