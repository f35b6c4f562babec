"""What a page of a room may know of the server's settings."""

from __future__ import annotations

from hongyan.wire import frames as f
from tests.engine.rig import Rig


async def test_LR3_a_page_learns_who_may_send_gifts(rig: Rig) -> None:
    alice, bob = await rig.person("alice"), await rig.person("bob")
    room = (await alice.call("room.create", {"title": "Show"})).log
    told = {"settings": {"create": "users", "gifts": "backend"}}
    assert await bob.query("settings", room) == told
    gift = {"order": "o1", "gift": "rose"}
    assert (await bob.call("room.gift", gift, log=room, op="o1")).code == 209
    assert (await bob.query("settings")).code == 106
    chat = (await alice.call("chat.create", {"title": "Team", "members": ["bob"]})).log
    assert await bob.query("settings", chat) == {"settings": {}}


async def test_LR3_a_retried_order_hears_its_first_answer_though_it_would_be_refused_now() -> None:
    rig = Rig(options={"kinds.room.gifts": "users"})
    await rig.start()
    host, bob = await rig.person("host"), await rig.person("bob")
    room = (await host.call("room.create", {"title": "Show"})).log
    gift = {"order": "o1", "gift": "rose"}
    first = await bob.call("room.gift", gift, log=room, op="o1")
    await host.call("room.ban", {"user": "bob"}, log=room)
    late = await bob.call("room.gift", {**gift, "order": "o2"}, log=room, op="o2")
    assert late.code == 209
    again = await bob.call("room.gift", gift, log=room, op="o1")
    assert isinstance(again, f.Ack) and again.repeat and again.seq == first.seq
    await rig.stop()
