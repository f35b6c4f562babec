"""Laws of the receive rule and of the list, over arbitrary histories and networks."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from hongyan.client.replica import Replica
from hongyan.client.rows import Rows
from hongyan.model.ids import LogId, Seq, UserId
from hongyan.model.log import Entry, InboxRow, Role
from hongyan.wire.frames import Page

LOG = LogId("main/d/alice~bob")
ME, OTHER = UserId("alice"), UserId("bob")


@st.composite
def histories(draw: st.DrawFn, most: int = 30) -> list[Entry]:
    """A log: messages of two people, edits, reactions and recalls of what stands before."""
    entries: list[Entry] = []
    ord = 0
    recalled: set[int] = set()
    for seq in range(1, draw(st.integers(1, most)) + 1):
        sender = draw(st.sampled_from([ME, OTHER]))
        messages = [e.seq for e in entries if e.count and e.seq not in recalled]
        slots = ["", "", "edit", "recall", "r:x"] if messages else [""]
        slot = draw(st.sampled_from(slots))
        target = draw(st.sampled_from(messages)) if slot else 0
        if slot == "recall":
            recalled.add(target)
        ord += not slot
        body = msgspec.Raw(b"{}" if slot == "recall" else str(seq).encode())
        entries.append(
            Entry(
                seq=Seq(seq),
                type=slot or "message",
                sender=sender,
                at=0,
                ord=ord,
                body=body,
                count=not slot,
                target=Seq(target),
                slot=slot,
            )
        )
    return entries


def recount(log: list[Entry], head: int, read: int) -> int:
    """Unread as the server defines it, by counting."""
    seen = log[:head]
    sent = max((e.seq for e in seen if e.count and e.sender == ME), default=0)
    position = max(read, sent)
    gone = {e.target for e in seen if e.slot == "recall"}
    return sum(e.count and e.seq > position and e.seq not in gone for e in seen)


def as_read(log: list[Entry], after: int, limit: int) -> Page:
    """What the server answers to a read of the newest state."""
    gone = {e.target for e in log if e.slot == "recall"}
    blank = msgspec.Raw(b"{}")
    shown = [
        msgspec.structs.replace(e, body=blank) if e.seq in gone else e
        for e in log[after : after + limit]
    ]
    inside = {e.seq for e in shown}
    amends = [e for e in log if e.target in inside and e.seq not in inside]
    return Page(
        ref=1,
        log=LOG,
        entries=shown,
        amends=amends,
        floor=Seq(1),
        head=Seq(len(log)),
        epoch=1,
        more=after + limit < len(log),
    )


def server_row(log: list[Entry], head: int, read: int, useq: int = 1) -> InboxRow:
    last = next((e for e in reversed(log[:head]) if e.count), None)
    return InboxRow(
        log=LOG,
        useq=useq,
        head=Seq(head),
        ord=log[head - 1].ord if head else 0,
        unread=recount(log, head, read),
        mentions=0,
        role=Role.MEMBER,
        since=Seq(1),
        read=Seq(read),
        delivered=Seq(read),
        last=last,
    )


def pull(replica: Replica, log: list[Entry], limit: int) -> list[Entry]:
    """Read what is missing, as a client does, until nothing is."""
    applied: list[Entry] = []
    for _ in range(len(log) + 2):
        holes = replica.missing(1e9)
        if not holes:
            return applied
        page = as_read(log, holes[0].low - 1, min(limit, holes[0].high - holes[0].low + 1))
        applied += replica.merge(page, 0.0, replica.head)[0]
    raise AssertionError("does not converge")


@given(log=histories(), data=st.data())
def test_R1_R4_converges_whatever_the_network_does(log: list[Entry], data: st.DataObject) -> None:
    """Loss, repetition, any order; then one heartbeat that tells the head."""
    arrivals = data.draw(st.lists(st.sampled_from(log), max_size=3 * len(log)))
    limit = data.draw(st.integers(1, 5))
    replica = Replica(LOG)
    seen: list[Entry] = []
    for entry in arrivals:
        seen += replica.offer([entry], 0.0)
        if data.draw(st.booleans()):
            seen += pull(replica, log, limit)
    replica.hint(Seq(len(log)), 0.0)
    seen += pull(replica, log, limit)
    assert [e.seq for e in seen] == [e.seq for e in log]


@given(log=histories(), data=st.data())
def test_R6_what_is_shown_does_not_depend_on_the_way(log: list[Entry], data: st.DataObject) -> None:
    """Live entries in any order, pages of any size, or one fresh page: the same messages."""
    fresh = Replica(LOG)
    fresh.restart(as_read(log, 0, len(log)), 0.0, Seq(0))
    live = Replica(LOG)
    live.offer(data.draw(st.permutations(log)), 0.0)
    paged = Replica(LOG)
    paged.hint(Seq(len(log)), 0.0)
    pull(paged, log, data.draw(st.integers(1, 4)))

    def shown(replica: Replica) -> list[tuple[int, bytes, bool, list[int]]]:
        return [
            (m.entry.seq, bytes(m.body), m.erased, sorted(e.seq for e in m.amends.values()))
            for m in replica.messages()
        ]

    assert shown(live) == shown(fresh) == shown(paged)


@given(log=histories(), data=st.data())
def test_R8_unread_of_a_replica_is_the_recount(log: list[Entry], data: st.DataObject) -> None:
    read = data.draw(st.integers(0, len(log)))
    replica = Replica(LOG)
    replica.offer(log, 0.0)
    sent = max((e.seq for e in log if e.count and e.sender == ME), default=0)
    assert replica.unread(Seq(max(read, sent)), ME) == recount(log, len(log), read)


@settings(max_examples=300)
@given(log=histories(), data=st.data())
def test_R8_a_row_kept_live_is_the_servers_row(log: list[Entry], data: st.DataObject) -> None:
    """A row of some moment, then entries (and older rows that arrive late): as a fresh row, or
    in doubt; and after the doubt was resolved, equal for certain."""
    start = data.draw(st.integers(0, len(log)))
    read = data.draw(st.integers(0, start))
    rows = Rows(ME)
    rows.put(server_row(log, start, read))
    at = start
    while at < len(log):
        step = data.draw(st.integers(1, 4))
        rows.apply(LOG, log[at : at + step])
        at = min(len(log), at + step)
        if data.draw(st.booleans()):  # a row read a little earlier, overtaken by entries
            rows.put(server_row(log, data.draw(st.integers(start, at)), read))
    wanted = server_row(log, len(log), read)
    if LOG in rows.doubts:
        rows.put(wanted)
    row = rows[LOG]
    assert (row.head, row.ord, row.unread) == (wanted.head, wanted.ord, wanted.unread)
    assert (row.last and row.last.seq) == (wanted.last and wanted.last.seq)


@given(log=histories(), data=st.data())
def test_R11_reading_shows_at_once_what_the_server_will_say(
    log: list[Entry], data: st.DataObject
) -> None:
    read = data.draw(st.integers(0, len(log)))
    seq = data.draw(st.integers(0, len(log)))
    replica = Replica(LOG)
    replica.offer(log, 0.0)
    rows = Rows(ME, lambda log: replica)
    rows.put(server_row(log, len(log), read))
    rows.reading(LOG, Seq(seq), -1)
    assert rows[LOG].unread == recount(log, len(log), max(read, seq))
    rows.put(server_row(log, len(log), read))  # a row that does not know of it yet
    assert rows[LOG].unread == recount(log, len(log), max(read, seq))
