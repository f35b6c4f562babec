"""Fill the generated parts of docs/protocol.md: frames, states, codes, limits.

`protocol_page.py` rewrites the page; `protocol_page.py --check` changes nothing and says whether
it is fresh. What stands between `<!-- name -->` and `<!-- /name -->` is generated.

Exit status: 0 fresh or written, 1 with --check where the page is stale.
"""

from __future__ import annotations

import inspect
import re
import sys
import types
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec

from hongyan.model.errors import Refusal
from hongyan.model.live import LiveItem, Value
from hongyan.model.log import Entry, InboxRow
from hongyan.wire import frames as f
from hongyan.wire.codec import MAX_DEPTH, MAX_FRAMES
from hongyan.wire.server_session import MAX_BAD, MAX_FAILS
from hongyan.wire.states import CLIENT, SERVER, draw

PAGE = Path(__file__).parents[1] / "docs/protocol.md"


def type_name(kind: Any) -> str:
    """How the page calls a field's type."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return type_name(args[0])
    if origin in (Union, types.UnionType):
        return " or ".join(type_name(arg) for arg in args)
    if origin is list:
        return f"array of {type_name(args[0])}"
    if origin is tuple:
        return "[" + ", ".join(type_name(arg) for arg in args) + "]"
    kind = getattr(kind, "__supertype__", kind)
    if kind is msgspec.Raw:
        return "any"
    if isinstance(kind, type) and issubclass(kind, IntEnum):
        return "integer"
    names = {int: "integer", str: "text", bool: "boolean", type(None): "null"}
    return names.get(kind) or f"[{kind.__name__}](#the-struct-{kind.__name__.lower()})"


def default_of(field: Any) -> str:
    """The default as JSON, or that there is none."""
    if field.required:
        return "required"
    if field.default_factory is not msgspec.NODEFAULT:
        return f"`{msgspec.json.encode(field.default_factory()).decode()}`"
    return f"`{msgspec.json.encode(field.default).decode()}`"


def comments(struct: type) -> dict[str, str]:
    """What stands behind the fields in the source."""
    found = re.findall(r"^ {4}(\w+): [^#\n]*# (.+)$", inspect.getsource(struct), re.MULTILINE)
    return {name: text.replace("|", "\\|") for name, text in found}


def fields(struct: type[msgspec.Struct]) -> str:
    """The table of a struct's fields."""
    hints = get_type_hints(struct, include_extras=True)
    says = comments(struct)
    rows = [
        f"| `{field.encode_name}` | {type_name(hints[field.name])} | {default_of(field)}"
        f" | {says.get(field.name, '')} |"
        for field in msgspec.structs.fields(struct)
    ]
    return "\n".join(["| field | type | default | |", "|---|---|---|---|", *rows]) if rows else ""


def prose(struct: type) -> str:
    """A docstring as a paragraph or more."""
    lines = [line.strip() for line in (struct.__doc__ or "").strip().splitlines()]
    text = "\n".join(lines)
    return re.sub(r"See `model\.errors` for the codes\.", "See [Codes](#codes).", text)


def frames(union: Any) -> str:
    """All frames of one direction."""
    parts = [
        f"#### `{kind.__struct_config__.tag}`\n\n{prose(kind)}\n\n{fields(kind)}".rstrip()
        for kind in get_args(union)
    ]
    return "\n\n".join(parts)


def structs() -> str:
    """What stands inside frames."""
    parts = [
        f"(the-struct-{kind.__name__.lower()})=\n"
        f"#### {kind.__name__}\n\n{prose(kind)}{_as_row(kind)}\n\n{fields(kind)}"
        for kind in (Entry, InboxRow, f.InboxPage, f.Limits, LiveItem, Value)
    ]
    return "\n\n".join(parts)


def _as_row(kind: type[msgspec.Struct]) -> str:
    return " It travels as an array of its fields." if kind.__struct_config__.array_like else ""


def states(table: Any) -> str:
    """A transition table as text."""
    return f"```text\n{draw(table)}\n```"


def codes() -> str:
    """Every code a server may send."""
    rows = [f"| 100 | Refusal | no | {'An error of the server; its log says more.'} |"]
    for code, kind in sorted(Refusal.by_code.items()):
        retry = "yes" if kind.retry else "no"
        rows.append(f"| {code} | {kind.__name__} | {retry} | {prose(kind)} |".replace("\n", " "))
    return "\n".join(["| code | name | retry | means |", "|---|---|---|---|", *rows])


def limits() -> str:
    """Numbers that are the same on every server."""
    rows = [
        ("frames in one message of a client", MAX_FRAMES),
        ("levels of nesting in args and bodies", MAX_DEPTH),
        ("messages in a row without a good frame, after which the server closes", MAX_BAD),
        ("refusals that wait unread, after which the server closes", MAX_FAILS),
        ("largest integer in a frame", f"{f.MAX_INT} (2^53-1)"),
    ]
    return "\n".join(["| what | at most |", "|---|---|", *(f"| {a} | {b} |" for a, b in rows)])


PARTS: dict[str, Callable[[], str]] = {
    "client frames": lambda: frames(f.ClientFrame),
    "server frames": lambda: frames(f.ServerFrame),
    "structs": structs,
    "server states": lambda: states(SERVER),
    "client states": lambda: states(CLIENT),
    "codes": codes,
    "limits": limits,
}


def filled(page: str) -> str:
    """The page with its generated parts made anew."""
    for name, make in PARTS.items():
        region = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        # A backslash in the text must not be taken for a reference to a group.
        text = make().replace("\\", r"\\")
        page, count = region.subn(rf"\g<1>{text}\n\g<2>", page)
        if count != 1:
            raise SystemExit(f"{PAGE}: {count} regions <!-- {name} -->, want 1")
    return page


def main(check: bool) -> int:
    """Write the page, or say whether it is fresh."""
    page = PAGE.read_text("utf-8")
    fresh = filled(page)
    if not check:
        PAGE.write_text(fresh, "utf-8")
    elif fresh != page:
        print("docs/protocol.md is stale: run scripts/protocol_page.py")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(check="--check" in sys.argv[1:]))
