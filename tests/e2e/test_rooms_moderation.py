"""Moderation of a live room on a real server process: words, approval, shadows, what guests see."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from room_rig import Bot, Desk, bots, drop_all

from hongyan.bench.server import ServerProcess

ROOM = "main/r/show"


@pytest.fixture
def words(tmp_path: Path) -> Path:
    path = tmp_path / "words.txt"
    path.write_text("# unwanted\n发票=fa piao\nspam\n", encoding="utf-8")
    return path


@pytest.fixture
def server(tmp_path: Path, words: Path) -> Iterator[ServerProcess]:
    files = json.dumps([{"file": str(words)}])
    with ServerProcess(tmp_path / "data", core=None, settings=(f"words.files={files}",)) as process:
        yield process


@pytest.fixture(autouse=True)
async def nothing_left() -> AsyncIterator[None]:
    yield
    await drop_all()


async def opened(server: ServerProcess, **more: Any) -> tuple[Bot, Bot, Bot]:
    """Host, a viewer, and one who speaks."""
    host, good, talker = await bots(server, ("host", "good", "talker"))
    ack = await host.call("room.create", "", title="Show", name="show", rate=0, **more)
    assert ack["log"] == ROOM, ack
    for who in (host, good, talker):
        assert (await who.watch(ROOM))["t"] == "attached"
    return host, good, talker


async def code(who: Bot, text: str) -> int:
    """What becomes of a text; 0 = it is taken."""
    return int((await who.call("room.say", ROOM, text=text)).get("code", 0))


async def test_LR8_lists_of_words_are_read_again_while_the_room_goes_on(
    server: ServerProcess, words: Path
) -> None:
    desk = await asyncio.to_thread(Desk, server)
    host, good, talker = await opened(server)
    for text in ("请开发票", "发 票", "fa piao", "发piao", "ｓｐａｍ", "S.P.A.M", "spâm"):
        assert await code(talker, text) == 211, text
    assert await code(talker, "antispammer") == 0
    assert await code(host, "spam") == 0  # who keeps order is not judged

    await asyncio.to_thread(words.write_text, "novel\n", encoding="utf-8")
    async with asyncio.timeout(10):
        while not await code(talker, "a novel word"):  # noqa: ASYNC110
            await asyncio.sleep(0.2)
    assert await code(talker, "spam") == 0
    await asyncio.to_thread(
        words.write_bytes, b"\xff\xfe broken \x80"
    )  # the old words stay, and it is counted
    async with asyncio.timeout(10):
        while not (await asyncio.to_thread(desk.metrics)).get("hongyan_words_failures"):  # noqa: ASYNC110
            await asyncio.sleep(0.2)
    assert await code(talker, "a novel word") == 211
    await good.until(lambda: good.texts().count("spam") == 2)


async def test_LR8_what_is_held_is_for_moderators_until_one_approves(
    server: ServerProcess,
) -> None:
    host, good, talker = await opened(server)
    await host.call("room.update", ROOM, filter="hold")
    assert (await talker.call("room.say", ROOM, op="held-1", text="spam 1"))["t"] == "ack"
    held = await host.until(lambda: [i for i in host.items() if i["body"].get("held")])
    assert (held[0]["from"], held[0]["op"], held[0].get("off", 0)) == ("talker", "held-1", 0)
    assert await code(talker, "harmless") == 0
    await good.until(lambda: "harmless" in good.texts())
    assert "spam 1" not in good.texts()
    approve = {"t": "call", "name": "room.approve", "log": ROOM, "op": "yes"}
    args = {"user": "talker", "op": "held-1", "text": "spam 1"}
    assert (await good.ask(**approve, args=args))["code"] == 202
    assert (await host.ask(**approve, args=args))["t"] == "ack"
    await good.until(lambda: "spam 1" in good.texts())
    [shown] = [i for i in good.items() if i["body"].get("text") == "spam 1"]
    assert (shown["from"], shown["body"]["by"]) == ("host", "talker")

    await host.call("room.update", ROOM, hold=True, filter="refuse")
    assert await code(talker, "harmless too") == 0
    await host.until(lambda: [i for i in host.items() if i["body"].get("text") == "harmless too"])
    [late] = await bots(server, ["late"])
    attached = await late.watch(ROOM)
    assert "harmless too" not in json.dumps(attached)


async def test_LR8_shadows_and_hidden_words_are_seen_by_their_sender_alone(
    server: ServerProcess,
) -> None:
    host, good, talker = await opened(server)
    await host.call("room.shadow", ROOM, user="talker")
    ack = await talker.call("room.say", ROOM, text="in the dark")
    assert (ack["t"], ack["cls"]) == ("ack", "live")  # as to everybody
    await talker.until(lambda: "in the dark" in talker.texts())
    await host.call("room.shadow", ROOM, user="talker", on=False)
    await host.call("room.update", ROOM, filter="hide")
    assert await code(talker, "spam for me") == 0
    await talker.until(lambda: "spam for me" in talker.texts())
    assert await code(talker, "in the light") == 0
    for who in (good, host):
        await who.until(lambda who=who: "in the light" in who.texts())
        assert who.texts() == ["in the light"]
    page = await good.ask(t="read", log=ROOM, after=0)
    assert "shadow" not in json.dumps(page)
    [late] = await bots(server, ["late"])
    attached = await late.watch(ROOM)
    assert "dark" not in json.dumps(attached) and "spam" not in json.dumps(attached)
    assert not attached["state"].get("shadowed")


async def test_LR11_a_late_viewer_gets_all_that_the_room_has_in_the_first_answer(
    server: ServerProcess,
) -> None:
    host, _, talker = await opened(server)
    for number in range(60):
        await talker.call("room.say", ROOM, text=f"m{number}", color="#ff8800", position="top")
    await host.call("room.attribute", ROOM, key="scene", value={"n": 1})
    await host.call("room.attribute", ROOM, key="scene", value={"n": 2})
    await host.call("room.pin", ROOM, text="welcome")
    await host.call("room.announce", ROOM, text="we begin")
    await talker.call("room.like", ROOM, n=9)
    [late] = await bots(server, ["late"])
    attached = await late.watch(ROOM)
    texts = [i["body"]["text"] for i in attached["items"] if i["type"] == "danmaku"]
    assert texts == [f"m{number}" for number in range(10, 60)]
    assert attached["items"][-1]["body"]["color"] == "#ff8800"
    values = {key: value for key, _, value in attached["values"]}
    assert values["attr:scene"] == {"n": 2} and values["pinned"]["text"] == "welcome"
    assert values["likes"] == 9 and values["room"]["title"] == "Show"
    page = await late.ask(t="read", log=ROOM, after=0)
    assert "we begin" in json.dumps(page["entries"][-1]) and page["head"] == attached["head"]


async def test_LR8_mutes_of_one_and_of_all_end_when_they_should(server: ServerProcess) -> None:
    host, good, talker = await opened(server)
    await host.call("room.mute", ROOM, user="talker", seconds=2)
    refused = await talker.call("room.say", ROOM, text="now")
    assert refused["code"] == 204 and 0 < refused["retry_after_ms"] <= 2000
    assert await code(good, "others speak") == 0
    await asyncio.sleep(refused["retry_after_ms"] / 1000 + 0.05)
    assert await code(talker, "again") == 0
    await host.call("room.update", ROOM, muted_all=True)
    assert await code(talker, "no") == 204 and await code(good, "no") == 204
    assert await code(host, "only I") == 0
    await host.call("room.appoint", ROOM, user="good")
    assert await code(good, "and I") == 0
    await host.call("room.update", ROOM, muted_all=False)
    assert await code(talker, "all") == 0
