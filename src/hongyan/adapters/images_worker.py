"""The process that looks at pictures: `python -m hongyan.adapters.images_worker`.

It reads one job per line (JSON), writes one answer per line, and holds itself to bounds of memory,
processor time and file size, since what it decodes was made by strangers. It opens the files of
its jobs and nothing else. What it cannot bear ends it; the server starts another.
"""

from __future__ import annotations

import os
import resource
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from PIL import Image, ImageOps

from hongyan.adapters.images_clean import clean
from hongyan.adapters.images_film import clean_film
from hongyan.adapters.images_hash import thumb_hash
from hongyan.adapters.images_job import Done, Job

MEMORY = 1536 << 20  # bytes of address space
FILE = 256 << 20  # bytes of a file it writes
JOB_CPU_S = 20
SMALL = 480  # pixels of a preview's longer side
PLAIN = 32 * 1024  # a picture of few bytes that is SMALL anyway needs no preview
HASHED = 32  # pixels of the longer side that is hashed
PROFILE = 8 * 1024  # bytes of a colour profile that a preview takes along
ORIENTATION = 0x0112
FORMATS = {
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/gif": "GIF",
    "image/webp": "WEBP",
    "image/avif": "AVIF",
}


def do(job: Job) -> Done:
    """One job. Raises whatever a broken picture makes Pillow raise."""
    if job.film:
        with Path(job.source).open("r+b") as file:
            film = clean_film(file)
        return Done(film.width, film.height, duration_ms=film.duration_ms)
    data = Path(job.source).read_bytes()
    if job.media_type not in FORMATS:  # HEIC: no decoder with a licence we may ship
        width, height = _heic_size(data)
        _write(job.clean, clean(data, job.media_type, 1))
        return Done(width, height)
    with Image.open(BytesIO(data), formats=(FORMATS[job.media_type],)) as image:
        width, height = image.size
        if width * height > job.pixels:
            return Done(error=f"a picture has at most {job.pixels} pixels")
        turn = _turn(image)
        small = _small(image, turn)
    try:
        cleaned = _whole(data, job.media_type, turn)
    except (ValueError, IndexError) as exc:
        return Done(error=f"the picture is broken: {exc}")
    if turn > 4:
        width, height = height, width
    _write(job.clean, cleaned)
    has_preview = max(width, height) > SMALL or len(cleaned) > PLAIN
    if has_preview:
        profile = image.info.get("icc_profile") or b""
        made = BytesIO()
        small.save(
            made,
            "WEBP",
            quality=78,
            method=4,
            icc_profile=profile if len(profile) <= PROFILE else b"",
        )
        _write(job.preview, made.getvalue())
    return Done(width, height, _placeholder(small), has_preview)


def _turn(image: Image.Image) -> int:
    try:
        turn = image.getexif().get(ORIENTATION, 1)
    except Exception:  # broken metadata is no reason to refuse: it goes anyway
        return 1
    return turn if isinstance(turn, int) and 1 <= turn <= 8 else 1


def _small(image: Image.Image, turn: int) -> Image.Image:
    """At most SMALL pixels, turned, RGB or RGBA. Decodes all of the (first) picture."""
    image.draft("RGB", (2 * SMALL, 2 * SMALL))
    image.load()
    clear = image.has_transparency_data
    small = image.convert("RGBA" if clear else "RGB")
    small.thumbnail((SMALL, SMALL), reducing_gap=2.0)
    small.getexif()[ORIENTATION] = turn
    return ImageOps.exif_transpose(small) if turn > 1 else small


def _whole(data: bytes, media_type: str, turn: int) -> bytes:
    """The cleaned bytes; a PNG that must be turned is written anew, which loses nothing."""
    if media_type != "image/png" or turn == 1:
        try:
            return clean(data, media_type, turn)
        except (ValueError, IndexError):
            if media_type != "image/jpeg":
                raise
            return _again(data)
    with Image.open(BytesIO(data), formats=("PNG",)) as image:
        turned = ImageOps.exif_transpose(image)
        made = BytesIO()
        turned.info.pop("exif", None)
        turned.save(made, "PNG")
    return clean(made.getvalue(), media_type, 1)


def _again(data: bytes) -> bytes:
    """A JPEG that can be seen but not followed: written anew from its pixels."""
    with Image.open(BytesIO(data), formats=("JPEG",)) as image:
        profile = image.info.get("icc_profile") or b""
        turned = ImageOps.exif_transpose(image).convert("RGB")
    made = BytesIO()
    turned.save(made, "JPEG", quality=92, icc_profile=profile if turned.mode == "RGB" else b"")
    return clean(made.getvalue(), "image/jpeg", 1)


def _placeholder(small: Image.Image) -> str:
    tiny = small.copy()
    tiny.thumbnail((HASHED, HASHED))
    tiny = tiny.convert("RGBA")
    raw = tiny.tobytes()
    pixels = [(raw[i], raw[i + 1], raw[i + 2], raw[i + 3]) for i in range(0, len(raw), 4)]
    return thumb_hash(tiny.width, tiny.height, pixels)


def _heic_size(data: bytes) -> tuple[int, int]:
    """The largest size that is named near the beginning; (0, 0) where none is."""
    best, at = (0, 0), 0
    head = data[: 64 * 1024]
    while (at := head.find(b"ispe", at) + 1) > 0:
        width = int.from_bytes(head[at + 7 : at + 11], "big")
        height = int.from_bytes(head[at + 11 : at + 15], "big")
        if max(width, height) <= 100_000 and width * height > best[0] * best[1]:
            best = (width, height)
    return best


def _write(path: str, data: bytes) -> None:
    with Path(path).open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _answer(line: bytes) -> Done:
    try:
        job = msgspec.json.decode(line, type=Job)
        if job.film:  # it is changed where it lies, at any place of a long file
            with _long_files():
                return do(job)
        return do(job)
    except MemoryError:
        return Done(error="the picture asks for too much memory")
    except Exception as exc:  # Pillow raises many kinds for broken files
        return Done(error=f"the picture cannot be read: {type(exc).__name__}")


@contextmanager
def _long_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _bound() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(5)


def _bound_job() -> None:
    """Processor time counts from the start of the process: move the bound on for each job."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + 1 + JOB_CPU_S
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def main(jobs: BinaryIO, answers: BinaryIO) -> None:
    """Work until the input ends."""
    _bound()
    warnings.simplefilter("ignore")  # Pillow warns of large pictures; the bound is ours
    Image.MAX_IMAGE_PIXELS = None
    Image.init()
    _say(answers, {"ready": True})
    for line in jobs:
        _bound_job()
        _say(answers, _answer(line))


def _say(answers: BinaryIO, thing: Any) -> None:
    answers.write(msgspec.json.encode(thing) + b"\n")
    answers.flush()


if __name__ == "__main__":
    main(sys.stdin.buffer, sys.stdout.buffer)
