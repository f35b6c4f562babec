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
from hongyan.wire.send_queue import Batch, Outgoing, SendQueue
from hongyan.wire.server_session import ServerSession

__all__ = [
    "Answered",
    "Batch",
    "ClientSession",
    "Closed",
    "Event",
    "Opened",
    "Outgoing",
    "Refused",
    "Request",
    "Rows",
    "SendQueue",
    "ServerSession",
    "Stale",
    "backoff",
    "heads_digest",
    "refusal_of",
]
