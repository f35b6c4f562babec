"""React and pin; delete for me, clear, settings, mark unread."""

from __future__ import annotations

import msgspec

from hongyan.model.errors import Full, NoSuchEntry, NotAMember
from hongyan.model.kind import Append, Context, Decision, Needs, Rule
from hongyan.model.log import MemberChange, Role
from hongyan.slices.chat import commands as c
from hongyan.slices.chat.bodies import Nickname, Pin, Reaction
from hongyan.slices.chat.guards import demand, known, message, one_entry, pair, quiet
from hongyan.slices.chat.state import Direct, Group

PIN = "pin"
_decode_reaction = msgspec.json.Decoder(Reaction).decode


def react(state: Direct | Group, command: c.React, ctx: Context) -> Decision:
    """Put an emoji on a message or take an own one away. Allowed while all are muted: a reaction
    is not speech."""
    quiet(state, ctx)
    entry = message(ctx, command.seq)
    mine = f"react:{ctx.user}:"
    slot = mine + command.emoji
    newest = ctx.amended.get((entry.seq, slot))
    is_on = newest is not None and _decode_reaction(newest.body).on
    if is_on == command.on:
        return Decision()
    if newest is None:
        _room_for_reaction(mine, ctx)
    body = Reaction(command.emoji, command.on)
    return Decision(append=(Append("reaction", body, target=entry.seq, slot=slot),))


def _room_for_reaction(mine: str, ctx: Context) -> None:
    """Every slot of a message is sent with each page that shows it, so there is a limit; a slot
    stays when its reaction is taken away."""
    slots = [slot for _, slot in ctx.amended if slot.startswith("react:")]
    if len(slots) >= ctx.settings["reactions"]:
        raise Full(f"a message takes {ctx.settings['reactions']} reactions")
    own = sum(slot.startswith(mine) for slot in slots)
    if own >= ctx.settings["reactions_per_user"]:
        raise Full(f"{ctx.settings['reactions_per_user']} different reactions of one user")


def pin(state: Direct | Group, command: c.PinMessage, ctx: Context) -> Decision:
    """Pin for all: both sides of a direct conversation, admins of a group."""
    if isinstance(state, Group) and not ctx.settings["members_pin"]:
        demand(ctx, Role.ADMIN)
    quiet(state, ctx)
    seq, pins = command.seq, state.pins
    if command.on:
        message(ctx, seq)
    if (seq in pins) == command.on:
        return Decision()
    if command.on and len(pins) >= ctx.settings["pins"]:
        raise Full(f"{ctx.settings['pins']} messages are pinned: unpin one first")
    new = (*pins, seq) if command.on else tuple(other for other in pins if other != seq)
    return Decision(
        append=(Append("pin", Pin(command.on), target=seq, slot=PIN),),
        state=msgspec.structs.replace(state, pins=new),
    )


# --- for the caller alone ---------------------------------------------------------------------
# These are open to former members: they keep the conversation in their list.


def delete(state: Direct | Group, command: c.Delete, ctx: Context) -> Decision:
    """Hide entries from the caller on all devices, for ever."""
    row = known(ctx)
    last = row.until or ctx.head
    for seq in command.seqs:
        if not row.since <= seq <= last:
            raise NoSuchEntry(f"no entry at {seq}")
    return Decision(members=(MemberChange(user=ctx.user, hide=command.seqs),))


def clear(state: Direct | Group, command: c.Clear, ctx: Context) -> Decision:
    """Hide all that is there now; what comes later is seen."""
    known(ctx)
    return Decision(members=(MemberChange(user=ctx.user, clear=True, marked=False),))


def settings_needs(command: c.Settings, ctx: Context) -> Needs:
    """A nickname is seen by others, so blocks count."""
    return Needs(selves=pair(ctx) if command.nickname is not msgspec.UNSET else ())


def settings(state: Direct | Group, command: c.Settings, ctx: Context) -> Decision:
    """Keep the caller's own settings; a new nickname is told to all."""
    known(ctx)
    given = {
        name: value
        for name in c.Settings.__struct_fields__
        if (value := getattr(command, name)) is not msgspec.UNSET
    }
    if not given:
        return Decision()
    append: tuple[Append, ...] = ()
    if "nickname" in given:
        if ctx.role == Role.NONE:
            raise NotAMember
        quiet(state, ctx)
        append = (Append("nickname", Nickname(given["nickname"] or "")),)
    change = MemberChange(user=ctx.user, settings=msgspec.Raw(msgspec.json.encode(given)))
    return Decision(append=append, members=(change,))


def mark_unread(state: Direct | Group, command: c.MarkUnread, ctx: Context) -> Decision:
    """Set or take away the flag."""
    known(ctx)
    return Decision(members=(MemberChange(user=ctx.user, marked=command.on),))


RULES: dict[type, Rule] = {
    c.React: Rule(decide=react, needs=one_entry),
    c.PinMessage: Rule(decide=pin, needs=one_entry),
    c.Delete: Rule(decide=delete, role=Role.NONE),
    c.Clear: Rule(decide=clear, role=Role.NONE),
    c.Settings: Rule(decide=settings, needs=settings_needs, role=Role.NONE),
    c.MarkUnread: Rule(decide=mark_unread, role=Role.NONE),
}
