"""The web pages: chat app, console and API description, from the files built into the package.

Every page is under a content security policy without exceptions: scripts and styles from this
server's files only, no request to any other host, no framing.
"""

from __future__ import annotations

import hashlib
import mimetypes
from pathlib import Path, PurePosixPath

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

PAGES = Path(__file__).parent.parent / "pages"
ENTRIES = {"/": "index.html", "/console": "console/index.html", "/docs": "docs/index.html"}
APP_PATHS = ("/c/{rest:path}",)  # places inside the chat app
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob:",
        "font-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "worker-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(self), payment=(), usb=()",
}
FOR_EVER = "public, max-age=31536000, immutable"  # names that carry a hash of the content
ASK_FIRST = "no-cache"  # kept, but asked for each time: a new version shows at once
NOT_BUILT = (
    "The web pages are not part of this installation.\n"
    "Install hongyan from its wheel, or run scripts/serve in a checkout: that builds them.\n"
)


class Asset(msgspec.Struct, frozen=True, gc=False):
    """A file, whole: the pages are a few megabytes in all."""

    body: bytes
    packed: bytes  # gzip, b"" where it is not worth it
    media_type: str
    etag: str
    cache: str


def load_pages(folder: Path) -> dict[str, Asset]:
    """Every file under `folder` by its URL path; empty where the pages were not built."""
    assets = {}
    for file in sorted(folder.rglob("*")):
        if not file.is_file() or file.suffix == ".gz":
            continue
        path = "/" + file.relative_to(folder).as_posix()
        packed = file.with_name(file.name + ".gz")
        assets[path] = _asset(file, packed.read_bytes() if packed.is_file() else b"", path)
    return assets


def page_routes(folder: Path = PAGES) -> list[BaseRoute]:
    """A route per file, and the entries by their short names."""
    assets = load_pages(folder)
    routes: list[BaseRoute] = [_route(path, asset) for path, asset in assets.items()]
    for path, file in ENTRIES.items():
        found = assets.get("/" + file)
        places = [path, path + "/"] if path != "/" else [path, *APP_PATHS]
        routes += [_route(place, found) for place in places]
    return routes


def _asset(file: Path, packed: bytes, path: str) -> Asset:
    body = file.read_bytes()
    guessed, _ = mimetypes.guess_type(file.name)
    if file.suffix == ".webmanifest":
        guessed = "application/manifest+json"
    media_type = guessed or "application/octet-stream"
    if media_type.startswith("text/") or media_type.endswith(("javascript", "json")):
        media_type += "; charset=utf-8"
    hashed = PurePosixPath(path).parts[1:2] == ("assets",)
    return Asset(
        body=body,
        packed=packed if len(packed) < len(body) else b"",
        media_type=media_type,
        etag=f'"{hashlib.sha256(body).hexdigest()[:32]}"',
        cache=FOR_EVER if hashed else ASK_FIRST,
    )


def _route(path: str, asset: Asset | None) -> Route:
    async def endpoint(request: Request) -> Response:
        if asset is None:
            return Response(NOT_BUILT, 503, {"Cache-Control": "no-store"}, "text/plain")
        return _answer(request, asset)

    return Route(path, endpoint, methods=["GET"])  # Starlette adds HEAD


def _answer(request: Request, asset: Asset) -> Response:
    headers = {**SECURITY_HEADERS, "Cache-Control": asset.cache, "ETag": asset.etag}
    headers["Vary"] = "Accept-Encoding"
    known = request.headers.get("if-none-match", "")
    if asset.etag in (tag.strip().removeprefix("W/") for tag in known.split(",")):
        return Response(status_code=304, headers=headers)
    if asset.packed and _takes_gzip(request.headers.get("accept-encoding", "")):
        headers["Content-Encoding"] = "gzip"
        return Response(asset.packed, headers=headers, media_type=asset.media_type)
    return Response(asset.body, headers=headers, media_type=asset.media_type)


def _takes_gzip(accepted: str) -> bool:
    for part in accepted.lower().split(","):
        coding, _, weight = part.partition(";")
        if coding.strip() in ("gzip", "*"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
