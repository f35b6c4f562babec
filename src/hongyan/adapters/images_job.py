"""What the server and the picture process say to each other: one JSON line each way."""

from __future__ import annotations

import msgspec


class Job(msgspec.Struct, frozen=True):
    """Clean `source` into `clean`, and a small version into `preview`; a `film` in its place."""

    source: str
    media_type: str
    clean: str
    preview: str
    pixels: int
    film: bool = False


class Done(msgspec.Struct, frozen=True):
    """What was found. `error` "" = all went well."""

    width: int = 0
    height: int = 0
    placeholder: str = ""
    preview: bool = False
    duration_ms: int = 0
    error: str = ""
