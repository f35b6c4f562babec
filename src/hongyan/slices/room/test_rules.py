"""The rules of a room, without an engine."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

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
from hongyan.model.ids import DeviceId, LogId, OpId, Seq, TenantId, UserId
from hongyan.model.kind import Context, Decision
from hongyan.model.live import Audience, Count, Lane, Put
from hongyan.model.log import Member, Role
from hongyan.slices.room import bodies as b
from hongyan.slices.room import commands as c
from hongyan.slices.room import rules
from hongyan.slices.room.kinds import DEFAULTS, ROOM_KIND
from hongyan.slices.room.state import Room, settle, spec_of, totals_of, values_of, view_room

ROOM = LogId("main/r/show")
ROLES = {"host": Role.OWNER, "mod": Role.ADMIN}
PEOPLE = frozenset(map(UserId, ("host", "mod", "bob", "eve")))


class World:
    """A room and its state; `call` decides and keeps the new state."""

    def __init__(self, **settings: Any) -> None:
        self.settings = {**DEFAULTS, **settings}
        self.now = 1_700_000_000_000
        self.roles = dict(ROLES)
        self.state: Room | None = Room(host=UserId("host"), title="Show")

    def context(self, user: str, **more: Any) -> Context:
        given = {
            "op": OpId("op1"),
            "users": PEOPLE,
            "members": {
                UserId(name): Member(UserId(name), role, Seq(1))
                for name, role in self.roles.items()
            },
            "count": len(self.roles),
            **more,
        }
        return Context(
            tenant=TenantId("main"),
            log=ROOM,
            user=UserId(user),
            device=DeviceId("d"),
            now_ms=self.now,
            role=self.roles.get(user, Role.NONE),
            member=None,
            head=Seq(0),
            token="",
            settings=self.settings,
            **given,
        )

    def call(self, user: str, command: Any, **more: Any) -> Decision:
        command = msgspec.json.decode(msgspec.json.encode(command), type=type(command))
        rule, ctx = rules.RULES[type(command)], self.context(user, **more)
        decision = rule.decide(self.state, command, ctx)
        assert rule.decide(self.state, command, ctx) == decision, "a rule must be pure"
        if decision.state is not None:
            data = msgspec.json.encode(decision.state)
            self.state = msgspec.json.decode(data, type=Room)
        for change in decision.members:
            if change.leave:
                self.roles.pop(change.user, None)
            elif change.role is not None:
                self.roles[change.user] = change.role
        return decision


def said(decision: Decision) -> Any:
    [only] = decision.live
    return only


def test_LR8_who_opens_a_room_is_its_host() -> None:
    world = World()
    world.state, world.roles = None, {}
    decision = world.call("host", c.Create("Launch", name="show", slow_s=5))
    assert decision.append[0].body == b.Created("Launch")
    assert [(m.user, m.role) for m in decision.members] == [("host", Role.OWNER)]
    assert world.state is not None
    assert (world.state.host, world.state.slow_s) == ("host", 5)
    with pytest.raises(BadState):
        world.call("host", c.Create("Launch", name="show"))
    with pytest.raises(BadArgs):
        World().call("host", c.Create("Launch", name="other"))
    closed = World(create="admins")
    closed.state = None
    with pytest.raises(Forbidden):
        closed.call("host", c.Create("Launch", name="show"))
    closed.call("host", c.Create("Launch", name="show"), admin=True)


MODERATE: list[Any] = [
    c.Update(open=False),
    c.Approve("bob", "o", "hi"),
    c.Announce("hello"),
    c.Pin("hello"),
    c.SetAttribute("k", msgspec.Raw(b"1")),
    c.Mute("bob", 5),
    c.Ban("bob"),
    c.Unban("bob"),
    c.Shadow("bob"),
    c.Delete(4),
]


@pytest.mark.parametrize("command", MODERATE, ids=lambda one: type(one).__name__)
def test_LR8_order_is_kept_by_host_moderators_and_administrators(command: Any) -> None:
    world = World()
    with pytest.raises(NotAMember):
        world.call("bob", command)
    for user, more in (("mod", {}), ("host", {}), ("root", {"admin": True})):
        world = World()
        if isinstance(command, c.Unban):
            world.call("host", c.Ban("bob"))
        assert world.call(user, command, **more) != Decision()


def test_LR8_only_the_host_appoints_and_nobody_acts_on_those_above() -> None:
    world = World()
    with pytest.raises(RoleTooLow):
        world.call("mod", c.Appoint("bob"))
    with pytest.raises(BadArgs):
        world.call("host", c.Appoint("nobody"))
    world.call("host", c.Appoint("bob"))
    assert world.roles["bob"] is Role.ADMIN
    assert world.call("host", c.Appoint("bob")) == Decision()
    for command in (c.Mute("host", 5), c.Ban("host"), c.Shadow("host"), c.Ban("bob")):
        with pytest.raises(RoleTooLow):
            world.call("mod", command)
    for user, admin in (("root", True), ("host", False)):  # nobody at all acts on the host
        with pytest.raises(RoleTooLow):
            world.call(user, c.Ban("host"), admin=admin)
    world.call("host", c.Ban("bob"))
    assert "bob" not in world.roles
    full = World(moderators=2)
    with pytest.raises(Full):
        full.call("host", c.Appoint("bob"))


def test_LR7_slow_mode_counts_from_the_last_message() -> None:
    world = World()
    world.call("host", c.Update(slow_s=30))
    world.call("bob", c.Say("one"))
    for ago, left in ((0, 30), (29_001, 1), (15_500, 15)):
        with pytest.raises(TooFast, match=f"{left} s left") as why:
            world.call("bob", c.Say("two"), spoke_ms=world.now - ago)
        assert why.value.retry_after_ms == 30_000 - ago
    world.call("bob", c.Say("two"), spoke_ms=world.now - 30_000)
    for user, more in (("mod", {}), ("shop", {"backend": True}), ("root", {"admin": True})):
        world.call(user, c.Say("two"), spoke_ms=world.now, **more)


def test_LR8_mutes_and_bans_end_by_themselves() -> None:
    world = World()
    world.call("mod", c.Mute("bob", 60))
    with pytest.raises(Muted) as muted:
        world.call("bob", c.Say("hi"))
    assert muted.value.retry_after_ms == 60_000
    banned = world.call("mod", c.Ban("eve", 60))
    assert banned.dismiss == ("eve",)
    with pytest.raises(Forbidden):
        world.call("eve", c.Like(1))
    world.now += 60_000
    world.call("bob", c.Say("hi"))
    world.call("eve", c.Say("hi"))
    world.call("mod", c.Mute("carl", 5))  # what is over is swept with the next
    assert world.state is not None
    assert set(world.state.muted) == {"carl"}
    world.call("mod", c.Mute("carl", 0))
    assert world.call("mod", c.Mute("carl", 0)) == Decision()
    world.call("mod", c.Ban("eve"))
    world.now += 10**12
    with pytest.raises(Forbidden):
        rules.admit(world.state, world.context("eve"))
    world.call("mod", c.Unban("eve"))
    rules.admit(world.state, world.context("eve"))


def test_LR8_lists_have_an_end() -> None:
    world = World(listed=2)
    for name in ("a", "b"):
        world.call("mod", c.Mute(name, 60))
        world.call("mod", c.Ban(name))
        world.call("mod", c.Shadow(name))
    for command in (c.Mute("c", 60), c.Ban("c"), c.Shadow("c")):
        with pytest.raises(Full):
            world.call("mod", command)


@pytest.mark.parametrize(
    ("mode", "audience"), [("hold", Audience.HOSTS), ("hide", Audience.SELF), ("refuse", None)]
)
def test_LR8_what_becomes_of_an_unwanted_word(mode: Any, audience: Audience | None) -> None:
    world = World()
    world.call("host", c.Update(filter=mode))
    if audience is None:
        with pytest.raises(Unwanted):
            world.call("bob", c.Say("spam"), words=("spam",))
    else:
        one = said(world.call("bob", c.Say("spam"), words=("spam",)))
        assert (one.audience, one.keep) == (audience, False)
        assert one.body.held == (mode == "hold")
    assert said(world.call("mod", c.Say("spam"), words=("spam",))).audience is Audience.ALL
    assert rules.judged(c.Say("spam"), world.context("bob")).judge == "spam"


def test_LR8_shadow_goes_before_hold_and_leaves_no_trace() -> None:
    world = World()
    world.call("host", c.Update(hold=True))
    assert said(world.call("bob", c.Say("hi"))).audience is Audience.HOSTS
    shadowed = world.call("mod", c.Shadow("bob"))
    assert not shadowed.append
    one = said(world.call("bob", c.Say("hi")))
    assert (one.audience, one.body.held) == (Audience.SELF, False)
    assert not view_room(world.state, Role.NONE).shadowed
    assert view_room(world.state, Role.ADMIN).shadowed == {"bob"}


def test_LR3_a_gift_is_its_order() -> None:
    world = World()
    gift = c.Gift("o1", "rose", count=3, value=30)
    with pytest.raises(Forbidden):
        world.call("bob", gift, op=OpId("o1"))
    with pytest.raises(BadArgs):
        world.call("shop", gift, backend=True)
    decision = world.call("shop", gift, backend=True, op=OpId("o1"))
    assert decision.append[0].body == b.Given("o1", "rose", 3, 30)
    assert decision.counts == (Count("gifts", 30),)
    assert not decision.live
    free = World(gifts="users")
    free.call("bob", gift, op=OpId("o1"))
    free.call("host", c.Update(open=False))
    with pytest.raises(BadState):
        free.call("bob", gift, op=OpId("o1"))


def test_LR2_likes_are_counts_and_settle_into_the_state() -> None:
    world = World()
    assert world.call("bob", c.Like(7)).counts == (Count("likes", 7),)
    assert world.state is not None
    settled = settle(world.state, {"likes": 9})
    assert totals_of(settled) == {"likes": 9, "gifts": 0, "visitors": 0}
    assert settle(settled, {"likes": 9}) is settled
    with pytest.raises(msgspec.ValidationError):
        world.call("bob", c.Like(101))


def test_LR11_attributes_and_the_pin_are_values() -> None:
    world = World(attributes=1)
    world.call("mod", c.SetAttribute("scene", msgspec.Raw(b'{"n":1}')))
    world.call("mod", c.Pin("Welcome"))
    told = values_of(world.state)
    assert bytes(told["attr:scene"]) == b'{"n":1}'
    assert (told["pinned"].text, told["pinned"].author) == ("Welcome", "mod")
    with pytest.raises(Full):
        world.call("mod", c.SetAttribute("more", msgspec.Raw(b"1")))
    with pytest.raises(BadArgs):
        world.call("mod", c.SetAttribute("scene", msgspec.Raw(b'"%s"' % (b"x" * 4096))))
    gone = world.call("mod", c.SetAttribute("scene", msgspec.Raw(b"null")))
    assert gone.values == (Put("attr:scene", None),)
    assert world.call("mod", c.SetAttribute("scene", msgspec.Raw(b"null"))) == Decision()
    world.call("mod", c.Pin(" "))
    assert values_of(world.state)["pinned"] is None
    assert world.call("mod", c.Pin("")) == Decision()


def test_LR10_guests_watch_where_the_room_takes_them() -> None:
    world = World()
    with pytest.raises(Forbidden, match="logged in"):
        rules.admit(world.state, world.context("guest.1", guest=True))
    world.call("host", c.Update(guests=True))
    rules.admit(world.state, world.context("guest.1", guest=True))
    assert rules.arrives(world.state, world.context("guest.1", guest=True), 1) is None


def test_LR9_who_comes_is_told_while_the_room_is_small() -> None:
    world = World()
    world.call("host", c.Update(greet=10))
    come = rules.arrives(world.state, world.context("bob"), 10)
    assert come is not None
    assert (come.type, come.lane) == ("came", Lane.LOW)
    assert rules.arrives(world.state, world.context("bob"), 11) is None


def test_LR12_what_all_see_is_kept_by_its_moment() -> None:
    world = World()
    one = said(world.call("bob", c.Say("hi", media_ms=1500)))
    assert (one.keep, one.media_ms, one.lane) == (True, 1500, Lane.NORMAL)
    approved = said(world.call("mod", c.Approve("eve", "o", "hi", media_ms=7)))
    assert (approved.keep, approved.media_ms, approved.body.by) == (True, 7, "eve")
    gone = said(world.call("mod", c.Delete(4, epoch=9)))
    assert (gone.erases, gone.epoch, gone.lane, gone.keep) == (4, 9, Lane.HIGH, False)


def test_LR8_updates_change_what_differs_and_nothing_else() -> None:
    world = World()
    assert world.call("host", c.Update(title="Show", rate=10)) == Decision()
    decision = world.call("host", c.Update(title="New", rate=10, tick_ms=500))
    assert decision.append[0].body == b.Changed({"title": "New", "tick_ms": 500})
    spec = spec_of(world.state)
    assert spec is not None
    assert (spec.tick_ms, spec.rate) == (500, 10)
    world.call("host", c.Update(muted_all=True))
    with pytest.raises(Muted):
        world.call("bob", c.Say("hi"))
    world.call("mod", c.Say("hi"))


BAD: list[tuple[type[Any], dict[str, Any]]] = [
    (c.Say, {"text": ""}),
    (c.Say, {"text": "   "}),
    (c.Say, {"text": "x" * 201}),
    (c.Say, {"text": "x", "color": "red"}),
    (c.Say, {"text": "x", "color": "#ffffff\n"}),
    (c.Say, {"text": "x", "position": "middle"}),
    (c.Say, {"text": "x", "media_ms": -2}),
    (c.Say, {"text": "x", "media_ms": 8 * 86_400_000}),
    (c.Create, {"title": "x", "slow_s": 121}),
    (c.Create, {"title": "x", "name": "a/b"}),
    (c.Gift, {"order": "o 1", "gift": "rose"}),
    (c.Gift, {"order": "o1", "gift": "rose", "count": 0}),
    (c.Gift, {"order": "o1", "gift": "rose", "value": -1}),
    (c.Like, {"n": 0}),
    (c.Delete, {"off": 0}),
    (c.Mute, {"user": "bob", "seconds": -1}),
]


@pytest.mark.parametrize(("command", "args"), BAD)
def test_LR8_what_cannot_be_said_is_refused_by_its_type(
    command: type[Any], args: dict[str, Any]
) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode(args), type=command)


def test_LR8_the_kind_says_what_the_rules_say() -> None:
    assert ROOM_KIND.live is not None
    assert ROOM_KIND.rules == rules.RULES
    assert all(rule.passing for command, rule in rules.RULES.items() if command in PASSING)


PASSING = {c.Say, c.Approve, c.Like, c.Delete}
