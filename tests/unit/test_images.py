"""The picture process: what it keeps, what it makes, what it refuses (rules FU11 to FU14)."""

# size: one table of formats and one of attacks, on the same fixtures

from __future__ import annotations

import asyncio
import base64
import io
import os
import signal
import struct
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PIL import Image, ImageChops, ImageCms, ImageOps, PngImagePlugin

from hongyan.adapters import images, images_worker
from hongyan.adapters.images import WorkerPictures
from hongyan.adapters.images_clean import clean
from hongyan.adapters.images_film import Film, clean_film
from hongyan.adapters.images_hash import thumb_hash
from hongyan.adapters.images_job import Done, Job
from hongyan.engine.files.types import HEAD, detect
from hongyan.model.errors import BadFile, Overloaded, StoreDown

TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "AVIF": "image/avif",
}
SECRETS = (b"SecretCamera", b"SecretWords", b"SecretTail")


def noise(size: tuple[int, int] = (64, 48)) -> Image.Image:
    image = Image.effect_noise(size, 90).convert("RGB")
    image.paste((255, 0, 0), (0, 0, size[0] // 2, size[1] // 4))
    return image


def exif(turn: int = 1) -> Image.Exif:
    made = Image.Exif()
    made[0x010F] = "SecretCamera"
    made[0x0112] = turn
    made[0x8825] = {1: "N", 2: (50.0, 7.0, 0.0), 3: "E", 4: (8.0, 40.0, 0.0)}
    return made


def saved(kind: str, image: Image.Image | None = None, **options: Any) -> bytes:
    out = io.BytesIO()
    (image or noise()).save(out, kind, **options)
    return out.getvalue()


def secret_png() -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "SecretWords")
    info.add_itxt("XML:com.adobe.xmp", "SecretWords")
    return saved("PNG", exif=exif(), pnginfo=info) + b"SecretTail"


def secret_gif() -> bytes:
    frames = [noise() for _ in range(3)]
    made = saved("GIF", frames[0], save_all=True, append_images=frames[1:], comment=b"SecretWords")
    return made + b"SecretTail"


def secret_jpeg(turn: int = 1) -> bytes:
    return (
        saved("JPEG", exif=exif(turn), comment=b"SecretWords", xmp=b"SecretWords") + b"SecretTail"
    )


WITH_SECRETS: dict[str, Callable[[], bytes]] = {
    "JPEG": secret_jpeg,
    "PNG": secret_png,
    "GIF": secret_gif,
    "WEBP": lambda: saved("WEBP", exif=exif(), xmp=b"SecretWords") + b"SecretTail",
    "AVIF": lambda: saved("AVIF", exif=exif(), xmp=b"SecretWords") + b"SecretTail",
}


def pixels(data: bytes) -> list[bytes]:
    with Image.open(io.BytesIO(data)) as image:
        frames = getattr(image, "n_frames", 1)
        found = []
        for number in range(frames):
            image.seek(number)
            found.append(image.convert("RGBA").tobytes())
        return found


@pytest.fixture
async def pictures() -> AsyncIterator[WorkerPictures]:
    made = WorkerPictures(pixels=2_000_000)
    yield made
    await made.close()


async def prepared(
    pictures: WorkerPictures, folder: Path, data: bytes, media_type: str
) -> tuple[Any, bytes, bytes]:
    source, whole, small = (folder / name for name in ("source", "whole", "small"))
    source.write_bytes(data)
    made = await pictures.prepare(source, media_type, whole, small)
    return made, whole.read_bytes(), small.read_bytes() if made.preview else b""


@pytest.mark.parametrize("kind", sorted(WITH_SECRETS))
def test_FU11_metadata_goes_and_the_pixels_stay(kind: str) -> None:
    data = WITH_SECRETS[kind]()
    assert any(secret in data for secret in SECRETS)

    kept = clean(data, TYPES[kind], 1)

    assert not any(secret in kept for secret in SECRETS)
    assert pixels(kept) == pixels(data)
    with Image.open(io.BytesIO(kept)) as image:
        assert not image.getexif().get_ifd(0x8825)
        assert not image.info.get("xmp", b"").strip(b"\0") and "comment" not in image.info
    assert clean(kept, TYPES[kind], 1) == kept  # nothing is left to take away


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_FU11_a_colour_profile_stays(kind: str) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    kept = clean(saved(kind, icc_profile=profile, exif=exif()), TYPES[kind], 1)
    with Image.open(io.BytesIO(kept)) as image:
        assert image.info["icc_profile"] == profile


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
def test_FU11_the_scans_of_a_jpeg_stay_byte_for_byte(options: dict[str, Any]) -> None:
    plain = saved("JPEG", **options)
    kept = clean(plain, "image/jpeg", 1)
    assert kept == plain or pixels(kept) == pixels(plain)
    assert plain[plain.index(b"\xff\xda") :] in kept


def test_FU11_what_hides_in_boxes_of_avif_is_blanked() -> None:
    data = saved("AVIF", exif=exif())
    hidden = (20).to_bytes(4, "big") + b"uuid" + b"SecretWords\0"
    kept = clean(data + hidden, "image/avif", 1)
    assert b"SecretWords" not in kept and pixels(kept) == pixels(data)


def test_FU11_bytes_that_no_part_of_the_picture_points_at_are_blanked() -> None:
    data = saved("AVIF", exif=exif())
    with pytest.raises(ValueError, match="missing"):
        clean(data[: data.index(b"mdat")], "image/avif", 1)
    for name in (b"free", b"skip", b"mpvd"):
        behind = (19).to_bytes(4, "big") + name + b"SecretWords"
        kept = clean(data + behind, "image/avif", 1)
        assert b"SecretWords" not in kept and pixels(kept) == pixels(data)
    at = data.index(b"SecretCamera")
    place = data.index(b"iloc")
    table = bytearray(data)
    size = int.from_bytes(data[place - 4 : place], "big")
    where = table.index((data.index(b"mdat") + 4).to_bytes(4, "big"), place, place + size)
    table[where + 4 : where + 8] = (20).to_bytes(4, "big")  # the item ends before the words
    assert at > data.index(b"mdat") + 24
    assert b"SecretCamera" not in clean(bytes(table), "image/avif", 1)
    other = data.replace(b"Exif", b"Exjf", 1)  # an item of a kind that nobody knows
    assert b"SecretCamera" not in clean(other, "image/avif", 1)


def test_FU11_heic_loses_its_notes_and_tells_its_size(tmp_path: Path) -> None:
    """The boxes of a HEIC are those of an AVIF; only the code of the pixels is another one."""
    data = saved("AVIF", noise((80, 60)), exif=exif())
    heic = data.replace(b"ftypavif", b"ftypheic").replace(b"avifmif1", b"heicmif1")
    heic = heic.replace(b"av01", b"hvc1")
    assert detect(heic[:HEAD]) == "image/heic" and b"SecretCamera" in heic
    source, whole = tmp_path / "source", tmp_path / "c"
    source.write_bytes(heic)
    job = Job(str(source), "image/heic", str(whole), str(tmp_path / "p"), 1_000_000)
    answer = images_worker._answer(msgspec_line(job))
    assert answer == Done(width=80, height=60)
    kept = whole.read_bytes()
    assert b"SecretCamera" not in kept and len(kept) == len(heic)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize("turn", range(1, 9))
async def test_FU12_a_turned_picture_is_shown_upright(
    tmp_path: Path, pictures: WorkerPictures, kind: str, turn: int
) -> None:
    image = noise((64, 48))
    data = saved(kind, image, exif=exif(turn), **({} if kind == "PNG" else {"quality": 95}))
    with Image.open(io.BytesIO(data)) as opened:
        upright = ImageOps.exif_transpose(opened).convert("RGB")

    made, kept, _ = await prepared(pictures, tmp_path, data, TYPES[kind])

    assert (made.width, made.height) == upright.size == ((48, 64) if turn > 4 else (64, 48))
    with Image.open(io.BytesIO(kept)) as opened:
        left = dict(opened.getexif())
        shown = ImageOps.exif_transpose(opened).convert("RGB")
    assert set(left) <= {0x0112}
    assert ImageChops.difference(shown, upright).getbbox() is None


async def test_FU12_a_preview_and_a_placeholder_are_made(
    tmp_path: Path, pictures: WorkerPictures
) -> None:
    data = saved("JPEG", noise((1200, 900)), exif=exif(6))
    made, _, small = await prepared(pictures, tmp_path, data, "image/jpeg")
    assert (made.width, made.height, made.media_type) == (900, 1200, "image/webp")
    with Image.open(io.BytesIO(small)) as image:
        assert (image.format, image.size) == ("WEBP", (360, 480))
        assert not image.getexif()
        red = image.convert("RGB").getpixel((300, 60))  # the corner, turned
    assert isinstance(red, tuple) and red[0] > 200 and red[1] < 60
    assert 20 <= len(made.placeholder) <= 40

    tiny, _, none = await prepared(pictures, tmp_path, saved("PNG", noise((32, 32))), "image/png")
    assert (tiny.preview, none) == (False, b"") and tiny.placeholder


async def test_FU12_a_clear_picture_has_a_clear_preview(
    tmp_path: Path, pictures: WorkerPictures
) -> None:
    image = Image.new("RGBA", (700, 500), (255, 0, 0, 0))
    made, _, small = await prepared(pictures, tmp_path, saved("PNG", image), "image/png")
    with Image.open(io.BytesIO(small)) as opened:
        assert opened.convert("RGBA").getpixel((10, 10))[3] == 0  # type: ignore[index]
    assert made.placeholder


def test_FU12_the_placeholder_is_a_thumbhash() -> None:
    """Known answers: made by hand from the definition for plain pictures."""
    red = thumb_hash(20, 20, [(255, 0, 0, 255)] * 400)
    data = base64.b64decode(red)
    head = int.from_bytes(data[:3], "little")
    assert head & 63 == round(63 / 3)  # brightness of pure red
    assert head >> 6 & 63 == round(31.5 + 31.5 / 2)  # yellow to blue: (r+g)/2 - b
    assert head >> 12 & 63 == 63  # red to green
    assert head >> 18 & 31 == 0 and head >> 23 == 0  # no wave, opaque
    assert int.from_bytes(data[3:5], "little") & 7 == 7  # as tall as wide
    wide = base64.b64decode(thumb_hash(4, 2, [(255, 255, 255, 255), (0, 0, 0, 255)] * 4))
    assert int.from_bytes(wide[3:5], "little") >> 15 == 1
    clear = base64.b64decode(thumb_hash(2, 2, [(9, 9, 9, 0)] * 4))
    assert clear[2] >> 7 == 1


@pytest.mark.parametrize(
    ("width", "height", "known"),
    [(32, 24, "m+gNHZZgdodhiHiUiId4lfWICtip"), (20, 32, "1rcJJBRgNocIiJeXV5fbjySY+A==")],
)
def test_FU12_the_placeholder_is_that_of_other_programs(
    width: int, height: int, known: str
) -> None:
    """Known answers of the reference implementation in JavaScript."""
    pixels = [
        (x * 7 % 256, (y * 11 + x) % 256, x * y % 256, 255)
        for y in range(height)
        for x in range(width)
    ]
    assert thumb_hash(width, height, pixels) == known


def bomb_png(width: int = 60_000, height: int = 60_000) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    rows = zlib.compress(bytes(100_000), 9)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0))
        + chunk(b"IDAT", rows)
        + chunk(b"IEND", b"")
    )


def huge_gif() -> bytes:
    data = bytearray(saved("GIF"))
    data[6:10] = struct.pack("<HH", 65_535, 65_535)
    return bytes(data)


def text_bomb_png() -> bytes:
    body = b"Comment\0\0" + zlib.compress(bytes(64 << 20), 9)
    chunk = (
        struct.pack(">I", len(body))
        + b"zTXt"
        + body
        + struct.pack(">I", zlib.crc32(b"zTXt" + body))
    )
    plain = saved("PNG")
    return plain[:33] + chunk + plain[33:]


WHOLE = {kind: saved(kind) for kind in TYPES}
ATTACKS: list[tuple[str, bytes, str]] = [
    ("png bomb", bomb_png(), "image/png"),
    ("png of many pixels", bomb_png(1_001, 1_000), "image/png"),
    ("png of no pixels", bomb_png(0, 0), "image/png"),
    ("png of huge numbers", bomb_png(0x7FFFFFFF, 0x7FFFFFFF), "image/png"),
    ("gif of huge screen", huge_gif(), "image/gif"),
    ("jpeg called png", WHOLE["JPEG"], "image/png"),
    ("png called jpeg", WHOLE["PNG"], "image/jpeg"),
    ("words", b"\xff\xd8\xff not a picture", "image/jpeg"),
    ("nothing", b"", "image/jpeg"),
    ("script in gif", b"GIF89a<script>alert(1)</script>", "image/gif"),
    ("broken heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic\0\0\0\x10meta\0\0\0\0\xff", "image/heic"),
]
ATTACKS += [(f"cut {kind}", data[: len(data) // 2], TYPES[kind]) for kind, data in WHOLE.items()]
ATTACKS += [(f"only a head of {kind}", data[:20], TYPES[kind]) for kind, data in WHOLE.items()]


@pytest.mark.parametrize(
    ("data", "media_type"), [a[1:] for a in ATTACKS], ids=[a[0] for a in ATTACKS]
)
def test_FU13_broken_and_hostile_pictures_are_refused(
    tmp_path: Path, data: bytes, media_type: str
) -> None:
    source = tmp_path / "source"
    source.write_bytes(data)
    job = Job(str(source), media_type, str(tmp_path / "c"), str(tmp_path / "p"), 1_000_000)
    answer = images_worker._answer(msgspec_line(job))
    assert answer.error, answer
    assert not (tmp_path / "c").exists()


def msgspec_line(job: Job) -> bytes:
    return msgspec.json.encode(job)


def test_FU13_words_that_unpack_to_much_are_left_out(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(text_bomb_png())
    job = Job(str(source), "image/png", str(tmp_path / "c"), str(tmp_path / "p"), 1_000_000)
    answer = images_worker._answer(msgspec_line(job))
    assert answer.error or b"zTXt" not in (tmp_path / "c").read_bytes()


async def test_FU13_pixels_are_counted_before_they_are_decoded(
    tmp_path: Path, pictures: WorkerPictures
) -> None:
    made, _, _ = await prepared(pictures, tmp_path, saved("PNG", noise((2000, 1000))), "image/png")
    assert made.width == 2000
    with pytest.raises(BadFile, match="2000000 pixels"):
        await prepared(pictures, tmp_path, saved("PNG", noise((2001, 1000))), "image/png")


async def test_FU13_the_process_dies_of_a_picture_and_another_comes(
    tmp_path: Path, pictures: WorkerPictures
) -> None:
    await prepared(pictures, tmp_path, WHOLE["PNG"], "image/png")
    first = pictures.pid
    os.kill(first, signal.SIGSTOP)  # it is at a picture for ever
    job = asyncio.create_task(prepared(pictures, tmp_path, WHOLE["PNG"], "image/png"))
    async with asyncio.timeout(20):
        while not pictures.waiting:  # noqa: ASYNC110 - the job must be on its way
            await asyncio.sleep(0.01)
    os.kill(first, signal.SIGKILL)
    with pytest.raises(BadFile):
        await job
    made, _, _ = await prepared(pictures, tmp_path, WHOLE["PNG"], "image/png")
    assert made.width == 64 and pictures.pid not in (0, first) and pictures.killed == 1


async def test_FU13_a_picture_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    pictures = WorkerPictures(pixels=1_000_000, seconds=0.5)
    await prepared(pictures, tmp_path, WHOLE["PNG"], "image/png")
    os.kill(pictures.pid, signal.SIGSTOP)
    with pytest.raises(BadFile, match="too long"):
        await prepared(pictures, tmp_path, WHOLE["PNG"], "image/png")
    await prepared(pictures, tmp_path, WHOLE["PNG"], "image/png")
    await pictures.close()
    with pytest.raises(StoreDown):
        await prepared(pictures, tmp_path, WHOLE["PNG"], "image/png")


async def test_FU13_the_process_is_bounded_and_changed_now_and_then(
    tmp_path: Path, pictures: WorkerPictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "JOBS", 2)
    await prepared(pictures, tmp_path, WHOLE["PNG"], "image/png")
    first = pictures.pid
    limits = of_process(first, "limits").decode()
    bounds = {line[:26].strip(): line[26:].split() for line in limits.splitlines()}
    assert bounds["Max address space"][0] == str(images_worker.MEMORY)
    assert int(bounds["Max cpu time"][0]) <= images_worker.JOB_CPU_S + 10
    assert bounds["Max file size"][0] == str(images_worker.FILE)
    assert b"HONGYAN" not in of_process(first, "environ")
    await prepared(pictures, tmp_path, WHOLE["PNG"], "image/png")
    assert pictures.pid == 0
    await prepared(pictures, tmp_path, WHOLE["PNG"], "image/png")
    assert pictures.pid != first and pictures.killed == 0


def of_process(pid: int, name: str) -> bytes:
    return Path(f"/proc/{pid}/{name}").read_bytes()


async def test_FU14_so_many_pictures_wait_and_no_more(tmp_path: Path) -> None:
    pictures = WorkerPictures(pixels=1_000_000, waiting=2)
    await prepared(pictures, tmp_path, WHOLE["PNG"], "image/png")
    os.kill(pictures.pid, signal.SIGSTOP)
    jobs = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        jobs.append(asyncio.create_task(prepared(pictures, folder, WHOLE["PNG"], "image/png")))
    await asyncio.sleep(0)
    assert pictures.crowded
    with pytest.raises(Overloaded):
        await prepared(pictures, tmp_path, WHOLE["PNG"], "image/png")
    os.kill(pictures.pid, signal.SIGCONT)
    assert [made.width for made, _, _ in await asyncio.gather(*jobs)] == [64, 64]
    assert not pictures.crowded
    await pictures.close()


async def test_FU14_a_process_that_does_not_start_is_told(
    tmp_path: Path, pictures: WorkerPictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images.sys, "executable", "/bin/false")
    with pytest.raises(StoreDown, match="does not start"):
        await prepared(pictures, tmp_path, WHOLE["PNG"], "image/png")


def box(name: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return (len(body) + 8).to_bytes(4, "big") + name + body


def film(turned: bool = False, behind: bool = True) -> bytes:
    """Boxes of a film of 640 x 480 pixels and 2.5 s, with words beside its tracks."""
    movie = bytes(12) + (600).to_bytes(4, "big") + (1500).to_bytes(4, "big") + bytes(80)
    one, none = (0x10000).to_bytes(4, "big"), bytes(4)
    matrix = (none + one if turned else one + none) + bytes(28)
    track = bytes(40) + matrix + (640 << 16).to_bytes(4, "big") + (480 << 16).to_bytes(4, "big")
    notes = box(b"udta", box(b"\xa9xyz", b"\0\x12\x15\xc7+50.1+008.6/SecretPlace"))
    keys = box(b"meta", b"com.apple.quicktime.location.ISO6709 SecretPlace")
    contents = box(
        b"moov", box(b"mvhd", movie), box(b"trak", box(b"tkhd", track), notes), notes, keys
    )
    head = box(b"ftyp", b"isom\0\0\0\0isommp42")
    pixels_of_it = box(b"mdat", bytes(range(256)) * 8)
    other = box(b"uuid", bytes(16), b"SecretPlace")
    return head + (pixels_of_it + contents if behind else contents + pixels_of_it) + other


@pytest.mark.parametrize("behind", [True, False])
@pytest.mark.parametrize("turned", [True, False])
async def test_FU11_a_film_loses_its_place_and_nothing_moves(
    tmp_path: Path, pictures: WorkerPictures, turned: bool, behind: bool
) -> None:
    data = film(turned, behind)
    source = tmp_path / "film"
    source.write_bytes(data)

    made = await pictures.film(source, "video/mp4")

    kept = source.read_bytes()
    assert (made.width, made.height) == ((480, 640) if turned else (640, 480))
    assert made.duration_ms == 2500
    assert b"SecretPlace" in data and b"SecretPlace" not in kept
    assert len(kept) == len(data)
    at = data.index(b"mdat") - 4
    assert kept[at : at + 2056] == data[at : at + 2056]
    await pictures.film(source, "video/mp4")
    assert source.read_bytes() == kept


@pytest.mark.parametrize(
    "data",
    [
        film()[:-5],
        film()[:1000],
        box(b"ftyp", b"isom") + b"\0\0\0\7moov",
        box(b"ftyp", b"isom") + b"\0\0\0\1moov" + b"\xff" * 8,
        box(b"ftyp", b"isom") + box(b"moov", b"\xff\xff\xff\xfftrak"),
    ],
)
async def test_FU13_a_film_that_cannot_be_followed_is_told(
    tmp_path: Path, pictures: WorkerPictures, data: bytes
) -> None:
    source = tmp_path / "film"
    source.write_bytes(data)
    with pytest.raises(BadFile):
        await pictures.film(source, "video/mp4")
    assert len(source.read_bytes()) == len(data)


def test_FU11_a_film_that_says_little_is_taken(tmp_path: Path) -> None:
    for data in (box(b"ftyp", b"isom"), box(b"moov", box(b"mvhd", b"\0"), box(b"tkhd", b"\0"))):
        source = tmp_path / "film"
        source.write_bytes(data)
        with source.open("r+b") as file:
            assert clean_film(file) == Film()
