"""Block, unblock, set. Only the user whose log it is may call, and only that user reads it."""

from __future__ import annotations

from typing import Any

import msgspec

from hongyan.model.errors import BadArgs, Full, NoSuchUser
from hongyan.model.ids import LogId, UserId, self_log
from hongyan.model.kind import Append, Context, Decision, Needs, Rule
from hongyan.model.log import MemberChange, Role
from hongyan.slices.own import commands as c
from hongyan.slices.own.state import Self


class BlockChanged(msgspec.Struct, frozen=True, gc=False):
    """`blocked` and `unblocked`: whom."""

    user: UserId


class SettingsChanged(msgspec.Struct, frozen=True, gc=False):
    """`settings`: what changed; null = taken away."""

    settings: dict[str, msgspec.Raw]


def place(command: Any, ctx: Context) -> LogId:
    """The caller's own log."""
    return self_log(ctx.tenant, ctx.user)


def _mine(state: Self | None, ctx: Context) -> tuple[Self, tuple[MemberChange, ...]]:
    """The state, and the change that makes the user its one member the first time."""
    if ctx.log != place(None, ctx):
        raise BadArgs("this call belongs to the caller's own log: leave the log empty")
    if state is None:
        return Self(), (MemberChange(user=ctx.user, join=True, role=Role.OWNER, history=True),)
    return state, ()


def block_needs(command: c.Block, ctx: Context) -> Needs:
    """Whether there is such a user."""
    return Needs(users=(UserId(command.user),))


def block(state: Self | None, command: c.Block, ctx: Context) -> Decision:
    """Put a user on the list."""
    mine, join = _mine(state, ctx)
    user = UserId(command.user)
    if user == ctx.user:
        raise BadArgs("nobody blocks oneself")
    if user in mine.blocked:
        return Decision()
    if user not in ctx.users:
        raise NoSuchUser(f"no such user: {user}")
    if len(mine.blocked) >= ctx.settings["blocked"]:
        raise Full(f"{ctx.settings['blocked']} users are blocked: unblock one first")
    blocked = {**mine.blocked, user: ctx.now_ms}
    return Decision(
        append=(Append("blocked", BlockChanged(user)),),
        state=msgspec.structs.replace(mine, blocked=blocked),
        members=join,
    )


def unblock(state: Self | None, command: c.Unblock, ctx: Context) -> Decision:
    """Take a user off the list."""
    mine, join = _mine(state, ctx)
    user = UserId(command.user)
    if user not in mine.blocked:
        return Decision(state=mine if state is None else None, members=join)
    blocked = {other: at for other, at in mine.blocked.items() if other != user}
    return Decision(
        append=(Append("unblocked", BlockChanged(user)),),
        state=msgspec.structs.replace(mine, blocked=blocked),
    )


def set_settings(state: Self | None, command: c.Set, ctx: Context) -> Decision:
    """Change what differs."""
    mine, join = _mine(state, ctx)
    # copies: a Raw keeps the whole frame it came with in memory
    given = {key: value.copy() for key, value in command.settings.items()}
    new = {k: v for k, v in (mine.settings | given).items() if bytes(v) != b"null"}
    if new == mine.settings and state is not None:
        return Decision()
    _fit(new)
    return Decision(
        append=(Append("settings", SettingsChanged(given)),),
        state=msgspec.structs.replace(mine, settings=new),
        members=join,
    )


def _fit(settings: dict[str, msgspec.Raw]) -> None:
    """The settings are within their bounds, so that the entry and the state are."""
    if big := [key for key, value in settings.items() if len(bytes(value)) > c.MAX_VALUE]:
        raise BadArgs(f"{big[0]} has more than {c.MAX_VALUE} bytes of JSON")
    if len(settings) > c.MAX_KEYS or sum(map(len, map(bytes, settings.values()))) > c.MAX_VALUES:
        raise Full(f"{c.MAX_KEYS} settings, {c.MAX_VALUES} bytes of JSON: take some away first")


def _rule(decide: Any, needs: Any = None) -> Rule:
    return Rule(decide=decide, needs=needs, role=Role.NONE, creates=True, place=place)


RULES: dict[type, Rule] = {
    c.Block: _rule(block, block_needs),
    c.Unblock: _rule(unblock),
    c.Set: _rule(set_settings),
}

BODIES: dict[str, type] = {
    "blocked": BlockChanged,
    "unblocked": BlockChanged,
    "settings": SettingsChanged,
}
