"""Types by content, and names (rules FU9 and FU10)."""

from __future__ import annotations

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hongyan.engine.files.types import HEAD, INLINE, MAX_NAME, clean_name, detect, is_refused


def image(kind: str) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (4, 4)).save(made, kind)
    return made.getvalue()


def zipped() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        file.writestr("word/document.xml", "<x/>")
    return made.getvalue()


DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
OCTETS = "application/octet-stream"
CASES = [
    (image("JPEG"), "", "image/jpeg"),
    (image("PNG"), "text/html", "image/png"),
    (image("GIF"), "", "image/gif"),
    (image("WEBP"), "", "image/webp"),
    (image("AVIF"), "image/heic", "image/avif"),
    (image("BMP"), "", "image/bmp"),
    (image("TIFF"), "image/jpeg", "image/tiff"),
    (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "image/jpeg", "image/heic"),
    (b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", "", "image/avif"),
    (b"\0\0\0\x18ftypisom\0\0\0\0isommp42", "", "video/mp4"),
    (b"\0\0\0\x18ftypisom\0\0\0\0isommp42", "audio/mp4; codecs=aac", "audio/mp4"),
    (b"\0\0\0\x18ftypisom\0\0\0\0isommp42", "text/html", "video/mp4"),
    (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "", "video/quicktime"),
    (b"\0\0\0\x14ftypM4A \0\0\0\0M4A ", "", "audio/mp4"),
    (b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\x82\x84webm", "audio/webm", "audio/webm"),
    (b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\x82\x84webm", "image/png", "video/webm"),
    (b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\x82\x88matroska", "video/webm", "video/x-matroska"),
    (b"OggS\0\2", "", "audio/ogg"),
    (b"ID3\3\0", "", "audio/mpeg"),
    (b"\xff\xfb\x90\x64", "", "audio/mpeg"),
    (b"\xff\xf1\x50\x80", "", "audio/aac"),
    (b"RIFF\0\0\0\0WAVEfmt ", "", "audio/wav"),
    (b"RIFF\0\0\0\0JUNK", "image/webp", OCTETS),
    (zipped(), "", "application/zip"),
    (zipped(), DOCX, DOCX),
    (zipped(), "image/png", "application/zip"),
    (b"%PDF-1.7", "image/png", "application/pdf"),
    (b"MZ\x90\0", "image/png", "application/vnd.microsoft.portable-executable"),
    (b"\x7fELF", "", "application/x-elf"),
    (b"#!/bin/sh\n", "text/csv", "text/x-shellscript"),
    (b"a,b\n1,2\n", "text/csv", "text/csv"),
    (b"a,b\n1,2\n", "text/html", "text/plain"),
    (b"a,b\n1,2\n", "application/javascript", "text/plain"),
    ("鸿雁".encode() * 2000, "", "text/plain"),
    (b"<!DOCTYPE html><p>x", "text/plain", "text/html"),
    (b"  \n<sCript >alert(1)</script>", "text/plain", "text/html"),
    (b"hello <img src=x onerror=alert(1)>", "text/plain", "text/html"),
    (b"<?xml version='1.0'?><svg xmlns='x'>", "image/png", "image/svg+xml"),
    (b"<svg/onload=alert(1)>", "image/png", "image/svg+xml"),
    (b"<?xml version='1.0'?><a/>", "", "application/xml"),
    (b"\xef\xbb\xbf<html>", "text/plain", "text/html"),
    (b"text\0with nul", "text/plain", OCTETS),
    (b"\xc3\x28 not utf-8 " * 10, "text/plain", OCTETS),
    (b"", "image/png", "text/plain"),
    (b"\x00", "image/png", OCTETS),
    (b"\xff", "image/jpeg", OCTETS),
    (b"GIF89a<script>alert(1)</script>", "text/html", "image/gif"),  # inline only as a picture
]


@pytest.mark.parametrize(("data", "claimed", "found"), CASES)
def test_FU9_the_bytes_say_the_type(data: bytes, claimed: str, found: str) -> None:
    assert detect(data[:HEAD], claimed) == found


@given(st.binary(max_size=200), st.text(max_size=30))
def test_FU9_any_bytes_have_a_type_and_no_claim_makes_markup_inline(
    data: bytes, claimed: str
) -> None:
    found = detect(data, claimed)
    assert found.isascii() and "/" in found
    assert found not in INLINE or found.split("/")[0] in ("image", "audio", "video")


def test_FU9_what_runs_scripts_is_never_inline() -> None:
    assert not INLINE & {"image/svg+xml", "text/html", "application/xml", "application/pdf"}


def test_FU9_types_can_be_refused() -> None:
    assert is_refused("video/mp4", ("video/*",)) and is_refused("a/b", ("*",))
    assert is_refused("image/gif", ("x/y", "image/gif")) and not is_refused(
        "image/gif", ("video/*",)
    )


NAMES = [
    ("photo.jpg", "photo.jpg"),
    ("../../etc/passwd", "passwd"),
    ("..\\..\\boot.ini", "boot.ini"),
    ("/", ""),
    ("..", ""),
    (".htaccess", "htaccess"),
    ("a\0b\r\nSet-Cookie: x=1.txt", "abSet-Cookie_ x=1.txt"),
    ("invoice\u202egpj.exe", "invoicegpj.exe"),
    ("a\u2066b\u200b\ufeffc.png", "abc.png"),
    ("x\u2028y", "x y"),
    ('a<b>:"|?*c', "a_b______c"),
    ("CON.txt", "_CON.txt"),
    ("com1", "_com1"),
    ("console.log", "console.log"),
    ("report.  ", "report"),
    ("相片 1.jpeg", "相片 1.jpeg"),
    ("👨\u200d👩\u200d👧.png", "👨\u200d👩\u200d👧.png"),
    ("e\u0301.txt", "\u00e9.txt"),
    ("\ud800.txt", "_.txt"),
    ("", ""),
]


@pytest.mark.parametrize(("given_name", "kept"), NAMES)
def test_FU10_a_name_can_do_no_harm(given_name: str, kept: str) -> None:
    assert clean_name(given_name) == kept


def test_FU10_a_long_name_keeps_its_ending() -> None:
    name = clean_name("x" * 500 + ".tar.gz")
    assert (len(name), name[-3:]) == (MAX_NAME, ".gz")
    assert len(clean_name("a." + "b" * 500)) == MAX_NAME


@given(st.text(max_size=400))
def test_FU10_whatever_the_name_it_is_one_safe_line(name: str) -> None:
    kept = clean_name(name)
    assert len(kept) <= MAX_NAME and not set(kept) & set('/\\\0\r\n<>:"|?*\u202e\u2066')
    assert clean_name(kept) == kept
