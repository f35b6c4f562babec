"""What an administrator, or an API key with the scope `users`, does with accounts and keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hongyan.model.errors import BadArgs
from hongyan.ports import Hint
from hongyan.transport.audited import note
from hongyan.transport.requests import Requests, json_answer, route

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
    """`POST /v1/keys`: an API key; its text is in the answer and nowhere else."""

    scopes: tuple[str, ...]


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
            route("/v1/users", "GET", self.users),
            route("/v1/users/reset", "POST", self.reset, audit="users.reset"),
            route("/v1/users/disable", "POST", self.disable, audit="users.disable"),
            route("/v1/keys", "GET", self.keys),
            route("/v1/keys", "POST", self.create_key, audit="keys.create"),
            route("/v1/keys/drop", "POST", self.drop_key, audit="keys.drop"),
        ]

    async def users(self, request: Request) -> Response:
        """Accounts of the tenant by user id: `after`, `limit`."""
        who = await self._requests.identity(request)
        after, text = (
            request.query_params.get("after", ""),
            request.query_params.get("limit", "100"),
        )
        if not text.isdecimal() or not 1 <= int(text) <= MOST_USERS:
            raise BadArgs(f"limit must be 1 to {MOST_USERS}")
        limit = int(text)
        found = await self._auth.accounts.list_users(who, after=after, limit=limit + 1)
        shown = [
            {
                "user": account.user,
                "name": account.name,
                "admin": account.admin,
                "disabled": account.disabled,
                "created_at": account.created_at,
            }
            for account in found[:limit]
        ]
        return json_answer({"users": shown, "more": len(found) > limit})

    async def reset(self, request: Request) -> Response:
        """Give somebody a new password."""
        who = await self._requests.identity(request)
        body = await self._requests.body(request, ResetRequest)
        note(request, body.user)
        self._tell(await self._auth.accounts.reset_password(who, body.user, body.password))
        return json_answer({"user": body.user})

    async def disable(self, request: Request) -> Response:
        """Let somebody not log in any more, or again."""
        who = await self._requests.identity(request)
        body = await self._requests.body(request, DisableRequest)
        note(request, body.user, disabled=body.disabled)
        self._tell(await self._auth.accounts.set_disabled(who, body.user, body.disabled))
        return json_answer({"user": body.user, "disabled": body.disabled})

    async def keys(self, request: Request) -> Response:
        """The tenant's API keys, without their texts."""
        who = await self._requests.identity(request)
        shown = [
            {"id": key.id, "scopes": key.scopes, "created_at": key.created_at}
            for key in await self._auth.list_keys(who)
        ]
        return json_answer({"keys": shown})

    async def create_key(self, request: Request) -> Response:
        """A new API key."""
        who = await self._requests.identity(request)
        body = await self._requests.body(request, KeyRequest)
        self._auth.must_be_admin(who)
        key, text = await self._auth.create_key(who.tenant, body.scopes)
        note(request, key.id, scopes=key.scopes)
        return json_answer({"id": key.id, "key": text, "scopes": key.scopes}, 201)

    async def drop_key(self, request: Request) -> Response:
        """End an API key."""
        who = await self._requests.identity(request)
        body = await self._requests.body(request, DropRequest)
        note(request, body.id)
        return json_answer({"dropped": await self._auth.drop_key(who, body.id)})

    def _tell(self, hints: Sequence[Hint]) -> None:
        for hint in hints:
            self._publish(hint)
