"""Hypothesis strategies for every frame, made from the frames' own types."""

from __future__ import annotations

import types
from enum import IntEnum
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec
from hypothesis import strategies as st

from hongyan.wire.codec import canonical
from hongyan.wire.frames import MAX_INT, ClientFrame, ServerFrame

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.integers(-MAX_INT, MAX_INT) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
RAWS = st.dictionaries(TEXT, VALUES, max_size=3).map(
    lambda value: canonical(msgspec.json.encode(value))
)


def of_type(kind: Any) -> st.SearchStrategy[Any]:
    """Values that a field of this type may hold."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _limited(args[0], args[1])
    if origin in (Union, types.UnionType):
        return st.one_of([of_type(arg) for arg in args])
    if origin is list:
        return st.lists(of_type(args[0]), max_size=3)
    if origin is tuple:
        return st.tuples(*(of_type(arg) for arg in args))
    kind = getattr(kind, "__supertype__", kind)
    if kind is msgspec.Raw:
        return RAWS
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return structs(kind)
    if isinstance(kind, type) and issubclass(kind, IntEnum):
        return st.sampled_from(list(kind))
    simple = {int: st.integers(-1, MAX_INT), bool: st.booleans(), str: TEXT, type(None): st.none()}
    return simple[kind]


def _limited(kind: Any, meta: msgspec.Meta) -> st.SearchStrategy[Any]:
    if getattr(kind, "__supertype__", kind) is int:
        return st.integers(meta.ge, meta.le)
    return st.text(
        st.characters(exclude_categories=["Cs"]),
        min_size=meta.min_length or 0,
        max_size=min(meta.max_length or 20, 20),
    )


def structs(kind: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Instances of a struct with every field drawn, or left at its default."""
    hints = get_type_hints(kind, include_extras=True)
    required, optional = {}, {}
    for field in msgspec.structs.fields(kind):
        drawn = of_type(hints[field.name])
        if field.required:
            required[field.name] = drawn
        else:
            optional[field.name] = drawn
    return st.fixed_dictionaries(required, optional=optional).map(lambda given: kind(**given))


CLIENT_FRAMES = st.one_of([structs(kind) for kind in get_args(ClientFrame)])
SERVER_FRAMES = st.one_of([structs(kind) for kind in get_args(ServerFrame)])
