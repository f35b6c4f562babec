"""What a page of a room may know of the server's settings."""

from __future__ import annotations

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
