"""ThumbHash: what a picture looks like in about 25 bytes, for the moment before it is loaded.

A few waves of brightness (L), two of colour (P: yellow to blue, Q: red to green) and of opacity
(A), each in 4 bits. Web clients draw it with any ThumbHash library.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from math import cos, pi

Pixel = tuple[int, int, int, int]


def thumb_hash(width: int, height: int, pixels: Sequence[Pixel]) -> str:
    """The hash in base 64 of RGBA pixels, row by row; a picture of at most 100 x 100."""
    count = width * height
    opacity = sum(p[3] for p in pixels) / 255
    mean = [sum(p[c] * p[3] for p in pixels) / 65025 / (opacity or 1) for c in range(3)]
    alpha = opacity < count
    most = 5 if alpha else 7
    longer = max(width, height)
    across = max(1, round(most * width / longer))
    down = max(1, round(most * height / longer))
    channels = _channels(pixels, mean)
    light = _Waves(channels[0], width, height, max(3, across), max(3, down))
    yellow = _Waves(channels[1], width, height, 3, 3)
    red = _Waves(channels[2], width, height, 3, 3)
    wide = width > height
    head = (
        round(63 * light.mean)
        | round(31.5 + 31.5 * yellow.mean) << 6
        | round(31.5 + 31.5 * red.mean) << 12
        | round(31 * light.scale) << 18
        | alpha << 23
    )
    more = (
        (down if wide else across)
        | round(63 * yellow.scale) << 3
        | round(63 * red.scale) << 9
        | wide << 15
    )
    out = bytearray(head.to_bytes(3, "little") + more.to_bytes(2, "little"))
    waves = [*light.parts, *yellow.parts, *red.parts]
    if alpha:
        seen = _Waves(channels[3], width, height, 5, 5)
        out.append(round(15 * seen.mean) | round(15 * seen.scale) << 4)
        waves += seen.parts
    nibbles = [round(15 * wave) for wave in waves]
    nibbles += [0] * (len(nibbles) % 2)
    out += bytes(low | high << 4 for low, high in zip(nibbles[::2], nibbles[1::2], strict=True))
    return b64encode(bytes(out)).decode()


def _channels(pixels: Sequence[Pixel], mean: Sequence[float]) -> list[list[float]]:
    """L, P, Q and A of each pixel, as it looks on the mean colour."""
    channels: list[list[float]] = [[], [], [], []]
    for r8, g8, b8, a8 in pixels:
        a = a8 / 255
        r, g, b = (m * (1 - a) + a * c / 255 for m, c in zip(mean, (r8, g8, b8), strict=True))
        for channel, value in zip(
            channels, ((r + g + b) / 3, (r + g) / 2 - b, r - g, a), strict=True
        ):
            channel.append(value)
    return channels


class _Waves:
    """The slow cosines of one channel, scaled to 0..1."""

    def __init__(
        self, values: Sequence[float], width: int, height: int, across: int, down: int
    ) -> None:
        columns = [[cos(pi / width * n * (x + 0.5)) for x in range(width)] for n in range(across)]
        rows = [[cos(pi / height * n * (y + 0.5)) for y in range(height)] for n in range(down)]
        self.mean = self.scale = 0.0
        self.parts: list[float] = []
        for n in range(down):
            for m in range(across):
                if m * down >= across * (down - n):
                    break
                total = 0.0
                for y, row in enumerate(rows[n]):
                    line = values[y * width : (y + 1) * width]
                    total += row * sum(v * c for v, c in zip(line, columns[m], strict=True))
                total /= width * height
                if m or n:
                    self.parts.append(total)
                    self.scale = max(self.scale, abs(total))
                else:
                    self.mean = total
        if self.scale:
            self.parts = [0.5 + 0.5 / self.scale * part for part in self.parts]
