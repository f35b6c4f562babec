"""Roles, mutes, what a group is called and looks like, its link, its end."""

from __future__ import annotations

from typing import Any

import msgspec

from hongyan.model.errors import BadArgs, RoleTooLow
from hongyan.model.ids import UserId
from hongyan.model.kind import Append, Context, Decision, Rule
from hongyan.model.log import MemberChange, Role
from hongyan.slices.chat import commands as c
from hongyan.slices.chat.bodies import Changed, Dissolved, MuteChanged, RoleChanged
from hongyan.slices.chat.guards import alive, demand, member, one_member
from hongyan.slices.chat.rules_join import ended
from hongyan.slices.chat.state import Group

FOR_OWNERS = frozenset({"history_visible", "max_members"})


def set_role(state: Group, command: c.SetRole, ctx: Context) -> Decision:
    """Make or unmake an admin."""
    demand(ctx, Role.OWNER)
    alive(state)
    user = UserId(command.user)
    old = member(ctx, user).role
    if old == Role.OWNER:
        raise RoleTooLow("the owner's role moves by chat.transfer")
    new = Role[command.role.upper()]
    if new == old:
        return Decision()
    return Decision(
        append=(Append("role", RoleChanged(user, command.role)),),
        members=(MemberChange(user=user, role=new),),
    )


def transfer(state: Group, command: c.Transfer, ctx: Context) -> Decision:
    """Hand the group over; an old mute of the new owner ends."""
    demand(ctx, Role.OWNER)
    alive(state)
    user = UserId(command.user)
    if user == state.owner:
        return Decision()
    member(ctx, user)
    return Decision(
        append=(Append("role", RoleChanged(user, "owner")),),
        state=msgspec.structs.replace(state, owner=user),
        members=(
            MemberChange(user=user, role=Role.OWNER, muted_until=0),
            MemberChange(user=state.owner, role=Role.ADMIN),
        ),
    )


def mute(state: Group, command: c.Mute, ctx: Context) -> Decision:
    """Silence a member of a lower rank for a while, or let the member speak again."""
    have = demand(ctx, Role.ADMIN)
    alive(state)
    user = UserId(command.user)
    row = member(ctx, user)
    if row.role >= have:
        raise RoleTooLow(f"{user} is not of a lower rank")
    if not command.seconds and row.muted_until <= ctx.now_ms:
        return Decision()
    until = ctx.now_ms + command.seconds * 1000 if command.seconds else 0
    return Decision(
        append=(Append("muted", MuteChanged(user, until)),),
        members=(MemberChange(user=user, muted_until=until),),
    )


def mute_all(state: Group, command: c.MuteAll, ctx: Context) -> Decision:
    """Let only admins speak, or all."""
    demand(ctx, Role.ADMIN)
    alive(state)
    return _change(state, {"mute_all": command.on})


def update(state: Group, command: c.Update, ctx: Context) -> Decision:
    """Change what is given; how open and how large the group is stays with the owner."""
    have = demand(ctx, Role.ADMIN)
    alive(state)
    given = {
        name: value
        for name in c.Update.__struct_fields__
        if (value := getattr(command, name)) is not msgspec.UNSET
    }
    if have < Role.OWNER and FOR_OWNERS & given.keys():
        raise RoleTooLow(f"only the owner changes {' and '.join(sorted(FOR_OWNERS))}")
    if given.get("max_members", 0) > ctx.settings["max_members"]:
        raise BadArgs(f"max_members is at most {ctx.settings['max_members']}")
    return _change(state, given)


def _change(state: Group, given: dict[str, Any]) -> Decision:
    """Save and tell what differs; nothing where nothing does."""
    new = {name: value for name, value in given.items() if value != getattr(state, name)}
    if not new:
        return Decision()
    return Decision(
        append=(Append("changed", Changed(**new)),), state=msgspec.structs.replace(state, **new)
    )


def set_link(state: Group, command: c.SetLink, ctx: Context) -> Decision:
    """Make, renew or end the link. The entry does not carry the token: all members read it."""
    demand(ctx, Role.ADMIN)
    alive(state)
    if bool(state.link) == command.on and not (command.on and command.renew):
        return Decision()
    return Decision(
        append=(Append("changed", Changed(link=command.on)),),
        state=msgspec.structs.replace(state, link=ctx.token if command.on else ""),
    )


def dissolve(state: Group, command: c.Dissolve, ctx: Context) -> Decision:
    """End the group."""
    demand(ctx, Role.OWNER)
    if state.dissolved_at:
        return Decision()
    return Decision(append=(Append("dissolved", Dissolved()),), state=ended(state, ctx))


# Role NONE: the rule asks for the rank itself, because an administrator of the tenant governs
# groups without being a member.
RULES: dict[type, Rule] = {
    c.SetRole: Rule(decide=set_role, needs=one_member, role=Role.NONE),
    c.Transfer: Rule(decide=transfer, needs=one_member, role=Role.NONE),
    c.Mute: Rule(decide=mute, needs=one_member, role=Role.NONE),
    c.MuteAll: Rule(decide=mute_all, role=Role.NONE),
    c.Update: Rule(decide=update, role=Role.NONE),
    c.SetLink: Rule(decide=set_link, role=Role.NONE, draws=True),
    c.Dissolve: Rule(decide=dissolve, role=Role.NONE),
}
