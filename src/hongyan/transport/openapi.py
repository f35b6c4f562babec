"""The OpenAPI 3.1 document, made from the routes themselves and the structs they use.

`python scripts/openapi.py` renews the committed copy; a test says when it is stale.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from hongyan import __version__
from hongyan.engine.identity import SCOPES
from hongyan.model.errors import Refusal
from hongyan.transport.declare import Doc, DocumentedRoute, Param
from hongyan.transport.problem import PROBLEM_JSON, Problem, status_of
from hongyan.transport.requests import HEADERS, route
from hongyan.transport.schemas import components

PATH = "/v1/openapi.json"
REF = "#/components/schemas/{name}"
_IN_PATH = re.compile(r"\{(\w+)(?::\w+)?\}")

TAGS = {
    "accounts": "Log in, register, passwords",
    "me": "The own account and devices",
    "logs": "The conversation list, calls, entries, cursors",
    "live": "Live logs: how they look, replays, guests",
    "people": "Other users",
    "users": "Server API: the people of a tenant",
    "keys": "API keys",
    "files": "Uploads and downloads",
    "sessions": "Sessions without a WebSocket",
    "receivers": "Receivers of a user's entries",
    "webhooks": "Webhooks and their dead letters",
    "hooks": "Hooks that are asked before a message is stored",
    "consumers": "Entries pulled by a back end",
    "console": "For administrators",
    "service": "For the operator",
}

INTRO = """\
Every error is `application/problem+json` (RFC 9457) with the `code` of the wire: 1xx mend the \
request, 2xx not allowed, 3xx try again with the same `Idempotency-Key`.

Send `Authorization: Bearer TOKEN` with a user's token, or with an API key (`hyk_…`). A key with \
the scope `send` speaks for its service user; one with `send_as` for the user named in \
`Hongyan-User`; reading needs `read` besides.
"""

# What any request may meet: what is not understood, speed, closing, our own faults.
ALWAYS = (400, 413, 422, 429, 500, 503)
TOKEN = (401, 403, 404)  # 404: nobody is called as `Hongyan-User` says

_HEADER_TEXT = {
    "Retry-After": "Seconds after which to try again.",
    "RateLimit-Policy": "The bucket that was taken from: quota `q` within `w` seconds.",
    "RateLimit": "What is left of it: `r` requests now, all of them again in `t` seconds.",
}


def operations(routes: Iterable[BaseRoute]) -> list[tuple[str, str, DocumentedRoute]]:
    """(path, method, route) of everything that was made by `route`, in the order of matching."""
    found = []
    for one in routes:
        if isinstance(one, DocumentedRoute):
            found += [
                (one.path, method, one)
                for method in sorted(one.methods or ())
                if method != "HEAD" or "GET" not in (one.methods or ())
            ]
    return found


def document(routes: Iterable[BaseRoute]) -> dict[str, Any]:
    """The document of these routes; routes that declare nothing are left out."""
    declared = [(path, method, r.doc) for path, method, r in operations(routes) if r.doc]
    types: list[Any] = [Problem]
    for path, _, doc in declared:
        types += [param.type for param in _params(path, doc)]
        types += [kind for kind in (doc.body, doc.answer) if kind is not None]
    schemas, named = components(types, REF)
    of = dict(zip(map(id, types), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for path, method, doc in declared:
        shown = _IN_PATH.sub(r"{\1}", path)
        paths.setdefault(shown, {})[method.lower()] = _operation(path, method, doc, of)
    used = {doc.tag for _, _, doc in declared}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "hongyan",
            "version": __version__,
            "description": INTRO,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [
            {"name": name, "description": TAGS.get(name, name)}
            for name in [*TAGS, *sorted(used - TAGS.keys())]
            if name in used
        ],
        "paths": paths,
        "components": _components(declared, named),
    }


def _components(declared: list[tuple[str, str, Doc]], schemas: dict[str, Any]) -> dict[str, Any]:
    keys = ", ".join(sorted(SCOPES))
    return {
        "schemas": schemas,
        "securitySchemes": {
            "bearer": {
                "type": "http",
                "scheme": "bearer",
                "description": f"A token, or an API key. Scopes of keys: {keys}",
            }
        },
        "responses": {
            str(status): _problem_answer(status) for status in sorted(_all_errors(declared))
        },
    }


def _all_errors(declared: list[tuple[str, str, Doc]]) -> set[int]:
    return {status for _, _, doc in declared for status in errors_of(doc)}


def errors_of(doc: Doc) -> tuple[int, ...]:
    """The statuses of errors that an operation may answer."""
    token = () if doc.access == "open" else TOKEN
    return tuple(sorted({*ALWAYS, *token, *doc.errors}))


def _params(path: str, doc: Doc) -> list[Param]:
    given = {param.name: param for param in doc.params}
    inside = _IN_PATH.findall(path)
    found = [
        msgspec.structs.replace(given.pop(name, Param(name, "")), place="path") for name in inside
    ]
    found += given.values()
    if doc.calls or doc.key_optional:
        text = "Chosen once per call and kept over retries; up to 64 of `A-Z a-z 0-9 _ . : -`."
        found.append(Param("Idempotency-Key", text, place="header", required=doc.calls))
    if doc.access in ("user", "key"):
        text = "The user in whose name an API key asks."
        found.append(Param("Hongyan-User", text, place="header"))
    return found


def _operation(path: str, method: str, doc: Doc, of: dict[int, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": _name(path, method),
        "summary": doc.summary,
        "tags": [doc.tag],
        "responses": {
            **{str(status): _success(doc, status, of) for status in (doc.status, *doc.also)},
            **{
                str(status): {"$ref": f"#/components/responses/{status}"}
                for status in errors_of(doc)
            },
        },
        "security": [] if doc.access == "open" else [{"bearer": []}],
    }
    if text := _text(doc):
        made["description"] = text
    if params := _params(path, doc):
        made["parameters"] = [_param(param, of) for param in params]
    if doc.body is not None:
        made["requestBody"] = {
            "required": doc.body_required,
            "content": {doc.body_media: {"schema": of[id(doc.body)]}},
        }
    return made


def _text(doc: Doc) -> str:
    who = {
        "admin": "For administrators.",
        "key": "For administrators, and API keys with the scope "
        + " or ".join(f"`{scope}`" for scope in doc.scopes)
        + ".",
        "user": "An API key needs the scope "
        + " or ".join(f"`{scope}`" for scope in doc.scopes)
        + " and a user to speak for."
        if doc.scopes
        else "",
        "open": "",
    }[doc.access]
    return "\n\n".join(part for part in (doc.text, who) if part)


def _param(param: Param, of: dict[int, Any]) -> dict[str, Any]:
    schema = of[id(param.type)]
    if param.place == "path" and schema == {"type": "string"}:
        schema = {"type": "string", "minLength": 1}
    made = {
        "name": param.name,
        "in": param.place,
        "required": param.place == "path" or param.required,
        "schema": schema,
    }
    if param.text:
        made["description"] = param.text
    return made


def _success(doc: Doc, status: int, of: dict[int, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"description": _phrase(status)}
    if doc.answer is not None:
        made["content"] = {doc.answer_media: {"schema": of[id(doc.answer)]}}
    names = [*doc.headers, *(("RateLimit-Policy", "RateLimit") if doc.access != "open" else ())]
    if names:
        made["headers"] = {
            name: {"schema": {"type": "string"}, "description": _HEADER_TEXT.get(name, name)}
            for name in names
        }
    return made


def _problem_answer(status: int) -> dict[str, Any]:
    codes = [why for why in Refusal.by_code.values() if status_of(why()) == status]
    lines = [f"- {why.code} {why.__name__}: {(why.__doc__ or '').strip()}" for why in codes]
    made: dict[str, Any] = {
        "description": "\n".join([_phrase(status), "", *lines]).strip(),
        "content": {PROBLEM_JSON: {"schema": {"$ref": REF.format(name="Problem")}}},
    }
    if status in (429, 503):
        made["headers"] = {
            "Retry-After": {
                "schema": {"type": "string"},
                "description": _HEADER_TEXT["Retry-After"],
            }
        }
    return made


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return str(status)  # 460, of the upload protocol


def _name(path: str, method: str) -> str:
    words = re.findall(r"[A-Za-z0-9]+", re.sub(r":\w+\}", "}", path.removeprefix("/v1")))
    return "_".join([method.lower(), *words])


def text_of(made: dict[str, Any]) -> bytes:
    """The document as it is committed."""
    return msgspec.json.format(msgspec.json.encode(made), indent=1) + b"\n"


class OpenApiRoute:
    """Serves the document of the application it is part of."""

    def __init__(self) -> None:
        """Made at the first question."""
        self._body = b""

    def routes(self) -> list[DocumentedRoute]:
        """The one."""
        return [route(PATH, "GET", self.show, DOC)]

    async def show(self, request: Request) -> Response:
        """The document of all routes of this server."""
        if not self._body:
            self._body = msgspec.json.encode(document(request.app.routes))
        return Response(self._body, media_type="application/json", headers=HEADERS)


DOC = Doc(summary="This document", tag="service", access="open", answer=dict[str, Any])
