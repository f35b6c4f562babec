"""Questions that are not a range of entries: members, receipts, search, presence, devices.

Every answer is JSON and limited to what the asking user may see.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Literal

import msgspec

from hongyan.engine.callers import Caller
from hongyan.engine.live.viewing import Viewing
from hongyan.engine.presence import Presence
from hongyan.engine.sync import Reader, owned
from hongyan.model.errors import BadArgs, Forbidden, NoSuchLog, NotAMember, UnknownCall
from hongyan.model.ids import LogId, Seq, UserId, kind_of, log_id, pair_name
from hongyan.model.kind import Kind, settings_of
from hongyan.model.log import Member, Role
from hongyan.ports import Clock, Directory, Mark, Search, Store
from hongyan.wire.frames import Query


class Members(msgspec.Struct, frozen=True, tag="members"):
    """Members of a log by user id, after `after`."""

    after: str = ""
    limit: int = 100


class LogQuery(msgspec.Struct, frozen=True, tag="log"):
    """The caller's row of a log, with the state its role may see."""


class Receipts(msgspec.Struct, frozen=True, tag="receipts"):
    """Who has got and who has read an entry: names in small logs, counts in larger ones."""

    seq: Seq


class SearchQuery(msgspec.Struct, frozen=True, tag="search"):
    """Entries with all words of `text`, newest first; log "" = all the caller's logs."""

    text: str
    before: int = 1 << 62
    limit: int = 20


class PresenceQuery(msgspec.Struct, frozen=True, tag="presence"):
    """Presence of users the caller has a direct conversation with; `watch`: tell me changes."""

    users: tuple[UserId, ...]
    watch: bool = False


class Devices(msgspec.Struct, frozen=True, tag="devices"):
    """The caller's own devices."""


class Users(msgspec.Struct, frozen=True, tag="users"):
    """Name and avatar of users by id."""

    ids: tuple[UserId, ...]


class People(msgspec.Struct, frozen=True, tag="people"):
    """Users to talk to: whose id is `text`, and where accounts are listed those whose id, or a
    word of whose name, begins with it."""

    text: str
    limit: int = 20


class Settings(msgspec.Struct, frozen=True, tag="settings"):
    """What the operator set for logs of this kind, as far as it changes what a page offers."""


class Danmaku(msgspec.Struct, frozen=True, tag="danmaku"):
    """What was said in a live log and kept, from `from_ms` to before `to_ms`: of the recording, or
    by the clock. Ask on with `after` of the answer while there is `more`."""

    from_ms: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
    to_ms: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
    by: Literal["media", "time"] = "media"
    after: Mark = (-1, 0, 0)
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 200


class Rooms(msgspec.Struct, frozen=True, tag="rooms"):
    """The rooms that want to be found, the hottest first. Ask on with `after` of the answer while
    there is `more`: heat changes, so a room may come twice, or stand on a page seen already."""

    after: tuple[int, str] | None = None  # heat and log of the last one
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 20


ROOM = "r"  # the kind whose logs are rooms
MAX_PEOPLE = 50  # found by one query
MAX_ASKED = 200  # users in one query
SEARCH_STEPS = 20  # pages of the index one search may look through

Asked = (
    Members
    | LogQuery
    | Receipts
    | SearchQuery
    | PresenceQuery
    | Devices
    | Users
    | People
    | Danmaku
    | Rooms
    | Settings
)


class Queries:
    """Answers queries by name."""

    def __init__(
        self,
        *,
        store: Store,
        directory: Directory,
        search: Search,
        presence: Presence,
        reader: Reader,
        kinds: Mapping[str, Kind],
        clock: Clock,
        settings: Mapping[str, Mapping[str, Any]],
        listed: bool = False,
        viewing: Viewing | None = None,
    ) -> None:
        """`kinds` by code, `settings` by kind name over the kind's defaults. `listed`: users may
        look for each other. Without `viewing` there are no replays."""
        self._viewing = viewing
        self._listed = listed
        self._store, self._directory, self._search = store, directory, search
        self._presence, self._reader, self._kinds = presence, reader, kinds
        self._clock = clock
        self._settings = settings_of(kinds, settings)
        self._answers: dict[str, tuple[Any, Callable[[Caller, LogId, Any], Awaitable[Any]]]] = {
            "members": (msgspec.json.Decoder(Members), self._members),
            "log": (msgspec.json.Decoder(LogQuery), self._log),
            "receipts": (msgspec.json.Decoder(Receipts), self._receipts),
            "search": (msgspec.json.Decoder(SearchQuery), self._find),
            "presence": (msgspec.json.Decoder(PresenceQuery), self._states),
            "devices": (msgspec.json.Decoder(Devices), self._devices),
            "users": (msgspec.json.Decoder(Users), self._users),
            "people": (msgspec.json.Decoder(People), self._people),
            "danmaku": (msgspec.json.Decoder(Danmaku), self._danmaku),
            "rooms": (msgspec.json.Decoder(Rooms), self._rooms),
            "settings": (msgspec.json.Decoder(Settings), self._told),
        }

    async def answer(self, caller: Caller, query: Query) -> bytes:
        """The answer as JSON. Raises UnknownCall, BadArgs and what the query names."""
        plan = self._answers.get(query.name)
        if plan is None:
            raise UnknownCall(f"no query {query.name[:40]!r}")
        decoder, work = plan
        try:
            asked = decoder.decode(bytes(query.args) or b"{}")
        except (msgspec.DecodeError, RecursionError) as exc:
            raise BadArgs(f"{query.name}: {exc}") from None
        log = owned(query.log, caller.tenant) if query.log else LogId("")
        return msgspec.json.encode(await work(caller, log, asked))

    async def _member(self, caller: Caller, log: LogId) -> Member:
        """The caller as a present member. Raises NoSuchLog, NotAMember."""
        if not log:
            raise BadArgs("this query needs a log")
        member = await self._store.member(log, caller.user)
        if member is None or not member.role:
            if await self._store.info(log) is None:
                raise NoSuchLog(f"no log {log}")
            raise NotAMember()
        return member

    async def _danmaku(self, caller: Caller, log: LogId, asked: Danmaku) -> Any:
        viewing = self._viewing
        if viewing is None or viewing.archiver is None or not log:
            raise BadArgs("this query needs a live log")
        await viewing.admitted(caller, log)
        found = await viewing.archiver.archive.page(
            log,
            asked.from_ms,
            asked.to_ms,
            media=asked.by == "media",
            after=asked.after,
            limit=asked.limit + 1,
        )
        more = len(found) > asked.limit
        del found[asked.limit :]
        last = found[-1] if found else None
        ms = 0 if last is None else last.media_ms if asked.by == "media" else last.at
        after = (ms, *last.key) if last is not None else asked.after
        return {"items": found, "more": more, "after": after}

    async def _rooms(self, caller: Caller, log: LogId, asked: Rooms) -> Any:
        viewing = self._viewing
        found = viewing.crowds.listed(f"{caller.tenant}/{ROOM}/") if viewing is not None else []
        after = asked.after
        if after is not None:
            found = [one for one in found if (-one.heat, one.log) > (-after[0], after[1])]
        page = found[: asked.limit]
        rooms = [
            {"log": one.log, "heat": one.heat, "online": one.online, **one.about} for one in page
        ]
        last = (page[-1].heat, page[-1].log) if page else after
        return {"rooms": rooms, "more": len(found) > len(page), "after": last}

    async def _told(self, caller: Caller, log: LogId, asked: Settings) -> Any:
        kind = self._kinds.get(kind_of(log)) if log else None
        if kind is None:
            raise BadArgs("this query needs a log")
        settings = self._settings[kind.code]
        return {"settings": {key: settings[key] for key in kind.told}}

    async def _members(self, caller: Caller, log: LogId, asked: Members) -> Any:
        await self._member(caller, log)
        if not 1 <= asked.limit <= 1000:
            raise BadArgs("limit must be 1 to 1000")
        found = await self._store.members(log, after=asked.after, limit=asked.limit + 1)
        page = found[: asked.limit]
        return {"members": page, "more": len(found) > len(page)}

    async def _log(self, caller: Caller, log: LogId, asked: LogQuery) -> Any:
        if not log:
            raise BadArgs("this query needs a log")
        rows = await self._reader.rows(caller.tenant, caller.user, [log])
        if not rows:
            raise NotAMember() if await self._store.info(log) else NoSuchLog(f"no log {log}")
        return rows[0]

    async def _receipts(self, caller: Caller, log: LogId, asked: Receipts) -> Any:
        await self._member(caller, log)
        kind = self._kinds[kind_of(log)]
        info = await self._store.info(log)
        count = info.count if info else 0
        settings = self._settings[kind.code]
        if not kind.receipts or count > settings.get("receipt_counts", 5000):
            return {"mode": "off", "members": count}
        delivered, read = await self._store.receipt_counts(log, asked.seq)
        answer = {"mode": "counts", "members": count, "delivered": delivered, "read": read}
        most = settings.get("receipt_names", 100)
        if count <= most:
            everyone = await self._store.receipts(log, limit=most)
            answer["mode"] = "names"
            answer["read_by"] = [r.user for r in everyone if r.read >= asked.seq]
            answer["delivered_to"] = [r.user for r in everyone if r.delivered >= asked.seq]
        return answer

    async def _find(self, caller: Caller, log: LogId, asked: SearchQuery) -> Any:
        if not 1 <= asked.limit <= 100:
            raise BadArgs("limit must be 1 to 100")
        if log:
            await self._log(caller, log, LogQuery())
        before, found = asked.before, []
        for _ in range(SEARCH_STEPS):
            hits = await self._search.find(
                caller.tenant, asked.text, log=log or None, before=before, limit=100
            )
            picked = await self._store.pick(
                caller.tenant, caller.user, [(hit.log, hit.seq) for hit in hits]
            )
            seen = {(where, entry.seq): entry for where, entry in picked}
            for hit in hits:
                before = hit.pos
                if (entry := seen.get((hit.log, hit.seq))) is not None:
                    found.append({"log": hit.log, "entry": entry, "pos": hit.pos})
                    if len(found) == asked.limit:
                        return {"hits": found, "before": before, "more": True}
            if len(hits) < 100:
                # Not the place of the last hit looked at: it would tell what others wrote.
                seen_to = found[-1]["pos"] if found else asked.before
                return {"hits": found, "before": seen_to, "more": False}
        return {"hits": found, "before": before, "more": True}

    async def _states(self, caller: Caller, log: LogId, asked: PresenceQuery) -> Any:
        if len(asked.users) > MAX_ASKED:
            raise BadArgs(f"at most {MAX_ASKED} users")
        return {"presence": await self.allowed_states(caller, asked.users)}

    async def allowed_states(self, caller: Caller, users: tuple[UserId, ...]) -> list[Any]:
        """State and last_seen of those of `users` the caller may know of; the rest is left out.

        Who shares a direct conversation with the caller, and is still in it, may be known.
        """
        logs = {log_id(caller.tenant, "d", pair_name(caller.user, user)): user for user in users}
        rows = await self._store.rows(caller.tenant, caller.user, list(logs))
        now = self._clock.monotonic()
        return [
            {"user": logs[row.log], **self._presence.look(caller.tenant, logs[row.log], now)}
            for row in rows
            if row.role is not Role.NONE
        ]

    async def _devices(self, caller: Caller, log: LogId, asked: Devices) -> Any:
        return {"devices": await self._directory.devices(caller.tenant, caller.user)}

    async def _users(self, caller: Caller, log: LogId, asked: Users) -> Any:
        if len(asked.ids) > MAX_ASKED:
            raise BadArgs(f"at most {MAX_ASKED} users")
        if not caller.user:
            raise Forbidden("not with this key")
        found = await self._directory.users(caller.tenant, asked.ids)
        return {"users": [{"user": u.user, "name": u.name, "avatar": u.avatar} for u in found]}

    async def _people(self, caller: Caller, log: LogId, asked: People) -> Any:
        if not 1 <= asked.limit <= MAX_PEOPLE:
            raise BadArgs(f"limit must be 1 to {MAX_PEOPLE}")
        text = asked.text.strip()
        exact = await self._directory.users(caller.tenant, [UserId(text)]) if text else []
        found = {user.user: user for user in exact if not user.disabled}
        if self._listed:
            more = await self._directory.find_users(caller.tenant, text, limit=asked.limit)
            found = {**found, **{user.user: user for user in more}}
        shown = [{"user": u.user, "name": u.name, "avatar": u.avatar} for u in found.values()]
        return {"users": shown[: asked.limit]}
