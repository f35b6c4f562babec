"""Who may download what: short-lived signed links.

A link is asked for by naming where the caller has seen the file: an entry that the caller can
read, an avatar, or an own upload. What the link gives is signed: tenant, digest, name, whether it
may be shown in the page, and until when. Links asked for within half of their life are the same,
so that browsers find pictures in their cache.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import msgspec

from hongyan.engine.files.keep import view_of
from hongyan.engine.files.types import INLINE, clean_name
from hongyan.engine.files.uploads import Files
from hongyan.engine.identity import Identity
from hongyan.engine.limits import KeyedBuckets
from hongyan.engine.sync import Reader, owned
from hongyan.model.errors import (
    BadArgs,
    Forbidden,
    Gone,
    NoSuchEntry,
    NoSuchUser,
    NotAMember,
    Refusal,
    Unauthenticated,
)
from hongyan.model.files import DIGEST, READY, File, digests_in
from hongyan.model.ids import TENANT, USER, LogId, Seq, TenantId, UserId, check, kind_of, user_key
from hongyan.model.kind import Kind
from hongyan.model.log import EDIT, Role
from hongyan.ports import Clock, Directory, Store
from hongyan.wire.frames import Read

MOST = 100  # links asked for at once
SIGNED = 32  # letters of a signature: 192 bits


class LinkItem(msgspec.Struct, frozen=True):
    """Where the caller has seen the file. `digest` may name a preview of the entry or upload;
    `download`: save it, whatever its type."""

    log: str = ""
    seq: int = 0
    digest: str = ""
    user: str = ""
    avatar: bool = False
    upload: str = ""
    download: bool = False


class Link(msgspec.Struct, frozen=True, omit_defaults=True):
    """A path with its signature, or why there is none. `expires_at` in ms."""

    url: str = ""
    expires_at: int = 0
    media_type: str = ""
    size: int = 0
    problem: dict[str, Any] | None = None


class Served(msgspec.Struct, frozen=True):
    """What a link gives."""

    file: File
    name: str
    inline: bool
    expires_at: int


class Links:
    """Signs links and reads them."""

    def __init__(
        self,
        files: Files,
        *,
        secret: bytes,
        store: Store,
        directory: Directory,
        reader: Reader,
        kinds: Mapping[str, Kind],
        clock: Clock,
        asks: KeyedBuckets,
    ) -> None:
        """`secret` is the server's; links are signed with a key made of it."""
        self._files, self._store, self._directory = files, store, directory
        self._reader, self._kinds, self._clock, self._asks = reader, kinds, clock, asks
        self._key = hmac.digest(secret, b"hongyan: links to files", "sha256")

    def now_ms(self) -> int:
        """The clock that links are judged by."""
        return self._clock.now_ms()

    async def make(self, who: Identity, items: Sequence[LinkItem]) -> list[Link]:
        """A link for each item, in this order; one that is refused says why.

        Raises BadArgs (too many), TooFast, Unauthenticated, Forbidden.
        """
        if not who.user:
            raise Unauthenticated("an API key speaks for no user: name one in Hongyan-User")
        if who.scopes and not who.may("read"):
            raise Forbidden("the key lacks the scope read")
        if len(items) > MOST:
            raise BadArgs(f"at most {MOST} links at once")
        self._asks.take(user_key(who.tenant, who.user), self._clock.monotonic())
        seen: dict[tuple[str, int], list[bytes]] = {}
        made = []
        for item in items:
            try:
                digest, name = await self._find(who, item, seen)
                made.append(await self._sign(who.tenant, digest, name, item.download))
            except Refusal as why:
                problem = {"title": type(why).__name__, "code": why.code, "detail": why.text}
                made.append(Link(problem=problem))
        return made

    async def _find(
        self, who: Identity, item: LinkItem, seen: dict[tuple[str, int], list[bytes]]
    ) -> tuple[str, str]:
        """Digest and name of what the caller has a right to. Raises a refusal."""
        if item.upload:
            return await self._of_upload(who, item)
        if item.user:
            user = await self._directory.user(who.tenant, UserId(check(USER, item.user, "user")))
            if user is None:
                raise NoSuchUser
            return _avatar(user.avatar), ""
        if not item.log:
            raise BadArgs("name a log and seq, a user or an upload")
        log = owned(item.log, who.tenant)
        if item.avatar:
            return await self._of_log(who, log), ""
        if not DIGEST.fullmatch(item.digest) or not 0 < item.seq < 1 << 62:
            raise BadArgs("an entry's file is named by log, seq and digest")
        bodies = seen.get((log, item.seq))
        if bodies is None:
            bodies = seen[log, item.seq] = await self._bodies(who, log, item.seq)
        for body in bodies:
            if item.digest in digests_in(body):
                return item.digest, _name_of(item.digest, body)
        raise NoSuchEntry("this entry has no such file")

    async def _bodies(self, who: Identity, log: LogId, seq: int) -> list[bytes]:
        """The entry's body, the newest edit first, as the caller may read them."""
        read = Read(ref=1, log=log, after=Seq(seq - 1), limit=1)
        page = await self._reader.page(who.tenant, who.user, read)
        entry = next((entry for entry in page.entries if entry.seq == seq), None)
        if entry is None or bytes(entry.body) == b"{}":  # erased, hidden, out of reach
            raise NoSuchEntry
        edits = [bytes(e.body) for e in page.amends if e.slot == EDIT and e.target == seq]
        return [*reversed(edits), bytes(entry.body)]

    async def _of_log(self, who: Identity, log: LogId) -> str:
        member = await self._store.member(log, who.user)
        if member is None or member.role is Role.NONE:
            raise NotAMember
        info = await self._store.info(log)
        kind = self._kinds.get(kind_of(log))
        if info is None or kind is None:
            raise NoSuchEntry
        shown = msgspec.json.decode(self._reader.state_view(kind, info.state, member.role))
        return _avatar(shown.get("avatar") if isinstance(shown, dict) else None)

    async def _of_upload(self, who: Identity, item: LinkItem) -> tuple[str, str]:
        upload = await self._files.find(who, item.upload)
        view = view_of(upload)
        if upload.state != READY or view.blob is None:
            raise NoSuchEntry("the upload is not ready")
        if item.digest and item.digest == view.preview:
            return view.preview, ""
        if item.digest and item.digest != view.blob.digest:
            raise NoSuchEntry("this upload has no such file")
        return view.blob.digest, view.blob.name

    async def _sign(self, tenant: TenantId, digest: str, name: str, download: bool) -> Link:
        file = await self._files.records.file(tenant, digest)
        if file is None:
            raise Gone("the file is not kept any more")
        half = self._files.settings.link_s * 500
        expires_at = (self._clock.now_ms() // half + 2) * half
        how = "i" if file.media_type in INLINE and not download else "a"
        name = clean_name(name)
        sign = self._signature(tenant, digest, name, how, expires_at)
        query = {"t": tenant, "n": name, "d": how, "e": str(expires_at), "s": sign}
        url = f"/files/{digest}?{urlencode({k: v for k, v in query.items() if v})}"
        return Link(url, expires_at, file.media_type, file.size)

    def _signature(self, tenant: str, digest: str, name: str, how: str, expires_at: int) -> str:
        text = msgspec.json.encode((tenant, digest, name, how, expires_at))
        return urlsafe_b64encode(hmac.digest(self._key, text, sha256)).decode()[:SIGNED]

    async def open(self, digest: str, query: Mapping[str, str]) -> Served:
        """What a link gives.

        Raises Forbidden (not signed so, or too late), NoSuchEntry (not kept any more).
        """
        tenant, name, how = query.get("t", ""), query.get("n", ""), query.get("d", "")
        until = query.get("e", "")
        expires_at = int(until) if until.isascii() and until.isdigit() and len(until) < 16 else 0
        try:
            wanted = self._signature(tenant, digest, name, how, expires_at)
        except UnicodeEncodeError:  # surrogates
            wanted = ""
        given = query.get("s", "").encode("utf-8", "replace")
        if not wanted or not hmac.compare_digest(wanted.encode(), given):
            raise Forbidden("the link is not signed by this server")
        if expires_at < self._clock.now_ms():
            raise Forbidden("the link has expired: ask for a new one")
        tenant_id = TenantId(check(TENANT, tenant, "tenant"))
        file = await self._files.records.file(tenant_id, digest)
        if file is None:
            raise NoSuchEntry("the file is not kept any more")
        inline = how == "i" and file.media_type in INLINE
        return Served(file, name, inline, expires_at)


def _avatar(digest: object) -> str:
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise NoSuchEntry("there is no picture")
    return digest


def _name_of(digest: str, body: bytes) -> str:
    """The name that stands beside a digest, wherever that is in the body."""
    try:
        waiting: list[Any] = [msgspec.json.decode(body)]
    except msgspec.DecodeError:
        return ""
    while waiting:
        thing = waiting.pop()
        if isinstance(thing, dict):
            if thing.get("digest") == digest:
                name = thing.get("name", "")
                return name if isinstance(name, str) else ""
            waiting += thing.values()
        elif isinstance(thing, list):
            waiting += thing
    return ""
