"""What a scenario declares: its commands, its state and the pure rules between them.

A rule is `decide(state, command, ctx) -> Decision`: no clock, no IO, no randomness. What it needs
to know of the world comes in `ctx`; a refusal is an exception of `model.errors`. The engine saves
entries, state and members of one decision together, fenced by the log's version; when somebody
else was faster it reads again and decides again, so a rule must not assume it runs once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from hongyan.model.ids import DeviceId, LogId, OpId, Seq, TenantId, UserId
from hongyan.model.live import Count, LiveSpec, Put, Say
from hongyan.model.log import DURABLE, DeliveryClass, Entry, Member, MemberChange, Role


class Needs(msgspec.Struct, frozen=True, gc=False):
    """What the engine must load before the rule may run. Absent things are absent from `ctx`."""

    entries: tuple[Seq, ...] = ()  # of this log, as the caller may see them
    members: tuple[UserId, ...] = ()  # of this log
    users: tuple[UserId, ...] = ()  # accounts of this tenant: existing and enabled?
    selves: tuple[UserId, ...] = ()  # the state of these users' own logs (block lists)
    sources: tuple[tuple[LogId, Seq], ...] = ()  # entries of other logs the caller can read
    judge: str = ""  # text that the word filter has to look at first


NOTHING = Needs()


class Context(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The world at the moment of one decision."""

    tenant: TenantId
    log: LogId
    user: UserId
    device: DeviceId
    op: OpId
    now_ms: int
    role: Role
    member: Member | None  # the caller's row; None = never was one
    head: Seq
    count: int  # members
    token: str  # 128 random bits as text, new for each call of a rule that `draws`
    admin: bool = False  # an administrator of the tenant, or an API key with that scope
    settings: Mapping[str, Any]  # the kind's section of the configuration, over its defaults
    entries: Mapping[Seq, Entry] = {}
    amended: Mapping[tuple[Seq, str], Entry] = {}  # newest entry per (needed entry, slot)
    members: Mapping[UserId, Member] = {}
    users: frozenset[UserId] = frozenset()
    selves: Mapping[UserId, Any] = {}
    sources: Mapping[tuple[LogId, Seq], Entry] = {}
    backend: bool = False  # an API key calls, in the user's name
    guest: bool = False  # came with a viewer's token: may look, not talk
    spoke_ms: int = 0  # when the caller's last live item in this log was taken; 0 = not known
    words: tuple[str, ...] = ()  # what the word filter found in `Needs.judge`


class Append(msgspec.Struct, frozen=True, gc=False):
    """An entry to write; `body` is a Struct or a JSON-able value."""

    type: str
    body: Any
    count: bool = False
    target: Seq = Seq(0)
    slot: str = ""
    mentions: tuple[UserId, ...] = ()
    mention_all: bool = False
    erases: bool = False


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What a rule wants done: all of it, or (raise) none. An empty one is a no-op with an ack."""

    append: tuple[Append, ...] = ()
    state: Any = None  # the new state; None = unchanged
    members: tuple[MemberChange, ...] = ()
    max_members: int = 0
    live: tuple[Say, ...] = ()  # sent after the commit, if there is anything to commit
    counts: tuple[Count, ...] = ()
    values: tuple[Put, ...] = ()
    dismiss: tuple[UserId, ...] = ()  # these may not watch any more: told, and let go

    @property
    def tells(self) -> bool:
        """Whether viewers of a live log get something beside entries."""
        return bool(self.live or self.counts or self.values or self.dismiss)

    @property
    def passes(self) -> bool:
        """Whether there is nothing to commit, but something to tell."""
        return self.tells and not (self.append or self.members or self.state is not None)


Decide = Callable[[Any, Any, Context], Decision]


class Rule(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How one command is handled.

    `role` is the least role of a caller; NONE lets non-members call (join by link, open), and
    the rule itself must then check. `place` names the log of a command that is sent without one
    (creation): pure, so that a retry finds the same log. `creates` allows the log to be absent:
    the rule is then given state None and must return one.
    """

    decide: Decide
    needs: Callable[[Any, Context], Needs] | None = None
    role: Role = Role.MEMBER
    creates: bool = False
    place: Callable[[Any, Context], LogId] | None = None
    draws: bool = False  # the rule wants a random `ctx.token`; else it is ""
    passing: bool = False  # never commits: a refused call cannot have been done before
    apart: bool = False  # counts apart from what all say in the log: a flood does not drown it
    once: bool = False  # its op is the log's: another user who uses it again meets Clash


class SignalRule(msgspec.Struct, frozen=True, gc=False):
    """A signal that members may send: never stored, dropped when a receiver is slow."""

    args: type
    max_members: int = 512  # off in larger logs


class Kind(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A scenario type of a log. `code` is its short name in log ids, `name` its long one."""

    name: str
    code: str
    state: type  # a msgspec Struct; JSON at rest, so: new fields last, with a default
    rules: Mapping[type, Rule]  # by command Struct; its tag is the call's name
    classes: Mapping[str, DeliveryClass] = {}  # by entry type; the rest is DURABLE
    signals: Mapping[str, SignalRule] = {}
    defaults: Mapping[str, Any] = {}  # settings of this kind
    told: tuple[str, ...] = ()  # those of its settings that every user may know
    view: Callable[[Any, Role], Any] = lambda state, role: state  # what a role may see of it
    search_text: Callable[[str, msgspec.Raw], str | None] = lambda entry_type, body: None
    receipts: bool = True  # members see each other's cursors
    live: LiveSpec | None = None  # viewers come without being members, see `admit`
    admit: Callable[[Any, Context], None] = lambda state, ctx: None  # raises why not to view
    live_of: Callable[[Any], LiveSpec | None] = lambda state: None  # this log's own; None = kind's
    shows_all: Callable[[Any, Context], bool] = lambda state, ctx: ctx.role > Role.MEMBER
    values: Callable[[Any], Mapping[str, Any]] = lambda state: {}  # values that the state says
    totals: Callable[[Any], Mapping[str, int]] = lambda state: {}  # that counts go on from
    settle: Callable[[Any, Mapping[str, int]], Any] | None = None  # the state with these totals
    arrives: Callable[[Any, Context, int], Say | None] = lambda state, ctx, viewers: None
    audience: Callable[[Any], Any] = lambda state: None  # when it differs, viewers are judged anew
    listing: Callable[[Any], Mapping[str, Any] | None] = lambda state: None  # in lists; None: not
    heat: Mapping[str, int] = {}  # what makes a log hot, each how much; empty = it is not told

    def class_of(self, entry_type: str) -> DeliveryClass:
        """The delivery class of an entry type."""
        return self.classes.get(entry_type, DURABLE)


def settings_of(
    kinds: Mapping[str, Kind], given: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """The settings of each kind by code: its defaults, and over them what is `given` by name."""
    return {code: {**kind.defaults, **given.get(kind.name, {})} for code, kind in kinds.items()}
