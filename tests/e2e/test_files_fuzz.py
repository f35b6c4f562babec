"""What strangers send: bombs, lies, files that are two things at once (rules FU10, FU13, FU14)."""

from __future__ import annotations

import gzip
import io
import os
import struct
import zipfile
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from files_rig import OCTETS, Rig, picture
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from hongyan.adapters.images import WorkerPictures
from hongyan.engine.files.types import INLINE

HTML = b"<html><script>alert(document.domain)</script>"
UNKNOWN = "application/octet-stream"


def bomb_png(width: int, height: int) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    body = zlib.compress(bytes(1_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def zip_bomb() -> bytes:
    """10 MB of zeros, ten times over, in a few KB."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
        for number in range(10):
            file.writestr(f"../../{number}", bytes(10_000_000))
    return made.getvalue()


def frames_gif(count: int) -> bytes:
    images = [Image.new("P", (2000, 2000), number % 256) for number in range(count)]
    made = io.BytesIO()
    images[0].save(made, "GIF", save_all=True, append_images=images[1:])
    return made.getvalue()


def jpeg_with_comment_script() -> bytes:
    return picture((64, 64), "JPEG", comment=HTML) + HTML


EXE = "application/vnd.microsoft.portable-executable"
NO = "refused"
# What it is, bytes, claimed type; what comes of it.
CASES: list[tuple[str, bytes, str, str]] = [
    ("zip bomb", zip_bomb(), "application/zip", "application/zip"),
    ("gzip bomb", gzip.compress(bytes(5_000_000)), "", "application/gzip"),
    ("png bomb", bomb_png(60_000, 60_000), "image/png", NO),
    ("huge numbers", bomb_png(2**31 - 1, 2**31 - 1), "image/png", NO),
    ("many frames", frames_gif(40), "image/gif", "image/gif"),
    ("html as png", HTML, "image/png", "text/html"),
    ("png as html", picture(), "text/html", "image/png"),
    ("svg with script", b"<svg onload='alert(1)'/>", "image/svg+xml", "image/svg+xml"),
    ("svg as jpeg", b"\n<?xml version='1.0'?><svg xmlns='x'/>", "image/jpeg", "image/svg+xml"),
    ("script in gif", b"GIF89a/*" + HTML, "image/gif", NO),
    ("script behind jpeg", jpeg_with_comment_script(), "image/jpeg", "image/jpeg"),
    ("zip behind png", picture() + zip_bomb(), "image/png", "image/png"),
    ("pdf behind zeros", bytes(100) + b"%PDF-1.4", "application/pdf", UNKNOWN),
    ("exe as picture", b"MZ" + os.urandom(500), "image/jpeg", EXE),
    ("half a jpeg", picture((400, 400), "JPEG")[:20_000], "image/jpeg", NO),
    ("half a webp", picture((400, 400), "WEBP")[:20_000], "", NO),
    ("riff of nothing", b"RIFF\xff\xff\xff\xffWEBPVP8 \xff\xff\xff\xff", "", NO),
    ("avif of lies", b"\0\0\0\x18ftypavif\0\0\0\0avifmif1\0\0\0\x10meta" + bytes(8), "", NO),
    ("heic of lies", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\xff" * 64, "", NO),
    ("endless box", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic\0\0\0\1meta" + b"\xff" * 8, "", NO),
    ("noise", b"\xfe\xed" + bytes(3000), "text/html", UNKNOWN),
    ("words", "鸿雁传书".encode(), "text/plain", "text/plain"),
    ("nothing", b"", "image/png", "text/plain"),
]
PATHS = [
    *("../../../etc/passwd", "..\\..\\x", "/abs", "a/../b", "\0", "x\r\nX-Evil: 1", "CON", "."),
    *("evil\u202egpj.exe", "." * 300, "x" * 3000, "\ud800", "%2e%2e%2f", "~root", "-rf", "a;b"),
]


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    limits = {"files__open_per_user": 10_000, "files__user_day_uploads": 100_000}
    async with Rig(tmp_path, **limits) as made:
        yield made


async def test_FU13_hostile_files_do_no_harm(rig: Rig) -> None:
    came = {}
    for what, data, claimed, wanted in CASES:
        view = await rig.upload(data, "a.png", claimed)
        if view["state"] == "refused":
            came[what] = NO
            detail = view["problem"]["detail"]
            assert view["problem"]["title"] == "BadFile" and detail
            assert "Traceback" not in detail and "/" not in detail
            continue
        came[what] = view["blob"]["media_type"]
        got = await rig.http.get((await rig.links("ann", {"upload": view["id"]}))[0]["url"])
        assert got.headers["x-content-type-options"] == "nosniff"
        shown = got.headers["content-disposition"].partition(";")[0]
        assert shown == ("inline" if wanted in INLINE else "attachment"), what
        if shown == "inline":  # what hung behind the picture is gone
            assert b"<script" not in got.content and b"PK\3\4" not in got.content
    assert came == {what: wanted for what, _, _, wanted in CASES}
    assert (await rig.http.get("/healthz")).status_code == 200


async def test_FU10_tricks_with_names_stay_names(rig: Rig) -> None:
    before = set(rig.data.rglob("*"))
    for name in PATHS:
        view = await rig.upload(f"named {name!r}".encode(), name)
        kept = view["blob"]["name"]
        assert not set(kept) & set("/\\\0\r\n\u202e") and len(kept) <= 200
        got = await rig.http.get((await rig.links("ann", {"upload": view["id"]}))[0]["url"])
        assert "x-evil" not in got.headers
        assert got.headers["content-disposition"].startswith("attachment")
    for path in set(rig.data.rglob("*")) - before:
        assert path.relative_to(rig.data).parts[0] in ("blobs", "uploads")


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    kind=st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "AVIF"]),
    cuts=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=8)), max_size=6),
    end=st.floats(0.1, 1),
)
async def test_FU13_pictures_with_errors_are_kept_clean_or_refused(
    rig: Rig, kind: str, cuts: list[tuple[float, bytes]], end: float
) -> None:
    """Bytes changed anywhere: never a fault, never the place, never a dead server."""
    data = bytearray(picture((80, 60), kind))
    for where, noise in cuts:
        at = int(where * (len(data) - len(noise)))
        data[at : at + len(noise)] = noise
    view = await rig.upload(bytes(data[: int(end * len(data))]), f"a.{kind.lower()}")
    if view["state"] == "refused":
        assert view["problem"]["title"] in ("BadFile",), view
    elif view["blob"]["media_type"] in INLINE:
        [link] = await rig.links("ann", {"upload": view["id"]})
        assert b"SecretCamera" not in await rig.fetch(link)


async def test_FU13_a_picture_larger_than_allowed_is_refused(tmp_path: Path) -> None:
    async with Rig(tmp_path, files__picture_bytes=1000, files__refused_types=["video/*"]) as rig:
        view = await rig.upload(picture((200, 200), "JPEG"))
        assert (view["state"], view["problem"]["code"]) == ("refused", 123)
        film = b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + bytes(100)
        made = await rig.begin(len(film), "a.mp4", "text/plain")
        got = await rig.patch(made.headers["location"], 0, film)
        assert got.status_code == 415 and "video/mp4" in got.json()["detail"]
        assert (await rig.upload(film, claimed="audio/mp4"))["state"] == "ready"
        assert len(rig.files()) == 1


async def test_FU14_a_crowd_of_pictures_is_turned_away_and_none_is_lost(tmp_path: Path) -> None:
    """The queue is full: new uploads are refused, those that are here wait for their turn."""
    pictures = WorkerPictures(pixels=1_000_000, waiting=1)
    async with Rig(tmp_path, pictures=pictures) as rig:
        urls = [(await rig.begin(len(SMALL), "a.png")).headers["location"] for _ in range(3)]
        pictures._waiting += 1
        assert (await rig.begin(10)).status_code == 503
        for url in urls:
            headers: dict[str, Any] = {**OCTETS, **await rig.auth("ann"), "Upload-Offset": "0"}
            first = rig.service.files.settled

            async def at_once(upload: Any, seconds: float, first: Any = first) -> Any:
                return await first(upload, 0.0)

            rig.service.files.settled = at_once  # type: ignore[method-assign]
            got = await rig.http.patch(url, content=SMALL, headers=headers)
            rig.service.files.settled = first  # type: ignore[method-assign]
            assert (got.status_code, got.headers["hongyan-state"]) == (204, "processing")
        pictures._waiting -= 1
        for url in urls:
            got = await rig.http.get(f"{url}?wait=25", headers=await rig.auth("ann"))
            assert got.json()["state"] == "ready"


SMALL = picture((32, 32))
