"""The feed of one user, as every store must give it; `tests/properties` has the hard cases."""

from __future__ import annotations

from conftest import Talk

from hongyan.model.ids import LogId
from hongyan.ports import FeedItem, Store


def ids(items: list[FeedItem]) -> list[tuple[str, int]]:
    return [(item.log.rpartition("/")[2], item.entry.seq) for item in items]


async def test_RB11_feed_of_a_user_goes_over_all_logs_in_commit_order(store: Store) -> None:
    room, hall, other = (Talk(store, LogId(f"main/g/{name}")) for name in ("room", "hall", "other"))
    await room.create("ann", "bob")
    await hall.create("ann", "bob")
    await other.create("ann")
    for number in range(3):
        await room.say(text=f"r{number}")
        await other.say(text="not for bob")
        await hall.say(text=f"h{number}")

    whole = await store.user_feed("main", "bob", after=0, limit=100)
    part = await store.user_feed("main", "bob", after=whole.items[1].pos, limit=2)
    one = await store.user_feed("main", "bob", after=0, limit=100, log=hall.log)
    last = await store.user_feed("main", "bob", after=whole.upto, limit=100)

    assert ids(whole.items) == [(n, s) for s in (1, 2, 3) for n in ("room", "hall")]
    assert whole.upto == await store.feed_end()
    assert (ids(part.items), part.upto) == (ids(whole.items)[2:4], whole.items[3].pos)
    assert ids(one.items) == [("hall", 1), ("hall", 2), ("hall", 3)]
    assert (last.items, last.upto) == ([], whole.upto)
    assert (await store.user_feed("main", "nobody", after=0, limit=9)).items == []
    assert (await store.user_feed("other", "bob", after=0, limit=9)).items == []


async def test_RB12_feed_of_a_user_is_cut_to_what_may_be_read(talk: Talk) -> None:
    """A join, a leave, a rejoin; erased and hidden entries; a cleared conversation; a large log."""
    await talk.create("ann", "bob", "cid", "dan", "eve")  # large
    secret = await talk.say(text="secret")
    private = await talk.say(text="not for bob")
    await talk.say(type="recall", count=False, target=secret, erases=True)
    await talk.change("bob", hide=(private,))

    async def seen() -> dict[int, tuple[str, bytes]]:
        found = await talk.store.user_feed("main", "bob", after=0, limit=100)
        return {i.entry.seq: (i.entry.type, bytes(i.entry.body)) for i in found.items}

    told = await seen()
    assert told[secret] == ("message", b"{}")
    assert told[private] == ("hidden", b"{}")
    await talk.change("bob", leave=True)
    await talk.say(text="outside")
    assert max(await seen()) == 3
    await talk.change("bob", join=True)
    last = await talk.say(text="inside")
    assert list(await seen()) == [last]
    await talk.change("bob", clear=True)
    assert await seen() == {}
