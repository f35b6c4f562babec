"""Run the golden files: the same bytes for every SDK in every language.

A runner in another language needs its codec, a JSON parser and what stands below; the README of
the folder says what to check.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from hongyan.model.ids import DeviceId, UserId
from hongyan.wire.codec import CODECS, Codec
from hongyan.wire.frames import (
    ClientFrame,
    Fail,
    Frame,
    Hello,
    InboxPage,
    Limits,
    ServerFrame,
    Welcome,
)
from hongyan.wire.session import ServerSession, heads_digest

GOLDEN = Path(__file__).parent / "golden"
JSON, MSGPACK = CODECS.values()
LIMITS = Limits(131_072, 128, 200)


def load(name: str) -> list[Any]:
    return json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))


def cases(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", load(name), ids=lambda case: case.get("name"))


def decode(codec: Codec, case: dict[str, Any], data: bytes) -> list[Any]:
    read = codec.decode_client if case["from"] == "client" else codec.decode_server
    return list(read(data))


def value(frame: Frame) -> Any:
    return json.loads(JSON.encode(frame))


@cases("frames")
def test_W13_golden_frames(case: dict[str, Any]) -> None:
    text, packed = case["json"].encode(), bytes.fromhex(case["msgpack"])
    [from_json] = decode(JSON, case, text)
    [from_msgpack] = decode(MSGPACK, case, packed)
    assert from_json == from_msgpack
    assert value(from_json) == case["value"] == json.loads(text)
    assert JSON.encode(from_json) == text
    assert MSGPACK.encode(from_json) == packed
    assert msgspec.msgpack.decode(packed) == case["value"]


@cases("messages")
def test_W13_golden_messages(case: dict[str, Any]) -> None:
    for codec, data in ((JSON, case["json"].encode()), (MSGPACK, bytes.fromhex(case["msgpack"]))):
        frames = decode(codec, case, data)
        assert [value(frame) for frame in frames] == case["values"]
        assert codec.join([codec.encode(frame) for frame in frames]) == data


@pytest.mark.parametrize("codec", CODECS.values(), ids=lambda codec: codec.name)
@cases("bad")
def test_W13_golden_bad_messages(case: dict[str, Any], codec: Codec) -> None:
    key = "msgpack" if codec.binary else "json_hex"
    if key not in case:
        return  # has no form in this codec
    session = ServerSession(codec, LIMITS, 25.0)
    session.receive(codec.encode(Hello("t", DeviceId("d"))), 1.0)
    page = InboxPage([], 0)
    session.opened(Welcome("s", UserId("a"), "main", DeviceId("d"), 1, 25_000, LIMITS, page))
    session.take()
    good = session.receive(bytes.fromhex(case[key]), 1.0)
    complaints = codec.decode_server(session.take() or b"[]")
    expected = case["answers"]
    assert len(good) == expected.count({"ok": True})
    assert [
        {"code": frame.code, "ref": frame.ref} for frame in complaints if isinstance(frame, Fail)
    ] == [answer for answer in expected if "code" in answer]


@pytest.mark.parametrize("case", load("digests"))
def test_W13_S16_golden_digests(case: dict[str, Any]) -> None:
    assert heads_digest(map(tuple, case["heads"])) == case["digest"]


def test_W13_every_frame_is_among_the_golden_ones() -> None:
    golden = {(case["from"], case["value"]["t"]) for case in load("frames")}
    for sender, frames in (("client", ClientFrame), ("server", ServerFrame)):
        for kind in get_args(frames):
            assert (sender, kind.__struct_config__.tag) in golden


def test_W13_every_field_is_among_the_golden_ones() -> None:
    seen: dict[str, set[str]] = {}
    for case in load("frames"):
        seen.setdefault(case["value"]["t"], set()).update(case["value"])
    for kind in (*get_args(ClientFrame), *get_args(ServerFrame)):
        fields = {field.encode_name for field in msgspec.structs.fields(kind)}
        only_server = {"user", "device"} if kind.__name__ in ("Cursor", "Signal") else set()
        assert fields - only_server <= seen[str(kind.__struct_config__.tag)], kind.__name__
