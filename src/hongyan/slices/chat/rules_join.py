"""Open a direct conversation, make a group; come and go."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Sequence

import msgspec

from hongyan.model.errors import BadArgs, BadState, Blocked, Full, NotAMember, RoleTooLow
from hongyan.model.ids import LogId, UserId, hashed_name, log_id, pair_name
from hongyan.model.kind import Append, Context, Decision, Needs, Rule
from hongyan.model.log import MemberChange, Role
from hongyan.slices.chat import commands as c
from hongyan.slices.chat.bodies import Created, Dissolved, Joined, Left
from hongyan.slices.chat.guards import (
    DIRECT,
    GROUP,
    accounts,
    alive,
    at_its_place,
    blocks,
    demand,
    present,
)
from hongyan.slices.chat.state import Direct, Group

# --- make -------------------------------------------------------------------------------------


def place_direct(command: c.OpenDirect, ctx: Context) -> LogId:
    """One conversation for a pair, named the same from both sides."""
    return log_id(ctx.tenant, DIRECT, pair_name(ctx.user, command.user))


def open_needs(command: c.OpenDirect, ctx: Context) -> Needs:
    """The other side's account, and who blocks whom."""
    return Needs(users=(UserId(command.user),), selves=(ctx.user, UserId(command.user)))


def open_direct(state: Direct | None, command: c.OpenDirect, ctx: Context) -> Decision:
    """Make both members. Where the conversation is there already, nothing is to do."""
    at_its_place(ctx, place_direct(command, ctx))
    if state is not None:
        return Decision()
    peer = UserId(command.user)
    accounts(ctx, (peer,))
    if blocks(ctx, ctx.user, peer):
        raise Blocked(f"you have blocked {peer}: unblock first")
    if blocks(ctx, peer, ctx.user):
        raise Blocked
    members = tuple(
        MemberChange(user=user, join=True, history=True)
        for user in dict.fromkeys((ctx.user, peer))  # one member where it is the caller alone
    )
    return Decision(state=Direct(), members=members)


def place_group(command: c.CreateGroup, ctx: Context) -> LogId:
    """A name nobody can guess or choose; the same call meets the same group."""
    return log_id(ctx.tenant, GROUP, hashed_name(ctx.tenant, ctx.user, ctx.op))


def create_needs(command: c.CreateGroup, ctx: Context) -> Needs:
    """The first members' accounts and block lists."""
    users = _others(command.members, ctx)
    return Needs(users=users, selves=users)


def create_group(state: Group | None, command: c.CreateGroup, ctx: Context) -> Decision:
    """Make a group of the caller, its owner, and others."""
    at_its_place(ctx, place_group(command, ctx))
    if state is not None:
        return Decision()
    others = _others(command.members, ctx)
    _may_add(others, ctx)
    limit = ctx.settings["max_members"]
    if command.max_members > limit:
        raise BadArgs(f"max_members is at most {limit}")
    new = Group(
        owner=ctx.user,
        title=command.title,
        avatar=command.avatar,
        join_mode=command.join_mode,
        members_invite=command.members_invite,
        history_visible=command.history_visible,
        max_members=command.max_members,
    )
    return Decision(
        append=(Append("created", Created(command.title, others)),),
        state=new,
        members=(
            MemberChange(user=ctx.user, join=True, role=Role.OWNER),
            *(MemberChange(user=user, join=True) for user in others),
        ),
        max_members=_room(new, ctx),
    )


def _others(names: Iterable[str], ctx: Context) -> tuple[UserId, ...]:
    return tuple(UserId(name) for name in dict.fromkeys(names) if name != ctx.user)


def _may_add(users: Sequence[UserId], ctx: Context) -> None:
    """All exist and none has blocked the caller; the text does not say which of the reasons a
    person may have."""
    accounts(ctx, users)
    if unwilling := [user for user in users if blocks(ctx, user, ctx.user)]:
        raise Blocked(f"cannot be added: {', '.join(unwilling)}")


# --- come -------------------------------------------------------------------------------------


def invite_needs(command: c.Invite, ctx: Context) -> Needs:
    """Who of them is a member, exists, has blocked the caller."""
    users = _others(command.users, ctx)
    return Needs(members=users, users=users, selves=users)


def invite(state: Group, command: c.Invite, ctx: Context) -> Decision:
    """Make users members. Plain members may, unless the group leaves it to admins."""
    have = demand(ctx, Role.MEMBER)
    alive(state)
    if have < Role.ADMIN and (state.join_mode == "approve" or not state.members_invite):
        raise RoleTooLow("only admins invite here")
    users = _others(command.users, ctx)
    here = set(present(ctx, users))
    new = tuple(user for user in users if user not in here)
    if not new:
        return Decision()
    _may_add(new, ctx)
    return _let_in(state, new, "invite", ctx)


def _let_in(state: Group, users: tuple[UserId, ...], how: str, ctx: Context) -> Decision:
    """The limit of members goes with the decision: only the store counts them for sure."""
    waiting = {user: at for user, at in state.pending.items() if user not in users}
    had_asked = len(waiting) < len(state.pending)
    return Decision(
        append=(Append("joined", Joined(users, how)),),
        state=msgspec.structs.replace(state, pending=waiting) if had_asked else None,
        members=tuple(_come(state, user, ctx) for user in users),
        max_members=_room(state, ctx),
    )


def _come(state: Group, user: UserId, ctx: Context) -> MemberChange:
    """A mute that still runs comes back with its member: leaving is no way out of it."""
    row = ctx.member if user == ctx.user else ctx.members.get(user)
    muted = row.muted_until if row is not None and row.muted_until > ctx.now_ms else None
    return MemberChange(user=user, join=True, history=state.history_visible, muted_until=muted)


def _room(state: Group, ctx: Context) -> int:
    limit: int = ctx.settings["max_members"]
    return min(state.max_members or limit, limit)


def join(state: Group, command: c.Join, ctx: Context) -> Decision:
    """Come in by oneself, as far as the group lets people."""
    if ctx.role >= Role.MEMBER:
        return Decision()
    alive(state)
    match state.join_mode:
        case "open":
            return _let_in(state, (ctx.user,), "open", ctx)
        case "link":
            if not (state.link and hmac.compare_digest(state.link, command.token)):
                raise NotAMember("this link does not let in (any more)")
            return _let_in(state, (ctx.user,), "link", ctx)
        case "approve":
            return _ask(state, ctx)
        case _:
            raise NotAMember("this group is joined by invitation")


def _ask(state: Group, ctx: Context) -> Decision:
    if ctx.user in state.pending:
        return Decision()
    if len(state.pending) >= ctx.settings["pending"]:
        raise Full("too many people are waiting to be let in: try later")
    waiting = {**state.pending, ctx.user: ctx.now_ms}
    return Decision(state=msgspec.structs.replace(state, pending=waiting))


def approve_needs(command: c.Approve, ctx: Context) -> Needs:
    """Whether the user still exists, or is a member already."""
    user = UserId(command.user)
    return Needs(members=(user,), users=(user,))


def approve(state: Group, command: c.Approve, ctx: Context) -> Decision:
    """Let in a user who asked; done already where another admin was faster."""
    demand(ctx, Role.ADMIN)
    alive(state)
    user = UserId(command.user)
    if present(ctx, (user,)):
        return Decision()
    if user not in state.pending:
        raise BadState(f"{user} is not waiting to be let in")
    accounts(ctx, (user,))
    return _let_in(state, (user,), "approve", ctx)


def reject(state: Group, command: c.Reject, ctx: Context) -> Decision:
    """Strike a user off the list of those who asked."""
    demand(ctx, Role.ADMIN)
    alive(state)
    waiting = {user: at for user, at in state.pending.items() if user != command.user}
    if len(waiting) == len(state.pending):
        return Decision()
    return Decision(state=msgspec.structs.replace(state, pending=waiting))


# --- go ---------------------------------------------------------------------------------------


def leave(state: Group, command: c.Leave, ctx: Context) -> Decision:
    """Go. The owner hands the group over first; with the last member it ends."""
    gone = (MemberChange(user=ctx.user, leave=True),)
    if state.dissolved_at:
        return Decision(members=gone)  # no entry: nothing is written after the end
    if ctx.role < Role.OWNER:
        return Decision(append=(Append("left", Left((ctx.user,))),), members=gone)
    if ctx.count > 1:
        raise BadState("the owner hands the group over before leaving")
    return Decision(
        append=(Append("dissolved", Dissolved()),), state=ended(state, ctx), members=gone
    )


def ended(state: Group, ctx: Context) -> Group:
    """The state of a dissolved group: nobody can come any more."""
    return msgspec.structs.replace(state, dissolved_at=ctx.now_ms, link="", pending={})


def remove_needs(command: c.Remove, ctx: Context) -> Needs:
    """Their roles."""
    return Needs(members=tuple(UserId(name) for name in command.users))


def remove(state: Group, command: c.Remove, ctx: Context) -> Decision:
    """Make members of a lower rank leave; all or none."""
    have = demand(ctx, Role.ADMIN)
    alive(state)
    users = tuple(present(ctx, (UserId(name) for name in command.users)))
    if ctx.user in users:
        raise BadArgs("to go yourself, call chat.leave")
    if above := [user for user in users if ctx.members[user].role >= have]:
        raise RoleTooLow(f"not of a lower rank: {', '.join(above)}")
    if not users:
        return Decision()
    return Decision(
        append=(Append("left", Left(users, removed=True)),),
        members=tuple(MemberChange(user=user, leave=True) for user in users),
    )


OPEN = Rule(decide=open_direct, needs=open_needs, role=Role.NONE, creates=True, place=place_direct)
CREATE = Rule(
    decide=create_group, needs=create_needs, role=Role.NONE, creates=True, place=place_group
)

# Role NONE: the rule asks for the rank itself, because an administrator of the tenant governs
# groups without being a member.
RULES: dict[type, Rule] = {
    c.CreateGroup: CREATE,
    c.Invite: Rule(decide=invite, needs=invite_needs, role=Role.NONE),
    c.Join: Rule(decide=join, role=Role.NONE),
    c.Approve: Rule(decide=approve, needs=approve_needs, role=Role.NONE),
    c.Reject: Rule(decide=reject, role=Role.NONE),
    c.Leave: Rule(decide=leave),
    c.Remove: Rule(decide=remove, needs=remove_needs, role=Role.NONE),
}
DIRECT_RULES: dict[type, Rule] = {c.OpenDirect: OPEN}
