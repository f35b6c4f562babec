"""What the slash commands and the keys on a chosen message do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from rich.text import Text

from hongyan.cli.tui.content import said, text_of, when
from hongyan.cli.tui.panels import Panel, Picker, help_text
from hongyan.cli.tui.roll import settings_of
from hongyan.cli.tui.slash import BY_NAME, Typed
from hongyan.cli.tui.thread import pinned, reactions
from hongyan.cli.tui.widths import clip, fit, plain
from hongyan.client import Message
from hongyan.model.ids import LogId, Seq

if TYPE_CHECKING:
    from hongyan.cli.tui.app import ChatApp

DEFAULT_EMOJI = "👍"
ROLES = {1: "member", 2: "admin", 3: "owner"}
LIGHT = {"online": "#4fd67a", "away": "#ffcb6b"}


class Actions:
    """Commands by name, for one app."""

    def __init__(self, app: ChatApp) -> None:
        """Nothing runs yet."""
        self.app, self.desk, self.words = app, app.desk, app.words
        self._by_name: dict[str, Callable[[Typed], Awaitable[None]]] = {
            name: getattr(self, name) for name in BY_NAME
        }

    async def run(self, typed: Typed) -> None:
        """Do it; what is wrong with it is told in the status line."""
        slash = BY_NAME.get(typed.name)
        if slash is None:
            self.app.tell(self.words("e_unknown", name=typed.name), bad=True)
        elif len(typed.words) < slash.least:
            usage = slash.usage(self.words)
            self.app.tell(self.words("e_usage", usage=usage), bad=True)
        elif slash.here and self.app.log_open is None:
            self.app.tell(self.words("e_no_log"), bad=True)
        else:
            await self.app.attempt(self._by_name[typed.name](typed))

    def _log(self) -> LogId:
        assert self.app.log_open is not None  # `run` has looked
        return self.app.log_open

    async def _call(self, name: str, args: Any = None) -> None:
        await self.desk.client.call(name, args, log=self._log())

    def _online(self) -> bool:
        if not self.desk.client.online:
            self.app.tell(self.words("e_offline"), bad=True)
        return self.desk.client.online

    def _target(self, *, mine: bool | None) -> Message | None:
        """The chosen message, else the newest that fits; tells where there is none."""
        thread = self.desk.threads.get(self._log())
        chosen = self.app.pane.chosen
        found = None
        if thread is not None:
            found = thread.get(chosen) if chosen else thread.newest(mine=mine)
        if found is None or not found.entry.count or found.erased:
            self.app.tell(self.words("e_no_target"), bad=True)
            return None
        if mine and found.entry.sender != self.desk.me and not self._governs():
            self.app.tell(self.words("e_not_mine"), bad=True)
            return None
        return found

    def _governs(self) -> bool:
        row = self.desk.row(self._log())
        return row is not None and row.role >= 2

    # --- conversations --------------------------------------------------------------------------

    async def open(self, typed: Typed) -> None:
        """A conversation with a user."""
        if self._online():
            ack = await self.desk.client.call("chat.open", {"user": typed.words[0].lstrip("@")})
            await self.app.enter(ack.log, lift=True)

    async def group(self, typed: Typed) -> None:
        """A new group."""
        if self._online():
            title, *users = typed.words
            members = [user.lstrip("@") for user in users if user.lstrip("@") != self.desk.me]
            args = {"title": title, "members": members}
            ack = await self.desk.client.call("chat.create", args)
            await self.app.enter(ack.log, lift=True)

    async def invite(self, typed: Typed) -> None:
        """More members."""
        if self._group():
            await self._call("chat.invite", {"users": [u.lstrip("@") for u in typed.words]})
            await self.desk.ask_members(self._log())

    async def leave(self, typed: Typed) -> None:
        """Not a member any more."""
        if self._group():
            title = self.desk.title(self._log())
            await self._call("chat.leave")
            self.app.tell(self.words("ok_left", title=title))

    async def mute(self, typed: Typed) -> None:
        """Notifications off, or on."""
        row = self.desk.row(self._log())
        on = not (row is not None and settings_of(row).get("mute"))
        await self._call("chat.settings", {"mute": on})
        self.app.tell(self.words("ok_muted" if on else "ok_unmuted"))

    async def members(self, typed: Typed) -> None:
        """Who is in it."""
        if not self._online():
            return
        log = self._log()
        found = await self.desk.ask_members(log)
        text = Text()
        for member in sorted(found, key=lambda m: (-m["role"], m["user"])):
            user = member["user"]
            state = self.desk.people.states.get(user, ("", 0))[0]
            text.append("● " if state in LIGHT else "  ", LIGHT.get(state, ""))
            name = self.desk.people.name(user)
            shown = name if name == user else f"{name} ({user})"
            text.append(fit(plain(shown), 40), "#dbe2ec")
            text.append(self.words(ROLES.get(member["role"], "member")) + "\n", "#7d8899")
        title = self.words("members_title", title=self.desk.title(log), n=len(found))
        self.app.cover(Panel(title, text, self.words("close")))

    def _group(self) -> bool:
        group = self._log().split("/")[1] == "g"
        if not group:
            self.app.tell(self.words("e_group_only"), bad=True)
        return group and self._online()

    # --- messages -------------------------------------------------------------------------------

    async def reply(self, typed: Typed) -> None:
        """Answer: at once where a text follows."""
        target = self._target(mine=False) if not self.app.pane.chosen else self._target(mine=None)
        if target is None:
            return
        if typed.rest:
            self.app.say(typed.rest, target.entry.seq)
        else:
            self.app.begin("reply", target)

    async def edit(self, typed: Typed) -> None:
        """Change: at once where a text follows."""
        target = self._target(mine=True)
        if target is None:
            return
        if target.entry.sender != self.desk.me:
            self.app.tell(self.words("e_not_mine"), bad=True)
        elif typed.rest:
            await self.change(target.entry.seq, typed.rest)
        else:
            self.app.begin("edit", target)

    async def change(self, seq: Seq, text: str) -> None:
        """The edit itself."""
        await self._call("chat.edit", {"seq": seq, "content": {"type": "text", "text": text}})

    async def recall(self, typed: Typed) -> None:
        """Take back."""
        if (target := self._target(mine=True)) is not None:
            await self._call("chat.recall", {"seq": target.entry.seq})

    async def react(self, typed: Typed) -> None:
        """An emoji on, or off where it is there already."""
        if (target := self._target(mine=None)) is not None:
            emoji = typed.words[0] if typed.words else DEFAULT_EMOJI
            on = self.desk.me not in reactions(target).get(emoji, ())
            args = {"seq": target.entry.seq, "emoji": emoji, "on": on}
            await self._call("chat.react", args)

    async def pin(self, typed: Typed) -> None:
        """Pin, or unpin."""
        if (target := self._target(mine=None)) is not None:
            args = {"seq": target.entry.seq, "on": not pinned(target)}
            await self._call("chat.pin", args)

    async def dismiss(self, typed: Typed) -> None:
        """Forget failed drafts."""
        thread = self.desk.threads.get(self._log())
        self.app.tell(self.words("ok_dismissed", n=0 if thread is None else thread.dismiss()))
        self.app.redraw()

    def copy(self) -> None:
        """The chosen message into the clipboard of the terminal."""
        if (target := self._target(mine=None)) is not None:
            self.app.copy_to_clipboard(said(target, self.words))
            self.app.tell(self.words("ok_copied"))

    # --- everything -----------------------------------------------------------------------------

    async def search(self, typed: Typed) -> None:
        """Find messages, go to the one that is chosen."""
        if not self._online():
            return
        found = await self.desk.client.query("search", {"text": typed.rest, "limit": 50})
        hits = found["hits"]
        await self.desk.ask_names([hit["entry"]["from"] for hit in hits])
        if not hits:
            self.app.tell(self.words("found_none", text=typed.rest))
            return
        lines = []
        for hit in hits:
            entry = hit["entry"]
            text = Text(no_wrap=True, overflow="ellipsis")
            text.append(f"{self.desk.title(hit['log'])} ", "bold #82aaff")
            text.append(f"{when(entry['at'], self.words)} ", "#566070")
            text.append(f"{self.desk.people.name(entry['from'])}: ", "#7fd1b9")
            body = " ".join(text_of(entry["body"].get("content", {}), self.words).split())
            text.append(clip(body, 300), "#dbe2ec")
            lines.append((text, (LogId(hit["log"]), Seq(entry["seq"]))))
        n = f"{len(hits)}+" if found.get("more") else len(hits)
        title = self.words("found", n=n, text=clip(typed.rest, 20))
        self.app.cover(Picker(title, lines, self.words("close")), self.app.jump)

    async def devices(self, typed: Typed) -> None:
        """Where this user is logged in."""
        if not self._online():
            return
        found = (await self.desk.client.query("devices"))["devices"]
        text = Text()
        for device in sorted(found, key=lambda d: -d.get("seen_at", 0)):
            text.append(fit(f"{device['device']} · {device['cls']}", 44), "#dbe2ec")
            if device["device"] == self.desk.client.device:
                text.append(self.words("this_device"), "#4fd6be")
            elif device.get("seen_at"):
                text.append(when(device["seen_at"], self.words), "#7d8899")
            text.append("\n")
        self.app.cover(Panel(self.words("devices_title"), text, self.words("close")))

    async def help(self, typed: Typed) -> None:
        """All commands and keys."""
        title, text = self.words("help_title"), help_text(self.words)
        self.app.cover(Panel(title, text, self.words("close")))

    async def quit(self, typed: Typed) -> None:
        """Leave."""
        self.app.exit(0)
