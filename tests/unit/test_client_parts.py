"""Cursors, events, ledger, tokens: the small parts of the client."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import msgspec
import pytest

from hongyan.client import Ledger, Offline, PasswordToken, events, ledger, login, read_ledger
from hongyan.client.cursors import MOST, PAUSE_S, Cursors
from hongyan.client.events import EventStream
from hongyan.client.follow import Pulse
from hongyan.client.link import ws_url
from hongyan.client.rows import Rows
from hongyan.client.sender import encode_args
from hongyan.model.errors import TooFast, WrongPassword
from hongyan.model.ids import DeviceId, LogId, OpId, Seq, UserId
from hongyan.model.log import Entry, InboxRow, Role
from hongyan.wire.frames import Cursor

A, B = LogId("main/d/alice~bob"), LogId("main/g/b")


def row(log: LogId = A, **fields: object) -> InboxRow:
    base: dict[str, object] = {
        "log": log,
        "useq": 1,
        "head": 5,
        "ord": 5,
        "unread": 5,
        "mentions": 1,
        "role": Role.MEMBER,
        "since": 1,
        "read": 0,
        "delivered": 0,
    }
    return msgspec.convert({**base, **fields}, InboxRow)


# --- cursors ----------------------------------------------------------------------------------


def test_R10_delivered_cursors_are_merged_and_paced() -> None:
    cursors = Cursors()
    for seq in (2, 5, 3):
        cursors.deliver(A, Seq(seq))
    assert [(c.log, c.delivered) for c in cursors.take(1.0)] == [(A, 5)]
    cursors.deliver(A, Seq(5))
    assert cursors.due() is None
    cursors.deliver(A, Seq(6))
    assert cursors.take(1.0 + PAUSE_S - 0.01) == []
    assert cursors.due() == 1.0 + PAUSE_S
    assert [c.delivered for c in cursors.take(1.0 + PAUSE_S)] == [6]


def test_R10_what_the_server_knows_is_not_said() -> None:
    cursors = Cursors()
    cursors.deliver(A, Seq(4), known=Seq(4))
    assert cursors.due() is None


def test_R10_many_logs_are_said_in_portions() -> None:
    cursors = Cursors()
    for number in range(MOST + 10):
        cursors.deliver(LogId(f"main/g/{number}"), Seq(1))
    assert len(cursors.take(0.0)) == MOST
    assert len(cursors.take(PAUSE_S)) == 10


def test_R11_a_read_cursor_stays_until_it_is_confirmed() -> None:
    cursors = Cursors()
    assert cursors.read(A, Seq(4), -1)
    assert not cursors.read(A, Seq(3), -1)
    [sent] = cursors.take_reads(0.0, 9)
    assert cursors.take_reads(0.0, 9) == []  # one at a time per log
    assert cursors.read(A, Seq(6), 2)
    assert not cursors.confirmed(sent)  # there is a newer one
    [newer] = cursors.take_reads(0.0, 9)
    assert (newer.read, newer.mark) == (6, 2)
    assert cursors.confirmed(newer)
    assert cursors.confirmed(newer)
    assert cursors.reads_due() is None


def test_R11_a_read_cursor_refused_for_now_waits() -> None:
    cursors = Cursors()
    cursors.read(A, Seq(4), -1)
    cursors.read(B, Seq(4), -1)
    assert len(cursors.take_reads(0.0, 1)) == 1
    assert len(cursors.take_reads(0.0, 9)) == 1
    cursors.later(A, 7.0)
    cursors.later(LogId("main/g/none"), 7.0)
    assert cursors.take_reads(6.9, 9) == []
    assert cursors.reads_due() == 7.0
    assert [c.log for c in cursors.take_reads(7.0, 9)] == [A]
    cursors.drop(A)
    cursors.drop(B)
    assert cursors.reads == {}


# --- rows -------------------------------------------------------------------------------------


def test_R8_an_older_row_does_not_replace_a_newer_one() -> None:
    rows = Rows(UserId("alice"))
    rows.put(row(useq=5, unread=2))
    assert rows.put(row(useq=4, unread=9)).unread == 2
    assert rows.put(row(useq=5, head=4, unread=9)).unread == 2
    assert rows.put(row(useq=5, unread=1)).unread == 1
    assert rows.put(row(useq=5, head=1, unread=0, epoch=2)).head == 1  # another life


def test_R8_a_former_member_sees_nothing_that_came_after() -> None:
    rows = Rows(UserId("alice"))
    rows.put(row(useq=1))
    entry = Entry(Seq(6), "message", UserId("bob"), 0, 6, msgspec.Raw(b"{}"), count=True)
    assert rows.apply(A, [entry]) is not None
    left = rows.put(row(useq=2, until=5, role=0))
    assert left.head == 5
    assert rows.apply(A, [entry]) is None
    assert rows.apply(B, [entry]) is None


def test_R8_cursors_of_others_and_of_own_devices() -> None:
    rows = Rows(UserId("alice"))
    rows.put(row())
    shown = rows.cursor(Cursor(log=A, delivered=Seq(3), read=Seq(2), user=UserId("bob")))
    assert shown is not None
    assert (shown.peer_read, shown.peer_delivered) == (2, 3)
    assert rows.cursor(Cursor(log=A, read=Seq(1), user=UserId("bob"))) is None
    assert rows.cursor(Cursor(log=B, read=Seq(1), user=UserId("bob"))) is None
    shown = rows.cursor(Cursor(log=A, read=Seq(99), user=UserId("alice")))
    assert shown is not None
    assert (shown.read, shown.unread, shown.mentions) == (5, 0, 0)
    assert rows.read(A, Seq(5)) is None


def test_R11_reading_takes_the_mark_along_only_if_it_was_seen() -> None:
    rows = Rows(UserId("alice"))
    rows.put(row(marked=True, mark=3, read=5, unread=0))
    rows.reading(A, Seq(5), 2)
    assert rows[A].marked
    rows.reading(A, Seq(5), 3)
    assert not rows[A].marked
    assert not rows.exact(A)
    rows.read_confirmed(A, Seq(5))
    assert rows.exact(A)


# --- events -----------------------------------------------------------------------------------


async def test_R13_a_slow_reader_is_told_how_many_it_missed() -> None:
    stream = EventStream(most=3)
    for token in range(10):
        stream.put(events.Synced(token))
    stream.close()
    stream.put(events.Synced(99))
    assert [event async for event in stream] == [
        events.Missed(7),
        *(events.Synced(token) for token in (7, 8, 9)),
    ]


async def test_R13_a_reader_waits_for_what_comes() -> None:
    stream = EventStream()
    reader = asyncio.create_task(anext(stream))
    await asyncio.sleep(0)
    stream.put(events.Synced(1))
    assert await reader == events.Synced(1)


async def test_R12_a_pulse_wakes_all_who_wait_and_survives_their_cancelling() -> None:
    pulse = Pulse()
    waiting = [asyncio.create_task(pulse.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    pulse.fire()
    await asyncio.wait_for(asyncio.gather(*waiting[1:]), 1)
    pulse.fire()  # nobody waits
    assert waiting[0].cancelled()


# --- ledger -----------------------------------------------------------------------------------


async def test_ledger_records_come_back_and_a_torn_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "alice.jsonl"
    book = Ledger(path, lambda: 7)
    book.began("main", UserId("alice"), DeviceId("d1"))
    book.sent(OpId("op1"), A, "chat.send", b"{}")
    book.acked(OpId("op1"), A, Seq(3), Seq(3), False)
    book.failed(OpId("op2"), A, 203)
    book.got(A, [Entry(Seq(3), "message", UserId("alice"), 0, 3, msgspec.Raw(b"{}"))])
    book.skip(A, Seq(4), Seq(9), "floor")
    book.shown(row(), True)
    book.close()
    book.close()
    torn = b'{"t":"acked","at":7,"op":"op9"'
    await asyncio.to_thread(path.write_bytes, path.read_bytes() + torn)
    records = list(read_ledger(path))
    assert [type(r).__name__ for r in records] == [
        "Began", "Sent", "Acked", "Failed", "Got", "Skip", "Shown",
    ]  # fmt: skip
    assert records[4] == ledger.Got(7, A, Seq(3), "message", UserId("alice"), ledger.digest(b"{}"))
    path.write_bytes(b"nonsense\n" + path.read_bytes())
    with pytest.raises(msgspec.DecodeError):
        list(read_ledger(path))


# --- tokens and addresses ---------------------------------------------------------------------


@contextmanager
def answering(answers: list[tuple[int, object]]) -> Iterator[tuple[str, list[object]]]:
    """An HTTP server with these answers in turn; the bodies it was sent."""
    asked: list[object] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((self.path, self.headers.get("Authorization"), json.loads(body)))
            status, answer = answers.pop(0)
            data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def token(name: str, minutes: float = 60) -> dict[str, object]:
    at = int((time.time() + 60 * minutes) * 1000)
    return {"token": name, "tenant": "main", "user": "alice", "expires_at": at}


async def test_login_gives_a_token_or_the_reason() -> None:
    wrong = {"code": 208, "detail": "no", "status": 401}
    fast = {"code": 303, "detail": "slow down", "retry_after_ms": 900}
    answers: list[tuple[int, object]] = [
        (200, token("t1")),
        (401, wrong),
        (429, fast),
        (502, b"<html>"),
        (404, {"title": "Not Found"}),
    ]
    with answering(answers) as (url, asked):
        assert (await login(url, "alice", "pw", device="d1")).token == "t1"
        with pytest.raises(WrongPassword):
            await login(url, "alice", "pw")
        with pytest.raises(TooFast) as slow:
            await login(url, "alice", "pw")
        assert slow.value.retry_after_ms == 900
        for _ in range(2):
            with pytest.raises(Offline):
                await login(url, "alice", "pw")
    assert asked[0] == (
        "/v1/token",
        None,
        {"tenant": "main", "user": "alice", "password": "pw", "device": "d1"},
    )
    with pytest.raises(Offline):
        await login(url, "alice", "pw")  # nobody listens there any more


async def test_X8_a_password_token_is_kept_until_it_ends_or_is_refused() -> None:
    answers: list[tuple[int, object]] = [
        (200, token("short", minutes=0.5)),
        (200, token("long")),
        (200, token("again")),
    ]
    with answering(answers) as (url, _):
        get = PasswordToken(url, "alice", "pw")
        assert [await get() for _ in range(3)] == ["short", "long", "long"]
        get.forget()
        assert await get() == "again"


@pytest.mark.parametrize(
    "given, wanted",
    [
        ("http://host:8000", "ws://host:8000/v1/ws"),
        ("https://host/", "wss://host/v1/ws"),
        ("ws://host/im", "ws://host/im"),
        ("wss://[::1]:1/v1/ws?x=1", "wss://[::1]:1/v1/ws?x=1"),
    ],
)
def test_addresses(given: str, wanted: str) -> None:
    assert ws_url(given) == wanted


def test_args_are_encoded_the_same_way_whatever_the_order() -> None:
    assert encode_args({"b": 1, "a": {"d": 2, "c": 3}}) == b'{"a":{"c":3,"d":2},"b":1}'
    assert encode_args(msgspec.Raw(b'{"x":1}')) == b'{"x":1}'
