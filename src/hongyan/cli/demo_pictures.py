"""Pictures of the demonstration, drawn here so that none has to be kept in the repository."""

from __future__ import annotations

import io
import math

from PIL import Image, ImageDraw, ImageFilter, ImageOps

SIZE = (1600, 1000)

# (height of the ridge from the top, how rugged, colour), from far to near
RIDGES = (
    (0.52, 0.10, (122, 150, 170)),
    (0.60, 0.13, (88, 122, 140)),
    (0.70, 0.12, (54, 90, 100)),
    (0.82, 0.09, (27, 58, 62)),
)


def mountains() -> bytes:
    """Mountains at dawn, with geese; a JPEG."""
    width, height = SIZE
    picture = Image.new("RGB", SIZE)
    draw = ImageDraw.Draw(picture)
    for y in range(height):  # the sky, from blue to peach
        share = min(y / (height * 0.62), 1.0)
        colour = tuple(
            round(top + (low - top) * share)
            for top, low in zip((92, 140, 178), (252, 214, 178), strict=True)
        )
        draw.line((0, y, width, y), fill=colour)
    x, y, r, halo = int(width * 0.68), int(height * 0.45), 58, 420
    light = ImageOps.invert(Image.radial_gradient("L")).resize((halo * 2, halo * 2))
    light = light.point(lambda share: max(0, share - 80) * 1.1)  # nothing at the edge
    picture.paste((255, 238, 208), (x - halo, y - halo), light)
    draw.ellipse((x - r, y - r, x + r, y + r), fill=(255, 241, 214))
    for number, (top, rugged, colour) in enumerate(RIDGES):
        points = [(px, _ridge(px / width, number, top, rugged) * height) for px in range(width + 1)]
        draw.polygon([(0, height), *points, (width, height)], fill=colour)
    for number in range(7):  # geese fly in a V
        side, rank = (1 if number % 2 else -1), (number + 1) // 2
        _goose(draw, width * 0.30 - rank * 46, height * 0.20 + side * rank * 24 + rank * 8)
    out = io.BytesIO()
    picture.filter(ImageFilter.GaussianBlur(0.6)).save(out, "JPEG", quality=88)
    return out.getvalue()


def _ridge(x: float, number: int, top: float, rugged: float) -> float:
    """Where a ridge stands, as a share of the height."""
    shift = number * 1.7
    waves = ((2.1, 0.55), (5.3, 0.27), (11.7, 0.12), (29.0, 0.05))
    return top - rugged * sum(
        weight * math.sin(pitch * x * 2 + shift * (1 + weight)) for pitch, weight in waves
    )


def _goose(draw: ImageDraw.ImageDraw, x: float, y: float) -> None:
    colour = (40, 58, 70)
    draw.line((x - 17, y - 9, x, y, x + 17, y - 10), fill=colour, width=4, joint="curve")


PICTURES = {"mountains": ("mountains.jpg", mountains)}
