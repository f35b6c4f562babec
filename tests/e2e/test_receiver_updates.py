"""Receivers without a session: /v1/events and /v1/updates on a running server (RB10 … RB17)."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from http_rig import MAIN, Service, assert_problem
from msgspec.structs import replace
from receiver_rig import LONG, cursor_of, do, eventually, ids, listening, pull, say, take, whole

from hongyan.ports import Evicted


async def test_RB10_both_receivers_bring_what_a_session_brings() -> None:
    """Entry by entry equal to what reading the log gives, from the beginning and live."""
    async with Service() as s:
        alice, bob, log = await s.talk()
        for number in range(5):
            await say(s, alice, log, f"before{number}")
        async with listening(s, bob, "?after=0") as stream:
            start = asyncio.create_task(take(stream, 8))
            for number in range(3):
                await say(s, alice, log, f"live{number}")
            told = [event.json for event in await start]
        polled = await pull(s, bob, "after=0")
        entries = (await s.get(f"/v1/logs/{log}/entries?after=0", bob)).json()["entries"]
        assert [update["entry"] for update in told] == entries
        assert polled["entries"] == told
        assert not polled["more"]


async def test_RB10_api_key_receives_for_a_user() -> None:
    """With the scope `read`, in the name of the user of Hongyan-User; a ticket stands for both."""
    async with Service() as s:
        alice, _, log = await s.talk()
        seq = await say(s, alice, log, "hi")
        auth = s.node.authenticator
        _, key = await auth.create_key(MAIN, ("read", "send_as"))
        _, mute = await auth.create_key(MAIN, ("send_as",))
        for path in ("/v1/updates?after=0", "/v1/events?after=0"):
            assert_problem(await s.get(path, key), 401, 201)
            assert_problem(await s.get(path, mute, Hongyan_User="bob"), 403, 209)
        got = await s.get("/v1/updates?after=0", key, Hongyan_User="bob")
        assert ids(got.json()["entries"]) == [(log, seq)]
        ticket = (await s.post("/v1/events/ticket", {}, key, Hongyan_User="bob")).json()["ticket"]
        async with listening(s, "", f"?after=0&ticket={ticket}") as stream:
            assert ids([(await take(stream, 1))[0].json]) == [(log, seq)]


async def test_RB10_without_a_cursor_it_starts_now() -> None:
    """What was before does not come; what comes next does, also if nobody waits then."""
    async with Service() as s:
        alice, bob, log = await s.talk()
        await say(s, alice, log, "old")
        now = await pull(s, bob, "wait=25")
        assert now["entries"] == []
        async with listening(s, bob) as stream:
            cursor = await cursor_of(stream)
            seq = await say(s, alice, log, "new")
            [event] = await take(stream, 1)
        assert event.json["entry"]["seq"] == seq
        for place in (now["cursor"], cursor):
            assert ids((await pull(s, bob, f"cursor={place}"))["entries"]) == [(log, seq)]


async def test_RB11_events_resume_behind_the_last_id() -> None:
    """Cut after every event, over both receivers: each entry once, in order."""
    async with Service() as s:
        alice, bob, log = await s.talk()
        other = (await do(s, bob, "chat.create", title="x"))["log"]
        for number in range(6):
            await say(s, alice, log, f"a{number}")
            await say(s, bob, other, f"b{number}")
        seen: list[tuple[str, int]] = []
        last, query = "", "?after=0"
        wanted = [*await whole(s, bob, log), *await whole(s, bob, other)]
        while len(seen) < len(wanted):
            headers = {"Last_Event_ID": last} if last else {}
            async with listening(s, bob, query, **headers) as stream:
                [event] = await take(stream, 1)
            seen += ids([event.json])
            last = event.id
            answer = await pull(s, bob, f"cursor={last}&limit=1&wait=0")
            seen += ids(answer["entries"])
            last = answer["cursor"]
        assert sorted(seen) == sorted(wanted)
        for name in (log, other):
            assert [s_ for l_, s_ in seen if l_ == name] == sorted(
                s_ for l_, s_ in wanted if l_ == name
            )


async def test_RB11_last_event_id_goes_before_the_url() -> None:
    """A browser comes back with the URL it started with."""
    async with Service() as s:
        alice, bob, log = await s.talk()
        first = await say(s, alice, log, "one")
        second = await say(s, alice, log, "two")
        begin = await pull(s, bob, f"after=0&limit={first}")
        assert ids(begin["entries"])[-1] == (log, first)
        async with listening(s, bob, "?after=0", Last_Event_ID=begin["cursor"]) as stream:
            [event] = await take(stream, 1)
            assert event.json["entry"]["seq"] == second


async def test_RB13_one_log_only() -> None:
    """`log` leaves the others out, and is refused where it is none of the user's."""
    async with Service() as s:
        alice, bob, log = await s.talk()
        other = (await do(s, alice, "chat.create", title="x"))["log"]
        seq = await say(s, alice, log, "here")
        await say(s, alice, other, "there")
        found = ids((await pull(s, alice, f"after=0&log={log}"))["entries"])
        assert {name for name, _ in found} == {log} and found[-1] == (log, seq)
        headers = {"Authorization": f"Bearer {bob}"}
        for path in ("updates", "events"):
            got = await s.http.get(f"/v1/{path}?log={other}", headers=headers)
            assert_problem(got, 403, 202)
            assert_problem(await s.http.get(f"/v1/{path}?log=x", headers=headers), 400, 107)


@pytest.mark.parametrize("path", ["/v1/updates", "/v1/events"])
async def test_RB13_wrong_places_are_refused(path: str) -> None:
    """Not a cursor; one of a store that had more; no number."""
    async with Service() as s:
        token = await s.join("alice")
        assert_problem(await s.get(f"{path}?cursor=nonsense", token), 422, 106)
        assert_problem(await s.get(f"{path}?after=5", token), 422, 106)
        assert_problem(await s.get(f"{path}?cursor=c1-ffffff", token), 404, 109)
        assert_problem(await s.get(path, token, Last_Event_ID="nonsense"), 422, 106)
        assert_problem(await s.get("/v1/updates?limit=0", token), 422, 106)
        assert not len(s.node.gateway.updates)


async def test_RB14_ticket_is_good_once() -> None:
    """In the name of who got it; not twice, not late, and not for another endpoint."""
    async with Service(**{"receivers.ticket_ms": 60_000}) as s:
        alice, bob, log = await s.talk()
        got = await s.post("/v1/events/ticket", {}, bob)
        assert got.status_code == 201, got.text
        ticket = got.json()["ticket"]
        assert_problem(await s.http.get(f"/v1/updates?ticket={ticket}"), 401, 201)
        async with listening(s, "", f"?ticket={ticket}") as stream:
            await cursor_of(stream)
            seq = await say(s, alice, log, "hi")
            assert ids([(await take(stream, 1))[0].json]) == [(log, seq)]
        assert_problem(await s.http.get(f"/v1/events?ticket={ticket}"), 401, 201)
        assert_problem(await s.post("/v1/events/ticket", {}), 401, 201)
    async with Service(**{"receivers.ticket_ms": 1}) as s:
        token = await s.join("alice")
        ticket = (await s.post("/v1/events/ticket", {}, token)).json()["ticket"]
        await asyncio.sleep(0.01)
        assert_problem(await s.http.get(f"/v1/events?ticket={ticket}"), 401, 201)


async def test_RB15_who_may_not_read_any_more_is_cut_off() -> None:
    """A device that is logged out at once, a disabled account at the next look."""
    async with Service(**{"receivers.comment_ms": 200}) as s:
        token = await s.join("alice", "phone")
        other = await s.join("bob")
        for hit, who in (("device", token), ("account", other)):
            async with listening(s, who) as stream:
                await cursor_of(stream)
                if hit == "device":
                    identity = await s.node.authenticator.authenticate(token)
                    s.bus.publish(Evicted("main", "alice", "phone", identity.epoch, 206))
                else:
                    directory = s.node.authenticator._directory
                    account = await directory.user("main", "bob")
                    await directory.put_user(replace(account, disabled=True))
                async with asyncio.timeout(10):
                    assert [event.json for event in [e async for e in stream] if event.data] == []
        await eventually(lambda: not len(s.node.gateway.updates))


async def test_RB16_receivers_are_counted_and_given_back() -> None:
    """A user's limit holds for streams and waiting polls together; who goes makes room."""
    async with Service(**{"limits.connections_per_user": 2}) as s:
        token = await s.join("alice")
        headers = {"Authorization": f"Bearer {token}"}
        start = (await pull(s, token, ""))["cursor"]
        path = f"/v1/updates?cursor={start}&wait=20"
        waiting = asyncio.create_task(s.http.get(path, headers=headers, timeout=LONG))
        async with listening(s, token) as stream:
            await cursor_of(stream)
            await eventually(lambda: len(s.node.gateway.updates) == 2)
            assert_problem(await s.get("/v1/events", token), 503, 304)
            assert_problem(await s.get("/v1/updates", token), 503, 304)
        waiting.cancel()  # closes its connection
        await eventually(lambda: not len(s.node.gateway.updates))
        assert (await s.get("/v1/updates", token)).status_code == 200


async def test_RB16_head_of_a_stream_ends() -> None:
    """HEAD tells the headers and holds nothing."""
    async with Service() as s:
        token = await s.join("alice")
        got = await s.http.head("/v1/events", headers={"Authorization": f"Bearer {token}"})
        assert got.status_code == 200
        assert got.headers["content-type"].startswith("text/event-stream")
        assert not len(s.node.gateway.updates)


async def test_RB16_slow_reader_is_read_for_no_further() -> None:
    """What a stream's reader does not take stays in the store; all of it comes in the end."""
    options = {
        f"limits.rates.{n}": {"rate": 0, "burst": 1} for n in ("connection", "user", "log", "ip")
    }
    async with Service(**options) as s:
        alice, bob, log = await s.talk()
        start = (await pull(s, bob, ""))["cursor"]
        head = f"GET /v1/events?cursor={start} HTTP/1.1\r\nHost: x\r\n"
        head += f"Authorization: Bearer {bob}\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", s.front.port, limit=1024)
        writer.write(head.encode())
        for number in range(400):
            await say(s, alice, log, f"{number:04}" + "x" * 7500)
        got = b""
        async with asyncio.timeout(30):
            while got.count(b"\nid: c1-") < 401:  # with the one that only tells the cursor
                chunk = await reader.read(65536)
                assert chunk, "the stream ended"
                got += chunk
        told = [
            line[6:] for line in got.split(b"\n") if line.startswith(b"data: ") and b"entry" in line
        ]
        seqs = [httpx.Response(200, content=line).json()["entry"]["seq"] for line in told]
        assert seqs == list(range(seqs[0], seqs[0] + 400))
        writer.close()
        await eventually(lambda: not len(s.node.gateway.updates))


async def test_RB16_page_is_cut_by_its_bytes_and_goes_on() -> None:
    """More than 1 MiB of bodies is more than one answer, and nothing falls between two."""
    options = {
        f"limits.rates.{n}": {"rate": 0, "burst": 1} for n in ("connection", "user", "log", "ip")
    }
    async with Service(**options) as s:
        alice, bob, log = await s.talk()
        said = [await say(s, alice, log, f"{number:04}" + "x" * 7500) for number in range(170)]
        first = await pull(s, bob, "after=0&limit=200")
        assert first["more"] and 100 < len(first["entries"]) < len(said)
        rest = await pull(s, bob, f"cursor={first['cursor']}&limit=200")
        assert ids(first["entries"] + rest["entries"]) == [(log, seq) for seq in said]
        async with listening(s, bob, "?after=0") as stream:
            told = [event.json for event in await take(stream, len(said))]
        assert ids(told) == [(log, seq) for seq in said]


async def test_RB17_closing_server_ends_streams_and_answers_polls() -> None:
    """A waiting poll gets its cursor back, a stream ends; nobody is left hanging."""
    async with Service() as s:
        token = await s.join("alice")
        start = (await pull(s, token, ""))["cursor"]
        waiting = asyncio.create_task(pull(s, token, f"cursor={start}&wait=25"))
        async with listening(s, token) as stream:
            await cursor_of(stream)
            await eventually(lambda: len(s.node.gateway.updates) == 2)
            await s.node.gateway.drain(5.0)
            async with asyncio.timeout(10):
                assert (await waiting) == {"cursor": start, "entries": [], "more": False}
                assert [event async for event in stream] == []
        assert_problem(await s.get("/v1/events", token), 503, 306)
