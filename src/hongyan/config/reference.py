"""The reference of all settings: `python -m hongyan.config.reference docs/configure.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec

from hongyan.config.loading import PREFIX, bare, element, is_section
from hongyan.config.schema import Config, Section

BEGIN = "<!-- settings: begin (written by python -m hongyan.config.reference) -->"
END = "<!-- settings: end -->"

DEFAULTS = Config()


class Setting(msgspec.Struct, frozen=True):
    """One setting, for the reference page and for `--help`."""

    key: str  # `section.key`; `[]` in it: a key of a list's items
    type: str
    default: str
    text: str

    @property
    def variable(self) -> str:
        """Its environment variable; "" for keys of a list's items, which have none."""
        return "" if "[" in self.key else PREFIX + self.key.upper().replace(".", "__")


def settings(
    section: type[Section] = Config, prefix: str = "", given: Section | None = DEFAULTS
) -> Iterator[Setting]:
    """All settings in the order of the file. Defaults are those of `given`."""
    for field in msgspec.structs.fields(section):
        kind, key = bare(field.type), prefix + field.name
        default = field.default if given is None else getattr(given, field.name)
        if is_section(kind):
            yield from settings(kind, key + ".", default)
            continue
        yield Setting(key, _type_text(field.type), _show(default), _meta(field.type, "description"))
        if is_section(element(kind)):
            yield from settings(element(kind), key + "[].", None)


def _meta(kind: Any, name: str) -> Any:
    """What the `Meta`s of a type say about `name`; "" where nothing."""
    found = ""
    for meta in get_args(kind)[1:] if get_origin(kind) is Annotated else ():
        value = getattr(meta, name)
        found = found if value is None else value
    return found


def _type_text(kind: Any) -> str:
    inner = bare(kind)
    low, high = _meta(kind, "ge"), _meta(kind, "le")
    if get_origin(inner) is Literal:
        return " or ".join(f"`{choice}`" for choice in get_args(inner))
    if get_origin(inner) is tuple:
        return "list of tables" if is_section(element(inner)) else "list of texts"
    if get_origin(inner) is dict:
        return "table"
    name = {str: "text", bool: "true or false", int: "integer", float: "number"}[inner]
    return f"{name}, {low:,.0f} … {high:,.0f}" if low != "" else name


def _show(value: object) -> str:
    if value is msgspec.NODEFAULT:
        return "required"
    return f"`{msgspec.json.encode(value).decode()}`"


def reference() -> str:
    """All settings as Markdown, a table for each section."""
    lines: list[str] = []
    heading = ""
    for one in settings():
        table, _, name = one.key.rpartition(".")
        if not table:  # settings by a name that is not known here
            table, name = f"{name}.{'TENANT' if name == 'tenants' else 'KIND'}", "*"
        shown = f"[[{table.removesuffix('[]')}]]" if table.endswith("[]") else f"[{table}]"
        if shown != heading:
            heading = shown
            lines += ["", f"### `{shown}`", "", "| Key | Type | Default | Meaning |"]
            lines += ["|---|---|---|---|"]
        lines.append(f"| `{name}` | {one.type} | {one.default} | {one.text} |")
    return "\n".join(lines).strip() + "\n"


def renew(page: str) -> str:
    """`page` with the reference between its two markers written anew."""
    head, _, rest = page.partition(BEGIN)
    _, found, tail = rest.partition(END)
    if not found:
        raise ValueError("the page lacks the markers")
    return f"{head}{BEGIN}\n\n{reference()}\n{END}{tail}"


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.write_text(renew(target.read_text(encoding="utf-8")), encoding="utf-8")
