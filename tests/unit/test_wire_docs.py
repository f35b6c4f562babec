"""The protocol page says what the code does: generated parts are fresh, the transcript plays."""

from __future__ import annotations

import re
from zlib import crc32

import msgspec

from hongyan.model.ids import DeviceId
from hongyan.wire.codec import CODECS
from hongyan.wire.events import SLOWEST
from hongyan.wire.frames import Ack, Call, Cursor, Goodbye, Hello, Limits, Ping, Pong, Welcome
from hongyan.wire.session import (
    Answered,
    ClientSession,
    Closed,
    Refused,
    Rows,
    ServerSession,
    refusal_of,
)
from hongyan.wire.states import CLIENT, SERVER, draw
from protocol_page import PAGE, filled

JSON = CODECS["hongyan.v1.json"]


def transcript() -> list[tuple[str, bytes]]:
    text = PAGE.read_text("utf-8")
    block = text.split("<!-- transcript -->\n```text\n")[1].split("\n```\n<!-- /transcript -->")[0]
    return [(line[0], line[2:].encode()) for line in block.splitlines()]


def test_S18_generated_parts_of_the_page_are_fresh() -> None:
    """Codes, frames, states, limits: run scripts/protocol_page.py after a change."""
    page = PAGE.read_text("utf-8")
    assert filled(page) == page


def test_S18_the_page_shows_every_transition() -> None:
    page = PAGE.read_text("utf-8")
    for table in (SERVER, CLIENT):
        drawn = draw(table)
        assert len(drawn.splitlines()) == len(table)
        assert drawn in page
        for (state, given), after in table.items():
            assert re.search(rf"^{state} +--{given} -*-> {after}$", drawn, re.MULTILINE)


def test_S18_every_state_is_reached_and_left() -> None:
    for table, start, ends in ((SERVER, "new", {"closed"}), (CLIENT, "down", set())):
        assert {after for after in table.values()} | {start} == {s for s, _ in table} | ends


def test_the_server_takes_every_client_line_of_the_transcript() -> None:
    session = ServerSession(JSON, Limits(131_072, 128, 200), 25.0)
    refs: list[int] = []
    for side, line in transcript():
        if side == "→":
            [frame] = session.receive(line, 1.0)
            assert msgspec.json.decode(JSON.encode(frame)) == msgspec.json.decode(line)
            refs.append(getattr(frame, "ref", 0))
        else:
            for frame in JSON.decode_server(line):
                if isinstance(frame, Welcome):
                    session.opened(frame)
                elif isinstance(frame, Goodbye):
                    why = refusal_of(frame.code, frame.text)
                    session.goodbye(why, frame.reconnect_after_ms)
                elif getattr(frame, "ref", 0):
                    session.answer(frame)
                else:
                    session.say(frame)
    assert [ref for ref in refs if ref] == [1, 2, 3, 4, 5]
    assert session.state == "closed"


def test_the_clients_half_follows_the_transcript() -> None:
    """It sends the same frames of itself, finds the same digests, ends where the text says."""
    session = ClientSession(JSON, DeviceId("phone-1"), cls="phone", token=12)
    events = []
    for side, line in transcript():
        if side == "←":
            events += session.receive(line, 1.0)
            continue
        [frame] = JSON.decode_client(line)
        if isinstance(frame, Hello):
            assert session.hello("eyJ0", 1.0) == line
            continue
        if isinstance(frame, Ping):
            assert session.tick(26.0) == []
        elif isinstance(frame, Call):
            session.call(frame.name, bytes(frame.args), op=frame.op, log=frame.log)
        elif isinstance(frame, Cursor):
            session.move(frame.log, read=frame.read)
        elif hasattr(frame, "after") and hasattr(frame, "log"):
            session.read(frame.log, after=frame.after, limit=frame.limit)
        sent = session.take()
        assert sent is not None, line
        assert JSON.decode_client(sent) == [frame]
    assert session.take() is None
    answers = [e.answer for e in events if isinstance(e, Answered)]
    assert [a.seq for a in answers if isinstance(a, Ack)] == [7]
    assert [e.token for e in events if isinstance(e, Rows)] == [15, None, 16]
    assert [e.why.code for e in events if isinstance(e, Refused)] == [202]
    assert isinstance(events[-1], Closed)
    assert session.state == "closing"


def test_the_lost_entry_of_the_transcript_is_found_by_its_digest() -> None:
    """Were it not lost, the pong would have been right and no sync followed."""
    session = ClientSession(JSON, DeviceId("phone-1"), cls="phone", token=12)
    before = []
    for side, line in transcript():
        if side == "→" and b'"sync"' in line:
            break
        before.append((side, line))
    session.hello("eyJ0", 1.0)
    for side, line in before[:-1]:
        if side == "←":
            session.receive(line, 1.0)
    [pong] = JSON.decode_server(before[-1][1])
    assert isinstance(pong, Pong)
    assert pong.digest != session.heads.digest()
    lost = b'{"t":"deliver","log":"main/d/alice~bob","entries":[{"seq":9,"type":"message",'
    session.receive(lost + b'"from":"bob","at":1,"ord":6,"body":{}}]}', 1.0)
    assert pong.digest == session.heads.digest()


def test_numbers_that_the_page_repeats() -> None:
    page = PAGE.read_text("utf-8")
    assert f"min({SLOWEST:.0f}, 2^n)" in page
    example = re.search(r'CRC-32\("(.+?)"\) = (\d+)', page)
    assert example is not None
    assert crc32(example[1].encode()) == int(example[2])
