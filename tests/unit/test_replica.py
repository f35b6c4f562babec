"""The receive rule of one log, example by example; the laws are in tests/properties."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from hongyan.client.replica import GRACE_S, Cut, Hole, Replica, fold_page
from hongyan.model.ids import LogId, Seq, UserId
from hongyan.model.log import Entry
from hongyan.wire.frames import Page

LOG = LogId("main/d/alice~bob")
ME = UserId("alice")


def entry(
    seq: int, *, by: str = "bob", target: int = 0, slot: str = "", body: str = "{}", ord: int = 0
) -> Entry:
    return Entry(
        seq=Seq(seq),
        type=slot or "message",
        sender=UserId(by),
        at=0,
        ord=ord or seq,
        body=msgspec.Raw(body.encode()),
        count=not target,
        target=Seq(target),
        slot=slot,
    )


def page(
    *entries: Entry,
    head: int,
    floor: int = 1,
    epoch: int = 1,
    more: bool = False,
    amends: Sequence[Entry] = (),
) -> Page:
    return Page(
        ref=1,
        log=LOG,
        entries=list(entries),
        amends=list(amends),
        floor=Seq(floor),
        head=Seq(head),
        epoch=epoch,
        more=more,
    )


def seqs(entries: Sequence[Entry]) -> list[int]:
    return [e.seq for e in entries]


def loaded(count: int, keep: int = 500) -> Replica:
    replica = Replica(LOG, keep=keep)
    replica.restart(page(*map(entry, range(1, count + 1)), head=count), 0.0, Seq(0))
    return replica


def bodies(replica: Replica) -> list[str]:
    return [bytes(m.body).decode() for m in replica.messages()]


def test_R1_applies_what_follows_and_ignores_what_is_here() -> None:
    replica = loaded(2)
    assert seqs(replica.offer([entry(2), entry(3)], 0.0)) == [3]
    assert seqs(replica.offer([entry(1), entry(3)], 0.0)) == []
    assert seqs(replica.entries()) == [1, 2, 3]


def test_R1_what_waits_is_applied_once_the_hole_is_filled() -> None:
    replica = loaded(1)
    assert replica.offer([entry(4), entry(3)], 0.0) == []
    assert seqs(replica.offer([entry(2)], 0.1)) == [2, 3, 4]
    assert replica.due() is None


def test_R2_a_hole_is_missing_after_the_grace_and_not_before() -> None:
    replica = loaded(1)
    replica.offer([entry(3), entry(6)], 10.0)
    assert replica.missing(10.0 + GRACE_S - 0.01) == []
    assert replica.due() == 10.0 + GRACE_S
    assert replica.missing(10.0 + GRACE_S) == [Hole(Seq(2), Seq(2)), Hole(Seq(4), Seq(5))]


def test_R2_the_grace_runs_from_the_first_hole_also_when_it_moves() -> None:
    replica = loaded(1)
    replica.offer([entry(3)], 10.0)
    replica.offer([entry(2), entry(5)], 10.4)
    assert replica.missing(10.5) == [Hole(Seq(4), Seq(4))]


def test_R2_a_hinted_head_is_missing_after_the_grace() -> None:
    replica = loaded(1)
    replica.hint(Seq(3), 5.0)
    assert replica.missing(5.2) == []
    assert replica.missing(5.5) == [Hole(Seq(2), Seq(3))]


def test_R3_behind_is_missing_at_once() -> None:
    replica = loaded(1)
    replica.hint(Seq(3), 5.0, urgent=True)
    assert replica.missing(5.0) == [Hole(Seq(2), Seq(3))]
    replica.offer([entry(2), entry(3)], 5.1)
    replica.hint(Seq(4), 5.2)  # the urgency was for what is here now
    assert replica.missing(5.3) == []


def test_R4_a_head_that_the_log_does_not_bear_out_is_forgotten() -> None:
    replica = loaded(3)
    replica.hint(Seq(9), 0.0, urgent=True)
    replica.merge(page(head=3), 0.0, asked=Seq(9))  # a member who left sees no more
    assert replica.missing(99.0) == []


def test_R4_a_head_hinted_at_while_the_page_was_on_its_way_is_kept() -> None:
    replica = loaded(3)
    asked = replica.head
    replica.hint(Seq(5), 0.0, urgent=True)
    replica.merge(page(head=3), 0.0, asked)
    assert replica.missing(0.0) == [Hole(Seq(4), Seq(5))]


def test_R5_a_new_epoch_drops_everything() -> None:
    replica = loaded(3)
    replica.offer([entry(9)], 0.0)
    assert replica.reset(Seq(1), 2, 0.0) == Cut(Seq(0), Seq(0), "epoch")
    assert (replica.entries(), replica.due()) == ([], None)
    assert seqs(replica.offer([entry(1)], 0.0)) == [1]


def test_R5_a_page_of_another_epoch_resets_too() -> None:
    replica = loaded(3)
    applied, cut = replica.merge(page(entry(1), head=1, epoch=2), 0.0, Seq(3))
    assert (seqs(applied), cut) == ([1], Cut(Seq(0), Seq(0), "epoch"))


def test_R5_a_floor_above_what_was_read_is_a_cut() -> None:
    replica = loaded(3)
    applied, cut = replica.merge(page(entry(7), head=7, floor=7), 0.0, Seq(3))
    assert (seqs(applied), cut) == ([7], Cut(Seq(4), Seq(6), "floor"))
    assert seqs(replica.entries()) == [7]


def test_R5_a_floor_below_what_was_read_only_shortens_the_window() -> None:
    replica = loaded(5)
    assert replica.reset(Seq(4), 1, 0.0) is None
    assert seqs(replica.entries()) == [4, 5]


def test_R5_what_waits_behind_a_floor_that_rises_is_applied() -> None:
    """Out and in again: the entries of the new membership came before its row did."""
    replica = loaded(3)
    assert replica.offer([entry(7), entry(8)], 0.0) == []
    replica.reset(Seq(7), 1, 0.0)
    assert seqs(replica.offer([], 0.0)) == [7, 8]
    assert (replica.due(), replica.missing(9.0)) == (None, [])


def test_R5_a_floor_before_anything_was_read_is_no_cut() -> None:
    replica = Replica(LOG)
    applied, cut = replica.restart(page(entry(5), entry(6), head=6, floor=5), 0.0, Seq(0))
    assert (seqs(applied), cut) == ([5, 6], None)


def test_R6_the_newest_of_a_slot_counts_whatever_comes_first() -> None:
    replica = loaded(1)
    early = entry(2, target=1, slot="edit", body='"early"', ord=1)
    late = entry(3, target=1, slot="edit", body='"late"', ord=1)
    replica.offer([late], 0.0)
    replica.offer([early], 0.0)
    assert bodies(replica) == ['"late"']


def test_R6_slots_do_not_replace_each_other() -> None:
    replica = loaded(1)
    replica.offer([entry(2, target=1, slot="r:a"), entry(3, target=1, slot="r:b")], 0.0)
    message = replica.message(Seq(1))
    assert message is not None
    assert {slot: e.seq for slot, e in message.amends.items()} == {"r:a": 2, "r:b": 3}


def test_R6_a_recalled_body_is_gone_from_memory() -> None:
    replica = Replica(LOG)
    replica.restart(page(entry(1, body='"secret"'), head=1), 0.0, Seq(0))
    replica.offer([entry(2, target=1, slot="recall", ord=1)], 0.0)
    message = replica.message(Seq(1))
    assert message is not None
    assert message.erased
    assert b"secret" not in msgspec.json.encode(replica.entries())


def test_R6_a_page_of_history_is_folded_with_its_amends() -> None:
    edit = entry(9, target=2, slot="edit", body='"new"')
    shown = fold_page(page(entry(1), entry(2), head=9, amends=[edit]))
    assert [bytes(m.body) for m in shown] == [b"{}", b'"new"']


def test_R14_the_oldest_go() -> None:
    replica = loaded(4, keep=4)
    for seq in range(5, 100):
        replica.offer([entry(seq)], 0.0)
        assert len(replica.entries()) <= 5
    assert seqs(replica.entries())[-4:] == [96, 97, 98, 99]


def test_R14_what_waits_behind_a_hole_is_bounded() -> None:
    replica = loaded(1, keep=10)
    replica.offer(map(entry, range(3, 500)), 0.0)
    assert replica.missing(9.0) == [Hole(Seq(2), Seq(2)), Hole(Seq(13), Seq(499))]


def test_R14_a_hole_larger_than_the_memory_is_skipped_and_told() -> None:
    replica = loaded(3, keep=10)
    replica.offer([entry(29), entry(31)], 0.0)
    assert replica.far
    newest = page(*map(entry, range(21, 31)), head=30, more=True)
    applied, cut = replica.restart(newest, 0.0, replica.head)
    assert seqs(applied) == list(range(21, 32))
    assert cut == Cut(Seq(4), Seq(20), "far")


def test_R14_older_entries_fill_the_room_in_front() -> None:
    replica = Replica(LOG, keep=4)
    replica.restart(page(entry(8), entry(9), head=9, more=True), 0.0, Seq(0))
    assert replica.older(page(*map(entry, range(1, 6)), head=9)) == 0  # does not join
    assert replica.older(page(*map(entry, range(1, 8)), head=9)) == 2
    assert seqs(replica.entries()) == [6, 7, 8, 9]
    assert replica.older(page(*map(entry, range(1, 6)), head=9)) == 0  # no room
    assert replica.older(page(entry(5), head=9, epoch=2)) == 0


def test_R14_older_entries_are_shown_with_what_changed_them() -> None:
    replica = Replica(LOG)
    edit = entry(3, target=1, slot="edit", body='"new"', ord=2)
    replica.restart(page(edit, head=3, more=True), 0.0, Seq(0))
    replica.older(page(entry(1), entry(2), head=3))
    assert bodies(replica) == ['"new"', "{}"]


def test_R8_unread_counts_what_stands_above_the_position() -> None:
    replica = loaded(3)
    replica.offer([entry(4, target=3, slot="recall", ord=3), entry(5, ord=4)], 0.0)
    assert replica.unread(Seq(1), ME) == 2  # 2 and 5; 3 is recalled
    assert replica.unread(Seq(5), ME) == 0
    replica.hide(Seq(5))
    assert replica.unread(Seq(1), ME) == 1
    replica.hide(Seq(99))  # not here: nothing to do


def test_R8_unread_is_unknown_below_the_window() -> None:
    replica = Replica(LOG)
    replica.restart(page(entry(8), entry(9), head=9, more=True), 0.0, Seq(0))
    assert replica.unread(Seq(7), ME) == 2
    assert replica.unread(Seq(6), ME) is None
    assert Replica(LOG).unread(Seq(0), ME) == 0
    assert replica.ord_at(Seq(0)) == 0
    assert replica.ord_at(Seq(3)) is None


def test_R15_cached_entries_are_a_start() -> None:
    replica = Replica(LOG)
    replica.seed([entry(5), entry(6)])
    replica.seed([])
    assert (replica.first, replica.last) == (5, 6)
    assert seqs(replica.offer([entry(7)], 0.0)) == [7]


@pytest.mark.parametrize("after, wanted", [(0, [3, 4, 5]), (3, [4, 5]), (5, []), (9, [])])
def test_R12_entries_after_a_position(after: int, wanted: list[int]) -> None:
    replica = Replica(LOG)
    replica.restart(page(*map(entry, (3, 4, 5)), head=5, more=True), 0.0, Seq(0))
    assert seqs(replica.entries(Seq(after))) == wanted
