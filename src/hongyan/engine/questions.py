"""Frames that ask: read, sync, query, subscribe. Each method gives the frame that answers."""

from __future__ import annotations

from typing import Any

import msgspec

from hongyan.engine.live.viewing import Viewing
from hongyan.engine.logs import LogCache
from hongyan.engine.notify import Notifier
from hongyan.engine.peer import Peer
from hongyan.engine.queries import PresenceQuery, Queries
from hongyan.engine.sync import Reader, owned
from hongyan.model.errors import GoingAway, NotAMember, Overloaded
from hongyan.model.ids import Seq, UserId
from hongyan.model.log import Role
from hongyan.wire import frames as f

MOST_MUTED = 1000  # logs that one connection may have unsubscribed


class Questions:
    """What an open session may ask. A refusal is raised; the gateway makes it a `fail`."""

    def __init__(
        self,
        reader: Reader,
        queries: Queries,
        notifier: Notifier,
        cache: LogCache,
        viewing: Viewing | None = None,
    ) -> None:
        """Keeps nothing of its own."""
        self._viewing = viewing
        self._reader, self._queries = reader, queries
        self._notifier, self._cache = notifier, cache

    async def read(self, peer: Peer, read: f.Read) -> f.Frame:
        """A range of a log. Raises BadArgs, NoSuchLog, NotAMember, StoreDown."""
        tenant, user = _who(peer)
        if self._viewing is not None:
            user = self._viewing.reads_as(peer, read.log, user)
        return await self._reader.page(tenant, user, read)

    async def sync(self, peer: Peer, sync: f.Sync) -> f.Frame:
        """Inbox rows. Raises BadArgs, StoreDown."""
        page = await self._reader.inbox(
            *_who(peer),
            after=sync.after,
            upto=sync.upto,
            limit=sync.limit,
            large=sync.large,
        )
        return f.Inbox(page=page, ref=sync.ref)

    async def query(self, peer: Peer, query: f.Query) -> f.Frame:
        """The answer to a query; `presence` may begin to watch. Raises its refusal."""
        caller = peer.caller
        assert caller is not None
        body = await self._queries.answer(caller, query)
        if query.name == "presence":
            asked = msgspec.json.decode(bytes(query.args), type=PresenceQuery)
            if asked.watch:
                states = msgspec.json.decode(body)["presence"]  # whom the caller may know of
                if peer.closing:
                    raise GoingAway("the connection is gone")  # it would watch for ever
                self._notifier.watch(peer, [UserId(state["user"]) for state in states])
        return f.Result(ref=query.ref, body=msgspec.Raw(body))

    async def subscribe(self, peer: Peer, frame: f.Subscribe) -> f.Frame:
        """Push this log to this connection again. Raises NotAMember, NoSuchLog."""
        log = owned(frame.log, _who(peer)[0])
        state = await self._cache.load(log)
        if state.kind.live is not None and self._viewing is not None:
            return await self._viewing.subscribe(peer, frame, log)
        member = await self._cache.member(state, _who(peer)[1])
        if member is None or member.role is Role.NONE:
            raise NotAMember()
        peer.muted.discard(log)
        return f.Ack(ref=frame.ref, log=log, seq=state.head)

    async def unsubscribe(self, peer: Peer, frame: f.Unsubscribe) -> f.Frame:
        """Push this log to this connection no more. Raises Overloaded."""
        log = owned(frame.log, _who(peer)[0])
        if self._viewing is not None and self._viewing.logs.leave(log, peer):
            return f.Ack(ref=frame.ref, log=log, seq=Seq(0))
        if len(peer.muted) >= MOST_MUTED:
            raise Overloaded(f"{MOST_MUTED} logs are unsubscribed already")
        peer.muted.add(log)
        return f.Ack(ref=frame.ref, log=log, seq=Seq(0))


def _who(peer: Peer) -> tuple[Any, Any]:
    caller = peer.caller
    assert caller is not None
    return caller.tenant, caller.user
