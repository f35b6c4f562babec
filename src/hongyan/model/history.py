"""A log with all that stands in it, as a checker reads it from outside."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from hongyan.model.ids import LogId, Seq, UserId
from hongyan.model.log import Entry


class KeptMember(msgspec.Struct, frozen=True, gc=False):
    """A member as it is kept; `unread` is the count that the server shows to it."""

    user: UserId
    since: Seq
    until: Seq
    read: Seq
    cleared: Seq
    unread: int


class KeptLog(msgspec.Struct, frozen=True):
    """A log as it is kept; `entries` are those from `floor` to `head`."""

    log: LogId
    head: Seq
    floor: Seq
    entries: list[Entry]
    erased: frozenset[Seq]
    hidden: Mapping[UserId, frozenset[Seq]]
    members: list[KeptMember]
