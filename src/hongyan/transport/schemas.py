"""JSON schemas of types, as msgspec makes them; also of structs with a `Raw` that has a default,
which msgspec cannot show: such a struct is described by a copy that says "any JSON"."""

from __future__ import annotations

import types
import typing
from collections.abc import Sequence
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec

_copies: dict[type, type] = {}


def components(of: Sequence[Any], ref: str) -> tuple[list[Any], dict[str, Any]]:
    """The schema of each type, and the named schemas that they refer to by `ref`."""
    schemas, named = msgspec.json.schema_components([shown(one) for one in of], ref_template=ref)
    return list(schemas), named


def shown(kind: Any) -> Any:
    """`kind` as msgspec can describe it; itself where nothing has to change."""
    if kind is msgspec.Raw:
        return Any
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _struct(kind)
    args = get_args(kind)
    if not args:
        return kind
    origin = get_origin(kind)
    if origin is Annotated:
        base = shown(args[0])
        return kind if base is args[0] else Annotated[(base, *args[1:])]
    new = tuple(arg if arg is Ellipsis else shown(arg) for arg in args)
    if new == args or origin is typing.Literal:
        return kind
    if origin in (Union, types.UnionType):
        return Union[new]  # noqa: UP007 (of a tuple)
    return origin[new]


def _struct(kind: type[msgspec.Struct]) -> type:
    if kind in _copies:
        return _copies[kind]
    _copies[kind] = kind  # a struct inside itself stays as it is
    hints = get_type_hints(kind, include_extras=True)
    fields, changed = [], False
    for field in msgspec.structs.fields(kind):
        hint = shown(hints[field.name])
        default: Any = msgspec.field(name=field.encode_name)
        if isinstance(field.default, msgspec.Raw):
            default = msgspec.field(default_factory=dict, name=field.encode_name)
            changed = True
        elif field.default is not msgspec.NODEFAULT:
            default = msgspec.field(default=field.default, name=field.encode_name)
        elif field.default_factory is not msgspec.NODEFAULT:
            default = msgspec.field(default_factory=field.default_factory, name=field.encode_name)
        changed |= hint is not hints[field.name] and hints[field.name] is not msgspec.Raw
        fields.append((field.name, hint, default))
    if not changed:
        return kind
    config = kind.__struct_config__
    copy = msgspec.defstruct(
        kind.__name__,
        fields,
        namespace={"__doc__": kind.__doc__},
        kw_only=True,
        tag=config.tag,
        tag_field=config.tag_field,
    )
    _copies[kind] = copy
    return copy
