"""Sessions over server-sent events and long-polling, against a running server (RB1 … RB9)."""

from __future__ import annotations

import asyncio
import json
from itertools import count
from typing import Any

import pytest
from http_rig import Service, assert_problem, text
from receiver_rig import Polled, call, eventually, hello, streamed


def words_of(frames: list[dict[str, Any]]) -> list[tuple[int, str]]:
    """(seq, text) of the messages delivered."""
    return [
        (entry["seq"], entry["body"]["content"]["text"])
        for frame in frames
        if frame["t"] == "deliver"
        for entry in frame["entries"]
        if entry["type"] == "message"
    ]


async def test_RB1_stream_carries_the_session_of_a_websocket() -> None:
    """Hello, welcome, call, ack, deliver: as events, with the ids and order of the log."""
    async with Service() as s:
        alice, bob, log = await s.talk()
        async with streamed(s.http, bob) as stream:
            assert stream.response.headers["content-type"].startswith("text/event-stream")
            assert stream.response.headers["x-accel-buffering"] == "no"
            assert stream.response.headers["cache-control"] == "no-store, no-transform"
            welcome = await stream.frame("welcome")
            assert welcome["session"] == stream.session
            assert welcome["user"] == "bob"
            for number in range(1, 21):
                got = await s.post(
                    f"/v1/logs/{log}/calls", text(f"w{number}"), alice, Idempotency_Key=f"k{number}"
                )
                assert got.status_code == 200, got.text
            sent = await stream.up(call(1, "hi", log), {"t": "ping"})
            assert sent.status_code == 202
            ack = await stream.frame("ack", ref=1)
            await stream.until(
                lambda f: f["t"] == "deliver" and f["entries"][-1]["seq"] == ack["seq"]
            )
            told = words_of(stream.seen)
            assert [w for _, w in told] == [f"w{n}" for n in range(1, 21)] + ["hi"]
            assert [seq for seq, _ in told] == sorted({seq for seq, _ in told})
            assert any(f["t"] == "pong" for f in stream.seen)


async def test_RB1_poll_carries_the_session_of_a_websocket() -> None:
    """The same by long-polling."""
    async with Service() as s:
        alice, bob, log = await s.talk()
        poll = await Polled(s.http).open(bob)
        welcome = await poll.frame("welcome")
        assert welcome["session"] == poll.session
        waiting = asyncio.create_task(poll.get())
        for number in range(1, 6):
            await s.post(
                f"/v1/logs/{log}/calls", text(f"w{number}"), alice, Idempotency_Key=f"k{number}"
            )
        assert (await waiting).status_code == 200
        assert (await poll.up(call(1, "hi", log))).status_code == 202
        ack = await poll.frame("ack", ref=1)
        await poll.frame("deliver", log=log)
        while max((seq for seq, _ in words_of(poll.seen)), default=0) < ack["seq"]:
            poll._take((await poll.get()).json())
        told = words_of(poll.seen)
        assert [w for _, w in told] == [f"w{n}" for n in range(1, 6)] + ["hi"]


@pytest.mark.parametrize("path", ["/v1/stream", "/v1/poll"])
async def test_RB2_refused_hello_is_an_http_problem(path: str) -> None:
    """The status and code of the refusal; nothing stays open."""
    async with Service() as s:
        token = await s.join("alice")
        wrong = assert_problem(await s.post(path, hello("nonsense")), 401, 201)
        assert wrong["retry_after_ms"] > 0, "come back with a new token, as a goodbye would say"
        assert_problem(await s.post(path, {"t": "ping"}), 400, 104)
        assert_problem(await s.post(path, hello(token, "not a device!")), 400, 107)
        assert_problem(await s.post(path, "nonsense"), 400, 101)
        assert_problem(await s.post(path, hello("x" * 9000)), 413, 102)
        assert not s.node.hub.peers


@pytest.mark.parametrize("path", ["/v1/stream", "/v1/poll"])
async def test_RB3_unknown_session_is_gone(path: str) -> None:
    """410 says: say hello again. A session of one transport is not one of the other."""
    async with Service() as s:
        token = await s.join("alice")
        poll = await Polled(s.http).open(token)
        async with streamed(s.http, token, "d2") as stream:
            other = stream.session if path == "/v1/poll" else poll.session
            for session in ("f" * 32, other):
                assert_problem(await s.post(f"{path}/{session}", [{"t": "ping"}]), 410)
        assert_problem(await s.get(f"/v1/poll/{'f' * 32}?after=0&wait=0"), 410)


async def test_RB3_end_of_a_stream_ends_its_session() -> None:
    """The client goes away: the peer is forgotten and its POST finds nothing."""
    async with Service() as s:
        token = await s.join("alice")
        async with streamed(s.http, token) as stream:
            await stream.frame("welcome")
            assert len(s.node.hub.peers) == 1
            session = stream.session
        await eventually(lambda: not s.node.hub.peers)
        assert_problem(await s.post(f"/v1/stream/{session}", [{"t": "ping"}]), 410)


async def test_RB4_lost_answer_of_a_poll_comes_again() -> None:
    """Messages are kept until `after` says they came; then they are forgotten."""
    async with Service() as s:
        alice, bob, log = await s.talk()
        poll = await Polled(s.http).open(bob)
        await s.post(f"/v1/logs/{log}/calls", text("one"), alice, Idempotency_Key="k1")
        first = (await poll.get()).json()
        again = (await poll.get()).json()
        assert first["messages"]
        assert again["messages"][: len(first["messages"])] == first["messages"]
        got = await poll.get(after=again["next"], wait=0)
        assert got.json() == {"next": again["next"], "messages": []}
        assert_problem(await poll.get(after=again["next"] + 1, wait=0), 422, 106)
        assert_problem(await poll.get(after=0, wait=0), 422, 106)


async def test_RB4_newer_poll_ends_the_wait_of_an_older_one() -> None:
    """A proxy that holds a dead request costs one answer, not the wait."""
    async with Service() as s:
        token = await s.join("alice")
        poll = await Polled(s.http).open(token)
        older = asyncio.create_task(poll.get(wait=25))
        await asyncio.sleep(0.1)  # so that it is the older one
        newer = asyncio.create_task(poll.get(wait=1))
        async with asyncio.timeout(10):
            assert (await older).json() == {"next": poll.next, "messages": []}
        assert (await newer).json() == {"next": poll.next, "messages": []}


async def test_RB5_session_that_is_not_polled_ends() -> None:
    """Two heartbeats without a poll: the peer is gone, 410 from then on."""
    options = {"limits.heartbeat_ms": 1000, "presence.ttl_ms": 2000}
    async with Service(**options) as s:
        token = await s.join("alice")
        poll = await Polled(s.http).open(token)
        async with asyncio.timeout(15):
            for number in count(1):  # alive, but nobody polls
                if (await poll.up({"t": "ping"}, n=number)).status_code == 410:
                    break
                await asyncio.sleep(0.2)
        assert not s.node.hub.peers
        assert_problem(await poll.get(wait=0), 410)


async def test_RB5_session_without_a_frame_for_two_heartbeats_says_goodbye() -> None:
    """Polls alone do not keep it: as on a WebSocket, the client must say something."""
    options = {"limits.heartbeat_ms": 1000, "presence.ttl_ms": 2000}
    async with Service(**options) as s:
        token = await s.join("alice")
        poll = await Polled(s.http).open(token)
        goodbye = await poll.frame("goodbye")
        assert goodbye["code"] == 309
        assert_problem(await poll.get(), 410)
        async with streamed(s.http, token) as stream:
            assert (await stream.frame("goodbye"))["code"] == 309
            assert [event async for event in stream.events] == []


async def test_RB6_numbered_message_is_taken_once_and_in_order() -> None:
    """The answer of a POST was lost: the same number again changes nothing."""
    async with Service() as s:
        alice, _, log = await s.talk()
        async with streamed(s.http, alice) as stream:
            for _ in range(3):
                assert (await stream.up(call(1, "one", log), n=1)).status_code == 202
            assert_problem(await stream.up(call(3, "three", log), n=3), 422, 106)
            assert (await stream.up(call(2, "two", log), n=2)).status_code == 202
            await stream.frame("ack", ref=2)
            answers = [f for f in stream.seen if f["t"] in ("ack", "fail")]
            assert [(f["t"], f["ref"]) for f in answers] == [("ack", 1), ("ack", 2)]


async def test_RB7_silent_stream_sends_comments() -> None:
    """What has nothing to say still shows every proxy that it lives."""
    async with Service(**{"receivers.comment_ms": 100}) as s:
        token = await s.join("alice")
        async with streamed(s.http, token) as stream, asyncio.timeout(10):
            comments = 0
            async for event in stream.events:
                comments += event.comment
                if comments == 3:
                    break


async def _slow_stream(port: int, token: str) -> tuple[asyncio.StreamReader, Any]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4096)
    body = json.dumps(hello(token)).encode()
    head = f"POST /v1/stream HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    await reader.readuntil(b"welcome")
    return reader, writer


async def test_RB8_slow_stream_is_behind_not_endless() -> None:
    """A reader that takes nothing fills its bounded queue; then it is told that it is behind."""
    options = {"limits.send_queue_bytes": 65536, "limits.message_bytes": 131072}
    loose = {"rate": 0, "burst": 1}
    for name in ("connection", "user", "log", "ip"):
        options[f"limits.rates.{name}"] = loose  # type: ignore[assignment]
    async with Service(**options) as s:
        alice, bob, log = await s.talk()
        reader, writer = await _slow_stream(s.front.port, bob)
        peer = next(iter(s.node.hub.peers))
        sent = 0
        async with asyncio.timeout(30):
            while not s.node.metrics.behind_total:
                sent += 1
                answer = await s.post(
                    f"/v1/logs/{log}/calls", text("x" * 8000), alice, Idempotency_Key=f"k{sent}"
                )
                assert answer.status_code == 200, answer.text
        assert peer.session.pending < 200_000
        got = b""
        async with asyncio.timeout(30):
            while b'"behind"' not in got:
                chunk = await reader.read(65536)
                assert chunk, "the stream ended"
                got = got[-20:] + chunk
        writer.close()
        await eventually(lambda: not s.node.hub.peers)


async def test_RB8_unread_poll_is_behind_not_endless() -> None:
    """The same for a session whose polls stay away."""
    options = {"limits.send_queue_bytes": 65536, "limits.message_bytes": 131072}
    async with Service(**options) as s:
        alice, bob, log = await s.talk()
        poll = await Polled(s.http).open(bob)
        for number in range(60):
            got = await s.post(
                f"/v1/logs/{log}/calls", text("x" * 8000), alice, Idempotency_Key=f"k{number}"
            )
            assert got.status_code == 200, got.text
        assert s.node.metrics.behind_total
        behind = await poll.frame("behind", log=log)
        assert behind["head"] >= 50
        assert words_of(poll.seen)[0][0] <= 3, "what was taken before the loss comes first"


async def test_RB8_sessions_count_as_connections() -> None:
    """The limits of a user and of the server hold for sessions over HTTP too."""
    options = {"limits.connections_per_user": 2, "receivers.polls": 2}
    async with Service(**options) as s:
        alice, bob = await s.join("alice"), await s.join("bob")
        await Polled(s.http).open(alice, "d1")
        async with streamed(s.http, alice, "d2"):
            assert_problem(await s.post("/v1/stream", hello(alice, "d3")), 503, 304)
        await Polled(s.http).open(bob, "d1")
        assert_problem(await s.post("/v1/poll", hello(bob, "d2")), 503, 304)


async def test_RB9_closing_server_says_goodbye() -> None:
    """The stream ends after its goodbye, a waiting poll brings it."""
    async with Service() as s:
        alice, bob = await s.join("alice"), await s.join("bob")
        poll = await Polled(s.http).open(bob)
        waiting = asyncio.create_task(poll.get(wait=25))
        async with streamed(s.http, alice) as stream:
            await stream.frame("welcome")
            stopping = asyncio.create_task(s.node.gateway.drain(5.0))
            assert (await stream.frame("goodbye"))["code"] == 306
            assert [event async for event in stream.events] == []
            poll._take((await waiting).json())
            assert poll.seen[-1]["t"] == "goodbye"
            await stopping
            assert_problem(await s.post("/v1/stream", hello(alice)), 503, 306)
