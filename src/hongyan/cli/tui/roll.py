"""The list of conversations as a person sees it: titles, previews, order, who is there. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from hongyan.cli.tui.content import text_of
from hongyan.cli.tui.words import Words
from hongyan.model.ids import LogId, UserId, kind_of
from hongyan.model.log import InboxRow, Role

TYPING_S = 6.0  # a sign of typing counts for so long
SHOWN = ("d", "g")  # kinds of logs that are conversations


class Item(msgspec.Struct, frozen=True, gc=False):
    """One line of the list. `presence` is "" for groups and where it is not known."""

    log: LogId
    title: str
    preview: str
    at: int  # ms, of the last message; 0 = none
    unread: int = 0
    called: bool = False  # an unread message mentions the user
    marked: bool = False
    muted: bool = False
    pinned: bool = False
    presence: str = ""
    typing: bool = False


class People:
    """What is known of other users: names, presence, who types where."""

    def __init__(self) -> None:
        """Nobody is known."""
        self.version = 0  # grows when a name changes
        self.states: dict[str, tuple[str, int]] = {}  # user: state, last seen (ms)
        self._names: dict[str, str] = {}
        self._asked: set[str] = set()
        self._typing: dict[LogId, dict[str, float]] = {}

    def name(self, user: str) -> str:
        """How a user is called; the id while that is not known."""
        return self._names.get(user) or user

    def learn(self, names: Mapping[str, str]) -> bool:
        """Names of users; whether one is new."""
        fresh = {user: name for user, name in names.items() if self._names.get(user) != name}
        self._names.update(fresh)
        self.version += bool(fresh)
        return bool(fresh)

    def ask(self, users: Iterable[str], most: int = 200) -> list[str]:
        """Those of `users` whose names were never asked for; they count as asked now."""
        fresh = [u for u in dict.fromkeys(users) if u and u not in self._asked][:most]
        self._asked.update(fresh)
        return fresh

    def ask_again(self, users: Iterable[str]) -> None:
        """The question failed."""
        self._asked.difference_update(users)

    def known(self) -> list[str]:
        """All user ids heard of, sorted."""
        return sorted(self._asked)

    # --- typing ---------------------------------------------------------------------------------

    def types(self, log: LogId, user: str, on: bool, now: float) -> None:
        """A user types in a log, or stopped."""
        typing = self._typing.setdefault(log, {})
        if on:
            typing[user] = now + TYPING_S
        else:
            typing.pop(user, None)

    def typing(self, log: LogId, now: float) -> list[str]:
        """Who types there now, the longest first."""
        return [user for user, until in self._typing.get(log, {}).items() if until > now]

    def next_stop(self, now: float) -> float | None:
        """When a sign of typing ends; None = nobody types."""
        ends = [u for typing in self._typing.values() for u in typing.values() if u > now]
        return min(ends, default=None)


def peer_of(log: str, me: str) -> UserId:
    """The other side of a direct conversation (oneself, for notes); "" for others."""
    if kind_of(log) != "d":
        return UserId("")
    sides = log.rpartition("/")[2].split("~")
    return UserId(next((user for user in sides if user != me), me))


def settings_of(row: InboxRow) -> dict[str, Any]:
    """The user's own settings of a conversation."""
    return dict(msgspec.json.decode(row.settings))


def title_of(row: InboxRow, me: str, people: People, words: Words) -> str:
    """What the conversation is called for this user."""
    if remark := settings_of(row).get("remark"):
        return str(remark)
    if peer := peer_of(row.log, me):
        return words("notes") if peer == me else people.name(peer)
    return str(msgspec.json.decode(row.state).get("title") or row.log.rpartition("/")[2])


def preview_of(row: InboxRow, me: str, people: People, words: Words) -> str:
    """The last message in one line."""
    if row.last is None:
        return ""
    content = (msgspec.json.decode(row.last.body) or {}).get("content")
    said = " ".join(text_of(content, words).split()) if content else words("recalled_line")
    if row.last.sender == me:
        return f"{words('you')}: {said}"
    return said if kind_of(row.log) == "d" else f"{people.name(row.last.sender)}: {said}"


def items(
    rows: Iterable[InboxRow],
    me: str,
    people: People,
    words: Words,
    *,
    now: float = 0.0,
    touched: Mapping[LogId, int] | None = None,
    drafts: Mapping[LogId, str] | None = None,
    called: Mapping[LogId, int] | None = None,
) -> list[Item]:
    """The list: pinned first, then the newest. `touched` (ms) lifts those opened just now,
    `drafts` are texts begun and not sent, `called` the newest mention seen coming."""
    found = []
    for row in rows:
        if kind_of(row.log) not in SHOWN:
            continue
        settings, peer = settings_of(row), peer_of(row.log, me)
        if settings.get("archived") or (row.last is None and row.role is Role.NONE):
            continue
        begun = (drafts or {}).get(row.log, "")
        preview = preview_of(row, me, people, words)
        item = Item(
            log=row.log,
            title=title_of(row, me, people, words),
            preview=words("draft") + " ".join(begun.split()) if begun else preview,
            at=row.last.at if row.last else 0,
            unread=row.unread,
            called=row.unread > 0
            and (row.mentions > 0 or (called or {}).get(row.log, 0) > row.read),
            marked=row.marked,
            muted=bool(settings.get("mute")),
            pinned=bool(settings.get("pinned")),
            presence=people.states.get(peer, ("", 0))[0] if peer and peer != me else "",
            typing=bool(people.typing(row.log, now)),
        )
        found.append(item)
    lifted = touched or {}
    found.sort(key=lambda i: (not i.pinned, -max(i.at, lifted.get(i.log, 0)), i.title))
    return found
