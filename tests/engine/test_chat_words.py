"""Unwanted words in conversations, where the operator does not take them."""

from __future__ import annotations

from typing import Any

import pytest

from hongyan.adapters.wordlist import WordList
from hongyan.wire import frames as f
from tests.engine.rig import Rig

WORDS = WordList(["发票=fa piao", "spam"])


async def talking(**options: object) -> tuple[Rig, Any, Any, str]:
    """A rig with lists, two people and their group."""
    rig = Rig(
        judge=lambda tenant, said: WORDS.find(said) if tenant == "main" else (), options=options
    )
    await rig.start()
    alice, bob = await rig.person("alice"), await rig.person("bob")
    ack = await alice.call("chat.create", {"title": "g", "members": ["bob"]})
    return rig, alice, bob, ack.log


@pytest.mark.parametrize("said", ["SPAM", "开 发.票", "ｓｐａｍ", "fa piao"])
async def test_C53_an_unwanted_word_is_refused_where_the_operator_says_so(said: str) -> None:
    options = {"kinds.group.refuse_unwanted": True, "kinds.direct.refuse_unwanted": True}
    rig, alice, bob, group = await talking(**options)
    direct = (await alice.call("chat.open", {"user": "bob"})).log
    for log in (group, direct):
        assert (await bob.send(log, said)).code == 211
        sent = await bob.send(log, "hello")
        assert isinstance(sent, f.Ack)
        content = {"type": "text", "text": f"hello {said}"}
        edited = await bob.call("chat.edit", {"seq": sent.seq, "content": content}, log=log)
        assert edited.code == 211
        blob = {"digest": "0" * 64, "size": 1, "media_type": "image/png", "name": f"{said}.png"}
        picture = {"type": "image", "blob": blob, "width": 1, "height": 1}
        refused = await bob.call("chat.send", {"content": picture}, log=log)
        assert refused.code == 211
    texts = [entry.type for entry in alice.delivered(group)]
    assert texts.count("message") == 1 and "edit" not in texts
    await rig.stop()


async def test_C53_nothing_is_looked_at_where_the_operator_says_nothing() -> None:
    rig, _, bob, group = await talking()
    assert isinstance(await bob.send(group, "spam"), f.Ack)
    await rig.stop()
