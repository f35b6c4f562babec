"""Uploads by tus 1.0 at /v1/files, links to files, and the files themselves at /files.

tus: core, creation, creation-with-upload, expiration, checksum, termination. Errors are
problem+json with the statuses tus asks for. The body of a PATCH is never held: it goes to the disk
piece by piece, and the offset that is answered is what is durable there.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator, Mapping
from email.utils import formatdate
from typing import Annotated

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from hongyan.engine.files.keep import FileView, view_of
from hongyan.engine.files.links import Link, LinkItem, Links
from hongyan.engine.files.uploads import CHECKSUMS, Files, parse_checksum
from hongyan.engine.identity import Identity
from hongyan.model.errors import BadArgs, Forbidden, Refusal, Unauthenticated
from hongyan.model.files import READY, REFUSED, Upload
from hongyan.transport.audited import OWN
from hongyan.transport.declare import Doc, Param
from hongyan.transport.problem import Problem, plain_problem, refusal_problem
from hongyan.transport.requests import Handler, Requests, json_answer, problem_answer, route
from hongyan.transport.serve_files import FileServing

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,expiration,checksum,termination"
OCTETS = "application/offset+octet-stream"
TUS = {"Tus-Resumable": VERSION, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
PATIENCE_S = 15.0  # the last PATCH waits this long for what becomes of the file
WAIT_S = 25  # at most of GET /v1/files/{id}?wait=
MAX_METADATA = 4096
TAG = "files"

_TUS_PARAMS = (Param("Tus-Resumable", "The version of tus: 1.0.0.", place="header"),)


class LinksRequest(msgspec.Struct):
    """`POST /v1/files/links`."""

    items: Annotated[list[LinkItem], msgspec.Meta(max_length=100)]


class LinksAnswer(msgspec.Struct):
    """A link or a problem for each item, in this order."""

    links: list[Link]


class FileRoutes:
    """The handlers."""

    def __init__(self, requests: Requests, files: Files, links: Links) -> None:
        """`files` takes uploads, `links` knows who may read what."""
        self._requests, self._files, self._links = requests, files, links
        self._serving = FileServing(files, links)

    def routes(self) -> list[Route]:
        """All of them."""
        one = "/v1/files/{id}"
        return [
            route("/v1/files", "OPTIONS", self.options, _OPTIONS),
            route("/v1/files", "POST", _tus(self.create), _CREATE, audit=OWN),
            route("/v1/files/links", "POST", self.links, _LINKS, audit=OWN),
            route(one, "OPTIONS", self.options, _OPTIONS),
            route(one, "HEAD", _tus(self.head), _HEAD),
            route(one, "GET", self.status, _STATUS),
            route(one, "PATCH", _tus(self.patch), _PATCH, audit=OWN),
            route(one, "POST", _tus(self.override), _OVERRIDE, audit=OWN),
            route(one, "DELETE", _tus(self.end), _END, audit=OWN),
            *self._serving.routes(),
        ]

    async def options(self, request: Request) -> Response:
        """What this server can."""
        return Response(
            status_code=204,
            headers={
                **TUS,
                "Tus-Version": VERSION,
                "Tus-Extension": EXTENSIONS,
                "Tus-Max-Size": str(self._files.settings.most_bytes),
                "Tus-Checksum-Algorithm": ",".join(CHECKSUMS),
            },
        )

    async def create(self, request: Request) -> Response:
        """A new upload, with its first bytes where the request has some."""
        who = await self._who(request)
        size = _number(request, "upload-length")
        if size is None:
            raise BadArgs("the header Upload-Length is needed; it cannot be told later")
        metadata = _metadata(request.headers.get("upload-metadata", ""))
        name = metadata.get("filename") or metadata.get("name") or ""
        claimed = metadata.get("filetype") or metadata.get("type") or ""
        upload = await self._files.create(who, size, name, claimed)
        if size and request.headers.get("content-type", "") == OCTETS:
            answer = await self._receive(request, who, upload, 0)
            if answer.status_code == 204:
                answer.status_code = 201
        else:
            upload = await self._files.settled(upload, PATIENCE_S)
            answer = Response(status_code=201, headers=self._headers(upload))
        answer.headers["Location"] = f"/v1/files/{upload.id}"
        return answer

    async def head(self, request: Request) -> Response:
        """Where to go on."""
        who = await self._who(request)
        upload = await self._files.resume(who, request.path_params["id"])
        headers = self._headers(upload) | {"Upload-Length": str(upload.size)}
        return Response(headers=headers)

    async def status(self, request: Request) -> Response:
        """What has become of it."""
        who = await self._who(request)
        upload = await self._files.find(who, request.path_params["id"])
        wait = request.query_params.get("wait", "10")
        if not (wait.isascii() and wait.isdigit() and len(wait) < 4):
            raise BadArgs("wait: seconds")
        upload = await self._files.settled(upload, min(int(wait), WAIT_S))
        return json_answer(view_of(upload))

    async def patch(self, request: Request) -> Response:
        """More bytes."""
        who = await self._who(request)
        if request.headers.get("content-type", "") != OCTETS:
            return problem_answer(plain_problem(415, f"Content-Type: {OCTETS}"), TUS)
        offset = _number(request, "upload-offset")
        if offset is None:
            raise BadArgs("the header Upload-Offset is needed")
        upload = await self._files.find(who, request.path_params["id"])
        return await self._receive(request, who, upload, offset)

    async def override(self, request: Request) -> Response:
        """For clients that can only POST."""
        methods: Mapping[str, Handler] = {
            "PATCH": self.patch,
            "DELETE": self.end,
            "HEAD": self.head,
        }
        handler = methods.get(request.headers.get("x-http-method-override", "").upper())
        if handler is None:
            return problem_answer(plain_problem(405), {"Allow": "GET, HEAD, PATCH, DELETE"})
        return await handler(request)

    async def end(self, request: Request) -> Response:
        """Give an upload up."""
        who = await self._who(request)
        await self._files.end(who, request.path_params["id"])
        return Response(status_code=204, headers=TUS)

    async def links(self, request: Request) -> Response:
        """Links to files that the caller may see."""
        who = await self._requests.identity(request)
        body = await self._requests.body(request, LinksRequest)
        return json_answer(LinksAnswer(await self._links.make(who, body.items)))

    # --- parts ------------------------------------------------------------------------------

    async def _who(self, request: Request) -> Identity:
        who = await self._requests.identity(request)
        if not who.user:
            raise Unauthenticated("an API key speaks for no user: name one in Hongyan-User")
        if who.scopes and not any(map(who.may, _SPEAK)):
            raise Forbidden("the key lacks the scope send")
        return who

    async def _receive(
        self, request: Request, who: Identity, upload: Upload, offset: int
    ) -> Response:
        given = request.headers.get("upload-checksum")
        upload = await self._files.receive(
            who,
            upload.id,
            offset,
            _body(request),
            length=_number(request, "content-length"),
            checksum=parse_checksum(given) if given is not None else None,
        )
        if upload.offset == upload.size:
            upload = await self._files.settled(upload, PATIENCE_S)
        view = view_of(upload)
        if upload.state == REFUSED and view.problem is not None:
            code = int(view.problem["code"])
            problem = Problem(
                str(view.problem["title"]),
                415,
                str(view.problem["detail"]),
                f"urn:hongyan:code:{code}",
                code,
            )
            return problem_answer(problem, self._headers(upload))
        return Response(status_code=204, headers=self._headers(upload))

    def _headers(self, upload: Upload) -> dict[str, str]:
        headers = {
            **TUS,
            "Upload-Offset": str(upload.offset),
            "Upload-Expires": formatdate(upload.expires_at / 1000, usegmt=True),
            "Hongyan-State": upload.state,
        }
        if upload.state == READY:
            view: FileView = view_of(upload)
            if view.blob is not None:
                headers["Hongyan-Digest"] = view.blob.digest
        return headers


def _tus(handler: Handler) -> Handler:
    """The handler, for requests of this version of tus; refusals carry the version too."""

    async def handle(request: Request) -> Response:
        if request.headers.get("tus-resumable", "") != VERSION:
            headers = {"Tus-Version": VERSION}
            return problem_answer(plain_problem(412, f"Tus-Resumable: {VERSION}"), headers)
        try:
            return await handler(request)
        except Refusal as why:
            if why.code == Refusal.code:
                raise
            problem, headers = refusal_problem(why)
            return problem_answer(problem, {**TUS, **headers})

    return handle


async def _body(request: Request) -> AsyncIterator[bytes]:
    """The pieces of a body; it ends where the client goes away, and what came is kept."""
    try:
        async for piece in request.stream():
            if piece:
                yield piece
    except ClientDisconnect:
        return


def _number(request: Request, name: str) -> int | None:
    """A header that is a number. Raises BadArgs."""
    text = request.headers.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise BadArgs(f"{name}: {text[:40]!r} is not a number")
    return int(text)


def _metadata(text: str) -> dict[str, str]:
    """The pairs of Upload-Metadata. Raises BadArgs."""
    if len(text) > MAX_METADATA:
        raise BadArgs(f"Upload-Metadata has at most {MAX_METADATA} characters")
    found = {}
    for pair in text.split(","):
        key, _, value = pair.strip().partition(" ")
        if not key:
            continue
        try:
            found[key] = base64.b64decode(value, validate=True).decode("utf-8", "replace")
        except (binascii.Error, ValueError):
            raise BadArgs("Upload-Metadata is not base 64") from None
    return found


_SPEAK = ("send", "send_as")  # of an API key that uploads

_OPTIONS = Doc(
    summary="What the upload server can (tus 1.0).",
    tag=TAG,
    access="open",
    status=204,
    headers=("Tus-Version", "Tus-Extension", "Tus-Max-Size", "Tus-Checksum-Algorithm"),
)
_CREATE = Doc(
    summary="Begin an upload (tus creation).",
    tag=TAG,
    scopes=_SPEAK,
    text="Upload-Metadata: `filename` and `filetype`, base 64. A body is the first bytes.",
    params=(
        *_TUS_PARAMS,
        Param("Upload-Length", "Bytes of the file.", int, "header", required=True),
        Param("Upload-Metadata", "`filename …,filetype …`", place="header"),
    ),
    body_media=OCTETS,
    body_required=False,
    status=201,
    headers=("Location", "Upload-Offset", "Upload-Expires", "Tus-Resumable"),
    errors=(400, 412, 413, 415, 422, 460),
)
_HEAD = Doc(
    summary="Where an upload goes on (tus).",
    tag=TAG,
    scopes=_SPEAK,
    params=_TUS_PARAMS,
    headers=("Upload-Offset", "Upload-Length", "Upload-Expires", "Hongyan-State"),
    errors=(404, 410, 412),
)
_STATUS = Doc(
    summary="What has become of an upload.",
    tag=TAG,
    scopes=_SPEAK,
    params=(Param("wait", "Seconds to wait for the end of processing, 10; at most 25.", int),),
    answer=FileView,
    errors=(404, 410, 422),
)
_PATCH = Doc(
    summary="More bytes of an upload (tus).",
    tag=TAG,
    scopes=_SPEAK,
    text="The answer to the last bytes carries `Hongyan-Digest` when the file is ready.",
    params=(
        *_TUS_PARAMS,
        Param("Upload-Offset", "Where the bytes go.", int, "header", required=True),
        Param("Upload-Checksum", "`sha256 …`, base 64.", place="header"),
    ),
    body=bytes,
    body_media=OCTETS,
    status=204,
    headers=("Upload-Offset", "Upload-Expires", "Hongyan-Digest", "Hongyan-State"),
    errors=(400, 404, 409, 410, 412, 413, 415, 423, 460),
)
_OVERRIDE = Doc(
    summary="Another method, for clients that can only POST.",
    tag=TAG,
    scopes=_SPEAK,
    params=(Param("X-HTTP-Method-Override", "PATCH, HEAD or DELETE.", place="header"),),
    body_media=OCTETS,
    body_required=False,
    status=204,
    errors=(404, 405, 409, 410, 412, 413, 415, 423, 460),
)
_END = Doc(
    summary="Give an upload up (tus termination).",
    tag=TAG,
    scopes=_SPEAK,
    params=_TUS_PARAMS,
    status=204,
    errors=(404, 410, 412, 423),
)
_LINKS = Doc(
    summary="Short-lived links to files the caller may see.",
    tag=TAG,
    text="Each item names an entry's file (`log`, `seq`, `digest`), a `user`'s picture, a"
    " conversation's (`log`, `avatar`), or an own `upload`.",
    scopes=("read",),
    body=LinksRequest,
    answer=LinksAnswer,
    errors=(422,),
)
