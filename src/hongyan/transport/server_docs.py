"""What the routes of `server_api` take, give and promise."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from hongyan.engine.broadcasts import MOST_USERS, Outcome
from hongyan.engine.erasure import Erased
from hongyan.model.ids import DeviceId, UserId, UserName
from hongyan.ports import Device, User
from hongyan.transport.declare import Doc, Param
from hongyan.transport.people import Avatar, DeviceAnswer, Shown, device_answer
from hongyan.wire import frames as f

NDJSON = "application/x-ndjson"


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


def account_answer(account: User) -> AccountAnswer:
    """An account as an administrator is shown it."""
    return AccountAnswer(**_fields(account))


def _fields(account: User) -> dict[str, Any]:
    return {name: getattr(account, name) for name in AccountAnswer.__struct_fields__}


def person_page(account: User, devices: list[Device]) -> PersonPage:
    """An account with its devices, likewise."""
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
