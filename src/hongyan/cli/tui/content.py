"""Contents and notes in words: what an entry says, in one language. Pure."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

from hongyan.cli.tui.thread import body_of
from hongyan.cli.tui.widths import plain
from hongyan.cli.tui.words import Words
from hongyan.client import Message

Name = Callable[[str], str]


def text_of(content: Mapping[str, Any], words: Words) -> str:
    """A content as text of one or more lines."""
    kind = content.get("type")
    if kind == "text":
        return plain(str(content.get("text", "")))
    blob = content.get("blob") or {}
    said = [blob.get("name"), content.get("title"), content.get("text"), content.get("caption")]
    if kind == "location":
        said.append(content.get("address"))
    seconds = round(content.get("duration_ms", 0) / 1000)
    of, n = content.get("of", kind), len(content.get("items", ()))
    known = ("image", "file", "voice", "video", "location", "card", "merged")
    label = words(f"c_{kind}" if kind in known else "c_custom", s=seconds, n=n, of=of)
    return plain(" ".join([label, *(str(part) for part in said if part)]))


def said(message: Message, words: Words) -> str:
    """What a message says now."""
    if message.erased:
        return words("recalled_line")
    return text_of(body_of(message).get("content") or {}, words)


def one_line(message: Message, words: Words) -> str:
    """The same on one line."""
    return " ".join(said(message, words).split())


def note(entry_type: str, sender: str, body: Mapping[str, Any], words: Words, name: Name) -> str:
    """An entry that is no message, as a sentence; "" for one of a type unknown here."""
    who = name(sender)
    users = [name(user) for user in body.get("users") or body.get("members") or () if user]
    fields = {"who": who, "users": words.listed(users), "user": name(str(body.get("user", "")))}
    match entry_type:
        case "created":
            key = "s_created_with" if users else "s_created"
            return plain(words(key, **fields, title=body.get("title", "")))
        case "joined":
            how = body.get("how", "invite")
            key = f"s_joined_{how}" if how in ("invite", "approve") else "s_joined_self"
            return words(key, **fields)
        case "left":
            return words("s_removed" if body.get("removed") else "s_left", **fields)
        case "role" if body.get("role") in ("owner", "admin", "member"):
            return words(f"s_role_{body['role']}", **fields)
        case "muted":
            until = int(body.get("until", 0))
            return words("s_muted" if until else "s_unmuted", **fields, when=clock(until))
        case "nickname":
            return plain(words("s_nickname", who=who, name=body.get("name", "")))
        case "changed":
            return plain(_changed(who, body, words))
        case "dissolved":
            return words("s_dissolved", who=who)
    return ""


def _changed(who: str, body: Mapping[str, Any], words: Words) -> str:
    if "title" in body:
        return words("s_title", who=who, title=body["title"])
    if body.get("notice"):
        return words("s_notice", who=who, notice=body["notice"])
    if "mute_all" in body:
        return words("s_mute_all" if body["mute_all"] else "s_unmute_all", who=who)
    return words("s_changed", who=who)


# --- times ----------------------------------------------------------------------------------------


def clock(at_ms: int) -> str:
    """Hours and minutes."""
    return datetime.fromtimestamp(at_ms / 1000).strftime("%H:%M")


def day_of(at_ms: int) -> date:
    """The day of a moment, where this terminal is."""
    return datetime.fromtimestamp(at_ms / 1000).date()


def day_line(day: date, words: Words, today: date | None = None) -> str:
    """A day as its line in the messages says it."""
    today = today or datetime.fromtimestamp(time.time()).date()
    away = (today - day).days
    if away in (0, 1):
        return words("yesterday" if away else "today")
    return words(
        "day",
        weekday=words("weekdays").split()[day.weekday()],
        month=words("months").split()[day.month - 1],
        d=day.day,
        m=day.month,
        y=day.year,
    )


def when(at_ms: int, words: Words, today: date | None = None) -> str:
    """A moment for the list: the time today, the day before that."""
    today = today or datetime.fromtimestamp(time.time()).date()
    day = day_of(at_ms)
    if day == today:
        return clock(at_ms)
    if (today - day).days == 1:
        return words("yesterday")
    if day.year != today.year:
        return day.isoformat()
    month = words("months").split()[day.month - 1][:3]
    return words("short_day", d=day.day, m=day.month, month3=month)
