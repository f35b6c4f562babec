"""AD: what one tenant may take, and that the others do not notice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hongyan.config import ConfigError, load
from hongyan.model.errors import Overloaded, TooFast
from hongyan.model.ids import LogId, TenantId, UserId
from hongyan.ports import User
from hongyan.wire import frames as f
from tests.engine.rig import Person, Rig
from tests.engine.test_admission import goodbye
from tests.engine.test_edge_faults import rigged, turns
from tests.engine.test_rooms import opened, watch

ACME = TenantId("acme")


async def of_acme(rig: Rig, user: str) -> Person:
    """A device of a user of tenant acme that has said hello."""
    who = UserId(user)
    await rig.directory.put_user(User(tenant=ACME, user=who, name=user))
    token = await rig.node.authenticator.grant(ACME, who)
    person = Person(rig, user, f"{user}-1")
    person.say(f.Hello(token=token, device=person.device))
    return person


async def test_AD14_a_tenant_has_so_many_connections() -> None:
    async with rigged(options={"tenants.acme.connections": 2}) as rig:
        first, second = await of_acme(rig, "a"), await of_acme(rig, "b")
        await first.until(lambda x: isinstance(x, f.Welcome))
        await second.until(lambda x: isinstance(x, f.Welcome))
        third = await of_acme(rig, "c")
        said = await goodbye(third)
        assert said.code == Overloaded.code and "tenant" in said.text
        assert said.reconnect_after_ms > 0
        for n in range(3):
            await rig.person(f"main{n}")  # others do not notice
        shown = rig.node.metrics.render({}).decode()
        assert 'hongyan_tenant_sessions{tenant="acme"} 2.0' in shown
        first.lose()
        fourth = await of_acme(rig, "d")
        await fourth.until(lambda x: isinstance(x, f.Welcome))


async def test_AD14_one_refused_for_another_reason_takes_no_place() -> None:
    options = {"quota.connections": 2, "limits.connections_per_user": 1}
    async with rigged(options=options) as rig:
        await rig.person("alice", "one")
        for n in range(3):
            more = Person(rig, "alice", f"more{n}")
            more.say(f.Hello(token=await rig.token("alice"), device=more.device))
            assert (await goodbye(more)).code == Overloaded.code
        await rig.person("bob")


async def test_AD15_a_tenants_calls_are_limited_together() -> None:
    async with rigged(options={"quota.calls": 2}) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        people = (alice, bob)
        log = (await alice.call("chat.open", {"user": "bob"})).log
        acks = [await people[n % 2].send(log, str(n)) for n in range(4)]
        assert [type(x) for x in acks] == [f.Ack] * 3 + [f.Fail], "four in two seconds"
        refused = acks[3]
        assert refused.code == TooFast.code and "tenant" in refused.text and refused.retry
        rig.clock.advance((refused.retry_after_ms - 2) / 1000)
        assert isinstance(await bob.send(log, "a little early"), f.Fail)
        rig.clock.advance(0.002)
        assert isinstance(await bob.send(log, "now"), f.Ack)
        other = await of_acme(rig, "zoe")
        await other.until(lambda x: isinstance(x, f.Welcome))
        assert isinstance(await other.call("chat.create", {"title": "ours"}), f.Ack)


async def test_AD15_who_is_too_fast_alone_costs_the_tenant_nothing() -> None:
    options = {"quota.calls": 2, "limits.rates.user": {"rate": 0.001, "burst": 1}}
    async with rigged(options=options) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        log = (await alice.call("chat.open", {"user": "bob"})).log
        for n in range(20):
            refused = await alice.send(log, str(n))
            assert refused.code == TooFast.code and "user" in refused.text
        assert isinstance(await bob.send(log, "mine"), f.Ack)


async def test_AD15_a_tenant_may_have_no_limit_where_others_have_one() -> None:
    async with rigged(options={"quota.calls": 1, "tenants.main.calls": 0}) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        log = (await alice.call("chat.open", {"user": bob.user})).log
        acks = [await alice.send(log, str(n)) for n in range(20)]
        assert all(isinstance(ack, f.Ack) for ack in acks)


async def test_AD16_a_tenant_has_so_many_places_of_viewers() -> None:
    async with rigged(options={"tenants.main.viewers": 2}) as rig:
        _, room = await opened(rig)
        fans = [await rig.person(f"fan{n}") for n in range(4)]
        await watch(fans[0], room)
        await watch(fans[1], room)
        await watch(fans[1], room)  # the same place again
        refused = await fans[2].ask(f.Subscribe(ref=1, log=LogId(room)))
        assert isinstance(refused, f.Fail) and refused.code == Overloaded.code
        assert "tenant" in refused.text and refused.retry_after_ms > 0
        places = rig.node.viewing.logs.places
        assert places is not None and places.of("main") == 2
        fans[0].lose()
        await turns()
        await watch(fans[2], room)
        left = await fans[1].ask(f.Unsubscribe(ref=1, log=LogId(room)))
        assert isinstance(left, f.Ack)
        fans[3].lose()
        assert places.of("main") == 1


async def test_AD16_a_refused_viewer_leaves_nothing_behind() -> None:
    async with rigged(options={"tenants.main.viewers": 1}) as rig:
        _, room = await opened(rig)
        fans = [await rig.person(f"fan{n}") for n in range(2)]
        await watch(fans[0], room)
        await fans[1].ask(f.Subscribe(ref=1, log=LogId(room)))
        logs = rig.node.viewing.logs
        assert fans[1].peer not in logs._watched
        fans[1].lose()
        assert logs.places is not None and logs.places.of("main") == 1


def test_AD18_single_keys_are_overridden_for_one_tenant(tmp_path: Path) -> None:
    page = tmp_path / "hongyan.toml"
    page.write_text("[quota]\nconnections = 9\ncalls = 5.5\n[tenants.acme]\nconnections = 3\n")
    config = load(page, {"HONGYAN_TENANTS__ACME__VIEWERS": "7"}, {})
    acme, other = config.quota_of("acme"), config.quota_of("other")
    assert (acme.connections, acme.calls, acme.viewers) == (3, 5.5, 7)
    assert (other.connections, other.calls, other.viewers) == (9, 5.5, 0)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"tenants.acme.conections": 3}, "conections"),
        ({"tenants.acme.connections": -1}, "acme"),
        ({"tenants.acme.calls": "many"}, "acme"),
        ({"tenants.A b.calls": 1}, "A b"),
    ],
)
def test_AD18_what_is_wrong_is_named_at_the_start(given: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        load(None, {}, given)
