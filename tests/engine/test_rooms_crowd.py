"""Rooms as a whole: who has to go when they close, how many came, how hot they are."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from hongyan.engine.live.popularity import HALF_S
from hongyan.engine.live.viewing import VISITORS_EVERY, Viewing
from hongyan.model.ids import LogId, UserId
from hongyan.ports import User
from hongyan.wire import frames as f
from tests.engine.rig import MAIN, Person, Rig
from tests.engine.test_rooms import item, opened, text, watch


def told(person: Person) -> dict[str, Any]:
    """The newest of all values that were told."""
    frames = [x for x in person.link.frames if isinstance(x, f.Attached | f.Values)]
    return {v.key: msgspec.json.decode(v.value) for x in frames for v in x.values}


async def settle(rig: Rig) -> None:
    await rig.node.viewing.settle(rig.store)
    for _ in range(3):
        await asyncio.sleep(0)
        rig.clock.advance(0.5)
        rig.node.viewing.logs._run()
    await asyncio.sleep(0)


async def test_LR8_who_watches_a_room_that_closes_is_sent_away(rig: Rig) -> None:
    host, room = await opened(rig)
    mod, bob = await rig.person("mod"), await rig.person("bob")
    await host.call("room.appoint", {"user": "mod"}, log=room)
    for person in (host, mod, bob):
        await watch(person, room)
    await host.call("room.attribute", {"key": "scene", "value": 1}, log=room)
    await host.call("room.update", {"open": False}, log=room)
    gone = await bob.until(lambda x: isinstance(x, f.Signal))
    assert (gone.name, gone.log, gone.user) == ("dismissed", room, "bob")
    await host.call("room.say", {"text": "among us"}, log=room)
    assert text(await item(mod, lambda i: text(i) == "among us"))
    seen = [i for x in bob.link.frames if isinstance(x, f.Live) for i in x.items]
    assert not any(text(i) for i in seen)
    page = await bob.ask(f.Read(ref=0, log=LogId(room), after=0))
    assert isinstance(page, f.Fail) and page.code == 202
    await host.call("room.update", {"open": True}, log=room)
    await watch(bob, room)


async def test_LR8_a_room_that_an_administrator_shut_is_shut_for_its_host_too(rig: Rig) -> None:
    host, room = await opened(rig, listed=True)
    await rig.directory.put_user(User(tenant=MAIN, user=UserId("root"), admin=True))
    root, bob = await rig.person("root"), await rig.person("bob")
    for person in (host, bob):
        await watch(person, room)
    for person in (host, bob):
        assert (await person.call("room.bar", {}, log=room)).code == 209
    assert isinstance(await root.call("room.bar", {}, log=room), f.Ack)
    for person in (host, bob):
        gone = await person.until(lambda x: isinstance(x, f.Signal))
        assert (gone.name, gone.log) == ("dismissed", room)
        answer = await person.ask(f.Subscribe(ref=1, log=LogId(room)))
        assert answer.code == 112
    calls: list[tuple[str, dict[str, Any]]] = [
        ("room.say", {"text": "we are back"}),
        ("room.like", {}),
        ("room.update", {"open": True}),
        ("room.announce", {"text": "come"}),
        ("room.pin", {"text": "come"}),
        ("room.mute", {"user": "bob", "seconds": 5}),
    ]
    for name, args in calls:
        assert (await host.call(name, args, log=room)).code == 112, name
    rig.clock.advance(2)
    assert (await bob.query("rooms"))["rooms"] == []
    assert isinstance(await root.call("room.bar", {"on": False}, log=room), f.Ack)
    await watch(bob, room)


async def test_LR10_guests_have_to_go_when_the_room_takes_none_any_more(rig: Rig) -> None:
    host, room = await opened(rig, guests=True)
    bob = await rig.person("bob")
    token, _ = rig.node.authenticator.guest(LogId(room))
    guest = Person(rig, "guest", "tv")
    await guest.hello(token)
    for person in (host, bob, guest):
        await watch(person, room)
    await host.call("room.update", {"guests": False}, log=room)
    assert (await guest.until(lambda x: isinstance(x, f.Signal))).name == "dismissed"
    assert rig.node.viewing.logs.viewers == 2


async def test_LR8_who_is_banned_while_waiting_for_the_tick_is_not_let_in(rig: Rig) -> None:
    host, room = await opened(rig)
    bob = await rig.person("bob")
    await watch(host, room)
    await host.call("room.say", {"text": "first"}, log=room)  # goes out at once …
    rig.node.viewing.logs._run()
    await host.call("room.say", {"text": "second"}, log=room)  # … this waits, and so does bob
    asked = asyncio.create_task(bob.ask(f.Subscribe(ref=1, log=LogId(room))))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not asked.done()
    await host.call("room.ban", {"user": "bob", "seconds": 60}, log=room)
    rig.clock.advance(0.5)
    rig.node.viewing.logs._run()
    answer = await asked
    assert isinstance(answer, f.Fail) and answer.code == 209
    assert rig.node.viewing.logs.viewers == 1
    assert rig.node.viewing._refused == {209: 1}


async def test_LR9_visitors_and_heat_are_told_and_visitors_kept(rig: Rig) -> None:
    host, room = await opened(rig)
    await watch(host, room)
    people = [await rig.person(f"p{n}") for n in range(4)]
    for person in people:
        await watch(person, room)
        await watch(person, room)  # again: the same one
    await people[0].call("room.like", {"n": 30}, log=room)
    await settle(rig)
    assert told(host)["visitors"] == 5
    # 5 visitors at 5, 30 likes, 5 who are here
    assert told(host)["heat"] == 60
    for _ in range(VISITORS_EVERY):
        await settle(rig)
    rig.clock.advance(HALF_S * 20)
    await settle(rig)
    assert told(host)["heat"] == 5

    rig.node.viewing.logs.forget(host.peer)
    for person in people:
        rig.node.viewing.logs.forget(person.peer)
    epoch = next(x.epoch for x in host.link.frames if isinstance(x, f.Attached))
    rig.node.viewing.logs._evict()  # another life of the log
    back = await watch(host, room, epoch=epoch, after=1)
    assert {v.key: bytes(v.value) for v in back.values}["visitors"] == b"5"
    await watch(await rig.person("late"), room)
    await settle(rig)
    assert told(host)["visitors"] == 6


async def test_LR6_what_viewers_may_ask_for_makes_few_groups(rig: Rig) -> None:
    """Each rate is a group that every tick chooses for: a client must not make a thousand."""
    _, room = await opened(rig)
    bob = await rig.person("bob")
    rates = {(await watch(bob, room, rate=rate)).rate for rate in range(0, 1500, 7)}
    assert len(rates) <= 12
    assert 0 in rates and max(rates) == 1000


@pytest.mark.parametrize(
    ("asked", "usual", "given"),
    [(0, 10, 10), (7, 10, 5), (10, 10, 10), (99, 10, 10), (0, 0, 0), (3, 0, 3), (4096, 0, 1000)],
)
def test_LR6_nobody_is_shown_more_than_the_room_says(asked: int, usual: int, given: int) -> None:
    assert Viewing._rate(asked, usual) == given


async def test_LR13_what_is_remembered_of_a_room_goes_with_it(rig: Rig) -> None:
    host, room = await opened(rig)
    await host.call("room.say", {"text": "hello"}, log=room)
    viewing = rig.node.viewing
    await settle(rig)
    assert len(viewing._spoken) == 1
    viewing.logs._evict()
    await settle(rig)
    assert len(viewing._spoken) == 0
    assert not viewing.crowds._crowds


async def test_LR15_rooms_that_want_to_be_found_are_listed_the_hottest_first(rig: Rig) -> None:
    host, bob = await rig.person("host"), await rig.person("bob")
    logs = {}
    for number, name in enumerate("abcdef"):
        title = {"title": name.upper(), "name": name, "listed": name != "f"}
        logs[name] = (await host.call("room.create", title)).log
        await watch(host, logs[name])
        for _ in range(number):
            await host.call("room.like", {"n": 10}, log=logs[name])
    await host.call("room.update", {"open": False}, log=logs["e"])
    await host.call("room.update", {"listed": False}, log=logs["d"])
    rig.clock.advance(2)
    pages, after, more = [], None, True
    while more:
        answer = await bob.query("rooms", after=after, limit=2)
        pages.append([room["title"] for room in answer["rooms"]])
        after, more = answer["after"], answer["more"]
    assert pages == [["C", "B"], ["A"]]
    first = (await bob.query("rooms", limit=1))["rooms"][0]
    assert {k: first[k] for k in ("log", "host", "guests", "online")} == {
        "log": logs["c"],
        "host": "host",
        "guests": False,
        "online": 1,
    }
    assert 15 <= first["heat"] <= 21  # 20 likes, cooling, and one who is here
    await host.call("room.update", {"open": True, "listed": True}, log=logs["e"])
    rig.clock.advance(2)
    assert (await bob.query("rooms"))["rooms"][0]["title"] == "E"
    for bad in ({"limit": 0}, {"limit": 101}, {"after": ["x", 1]}, {"after": [1]}):
        assert (await bob.query("rooms", **bad)).code == 106
    rig.node.viewing.logs.forget(host.peer)
    for _ in range(6):
        await settle(rig)
        rig.node.viewing.logs._evict()
    assert (await bob.query("rooms"))["rooms"] == []


async def test_LR15_no_list_shows_rooms_of_another_tenant(rig: Rig) -> None:
    host = await rig.person("host")
    ack = await host.call("room.create", {"title": "Ours", "listed": True})
    await watch(host, ack.log)
    rig.clock.advance(2)
    assert len(rig.node.viewing.crowds.listed("main/r/")) == 1
    assert rig.node.viewing.crowds.listed("mai/r/") == []
