"""Write the golden files anew: `python tests/conformance/make_golden.py`.

Run it to add frames, then read the difference: a line that changed is a change of the protocol.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

import msgspec

from hongyan.model.ids import DeviceId, LogId, OpId, Seq, UserId
from hongyan.model.live import Lane, LiveItem, Value
from hongyan.model.log import Entry, InboxRow, Role
from hongyan.wire import frames as f
from hongyan.wire.codec import CODECS, canonical
from hongyan.wire.session import heads_digest

GOLDEN = Path(__file__).parent / "golden"
JSON, MSGPACK = CODECS.values()

DIRECT, GROUP, BIG = LogId("main/d/alice~bob"), LogId("main/g/2w5k"), LogId("main/g/big")
ALICE, BOB = UserId("alice"), UserId("bob")
PHONE = DeviceId("phone-1")
AT = 1_700_000_000_000
HELLO_TEXT = msgspec.Raw(b'{"content":{"text":"Hello","type":"text"}}')
CHINESE = msgspec.Raw('{"content":{"text":"鸿雁 \\" \\\\ \\n 🪿","type":"text"}}'.encode())
MESSAGE = Entry(
    Seq(7), "message", ALICE, AT, 5, HELLO_TEXT, count=True, op=OpId("op-1"), device=PHONE
)
REACTION = Entry(
    Seq(8), "reaction", BOB, AT + 1, 5, msgspec.Raw(b'{"emoji":"+1","on":true}'),
    target=Seq(7), slot="+1~bob",
)  # fmt: skip
ROOM = LogId("main/r/7")
ROOM_STATE = msgspec.Raw(b'{"title":"Launch"}')
DANMAKU = LiveItem(41, "danmaku", ALICE, AT, HELLO_TEXT, op=OpId("op-1"), device=PHONE)
CAME = LiveItem(42, "came", BOB, AT + 5, msgspec.Raw(b"{}"), lane=Lane.LOW)
ONLINE = Value("online", 9, msgspec.Raw(b"90210"))
NO_PIN = Value("pinned", 4, msgspec.Raw(b"null"))
SMALL_ROW = InboxRow(DIRECT, 12, Seq(7), 5, 1, 0, Role.MEMBER, Seq(1), Seq(6), Seq(7))
FULL_ROW = InboxRow(
    GROUP, 13, Seq(90), 60, 3, 1, Role.OWNER, Seq(2), Seq(80), Seq(85), epoch=2, floor=Seq(3),
    until=Seq(90), cleared=Seq(4), marked=True, mark=6, count=12, large=True,
    settings=msgspec.Raw(b'{"mute":true}'), state=msgspec.Raw(b'{"title":"Team"}'), last=MESSAGE,
    peer_read=Seq(5), peer_delivered=Seq(6),
)  # fmt: skip
LIMITS = f.Limits(131_072, 128, 200)

FRAMES: dict[str, f.Frame] = {
    "hello": f.Hello("eyJ0", PHONE),
    "hello with everything": f.Hello(
        "eyJ0", PHONE, "phone", "ios/1.0", 12, 2_155_684_603, 20, "zh-Hans"
    ),
    "call": f.Call(1, "chat.send", OpId("op-1"), DIRECT, HELLO_TEXT),
    "call beyond ASCII": f.Call(2, "chat.send", OpId("op-2"), DIRECT, CHINESE),
    "call without log and args": f.Call(3, "own.ping", OpId("op-3")),
    "call with all kinds of values": f.Call(
        2**53 - 1,
        "x",
        OpId("A.b_c:d-9"),
        GROUP,
        canonical(
            b'{"n":null,"t":true,"f":false,"i":[0,-1,255,-129,65536,9007199254740991],'
            b'"d":[0.5,-1.25,1e100],"s":["","\\u0000","\\u00e9\\u20ac"],"o":{},"a":[]}'
        ),
    ),
    "read after": f.Read(4, DIRECT, after=Seq(0)),
    "read newest": f.Read(5, DIRECT, before=Seq(0), limit=20),
    "read around": f.Read(6, DIRECT, around=Seq(40), limit=11),
    "sync begins": f.Sync(7, 12),
    "sync goes on": f.Sync(8, 13, 40, 500, 77),
    "query": f.Query(9, "members", GROUP, msgspec.Raw(b'{"limit":10}')),
    "query without log": f.Query(10, "devices"),
    "subscribe": f.Subscribe(11, BIG),
    "subscribe to a live log again": f.Subscribe(10, ROOM, 5, 1_700_000, 38),
    "unsubscribe": f.Unsubscribe(12, BIG),
    "cursor": f.Cursor(DIRECT, delivered=Seq(7), read=Seq(6)),
    "cursor durable": f.Cursor(DIRECT, read=Seq(7), mark=0, ref=13),
    "signal": f.Signal(DIRECT, "typing", msgspec.Raw(b'{"on":false}')),
    "ping": f.Ping(),
    "ping with token": f.Ping(12, True),
    "bye": f.Bye(),
    "bye and log out": f.Bye(True),
    "welcome": f.Welcome(
        "s1", ALICE, "main", PHONE, AT, 25_000, LIMITS, f.InboxPage([SMALL_ROW], 12)
    ),
    "welcome with everything": f.Welcome(
        "s1",
        ALICE,
        "main",
        PHONE,
        AT,
        25_000,
        LIMITS,
        f.InboxPage([SMALL_ROW, FULL_ROW], 40, True, [(BIG, Seq(1000))]),
        "hongyan/0.1.0",
        "Alice",
        True,
    ),
    "ack": f.Ack(1, log=DIRECT, seq=Seq(7), first=Seq(7), at=AT),
    "ack of a repeat": f.Ack(1, log=DIRECT, seq=Seq(7), first=Seq(7), at=AT, repeat=True),
    "ack without entries": f.Ack(13),
    "ack of another stage and class": f.Ack(1, "applied", GROUP, Seq(3), Seq(3), AT, "live"),
    "fail": f.Fail(1, 202, "You are not a member."),
    "fail to retry": f.Fail(1, 303, "Slow down.", True, 1500),
    "deliver": f.Deliver(DIRECT, [MESSAGE, REACTION]),
    "signal from bob": f.Signal(
        DIRECT, "typing", msgspec.Raw(b'{"on":true}'), BOB, DeviceId("web-9")
    ),
    "cursor of bob": f.Cursor(DIRECT, delivered=Seq(7), read=Seq(7), user=BOB),
    "inbox answers": f.Inbox(f.InboxPage([FULL_ROW], 40), 8),
    "inbox pushed": f.Inbox(f.InboxPage([SMALL_ROW], 0)),
    "inbox left out": f.Inbox(f.InboxPage([], 0, True)),
    "page": f.Page(5, DIRECT, [MESSAGE], [REACTION], Seq(1), Seq(8), 1, False),
    "result": f.Result(9, msgspec.Raw(b'{"members":[]}')),
    "behind": f.Behind(DIRECT, Seq(4_000)),
    "attached": f.Attached(
        10, ROOM, 1_700_000, 41, [DANMAKU], [ONLINE], Seq(6), 10, 200, 77, ROOM_STATE, missed=3
    ),
    "attached to a silent log": f.Attached(10, ROOM, 1_700_000, 0, [], [], Seq(0), 0, 200, 0),
    "live": f.Live(ROOM, 1_700_000, [DANMAKU, CAME]),
    "values": f.Values(ROOM, 1_700_000, 77, 78, [ONLINE, NO_PIN]),
    "gap": f.Gap(GROUP, 12, "sampled"),
    "reset": f.Reset(DIRECT, Seq(101), 2),
    "pong": f.Pong(AT, 12, 2_155_684_603),
    "goodbye": f.Goodbye(306, "The server is closing.", 2_750),
    "goodbye for good": f.Goodbye(206, "Another phone logged in.", -1),
}
CLIENT = get_args(f.ClientFrame)
CALL = '{"t":"call","ref":1,"name":"x","op":"o","args":'
READ = '{"t":"read","ref":1,"log":"main/g/x",'

# name, JSON text (or bytes), (code, ref) of each frame in the message, where None is a good one
BAD: list[tuple[str, str | bytes, list[tuple[int, int] | None]]] = [
    ("empty", "", [(101, 0)]),
    ("cut off", '{"t":"ping"', [(101, 0)]),
    ("two frames without an array", '{"t":"ping"}{"t":"ping"}', [(101, 0)]),
    ("byte order mark", b'\xef\xbb\xbf{"t":"ping"}', [(101, 0)]),
    ("invalid UTF-8 in an unknown field", b'{"t":"ping","x":"\xff"}', [(101, 0)]),
    ("half of a surrogate pair", '{"t":"ping","x":"\\ud800"}', [(101, 0)]),
    ("a number", "7", [(101, 0)]),
    ("null", "null", [(101, 0)]),
    ("no tag", '{"ref":1}', [(101, 1)]),
    ("unknown tag", '{"t":"shout","ref":1}', [(103, 1)]),
    ("a frame of the server", '{"t":"ack","ref":1}', [(103, 1)]),
    ("one bad frame of three", '[{"t":"ping"},{"t":"shout"},{"t":"ping"}]', [None, (103, 0), None]),
    ("65 frames", "[" + ",".join(['{"t":"ping"}'] * 65) + "]", [(102, 0)]),
    ("missing field", '{"t":"call","ref":1,"name":"x"}', [(101, 1)]),
    ("wrong type", '{"t":"call","ref":1,"name":7,"op":"o"}', [(101, 1)]),
    ("ref is text", '{"t":"query","ref":"1","name":"x"}', [(101, 0)]),
    ("ref is zero", '{"t":"query","ref":0,"name":"x"}', [(101, 0)]),
    ("negative seq", READ + '"after":-1}', [(101, 1)]),
    ("seq beyond 2^53-1", READ + '"after":9007199254740992}', [(101, 1)]),
    ("two anchors", READ + '"after":1,"before":2}', [(101, 1)]),
    ("no anchor", '{"t":"read","ref":1,"log":"main/g/x"}', [(101, 1)]),
    ("args 33 deep", CALL + "[" * 33 + "]" * 33 + "}", [(106, 1)]),
    ("number too large", CALL + '[1e999]}', [(106, 1)]),
    ("integer beyond 64 bits", CALL + '[18446744073709551616]}', [(106, 1)]),
    ("not a log", '{"t":"subscribe","ref":1,"log":"main/g"}', [(107, 1)]),
    ("not an op", '{"t":"call","ref":1,"name":"x","op":"a b"}', [(107, 1)]),
    ("second hello", '{"t":"hello","token":"x","device":"d"}', [(104, 0)]),
]  # fmt: skip

HEADS: list[list[tuple[str, int]]] = [
    [],
    [("main/g/a", 1)],
    [("main/g/a", 1), ("main/g/b", 7)],
    [(f"main/g/{n}", n) for n in range(20)],
]


def frames() -> list[dict[str, Any]]:
    """Good frames."""
    made = []
    for name, frame in FRAMES.items():
        text = JSON.encode(frame)
        sender = (
            "client" if isinstance(frame, CLIENT) and not getattr(frame, "user", "") else "server"
        )
        made.append(
            {
                "name": name,
                "from": sender,
                "value": json.loads(text),
                "json": text.decode(),
                "msgpack": MSGPACK.encode(frame).hex(),
            }
        )
    return made


def messages() -> list[dict[str, Any]]:
    """Several frames in one message."""
    made = []
    for name, count in (("two", 2), ("fifteen", 15), ("sixteen", 16), ("sixty-four", 64)):
        some = [f.Ping(), *[f.Query(ref, "devices") for ref in range(1, count)]]
        made.append(
            {
                "name": name,
                "from": "client",
                "values": [json.loads(JSON.encode(frame)) for frame in some],
                "json": JSON.join([JSON.encode(frame) for frame in some]).decode(),
                "msgpack": MSGPACK.join([MSGPACK.encode(frame) for frame in some]).hex(),
            }
        )
    return made


def bad() -> list[dict[str, Any]]:
    """What a server in an open session must refuse."""
    made: list[dict[str, Any]] = []
    for name, text, answers in BAD:
        data = text if isinstance(text, bytes) else text.encode()
        case: dict[str, Any] = {"name": name, "json_hex": data.hex()}
        with suppress(msgspec.DecodeError, OverflowError, UnicodeDecodeError):  # has no such form
            case["msgpack"] = msgspec.msgpack.encode(msgspec.json.decode(data)).hex()
        case["answers"] = [
            {"ok": True} if answer is None else {"code": answer[0], "ref": answer[1]}
            for answer in answers
        ]
        made.append(case)
    for name, hexed in (
        ("msgpack: reserved byte", "c1"),
        ("msgpack: cut off", "81a174a470696e"),
        ("msgpack: bytes after the frame", "81a174a470696e6700"),
        ("msgpack: an extension type", "82a174a470696e67a178c7010561"),
        ("msgpack: an array that promises 4 billion elements", "ddffffffff"),
    ):
        made.append({"name": name, "msgpack": hexed, "answers": [{"code": 101, "ref": 0}]})
    return made


def digests() -> list[dict[str, Any]]:
    """Digests of heads."""
    return [
        {"heads": heads, "digest": heads_digest((LogId(log), Seq(head)) for log, head in heads)}
        for heads in HEADS
    ]


def main() -> None:
    """Write all files."""
    GOLDEN.mkdir(exist_ok=True)
    for name, cases in (
        ("frames", frames()),
        ("messages", messages()),
        ("bad", bad()),
        ("digests", digests()),
    ):
        lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
        (GOLDEN / f"{name}.json").write_text(f"[\n{lines}\n]\n", "utf-8")


if __name__ == "__main__":
    main()
