"""The single lines of the screen: who I am, the title, the hint above the text, the status."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec
from rich.text import Text

from hongyan.cli.tui.content import one_line, when
from hongyan.cli.tui.roll import peer_of
from hongyan.cli.tui.slash import matching
from hongyan.cli.tui.widths import cell_len, clip
from hongyan.model.ids import LogId, kind_of

if TYPE_CHECKING:
    from hongyan.cli.tui.frame import Frame

GOOD, WARM, BAD, DIM, FAINT = "#4fd67a", "#ffcb6b", "#ff6b81", "#7d8899", "#566070"
LIGHTS = {"online": ("●", GOOD), "away": ("●", WARM), "offline": ("○", FAINT)}


def me(app: Frame) -> Text:
    """The head of the list."""
    text = Text(" 鸿雁 ", "bold #7fd1b9")
    text.append(app.desk.people.name(app.desk.me), "#dbe2ec")
    return _cut(text, 30)


def title(app: Frame) -> Text:
    """The conversation on the screen: what it is called, who is there, who types."""
    log = app.log_open
    if log is None:
        return Text(" " + app.words("choose"), DIM)
    desk, words = app.desk, app.words
    text = Text(" ")
    if app.screen_stack[0].has_class("narrow"):  # the list is not seen: say what waits there
        waiting = sum(item.unread for item in desk.items() if item.log != log)
        text.append("‹ " if not waiting else f"‹{waiting} ", WARM if waiting else FAINT)
    text.append(desk.title(log), "bold #ffffff")
    row = desk.row(log)
    now = time.monotonic()
    if typing := desk.people.typing(log, now):
        names = words.listed([desk.people.name(user) for user in typing[:3]])
        key = "typing_1" if len(typing) == 1 else "typing_2"
        text.append("  " + words(key, who=names), "italic #7fd1b9")
    elif kind_of(log) == "g":
        if row is not None and msgspec.json.decode(row.state).get("dissolved_at"):
            text.append("  " + words("dissolved_group"), BAD)
        elif row is not None and not row.role:
            text.append("  " + words("left_group"), BAD)
        elif row is not None:
            text.append("  " + words("members_n", n=row.count), DIM)
    else:
        _presence(app, text, log)
    return _cut(text, app.screen_stack[0].query_one("#title").size.width)


def _presence(app: Frame, text: Text, log: LogId) -> None:
    peer = peer_of(log, app.desk.me)
    state, seen = app.desk.people.states.get(peer, ("", 0))
    if peer == app.desk.me or not state:
        return
    light, style = LIGHTS.get(state, ("○", FAINT))
    text.append(f"  {light} ", style)
    text.append(app.words(state if state in LIGHTS else "offline"), DIM)
    if state == "offline" and seen:
        text.append(" · " + app.words("seen", when=when(seen, app.words)), FAINT)


def hint(app: Frame) -> Text:
    """What is being done, what may be typed, or how much is below."""
    words = app.words
    width = app.screen_stack[0].query_one("#hint").size.width
    typed = app.composer.text
    if app.doing is not None:
        what, message = app.doing
        who = app.desk.people.name(message.entry.sender)
        if message.entry.sender == app.desk.me:
            who = words("you")
        key = "replying" if what == "reply" else "editing"
        said = words(key, who=who, text=one_line(message, words))
        end = f"  {words('esc')}"
        text = Text(" ▎" + clip(said, max(4, width - cell_len(end) - 3)), WARM)
        return text.append(end, FAINT)
    if found := matching(typed):
        if len(found) == 1:
            slash = found[0]
            text = Text(" " + slash.usage(words), "bold #7fd1b9")
            return _cut(text.append("  " + words("h_" + slash.name), DIM), width)
        return _cut(Text(" " + "  ".join("/" + slash.name for slash in found), "#7fd1b9"), width)
    if app.log_open is not None and not app.pane.at_end:
        below = words("below", n=app.fresh) if app.fresh else words("to_end")
        style = "bold #ff8f6b" if app.fresh else FAINT
        return Text(below.replace("End", "Ctrl+End"), style, justify="center")
    return Text("")


def placeholder(app: Frame) -> str:
    """What stands in the empty text."""
    if app.log_open is None:
        return app.words("write_nowhere")
    return app.words("write", to=app.desk.title(app.log_open))


def status(app: Frame) -> Text:
    """The connection, a word for a while, and the keys."""
    words, client = app.words, app.desk.client
    queued = len(client.outbox)
    if client.online:
        text = Text(" ● ", GOOD).append(words("st_online"), DIM)
    elif app.ended:
        text = Text(" ● ", BAD).append(words("st_over"), BAD)
    elif app.desk.retry_at is not None:
        left = app.desk.retry_at - time.monotonic()
        said = words("st_retry", s=int(left) + 1) if left > 0 else words("st_now")
        text = Text(" ● ", BAD).append(said, BAD)
    else:
        text = Text(" ● ", WARM).append(words("st_connecting"), WARM)
    if queued:
        text.append(words("st_queued", n=queued), WARM)
    width = app.size.width
    told, bad = app.told
    keys = words("keys") if width >= 90 or not told else words("keys_short")
    room = width - text.cell_len - 3
    if not told and not client.online and not app.ended and (why := app.desk.why_lost):
        why = words("why_connect") if why.startswith("cannot connect") else why
        text.append("  ").append(clip(why, max(0, room - 14)), FAINT)
    if app.screen_stack[0].has_class("narrow"):
        keys = words("keys_narrow")
    if told:
        text.append("  ").append(clip(told, room), BAD if bad else "#7fd1b9")
        keys = words("keys_short")
    gap = width - text.cell_len - cell_len(keys) - 1
    if gap >= 2:
        text.append(" " * gap).append(keys, FAINT)
    return text


def _cut(text: Text, width: int) -> Text:
    if width:
        text.truncate(width, overflow="ellipsis")
    return text
