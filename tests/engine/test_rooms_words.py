"""Unwanted words in a room: refused, held, or hidden."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest

from hongyan.adapters.wordlist import WordList
from tests.engine.rig import Rig
from tests.engine.test_rooms import item, items, opened, text, watch

WORDS = WordList(["发票=fa piao", "spam"])


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    rig = Rig(judge=lambda tenant, said: WORDS.find(said) if tenant == "main" else ())
    await rig.start()
    yield rig
    await rig.stop()


async def test_LR8_an_unwanted_word_is_refused(rig: Rig) -> None:
    host, room = await opened(rig)
    bob = await rig.person("bob")
    await watch(bob, room)
    for said in ("SPAM", "开 发.票", "ｓｐａｍ"):
        refused = await bob.call("room.say", {"text": said}, log=room)
        assert refused.code == 211, refused
    assert (await bob.call("room.say", {"text": "hello"}, log=room)).stage == "accepted"
    assert (await host.call("room.say", {"text": "no spam!"}, log=room)).stage == "accepted"
    await item(bob, lambda i: text(i) == "no spam!")
    assert [text(i) for i in items(bob) if text(i)] == ["hello", "no spam!"]


async def test_LR8_an_unwanted_word_is_held_for_moderators(rig: Rig) -> None:
    host, room = await opened(rig)
    await host.call("room.update", {"filter": "hold"}, log=room)
    bob, eve = await rig.person("bob"), await rig.person("eve")
    for person in (host, bob, eve):
        await watch(person, room)
    ack = await bob.call("room.say", {"text": "fapiao?"}, log=room)
    assert (ack.stage, ack.seq) == ("accepted", 0)
    held = await item(host, lambda i: text(i) == "fapiao?")
    assert msgspec.json.decode(held.body)["held"] is True
    await bob.call("room.say", {"text": "end"}, log=room)
    await item(eve, lambda i: text(i) == "end")
    assert [text(i) for i in items(eve) if text(i)] == ["end"]


async def test_LR8_an_unwanted_word_is_seen_by_its_sender_alone(rig: Rig) -> None:
    host, room = await opened(rig)
    await host.call("room.update", {"filter": "hide"}, log=room)
    bob, eve = await rig.person("bob"), await rig.person("eve")
    for person in (host, bob, eve):
        await watch(person, room)
    ack = await bob.call("room.say", {"text": "spam"}, log=room)
    assert ack.stage == "accepted"
    mine = await item(bob, lambda i: text(i) == "spam")
    assert "held" not in msgspec.json.decode(mine.body)
    await eve.call("room.say", {"text": "end"}, log=room)
    for person in (host, eve):
        await item(person, lambda i: text(i) == "end")
        assert [text(i) for i in items(person) if text(i)] == ["end"]
    late = await watch(await rig.person("late"), room)
    assert [text(i) for i in late.items if text(i)] == ["end"]
