"""From an entry to the event that a back end gets: which ones, under what name, in what form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import msgspec

from hongyan.model.errors import BadArgs
from hongyan.model.ids import LogId, TenantId, hashed_name, kind_of
from hongyan.model.kind import Kind
from hongyan.model.log import Entry
from hongyan.ports import FeedItem

PRIVATE = "self"  # the kind of users' own logs: only who asks for it by name gets it
MOST_FILTERS = 32
MOST_FILTER = 64  # characters of one

_encode = msgspec.json.Encoder().encode


class Event(msgspec.Struct, frozen=True, gc=False):
    """What happened. `id` is the same each time the event is sent."""

    id: str
    type: str  # kind.entry type: direct.message, group.joined …
    timestamp: str  # of the commit, RFC 3339
    tenant: TenantId
    log: LogId
    entry: Entry


class Wanted:
    """Which entries somebody wants: of one tenant, of some kinds, of some types."""

    def __init__(
        self, tenant: TenantId, kinds: Iterable[str], types: Iterable[str], known: Mapping[str, str]
    ) -> None:
        """`kinds` by name; `known` are the names by code."""
        asked = set(kinds)
        codes = [
            code for code, name in known.items() if (name in asked if asked else name != PRIVATE)
        ]
        self._prefixes = tuple(f"{tenant}/{code}/" for code in codes)
        self._types = frozenset(types)

    def takes(self, item: FeedItem) -> bool:
        """Whether this entry is one of them."""
        return item.log.startswith(self._prefixes) and (
            not self._types or item.entry.type in self._types
        )


def names_of(kinds: Mapping[str, Kind]) -> dict[str, str]:
    """The names of kinds by their codes."""
    return {code: kind.name for code, kind in kinds.items()}


def check_filters(kinds: tuple[str, ...], types: tuple[str, ...], known: Mapping[str, str]) -> None:
    """Raises BadArgs for a kind there is not, and for too many or too long types."""
    for kind in kinds:
        if kind not in known.values():
            raise BadArgs(f"kinds are some of {', '.join(sorted(known.values()))}")
    if len(types) > MOST_FILTERS or any(not 0 < len(text) <= MOST_FILTER for text in types):
        raise BadArgs(f"types are at most {MOST_FILTERS} names of 1 to {MOST_FILTER} characters")


def event_of(item: FeedItem, known: Mapping[str, str]) -> Event:
    """The event of an entry. The id depends on log and seq only."""
    code = kind_of(item.log)
    return Event(
        id="msg_" + hashed_name("event", item.log, str(item.entry.seq)),
        type=f"{known.get(code, code)}.{item.entry.type}",
        timestamp=iso(item.entry.at),
        tenant=TenantId(item.log.partition("/")[0]),
        log=item.log,
        entry=item.entry,
    )


def iso(ms: int) -> str:
    """RFC 3339 with milliseconds, UTC."""
    moment = datetime.fromtimestamp(ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def body_of(event: object) -> bytes:
    """As JSON."""
    return bytes(_encode(event))
