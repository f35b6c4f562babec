"""`hongyan serve --demo`: people and conversations to look at, and links that log in.

Loopback only and nothing kept, so nobody has to invent passwords to have a look.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any

import msgspec

from hongyan.app import Node, Server
from hongyan.cli.demo_pictures import PICTURES
from hongyan.cli.demo_script import PEOPLE, SHOWS, TALKS, Said, Show, Talk
from hongyan.config import Config, ConfigError
from hongyan.engine.identity import Identity
from hongyan.model.files import READY
from hongyan.model.ids import LogId, OpId, Seq, TenantId, UserId
from hongyan.wire.codec import canonical
from hongyan.wire.frames import Ack, Call, Cursor

MAIN = TenantId("main")
LINK_S = 12 * 3600.0
UPLOAD_S = 30.0
SHOWN = ("alice", "bob")  # each gets a host name of its own, so that their cookies stay apart
HOSTS = ("127.0.0.1", "localhost")
SETTINGS: Mapping[str, object] = {
    "accounts.registration": True,
    "accounts.listed": True,
    "kinds.room.gifts": "users",  # nothing is paid here
}


@contextmanager
def demo_directory() -> Iterator[str]:
    """A data directory that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="hongyan-demo-") as folder:
        yield folder


def check_demo(config: Config) -> None:
    """Raises ConfigError where somebody else could come in by the links."""
    host = config.server.host
    try:
        loopback = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ConfigError(f"--demo serves this machine only, not {host}: leave --host out")


async def furnish(server: Server) -> list[tuple[str, str]]:
    """Make the people and play what they said; (name, link) of those to log in as.

    Safe to repeat on the same data: every call has its own op.
    """
    node = server.node
    await _people(node)
    for number, talk in enumerate(TALKS):
        await _Stage(node, talk, number).play()
    for show in SHOWS:
        await _broadcast(node, show)
    names = {person.user: person.name for person in PEOPLE}
    links = []
    for user, host in zip(SHOWN, HOSTS, strict=True):
        code = node.sessions.make_pass(MAIN, UserId(user), ttl_s=LINK_S, uses=1_000_000)
        links.append((names[user], f"http://{host}:{server.port}/#enter={code}"))
    return links


async def _people(node: Node) -> None:
    boss = Identity(tenant=MAIN, user=UserId(""), epoch=1, admin=True)
    known = {
        account.user
        for account in await node.authenticator.accounts.list_users(boss, after="", limit=1000)
    }
    for person in PEOPLE:
        if person.user not in known:
            await node.authenticator.accounts.register(
                MAIN, person.user, "", name=person.name, admin=person.admin, by=boss
            )


class _Stage:
    """Plays one conversation."""

    def __init__(self, node: Node, talk: Talk, number: int) -> None:
        self._node, self._talk, self._number = node, talk, number
        self._log = LogId("")
        self._step = 0
        self._seqs = [Seq(0)]  # of what was said, from 1
        self._last = Seq(0)

    async def play(self) -> None:
        talk = self._talk
        if talk.title:
            ack = await self._call(
                talk.members[0],
                "chat.create",
                {"title": talk.title, "members": talk.members[1:], "history_visible": True},
            )
            self._log = ack.log
            if talk.notice:
                await self._call(talk.members[0], "chat.update", {"notice": talk.notice})
        else:
            opened = await self._call(talk.members[0], "chat.open", {"user": talk.members[1]})
            self._log = opened.log
        for said in talk.said:
            await self._say(said)
        for user, settings in talk.settings.items():
            await self._call(user, "chat.settings", settings)
        for user in talk.read_by:
            cursor = Cursor(log=self._log, read=self._last, ref=1)
            await self._node.gateway.cursor(_as(user), cursor)

    async def _say(self, said: Said) -> None:
        if said.react:
            args = {"seq": self._seqs[said.on], "emoji": said.react}
            await self._call(said.by, "chat.react", args)
            return
        content: dict[str, Any] = {"type": "text", "text": said.text}
        if said.picture:
            content = await _picture(self._node, said.by, said.picture)
        args = {"content": content, "mentions": said.mentions}
        if said.to:
            args["reply_to"] = self._seqs[said.to]
        await self._call(said.by, "chat.send", args)
        self._seqs.append(self._last)

    async def _call(self, user: str, name: str, args: Mapping[str, Any]) -> Ack:
        self._step += 1
        call = Call(
            ref=1,
            name=name,
            op=OpId(f"demo-{self._number}-{self._step}"),
            log=self._log,
            args=canonical(msgspec.json.encode(args)),
        )
        ack = await self._node.gateway.call(_as(user), call)
        self._last = max(self._last, ack.seq)
        return ack


async def _broadcast(node: Node, show: Show) -> None:
    """Open a live room, with order kept and something said."""
    log, step = LogId(""), 0

    async def call(
        user: str, name: str, args: Mapping[str, Any], op: str = "", *, paid: bool = False
    ) -> Ack:
        nonlocal step
        step += 1
        made = Call(
            ref=1,
            name=name,
            op=OpId(op or f"demo-{show.name}-{step}"),
            log=log,
            args=canonical(msgspec.json.encode(args)),
        )
        # what is paid for comes from a back end, whatever the setting says of users
        who = msgspec.structs.replace(_as(user), admin=True) if paid else _as(user)
        return await node.gateway.call(who, made)

    created = {"title": show.title, "name": show.name, "guests": True}
    log = (await call(show.host, "room.create", created)).log
    for user in show.moderators:
        await call(show.host, "room.appoint", {"user": user})
    await call(show.host, "room.pin", {"text": show.pinned})
    await call(show.host, "room.announce", {"text": show.announced})
    for said in show.said:
        await call(said.by, "room.say", {"text": said.text, "media_ms": said.media_ms})
    for user, gift, count, value in show.gifts:
        order = f"demo-{user}-{gift}"
        args = {"order": order, "gift": gift, "count": count, "value": value}
        await call(user, "room.gift", args, op=order, paid=True)


async def _picture(node: Node, user: str, name: str) -> dict[str, Any]:
    """The content of a message with this picture, uploaded as any other."""
    if node.files is None:
        return {"type": "text", "text": "(The picture that belongs here needs files.enabled.)"}
    files, who = node.files.files, _as(user)
    file, draw = PICTURES[name]
    data = draw()

    async def pieces() -> AsyncIterator[bytes]:
        yield data

    upload = await files.create(who, len(data), file, "image/jpeg")
    upload = await files.receive(who, upload.id, 0, pieces(), length=len(data))
    upload = await files.settled(upload, UPLOAD_S)
    made = msgspec.json.decode(upload.result or b"{}")
    if upload.state != READY:
        raise ConfigError(f"the demonstration's picture was not taken: {made}")
    return {
        "type": "image",
        "blob": made["blob"],
        "width": made["width"],
        "height": made["height"],
        "preview": made["preview"],
    }


def _as(user: str) -> Identity:
    return Identity(tenant=MAIN, user=UserId(user), epoch=1)
