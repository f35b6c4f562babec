"""Say, forward, edit and recall."""

from __future__ import annotations

import msgspec

from hongyan.model.errors import BadArgs, BadState, NoSuchEntry, RoleTooLow, TooLate, Unwanted
from hongyan.model.ids import LogId, Seq, UserId, tenant_of
from hongyan.model.kind import NOTHING, Append, Context, Decision, Needs, Rule
from hongyan.model.log import EDIT, MAX_COMMIT_BYTES, MAX_WRITES, Entry, Role
from hongyan.slices.chat import commands as c
from hongyan.slices.chat.bodies import Message, Origin, Recalled, Reply
from hongyan.slices.chat.content import Content, MergedContent, MergedItem, words
from hongyan.slices.chat.guards import (
    RECALL,
    alive,
    body_of,
    fits,
    measured,
    message,
    one_entry,
    pair,
    present,
    rank,
    speak,
)
from hongyan.slices.chat.state import Direct, Group

MAX_DEPTH = 4  # bundles inside bundles
_decode_message = msgspec.json.Decoder(Message).decode


# --- send -------------------------------------------------------------------------------------


def send_needs(say: c.Send, ctx: Context) -> Needs:
    """Nothing but the block lists for most messages."""
    selves, judge = pair(ctx), _to_judge(say.content, ctx)
    if not (selves or say.reply_to or say.mentions or judge):
        return NOTHING
    entries = () if say.reply_to is None else (say.reply_to,)
    return Needs(entries=entries, members=_users(say.mentions), selves=selves, judge=judge)


def _to_judge(content: Content, ctx: Context) -> str:
    """What the word filter has to look at; the operator says whether it does."""
    return words(content) if ctx.settings["refuse_unwanted"] else ""


def _wanted(ctx: Context) -> None:
    if ctx.words and not (ctx.admin or ctx.backend):
        raise Unwanted("the text holds words that are not wanted here")


def send(state: Direct | Group, say: c.Send, ctx: Context) -> Decision:
    """Add a message. Mentions of people who are not here are left out: an outbox may be older
    than the list of members, and the words are still worth saying."""
    speak(state, ctx)
    _wanted(ctx)
    if say.mention_all:
        _may_call_all(state, ctx)
    mentions = _mentions(say.mentions, ctx) if say.mentions else ()
    body = Message(
        content=say.content,
        reply=_reply(say, ctx),
        mentions=mentions,
        mention_all=say.mention_all,
        silent=say.silent,
    )
    append = Append(
        "message", measured(body), count=True, mentions=mentions, mention_all=say.mention_all
    )
    return Decision(append=(append,))


def _may_call_all(state: Direct | Group, ctx: Context) -> None:
    if isinstance(state, Direct):
        raise BadArgs("mention_all is for groups")
    if ctx.role < Role.ADMIN:
        raise RoleTooLow("only admins mention all")


def _mentions(users: tuple[str, ...], ctx: Context) -> tuple[UserId, ...]:
    return tuple(user for user in present(ctx, _users(users)) if user != ctx.user)


def _users(names: tuple[str, ...]) -> tuple[UserId, ...]:
    return tuple(UserId(name) for name in names)


def _reply(say: c.Send, ctx: Context) -> Reply | None:
    """The answered message must be there, and a quote must be what it says: nobody can put
    words into the mouth of others."""
    if say.reply_to is None:
        if say.quote:
            raise BadArgs("a quote needs reply_to")
        return None
    entry = message(ctx, say.reply_to)
    if say.quote and say.quote not in words(body_of(ctx, entry).content):
        raise BadArgs(f"the message at {entry.seq} does not say what is quoted")
    return Reply(entry.seq, entry.sender, say.quote)


# --- forward ----------------------------------------------------------------------------------


def forward_needs(command: c.Forward, ctx: Context) -> Needs:
    """The sources, of this tenant only."""
    sources = tuple(
        (LogId(s.log), s.seq) for s in command.sources if tenant_of(s.log) == ctx.tenant
    )
    return Needs(sources=sources, selves=pair(ctx))


def forward(state: Direct | Group, command: c.Forward, ctx: Context) -> Decision:
    """Say again what the caller can read elsewhere, with who said it first and when."""
    speak(state, ctx)
    said = [_source(source, ctx) for source in command.sources]
    if command.merged:
        bodies = [Message(content=_bundle(command.title, said), silent=command.silent)]
    elif len(said) > MAX_WRITES:
        raise BadArgs(f"at most {MAX_WRITES} one by one: forward them merged")
    else:
        bodies = [
            Message(content=body.content, forward=origin, silent=command.silent)
            for origin, body in said
        ]
    fits(bodies, MAX_COMMIT_BYTES)
    return Decision(append=tuple(Append("message", measured(b), count=True) for b in bodies))


def _source(source: c.Source, ctx: Context) -> tuple[Origin, Message]:
    entry = ctx.sources.get((LogId(source.log), source.seq))
    if entry is None or entry.type != "message":
        raise NoSuchEntry(f"no message to forward at {source.seq} of {source.log}")
    body = _decode_message(entry.body)
    return body.forward or Origin(entry.sender, entry.at), body


def _bundle(title: str, said: list[tuple[Origin, Message]]) -> MergedContent:
    inner = [b.content.depth for _, b in said if isinstance(b.content, MergedContent)]
    depth = 1 + max(inner, default=0)
    if depth > MAX_DEPTH:
        raise BadArgs(f"bundles are nested at most {MAX_DEPTH} deep")
    items = tuple(MergedItem(o.author, o.at, b.content) for o, b in said)
    return MergedContent(items=items, title=title, depth=depth)


# --- edit -------------------------------------------------------------------------------------


def edit_needs(command: c.Edit, ctx: Context) -> Needs:
    """The message, and who of those it will mention is here."""
    return Needs(
        entries=(command.seq,),
        members=_users(command.mentions or ()),
        selves=pair(ctx),
        judge=_to_judge(command.content, ctx),
    )


def edit(state: Direct | Group, command: c.Edit, ctx: Context) -> Decision:
    """Replace what an own message says; what it answers and whom it called stays."""
    speak(state, ctx)
    _wanted(ctx)
    entry = message(ctx, command.seq)
    if entry.sender != ctx.user:
        raise RoleTooLow("only the author edits a message")
    _in_time(entry, ctx, "edit_ms")
    body = body_of(ctx, entry)
    if body.forward or isinstance(body.content, MergedContent):
        raise BadState("what was forwarded is not edited")
    mentions = body.mentions if command.mentions is None else _mentions(command.mentions, ctx)
    if (command.content, mentions) == (body.content, body.mentions):
        return Decision()
    new = msgspec.structs.replace(
        body, content=command.content, mentions=mentions, edited_at=ctx.now_ms
    )
    return Decision(append=(Append("edit", measured(new), target=entry.seq, slot=EDIT),))


def _in_time(entry: Entry, ctx: Context, setting: str) -> None:
    limit = ctx.settings[setting]
    if ctx.now_ms - entry.at > limit:
        raise TooLate(f"possible for {limit} ms after sending")


# --- recall -----------------------------------------------------------------------------------


def recall(state: Direct | Group, command: c.Recall, ctx: Context) -> Decision:
    """Take a message back: its author for a while, admins of a group at any time, but what the
    owner said only the owner."""
    if isinstance(state, Group):
        alive(state)
    entry = ctx.entries.get(command.seq)
    if entry is None or entry.type != "message":
        raise NoSuchEntry(f"no message at {command.seq}")
    if not _governs(state, entry, ctx):
        if entry.sender != ctx.user:
            raise RoleTooLow("this takes its author, or an admin")
        _in_time(entry, ctx, "recall_ms")
    if (entry.seq, RECALL) in ctx.amended:
        return Decision()
    return Decision(
        append=(
            Append("recall", Recalled(entry.sender), target=entry.seq, slot=RECALL, erases=True),
        ),
        state=_without_pin(state, entry.seq),
    )


def _governs(state: Direct | Group, entry: Entry, ctx: Context) -> bool:
    if isinstance(state, Direct):
        return False
    have = rank(ctx)
    return have == Role.OWNER or (have == Role.ADMIN and entry.sender != state.owner)


def _without_pin(state: Direct | Group, seq: Seq) -> Direct | Group | None:
    """The state with the pin taken out, or None (unchanged)."""
    if seq not in state.pins:
        return None
    return msgspec.structs.replace(state, pins=tuple(pin for pin in state.pins if pin != seq))


RULES: dict[type, Rule] = {
    c.Send: Rule(decide=send, needs=send_needs),
    c.Forward: Rule(decide=forward, needs=forward_needs),
    c.Edit: Rule(decide=edit, needs=edit_needs),
    c.Recall: Rule(decide=recall, needs=one_entry),
}


def search_text(entry_type: str, body: msgspec.Raw) -> str | None:
    """What the index keeps of `entry.target or entry.seq`: the words of a message, the new words
    after an edit, "" (forget it) after a recall. None = the entry changes nothing."""
    if entry_type == "recall":
        return ""
    if entry_type in ("message", "edit"):
        blanked = bytes(body) == b"{}"  # recalled before it was indexed
        return "" if blanked else words(_decode_message(body).content)
    return None
