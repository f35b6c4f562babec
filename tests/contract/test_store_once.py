"""Ops that are the log's and not the sender's: an order is one gift, whoever sends it."""

from __future__ import annotations

import asyncio

import pytest
from conftest import Talk

from hongyan.model.errors import Clash
from hongyan.model.log import Commit, Write

GIFT = (Write("gift", b'{"order":"o1"}'),)


def order(talk: Talk, sender: str, *, once: bool = True) -> Commit:
    digest = sender.encode().ljust(16, b"\0")  # who sends it is part of what is hashed
    return Commit(
        log=talk.log,
        sender=sender,
        op="o1",
        hash=digest if once else b"h" * 16,
        at=1,
        writes=GIFT,
        touch=None,
        once=once,
    )


async def test_LR3_an_order_of_one_user_is_not_taken_from_another(talk: Talk) -> None:
    await talk.create("ann", "bob")
    first = await talk.store.commit(order(talk, "ann"))
    with pytest.raises(Clash):
        await talk.store.commit(order(talk, "bob"))
    again = await talk.store.commit(order(talk, "ann"))
    assert (again.last, again.repeat) == (first.last, True)
    assert await talk.seqs("ann") == [1]


async def test_LR3_two_users_with_one_order_at_the_same_moment(talk: Talk) -> None:
    """In one group of commits: one is taken, the other clashes."""
    await talk.create("ann", "bob")
    jobs = [talk.store.commit(order(talk, who)) for who in ("ann", "bob") * 10]
    done = await asyncio.gather(*jobs, return_exceptions=True)
    taken = [d for d in done if not isinstance(d, BaseException)]
    clashes = [d for d in done if isinstance(d, Clash)]
    assert (len(taken), len(clashes)) == (10, 10)
    assert [d.repeat for d in taken].count(False) == 1
    assert await talk.seqs("ann") == [1]


async def test_D4_ops_of_senders_are_their_own(talk: Talk) -> None:
    await talk.create("ann", "bob")
    for who in ("ann", "bob"):
        await talk.store.commit(order(talk, who, once=False))
    assert await talk.seqs("ann") == [1, 2]
