"""GET /files/{digest}: the bytes, for who has a signed link.

What comes from here is never a page of ours: it may not run scripts, is shown only where its type
is a picture, sound or film that browsers draw themselves, and is saved else.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from email.utils import formatdate, parsedate_to_datetime
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from hongyan.engine.files.links import Links, Served
from hongyan.engine.files.uploads import Files
from hongyan.model.errors import NoSuchEntry
from hongyan.ports import BlobInfo
from hongyan.transport.declare import Doc, Param
from hongyan.transport.problem import plain_problem
from hongyan.transport.requests import problem_answer, route

POLICY = (
    "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline';"
    " frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})", re.ASCII)
_DOC = Doc(
    summary="The bytes of a file, by a signed link.",
    tag="files",
    access="open",
    params=(
        Param("t", "Tenant."),
        Param("e", "Until when, in ms.", int),
        Param("s", "Signature.", required=True),
        Param("Range", "One range of bytes.", place="header"),
    ),
    answer=bytes,
    answer_media="application/octet-stream",
    also=(206,),
    headers=("ETag", "Content-Range", "Content-Disposition"),
    errors=(304, 403, 404, 416),
)


class FileServing:
    """The handler."""

    def __init__(self, files: Files, links: Links) -> None:
        """`links` reads the link, the blobs of `files` give the bytes."""
        self._files, self._links = files, links

    def routes(self) -> list[Route]:
        """One; it answers HEAD too."""
        return [route("/files/{digest}", "GET", self.get, _DOC)]

    async def get(self, request: Request) -> Response:
        """All bytes, or one range of them."""
        digest = request.path_params["digest"]
        served = await self._links.open(digest, request.query_params)
        info = await self._files.blobs.info(digest)
        if info is None:
            raise NoSuchEntry("the file is not kept any more")
        headers = self._headers(served, info)
        known = request.headers.get("if-none-match", "").strip()
        if known == "*" or f'"{digest}"' in known:
            return Response(status_code=304, headers=headers)
        wanted = _range(request, info)
        if wanted is None:
            return problem_answer(
                plain_problem(416), {"Content-Range": f"bytes */{info.size}", **headers}
            )
        start, end, part = wanted
        status = 206 if part else 200
        if part:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{info.size}"
        headers["Content-Length"] = str(end - start)
        if request.method == "HEAD":
            return Response(status_code=status, headers=headers)
        body = _body(self._files, digest, start, end)
        return StreamingResponse(body, status, headers)

    def _headers(self, served: Served, info: BlobInfo) -> dict[str, str]:
        left = max(0, (served.expires_at - self._links.now_ms()) // 1000)
        return {
            "Content-Type": served.file.media_type,
            "Content-Disposition": disposition(served.inline, served.name),
            "Content-Security-Policy": POLICY,
            "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": f"private, max-age={left}, immutable",
            "Accept-Ranges": "bytes",
            "ETag": f'"{served.file.digest}"',
            "Last-Modified": formatdate(info.created_at // 1000, usegmt=True),
        }


async def _body(files: Files, digest: str, start: int, end: int) -> AsyncIterator[bytes]:
    async for piece in files.blobs.open(digest, start=start, end=end):
        yield piece


def disposition(inline: bool, name: str) -> str:
    """RFC 6266: how to show it, and its name in a form that every browser understands."""
    how = "inline" if inline else "attachment"
    if not name:
        return how
    plain = re.sub(r"[^A-Za-z0-9 ._()+-]", "_", name)
    text = f'{how}; filename="{plain}"'
    return text if plain == name else f"{text}; filename*=UTF-8''{quote(name, safe='')}"


def _ranged(request: Request, info: BlobInfo) -> bool:
    """Whether a Range header counts: it is one range, and If-Range names this very file."""
    if _RANGE.fullmatch(request.headers.get("range", "")) is None:
        return False
    condition = request.headers.get("if-range")
    if condition is None:
        return True
    if condition.startswith('"'):
        return condition == f'"{info.digest}"'
    try:
        return parsedate_to_datetime(condition).timestamp() == info.created_at // 1000
    except (ValueError, TypeError):
        return False


def _range(request: Request, info: BlobInfo) -> tuple[int, int, bool] | None:
    """[start, end) of what is asked for, and whether that is a range; None = outside of the file.
    What is no single range of bytes is passed over, as RFC 9110 allows: the whole file."""
    whole = (0, info.size, False)
    if not _ranged(request, info):
        return whole
    found = _RANGE.fullmatch(request.headers["range"])
    assert found is not None
    first, last = found.groups()
    if not first and not last:
        return whole
    if not first:
        start, end = max(0, info.size - int(last)), info.size
    else:
        start, end = int(first), min(int(last) + 1, info.size) if last else info.size
        if last and int(last) < start:
            return whole
    return (start, end, True) if start < end else None
