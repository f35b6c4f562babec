"""Who may do what in a room, and what becomes of it."""

# size: the rules of one kind, whose guards they all share

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from hongyan.model.errors import (
    BadArgs,
    BadState,
    Forbidden,
    Full,
    Muted,
    NotAMember,
    RoleTooLow,
    TooFast,
    Unwanted,
)
from hongyan.model.ids import LogId, UserId, hashed_name, log_id
from hongyan.model.kind import Append, Context, Decision, Needs, Rule
from hongyan.model.live import Audience, Count, Lane, Put, Say
from hongyan.model.log import MemberChange, Role
from hongyan.slices.room import commands as c
from hongyan.slices.room.bodies import (
    Announced,
    Came,
    Changed,
    Created,
    Danmaku,
    Deleted,
    Given,
    Kept,
)
from hongyan.slices.room.state import Pinned, Room

ROOM = "r"  # kind code
MAX_ATTRIBUTE = 4 * 1024  # bytes of JSON
REPLACE = msgspec.structs.replace


# --- who -----------------------------------------------------------------------------------------


def admit(state: Room | None, ctx: Context) -> None:
    """Raises why the caller may not watch."""
    if state is None or ctx.admin:
        return
    _not_barred(state, ctx)
    if ctx.role >= Role.ADMIN:
        return
    if not state.open:
        raise BadState("the room is closed")
    if ctx.guest and not state.guests:
        raise Forbidden("this room is for those who are logged in")
    _not_banned(state, ctx)


def _not_barred(state: Room, ctx: Context) -> None:
    if state.barred and not ctx.admin:
        raise BadState("an administrator shut this room")


def _not_banned(state: Room, ctx: Context) -> None:
    until = state.banned.get(ctx.user)
    if until is not None and (not until or until > ctx.now_ms):
        left = until - ctx.now_ms if until else 0
        raise Forbidden("you were sent out of this room", retry_after_ms=left)


def _moderates(state: Room | None, ctx: Context, least: Role = Role.ADMIN) -> Room:
    """The caller keeps order here; an administrator of the tenant does everywhere."""
    assert state is not None
    _not_barred(state, ctx)
    if ctx.admin or ctx.role >= least:
        return state
    if ctx.role is Role.NONE:
        raise NotAMember("this is for the host and moderators")
    raise RoleTooLow(f"this takes the role {least.name.lower()}")


def _below(state: Room, ctx: Context, user: UserId) -> None:
    """Nobody acts on the host, and only the host on moderators."""
    if user == state.host:
        raise RoleTooLow("the host stands above this")
    row = ctx.members.get(user)
    if row is not None and row.role >= Role.ADMIN and not (ctx.admin or ctx.role is Role.OWNER):
        raise RoleTooLow("only the host acts on moderators")


def the_user(command: Any, ctx: Context) -> Needs:
    """The row of the user it is about."""
    return Needs(members=(UserId(command.user),))


# --- rooms ---------------------------------------------------------------------------------------


def place(command: c.Create, ctx: Context) -> LogId:
    """By the name that was chosen, or one that the same call finds again."""
    return log_id(ctx.tenant, ROOM, command.name or hashed_name(ctx.tenant, ctx.user, ctx.op))


def create(state: Room | None, command: c.Create, ctx: Context) -> Decision:
    """Make the caller the host."""
    if ctx.log != place(command, ctx):
        raise BadArgs("leave the log empty")
    if state is not None:
        raise BadState("there is a room of this name")
    if ctx.settings["create"] == "admins" and not (ctx.admin or ctx.backend):
        raise Forbidden("only administrators open rooms here")
    room = Room(
        host=ctx.user,
        title=command.title,
        guests=command.guests,
        slow_s=command.slow_s,
        rate=command.rate,
        tick_ms=command.tick_ms,
        listed=command.listed,
    )
    return Decision(
        append=(Append("created", Created(command.title)),),
        state=room,
        members=(MemberChange(user=ctx.user, join=True, role=Role.OWNER, history=True),),
    )


def update(state: Room | None, command: c.Update, ctx: Context) -> Decision:
    """Change what differs."""
    room = _moderates(state, ctx)
    given = {
        name: value
        for name in c.Update.__struct_fields__
        if (value := getattr(command, name)) is not msgspec.UNSET and value != getattr(room, name)
    }
    if not given:
        return Decision()
    return Decision(append=(Append("changed", Changed(given)),), state=REPLACE(room, **given))


def bar(state: Room | None, command: c.Bar, ctx: Context) -> Decision:
    """Above the host: its viewers are sent away, and it is on no list."""
    assert state is not None
    if not ctx.admin:
        raise Forbidden("only administrators shut rooms")
    if state.barred == command.on:
        return Decision()
    return Decision(
        append=(Append("order", Kept("bar", state.host, on=command.on)),),
        state=REPLACE(state, barred=command.on),
    )


def appoint(state: Room | None, command: c.Appoint, ctx: Context) -> Decision:
    """Moderators are the room's members: there are few of them."""
    room = _moderates(state, ctx, Role.OWNER)
    user = UserId(command.user)
    row = ctx.members.get(user)
    is_one = row is not None and row.role >= Role.ADMIN
    if user == room.host or is_one == command.on:
        return Decision()
    if command.on and user not in ctx.users:
        raise BadArgs(f"no such user: {user}")
    if command.on and ctx.count >= ctx.settings["moderators"]:
        raise Full(f"at most {ctx.settings['moderators']} moderators")
    change = (
        MemberChange(user=user, join=True, role=Role.ADMIN, history=True)
        if command.on
        else MemberChange(user=user, leave=True)
    )
    return Decision(
        append=(Append("order", Kept("appoint", user, on=command.on)),), members=(change,)
    )


def appoint_needs(command: c.Appoint, ctx: Context) -> Needs:
    """The user's row, and whether there is such a user."""
    return Needs(members=(UserId(command.user),), users=(UserId(command.user),))


# --- talk ----------------------------------------------------------------------------------------


def judged(command: c.Say, ctx: Context) -> Needs:
    """The words."""
    return Needs(judge=command.text)


def say(state: Room | None, command: c.Say, ctx: Context) -> Decision:
    """Danmaku: now to all, to the moderators first, or to the sender alone."""
    assert state is not None
    _not_barred(state, ctx)
    free = ctx.admin or ctx.backend or ctx.role >= Role.ADMIN
    if not free:
        _may_speak(state, ctx)
    body = Danmaku(command.text, command.color, command.position, command.media_ms)
    audience = Audience.ALL
    if ctx.words and not free:
        if state.filter == "refuse":
            raise Unwanted("the text holds words that are not wanted here")
        audience = Audience.HOSTS if state.filter == "hold" else Audience.SELF
    if state.hold and not free:
        audience = Audience.HOSTS
    if ctx.user in state.shadowed:
        audience = Audience.SELF
    if audience is Audience.HOSTS:
        body = REPLACE(body, held=True)
    keep = audience is Audience.ALL
    return Decision(
        live=(Say("danmaku", body, audience=audience, keep=keep, media_ms=command.media_ms),)
    )


def _may_speak(state: Room, ctx: Context) -> None:
    admit(state, ctx)
    if state.muted_all:
        raise Muted("only the host and moderators speak here now")
    until = state.muted.get(ctx.user, 0)
    if until > ctx.now_ms:
        raise Muted("you may not speak here now", retry_after_ms=until - ctx.now_ms)
    free_at = ctx.spoke_ms + state.slow_s * 1000
    if state.slow_s and ctx.spoke_ms and ctx.now_ms < free_at:
        left = free_at - ctx.now_ms
        raise TooFast(f"slow mode: {-(-left // 1000)} s left", retry_after_ms=left)


def approve(state: Room | None, command: c.Approve, ctx: Context) -> Decision:
    """All see it now, as said by its author."""
    _moderates(state, ctx)
    body = Danmaku(
        command.text,
        command.color,
        command.position,
        command.media_ms,
        by=UserId(command.user),
    )
    return Decision(live=(Say("danmaku", body, keep=True, media_ms=command.media_ms),))


def like(state: Room | None, command: c.Like, ctx: Context) -> Decision:
    """Add up; viewers are told the total once a tick."""
    assert state is not None
    admit(state, ctx)
    return Decision(counts=(Count("likes", command.n),))


def gift(state: Room | None, command: c.Gift, ctx: Context) -> Decision:
    """Kept for ever, in one order for all; it passes by every queue of what is only said."""
    assert state is not None
    if ctx.settings["gifts"] == "backend" and not (ctx.admin or ctx.backend):
        raise Forbidden("gifts come from the back end that took the money")
    if not (ctx.admin or ctx.backend):
        admit(state, ctx)
    if ctx.op != command.order:
        raise BadArgs("the op of a gift is its order: so an order is one gift")
    body = Given(
        command.order, command.gift, command.count, command.value, command.name, command.combo
    )
    return Decision(append=(Append("gift", body),), counts=(Count("gifts", command.value),))


def announce(state: Room | None, command: c.Announce, ctx: Context) -> Decision:
    """Kept for ever."""
    _moderates(state, ctx)
    return Decision(append=(Append("announcement", Announced(command.text)),))


def pin(state: Room | None, command: c.Pin, ctx: Context) -> Decision:
    """One text at a time."""
    room = _moderates(state, ctx)
    if not command.text.strip():
        return Decision(state=REPLACE(room, pinned=None)) if room.pinned else Decision()
    return Decision(state=REPLACE(room, pinned=Pinned(command.text, ctx.user, ctx.now_ms)))


def attribute(state: Room | None, command: c.SetAttribute, ctx: Context) -> Decision:
    """Change, or take away, what all viewers know."""
    room = _moderates(state, ctx)
    value = bytes(command.value)
    if len(value) > MAX_ATTRIBUTE:
        raise BadArgs(f"a value has at most {MAX_ATTRIBUTE} bytes of JSON")
    now = dict(room.attributes)
    if value == b"null":
        if now.pop(command.key, None) is None:
            return Decision()
        gone = Put(f"attr:{command.key}", None)
        return Decision(state=REPLACE(room, attributes=now), values=(gone,))
    if command.key not in now and len(now) >= ctx.settings["attributes"]:
        raise Full(f"at most {ctx.settings['attributes']} attributes")
    now[command.key] = command.value.copy()
    return Decision(state=REPLACE(room, attributes=now))


# --- order ---------------------------------------------------------------------------------------


def _until(seconds: int, ctx: Context) -> int:
    return ctx.now_ms + seconds * 1000 if seconds else 0


def _swept(terms: dict[UserId, int], ctx: Context) -> dict[UserId, int]:
    """Without those that are over."""
    return {user: until for user, until in terms.items() if not until or until > ctx.now_ms}


def _listed(terms: Collection[UserId], ctx: Context) -> None:
    if len(terms) > ctx.settings["listed"]:
        raise Full(f"at most {ctx.settings['listed']} users are on this list")


def mute(state: Room | None, command: c.Mute, ctx: Context) -> Decision:
    """For a while, or not any more."""
    room = _moderates(state, ctx)
    user = UserId(command.user)
    _below(room, ctx, user)
    muted = _swept(room.muted, ctx)
    until = _until(command.seconds, ctx)
    if until:
        muted[user] = until
    elif muted.pop(user, None) is None:
        return Decision()
    _listed(muted, ctx)
    return Decision(
        append=(Append("order", Kept("mute", user, until, on=bool(until))),),
        state=REPLACE(room, muted=muted),
    )


def ban(state: Room | None, command: c.Ban, ctx: Context) -> Decision:
    """Out, and not back before the term is over."""
    room = _moderates(state, ctx)
    user = UserId(command.user)
    _below(room, ctx, user)
    banned = {**_swept(room.banned, ctx), user: _until(command.seconds, ctx)}
    _listed(banned, ctx)
    row = ctx.members.get(user)
    leaves = (MemberChange(user=user, leave=True),) if row is not None and row.role else ()
    return Decision(
        append=(Append("order", Kept("ban", user, banned[user])),),
        state=REPLACE(room, banned=banned),
        members=leaves,
        dismiss=(user,),
    )


def unban(state: Room | None, command: c.Unban, ctx: Context) -> Decision:
    """May come back."""
    room = _moderates(state, ctx)
    user = UserId(command.user)
    if user not in room.banned:
        return Decision()
    banned = {other: until for other, until in room.banned.items() if other != user}
    return Decision(
        append=(Append("order", Kept("unban", user, on=False)),), state=REPLACE(room, banned=banned)
    )


def shadow(state: Room | None, command: c.Shadow, ctx: Context) -> Decision:
    """Nobody is told: no entry."""
    room = _moderates(state, ctx)
    user = UserId(command.user)
    _below(room, ctx, user)
    if (user in room.shadowed) == command.on:
        return Decision()
    changed = room.shadowed | {user} if command.on else room.shadowed - {user}
    if command.on:
        _listed(changed, ctx)
    return Decision(state=REPLACE(room, shadowed=changed))


def delete(state: Room | None, command: c.Delete, ctx: Context) -> Decision:
    """Off the screens, and out of what late joiners and the archive get."""
    _moderates(state, ctx)
    off, epoch = command.off, command.epoch
    gone = Say("deleted", Deleted(off, epoch), lane=Lane.HIGH, erases=off, epoch=epoch)
    return Decision(live=(gone,))


def arrives(state: Room | None, ctx: Context, viewers: int) -> Say | None:
    """Who comes is told while the room is small."""
    if state is None or ctx.guest or viewers > state.greet:
        return None
    return Say("came", Came(), lane=Lane.LOW)


# Role NONE: viewers are no members, and an administrator of the tenant keeps order everywhere.
RULES: dict[type, Rule] = {
    c.Create: Rule(decide=create, role=Role.NONE, creates=True, place=place),
    c.Update: Rule(decide=update, role=Role.NONE, apart=True),
    c.Bar: Rule(decide=bar, role=Role.NONE, apart=True),
    c.Appoint: Rule(decide=appoint, needs=appoint_needs, role=Role.NONE, apart=True),
    c.Say: Rule(
        decide=say,
        needs=judged,
        role=Role.NONE,
        passing=True,
    ),
    c.Approve: Rule(decide=approve, role=Role.NONE, passing=True, apart=True),
    c.Like: Rule(decide=like, role=Role.NONE, passing=True),
    c.Gift: Rule(decide=gift, role=Role.NONE, once=True, apart=True),
    c.Announce: Rule(decide=announce, role=Role.NONE, apart=True),
    c.Pin: Rule(decide=pin, role=Role.NONE, apart=True),
    c.SetAttribute: Rule(decide=attribute, role=Role.NONE, apart=True),
    c.Mute: Rule(decide=mute, needs=the_user, role=Role.NONE, apart=True),
    c.Ban: Rule(decide=ban, needs=the_user, role=Role.NONE, apart=True),
    c.Unban: Rule(decide=unban, role=Role.NONE, apart=True),
    c.Shadow: Rule(decide=shadow, needs=the_user, role=Role.NONE, apart=True),
    c.Delete: Rule(decide=delete, role=Role.NONE, passing=True, apart=True),
}
