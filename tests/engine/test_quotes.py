"""Boards through the whole engine."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from hongyan.client.latest import Latest
from hongyan.engine.live.log import SKIP_BYTES
from hongyan.model.errors import Forbidden, Full
from hongyan.model.ids import LogId, Seq, UserId
from hongyan.ports import User
from hongyan.wire import frames as f
from hongyan.wire.codec import CODECS
from tests.engine.rig import MAIN, Person, Rig
from tests.engine.test_rooms import watch

MSGPACK = CODECS["hongyan.v1.msgpack"]
BOARD = "main/q/us"


async def feed(rig: Rig, **settings: Any) -> Person:
    """An administrator with a board."""
    await rig.directory.put_user(User(tenant=MAIN, user=UserId("feed"), admin=True))
    person = await rig.person("feed")
    ack = await person.call("quotes.create", {"name": "us", "title": "US", **settings})
    assert isinstance(ack, f.Ack) and ack.log == BOARD, ack
    return person


async def put(person: Person, **quotes: Any) -> Any:
    return await person.call("quotes.put", {"quotes": quotes}, log=BOARD)


def turn(rig: Rig, seconds: float = 0.2) -> None:
    rig.clock.advance(seconds)
    rig.node.viewing.logs._run()


def board_of(person: Person) -> Latest:
    """What the viewer holds after all frames so far; no frame may be missing."""
    latest = Latest()
    for frame in person.link.frames:
        if isinstance(frame, f.Attached):
            latest.attach(frame)
        elif isinstance(frame, f.Values):
            assert latest.take(frame) == "taken"
    return latest


async def holds(person: Person, wanted: dict[str, Any]) -> None:
    """Wait until the viewer has these values, and no other symbols."""
    for _ in range(50):
        turn(person.rig)
        await asyncio.sleep(0)
        held = dict(board_of(person).values)
        held.pop("online", None), held.pop("board", None)
        if held == wanted:
            return
    raise AssertionError((held, wanted))


def fills(person: Person) -> list[Any]:
    entries = [entry for entry in person.delivered(BOARD) if entry.type == "fill"]
    return [msgspec.json.decode(entry.body)["size"] for entry in entries]


async def test_GT1_GT2_a_feed_puts_and_everybody_else_watches(rig: Rig) -> None:
    source = await feed(rig)
    bob, eve = await rig.person("bob"), await rig.person("eve", codec=MSGPACK)
    refused = await bob.call("quotes.put", {"quotes": {"A": 1}}, log=BOARD)
    assert refused.code == Forbidden.code
    refused = await bob.call("quotes.create", {"name": "own", "title": "x"})
    assert refused.code == Forbidden.code
    ack = await put(source, A={"last": "1.5"}, B=2)
    assert (ack.stage, ack.cls) == ("accepted", "live")
    for viewer in (bob, eve):
        attached = await watch(viewer, BOARD)
        assert {v.key for v in attached.values} >= {"A", "B", "board"}
    head = (await rig.store.info(LogId(BOARD))).head  # type: ignore[union-attr]
    await put(source, B=None, C=3)
    for viewer in (bob, eve):
        await holds(viewer, {"A": {"last": "1.5"}, "C": 3})
    assert (await rig.store.info(LogId(BOARD))).head == head  # type: ignore[union-attr]


async def test_GT2_a_put_that_comes_again_late_does_not_bring_back_an_old_price(rig: Rig) -> None:
    source = await feed(rig)
    bob = await rig.person("bob")
    await watch(bob, BOARD)
    old = {"quotes": {"A": 1}}
    await source.call("quotes.put", old, log=BOARD, op="one")
    await put(source, A=2)
    again = await source.call("quotes.put", old, log=BOARD, op="one")
    assert again.repeat
    await holds(bob, {"A": 2})


async def test_GT2_a_full_board_refuses_the_whole_put(rig: Rig) -> None:
    source = await feed(rig, symbols=2)
    bob = await rig.person("bob")
    await watch(bob, BOARD)
    await put(source, A=1, B=1)
    refused = await put(source, A=9, C=9)
    assert refused.code == Full.code
    await holds(bob, {"A": 1, "B": 1})
    assert isinstance(await source.call("quotes.update", {"symbols": 3}, log=BOARD), f.Ack)
    await put(source, A=9, C=9)
    await holds(bob, {"A": 9, "B": 1, "C": 9})


async def test_GT1_a_board_that_closes_lets_nobody_in(rig: Rig) -> None:
    source = await feed(rig)
    bob = await rig.person("bob")
    await source.call("quotes.update", {"open": False}, log=BOARD)
    refused = await bob.ask(f.Subscribe(ref=1, log=LogId(BOARD)))
    assert isinstance(refused, f.Fail)
    await watch(source, BOARD)


async def test_GT3_every_fill_comes_once_and_in_order_however_loud_the_board_is(rig: Rig) -> None:
    source = await feed(rig)
    bob = await rig.person("bob")
    await watch(bob, BOARD)
    number = 0
    for n in range(40):
        await put(source, **{f"S{i}": n * i for i in range(1, 50)})
        sizes = [number + 1, number + 2]
        number += 2
        args = {"fills": [{"symbol": "S1", "price": "1.05", "size": size} for size in sizes]}
        first = await source.call("quotes.fill", args, log=BOARD, op=f"fill-{n}")
        assert (first.stage, first.cls) == ("stored", "durable")
        again = await source.call("quotes.fill", args, log=BOARD, op=f"fill-{n}")
        assert again.repeat and again.seq == first.seq
        turn(rig)
    for _ in range(20):
        turn(rig)
        await asyncio.sleep(0)
    assert fills(bob) == list(range(1, number + 1))
    page = await bob.ask(f.Read(ref=1, log=LogId(BOARD), after=f.At(Seq(0)), limit=50))
    assert [entry.type for entry in page.entries][:3] == ["created", "fill", "fill"]


async def test_GT3_who_was_too_slow_is_told_and_reads_what_it_lacks(rig: Rig) -> None:
    source = await feed(rig)
    bob = await rig.person("bob")
    await watch(bob, BOARD)
    turn(rig)
    bob.peer.writable(False)
    wide = "x" * 900
    for n in range(30):
        await put(source, **{f"S{i}": f"{n}{wide}" for i in range(30)})
        args = {"fills": [{"symbol": "S1", "price": 1, "size": n + 1}]}
        await source.call("quotes.fill", args, log=BOARD)
        turn(rig)
    assert bob.peer.session.pending > SKIP_BYTES
    page = rig.node.metrics.render().decode()
    assert f'hongyan_live_slow_queue_bytes{{viewer="bob/bob-1@{BOARD}"}}' in page
    assert f'hongyan_live_slow_given_bytes{{viewer="bob/bob-1@{BOARD}"}}' in page
    assert "hongyan_live_slow 1.0" in page
    bob.peer.writable(True)
    for _ in range(20):
        await asyncio.sleep(0)
        turn(rig)
    behind = await bob.until(lambda x: isinstance(x, f.Behind))
    got = fills(bob)
    assert got == sorted(set(got)) and len(got) < 30
    page = await bob.ask(f.Read(ref=1, log=LogId(BOARD), after=f.At(Seq(0)), limit=50))
    assert page.entries[-1].seq == behind.head
    kept = [msgspec.json.decode(e.body)["size"] for e in page.entries if e.type == "fill"]
    assert kept == list(range(1, 31))
    await holds(bob, {f"S{i}": f"29{wide}" for i in range(30)})
    assert "hongyan_live_slow 0.0" in rig.node.metrics.render().decode()


@pytest.mark.parametrize("codec", [CODECS["hongyan.v1.json"], MSGPACK], ids=["json", "msgpack"])
async def test_GT7_a_late_viewer_has_a_thousand_symbols_in_one_answer(rig: Rig, codec: Any) -> None:
    source = await feed(rig)
    quotes = {f"{600000 + n}.SH": {"last": f"{n}.25", "volume": n * 100} for n in range(1_000)}
    for start in range(0, 1_000, 250):
        await put(source, **dict(list(quotes.items())[start : start + 250]))
    late = await rig.person("late", codec=codec)
    attached = await watch(late, BOARD)
    held = {v.key: msgspec.json.decode(v.value) for v in attached.values}
    assert {key: held[key] for key in quotes} == quotes
    await put(source, **{"600000.SH": 1})
    await holds(late, {**quotes, "600000.SH": 1})


async def test_GT6_an_administrator_sees_depth_and_bytes_of_each_viewer(rig: Rig) -> None:
    source = await feed(rig)
    bob = await rig.person("bob")
    await watch(bob, BOARD)
    await put(source, A=1)
    turn(rig)
    await holds(bob, {"A": 1})
    who = source.peer.identity
    assert who is not None
    shown = await rig.node.operations.inspector.log(who, BOARD)
    assert shown["viewers"] == 1
    (row,) = [row for row in shown["connections"] if row["user"] == "bob"]
    assert row["given_bytes"] > 0 and row["queued_bytes"] == 0
