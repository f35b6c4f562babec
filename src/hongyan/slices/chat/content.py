"""What a message may contain. The field `type` says which; unknown fields are ignored.

Files travel by reference: the blob service keeps the bytes, a message names them by the
lower-case hex SHA-256. Sizes are bytes, durations ms, pictures pixels, angles degrees (WGS 84).
The limits here keep every message but `custom` and `merged` below 64 KiB of JSON; those two are
measured by their rule.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from hongyan.model.ids import UserId

MAX_TEXT = 8_000
END = r"$(?!\n)"  # of a pattern: `$` alone would let one newline follow

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TEXT, pattern=r"\S")]
Caption = Annotated[str, msgspec.Meta(max_length=2_000)]
Title = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=r"\S")]
Short = Annotated[str, msgspec.Meta(max_length=200)]
Url = Annotated[str, msgspec.Meta(max_length=1_000)]
Digest = Annotated[str, msgspec.Meta(pattern=rf"^[0-9a-f]{{64}}{END}")]
Avatar = Annotated[str, msgspec.Meta(pattern=rf"^([0-9a-f]{{64}})?{END}")]  # "" = none
Size = Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]
Pixels = Annotated[int, msgspec.Meta(ge=0, le=100_000)]
Millis = Annotated[int, msgspec.Meta(ge=0, le=86_400_000)]
Placeholder = Annotated[str, msgspec.Meta(pattern=rf"^[A-Za-z0-9+/=]{{0,64}}{END}")]
Latitude = Annotated[float, msgspec.Meta(ge=-90, le=90)]
Longitude = Annotated[float, msgspec.Meta(ge=-180, le=180)]
MediaType = Annotated[
    str, msgspec.Meta(pattern=rf"^[a-z0-9.+-]+/[a-z0-9.+-]+{END}", max_length=100)
]


class Blob(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A file kept by the blob service."""

    digest: Digest
    size: Size
    media_type: MediaType
    name: Short = ""


class Typed(msgspec.Struct, tag_field="type", frozen=True, omit_defaults=True, gc=False):
    """What all contents share: the field `type`."""


class TextContent(Typed, tag="text", frozen=True):
    """Words."""

    text: Text


class ImageContent(Typed, tag="image", frozen=True):
    """A picture; `preview` is the digest of a small version, `placeholder` a ThumbHash (base 64)
    that is drawn until it is there."""

    blob: Blob
    width: Pixels = 0
    height: Pixels = 0
    preview: Digest | None = None
    caption: Caption = ""
    placeholder: Placeholder = ""


class FileContent(Typed, tag="file", frozen=True):
    """Any file."""

    blob: Blob
    caption: Caption = ""


class VoiceContent(Typed, tag="voice", frozen=True):
    """A recording; `text` is what was understood of it."""

    blob: Blob
    duration_ms: Millis
    text: Caption = ""


class VideoContent(Typed, tag="video", frozen=True):
    """A film; `preview` is the digest of a still."""

    blob: Blob
    duration_ms: Millis = 0
    width: Pixels = 0
    height: Pixels = 0
    preview: Digest | None = None
    caption: Caption = ""
    placeholder: Placeholder = ""


class LocationContent(Typed, tag="location", frozen=True):
    """A place, as it was when it was sent."""

    lat: Latitude
    lon: Longitude
    title: Short = ""
    address: Short = ""


class CardContent(Typed, tag="card", frozen=True):
    """A reference that is shown as a card: a contact, a group, an article, a product."""

    of: Annotated[str, msgspec.Meta(pattern=rf"^[a-z0-9_-]{{1,32}}{END}")]
    title: Title
    ref: Short = ""  # what it points at, in the words of the host product
    text: Caption = ""
    url: Url = ""
    image: Digest | None = None


class CustomContent(Typed, tag="custom", frozen=True):
    """Whatever the host product needs; `text` is for search, push and clients that know less."""

    of: Annotated[str, msgspec.Meta(pattern=rf"^[A-Za-z0-9_.-]{{1,64}}{END}")]
    data: msgspec.Raw
    text: Caption = ""


class MergedItem(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One message of a bundle, as it read when it was forwarded."""

    author: UserId
    at: int
    content: Content


class MergedContent(Typed, tag="merged", frozen=True):
    """Forwarded messages in one bundle. Only the server makes them: nobody can put words into
    the mouth of others. `depth` counts bundles inside bundles."""

    items: tuple[MergedItem, ...]
    title: Short = ""
    depth: int = 1


Sendable = (
    TextContent
    | ImageContent
    | FileContent
    | VoiceContent
    | VideoContent
    | LocationContent
    | CardContent
    | CustomContent
)
Content = Sendable | MergedContent


def words(content: Content) -> str:
    """What can be searched of it and shown in one line; "" where there is nothing."""
    match content:
        case TextContent(text=text):
            return text
        case ImageContent(blob=blob, caption=text) | FileContent(blob=blob, caption=text):
            return _join(blob.name, text)
        case VideoContent(blob=blob, caption=text) | VoiceContent(blob=blob, text=text):
            return _join(blob.name, text)
        case LocationContent(title=title, address=address):
            return _join(title, address)
        case CardContent(title=title, text=text):
            return _join(title, text)
        case CustomContent(text=text):
            return text
        case _:  # a bundle
            return _join(content.title, *(words(item.content) for item in content.items))


def _join(*parts: str) -> str:
    return "\n".join(part for part in parts if part)
