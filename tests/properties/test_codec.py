"""Any frame goes through both codecs unchanged; any bytes end in frames or in a refusal."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire_strategies import CLIENT_FRAMES, SERVER_FRAMES, TEXT, VALUES

from hongyan.model.errors import BadArgs, Refusal
from hongyan.wire.codec import CODECS, MAX_FRAMES, Codec, canonical
from hongyan.wire.frames import Call, Fail, Frame

codecs = pytest.mark.parametrize("codec", CODECS.values(), ids=lambda codec: codec.name)
JSON, MSGPACK = CODECS.values()


@codecs
@given(frame=CLIENT_FRAMES)
def test_W2_every_client_frame_survives(codec: Codec, frame: Frame) -> None:
    assert codec.decode_client(codec.encode(frame)) == [frame]


@codecs
@given(frame=SERVER_FRAMES)
def test_W2_every_server_frame_survives(codec: Codec, frame: Frame) -> None:
    assert codec.decode_server(codec.encode(frame)) == [frame]


@codecs
@given(frames=st.lists(CLIENT_FRAMES, min_size=1, max_size=8), data=st.data())
def test_W1_any_split_into_messages_gives_the_same_frames(
    codec: Codec, frames: list[Frame], data: st.DataObject
) -> None:
    cuts = data.draw(st.sets(st.integers(1, max(1, len(frames) - 1))))
    encoded = [codec.encode(frame) for frame in frames]
    seen: list[Any] = []
    start = 0
    for end in [*sorted(cuts), len(frames)]:
        if start < end:
            seen += codec.decode_client(codec.join(encoded[start:end]))
            start = end
    assert seen == frames


@codecs
@given(frames=st.lists(SERVER_FRAMES, min_size=1, max_size=3), copies=st.integers(1, 30))
def test_W1_a_server_joins_any_number_of_frames(
    codec: Codec, frames: list[Frame], copies: int
) -> None:
    frames = frames * copies
    message = codec.join([codec.encode(frame) for frame in frames])
    assert codec.decode_server(message) == frames


def test_W1_a_server_joins_more_frames_than_a_short_array_header_holds() -> None:
    ping = Fail(0, 1, "")
    for codec in CODECS.values():
        for count in (15, 16, MAX_FRAMES, MAX_FRAMES + 1, 65_535, 65_536):
            message = codec.join([codec.encode(ping)] * count)
            assert len(codec.decode_server(message)) == count


@codecs
@given(data=st.binary(max_size=200))
def test_W11_any_bytes_are_frames_or_a_refusal(codec: Codec, data: bytes) -> None:
    judge(codec, data)


def judge(codec: Codec, data: bytes) -> list[Any]:
    """What a decoder makes of `data`; fails on anything but frames or a Refusal."""
    with suppress(Refusal):
        codec.decode_server(data)
    try:
        return list(codec.decode_client(data))
    except Refusal as why:
        assert why.code in (101, 102)
        return []


@codecs
@given(frame=CLIENT_FRAMES | SERVER_FRAMES, data=st.data())
def test_W11_damaged_frames_are_frames_or_a_refusal(
    codec: Codec, frame: Frame, data: st.DataObject
) -> None:
    """Closer to the truth than random bytes: some bytes changed, cut or repeated."""
    message = bytearray(codec.encode(frame))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(0, len(message) - 1)))
        message[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    judge(codec, bytes(message))


@given(value=VALUES | st.lists(VALUES))
def test_W11_any_json_value_is_frames_or_a_refusal(value: Any) -> None:
    judge(JSON, msgspec.json.encode(value))
    judge(MSGPACK, msgspec.msgpack.encode(value))


@given(frame=CLIENT_FRAMES, name=TEXT, value=VALUES)
def test_W4_unknown_fields_are_ignored(frame: Frame, name: str, value: Any) -> None:
    plain = msgspec.json.decode(JSON.encode(frame))
    plain.setdefault("x" + name, value)
    assert JSON.decode_client(msgspec.json.encode(plain)) == [frame]
    assert MSGPACK.decode_client(msgspec.msgpack.encode(plain)) == [frame]


@given(args=st.dictionaries(TEXT, VALUES, max_size=5), data=st.data())
def test_W3_same_args_same_bytes_whatever_the_way(
    args: dict[str, Any], data: st.DataObject
) -> None:
    """A retry over another codec, from another JSON library, is the same call."""
    keys = data.draw(st.permutations(list(args)))
    shuffled = {key: args[key] for key in keys}
    call = {"t": "call", "ref": 1, "name": "x", "op": "o"}
    ways = [
        JSON.decode_client(msgspec.json.encode(call | {"args": args})),
        JSON.decode_client(msgspec.json.encode(call | {"args": shuffled})),
        JSON.decode_client(json.dumps(call | {"args": shuffled}, indent=2).encode()),
        MSGPACK.decode_client(msgspec.msgpack.encode(call | {"args": shuffled})),
    ]
    calls = [frame for frames in ways for frame in frames]
    assert all(isinstance(frame, Call) for frame in calls)
    assert len({bytes(frame.args) for frame in calls}) == 1
    assert msgspec.json.decode(calls[0].args) == args


@given(depth=st.integers(1, 80), lists=st.booleans())
def test_W9_nesting_is_bounded_at_exactly_32(depth: int, lists: bool) -> None:
    value = b"[" * depth + b"]" * depth if lists else b'{"a":' * depth + b"1" + b"}" * depth
    if depth <= 32:
        assert canonical(value) == msgspec.Raw(value)
    else:
        with pytest.raises(BadArgs):
            canonical(value)
