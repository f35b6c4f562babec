"""Bytes to frames and back. No socket, no clock, no task: a test of it is one line.

JSON is the inner form: every `msgspec.Raw` in a frame is JSON, checked and canonical once it is
through a codec. MessagePack is a dress put on at the edge: a message is turned into the builtins
that its JSON means, and back, so that both codecs judge every message by the same rules.

Nothing a peer sends leaves this module as another exception than BadFrame, FrameTooBig or BadArgs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol, get_args

import msgspec

from hongyan.model.errors import BadArgs, BadFrame, FrameTooBig, Refusal, UnknownFrame
from hongyan.wire.frames import (
    EMPTY,
    JSON_SUBPROTOCOL,
    MAX_INT,
    MSGPACK_SUBPROTOCOL,
    Call,
    ClientFrame,
    Fail,
    Frame,
    Query,
    ServerFrame,
    Signal,
)

MAX_FRAMES = 64  # in one message from a client; a server may join more
MAX_DEPTH = 32  # levels of arrays and objects in args and bodies
MAX_TEXT = 200  # characters of an error text that may quote the peer

# What the decoders raise for bytes of a peer: DecodeError and UnicodeDecodeError are ValueErrors;
# RecursionError comes from deep nesting, OverflowError and TypeError from values JSON cannot hold.
UNREADABLE = (ValueError, RecursionError, OverflowError, TypeError)

_CLIENT_TAGS = frozenset(str(kind.__struct_config__.tag) for kind in get_args(ClientFrame))
_SERVER_TAGS = frozenset(str(kind.__struct_config__.tag) for kind in get_args(ServerFrame))

_WITH_ARGS = (Call, Query)  # a tuple: `Call | Query` would be built anew for every frame

# Made and bound once: these run for every frame.
_encode_json: Callable[[Any], bytes] = msgspec.json.Encoder().encode
_encode_sorted: Callable[[Any], bytes] = msgspec.json.Encoder(order="sorted").encode
_encode_msgpack: Callable[[Any], bytes] = msgspec.msgpack.Encoder().encode
_decode_json: Callable[[bytes], Any] = msgspec.json.Decoder().decode
_decode_msgpack: Callable[[bytes], Any] = msgspec.msgpack.Decoder().decode
_decode_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_client = msgspec.json.Decoder(ClientFrame).decode
_decode_clients = msgspec.json.Decoder(list[ClientFrame]).decode
_decode_server: Callable[[bytes | msgspec.Raw], ServerFrame] = msgspec.json.Decoder(
    ServerFrame
).decode


class _Outline(msgspec.Struct, gc=False):
    """What is read of a frame that cannot be read."""

    t: Any = None
    ref: Any = 0


_decode_outline = msgspec.json.Decoder(_Outline).decode


class Codec(Protocol):
    """One way to write frames. Stateless, shared by all sessions; every method is a function."""

    name: str  # "json" or "msgpack"
    binary: bool  # binary WebSocket messages; else text

    def encode(self, frame: Frame) -> bytes:
        """One frame as a message. Raises nothing as long as its Raw fields are `canonical`."""
        ...

    def join(self, frames: Sequence[bytes]) -> bytes:
        """One message out of at least one encoded frame; a single one is itself."""
        ...

    def decode_client(self, data: bytes) -> list[ClientFrame | Fail]:
        """The frames of a client's message, in order; a Fail stands for each that is none.

        Args and bodies come out canonical (see `canonical`). The Fail carries the frame's `ref`
        where one can be read, else 0.

        Raises:
            BadFrame: no JSON (or MessagePack) at all, or neither object nor array.
            FrameTooBig: more than 64 frames.
        """
        ...

    def decode_server(self, data: bytes) -> list[ServerFrame]:
        """The frames of a server's message, in order; those of an unknown tag are left out.

        Raises:
            BadFrame: the message, or a frame of a known tag in it, cannot be read.
        """
        ...


def canonical(value: bytes) -> msgspec.Raw:
    """A JSON value as hongyan keeps it: UTF-8, keys sorted, no white space, bounded nesting.

    Two clients that mean the same value give the same bytes, whatever codec, order of keys or
    protocol they used; so a retry over another way has the same hash.

    Raises:
        BadArgs: no JSON, deeper than 32 levels, a number no 64-bit machine can hold.
    """
    try:
        thing = _decode_json(value)
        # Fewer brackets than levels allowed: cannot be too deep. Counting is a memchr.
        if value.count(b"[") + value.count(b"{") > MAX_DEPTH and not _shallow(thing):
            raise BadArgs(f"nested deeper than {MAX_DEPTH} levels")
        _encode_msgpack(thing)  # 0.1 µs; refuses the integers that MessagePack cannot carry
        return msgspec.Raw(_encode_sorted(thing))
    except UNREADABLE as exc:
        raise BadArgs(clip(exc)) from None


def _shallow(thing: Any) -> bool:
    """Whether `thing` has at most MAX_DEPTH levels; walks level by level, never recurses."""
    level = [thing]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for node in level
            if isinstance(node, list | dict)
            for child in (node if isinstance(node, list) else node.values())
        ]
        if not level:
            return True
    return not any(isinstance(node, list | dict) for node in level)


def clip(exc: BaseException) -> str:
    """What a decoder said, bounded: it may quote the peer."""
    text = str(exc)
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def fail(why: Refusal, ref: int) -> Fail:
    """The frame that tells a peer of a refusal."""
    return Fail(ref, why.code, why.text, why.retry, why.retry_after_ms)


def _cleaned(frame: ClientFrame) -> ClientFrame | Fail:
    """Make the free part of a frame canonical, or say what is wrong with it."""
    try:
        if isinstance(frame, _WITH_ARGS):
            if frame.args is not EMPTY:
                frame.args = canonical(bytes(frame.args))
        elif isinstance(frame, Signal) and frame.body is not EMPTY:
            frame.body = canonical(bytes(frame.body))
    except BadArgs as why:
        return fail(why, getattr(frame, "ref", 0))
    return frame


def _decode_one(data: bytes | msgspec.Raw) -> ClientFrame | Fail:
    """One frame, or the Fail that answers it. `data` is an object, or BadFrame is raised."""
    try:
        return _cleaned(_decode_client(data))
    except UNREADABLE as exc:
        return _explain(data, exc)


def _explain(data: bytes | msgspec.Raw, exc: Exception) -> Fail:
    """Say what is wrong with a frame that could not be decoded, to the right `ref`."""
    try:
        outline = _decode_outline(data)
    except UNREADABLE:  # not even an object: the message itself is broken
        raise BadFrame(clip(exc)) from None
    ref = outline.ref
    if type(ref) is not int or not 0 <= ref <= MAX_INT:
        ref = 0
    if isinstance(outline.t, str) and outline.t not in _CLIENT_TAGS:
        return fail(UnknownFrame(f"no client frame is called {outline.t[:40]!r}"), ref)
    return fail(BadFrame(clip(exc)), ref)


def _decode_client_json(data: bytes) -> list[ClientFrame | Fail]:
    """The body of both codecs' `decode_client`."""
    if data[:1] == b"{":  # hot: one frame, nothing wrong; bench in docs/hot-path.md
        return [_decode_one(data)]
    if data.lstrip()[:1] == b"{":
        return [_decode_one(data)]
    try:
        pieces = _decode_raws(data)
    except UNREADABLE as exc:
        raise BadFrame(clip(exc)) from None
    if len(pieces) > MAX_FRAMES:
        raise FrameTooBig(f"{len(pieces)} frames in a message, at most {MAX_FRAMES}")
    try:
        return [_cleaned(frame) for frame in _decode_clients(data)]
    except UNREADABLE:
        return [_decode_piece(piece) for piece in pieces]


def _decode_piece(piece: msgspec.Raw) -> ClientFrame | Fail:
    """One of several frames: what is broken in it leaves its neighbours alone."""
    try:
        return _decode_one(piece)
    except BadFrame as why:
        return fail(why, 0)


def _decode_server_json(data: bytes) -> list[ServerFrame]:
    try:
        pieces = _decode_raws(data) if data.lstrip()[:1] == b"[" else [data]
        return [frame for piece in pieces if (frame := _server_frame(piece)) is not None]
    except UNREADABLE as exc:
        raise BadFrame(clip(exc)) from None


def _server_frame(data: bytes | msgspec.Raw) -> ServerFrame | None:
    try:
        return _decode_server(data)
    except msgspec.ValidationError:
        tag = _decode_outline(data).t
        if isinstance(tag, str) and tag not in _SERVER_TAGS:
            return None  # a newer server says something that is not for us
        raise


class JsonCodec:
    """Text messages: one object, or an array of objects."""

    name = "json"
    binary = False

    def encode(self, frame: Frame) -> bytes:
        """See Codec."""
        return _encode_json(frame)

    def join(self, frames: Sequence[bytes]) -> bytes:
        """See Codec."""
        return frames[0] if len(frames) == 1 else b"[" + b",".join(frames) + b"]"

    def decode_client(self, data: bytes) -> list[ClientFrame | Fail]:
        """See Codec."""
        _check_utf8(data)
        return _decode_client_json(data)

    def decode_server(self, data: bytes) -> list[ServerFrame]:
        """See Codec."""
        _check_utf8(data)
        return _decode_server_json(data)


def _check_utf8(data: bytes) -> None:
    """The JSON decoder does not look into strings that it skips; this looks everywhere."""
    if data.isascii():
        return
    try:
        data.decode()
    except UnicodeDecodeError as exc:
        raise BadFrame(clip(exc)) from None


class MsgpackCodec:
    """Binary messages: one map, or an array of maps.

    Binary data becomes base64 text, integer keys become text, timestamps RFC 3339 text, NaN and
    the infinities null: what they are in JSON.
    """

    name = "msgpack"
    binary = True

    def encode(self, frame: Frame) -> bytes:
        """See Codec."""
        return _encode_msgpack(_decode_json(_encode_json(frame)))

    def join(self, frames: Sequence[bytes]) -> bytes:
        """See Codec."""
        count = len(frames)
        if count == 1:
            return frames[0]
        if count < 16:
            head = bytes((0x90 | count,))
        elif count < 1 << 16:
            head = b"\xdc" + count.to_bytes(2, "big")
        else:
            head = b"\xdd" + count.to_bytes(4, "big")
        return head + b"".join(frames)

    def decode_client(self, data: bytes) -> list[ClientFrame | Fail]:
        """See Codec."""
        return _decode_client_json(_to_json(data))

    def decode_server(self, data: bytes) -> list[ServerFrame]:
        """See Codec."""
        return _decode_server_json(_to_json(data))


def _to_json(data: bytes) -> bytes:
    try:
        return _encode_json(_decode_msgpack(data))
    except UNREADABLE as exc:
        raise BadFrame(clip(exc)) from None


CODECS: Mapping[str, Codec] = MappingProxyType(
    {JSON_SUBPROTOCOL: JsonCodec(), MSGPACK_SUBPROTOCOL: MsgpackCodec()}
)
