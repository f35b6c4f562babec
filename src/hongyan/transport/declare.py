"""What a route promises: the data from which the OpenAPI document is made.

A route is declared where it is made, `route(path, method, handler, Doc(…))`, so that the document
cannot know of another route than the server has; a test refuses a route of `/v1` without a `Doc`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from starlette.routing import Route

Place = Literal["path", "query", "header"]
Access = Literal["user", "key", "admin", "open"]

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]  # of a query parameter


class Param(msgspec.Struct, frozen=True):
    """A parameter. Those of the path are found by themselves; name one to say what it is.

    `type` is any type msgspec can describe. `required` is for query and header only.
    """

    name: str
    text: str
    type: Any = str
    place: Place = "query"
    required: bool = False


class Doc(msgspec.Struct, frozen=True, kw_only=True):
    """What a route takes and gives.

    `access`: `open` needs no token, `user` a user's token (or an API key that speaks for one),
    `key` an API key with one of `scopes` or an administrator, `admin` an administrator.
    `answer` and `body` are types msgspec can describe (Struct, dict, list …), None = nothing.
    `errors` are statuses beside those that any request of this access may meet.
    """

    summary: str  # one line
    tag: str = "other"  # the heading it stands under
    text: str = ""  # more, Markdown
    access: Access = "user"
    scopes: tuple[str, ...] = ()  # an API key needs one of them
    params: tuple[Param, ...] = ()
    body: Any = None
    body_media: str = "application/json"
    body_required: bool = True
    answer: Any = None
    answer_media: str = "application/json"
    status: int = 200  # of success
    also: tuple[int, ...] = ()  # other statuses of success, with the same answer
    headers: tuple[str, ...] = ()  # of the answer, by name
    errors: tuple[int, ...] = ()
    calls: bool = False  # needs Idempotency-Key
    key_optional: bool = False  # takes Idempotency-Key


class DocumentedRoute(Route):
    """A route with its promise; `doc` is None where it is not declared yet. `audit` is the name of
    its lines in the audit list, OWN, or "" for a route that changes nothing."""

    doc: Doc | None = None
    audit: str = ""
