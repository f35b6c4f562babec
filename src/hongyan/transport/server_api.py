"""What a back end does for the people of its tenant: accounts, log-outs, blocks, tokens, copies
and erasure of their data, and one message to many."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Protocol

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from hongyan.engine.auth import Identity
from hongyan.engine.broadcasts import MOST_USERS, Broadcasts, Outcome
from hongyan.engine.erasure import Erased, Erasures
from hongyan.engine.persons import Persons
from hongyan.model.errors import BadId, Forbidden
from hongyan.model.ids import DeviceId, UserId, UserName
from hongyan.ports import Device, User
from hongyan.transport.audited import note
from hongyan.transport.declare import Doc, Param
from hongyan.transport.people import Avatar, DeviceAnswer, Shown, device_answer
from hongyan.transport.requests import HEADERS, Requests, json_answer, op_of, route
from hongyan.wire import frames as f

logger = structlog.get_logger(__name__)

NDJSON = "application/x-ndjson"
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


class CreateUserRequest(msgspec.Struct):
    """`POST /v1/users`. Without a password the user cannot log in by password."""

    user: str
    password: str = ""
    name: Shown = ""
    avatar: Avatar = ""
    admin: bool = False


class AccountAnswer(msgspec.Struct):
    """An account. Times in ms since 1970; `erased` 0 = it is not."""

    user: UserId
    name: str
    avatar: str
    admin: bool
    disabled: bool
    created_at: int
    erased: int


class PersonPage(AccountAnswer):
    """An account with its devices."""

    devices: list[DeviceAnswer] = []


class ChangeUserRequest(msgspec.Struct):
    """What is given changes, the rest stays."""

    name: Shown | None = None
    avatar: Avatar | None = None


class KickUserRequest(msgspec.Struct):
    """`POST /v1/users/kick`; without `device`, all of them."""

    user: str
    device: str = ""


class KickAnswer(msgspec.Struct):
    """The devices that were logged in."""

    user: UserId
    devices: list[DeviceId]


class TokenForRequest(msgspec.Struct):
    """`POST /v1/users/{user}/tokens`; `ttl_s` 0 = as configured."""

    device: str = ""
    ttl_s: Annotated[int, msgspec.Meta(ge=0, le=31_536_000)] = 0


class TokenForAnswer(msgspec.Struct):
    """A token for `Authorization: Bearer`; `expires_at` in ms since 1970."""

    token: str
    user: UserId
    expires_at: int


class BlockRequest(msgspec.Struct):
    """`POST /v1/users/{user}/blocks`; `on` false takes `user` off the list."""

    user: UserName
    on: bool = True


class BlockAnswer(msgspec.Struct):
    """Done; `repeat`: the same Idempotency-Key had done it before."""

    user: str
    on: bool
    repeat: bool


class BlocksAnswer(msgspec.Struct):
    """Whom the user has blocked, and since when (ms since 1970)."""

    blocked: dict[UserId, int]


class BroadcastRequest(msgspec.Struct, rename={"sender": "from"}):
    """`POST /v1/broadcast`. `from` "" = the user that the key speaks for."""

    users: Annotated[list[str], msgspec.Meta(min_length=1, max_length=MOST_USERS)]
    args: msgspec.Raw
    name: f.Name = "chat.send"
    sender: str = ""


class BroadcastAnswer(msgspec.Struct):
    """One outcome per user, in the order asked for, each user once; `stored` of them have it."""

    results: list[Outcome]
    stored: int


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
        return json_answer(_page(account, devices))

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


def account_answer(account: User) -> AccountAnswer:
    """An account as an administrator is shown it."""
    return AccountAnswer(**_fields(account))


def _fields(account: User) -> dict[str, Any]:
    return {name: getattr(account, name) for name in AccountAnswer.__struct_fields__}


def _page(account: User, devices: list[Device]) -> PersonPage:
    return PersonPage(**_fields(account), devices=[device_answer(device) for device in devices])


WHO = Param("user", "The user's id.", place="path")
CREATE = Doc(
    summary="Make an account",
    text="With the same `Idempotency-Key` again, the account that was made is answered; without"
    " one, a name that is taken is refused.",
    tag="users",
    access="key",
    scopes=("users",),
    body=CreateUserRequest,
    answer=AccountAnswer,
    status=201,
    key_optional=True,
)
LOOK = Doc(
    summary="An account and its devices",
    tag="users",
    access="key",
    scopes=("users",),
    params=(WHO,),
    answer=PersonPage,
    errors=(404,),
)
CHANGE = Doc(
    summary="Change somebody's name or picture",
    tag="users",
    access="key",
    scopes=("users",),
    params=(WHO,),
    body=ChangeUserRequest,
    answer=AccountAnswer,
    errors=(404,),
)
KICK = Doc(
    summary="Log somebody out",
    text="Connections end and tokens of this server are void. A token of another issuer (JWT)"
    " lets in again until it expires: disable the account where that must not be.",
    tag="users",
    access="key",
    scopes=("users",),
    body=KickUserRequest,
    answer=KickAnswer,
    errors=(404,),
)
ERASE = Doc(
    summary="Erase a person's data",
    text="The account is shut at once and for ever; name, picture, password, devices, own"
    " settings and block list go, all own messages are recalled, groups are left. The id stays,"
    " so that nobody else gets it. 202: it goes on, ask again. Repeating does no harm.",
    tag="users",
    access="key",
    scopes=("users",),
    params=(WHO,),
    answer=Erased,
    also=(202,),
    errors=(404,),
)
EXPORT = Doc(
    summary="A copy of a person's data",
    text="A JSON object per line. Its `piece` says what it is: `account`, `device`, `key`,"
    " `membership`, `entry` (own ones only), and at last `end` with how many there were; without"
    " it the copy is not whole.",
    tag="users",
    access="key",
    scopes=("users",),
    params=(WHO,),
    answer=dict[str, Any],
    answer_media=NDJSON,
    errors=(404,),
)
TOKEN = Doc(
    summary="A token for somebody",
    text="A new login: of a device class with few places it may take an older one's.",
    tag="users",
    access="key",
    scopes=("send_as",),
    params=(WHO,),
    body=TokenForRequest,
    answer=TokenForAnswer,
    status=201,
    errors=(404,),
)
BLOCKS = Doc(
    summary="Whom somebody has blocked",
    tag="users",
    access="key",
    scopes=("users",),
    params=(WHO,),
    answer=BlocksAnswer,
    errors=(404,),
)
BLOCK = Doc(
    summary="Block on behalf of somebody",
    tag="users",
    access="key",
    scopes=("users",),
    params=(WHO,),
    body=BlockRequest,
    answer=BlockAnswer,
    errors=(404, 409),
    key_optional=True,
)
BROADCAST = Doc(
    summary="The same message to many users",
    text="Each gets it in the direct conversation with the sender, which is opened where there is"
    " none. Send the same broadcast with the same key again as long as an outcome says `retry`:"
    " who has it gets no second one.",
    tag="users",
    access="key",
    scopes=("send", "send_as"),
    body=BroadcastRequest,
    answer=BroadcastAnswer,
    errors=(404,),
    calls=True,
)
