"""Live rooms through the whole engine."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from hongyan.model.ids import LogId, UserId
from hongyan.ports import User
from hongyan.wire import frames as f
from hongyan.wire.codec import CODECS
from tests.engine.rig import MAIN, Person, Rig

MSGPACK = CODECS["hongyan.v1.msgpack"]


async def opened(rig: Rig, **settings: Any) -> tuple[Person, str]:
    """A host and the host's room."""
    host = await rig.person("host")
    ack = await host.call("room.create", {"title": "Launch", "rate": 0, **settings})
    assert isinstance(ack, f.Ack), ack
    return host, ack.log


async def watch(person: Person, room: str, **more: Any) -> f.Attached:
    asked = asyncio.create_task(person.ask(f.Subscribe(ref=1, log=LogId(room), **more)))
    while not asked.done():  # somebody may be let in with the next tick only
        await asyncio.wait({asked}, timeout=0.02)
        person.rig.clock.advance(0.3)
        person.rig.node.viewing.logs._run()
    answer = asked.result()
    assert isinstance(answer, f.Attached), answer
    return answer


def items(person: Person) -> list[Any]:
    return [i for frame in person.link.frames if isinstance(frame, f.Live) for i in frame.items]


async def item(person: Person, wanted: Any) -> Any:
    """The first live item that is wanted; the clock moves meanwhile."""

    def found(frame: Any) -> bool:
        return isinstance(frame, f.Live) and any(wanted(i) for i in frame.items)

    for _ in range(20):
        person.rig.clock.advance(0.5)
        person.rig.node.viewing.logs._run()
        try:
            frame = await person.until(found, 0.1)
        except TimeoutError:
            continue
        return next(i for i in frame.items if wanted(i))
    raise AssertionError(items(person))


def text(i: Any) -> str:
    return str(msgspec.json.decode(i.body).get("text", ""))


async def value(person: Person, key: str, wanted: Any) -> Any:
    def found(frame: Any) -> bool:
        return isinstance(frame, f.Values) and any(
            v.key == key and msgspec.json.decode(v.value) == wanted for v in frame.values
        )

    for _ in range(20):
        person.rig.clock.advance(0.5)
        person.rig.node.viewing.logs._run()
        try:
            return await person.until(found, 0.1)
        except TimeoutError:
            continue
    raise AssertionError([x for x in person.link.frames if isinstance(x, f.Values)])


async def test_LR11_who_comes_late_finds_the_room_as_it_is(rig: Rig) -> None:
    host, room = await opened(rig)
    for n in range(60):
        ack = await host.call("room.say", {"text": f"m{n}"}, log=room)
        assert (ack.stage, ack.cls, ack.seq) == ("accepted", "live", n + 1)
    await host.call("room.attribute", {"key": "scene", "value": {"n": 3}}, log=room)
    await host.call("room.pin", {"text": "Welcome!"}, log=room)
    bob = await rig.person("bob", codec=MSGPACK)
    attached = await watch(bob, room)
    assert [text(i) for i in attached.items] == [f"m{n}" for n in range(10, 60)]
    assert attached.off == 60
    values = {v.key: msgspec.json.decode(v.value) for v in attached.values}
    assert values["attr:scene"] == {"n": 3}
    assert values["pinned"]["text"] == "Welcome!"
    assert values["room"]["title"] == "Launch"
    await host.call("room.say", {"text": "now"}, log=room)
    await item(bob, lambda i: text(i) == "now")
    assert [i.off for i in items(bob) if i.type == "danmaku"] == [62]  # 61: bob came


async def test_LR10_guests_watch_with_a_short_token_and_cannot_speak(rig: Rig) -> None:
    host, room = await opened(rig)
    viewing = rig.node.viewing
    with pytest.raises(Exception, match="logged in"):
        await viewing.takes_guests(LogId(room))
    await host.call("room.update", {"guests": True}, log=room)
    await viewing.takes_guests(LogId(room))
    token, _ = rig.node.authenticator.guest(LogId(room))
    guest = Person(rig, "guest", "tv-1")
    welcome = await guest.hello(token)
    assert welcome.user.startswith("guest.") and not welcome.inbox.rows
    await watch(guest, room)
    refused = await guest.call("room.say", {"text": "hi"}, log=room)
    assert refused.code == 209
    other = (await host.call("room.create", {"title": "Other", "guests": True})).log
    for frame in (
        f.Subscribe(ref=1, log=LogId(other)),
        f.Read(ref=1, log=LogId(other), before=0),
        f.Sync(ref=1, after=0),
        f.Query(ref=1, name="devices"),
    ):
        assert (await guest.ask(frame)).code == 209
    await host.call("room.say", {"text": "hello"}, log=room)
    await item(guest, lambda i: text(i) == "hello")
    page = await guest.ask(f.Read(ref=1, log=LogId(room), before=0))
    assert [e.type for e in page.entries] == ["created", "changed"]
    who = guest.peer.identity
    assert who is not None and 0 < who.expires_at - rig.clock.now_ms() <= 3_600_000


async def test_LR2_likes_add_up_exactly_and_are_told_once_a_tick(rig: Rig) -> None:
    host, room = await opened(rig)
    bob = await rig.person("bob")
    await watch(host, room)
    await watch(bob, room)
    refs = [bob.start_call("room.like", {"n": 3}, log=room) for _ in range(100)]
    for ref in refs:
        ack = await bob.answer(ref)
        assert ack.stage == "accepted"
    again = await bob.call("room.like", {"n": 3}, log=room, op=f"bob-1-{refs[0]}")
    assert again.repeat
    await value(host, "likes", 300)
    told = [x for x in host.link.frames if isinstance(x, f.Values)]
    assert len(told) <= 3
    await rig.node.viewing.settle(rig.store)
    info = await rig.store.info(LogId(room))
    assert info is not None and msgspec.json.decode(info.state)["likes"] == 300


async def test_LR3_a_gift_is_kept_once_per_order_and_reaches_everybody(rig: Rig) -> None:
    _, room = await opened(rig)
    bob = await rig.person("bob")
    await watch(bob, room)
    forged = await bob.call("room.gift", {"order": "o1", "gift": "rose"}, log=room, op="o1")
    assert forged.code == 209
    shop = await rig.person("shop", token=await admin_token(rig))
    args = {"order": "o1", "gift": "rose", "count": 3, "value": 30}
    wrong = await shop.call("room.gift", args, log=room)
    assert wrong.code == 106
    first = await shop.call("room.gift", args, log=room, op="o1")
    second = await shop.call("room.gift", args, log=room, op="o1")
    assert (first.stage, first.cls, second.seq, second.repeat) == (
        "stored",
        "durable",
        first.seq,
        True,
    )
    other = await shop.call("room.gift", {**args, "count": 4}, log=room, op="o1")
    assert other.code == 110
    rig.clock.advance(1)
    rig.node.viewing.logs._run()
    entry = await bob.got(room, first.seq)
    assert msgspec.json.decode(entry.body)["count"] == 3
    await value(bob, "gifts", 30)
    assert [e.seq for e in bob.delivered(room)].count(first.seq) == 1
    page = await bob.ask(f.Read(ref=1, log=LogId(room), after=0))
    assert [e.type for e in page.entries] == ["created", "gift"]


async def admin_token(rig: Rig) -> str:
    await rig.directory.put_user(User(tenant=MAIN, user=UserId("shop"), admin=True))
    return await rig.node.authenticator.grant(MAIN, UserId("shop"))


async def test_LR7_slow_mode_says_how_long_and_spares_who_keeps_order(rig: Rig) -> None:
    host, room = await opened(rig, slow_s=30)
    bob = await rig.person("bob")
    assert (await bob.call("room.say", {"text": "one"}, log=room)).stage == "accepted"
    rig.clock.advance(10)
    refused = await bob.call("room.say", {"text": "two"}, log=room)
    assert (refused.code, refused.retry_after_ms) == (303, 20_000)
    assert "20 s" in refused.text
    for n in range(3):
        assert (await host.call("room.say", {"text": f"h{n}"}, log=room)).stage == "accepted"
    rig.clock.advance(20)
    assert (await bob.call("room.say", {"text": "two"}, log=room)).stage == "accepted"


async def test_LR8_who_is_banned_is_sent_away_and_cannot_come_back(rig: Rig) -> None:
    host, room = await opened(rig)
    bob = await rig.person("bob")
    await watch(bob, room)
    refused = await bob.call("room.ban", {"user": "host"}, log=room)
    assert refused.code == 202
    await host.call("room.ban", {"user": "bob", "seconds": 60}, log=room)
    await bob.until(lambda x: isinstance(x, f.Signal) and x.name == "dismissed")
    answer = await bob.ask(f.Subscribe(ref=1, log=LogId(room)))
    assert (answer.code, answer.retry_after_ms) == (209, 60_000)
    assert (await bob.call("room.say", {"text": "let me in"}, log=room)).code == 209
    rig.clock.advance(61)
    await watch(bob, room)
    await host.call("room.ban", {"user": "bob"}, log=room)
    rig.clock.advance(10**7)
    bob = await rig.person("bob", "bob-2")
    assert (await bob.ask(f.Subscribe(ref=1, log=LogId(room)))).code == 209
    await host.call("room.unban", {"user": "bob"}, log=room)
    await watch(bob, room)


async def test_LR8_mute_delete_and_moderators(rig: Rig) -> None:
    host, room = await opened(rig)
    bob, mod = await rig.person("bob"), await rig.person("mod")
    await watch(bob, room)
    await host.call("room.appoint", {"user": "mod"}, log=room)
    await mod.call("room.mute", {"user": "bob", "seconds": 60}, log=room)
    refused = await bob.call("room.say", {"text": "x"}, log=room)
    assert (refused.code, refused.retry_after_ms) == (204, 60_000)
    assert (await mod.call("room.mute", {"user": "host", "seconds": 9}, log=room)).code == 203
    await mod.call("room.mute", {"user": "bob", "seconds": 0}, log=room)
    said = await bob.call("room.say", {"text": "spam"}, log=room)
    await mod.call("room.delete", {"off": said.seq}, log=room)
    gone = await item(bob, lambda i: i.type == "deleted")
    assert msgspec.json.decode(gone.body) == {"off": said.seq}
    late = await watch(await rig.person("late"), room)
    assert "spam" not in [text(i) for i in late.items]
    await host.call("room.update", {"muted_all": True}, log=room)
    assert (await bob.call("room.say", {"text": "x"}, log=room)).code == 204
    assert (await mod.call("room.say", {"text": "order"}, log=room)).stage == "accepted"


async def test_LR8_what_waits_for_approval_is_seen_by_moderators_first(rig: Rig) -> None:
    host, room = await opened(rig, rate=10)
    bob, eve = await rig.person("bob"), await rig.person("eve")
    for person in (host, bob, eve):
        await watch(person, room)
    await host.call("room.update", {"hold": True}, log=room)
    ack = await bob.call("room.say", {"text": "hello"}, log=room, op="b1")
    assert ack.seq == 0
    held = await item(host, lambda i: text(i) == "hello")
    assert held.sender == "bob" and msgspec.json.decode(held.body)["held"] is True
    assert not [i for i in items(eve) if text(i)]
    await host.call("room.approve", {"user": "bob", "op": "b1", "text": "hello"}, log=room)
    shown = await item(eve, lambda i: text(i) == "hello")
    assert msgspec.json.decode(shown.body)["by"] == "bob"
    await host.call("room.update", {"hold": False}, log=room)
    await host.call("room.shadow", {"user": "bob"}, log=room)
    await bob.call("room.say", {"text": "anybody?"}, log=room)
    await item(bob, lambda i: text(i) == "anybody?")
    await host.call("room.say", {"text": "end"}, log=room)
    await item(eve, lambda i: text(i) == "end")
    assert "anybody?" not in [text(i) for i in items(eve)]


async def test_LR6_the_host_sees_all_and_a_viewer_what_can_be_read(rig: Rig) -> None:
    host, room = await opened(rig, rate=5)
    bob = await rig.person("bob")
    assert (await watch(host, room)).rate == 0
    assert (await watch(bob, room, rate=500)).rate == 5
    crowd = await rig.person("crowd")
    refs = [crowd.start_call("room.say", {"text": f"m{n}"}, log=room) for n in range(100)]
    for ref in refs:
        await crowd.answer(ref)
    rig.clock.advance(1)
    await crowd.call("room.say", {"text": "last"}, log=room)
    await item(host, lambda i: text(i) == "last")
    assert len([i for i in items(host) if i.type == "danmaku"]) == 101
    shown = len([i for i in items(bob) if i.type == "danmaku"])
    gaps = sum(x.n for x in bob.link.frames if isinstance(x, f.Gap))
    assert shown < 30 and shown + gaps >= 100


async def test_LR9_how_many_watch_is_told_and_who_comes_while_they_are_few(rig: Rig) -> None:
    host, room = await opened(rig)
    await watch(host, room)
    people = [await rig.person(f"u{n}") for n in range(5)]
    for person in people:
        await watch(person, room)
    await value(host, "online", 6)
    came = await item(host, lambda i: i.type == "came" and i.sender == "u4")
    assert came.lane == 2
    people[0].lose()
    await value(host, "online", 5)
    await host.call("room.update", {"greet": 0}, log=room)
    await watch(await rig.person("quiet"), room)
    await value(host, "online", 6)
    assert "quiet" not in [i.sender for i in items(host) if i.type == "came"]


async def test_LR8_a_closed_room_lets_nobody_in(rig: Rig) -> None:
    host, room = await opened(rig)
    await host.call("room.update", {"open": False}, log=room)
    bob = await rig.person("bob")
    assert (await bob.ask(f.Subscribe(ref=1, log=LogId(room)))).code == 112
    await watch(host, room)
    missing = await bob.ask(f.Subscribe(ref=1, log=LogId("main/r/none")))
    assert missing.code == 108
