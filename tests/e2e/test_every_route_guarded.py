"""HA19: every route of the OpenAPI document asks who is there, and whether that one may.

The routes and what each promises are read from the document, so a new route is tried as soon as
it is described. Who is refused must be refused before anything is read of the request, must not
be told what only others may know, and must not change anything.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import httpx
import jwt
import pytest

from hongyan.bench.server import ServerProcess
from hongyan.engine.identity import SCOPES
from hongyan.engine.tokens import Claims, Tokens
from hongyan.transport.problem import PROBLEM_JSON

DOCUMENT = json.loads((Path(__file__).parents[2] / "docs/openapi.json").read_bytes())
SECRET = "not so secret as one of a back end, but long"
ISSUER = {"iss": "back", "alg": "HS256", "secret": SECRET, "tenant": "*", "admin": True}
LOG = "main/d/ann~bob"
KNOWN = "heron"  # what may be asked for
HIDDEN = "secret-4711"  # what stands beside it, and is for ann, bob and root alone
NO_ACCOUNT = ("", "rubbish", "guest")
STRANGERS = ("eve", "shop user", "shop root")  # eve is of the tenant, the others are not
FOREIGN = ("log", "user", "tenant", "id")  # parameters of a path that name what is another's
UPLOAD = {
    "Tus-Resumable": "1.0.0",
    "Upload-Length": "7",
    "Upload-Offset": "0",
    "X-HTTP-Method-Override": "PATCH",
}
OCTETS = "application/offset+octet-stream"
WORDS = re.compile(r"API keys? (?:needs the scope|with the scope) ((?:`\w+`(?: or )?)+)")
# What names nothing of another: the query's name and the name of an own device.
NAMED = {"query": "members", "device": "phone-1", "digest": "0" * 64, "session": "none"}


class Operation(NamedTuple):
    """A route with one method, and whom the document lets in."""

    method: str
    path: str
    open: bool
    admin: bool  # for administrators, or for keys too
    scopes: frozenset[str]  # one of them is enough for a key
    told: dict[str, Any]

    @property
    def params(self) -> set[str]:
        """The names in its path."""
        return set(re.findall(r"\{(\w+)\}", self.path))


def operations() -> Iterator[Operation]:
    for path, methods in DOCUMENT["paths"].items():
        for method, told in methods.items():
            text = told.get("description", "")
            scopes = frozenset(re.findall(r"`(\w+)`", " ".join(WORDS.findall(text))))
            admin = "For administrators" in text
            yield Operation(method.upper(), path, not told["security"], admin, scopes, told)


ALL = list(operations())
CLOSED = [one for one in ALL if not one.open]
# Open routes: each of these names has its own guard and its own test.
OPEN = {
    "GET /healthz", "GET /readyz", "GET /metrics", "GET /v1/openapi.json", "GET /v1/register",
    "POST /v1/token", "POST /v1/claim", "POST /v1/register",  # a password or code
    "POST /v1/stream", "POST /v1/poll",  # a token in the hello
    "POST /v1/stream/{session}", "POST /v1/poll/{session}", "GET /v1/poll/{session}",  # its name
    "POST /v1/session", "DELETE /v1/session", "POST /v1/session/claim",
    "POST /v1/session/enter", "POST /v1/session/token",  # a password, code or cookie
    "OPTIONS /v1/files", "OPTIONS /v1/files/{id}",
    "GET /files/{digest}",  # a signature
    "POST /v1/logs/{log}/viewer-token",  # where the log takes guests
}  # fmt: skip


class World:
    """A server on which ann and bob talk, root administers, and others should see none of it."""

    def __init__(self, server: ServerProcess) -> None:
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=20)
        own = Tokens((server.data / "secret").read_bytes())
        now = int(time.time())
        guest = Claims(sub="guest.1", tnt="main", iat=now, exp=now + 3600, gst="main/r/lobby")
        self.tokens = {
            "": "",
            "rubbish": token("root", admin=True, secret="another secret of the same length as it"),
            "guest": own.sign(guest),
            "root": token("root", admin=True),
            "ann": token("ann"),
            "eve": token("eve"),
            "shop user": token("sam", "shop"),
            "shop root": token("boss", "shop", admin=True),
        }
        for who in ("eve", "ann", "shop user", "shop root"):
            self.done("GET", "/v1/me", who)
        self.done("POST", "/v1/users", "root", {"user": "bob", "name": f"Bob {HIDDEN}"})
        self.keys = {scope: self.key(scope) for scope in sorted(SCOPES)}
        self.done("POST", "/v1/calls", "ann", {"name": "chat.open", "args": {"user": "bob"}})
        said = {"content": {"type": "text", "text": f"{KNOWN} {HIDDEN}"}}
        self.done("POST", f"/v1/logs/{LOG}/calls", "ann", {"name": "chat.send", "args": said})
        url, about = "https://example.com/", HIDDEN
        made = self.done("POST", "/v1/webhooks", "root", {"url": url, "about": about})
        self.ids = {"webhooks": made["webhook"]["id"]}
        asked = {"url": url, "calls": ["chat.send"], "about": about, "when_down": "open"}
        self.ids["hooks"] = self.done("POST", "/v1/hooks", "root", asked)["hook"]["id"]
        self.done("POST", "/v1/consumers", "root", {"name": "pull"})
        begun = self.ask("POST", "/v1/files", "ann")
        self.ids["files"] = begun.headers["location"].rpartition("/")[2]

    def key(self, scope: str) -> str:
        """An API key with one scope, which speaks for nobody unless it has to."""
        body = {"scopes": [scope], "user": "eve" if scope == "send" else ""}
        return str(self.done("POST", "/v1/keys", "root", body)["key"])

    def ask(self, method: str, path: str, who: str, body: Any = None) -> httpx.Response:
        """Who is a name of `tokens`, or an API key; of a stream only the head is read."""
        given = {"Idempotency-Key": uuid4().hex, **UPLOAD}
        if bearer := self.tokens.get(who, who):
            given["Authorization"] = f"Bearer {bearer}"
        if "/v1/files/" in path and body is None:
            given["Content-Type"] = OCTETS
        request = self.http.build_request(method, path, json=body, headers=given)
        answer = self.http.send(request, stream=True)
        if not answer.headers.get("content-type", "").startswith("text/event-stream"):
            answer.read()
        answer.close()
        return answer

    def done(self, method: str, path: str, who: str, body: Any = None) -> Any:
        got = self.ask(method, path, who, body)
        assert got.status_code < 300, (method, path, got.text)
        return got.json()

    def state(self) -> dict[str, Any]:
        """All that the refused could have changed, as its owners see it."""
        seen = {
            path: self.done("GET", path, "root")
            for path in ("/v1/users", "/v1/keys", "/v1/webhooks", "/v1/hooks", "/v1/consumers")
        }
        for path in ("/v1/me", "/v1/inbox", f"/v1/logs/{LOG}/entries", f"/v1/logs/{LOG}/members"):
            seen[path] = self.done("GET", path, "ann")
        upload = self.ask("HEAD", f"/v1/files/{self.ids['files']}", "ann")
        seen["upload"] = (upload.status_code, upload.headers.get("upload-offset"))
        return seen

    def path(self, one: Operation) -> str:
        """The address of what is ann's, bob's or root's, with queries for it."""
        kind = one.path.split("/")[2]
        inside = NAMED | {
            "log": LOG,
            "user": "bob",
            "tenant": "main",
            "kind": "d",
            "name": {"query": "members", "consumers": "pull", "admin": "ann~bob"}.get(kind, ""),
            "id": self.ids.get(kind, ""),
        }
        assert all(inside.get(name) for name in one.params), f"say what {one.path} names"
        address = re.sub(r"\{(\w+)\}", lambda found: inside[found[1]], one.path)
        queries = {"log": LOG, "text": KNOWN, "users": "bob", "seq": 1, "wait": 0}
        named = {
            param["name"] for param in one.told.get("parameters", []) if param["in"] == "query"
        }
        return str(httpx.URL(address, params={k: v for k, v in queries.items() if k in named}))


def token(user: str, tenant: str = "main", *, admin: bool = False, secret: str = SECRET) -> str:
    now = int(time.time())
    claims = {"iss": "back", "sub": user, "tnt": tenant, "iat": now, "exp": now + 3600}
    return jwt.encode(claims | {"adm": admin, "ep": now * 1000}, secret, "HS256")


def minimal(schema: dict[str, Any]) -> Any:
    """The least that fits a schema, about bob and the conversation where it names somebody."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return minimal(DOCUMENT["components"]["schemas"][name])
    if "anyOf" in schema or "oneOf" in schema:
        return minimal((schema.get("anyOf") or schema["oneOf"])[0])
    if "enum" in schema or "const" in schema:
        return (schema.get("enum") or [schema["const"]])[0]
    if schema.get("type") == "object":
        made = {k: minimal(v) for k, v in schema.get("properties", {}).items()
                if k in schema.get("required", ())}  # fmt: skip
        about = {"user": "bob", "users": ["bob"], "all": True}
        return made | {k: v for k, v in about.items() if k in schema.get("properties", {})}
    kinds = {"array": [], "integer": 1, "number": 1, "boolean": False}
    return kinds.get(str(schema.get("type")), "bob-is-long-enough")


def body(one: Operation) -> Any:
    content = one.told.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema")
    if one.path == "/v1/users":
        return {"user": "new"}  # who may, makes one in the own tenant
    return None if schema is None else minimal(schema)


def label(one: Operation) -> str:
    return f"{one.method} {one.path}"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    settings = (
        f"tokens.issuers={json.dumps([ISSUER])}",
        'limits.rates.login_ip={"rate":0,"burst":1}',
        'limits.rates.login_user={"rate":0,"burst":1}',
    )
    data = tmp_path_factory.mktemp("guarded") / "data"
    with ServerProcess(data, core=None, settings=settings) as server:
        world = World(server)
        yield world
        world.http.close()


@pytest.fixture(scope="module")
def before(world: World) -> dict[str, Any]:
    return world.state()


def refused(one: Operation, who: str, answer: httpx.Response, *statuses: int) -> None:
    assert answer.status_code in statuses, (label(one), who, answer.status_code, answer.text[:200])
    assert answer.headers["content-type"] == PROBLEM_JSON
    assert HIDDEN not in answer.text


def test_HA19_what_is_open_is_known() -> None:
    assert {label(one) for one in ALL if one.open} == OPEN


@pytest.mark.parametrize("one", CLOSED, ids=label)
def test_HA19_nobody_comes_in_without_an_account(
    one: Operation, world: World, before: dict[str, Any]
) -> None:
    path = world.path(one)
    bodies: tuple[Any, ...] = (None, {}, body(one))  # what is wrong with one is told to nobody
    for given in bodies:
        for who in NO_ACCOUNT:
            answer = world.ask(one.method, path, who, given)
            if one.method == "HEAD":
                assert answer.status_code in (401, 403)
            else:
                refused(one, who, answer, 403 if who == "guest" else 401)


@pytest.mark.parametrize("one", CLOSED, ids=label)
def test_HA19_a_key_without_the_scope_may_not(
    one: Operation, world: World, before: dict[str, Any]
) -> None:
    for scope in sorted(SCOPES - one.scopes - {"admin"}):
        answer = world.ask(one.method, world.path(one), world.keys[scope], body(one))
        if one.method == "HEAD":
            assert answer.status_code in (401, 403), (label(one), scope)
        elif one.admin or one.scopes:
            refused(one, scope, answer, 401, 403)
        else:  # of the user alone, whoever it is; a key without one can say nothing that fits
            refused(one, scope, answer, 400, 401, 403, 404, 422)


@pytest.mark.parametrize("one", CLOSED, ids=label)
def test_HA19_what_is_anothers_stays_anothers(
    one: Operation, world: World, before: dict[str, Any]
) -> None:
    foreign = bool(one.params & set(FOREIGN)) or "/consumers/{" in one.path
    for who in STRANGERS:
        answer = world.ask(one.method, world.path(one), who, body(one))
        told = (label(one), who, answer.status_code, answer.text[:200] if answer.is_closed else "")
        if one.admin and who != "shop root":
            assert answer.status_code == 403, told
        elif foreign:
            assert answer.status_code in (403, 404), told
        assert answer.status_code < 500, told


def test_HA19_nothing_was_told_and_nothing_changed(world: World, before: dict[str, Any]) -> None:
    assert HIDDEN in json.dumps(before)
    assert world.state() == before
