"""What the program knows and does, without a screen: the client, threads, people, receipts."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import msgspec

from hongyan.cli.tui.blocks import (
    DELIVERED_MARK,
    READ_MARK,
    STORED_MARK,
    Mark,
)
from hongyan.cli.tui.content import text_of
from hongyan.cli.tui.roll import Item, People, items, peer_of, title_of
from hongyan.cli.tui.thread import Draft, Thread
from hongyan.cli.tui.words import Words
from hongyan.client import Client, Message, events
from hongyan.client.outbox import OpIds
from hongyan.model.errors import Refusal
from hongyan.model.ids import LogId, OpId, Seq, UserId, kind_of
from hongyan.model.log import Entry, InboxRow

OPEN = 12  # conversations kept open at once
PAGE = 100
UNREAD_MOST = 1_000  # entries loaded at once to begin at the first unread one
JUMP_PAGES = 20  # older pages a jump to a message may load
ASKED = 6  # own messages of a group whose readers are asked for at once
ANNOUNCE_S = 3.0  # between two signs of typing


class Receipts(msgspec.Struct, frozen=True, gc=False):
    """Of a group message: others who have it, who read it, how many others there are."""

    delivered: int
    read: int
    others: int


class Desk:
    """One user at one device. `changed` is called, often, when something shown may differ."""

    def __init__(self, client: Client, me: str, words: Words, changed: Callable[[], None]) -> None:
        """`me` as known before the first connection."""
        self.client, self.words, self.changed = client, words, changed
        self.me = UserId(me)
        self.people = People()
        self.drafts: dict[LogId, str] = {}  # texts begun
        self.touched: dict[LogId, int] = {}
        self.called: dict[LogId, Seq] = {}  # the newest mention that was seen coming
        self.threads: OrderedDict[LogId, Thread] = OrderedDict()
        self.members: dict[LogId, list[str]] = {}
        self.retry_at: float | None = None  # monotonic; None = no pause runs
        self.why_lost = ""  # as the client says it
        self.ever_online = False
        self._receipts: dict[tuple[LogId, Seq], Receipts] = {}
        self._ops = OpIds()
        self._announced = 0.0
        self._loading: set[LogId] = set()

    # --- looking --------------------------------------------------------------------------------

    def items(self) -> list[Item]:
        """The list of conversations."""
        return items(
            self.client.rows.values(),
            self.me,
            self.people,
            self.words,
            now=time.monotonic(),
            touched=self.touched,
            drafts=self.drafts,
            called=self.called,
        )

    def row(self, log: LogId) -> InboxRow | None:
        """The row of a conversation."""
        return self.client.rows.get(log)

    def title(self, log: LogId) -> str:
        """What it is called."""
        if (row := self.row(log)) is not None:
            return title_of(row, self.me, self.people, self.words)
        peer = peer_of(log, self.me)
        return self.people.name(peer) if peer else "…"

    def mark(self, log: LogId, entry: Entry) -> Mark:
        """How far an own message came."""
        if kind_of(log) != "d":
            found = self._receipts.get((log, entry.seq))
            if found is None or not found.others:
                return STORED_MARK
            count = f"{found.read}/{found.others}"
            if found.read >= found.others:
                return READ_MARK._replace(readers=count)
            whole = found.delivered >= found.others
            return (DELIVERED_MARK if whole else STORED_MARK)._replace(readers=count)
        row = self.row(log)
        if row is None or peer_of(log, self.me) == self.me:
            return STORED_MARK
        if row.peer_read >= entry.seq:
            return READ_MARK
        return DELIVERED_MARK if row.peer_delivered >= entry.seq else STORED_MARK

    def everyone(self, log: LogId | None) -> list[str]:
        """User ids that may be meant: of the conversation first known, then all heard of."""
        here = self.members.get(log, []) if log else []
        return [u for u in dict.fromkeys([*here, *self.people.known()]) if u != self.me]

    # --- opening --------------------------------------------------------------------------------

    async def open(self, log: LogId) -> Thread:
        """The thread of a conversation, with its newest page. Raises what Client.open raises."""
        if (thread := self.threads.get(log)) is not None:
            self.threads.move_to_end(log)
            return thread
        replica = await self.client.open(log)
        thread = self.threads.get(log)
        if thread is None:
            thread = self.threads[log] = Thread(log, self.me)
            thread.load(replica)
            for pending in self.client.outbox:
                if pending.log == log and pending.name == "chat.send":
                    thread.draft(self._draft_of(pending.op, pending.args, pending.at))
        while len(self.threads) > OPEN:
            old, _ = self.threads.popitem(last=False)
            self.client.shut(old)
        return thread

    def _draft_of(self, op: OpId, args: bytes, at: int) -> Draft:
        found = msgspec.json.decode(args)
        text = text_of(found.get("content", {}), self.words)
        return Draft(op, text, at, Seq(found.get("reply_to", 0)))

    async def older(self, log: LogId, limit: int = PAGE) -> int:
        """Load a page of older messages; 0 where there are none, or one is being loaded."""
        thread = self.threads.get(log)
        if thread is None or not thread.more or not thread.first or log in self._loading:
            return 0
        self._loading.add(log)
        try:
            page = await self.client.read(log, before=thread.first, limit=limit)
            return thread.older(page)
        finally:
            self._loading.discard(log)
            self.changed()

    async def reach(self, log: LogId, seq: Seq) -> bool:
        """Load older pages until `seq` is here; False where it is too far back."""
        thread = await self.open(log)
        for _ in range(JUMP_PAGES):
            if thread.get(seq) is not None or not thread.more:
                break
            await self.older(log, 200)
        return thread.get(seq) is not None

    async def reach_unread(self, row: InboxRow) -> None:
        """Load back to where the user stopped to read; not at all where that is very far, or
        cannot be had now."""
        thread = self.threads[row.log]
        if not row.unread or row.head - row.read > UNREAD_MOST:
            return
        while thread.more and thread.first > row.read + 1 and self.client.online:
            try:
                if not await self.older(row.log, 200):
                    return
            except Refusal:
                return  # what is loaded is shown

    # --- doing ----------------------------------------------------------------------------------

    async def send(self, log: LogId, text: str, reply_to: Seq = Seq(0)) -> Draft | None:
        """Say it; return once it is stored, or the draft that was refused for good."""
        thread = self.threads[log]
        op = self._ops()
        args: dict[str, Any] = {"content": {"type": "text", "text": text}}
        args |= {"reply_to": reply_to} if reply_to else {}
        args |= self._mentions(log, text)
        thread.draft(Draft(op, text, time.time_ns() // 1_000_000, reply_to))
        self.changed()
        if not self.client.online:
            self.client.wake()  # a good moment to try again
        try:
            ack = await self.client.call("chat.send", args, log=log, op=op)
        except Refusal as why:
            return thread.failed(op, why.text)
        finally:
            self.changed()
        thread.stored(op, ack.seq)
        return None

    def _mentions(self, log: LogId, text: str) -> dict[str, Any]:
        if "@" not in text or kind_of(log) != "g":
            return {}
        named = {word.rstrip(".,!?:;，。！？：；") for word in text.replace("@", " @").split()}
        found = [user for user in self.members.get(log, ()) if f"@{user}" in named]
        fields: dict[str, Any] = {"mentions": found[:100]} if found else {}
        row = self.row(log)
        if named & {"@all", "@所有人"} and row is not None and row.role >= 2:
            fields["mention_all"] = True
        return fields

    def announce(self, log: LogId, on: bool) -> None:
        """Tell the others that this user types, or stopped."""
        now = time.monotonic()
        if on and now - self._announced < ANNOUNCE_S:
            return
        if not on and not self._announced:
            return
        self._announced = now if on else 0.0
        self.client.signal(log, "typing", {"on": on})

    # --- what happened --------------------------------------------------------------------------

    def take(self, event: events.Event) -> list[tuple[LogId, Message]]:
        """Follow an event; return messages of others that are new in opened conversations."""
        fresh: list[tuple[LogId, Message]] = []
        match event:
            case events.Connected():
                self.ever_online, self.retry_at = True, None
            case events.Disconnected():
                self.retry_at = time.monotonic() + event.retry_in_s
                self.why_lost = event.reason
                self.people.states.clear()  # nobody is told any more who is there
            case events.Entries() if event.log in self.threads:
                now = time.monotonic()
                for message in self.threads[event.log].apply(event.entries):
                    self.people.types(event.log, message.entry.sender, False, now)
                    fresh.append((event.log, message))
            case events.Skipped() if event.log in self.threads:
                self.threads[event.log].cut(event.cut, self.client.replica(event.log))
            case events.RowChanged():
                self._row_changed(event.row)
            case events.Signalled():
                self._signal(event)
            case events.Acked() | events.Refused():
                self._late(event)
            case events.Missed():
                self._reload()
        self.changed()
        return fresh

    def _row_changed(self, row: InboxRow) -> None:
        """The server counts mentions with its next row; the last message tells now."""
        last = row.last
        if last is not None and last.sender != self.me and b'"mention' in bytes(last.body):
            body = msgspec.json.decode(last.body)
            if self.me in body.get("mentions", ()) or body.get("mention_all"):
                self.called[row.log] = last.seq

    def _signal(self, event: events.Signalled) -> None:
        body = msgspec.json.decode(event.body)
        if event.name == "typing" and event.user != self.me:
            self.people.types(event.log, event.user, body.get("on", True), time.monotonic())
        elif event.name == "presence":
            self.people.states[event.user] = (body["state"], body.get("last_seen", 0))

    def _late(self, event: events.Acked | events.Refused) -> None:
        """Calls that an earlier process made."""
        for thread in self.threads.values():
            if isinstance(event, events.Acked):
                thread.stored(event.op, event.ack.seq)
            else:
                thread.failed(event.op, event.error.text)

    def _reload(self) -> None:
        for log, thread in self.threads.items():
            if (replica := self.client.replica(log)) is not None:
                thread.load(replica)

    # --- asking ---------------------------------------------------------------------------------

    async def ask_names(self, users: list[str]) -> None:
        """Learn what users are called; a failure is asked again another time."""
        fresh = self.people.ask(users)
        if not fresh:
            return
        try:
            found = await self.client.query("users", {"ids": fresh})
        except Refusal:
            self.people.ask_again(fresh)
            return
        if self.people.learn({u["user"]: u.get("name") or u["user"] for u in found["users"]}):
            self.changed()

    async def ask_presence(self) -> None:
        """Learn who is there, and hear of changes from now on."""
        peers = [peer_of(log, self.me) for log in self.client.rows]
        users = [user for user in dict.fromkeys(peers) if user and user != self.me][:200]
        if users:
            try:
                found = await self.client.query("presence", {"users": users, "watch": True})
            except Refusal:
                return  # asked again with the next connection
            for state in found["presence"]:
                self.people.states[state["user"]] = (state["state"], state.get("last_seen", 0))
            self.changed()

    async def ask_members(self, log: LogId) -> list[dict[str, Any]]:
        """The members of a group, at most 1,000. Raises like Client.query."""
        found = await self.client.query("members", {"limit": 1000}, log=log)
        members: list[dict[str, Any]] = found["members"]
        self.members[log] = [member["user"] for member in members]
        await self.ask_names(self.members[log])
        return members

    async def ask_receipts(self, log: LogId) -> None:
        """Who has read the newest own messages of a group, as far as it is not everybody."""
        thread = self.threads.get(log)
        if thread is None or kind_of(log) != "g":
            return
        mine = [m.entry.seq for m in thread if m.entry.count and m.entry.sender == self.me]
        for seq in reversed(mine[-ASKED:]):
            held = self._receipts.get((log, seq))
            if held is not None and held.read >= held.others:
                continue
            try:
                found = await self.client.query("receipts", {"seq": seq}, log=log)
            except Refusal:
                return  # the next cursor asks again
            if found["mode"] != "off":
                self._receipts[log, seq] = self._counted(log, seq, found)
                self.changed()

    def _counted(self, log: LogId, seq: Seq, found: dict[str, Any]) -> Receipts:
        """Without the sender, who is a member too."""
        others = max(0, found["members"] - 1)
        if "read_by" in found:
            read, had = set(found["read_by"]) - {self.me}, set(found["delivered_to"]) - {self.me}
            return Receipts(len(had | read), len(read), others)
        row = self.row(log)
        own_read = row is not None and row.read >= seq
        own_had = row is not None and row.delivered >= seq
        return Receipts(found["delivered"] - own_had, found["read"] - own_read, others)
