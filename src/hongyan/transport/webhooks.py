"""`/v1/webhooks`: where committed entries are posted to. For administrators."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hongyan.engine.backends.webhooks import ROTATE_S, TestResult, Webhooks, WebhookView
from hongyan.model.errors import BadArgs, NoSuchEntry
from hongyan.model.outlets import Dead
from hongyan.transport.audited import note
from hongyan.transport.declare import Doc, Param
from hongyan.transport.requests import Requests, json_answer, op_of, route

MOST_DEAD = 500  # in a page, and named in one replay
TAG = "webhooks"

Names = Annotated[tuple[str, ...], msgspec.Meta(max_length=32)]


class WebhookRequest(msgspec.Struct, kw_only=True):
    """`POST /v1/webhooks`. `start`: which entries come first, those committed from `now` on or
    all from the `beginning`."""

    url: str
    kinds: Names = ()
    types: Names = ()
    about: str = ""
    secret: str = ""  # whsec_…; "" = one is made
    start: Annotated[str, msgspec.Meta(pattern="^(now|beginning)$")] = "now"


class WebhookChange(msgspec.Struct, kw_only=True):
    """`PATCH /v1/webhooks/{id}`; what is left out stays."""

    url: str | None = None
    kinds: Names | None = None
    types: Names | None = None
    about: str | None = None
    enabled: bool | None = None


class RotateRequest(msgspec.Struct, kw_only=True):
    """`POST /v1/webhooks/{id}/rotate`."""

    secret: str = ""  # "" = one is made
    keep_s: Annotated[int, msgspec.Meta(ge=0, le=30 * 86_400)] = ROTATE_S


class ReplayRequest(msgspec.Struct, kw_only=True):
    """`POST /v1/webhooks/{id}/replay`: dead letters by their `pos`, or all."""

    ids: Annotated[tuple[int, ...], msgspec.Meta(max_length=MOST_DEAD)] = ()
    all: bool = False


class WebhookMade(msgspec.Struct):
    """The secret is shown here and nowhere else."""

    webhook: WebhookView
    secret: str


class SecretAnswer(msgspec.Struct):
    """The new secret is shown here and nowhere else."""

    secret: str


class WebhookList(msgspec.Struct):
    """All webhooks of the tenant."""

    webhooks: list[WebhookView]


class DeadPage(msgspec.Struct):
    """Dead letters in the order of the feed; with `more`, ask again after the last `pos`."""

    dead: list[Dead]
    more: bool


class ReplayAnswer(msgspec.Struct):
    """How many dead letters will be sent again."""

    queued: int


class DroppedAnswer(msgspec.Struct):
    """It is gone."""

    dropped: bool


class WebhookRoutes:
    """The handlers."""

    def __init__(self, requests: Requests, webhooks: Webhooks) -> None:
        """The engine decides who may."""
        self._requests, self._webhooks = requests, webhooks

    # size: a list; there is nothing in it to follow
    def routes(self) -> list[Route]:
        """All of them."""
        one = "/v1/webhooks/{id}"
        return [
            route(
                "/v1/webhooks",
                "GET",
                self.list,
                _doc("List webhooks, with how they fare", answer=WebhookList),
            ),
            route(
                "/v1/webhooks",
                "POST",
                self.create,
                _doc(
                    "Make a webhook",
                    body=WebhookRequest,
                    answer=WebhookMade,
                    status=201,
                    key_optional=True,
                    errors=(404, 409),
                ),
                audit="webhooks.create",
            ),
            route(one, "GET", self.get, _doc("Show a webhook", answer=WebhookView)),
            route(
                one,
                "PATCH",
                self.change,
                _doc("Change, disable or enable a webhook", body=WebhookChange, answer=WebhookView),
                audit="webhooks.change",
            ),
            route(
                one,
                "DELETE",
                self.drop,
                _doc("End a webhook", answer=DroppedAnswer),
                audit="webhooks.drop",
            ),
            route(
                f"{one}/test",
                "POST",
                self.test,
                _doc("Send a test event now, and say what came back", answer=TestResult),
                audit="webhooks.test",
            ),
            route(
                f"{one}/rotate",
                "POST",
                self.rotate,
                _doc(
                    "Replace the secret; the old one signs on for a while",
                    body=RotateRequest,
                    body_required=False,
                    answer=SecretAnswer,
                ),
                audit="webhooks.rotate",
            ),
            route(
                f"{one}/dead",
                "GET",
                self.dead,
                _doc(
                    "List entries that were given up",
                    answer=DeadPage,
                    params=(
                        Param("after", "A `pos`; later ones are listed.", int),
                        Param("limit", f"1 to {MOST_DEAD}, 100 where left out.", int),
                    ),
                ),
            ),
            route(
                f"{one}/replay",
                "POST",
                self.replay,
                _doc(
                    "Send dead letters again", body=ReplayRequest, answer=ReplayAnswer, status=202
                ),
                audit="webhooks.replay",
            ),
        ]

    async def list(self, request: Request) -> Response:
        """All webhooks of the tenant."""
        who = await self._requests.identity(request)
        return json_answer(WebhookList(await self._webhooks.list(who)))

    async def create(self, request: Request) -> Response:
        """A new webhook and its secret."""
        who = await self._requests.identity(request)
        body = await self._requests.body(request, WebhookRequest)
        view, secret = await self._webhooks.create(
            who,
            body.url,
            kinds=body.kinds,
            types=body.types,
            about=body.about,
            secret=body.secret,
            beginning=body.start == "beginning",
            op=op_of(request),
        )
        note(request, view.id, host=host_of(view.url))  # a URL may hold something secret
        return json_answer(WebhookMade(view, secret), 201)

    async def get(self, request: Request) -> Response:
        """One webhook."""
        who = await self._requests.identity(request)
        return json_answer(await self._webhooks.get(who, request.path_params["id"]))

    async def change(self, request: Request) -> Response:
        """Change what the body names."""
        who = await self._requests.identity(request)
        body = await self._requests.body(request, WebhookChange)
        given = {k: v for k, v in msgspec.structs.asdict(body).items() if v is not None}
        note(request, changed=sorted(given))
        return json_answer(await self._webhooks.change(who, request.path_params["id"], **given))

    async def drop(self, request: Request) -> Response:
        """End it."""
        who = await self._requests.identity(request)
        if not await self._webhooks.drop(who, request.path_params["id"]):
            raise NoSuchEntry("there is no such webhook")
        return json_answer(DroppedAnswer(True))

    async def test(self, request: Request) -> Response:
        """Send a test event."""
        who = await self._requests.identity(request)
        return json_answer(await self._webhooks.test(who, request.path_params["id"]))

    async def rotate(self, request: Request) -> Response:
        """A new secret."""
        who = await self._requests.identity(request)
        body = await self._requests.body(request, RotateRequest)
        secret = await self._webhooks.rotate(
            who, request.path_params["id"], secret=body.secret, keep_s=body.keep_s
        )
        return json_answer(SecretAnswer(secret))

    async def dead(self, request: Request) -> Response:
        """A page of dead letters."""
        who = await self._requests.identity(request)
        after = number(request, "after", 0, most=2**53 - 1)
        limit = number(request, "limit", 100, least=1, most=MOST_DEAD)
        webhook = request.path_params["id"]
        found = await self._webhooks.dead(who, webhook, after=after, limit=limit + 1)
        return json_answer(DeadPage(list(found[:limit]), len(found) > limit))

    async def replay(self, request: Request) -> Response:
        """Send dead letters again."""
        who = await self._requests.identity(request)
        body = await self._requests.body(request, ReplayRequest)
        if body.all == bool(body.ids):
            raise BadArgs("name ids, or say all: true")
        queued = await self._webhooks.replay(
            who, request.path_params["id"], None if body.all else body.ids
        )
        return json_answer(ReplayAnswer(queued), 202)


def host_of(url: str) -> str:
    """For the audit list: the rest of a URL may hold something secret."""
    return urlsplit(url).hostname or ""


def _doc(summary: str, **more: Any) -> Doc:
    return Doc(summary=summary, tag=TAG, access="admin", **{"errors": (404,), **more})


def number(request: Request, name: str, default: int, *, least: int = 0, most: int) -> int:
    """A query parameter. Raises BadArgs."""
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most):
        raise BadArgs(f"{name} must be {least} to {most}")
    return int(text)
