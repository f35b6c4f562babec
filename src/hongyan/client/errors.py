"""What goes wrong on the client's side. What the server refuses is in `hongyan.model.errors`.

Refusal
├── Transient … Offline
└── BadRequest … OutboxFull  WrongUser  DataInUse  DataBroken
Closed, LogCut (not refusals: nobody was asked)
"""

from __future__ import annotations

from hongyan.client.replica import Cut
from hongyan.model.errors import BadRequest, Transient
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
