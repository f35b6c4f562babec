"""A user's own log."""

from __future__ import annotations

import msgspec
import pytest

from hongyan.model.errors import BadArgs, Full, NoSuchUser
from hongyan.model.log import Role
from hongyan.slices.chat.testkit import World
from hongyan.slices.own import commands as c
from hongyan.slices.own.kinds import SELF_KIND


def raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


def test_C48_the_first_call_makes_the_log_of_its_one_member() -> None:
    world = World(SELF_KIND)
    (entry,) = world.call("alice", c.Block("bob"))
    assert (world.log, world.count, world.role("alice")) == ("main/u/alice", 1, Role.OWNER)
    assert (entry.type, entry.count, world.body(1)) == ("blocked", False, {"user": "bob"})
    assert world.state.blocked == {"bob": world.now}
    world.call("alice", c.Block("carol"))
    assert list(world.state.blocked) == ["bob", "carol"]


def test_C48_blocking_and_unblocking_twice_writes_nothing() -> None:
    world = World(SELF_KIND)
    assert world.call("alice", c.Unblock("bob")) == []
    assert world.call("alice", c.Unblock("bob")) == []
    world.call("alice", c.Block("bob"))
    assert world.call("alice", c.Block("bob")) == []
    (entry,) = world.call("alice", c.Unblock("bob"))
    assert (entry.type, world.body(2), world.state.blocked) == ("unblocked", {"user": "bob"}, {})


def test_C48_a_block_list_holds_users_and_is_bounded() -> None:
    world = World(SELF_KIND, settings={"blocked": 2})
    for user, error in (("alice", BadArgs), ("nobody", NoSuchUser)):
        with pytest.raises(error):
            world.call("alice", c.Block(user))
    world.call("alice", c.Block("bob"))
    world.call("alice", c.Block("carol"))
    with pytest.raises(Full):
        world.call("alice", c.Block("dave"))
    world.people -= {"bob"}
    world.call("alice", c.Unblock("bob"))  # who is gone can still be struck off
    world.call("alice", c.Block("dave"))


def test_C49_settings_of_a_user_are_any_json() -> None:
    world = World(SELF_KIND)
    (entry,) = world.call("alice", c.Set({"theme": raw('"dark"'), "sounds": raw('{"on":true}')}))
    assert (entry.type, world.body(1)) == (
        "settings",
        {"settings": {"theme": "dark", "sounds": {"on": True}}},
    )
    assert world.call("alice", c.Set({"theme": raw('"dark"')})) == []
    world.call("alice", c.Set({"theme": raw("null"), "lang": raw('"zh"')}))
    assert {k: bytes(v) for k, v in world.state.settings.items()} == {
        "sounds": b'{"on":true}',
        "lang": b'"zh"',
    }
    assert world.call("alice", c.Set({"gone": raw("null")})) == []


def test_C49_settings_are_bounded_one_by_one_and_together() -> None:
    world = World(SELF_KIND)
    for bad in ({}, {"a b": raw("1")}, {"": raw("1")}, {"x": raw('"%s"' % ("x" * 4_096))}):
        with pytest.raises(BadArgs):
            world.call("alice", c.Set(bad))
    world.call("alice", c.Set({f"k{i}": raw("1") for i in range(100)}))
    with pytest.raises(Full):
        world.call("alice", c.Set({"more": raw("1")}))
    world.call("alice", c.Set({"k0": raw("null"), "more": raw("1")}))
    large = World(SELF_KIND)
    with pytest.raises(Full):
        large.call("alice", c.Set({f"k{i}": raw('"%s"' % ("x" * 4_000)) for i in range(9)}))
    assert large.call("alice", c.Set({f"k{i}": raw('"%s"' % ("x" * 4_000)) for i in range(8)}))


@pytest.mark.parametrize("command", [c.Block("carol"), c.Unblock("bob"), c.Set({"a": raw("1")})])
def test_C50_nobody_writes_in_the_own_log_of_another(command: object) -> None:
    for existing in (False, True):
        world = World(SELF_KIND, "main/u/bob")
        if existing:
            world.call("bob", c.Set({"a": raw("2")}))
        before = (world.state, list(world.entries))
        with pytest.raises(BadArgs):
            world.call("alice", command)
        assert (world.state, world.entries) == before
