"""Every refusal of the service, with the code that travels on the wire.

The hundreds digit tells a program what to do, the text tells a person why:

- 1xx mend the client: the same call will fail again;
- 2xx not allowed: authenticate again, or ask somebody for the right;
- 3xx retry later with the same `op_id`; `retry_after_ms` says when where it is known.

Code 100 is a bug of the server: it is logged with its traceback and sent without detail.

    Refusal
    ├── BadRequest (1xx) … BadFrame FrameTooBig BadArgs NoSuchLog NoSuchEntry Clash …
    ├── Denied (2xx) …… Unauthenticated NotAMember RoleTooLow Kicked Blocked …
    └── Transient (3xx) … StoreDown Conflict TooFast Overloaded …
"""

from __future__ import annotations

from typing import ClassVar


class Refusal(Exception):
    """A request the server understood and will not do; its text may be shown to the user."""

    code: ClassVar[int] = 100
    retry: ClassVar[bool] = False
    by_code: ClassVar[dict[int, type[Refusal]]] = {}

    def __init__(self, text: str = "", *, retry_after_ms: int = 0) -> None:
        """`text` says what is wrong and what to do; `retry_after_ms` is 0 where unknown."""
        super().__init__(text or (type(self).__doc__ or "").strip())
        self.retry_after_ms = retry_after_ms

    def __init_subclass__(cls, *, code: int = 0) -> None:
        """Register `code`; a code means one class only, for ever."""
        if not code:
            return
        if (other := Refusal.by_code.setdefault(code, cls)) is not cls:
            raise TypeError(f"wire code {code} already means {other.__name__}")
        cls.code, cls.retry = code, 300 <= code < 400

    @property
    def text(self) -> str:
        """The human text."""
        return str(self.args[0])


class BadRequest(Refusal):
    """Mend the client: the same call will fail again."""


class Denied(Refusal):
    """Not allowed: authenticate again, or ask somebody for the right."""


class Transient(Refusal):
    """Retry later with the same op_id."""


class BadFrame(BadRequest, code=101):
    """The bytes are not a frame of this protocol."""


class FrameTooBig(BadRequest, code=102):
    """The message is larger than the server takes."""


class UnknownFrame(BadRequest, code=103):
    """No frame has this tag; the server may be older than the client."""


class OutOfState(BadRequest, code=104):
    """This frame is not allowed now: hello comes first and only once."""


class UnknownCall(BadRequest, code=105):
    """This kind of log has no call of that name."""


class BadArgs(BadRequest, code=106):
    """The arguments do not fit the call; the text names the field."""


class BadId(BadRequest, code=107):
    """A tenant, user, device, log or op id has characters or a length that are not allowed."""


class NoSuchLog(BadRequest, code=108):
    """There is no such log, or the caller may not know of it."""


class NoSuchEntry(BadRequest, code=109):
    """There is no entry at this seq that the caller may see."""


class Clash(BadRequest, code=110):
    """This op_id was used before with another payload; nothing was stored."""


class TooLate(BadRequest, code=111):
    """The time for this change has passed."""


class BadState(BadRequest, code=112):
    """The conversation is in a state in which this cannot be done."""


class Full(BadRequest, code=113):
    """A limit of the conversation is reached; the text says which."""


class NoSuchUser(BadRequest, code=114):
    """There is no such user."""


class UnsupportedVersion(BadRequest, code=115):
    """This protocol version is not spoken here; the text names those that are."""


class BadOffset(BadRequest, code=120):
    """The upload goes on at another place: ask where (HEAD), and send from there."""


class BadChecksum(BadRequest, code=121):
    """The bytes are not those the checksum was made of; they were thrown away, send them again."""


class Gone(BadRequest, code=122):
    """It was here and is not any more: an upload that expired or was ended."""


class BadFile(BadRequest, code=123):
    """The file is broken, is not what it must be, or its type is not taken here."""


class Unauthenticated(Denied, code=201):
    """The token is missing, wrong or expired: get a new one and say hello again."""


class NotAMember(Denied, code=202):
    """The caller is not a member of this conversation."""


class RoleTooLow(Denied, code=203):
    """The caller's role does not allow this."""


class Muted(Denied, code=204):
    """The caller may not speak here now."""


class Blocked(Denied, code=205):
    """The other side does not take messages from the caller."""


class Kicked(Denied, code=206):
    """A newer login took this device's place: do not reconnect by itself, ask the person."""


class Disabled(Denied, code=207):
    """The account is disabled."""


class WrongPassword(Denied, code=208):
    """User or password is wrong."""


class Forbidden(Denied, code=209):
    """The key or token does not carry the right for this."""


class RefusedByHook(Denied, code=210):
    """The operator's own back end was asked and refused this; the text is what it says."""


class Unwanted(Denied, code=211):
    """The text holds words that are not wanted here; say it in others."""


class StoreDown(Transient, code=301):
    """The outcome is unknown: retry with the same op_id, never with a new one."""


class Conflict(Transient, code=302):
    """Others changed the conversation at the same time, again and again; retry."""


class TooFast(Transient, code=303):
    """A rate limit is reached; `retry_after_ms` says when the next call is taken."""


class Overloaded(Transient, code=304):
    """The server sheds load; retry after `retry_after_ms`."""


class TooManyInFlight(Transient, code=305):
    """More calls are waiting for an answer than `welcome.limits.window` allows."""


class GoingAway(Transient, code=306):
    """The server is closing: reconnect after `retry_after_ms`."""


class TooSlow(Transient, code=307):
    """The connection did not take what was sent in time: reconnect and sync."""


class Replaced(Transient, code=308):
    """The same device opened a newer connection; this one is closed."""


class TimedOut(Transient, code=309):
    """No frame came within the heartbeat: the connection is taken for dead."""


class HookDown(Transient, code=310):
    """The operator's own back end must be asked first and does not answer; retry."""


class UploadBusy(Transient, code=320):
    """Another request sends bytes to this upload now."""
