"""A live room against those who mean it harm, on a real server process."""

# size: one server's enemies, one after the other

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from room_rig import Bot, Desk, bot, bots, drop_all

from hongyan.bench.server import ServerProcess

ROOM = "main/r/show"
MB = 1 << 20
LIMITS = (  # what a server has that nobody configured; the rig of benches switches them off
    'limits.rates.connection={"rate":50,"burst":200}',
    'limits.rates.user={"rate":100,"burst":400}',
    'limits.rates.log={"rate":500,"burst":2000}',
    'limits.rates.ip={"rate":2000,"burst":8000}',
    'limits.rates.asks={"rate":200,"burst":2000}',
    "limits.connections_per_ip=1000",
    "devices.web=0",  # any number of one user
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path / "data", core=None, settings=LIMITS) as process:
        yield process


@pytest.fixture(autouse=True)
async def nothing_left() -> AsyncIterator[None]:
    yield
    await drop_all()


async def opened(server: ServerProcess, **more: Any) -> tuple[Desk, Bot, Bot]:
    """An administrator, the host, and a viewer who means no harm."""
    desk = await asyncio.to_thread(Desk, server)
    host, good = await bots(server, ("host", "good"))
    ack = await host.call("room.create", "", title="Show", name="show", rate=0, **more)
    assert ack["log"] == ROOM, ack
    for who in (host, good):
        assert (await who.watch(ROOM))["t"] == "attached"
    return desk, host, good


async def lives_on(desk: Desk, host: Bot, good: Bot, sign: str) -> None:
    """A gift and the host's word reach who means no harm, and moderation works."""
    gift = await asyncio.to_thread(desk.gift, ROOM, sign, "good", value=1)
    assert gift.status_code == 200, gift.text
    await good.until(lambda: sign in good.gifts())
    assert (await host.call("room.say", ROOM, text=sign))["t"] == "ack"
    await good.until(lambda: sign in good.texts())
    assert (await host.call("room.mute", ROOM, user="mallory", seconds=60))["t"] == "ack"


WRONG_SAYS: list[dict[str, Any]] = [
    {"text": "x" * 201},
    {"text": ""},
    {"text": " \n "},
    {"text": 7},
    {},
    *(
        {"text": "ok", "media_ms": moment}
        for moment in (-2, 1.5, 1e18, 8 * 86_400_000, 2**63, 10**30, "5", None, [1])
    ),
    *({"text": "ok", "color": color} for color in ("red", "#12345", "#123456\n", "url(x)")),
    {"text": "ok", "position": "left"},
]


async def test_LR7_what_cannot_be_said_has_a_clear_code_and_reaches_nobody(
    server: ServerProcess,
) -> None:
    desk, host, good = await opened(server)
    [mallory] = await bots(server, ["mallory"])
    for args in WRONG_SAYS:
        answer = await mallory.call("room.say", ROOM, **args)
        assert (answer["t"], answer["code"]) == ("fail", 106), (args, answer)
        assert answer["text"].isprintable() and len(answer["text"]) < 300
    for moment in ("NaN", "Infinity", "-Infinity", "1e999", "00"):  # no JSON at all
        seen = len(mallory.frames)
        call = {"t": "call", "ref": 900, "name": "room.say", "op": "n", "log": ROOM, "args": 0}
        args = f'{{"text":"ok","media_ms":{moment}}}'
        mallory.raw(json.dumps(call).replace('"args": 0', f'"args": {args}'))
        await mallory.until(lambda seen=seen: len(mallory.frames) > seen)
        assert mallory.frames[-1]["code"] in (101, 106), mallory.frames[-1]
    counted = await asyncio.to_thread(desk.calls, "room.say", 106)
    assert counted >= len(WRONG_SAYS) - 1  # 10**30 is refused with the frame it came in
    assert (await mallory.call("room.say", ROOM, text="x" * 200))["t"] == "ack"
    await lives_on(desk, host, good, "after")
    assert good.texts() == ["x" * 200, "after"]


async def test_LR7_a_danmaku_larger_than_a_message_ends_its_connection_only(
    server: ServerProcess,
) -> None:
    desk, host, good = await opened(server)
    before = server.usage().rss_bytes
    crowd = await bots(server, [f"m{n}" for n in range(50)])
    huge = json.dumps({"t": "call", "ref": 1, "name": "room.say", "log": ROOM, "op": "o"})
    for mallory in crowd:
        mallory.raw(huge[:-1] + ', "args": {"text": "' + "x" * MB + '"}}')
    for mallory in crowd:
        await mallory.until(lambda mallory=mallory: mallory.gone)
        assert mallory.closed is None or mallory.closed[0] == 1009
    await lives_on(desk, host, good, "after")
    grown = server.usage().rss_bytes - before
    print(f"{grown / MB:.1f} MB after 50 messages of 1 MB")
    assert grown < 40 * MB


async def test_LR7_a_flood_of_one_user_is_refused_and_told_when_to_go_on(
    server: ServerProcess,
) -> None:
    """From eight connections at once: the limit is the user's."""
    desk, host, good = await opened(server)
    token = server.token("mallory")
    crowd = [await bot(server.port, token, f"d{n}") for n in range(8)]
    for number in range(150):
        for mallory in crowd:
            mallory.send(t="call", name="room.like", log=ROOM, op=f"o{number}", args={"n": 1})
    answers = [frame for mallory in crowd for frame in await _answers(mallory, 150)]
    acks = [a for a in answers if a["t"] == "ack"]
    fails = [a for a in answers if a["t"] == "fail"]
    assert {a["code"] for a in fails} <= {303, 305}
    assert all(a["retry"] and a["retry_after_ms"] > 0 for a in fails if a["code"] == 303)
    assert len(acks) < 900 and any(a["code"] == 303 for a in fails)
    await lives_on(desk, host, good, "after")
    assert await asyncio.to_thread(desk.calls, "room.like", 303) > 0


async def _answers(who: Bot, count: int) -> list[Any]:
    def found() -> Any:
        answers = [x for x in who.frames if x.get("ref")]
        return answers if len(answers) >= count else None

    return list(await who.until(found))


async def test_LR7_slow_mode_holds_a_user_with_many_devices(server: ServerProcess) -> None:
    _, host, good = await opened(server, slow_s=60)
    token = server.token("mallory")
    crowd = [await bot(server.port, token, f"d{n}") for n in range(4)]
    answers = [await who.call("room.say", ROOM, text=f"t{n}") for n, who in enumerate(crowd)]
    assert [a["t"] for a in answers] == ["ack", "fail", "fail", "fail"]
    for refused in answers[1:]:
        assert refused["code"] == 303 and refused["text"].endswith(" s left")
        assert 50_000 < refused["retry_after_ms"] <= 60_000
    assert (await host.call("room.say", ROOM, text="host"))["t"] == "ack"
    assert (await host.call("room.say", ROOM, text="host again"))["t"] == "ack"
    await good.until(lambda: "host again" in good.texts())
    assert good.texts() == ["t0", "host", "host again"]


@pytest.mark.slow
async def test_LR1_a_thousand_bots_drown_neither_gifts_nor_moderation(
    server: ServerProcess,
) -> None:
    """They shout from 20 addresses, more than the room takes; the room is the host's still."""
    asyncio.get_running_loop().set_debug(False)
    desk, host, good = await opened(server)
    before = server.usage().rss_bytes
    names = [f"bot{n}" for n in range(1000)]
    crowd = await bots(server, names, [f"127.0.0.{n}" for n in range(2, 22)])
    for bot_ in crowd:
        await bot_.watch(ROOM, rate=1)
    joined = server.usage().rss_bytes - before
    flood = asyncio.create_task(_shout(crowd, seconds=6.0))
    await asyncio.sleep(2.0)
    for number in range(10):
        await lives_on(desk, host, good, f"g{number}")
        await asyncio.sleep(0.2)
    await flood
    fails = {x["code"] for who in crowd for x in who.frames if x["t"] == "fail"}
    assert 303 in fails and fails <= {303, 304, 305}, fails
    assert not any(who.gone for who in crowd)
    grown = server.usage().rss_bytes - before
    print(f"{joined / MB:.1f} MB for 1000 viewers, {grown / MB:.1f} MB after their flood")
    assert grown - joined < 60 * MB
    metrics = await asyncio.to_thread(desk.metrics)
    assert metrics['hongyan_calls_total{code="303",name="room.say"}'] > 100
    assert metrics["hongyan_live_shed_high"] == 0


async def _shout(crowd: list[Bot], seconds: float) -> None:
    """Each says something every second."""
    loop = asyncio.get_running_loop()
    began, number = loop.time(), 0
    while loop.time() < began + seconds:
        for place, who in enumerate(crowd):
            number += 1
            who.send(t="call", name="room.say", log=ROOM, op=f"s{number}", args={"text": "spam"})
            if place % 25 == 24:
                await asyncio.sleep(0.01)


FORGED: list[tuple[str, str, dict[str, Any], int, int]] = [
    ("paid", "good", {"value": 5, "count": 2}, 409, 110),  # another count
    ("paid", "good", {"value": 500}, 409, 110),
    ("paid", "mallory", {"value": 5}, 409, 110),  # another user
    ("o1", "good", {"value": -5}, 422, 106),
    ("o2", "good", {"value": 10**9 + 1}, 422, 106),
    ("o3", "good", {"value": 10**30}, 422, 106),
    ("o4", "good", {"value": "5"}, 422, 106),
    ("o5", "good", {"value": 0.5}, 422, 106),
    ("o6", "good", {"count": 0}, 422, 106),
    ("o7", "good", {"count": 10**9}, 422, 106),
    ("o8", "good", {"op": "another"}, 422, 106),
    ("o 9", "good", {}, 400, 107),
    ("o10", "good", {"gift": "../rose"}, 422, 106),
    ("o11", "good", {"name": "x" * 65}, 422, 106),
]


async def test_LR3_forged_orders_make_no_gift(server: ServerProcess) -> None:
    desk, host, good = await opened(server)
    [mallory] = await bots(server, ["mallory"])
    first = await asyncio.to_thread(desk.gift, ROOM, "paid", "good", value=5)
    assert first.status_code == 200, first.text
    for order, user, args, status, code in FORGED:
        got = await asyncio.to_thread(desk.gift, ROOM, order, user, **args)
        assert (got.status_code, got.json().get("code")) == (status, code), (order, args, got.text)
    again = await asyncio.to_thread(desk.gift, ROOM, "paid", "good", value=5)
    assert again.status_code == 200 and again.json()["seq"] == first.json()["seq"]
    for who in (mallory, good, host):
        args = {"order": "mine", "gift": "rose", "value": 9}
        assert (await who.call("room.gift", ROOM, op="mine", **args))["code"] == 209
    await lives_on(desk, host, good, "after")
    await good.until(lambda: good.values().get("gifts") == 6)
    assert good.gifts() == ["paid", "after"]
    page = await host.ask(t="read", log=ROOM, after=0)
    orders = [e["body"]["order"] for e in page["entries"] if e["type"] == "gift"]
    assert orders == ["paid", "after"]
    assert await asyncio.to_thread(desk.calls, "room.gift", 110) == 3
    assert await asyncio.to_thread(desk.calls, "room.gift", 209) == 3


async def test_LR3_orders_are_remembered_when_the_server_was_killed(server: ServerProcess) -> None:
    import signal

    desk, *_ = await opened(server)
    args = [(f"o{n}", "good") for n in range(20)]
    done = [await asyncio.to_thread(desk.gift, ROOM, *one, value=1) for one in args]
    await asyncio.to_thread(server.stop, signal.SIGKILL)
    await asyncio.to_thread(server.start)
    for one, before in zip(args, done, strict=True):
        again = await asyncio.to_thread(desk.gift, ROOM, *one, value=1)
        assert again.json()["seq"] == before.json()["seq"]
        other = await asyncio.to_thread(desk.gift, ROOM, one[0], "host", value=1)
        assert other.json()["code"] == 110


NO_CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("room.say", ROOM, {"text": "hi"}),
    ("room.like", ROOM, {"n": 1}),
    ("room.gift", ROOM, {"order": "g", "gift": "rose"}),
    ("room.update", ROOM, {"title": "mine"}),
    ("room.ban", ROOM, {"user": "host"}),
    ("room.create", "", {"title": "x"}),
    ("chat.open", "", {"user": "good"}),
    ("no.such", "", {}),
]
NO_QUESTIONS: list[dict[str, Any]] = [
    {"t": "sync", "after": 0, "limit": 10},
    {"t": "query", "name": "presence", "args": {"users": ["good"]}},
    {"t": "query", "name": "users", "args": {"users": ["good"]}},
    {"t": "query", "name": "members", "log": "main/d/good~host", "args": {}},
    {"t": "read", "log": "main/d/good~host", "after": 0},
    {"t": "subscribe", "log": "main/r/other"},
]


async def test_LR10_guests_write_nothing_and_see_one_room(server: ServerProcess) -> None:
    desk, host, good = await opened(server, guests=True)
    made = await asyncio.to_thread(desk.ask, "POST", f"/v1/logs/{ROOM}/viewer-token", {})
    token = made.json()["token"]
    guest = await bot(server.port, token, "tv")
    assert (await guest.watch(ROOM))["t"] == "attached"
    for name, log, args in NO_CALLS:
        answer = await guest.call(name, log, **args)
        assert (answer["t"], answer["code"]) == ("fail", 209), (name, answer)
    for frame in NO_QUESTIONS:
        answer = await guest.ask(**frame)
        assert (answer["t"], answer["code"]) == ("fail", 209), (frame, answer)
    paths = ("/v1/inbox", "/v1/me", f"/v1/logs/{ROOM}/entries", "/v1/search?text=a")
    for path in paths:
        got = await asyncio.to_thread(desk.ask, "GET", path, token=token)
        assert got.status_code in (401, 403), (path, got.text)
    body = {"name": "room.say", "args": {"text": "hi"}}
    got = await asyncio.to_thread(
        desk.ask, "POST", f"/v1/logs/{ROOM}/calls", body, token=token, op="o"
    )
    assert got.status_code == 403
    await lives_on(desk, host, good, "after")
    assert good.texts() == ["after"]
    # a viewer's token is none for another room, nor one after the room takes no guests
    await host.call("room.update", ROOM, guests=False)
    await guest.frame(t="signal", name="dismissed")
    assert (await guest.watch(ROOM))["code"] == 209
    again = await bot(server.port, token, "tv2")
    assert (await again.watch(ROOM))["code"] == 209


async def test_LR8_who_is_banned_cannot_come_back_by_any_door(server: ServerProcess) -> None:
    """Not on another device, not over HTTP, not after a restart; and is counted."""
    desk, host, good = await opened(server)
    token = server.token("mallory")
    phone, tv = [await bot(server.port, token, name) for name in ("phone", "tv")]
    for who in (phone, tv):
        await who.watch(ROOM)
    assert (await host.call("room.ban", ROOM, user="mallory", seconds=3600))["t"] == "ack"
    for who in (phone, tv):
        await who.frame(t="signal", name="dismissed")
    seen = len(phone.items())
    await lives_on(desk, host, good, "without")
    for _ in range(2):
        late = await bot(server.port, token, "late")
        for who in {phone, tv, late}:
            if who.gone:
                continue
            refused = await who.watch(ROOM)
            assert (refused["code"], refused["retry_after_ms"] > 3_000_000) == (209, True)
            assert (await who.call("room.say", ROOM, text="hi"))["code"] == 209
            assert (await who.call("room.like", ROOM, n=1))["code"] == 209
            query = {"from_ms": 0, "to_ms": 2**52, "by": "time"}
            assert (await who.ask(t="query", name="danmaku", log=ROOM, args=query))["code"] == 209
            assert (await who.ask(t="read", log=ROOM, after=0))["code"] == 202
        for path in ("live", "danmaku?from_ms=0&to_ms=9000&by=time"):
            got = await asyncio.to_thread(desk.ask, "GET", f"/v1/logs/{ROOM}/{path}", token=token)
            assert got.status_code == 403, got.text
        metrics = await asyncio.to_thread(desk.metrics)
        assert metrics['hongyan_live_refused{code="209"}'] >= 3
        assert len(phone.items()) == seen
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(server.start)
    [host] = await bots(server, ["host"])
    assert (await host.call("room.unban", ROOM, user="mallory"))["t"] == "ack"
    back = await bot(server.port, token, "back")
    assert (await back.watch(ROOM))["t"] == "attached"


async def test_LR8_what_is_deleted_is_gone_within_a_second_everywhere(
    server: ServerProcess,
) -> None:
    desk, host, good = await opened(server)
    [mallory] = await bots(server, ["mallory"])
    said = await mallory.call("room.say", ROOM, text="bad", media_ms=5)
    await good.until(lambda: "bad" in good.texts())
    await asyncio.sleep(0.7)  # it is in the archive
    loop = asyncio.get_running_loop()
    began = loop.time()
    await host.call("room.delete", ROOM, off=said["seq"])
    await good.until(lambda: [i for i in good.items() if i["type"] == "deleted"], 1.0)
    print(f"{(loop.time() - began) * 1000:.0f} ms from the call to the viewer")
    late = (await bots(server, ["late"]))[0]
    attached = await late.watch(ROOM)
    assert not [i for i in attached["items"] if i["type"] == "danmaku"]
    await asyncio.sleep(0.7)
    for query in ({"by": "time"}, {"by": "media"}):
        args = {"from_ms": 0, "to_ms": 2**52, **query}
        replay = await late.ask(t="query", name="danmaku", log=ROOM, args=args)
        assert replay["body"]["items"] == []
    await asyncio.to_thread(server.stop)
    await asyncio.to_thread(server.start)
    [late] = await bots(server, ["late"])
    args = {"from_ms": 0, "to_ms": 2**52}
    replay = await late.ask(t="query", name="danmaku", log=ROOM, args=args)
    assert replay["body"]["items"] == []
    del desk


@pytest.mark.slow
async def test_LR9_a_thousand_joins_and_leaves_a_second_leave_nothing_behind(
    server: ServerProcess,
) -> None:
    """Half of them by frames, half by dropped connections; nobody waits, memory comes to rest."""
    loop = asyncio.get_running_loop()
    loop.set_debug(False)  # the clients are to be faster than the server
    desk, host, good = await opened(server, guests=True)
    crowd = await bots(server, [f"v{n}" for n in range(100)], ["127.0.0.2", "127.0.0.3"])
    await host.call("room.update", ROOM, greet=20)  # above, nobody is told who comes
    await _come_and_go(crowd, 10)
    before = server.usage().rss_bytes
    began = loop.time()
    for round_ in range(3):
        await _come_and_go(crowd, 10)
        await lives_on(desk, host, good, f"r{round_}")
    rate = 3 * 10 * len(crowd) / (loop.time() - began)
    names = [f"w{n}" for n in range(100)]
    for _ in range(5):
        drops = await bots(server, names, ["127.0.0.4", "127.0.0.5"])
        for number, who in enumerate(drops):
            if number % 2:
                await who.watch(ROOM)
            else:
                who.send(t="subscribe", log=ROOM)  # gone before it is answered
            who.drop()
    await lives_on(desk, host, good, "after")
    grown = server.usage().rss_bytes - before
    print(f"{rate:.0f} joins a second and as many leaves, {grown / MB:.1f} MB more")
    assert grown < 30 * MB
    await good.until(lambda: good.values().get("online") == 2)
    assert (await asyncio.to_thread(desk.metrics))["hongyan_live_viewers"] == 2


async def _come_and_go(crowd: list[Bot], times: int) -> None:
    async def one(who: Bot) -> None:
        for _ in range(times):
            who.frames.clear()
            answer = await who.watch(ROOM)
            assert answer["t"] == "attached", answer
            assert (await who.ask(t="unsubscribe", log=ROOM))["t"] == "ack"

    await asyncio.gather(*(one(who) for who in crowd))
