"""Lay the sources over each other and say clearly what is wrong in which of them."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import msgspec

from hongyan.config.schema import Config, Section


class ConfigError(Exception):
    """A setting cannot be used. The text is one line: source, key, what is wrong."""


PREFIX = "HONGYAN_"
_FAULT = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<path>[^`]*)`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)


def load(
    path: Path | None = None,
    environ: Mapping[str, str] | None = None,
    options: Mapping[str, object] | None = None,
) -> Config:
    """The configuration out of all sources.

    `options` are dotted keys (`server.port`) with values; a str value is read like a variable's.
    Of `environ` every name `HONGYAN_…__…` counts (the double underscore divides section and
    key); names without a double underscore are not settings and left alone. Relative paths
    inside are kept as they are: they count from the working directory.

    Raises:
        ConfigError: one line for the operator; nothing has been opened or written.
    """
    tree: dict[str, Any] = msgspec.to_builtins(Config())
    sources: dict[str, str] = {}
    if path is not None:
        _merge(tree, sources, _read_toml(path), str(path))
    for name, text in sorted((environ or {}).items()):
        if name.startswith(PREFIX) and "__" in name:
            key = name.removeprefix(PREFIX).lower().replace("__", ".")
            _merge(tree, sources, _nest(key, _from_text(key, text, name)), name)
    for key, value in (options or {}).items():
        if isinstance(value, str):
            value = _from_text(key, value, "command line")
        _merge(tree, sources, _nest(key, value), "command line")
    try:
        return msgspec.convert(tree, Config)
    except msgspec.ValidationError as exc:
        raise _explain(str(exc), sources) from None


def check_kinds(config: Config, defaults: Mapping[str, Mapping[str, object]]) -> None:
    """Compare `config.kinds` with the kinds there are and the defaults of their settings.

    A setting has the type of its default, and a number is not negative.

    Raises:
        ConfigError: one line: kind and key, what is wrong.
    """
    for kind, given in config.kinds.items():
        if kind not in defaults:
            raise ConfigError(f"kinds.{kind}: {_unknown(kind, defaults)}")
        for name, value in given.items():
            key, known = f"kinds.{kind}.{name}", defaults[kind]
            if name not in known:
                raise ConfigError(f"{key}: {_unknown(name, known)}")
            try:
                msgspec.convert(value, type(known[name]))
            except msgspec.ValidationError as exc:
                raise ConfigError(f"{key}: {exc}") from None
            if isinstance(value, int | float) and value < 0:
                raise ConfigError(f"{key}: a number here is not negative")


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise ConfigError(f"{path}: {exc.strerror}") from None
    except ValueError as exc:  # not TOML, or not UTF-8
        raise ConfigError(f"{path}: {exc}") from None


def _nest(key: str, value: object) -> dict[str, Any]:
    for part in reversed(key.split(".")):
        value = {part: value}
    assert isinstance(value, dict)
    return value


def _merge(
    into: dict[str, Any], sources: dict[str, str], tree: dict[str, Any], source: str, at: str = ""
) -> None:
    """Lay `tree` over `into`; `sources` remembers who said each key last."""
    for name, value in tree.items():
        key = f"{at}.{name}" if at else name
        if isinstance(value, dict):
            inner = into.setdefault(name, {})
            if not isinstance(inner, dict):
                raise ConfigError(f"{sources.get(key, source)}: {key}: a value and a table at once")
            sources[key] = source
            _merge(inner, sources, value, source, key)
        else:
            into[name], sources[key] = value, source


def _from_text(key: str, text: str, source: str) -> object:
    """Read a variable's text as the type of its setting."""
    kind = _type_at(key, source)
    if kind is Any:
        return _json_or_text(text)
    try:
        if text.lstrip().startswith(("{", "[")) and kind is not str:
            return json.loads(text)  # checked with the rest
        if get_origin(kind) is tuple:
            return [part.strip() for part in text.split(",") if part.strip()]
        return msgspec.convert(text, kind, strict=False)
    except ValueError as exc:  # also msgspec's, which is one
        raise ConfigError(f"{source}: {key}: {exc}") from None


def _json_or_text(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _type_at(key: str, source: str) -> Any:
    kind: Any = Config
    done: list[str] = []
    for part in key.split("."):
        if not is_section(kind):
            return Any if done[0] in ("kinds", "tenants") else kind
        fields = {field.name: bare(field.type) for field in msgspec.structs.fields(kind)}
        if part not in fields:
            raise ConfigError(f"{source}: {key}: {_unknown(part, fields)}")
        kind = fields[part]
        done.append(part)
    return kind


def bare(kind: Any) -> Any:
    """A field's type without what `Meta` says of it."""
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def is_section(kind: Any) -> bool:
    """Is this type a table of settings?"""
    return isinstance(kind, type) and issubclass(kind, Section)


def _unknown(name: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return "unknown key" + (f"; did you mean {near[0]!r}?" if near else "")


def _explain(fault: str, sources: Mapping[str, str]) -> ConfigError:
    """Turn msgspec's words into source, key and reason."""
    match = _FAULT.fullmatch(fault)
    assert match is not None  # the pattern takes any text
    what, key = match["what"], match["path"] or ""
    if unknown := _UNKNOWN.fullmatch(what):
        section: Any = Config
        for part in re.sub(r"\[\d+\]|\[\.\.\.\]", "", key).split(".") if key else ():
            section = element({f.name: f.type for f in msgspec.structs.fields(section)}[part])
        names = {field.name: field for field in msgspec.structs.fields(section)}
        key = f"{key}.{unknown[1]}".lstrip(".")
        what = _unknown(unknown[1], names)
    place = key
    while place and place not in sources:  # an item of a list, or a missing key: who said the rest
        place = re.sub(r"(\.[^.\[]*|\[[^\]]*\]|^[^.\[]*)$", "", place)
    source = sources.get(place) or " and ".join(dict.fromkeys(sources.values())) or "defaults"
    return ConfigError(": ".join(filter(None, (source, key, what))))


def element(kind: Any) -> Any:
    """The struct inside a field's type: of a list, that of its items."""
    kind = bare(kind)
    return bare(get_args(kind)[0]) if get_origin(kind) is tuple else kind
