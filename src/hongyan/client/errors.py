"""What goes wrong on the client's side. What the server refuses is in `hongyan.model.errors`.

Refusal
├── Transient … Offline
└── BadRequest … OutboxFull  WrongUser  DataInUse  DataBroken
Closed, LogCut (not refusals: nobody was asked)
"""

from __future__ import annotations

from hongyan.client.replica import Cut
from hongyan.model.errors import BadRequest, Denied, Refusal, Transient
from hongyan.model.ids import LogId


class Offline(Transient):
    """There was no connection in time; nothing was sent. Ask again when connected."""

    retry = True


class OutboxFull(BadRequest):
    """Too many calls wait to be sent; nothing was queued. Wait for some to be acknowledged."""


class WrongUser(BadRequest):
    """The token is of another user than the data file: use one file per user and device."""


class DataInUse(BadRequest):
    """Another process, or another client of this one, has the data file open."""


class DataBroken(BadRequest):
    """The data file cannot be used: it is damaged, not writable, full or of a newer version."""


class Closed(Exception):
    """The client was closed while somebody waited. With a data file the call stays in the
    outbox and is sent by the next client that opens it."""


class LogCut(Exception):
    """Entries between what was read and what comes next cannot be read any more.

    Start again at `cut.high`. See `Cut` for the reasons.
    """

    def __init__(self, log: LogId, cut: Cut) -> None:
        """Of `log`, the entries named by `cut`."""
        super().__init__(f"{log}: entries {cut.low} to {cut.high} are gone ({cut.reason})")
        self.log = log
        self.cut = cut


def refusal(code: int, text: str, retry_after_ms: int = 0) -> Refusal:
    """The exception for a code from the wire.

    An unknown code becomes the class of its hundreds digit, with that code on the instance, so
    that old clients do the right thing with refusals that were invented after them.
    """
    known = Refusal.by_code.get(code)
    if known is not None:
        return known(text, retry_after_ms=retry_after_ms)
    family = {1: BadRequest, 2: Denied, 3: Transient}.get(code // 100, Refusal)
    error = family(text, retry_after_ms=retry_after_ms)
    error.code = code  # type: ignore[misc]  # the class keeps its own
    error.retry = family is Transient  # type: ignore[misc]
    return error
