"""`/v1/hooks` (who is asked before a call) and `/v1/consumers` (who fetches entries by name)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hongyan.engine.backends.hooks import Hooks, HookView
from hongyan.engine.backends.pulls import MOST_EVENTS, MOST_WAIT_S, PullPage, Pulls, PullView
from hongyan.model.errors import NoSuchEntry
from hongyan.transport.audited import OWN, note
from hongyan.transport.declare import Doc, Param
from hongyan.transport.requests import Requests, json_answer, op_of, route
from hongyan.transport.webhooks import (
    DroppedAnswer,
    Names,
    RotateRequest,
    SecretAnswer,
    host_of,
    number,
)

Deadline = Annotated[int, msgspec.Meta(ge=10, le=5000)]
Policy = Literal["open", "closed"]


class HookRequest(msgspec.Struct, kw_only=True):
    """`POST /v1/hooks`. `when_down`: what happens to calls while the hook does not answer, `open`
    lets them pass, `closed` refuses them with 310, which clients retry."""

    url: str
    calls: Names
    kinds: Names = ()
    deadline_ms: Deadline = 500
    when_down: Policy = "closed"
    about: str = ""
    secret: str = ""  # whsec_…; "" = one is made


class HookChange(msgspec.Struct, kw_only=True):
    """`PATCH /v1/hooks/{id}`; what is left out stays."""

    url: str | None = None
    calls: Names | None = None
    kinds: Names | None = None
    deadline_ms: Deadline | None = None
    when_down: Policy | None = None
    about: str | None = None
    enabled: bool | None = None


class HookMade(msgspec.Struct):
    """The secret is shown here and nowhere else."""

    hook: HookView
    secret: str


class HookList(msgspec.Struct):
    """All hooks of the tenant, in the order they are asked."""

    hooks: list[HookView]


class HookRoutes:
    """The handlers of hooks. For administrators."""

    def __init__(self, requests: Requests, hooks: Hooks) -> None:
        """The engine decides who may."""
        self._requests, self._hooks = requests, hooks

    # size: a list; there is nothing in it to follow
    def routes(self) -> list[Route]:
        """All of them."""
        one = "/v1/hooks/{id}"
        return [
            route("/v1/hooks", "GET", self.list, _hook("List hooks", answer=HookList)),
            route(
                "/v1/hooks",
                "POST",
                self.create,
                _hook(
                    "Make a hook",
                    body=HookRequest,
                    answer=HookMade,
                    status=201,
                    key_optional=True,
                    errors=(404, 409),
                ),
                audit="hooks.create",
            ),
            route(one, "GET", self.get, _hook("Show a hook", answer=HookView)),
            route(
                one,
                "PATCH",
                self.change,
                _hook("Change, disable or enable a hook", body=HookChange, answer=HookView),
                audit="hooks.change",
            ),
            route(
                one,
                "DELETE",
                self.drop,
                _hook("End a hook", answer=DroppedAnswer),
                audit="hooks.drop",
            ),
            route(
                f"{one}/rotate",
                "POST",
                self.rotate,
                _hook(
                    "Replace the secret; the old one signs on for a while",
                    body=RotateRequest,
                    body_required=False,
                    answer=SecretAnswer,
                ),
                audit="hooks.rotate",
            ),
        ]

    async def list(self, request: Request) -> Response:
        """All hooks of the tenant."""
        who = await self._requests.identity(request)
        return json_answer(HookList(await self._hooks.list(who)))

    async def create(self, request: Request) -> Response:
        """A new hook and its secret."""
        who = await self._requests.identity(request)
        body = await self._requests.body(request, HookRequest)
        view, secret = await self._hooks.create(
            who,
            body.url,
            body.calls,
            kinds=body.kinds,
            deadline_ms=body.deadline_ms,
            when_down=body.when_down,
            about=body.about,
            secret=body.secret,
            op=op_of(request),
        )
        note(request, view.id, host=host_of(view.url), calls=view.calls)
        return json_answer(HookMade(view, secret), 201)

    async def get(self, request: Request) -> Response:
        """One hook."""
        who = await self._requests.identity(request)
        return json_answer(await self._hooks.get(who, request.path_params["id"]))

    async def change(self, request: Request) -> Response:
        """Change what the body names."""
        who = await self._requests.identity(request)
        body = await self._requests.body(request, HookChange)
        given = {k: v for k, v in msgspec.structs.asdict(body).items() if v is not None}
        note(request, changed=sorted(given))
        return json_answer(await self._hooks.change(who, request.path_params["id"], given))

    async def drop(self, request: Request) -> Response:
        """End it."""
        who = await self._requests.identity(request)
        if not await self._hooks.drop(who, request.path_params["id"]):
            raise NoSuchEntry("there is no such hook")
        return json_answer(DroppedAnswer(True))

    async def rotate(self, request: Request) -> Response:
        """A new secret."""
        who = await self._requests.identity(request)
        body = await self._requests.body(request, RotateRequest)
        secret = await self._hooks.rotate(
            who, request.path_params["id"], secret=body.secret, keep_s=body.keep_s
        )
        return json_answer(SecretAnswer(secret))


class PullRequest(msgspec.Struct, kw_only=True):
    """`POST /v1/consumers`. `start`: which entries come first, those committed from `now` on or
    all from the `beginning`."""

    name: str
    kinds: Names = ()
    types: Names = ()
    start: Annotated[str, msgspec.Meta(pattern="^(now|beginning)$")] = "now"


class AckRequest(msgspec.Struct, kw_only=True):
    """`POST /v1/consumers/{name}/ack`: everything up to `pos` is done."""

    pos: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]


class PullList(msgspec.Struct):
    """All consumers of the tenant."""

    consumers: list[PullView]


class PullRoutes:
    """The handlers of consumers. For administrators and API keys with the scope `read`."""

    def __init__(self, requests: Requests, pulls: Pulls) -> None:
        """The engine decides who may."""
        self._requests, self._pulls = requests, pulls

    # size: a list; there is nothing in it to follow
    def routes(self) -> list[Route]:
        """All of them."""
        one = "/v1/consumers/{name}"
        params = (
            Param("wait", f"Seconds to wait for a first event, at most {MOST_WAIT_S:g}.", int),
            Param("limit", f"1 to {MOST_EVENTS}, 100 where left out.", int),
        )
        return [
            route("/v1/consumers", "GET", self.list, _pull("List consumers", answer=PullList)),
            route(
                "/v1/consumers",
                "POST",
                self.create,
                _pull(
                    "Make a consumer: a named cursor in the tenant's entries",
                    body=PullRequest,
                    answer=PullView,
                    status=201,
                ),
                audit="consumers.create",
            ),
            route(
                one,
                "GET",
                self.fetch,
                _pull("Fetch what is not acknowledged", answer=PullPage, params=params),
            ),
            route(
                f"{one}/ack",
                "POST",
                self.ack,
                _pull("Acknowledge", body=AckRequest, answer=PullView),
                audit=OWN,
            ),
            route(
                one,
                "DELETE",
                self.drop,
                _pull("Forget a consumer", answer=DroppedAnswer),
                audit="consumers.drop",
            ),
        ]

    async def list(self, request: Request) -> Response:
        """All consumers of the tenant."""
        who = await self._requests.identity(request)
        return json_answer(PullList(await self._pulls.list(who)))

    async def create(self, request: Request) -> Response:
        """A new consumer."""
        who = await self._requests.identity(request)
        body = await self._requests.body(request, PullRequest)
        note(request, body.name)
        view = await self._pulls.create(
            who,
            body.name,
            kinds=body.kinds,
            types=body.types,
            beginning=body.start == "beginning",
        )
        return json_answer(view, 201)

    async def fetch(self, request: Request) -> Response:
        """Events; waits for a first one."""
        who = await self._requests.identity(request)
        wait_s = number(request, "wait", 0, most=int(MOST_WAIT_S))
        limit = number(request, "limit", 100, least=1, most=MOST_EVENTS)
        name = request.path_params["name"]
        return json_answer(await self._pulls.fetch(who, name, limit=limit, wait_s=wait_s))

    async def ack(self, request: Request) -> Response:
        """Move the cursor."""
        who = await self._requests.identity(request)
        body = await self._requests.body(request, AckRequest)
        return json_answer(await self._pulls.ack(who, request.path_params["name"], body.pos))

    async def drop(self, request: Request) -> Response:
        """Forget it."""
        who = await self._requests.identity(request)
        if not await self._pulls.drop(who, request.path_params["name"]):
            raise NoSuchEntry("there is no such consumer")
        return json_answer(DroppedAnswer(True))


def _hook(summary: str, **more: Any) -> Doc:
    return Doc(summary=summary, tag="hooks", access="admin", **{"errors": (404,), **more})


def _pull(summary: str, **more: Any) -> Doc:
    return Doc(
        summary=summary, tag="consumers", access="key", scopes=("read",), errors=(404, 409), **more
    )
