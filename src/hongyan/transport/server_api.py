"""What a back end does for the people of its tenant: accounts, log-outs, blocks, tokens, copies
and erasure of their data, and one message to many."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from hongyan.engine.auth import Identity
from hongyan.engine.broadcasts import Broadcasts
from hongyan.engine.erasure import Erasures
from hongyan.engine.persons import Persons
from hongyan.model.errors import BadId, Forbidden
from hongyan.model.ids import UserId
from hongyan.transport.audited import note
from hongyan.transport.requests import HEADERS, Requests, json_answer, op_of, route
from hongyan.transport.server_docs import (
    BLOCK,
    BLOCKS,
    BROADCAST,
    CHANGE,
    CREATE,
    ERASE,
    EXPORT,
    KICK,
    LOOK,
    NDJSON,
    TOKEN,
    BlockAnswer,
    BlockRequest,
    BlocksAnswer,
    BroadcastAnswer,
    BroadcastRequest,
    ChangeUserRequest,
    CreateUserRequest,
    KickAnswer,
    KickUserRequest,
    TokenForAnswer,
    TokenForRequest,
    account_answer,
    person_page,
)
from hongyan.wire import frames as f

CHUNK = 64 * 1024  # of an export, roughly

_encode = msgspec.json.Encoder().encode


class Gateway(Protocol):
    """The parts of the engine that these routes use."""

    @property
    def persons(self) -> Persons:
        """Kick, block, token, export."""
        ...

    @property
    def erasures(self) -> Erasures:
        """Take a person's data away."""
        ...

    @property
    def broadcasts(self) -> Broadcasts:
        """One message to many."""
        ...


class ServerRoutes:
    """The handlers."""

    def __init__(self, requests: Requests, gateway: Gateway) -> None:
        """Rights are judged by the engine."""
        self._requests, self._auth = requests, requests.auth
        self._gateway = gateway

    def routes(self) -> list[Route]:
        """All of them."""
        user = "/v1/users/{user}"
        return [
            route("/v1/users", "POST", self.create, CREATE, audit="users.create"),
            route("/v1/users/kick", "POST", self.kick, KICK, audit="users.kick"),
            route(user, "GET", self.look, LOOK),
            route(user, "PATCH", self.change, CHANGE, audit="users.change"),
            route(user, "DELETE", self.erase, ERASE, audit="users.erase"),
            route(f"{user}/export", "GET", self.export, EXPORT, audit="users.export"),
            route(f"{user}/tokens", "POST", self.token, TOKEN, audit="users.token"),
            route(f"{user}/blocks", "GET", self.blocks, BLOCKS),
            route(f"{user}/blocks", "POST", self.block, BLOCK, audit="users.block"),
            route("/v1/broadcast", "POST", self.broadcast, BROADCAST, audit="broadcast"),
        ]

    async def create(self, request: Request) -> Response:
        """Make an account in the own tenant."""
        who = await self._requests.identity(request)
        if not who.may("users"):
            raise Forbidden("this needs an administrator or a key with the scope users")
        body = await self._requests.body(request, CreateUserRequest)
        note(request, body.user)
        account = await self._auth.accounts.register(
            who.tenant,
            body.user,
            body.password,
            name=body.name,
            avatar=body.avatar,
            admin=body.admin,
            by=who,
            op=op_of(request),
        )
        return json_answer(account_answer(account), 201)

    async def look(self, request: Request) -> Response:
        """An account and its devices."""
        who, user = await self._who(request)
        account, devices = await self._gateway.persons.look(who, user)
        return json_answer(person_page(account, devices))

    async def change(self, request: Request) -> Response:
        """Name and avatar of somebody."""
        who, user = await self._who(request)
        body = await self._requests.body(request, ChangeUserRequest)
        account = await self._auth.accounts.theirs(who, user)
        account = await self._auth.accounts.describe(
            who, account.user, name=body.name, avatar=body.avatar
        )
        return json_answer(account_answer(account))

    async def kick(self, request: Request) -> Response:
        """Log somebody out."""
        who = await self._requests.identity(request)
        body = await self._requests.body(request, KickUserRequest)
        note(request, body.user, device=body.device)
        gone = await self._gateway.persons.kick(who, body.user, body.device)
        return json_answer(KickAnswer(UserId(body.user), gone))

    async def erase(self, request: Request) -> Response:
        """Take a person's data away."""
        who, user = await self._who(request)
        state = await self._gateway.erasures.erase(who, user)
        return json_answer(state, 200 if state.done else 202)

    async def export(self, request: Request) -> Response:
        """All data of a person, a line of JSON each."""
        who, user = await self._who(request)
        pieces = await self._gateway.persons.export(who, user)
        headers = {**HEADERS, "Content-Disposition": 'attachment; filename="export.ndjson"'}
        return StreamingResponse(_lines(pieces), media_type=NDJSON, headers=headers)

    async def token(self, request: Request) -> Response:
        """A token for somebody."""
        who, user = await self._who(request)
        body = await self._requests.body(request, TokenForRequest)
        note(request, user, device=body.device)
        text = await self._gateway.persons.token(who, user, device=body.device, ttl_s=body.ttl_s)
        theirs = await self._auth.authenticate(text)
        return json_answer(TokenForAnswer(text, theirs.user, theirs.expires_at), 201)

    async def blocks(self, request: Request) -> Response:
        """Whom somebody has blocked."""
        who, user = await self._who(request)
        return json_answer(BlocksAnswer(await self._gateway.persons.blocks(who, user)))

    async def block(self, request: Request) -> Response:
        """Block somebody on behalf of another."""
        who, user = await self._who(request)
        body = await self._requests.body(request, BlockRequest)
        note(request, user, other=body.user, on=body.on)
        ack = await self._gateway.persons.block(
            who, user, body.user, body.on, op=op_of(request), ip=self._requests.ip(request)
        )
        return json_answer(BlockAnswer(body.user, body.on, ack.repeat))

    async def broadcast(self, request: Request) -> Response:
        """The same message to many."""
        who = await self._requests.identity(request)
        body = await self._requests.body(request, BroadcastRequest)
        op = op_of(request)
        if not op:
            raise BadId("the header Idempotency-Key is needed: choose it once per broadcast")
        sender = await self._sender(who, body.sender)
        note(request, sender.user, name=body.name, users=len(body.users))
        call = self._requests.frame(f.Call, t="call", name=body.name, op=op, args=body.args)
        results = await self._gateway.broadcasts.send(
            sender.tenant, sender.user, body.users, call, ip=self._requests.ip(request)
        )
        stored = sum(not result.code for result in results)
        return json_answer(BroadcastAnswer(results, stored))

    async def _sender(self, who: Identity, name: str) -> Identity:
        """In whose name: an administrator in the own, a key as its scopes say."""
        if not who.scopes:
            if not who.admin or name not in ("", who.user):
                raise Forbidden("this needs an API key with the scope send or send_as")
            return who
        if not (who.may("send") or who.may("send_as")):
            raise Forbidden("the key lacks the scopes send and send_as")
        if not (name or who.user):
            raise Forbidden("the key speaks for no user: name one in `from`")
        return await self._auth.act_as(who, name or who.user)

    async def _who(self, request: Request) -> tuple[Identity, str]:
        return await self._requests.identity(request), request.path_params["user"]


async def _lines(pieces: AsyncIterator[dict[str, Any]]) -> AsyncIterator[bytes]:
    """Lines of JSON, several to a chunk. A reader that sees no line `end` has not got all: what
    fails on the way can only end the answer."""
    buffer = bytearray()
    async for piece in pieces:
        buffer += _encode(piece) + b"\n"
        if len(buffer) >= CHUNK:
            yield bytes(buffer)
            buffer.clear()
    yield bytes(buffer)
