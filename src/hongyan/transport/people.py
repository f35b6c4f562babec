"""A user's own account and devices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hongyan.engine.auth import Identity
from hongyan.model.errors import NoSuchEntry, Unauthenticated
from hongyan.model.ids import DEVICE, DeviceId, TenantId, UserId, check
from hongyan.ports import Device, Hint, User
from hongyan.transport.audited import OWN
from hongyan.transport.declare import Doc
from hongyan.transport.requests import Requests, json_answer, route

Shown = Annotated[str, msgspec.Meta(max_length=64)]
Avatar = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{64})?$(?!\n)")]  # digest of a blob


class ProfileRequest(msgspec.Struct):
    """What is given changes, the rest stays. `avatar` is the digest of a picture, "" = none."""

    name: Shown | None = None
    avatar: Avatar | None = None


class MeAnswer(msgspec.Struct):
    """The account of who asks. `device`: the only one the token is good for; "" = any."""

    tenant: TenantId
    user: UserId
    name: str
    avatar: str
    admin: bool
    device: DeviceId
    created_at: int  # ms since 1970


class DeviceAnswer(msgspec.Struct):
    """A device that logged in. Times in ms since 1970; `active` is False after log-out, or when a
    newer login took its place. `current`: the one that asks."""

    device: DeviceId
    cls: str
    login_at: int
    seen_at: int
    active: bool
    current: bool


class DevicesAnswer(msgspec.Struct):
    """The newest login first."""

    devices: list[DeviceAnswer]


class DeviceGone(msgspec.Struct):
    """Which device was logged out."""

    device: DeviceId


class MeRoutes:
    """The handlers. Hints of what must be disconnected go to the bus."""

    def __init__(self, requests: Requests, publish: Callable[[Hint], None]) -> None:
        """`publish` is the bus'."""
        self._requests, self._auth, self._publish = requests, requests.auth, publish

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            route("/v1/me", "GET", self.me, ME),
            route("/v1/me", "PATCH", self.change, CHANGE, audit=OWN),
            route("/v1/me/devices", "GET", self.devices, DEVICES),
            route("/v1/me/devices/{device}", "DELETE", self.log_out, LOG_OUT, audit=OWN),
        ]

    async def _user(self, request: Request) -> Identity:
        who = await self._requests.identity(request)
        if not who.user:
            raise Unauthenticated("an API key speaks for no user: name one in Hongyan-User")
        return who

    async def me(self, request: Request) -> Response:
        """The own account."""
        who = await self._user(request)
        return json_answer(_shown(who, await self._auth.account(who)))

    async def change(self, request: Request) -> Response:
        """Change the own name or avatar."""
        who = await self._user(request)
        body = await self._requests.body(request, ProfileRequest)
        account = await self._auth.accounts.describe(
            who, who.user, name=body.name, avatar=body.avatar
        )
        return json_answer(_shown(who, account))

    async def devices(self, request: Request) -> Response:
        """The own devices."""
        who = await self._user(request)
        found = await self._auth.devices(who)
        return json_answer(DevicesAnswer([device_answer(device, who.device) for device in found]))

    async def log_out(self, request: Request) -> Response:
        """Log one of the own devices out: its connections end, its tokens are void."""
        who = await self._user(request)
        device = DeviceId(check(DEVICE, request.path_params["device"], "device"))
        known = {found.device: found for found in await self._auth.devices(who)}
        if device not in known:
            raise NoSuchEntry("no such device")
        self._publish(await self._auth.logout(who, device, epoch=known[device].epoch))
        return json_answer(DeviceGone(device))


def device_answer(device: Device, current: str = "") -> DeviceAnswer:
    """A device as its user is shown it."""
    return DeviceAnswer(
        device=device.device,
        cls=device.cls,
        login_at=device.epoch,
        seen_at=device.seen_at,
        active=device.epoch > device.kicked,
        current=device.device == current,
    )


def _shown(who: Identity, account: User) -> MeAnswer:
    return MeAnswer(
        tenant=account.tenant,
        user=account.user,
        name=account.name,
        avatar=account.avatar,
        admin=who.admin,
        device=who.device,
        created_at=account.created_at,
    )


ME = Doc(summary="The own account", tag="me", answer=MeAnswer, scopes=("send", "send_as"))
CHANGE = Doc(
    summary="Change the own name or picture",
    text="Others see it with their next look at the user.",
    tag="me",
    body=ProfileRequest,
    answer=MeAnswer,
    scopes=("send", "send_as"),
)
DEVICES = Doc(summary="The own devices", tag="me", answer=DevicesAnswer, scopes=("send", "send_as"))
LOG_OUT = Doc(
    summary="Log one of the own devices out",
    text="Its connections end and its tokens are void.",
    tag="me",
    answer=DeviceGone,
    errors=(404,),
    scopes=("send", "send_as"),
)
