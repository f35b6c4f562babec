"""What an administrator, or an API key with the scope `users`, does with accounts and keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hongyan.model.errors import BadArgs
from hongyan.ports import Hint
from hongyan.transport.audited import note
from hongyan.transport.calls import numbers
from hongyan.transport.declare import Doc, Param
from hongyan.transport.requests import Requests, json_answer, op_of, route
from hongyan.transport.server_docs import AccountAnswer, account_answer

MOST_USERS = 1000  # in a page


class ResetRequest(msgspec.Struct):
    """`POST /v1/users/reset`: a new password; earlier tokens of the user are void."""

    user: str
    password: str


class DisableRequest(msgspec.Struct):
    """`POST /v1/users/disable`."""

    user: str
    disabled: bool = True


class KeyRequest(msgspec.Struct):
    """`POST /v1/keys`: an API key; its text is in the answer and nowhere else. With the scope
    `send` it speaks for `user`."""

    scopes: tuple[str, ...]
    user: str = ""


class KeyAnswer(msgspec.Struct):
    """An API key without its text."""

    id: str
    scopes: tuple[str, ...]
    user: str
    created_at: int  # ms since 1970


class NewKeyAnswer(KeyAnswer):
    """An API key with its text, shown this once."""

    key: str = ""


class KeysAnswer(msgspec.Struct):
    """All keys of the tenant."""

    keys: list[KeyAnswer]


class UsersAnswer(msgspec.Struct):
    """Accounts by user id; ask on with `after` = the last one while there are `more`."""

    users: list[AccountAnswer]
    more: bool


class UserDone(msgspec.Struct):
    """Whose password was set."""

    user: str


class DisableAnswer(msgspec.Struct):
    """How the account is now."""

    user: str
    disabled: bool


class DropAnswer(msgspec.Struct):
    """Whether there was such a key."""

    dropped: bool


class DropRequest(msgspec.Struct):
    """`POST /v1/keys/drop`."""

    id: str


class AdminRoutes:
    """The handlers. Hints of who must be disconnected go to the bus."""

    def __init__(self, requests: Requests, publish: Callable[[Hint], None]) -> None:
        """`publish` is the bus'."""
        self._requests, self._auth, self._publish = requests, requests.auth, publish

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            route("/v1/users", "GET", self.users, USERS),
            route("/v1/users/reset", "POST", self.reset, RESET, audit="users.reset"),
            route("/v1/users/disable", "POST", self.disable, DISABLE, audit="users.disable"),
            route("/v1/keys", "GET", self.keys, KEYS),
            route("/v1/keys", "POST", self.create_key, NEW_KEY, audit="keys.create"),
            route("/v1/keys/drop", "POST", self.drop_key, DROP_KEY, audit="keys.drop"),
        ]

    async def users(self, request: Request) -> Response:
        """Accounts of the tenant by user id: `after`, `limit`."""
        who = await self._requests.identity(request)
        after = request.query_params.get("after", "")
        limit = numbers(request, "limit").get("limit", 100)
        if not 1 <= limit <= MOST_USERS:
            raise BadArgs(f"limit must be 1 to {MOST_USERS}")
        found = await self._auth.accounts.list_users(who, after=after, limit=limit + 1)
        shown = [account_answer(account) for account in found[:limit]]
        return json_answer(UsersAnswer(shown, len(found) > limit))

    async def reset(self, request: Request) -> Response:
        """Give somebody a new password."""
        who = await self._requests.identity(request)
        body = await self._requests.body(request, ResetRequest)
        note(request, body.user)
        self._tell(await self._auth.accounts.reset_password(who, body.user, body.password))
        return json_answer(UserDone(body.user))

    async def disable(self, request: Request) -> Response:
        """Let somebody not log in any more, or again."""
        who = await self._requests.identity(request)
        body = await self._requests.body(request, DisableRequest)
        note(request, body.user, disabled=body.disabled)
        self._tell(await self._auth.accounts.set_disabled(who, body.user, body.disabled))
        return json_answer(DisableAnswer(body.user, body.disabled))

    async def keys(self, request: Request) -> Response:
        """The tenant's API keys, without their texts."""
        who = await self._requests.identity(request)
        found = await self._auth.list_keys(who)
        return json_answer(
            KeysAnswer([KeyAnswer(k.id, k.scopes, k.user, k.created_at) for k in found])
        )

    async def create_key(self, request: Request) -> Response:
        """A new API key."""
        who = await self._requests.identity(request)
        body = await self._requests.body(request, KeyRequest)
        self._auth.must_be_admin(who)
        key, text = await self._auth.create_key(
            who.tenant, body.scopes, user=body.user, op=op_of(request)
        )
        note(request, key.id, scopes=key.scopes, user=key.user)
        return json_answer(NewKeyAnswer(key.id, key.scopes, key.user, key.created_at, text), 201)

    async def drop_key(self, request: Request) -> Response:
        """End an API key."""
        who = await self._requests.identity(request)
        body = await self._requests.body(request, DropRequest)
        note(request, body.id)
        return json_answer(DropAnswer(await self._auth.drop_key(who, body.id)))

    def _tell(self, hints: Sequence[Hint]) -> None:
        for hint in hints:
            self._publish(hint)


USERS = Doc(
    summary="Accounts of the tenant",
    tag="users",
    access="key",
    scopes=("users",),
    params=(
        Param("after", "After this user id."),
        Param("limit", "Accounts.", Annotated[int, msgspec.Meta(ge=1, le=MOST_USERS)]),
    ),
    answer=UsersAnswer,
)
RESET = Doc(
    summary="Set somebody's password",
    text="Tokens of earlier logins are void.",
    tag="users",
    access="key",
    scopes=("users",),
    body=ResetRequest,
    answer=UserDone,
    errors=(404,),
)
DISABLE = Doc(
    summary="Disable an account, or enable it again",
    tag="users",
    access="key",
    scopes=("users",),
    body=DisableRequest,
    answer=DisableAnswer,
    errors=(404,),
)
KEYS = Doc(summary="The tenant's API keys", tag="keys", access="admin", answer=KeysAnswer)
NEW_KEY = Doc(
    summary="Make an API key",
    text="Its text is shown once. The same `Idempotency-Key` makes no second key: 409.",
    tag="keys",
    access="admin",
    body=KeyRequest,
    answer=NewKeyAnswer,
    status=201,
    errors=(404, 409),
    key_optional=True,
)
DROP_KEY = Doc(
    summary="End an API key", tag="keys", access="admin", body=DropRequest, answer=DropAnswer
)
