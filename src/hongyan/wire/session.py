"""Both halves of a session, sans-IO; see `server_session` and `client_session`."""

from hongyan.wire.client_session import ClientSession
from hongyan.wire.events import (
    Answered,
    Closed,
    Event,
    Opened,
    Refused,
    Request,
    Rows,
    Stale,
    backoff,
    refusal_of,
)
from hongyan.wire.heads import heads_digest
from hongyan.wire.server_session import Outgoing, ServerSession

__all__ = [
    "Answered",
    "ClientSession",
    "Closed",
    "Event",
    "Opened",
    "Outgoing",
    "Refused",
    "Request",
    "Rows",
    "ServerSession",
    "Stale",
    "backoff",
    "heads_digest",
    "refusal_of",
]
