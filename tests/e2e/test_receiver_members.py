"""What a receiver gets while its user comes, goes and hides: /v1/events and /v1/updates (RB12)."""

from __future__ import annotations

from functools import partial

import http_rig
import pytest
from http_rig import Service
from receiver_rig import cursor_of, do, ids, listening, pull, say, take


async def test_RB12_membership_decides_what_comes() -> None:
    """Since the join, up to the leave, nothing between, and again since the next join."""
    async with Service() as s:
        alice, bob, _ = await s.talk()
        carol = await s.join("carol")
        start = (await pull(s, bob, ""))["cursor"]
        group = (await do(s, alice, "chat.create", title="g", members=["carol"]))["log"]
        await say(s, carol, group, "before")
        joined = (await do(s, alice, "chat.invite", group, users=["bob"]))["seq"]
        inside = await say(s, carol, group, "inside")
        left = (await do(s, alice, "chat.remove", group, users=["bob"]))["seq"]
        await say(s, carol, group, "outside")
        again = (await do(s, alice, "chat.invite", group, users=["bob"]))["seq"]
        after = await say(s, carol, group, "after")
        async with listening(s, bob, f"?cursor={start}") as stream:
            told = [event.json for event in await take(stream, 2)]
        assert ids(told) == [(group, again), (group, after)]
        assert ids((await pull(s, bob, f"cursor={start}"))["entries"]) == ids(told)
        await do(s, alice, "chat.remove", group, users=["bob"])
        await say(s, carol, group, "outside2")
        gone = await pull(s, bob, f"cursor={start}")
        assert ids(gone["entries"])[-1][1] == after + 1
        assert joined < inside < left < again


async def test_RB12_leave_and_rejoin_reach_who_waits() -> None:
    """A receiver that is connected meanwhile gets the leave itself, nothing after, and the join."""
    async with Service(**{"receivers.comment_ms": 60_000}) as s:  # no look but when woken
        alice, bob, _ = await s.talk()
        carol = await s.join("carol")
        group = (await do(s, alice, "chat.create", title="g", members=["carol"]))["log"]
        async with listening(s, bob) as stream:
            await cursor_of(stream)
            joined = (await do(s, alice, "chat.invite", group, users=["bob"]))["seq"]
            assert ids([(await take(stream, 1))[0].json]) == [(group, joined)]
            left = (await do(s, alice, "chat.remove", group, users=["bob"]))["seq"]
            assert ids([(await take(stream, 1))[0].json]) == [(group, left)]
            await say(s, carol, group, "outside")
            again = (await do(s, alice, "chat.invite", group, users=["bob"]))["seq"]
            assert ids([(await take(stream, 1))[0].json]) == [(group, again)]


async def test_RB12_large_logs_wake_their_members(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of a log that grows large, and that is joined, while the receiver waits."""
    monkeypatch.setattr(http_rig, "MemoryStore", partial(http_rig.MemoryStore, large_above=3))
    async with Service(**{"receivers.comment_ms": 60_000}) as s:
        alice, bob, _ = await s.talk()
        for name in ("carol", "dave", "erin"):
            await s.join(name)
        group = (await do(s, alice, "chat.create", title="g", members=["bob", "carol"]))["log"]
        erin = (
            await s.post("/v1/token", {"user": "erin", "password": "correct horse battery"})
        ).json()
        async with listening(s, bob) as stream, listening(s, erin["token"]) as late:
            await cursor_of(stream)
            await cursor_of(late)
            grown = (await do(s, alice, "chat.invite", group, users=["dave"]))["seq"]
            assert ids([(await take(stream, 1))[0].json]) == [(group, grown)]
            more = await say(s, alice, group, "large-now")
            assert ids([(await take(stream, 1))[0].json]) == [(group, more)]
            joined = (await do(s, alice, "chat.invite", group, users=["erin"]))["seq"]
            assert ids([(await take(late, 1))[0].json]) == [(group, joined)]
            last = await say(s, alice, group, "for-erin-too")
            assert ids([(await take(late, 1))[0].json]) == [(group, last)]


async def test_RB12_recalled_hidden_and_cleared_are_as_in_a_read() -> None:
    """The bodies are gone, what was deleted for me is `hidden`, what was cleared does not come."""
    async with Service() as s:
        alice, bob, log = await s.talk()
        recalled = await say(s, alice, log, "secret")
        hidden = await say(s, alice, log, "not-for-me")
        await do(s, alice, "chat.recall", log, seq=recalled)
        await do(s, bob, "chat.delete", log, seqs=[hidden])
        told = {
            update["entry"]["seq"]: update["entry"]
            for update in (await pull(s, bob, "after=0"))["entries"]
        }
        assert told[recalled]["body"] == {}
        assert (told[hidden]["type"], told[hidden]["body"]) == ("hidden", {})
        await do(s, bob, "chat.clear", log)
        seq = await say(s, alice, log, "fresh")
        assert (log, seq) == ids((await pull(s, bob, "after=0"))["entries"])[-1]
        assert len(ids((await pull(s, bob, "after=0"))["entries"])) <= 2
