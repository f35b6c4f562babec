"""What a file is, told by its first bytes; and a name that can do no harm.

The type an uploader claims is believed only within the family that the bytes show: a WebM file may
be called audio, a zip a document of an office program, plain text CSV. What is not known is
`application/octet-stream`. Whatever comes out, files are served with `nosniff`, and inline only
when the type is one of INLINE, so a file that is two things at once is only ever the one named.
"""

from __future__ import annotations

import re
import unicodedata

HEAD = 4096  # bytes that are looked at
MAX_NAME = 200  # characters, as in a message
UNKNOWN = "application/octet-stream"
TEXT = "text/plain"
ZIP = "application/zip"

PICTURES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp", "image/avif"})
CLEANED = PICTURES | {"image/heic"}  # their metadata is removed
FILMS = frozenset({"video/mp4", "video/quicktime", "audio/mp4", "video/3gpp", "audio/3gpp"})
INLINE = PICTURES | {
    "audio/aac",
    "audio/flac",
    "audio/mp4",
    "audio/mpeg",
    "audio/ogg",
    "audio/wav",
    "audio/webm",
    "video/mp4",
    "video/ogg",
    "video/quicktime",
    "video/webm",
}

_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"\0\0\1\0", "image/x-icon"),
    (b"8BPS", "image/vnd.adobe.photoshop"),
    (b"%PDF-", "application/pdf"),
    (b"%!PS", "application/postscript"),
    (b"{\\rtf", "application/rtf"),
    (b"PK\3\4", ZIP),
    (b"PK\5\6", ZIP),
    (b"\x1f\x8b", "application/gzip"),
    (b"BZh", "application/x-bzip2"),
    (b"\xfd7zXZ\0", "application/x-xz"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"\x28\xb5\x2f\xfd", "application/zstd"),
    (b"\x7fELF", "application/x-elf"),
    (b"MZ", "application/vnd.microsoft.portable-executable"),
    (b"\xcf\xfa\xed\xfe", "application/x-mach-binary"),
    (b"\xca\xfe\xba\xbe", "application/java-vm"),
    (b"\0asm", "application/wasm"),
    (b"#!", "text/x-shellscript"),
    (b"SQLite format 3\0", "application/vnd.sqlite3"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (b"wOFF", "font/woff"),
    (b"wOF2", "font/woff2"),
    (b"OTTO", "font/otf"),
    (b"\0\1\0\0\0", "font/ttf"),
    (b"FWS", "application/x-shockwave-flash"),
    (b"CWS", "application/x-shockwave-flash"),
    (b"fLaC", "audio/flac"),
    (b"ID3", "audio/mpeg"),
    (b"#!AMR", "audio/amr"),
    (b"MThd", "audio/midi"),
    (b"OggS", "audio/ogg"),
    (b"\x1aE\xdf\xa3", "video/x-matroska"),
)
_BRANDS = {
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"heim": "image/heic",
    b"heis": "image/heic",
    b"hevc": "image/heic",
    b"mif1": "image/heic",
    b"msf1": "image/heic",
    b"qt  ": "video/quicktime",
    b"M4A ": "audio/mp4",
    b"M4B ": "audio/mp4",
}
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}

# What may be claimed instead of what is found.
_FAMILY: dict[str, frozenset[str]] = {
    "video/mp4": frozenset({"audio/mp4", "video/3gpp", "audio/3gpp"}),
    "video/webm": frozenset({"audio/webm"}),
    "audio/ogg": frozenset({"video/ogg"}),
    "application/x-ole-storage": frozenset(
        {"application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint"}
    ),
    ZIP: frozenset(
        {
            "application/epub+zip",
            "application/vnd.android.package-archive",
            "application/vnd.oasis.opendocument.presentation",
            "application/vnd.oasis.opendocument.spreadsheet",
            "application/vnd.oasis.opendocument.text",
            "application/vnd.openxmlformats-officedocument.presentationml.presentation",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        }
    ),
    TEXT: frozenset(
        {"application/json", "text/calendar", "text/csv", "text/markdown", "text/vcard"}
    ),
}
_MARKUP = (
    (re.compile(rb"<svg[\s>/:]", re.IGNORECASE), "image/svg+xml"),
    (re.compile(rb"^\s*<\?xml", re.IGNORECASE), "application/xml"),
    (
        re.compile(
            rb"<(!doctype\s+html|html|head|body|script|iframe|style|title|table|img|a|div|p|h1|br"
            rb"|font|b)[\s>/]",
            re.IGNORECASE,
        ),
        "text/html",
    ),
)


def detect(head: bytes, claimed: str = "") -> str:
    """The media type of a file that begins with `head` (HEAD bytes, or all of a shorter file)."""
    found = _by_bytes(head)
    claimed = claimed.partition(";")[0].strip().lower()
    return claimed if claimed in _FAMILY.get(found, ()) else found


def _by_bytes(head: bytes) -> str:
    if head[4:8] == b"ftyp":
        return _by_brand(head)
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12], UNKNOWN)
    for start, media_type in _STARTS:
        if head.startswith(start):
            if media_type == "video/x-matroska" and b"webm" in head[:64]:
                return "video/webm"
            return media_type
    if head[257:262] == b"ustar":
        return "application/x-tar"
    if len(head) > 2 and head[0] == 0xFF:
        if head[1] & 0xF6 == 0xF0:
            return "audio/aac"
        if head[1] & 0xE0 == 0xE0 and head[1] & 0x18 != 0x08 and head[1] & 0x06:
            return "audio/mpeg"
    return _by_text(head)


def _by_brand(head: bytes) -> str:
    """The main brand of an ISO file, then those it is compatible with."""
    size = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, size, 4))]
    for brand in brands:
        if brand in (b"avif", b"avis"):  # mif1 is the brand of both families
            return "image/avif"
    for brand in brands[:1] if brands[0] in _BRANDS else brands:
        if brand in _BRANDS and not (brand == b"mif1" and brands[0][:2] == b"is"):
            return _BRANDS[brand]
    return "video/mp4"


def _by_text(head: bytes) -> str:
    if b"\0" in head or not head:
        return UNKNOWN if head else TEXT
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as exc:
        if len(head) < HEAD or exc.start < HEAD - 4:  # else cut in the middle of a letter
            return UNKNOWN
    for pattern, media_type in _MARKUP:
        if pattern.search(head):
            return media_type
    return TEXT


_KEPT = "‌‍"  # joiners: scripts and emoji need them
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
_AWKWARD = str.maketrans('<>:"|?*', "_______")


def clean_name(name: str) -> str:
    """A file name without folders, control and direction characters, at most MAX_NAME long;
    "" where nothing is left. The ending stays."""
    name = unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode())
    name = re.split(r"[/\\]", name)[-1]
    kept = (c for c in name if c in _KEPT or unicodedata.category(c)[0] != "C")
    name = "".join(" " if unicodedata.category(c) in ("Zl", "Zp") else c for c in kept)
    name = name.translate(_AWKWARD).strip(" .")
    if _RESERVED.match(name):
        name = f"_{name}"
    if len(name) > MAX_NAME:
        stem, dot, ending = name.rpartition(".")
        ending = dot + ending if stem and len(ending) <= 20 else ""
        name = name[: MAX_NAME - len(ending)] + ending
    return name


def is_refused(media_type: str, refused: tuple[str, ...]) -> bool:
    """Whether a type is named by one of the patterns: exact, `video/*` or `*`."""
    family = media_type.partition("/")[0] + "/*"
    return any(pattern in (media_type, family, "*", "*/*") for pattern in refused)
