"""The Python client where a script alone does not reach: processes, slow readers, closing."""

# size: the cases of one subject share their fixtures; parted, each part would repeat them

from __future__ import annotations

import asyncio
import random
import signal
import socket
import sqlite3
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from scripted_server import ScriptedServer
from test_transport_tls import make_pair

from hongyan.client import (
    Client,
    Closed,
    DataBroken,
    DataInUse,
    EventStream,
    Offline,
    Outbox,
    OutboxFull,
    events,
)
from hongyan.client import shell as shell_module
from hongyan.model.errors import BadId, Kicked, WrongPassword
from hongyan.model.log import Entry

A = "main/d/alice~bob"
DEADLINE_S = 10.0

Frame = dict[str, Any]
T = TypeVar("T")
E = TypeVar("E", bound=events.Event)


async def token() -> str:
    return "token"


def welcome(*rows: Frame, upto: int = 1, heartbeat_ms: int = 30_000) -> Frame:
    return {
        "t": "welcome",
        "session": "s1",
        "user": "alice",
        "tenant": "main",
        "device": "d1",
        "now": 1,
        "heartbeat_ms": heartbeat_ms,
        "limits": {"message_bytes": 65_536, "window": 64, "page": 100},
        "inbox": {"rows": list(rows), "upto": upto},
    }


def row(head: int, **fields: Any) -> Frame:
    base = {"unread": 0, "mentions": 0, "role": 1, "since": 1, "read": 0, "delivered": head}
    return {"log": A, "useq": 1, "head": head, "ord": head, **base, **fields}


def entry(seq: int) -> Frame:
    return {
        "seq": seq,
        "type": "message",
        "from": "bob",
        "at": 1,
        "ord": seq,
        "body": {"n": seq},
        "count": True,
    }


def deliver(*seqs: int) -> Frame:
    return {"t": "deliver", "log": A, "entries": [entry(seq) for seq in seqs]}


def page(ref: str, *seqs: int, head: int, more: bool = False) -> Frame:
    return {
        "t": "page",
        "ref": ref,
        "log": A,
        "entries": [entry(seq) for seq in seqs],
        "amends": [],
        "floor": 1,
        "head": head,
        "epoch": 1,
        "more": more,
    }


HELLO = {"expect": {"t": "hello"}}


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer() as server:
        yield server


@pytest.fixture
def unused_tcp_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture(autouse=True)
async def no_task_is_left() -> AsyncIterator[None]:
    yield
    await asyncio.sleep(0)
    left = [t for t in asyncio.all_tasks() if "hongyan/client" in repr(t.get_coro())]
    assert not left


async def nothing(value: Any) -> None:
    raise AssertionError(f"no step for the client here: {value}")


async def play(server: ScriptedServer, *steps: Frame) -> None:
    await server.play(list(steps), nothing, nothing)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not true():  # noqa: ASYNC110  # no event tells of it
            await asyncio.sleep(0.005)


async def soon(waiting: Awaitable[T]) -> T:
    async with asyncio.timeout(DEADLINE_S):
        return await waiting


async def event_of(stream: EventStream, kind: type[E]) -> E:
    async with asyncio.timeout(DEADLINE_S):
        async for event in stream:
            if isinstance(event, kind):
                return event
    raise AssertionError(f"no {kind.__name__} came")


def client_of(server: ScriptedServer, **options: Any) -> Client:
    return Client(f"http://127.0.0.1:{server.port}", token, device="d1", **options)


# --- processes --------------------------------------------------------------------------------

PROGRAM = """
import asyncio, sys
from pathlib import Path
from hongyan.client import Client, events

async def token():
    return "token"

async def main(url, data, text):
    client = Client(url, token, device="d1", data=Path(data))
    await client.start()
    stream = client.events()
    if text:
        print((await client.send("main/d/alice~bob", text)).seq, flush=True)
    else:
        async for event in stream:
            if isinstance(event, events.Acked):
                print(event.ack.seq, flush=True)
                break
    await client.close()

asyncio.run(main(*sys.argv[1:]))
"""


async def program(server: ScriptedServer, data: Path, text: str) -> asyncio.subprocess.Process:
    url = f"http://127.0.0.1:{server.port}"
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, url, str(data), text, stdout=asyncio.subprocess.PIPE
    )


@pytest.mark.parametrize("acked", [False, True], ids=["before-the-ack", "with-the-ack"])
async def test_X3_killed_between_send_and_ack_it_is_sent_once_more_with_its_op(
    server: ScriptedServer, tmp_path: Path, acked: bool
) -> None:
    """The real thing: kill -9 after the server has the call. The next process repeats the op, so
    the server stores one message; the one after that has nothing left to send."""
    data = tmp_path / "client.db"
    call = {"t": "call", "name": "chat.send", "op": "$op"}
    first = await program(server, data, "hello")
    await play(server, HELLO, {"send": welcome()}, {"expect": {**call, "ref": "$r1"}})
    if acked:  # the ack races with the kill: either it was taken, or the call comes again
        await play_on(server, {"send": {"t": "ack", "ref": "$r1", "log": A, "seq": 7}})
    first.send_signal(signal.SIGKILL)
    await first.wait()

    second = await program(server, data, "")
    await play(server, HELLO, {"send": welcome()})
    if not acked:
        again = {"expect": {**call, "ref": "$r2"}}  # $op must be the one from before
        await play_on(server, again, {"send": {"t": "ack", "ref": "$r2", "log": A, "seq": 7}})
        assert second.stdout is not None
        assert await soon(second.stdout.readline()) == b"7\n"
        assert await soon(second.wait()) == 0
    else:
        second.kill()
        await second.wait()
        return
    third = await program(server, data, "")
    await play(server, HELLO, {"send": welcome()}, {"quiet": 0.3})
    third.kill()
    await third.wait()


async def play_on(server: ScriptedServer, *steps: Frame) -> None:
    """Go on with the connection that is there."""
    await server.play([{"do": None}, *steps], anything, nothing)


async def anything(value: Any) -> None:
    """Nothing to do."""


# --- readers ----------------------------------------------------------------------------------


async def test_R12_a_slow_reader_pulls_what_memory_has_forgotten(server: ScriptedServer) -> None:
    async with client_of(server, keep=4) as client:
        await play(server, HELLO, {"send": welcome(row(1))})
        await soon(client.connected())
        reader = client.entries(A, after=0)
        first = asyncio.ensure_future(anext(reader))
        read = {"expect": {"t": "read", "before": 0, "ref": "$n"}}
        await play_on(server, read, {"send": page("$n", 1, head=1)})
        seen = [(await soon(first)).seq]
        await play_on(server, *({"send": deliver(seq)} for seq in range(2, 41)))
        replica = client.replica(A)
        assert replica is not None
        await until(lambda: replica.last == 40)
        assert len(replica.entries()) <= 5

        async def read_on() -> None:
            async for one in reader:
                seen.append(one.seq)
                if one.seq == 40:
                    return

        rest = asyncio.ensure_future(read_on())
        pull = {"expect": {"t": "read", "after": 1, "ref": "$p"}}
        await play_on(server, pull, {"send": page("$p", *range(2, 38), head=40, more=True)})
        await soon(rest)
        assert seen == list(range(1, 41))


async def test_R12_two_readers_do_not_disturb_each_other(server: ScriptedServer) -> None:
    async with client_of(server) as client:
        await play(server, HELLO, {"send": welcome(row(2))})
        await soon(client.connected())
        seen: tuple[list[int], list[int]] = ([], [])

        async def read(into: list[int]) -> None:
            async for one in client.entries(A, after=0):
                into.append(one.seq)
                if one.seq == 5:
                    return

        readers = asyncio.gather(read(seen[0]), read(seen[1]))
        first = {"expect": {"t": "read", "before": 0, "ref": "$n"}}
        await play_on(server, first, {"send": page("$n", 1, 2, head=2)})
        await play_on(server, {"send": deliver(3, 4)}, {"send": deliver(5)})
        await soon(readers)
        assert seen == ([1, 2, 3, 4, 5], [1, 2, 3, 4, 5])


async def test_R12_from_now_on(server: ScriptedServer) -> None:
    async with client_of(server) as client:
        await play(server, HELLO, {"send": welcome(row(2))})
        await soon(client.connected())
        opening = asyncio.ensure_future(client.open(A))
        first = {"expect": {"t": "read", "before": 0, "ref": "$n"}}
        await play_on(server, first, {"send": page("$n", 1, 2, head=2)})
        await soon(opening)
        reader = client.entries(A)
        got: asyncio.Future[Entry] = asyncio.ensure_future(anext(reader))
        await asyncio.sleep(0)
        await play_on(server, {"send": deliver(3)})
        assert (await soon(got)).seq == 3
        client.shut(A)
        assert client.replica(A) is None


async def test_R13_heartbeats_go_on_however_slow_the_application_is(
    server: ScriptedServer,
) -> None:
    """Nobody reads the events, a reader of the log stands still, 10,000 entries come in."""
    async with client_of(server, keep=50) as client:
        ignored = client.events()
        await play(server, HELLO, {"send": welcome(row(1), heartbeat_ms=1_000)})
        await soon(client.connected())
        opening = asyncio.ensure_future(client.open(A))
        first = {"expect": {"t": "read", "before": 0, "ref": "$n"}}
        await play_on(server, first, {"send": page("$n", 1, head=1)})
        await soon(opening)
        stalled = client.entries(A, after=0)
        assert (await soon(anext(stalled))).seq == 1
        many = [{"send": [deliver(*range(at, at + 100))]} for at in range(2, 10_002, 100)]
        await play_on(server, *many, {"expect": {"t": "ping"}})
        replica = client.replica(A)
        assert replica is not None
        await until(lambda: replica.last == 10_001)  # a busy machine pings before the last one
        assert len(replica.entries()) <= 63
        assert isinstance(await soon(anext(ignored)), events.Event)


# --- calls ------------------------------------------------------------------------------------


async def test_X7_a_full_outbox_refuses(unused_tcp_port: int) -> None:
    client = Client(f"ws://127.0.0.1:{unused_tcp_port}", token, device="d1", outbox=Outbox(most=2))
    async with client:
        waiting = [asyncio.ensure_future(client.send(A, str(n))) for n in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(OutboxFull):
            await client.send(A, "one too many")
        assert len(client.outbox) == 2
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


@pytest.mark.parametrize("kept", [False, True], ids=["memory", "file"])
async def test_X11_cancelling_stops_the_waiting_not_the_call(
    server: ScriptedServer, tmp_path: Path, kept: bool
) -> None:
    async with client_of(server, data=tmp_path / "c.db" if kept else None) as client:
        stream = client.events()
        call = asyncio.ensure_future(client.send(A, "hello"))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        want = {"t": "call", "args": {"content": {"type": "text", "text": "hello"}}, "ref": "$r"}
        await play(server, HELLO, {"send": welcome()}, {"expect": want})
        await play_on(server, {"send": {"t": "ack", "ref": "$r", "log": A, "seq": 4}})
        assert (await event_of(stream, events.Acked)).ack.seq == 4


async def test_X11_closing_tells_whoever_waits(server: ScriptedServer) -> None:
    client = await client_of(server).start()
    stream = client.events()
    await play(server, HELLO, {"send": welcome(row(1))})
    await soon(client.connected())
    call = asyncio.ensure_future(client.send(A, "hello"))
    read = asyncio.ensure_future(client.read(A, before=0))
    reader = asyncio.ensure_future(anext(client.entries(A)))
    await play_on(server, {"expect": {"t": "read"}})
    closing = asyncio.ensure_future(client.close())
    for waiting in (call, read, reader):
        with pytest.raises(Closed):
            await soon(waiting)
    await soon(closing)
    await client.close()
    with pytest.raises(Closed):
        await client.send(A, "too late")
    assert not any(isinstance(event, events.Stopped) for event in [e async for e in stream])
    assert [e async for e in client.events()] == []


async def test_X11_closing_says_bye(server: ScriptedServer) -> None:
    client = await client_of(server).start()
    await play(server, HELLO, {"send": welcome()})
    await soon(client.connected())
    closing = asyncio.ensure_future(client.close(logout=True))
    await play_on(server, {"expect": {"t": "bye", "logout": True}})
    await soon(closing)


async def test_X11_closing_while_connecting(unused_tcp_port: int) -> None:
    async with Client(f"ws://127.0.0.1:{unused_tcp_port}", token, device="d1") as client:
        stream = client.events()
        await event_of(stream, events.Disconnected)
        assert not client.online


# --- the data file ----------------------------------------------------------------------------


async def test_X10_one_client_per_file(server: ScriptedServer, tmp_path: Path) -> None:
    async with client_of(server, data=tmp_path / "c.db"):
        with pytest.raises(DataInUse):
            await client_of(server, data=tmp_path / "c.db").start()


async def test_X10_what_cannot_be_written_is_not_sent(
    server: ScriptedServer, tmp_path: Path
) -> None:
    async with client_of(server, data=tmp_path / "c.db") as client:
        await play(server, HELLO, {"send": welcome()})
        await soon(client.connected())
        file = client._core.sender.file
        assert file is not None
        await soon(client.mark_read(A, 1))  # a commit, so that the next pragma meets no other
        pages = file._db.execute("pragma page_count").fetchone()[0]
        file._db.execute(f"pragma max_page_count = {pages}")  # the disk is full
        with pytest.raises(DataBroken, match="full"):
            await soon(client.send(A, "x" * 20_000))
        assert len(client.outbox) == 0
        await play_on(server, {"expect": {"t": "cursor", "ref": "*"}}, {"quiet": 0.3})
        file._db.execute("pragma max_page_count = 100000")
        call = asyncio.ensure_future(client.send(A, "small"))
        await play_on(server, {"expect": {"t": "call", "ref": "$r"}})
        await play_on(server, {"send": {"t": "ack", "ref": "$r", "log": A, "seq": 1}})
        assert (await soon(call)).seq == 1


async def test_R5_R6_what_was_recalled_or_cleared_is_not_left_on_disk(
    server: ScriptedServer, tmp_path: Path
) -> None:
    path = tmp_path / "c.db"
    async with client_of(server, data=path) as client:
        await play(server, HELLO, {"send": welcome(row(4))})
        await soon(client.connected())
        opening = asyncio.ensure_future(client.open(A))
        read = {"expect": {"t": "read", "before": 0, "ref": "$n"}}
        await play_on(server, read, {"send": page("$n", 1, 2, 3, 4, head=4)})
        replica = await soon(opening)
        recall = {**entry(5), "ord": 4, "target": 3, "slot": "recall", "count": False}
        await play_on(server, {"send": {"t": "deliver", "log": A, "entries": [recall]}})
        await until(lambda: replica.last == 5)
        cleared = row(5, useq=2, ord=4, cleared=2)
        await play_on(server, {"send": {"t": "inbox", "page": {"rows": [cleared], "upto": 0}}})
        await until(lambda: client.rows[A].cleared == 2)
    with sqlite3.connect(path) as db:
        kept = [text for (text,) in db.execute("select entry from entries order by seq")]
    db.close()
    assert [msgspec.json.decode(one)["seq"] for one in kept] == [3, 4, 5]
    assert msgspec.json.decode(kept[0])["body"] == {}


# --- connecting -------------------------------------------------------------------------------


async def test_X12_wake_ends_the_pause(server: ScriptedServer) -> None:
    async with client_of(server) as client:
        stream = client.events()
        bye = {"t": "goodbye", "code": 306, "text": "back later", "reconnect_after_ms": 600_000}
        await play(server, HELLO, {"send": welcome()}, {"send": bye})
        assert (await event_of(stream, events.Disconnected)).retry_in_s >= 600
        client.wake()
        await play(server, HELLO, {"send": welcome()})
        assert (await event_of(stream, events.Connected)).repeat


async def test_X12_wake_drops_a_connection_that_is_dead(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell_module, "PROBE_S", 0.1)
    async with client_of(server) as client:
        await play(server, HELLO, {"send": welcome()})
        await soon(client.connected())
        client.wake()
        await play_on(server, {"expect": {"t": "sync", "ref": "$s"}})
        inbox = {"t": "inbox", "ref": "$s", "page": {"rows": [], "upto": 1}}
        await play_on(server, {"send": inbox}, {"quiet": 0.3})  # it answered: it stays
        client.wake()
        await play_on(server, {"expect": {"t": "sync"}})
        await play(server, HELLO)  # it did not: a new connection


async def test_X8_a_token_source_in_trouble_is_asked_again(server: ScriptedServer) -> None:
    asked = 0

    async def flaky() -> str:
        nonlocal asked
        asked += 1
        if asked < 3:
            raise RuntimeError("the phone is in a tunnel")
        return "token"

    client = Client(f"ws://127.0.0.1:{server.port}", flaky, device="d1")
    client._core.shell.random = Quick()
    async with client:
        await play(server, {"expect": {"t": "hello", "token": "token"}})
        assert asked == 3


class Quick(random.Random):
    """Rolls low."""

    def random(self) -> float:
        return 0.0


async def test_X8_a_token_source_that_gives_up_stops_the_client(server: ScriptedServer) -> None:
    async def wrong() -> str:
        raise WrongPassword()

    async with Client(f"ws://127.0.0.1:{server.port}", wrong, device="d1") as client:
        stream = client.events()
        with pytest.raises(WrongPassword):
            await soon(client.connected())
        with pytest.raises(WrongPassword):
            await client.send(A, "hello")
        assert isinstance(client.stopped, WrongPassword)
        assert [type(event) async for event in stream][-1:] in ([events.Stopped], [])


async def test_X8_kicked_is_told_by_an_event(server: ScriptedServer) -> None:
    async with client_of(server) as client:
        stream = client.events()
        kick = {"t": "goodbye", "code": 206, "text": "other login", "reconnect_after_ms": -1}
        await play(server, HELLO, {"send": welcome()}, {"send": kick})
        assert isinstance((await event_of(stream, events.Stopped)).error, Kicked)
        with pytest.raises(StopAsyncIteration):
            await soon(anext(stream))


async def test_X8_without_a_connection_questions_end_in_offline(
    unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hongyan.client.core.ASK_S", 0.1)
    async with Client(f"ws://127.0.0.1:{unused_tcp_port}", token, device="d1") as client:
        with pytest.raises(Offline) as why:
            await client.connected(within=0.05)
        assert why.value.retry
        with pytest.raises(Offline):
            await client.read(A, before=0)
        with pytest.raises(Offline):
            await client.query("devices")
        assert not client.signal(A, "typing")


async def test_X8_a_question_is_asked_again_after_a_loss(server: ScriptedServer) -> None:
    async with client_of(server) as client:
        await play(server, HELLO, {"send": welcome()})
        await soon(client.connected())
        asking = asyncio.ensure_future(client.query("devices", {"x": 1}))
        await play_on(server, {"expect": {"t": "query", "name": "devices"}}, {"drop": True})
        want = {"t": "query", "name": "devices", "args": {"x": 1}, "ref": "$q"}
        await play(server, HELLO, {"send": welcome()}, {"expect": want})
        await play_on(server, {"send": {"t": "result", "ref": "$q", "body": [1, 2]}})
        assert await soon(asking) == [1, 2]


async def test_signals_receipts_and_gaps_are_events(server: ScriptedServer) -> None:
    async with client_of(server) as client:
        stream = client.events()
        await play(server, HELLO, {"send": welcome(row(3))})
        await soon(client.connected())
        assert client.signal(A, "typing", {"on": True})
        await play_on(server, {"expect": {"t": "signal", "name": "typing", "body": {"on": True}}})
        bob = {"user": "bob", "device": "b1"}
        await play_on(
            server,
            {"send": {"t": "signal", "log": A, "name": "typing", "body": {}, **bob}},
            {"send": {"t": "cursor", "log": A, "delivered": 3, "read": 2, "user": "bob"}},
            {"send": {"t": "gap", "log": A, "n": 4, "reason": "sampled"}},
        )
        assert (await event_of(stream, events.Signalled)).user == "bob"
        assert (await event_of(stream, events.Receipted)).read == 2
        assert (await event_of(stream, events.Dropped)).n == 4
        assert client.rows[A].peer_read == 2


async def test_X13_only_a_server_that_proves_itself_gets_the_token(tmp_path: Path) -> None:
    (cert, key), (stranger, _) = make_pair(tmp_path, "ours"), make_pair(tmp_path, "other")
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(cert, key)
    async with ScriptedServer(serving) as server:
        url = f"https://localhost:{server.port}"
        trusting = ssl.create_default_context(cafile=str(cert))
        async with Client(url, token, device="d1", ssl=trusting) as client:
            await play(server, HELLO, {"send": welcome()})
            await soon(client.connected())
        seen = server.connections
        others = ssl.create_default_context(cafile=str(stranger))
        for address, trust in (
            (url, others),
            (url, None),
            (url.replace("localhost", "127.0.0.1"), trusting),
        ):
            async with Client(address, token, device="d1", ssl=trust) as client:
                gone = await event_of(client.events(), events.Disconnected)
                assert "SSLCertVerificationError" in gone.reason
        assert server.connections == seen


def test_a_device_has_a_proper_name() -> None:
    with pytest.raises(BadId):
        Client("ws://x", token, device="my laptop")


async def test_a_client_starts_once() -> None:
    client = Client("ws://x", token, device="d1")
    with pytest.raises(RuntimeError):
        await client.send(A, "hello")
    await client.close()
