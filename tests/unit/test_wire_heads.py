"""The digest of heads, and the client's mirror of what the server computes."""

from __future__ import annotations

import msgspec
import pytest

from hongyan.model.ids import LogId, Seq, UserId
from hongyan.model.log import Entry, InboxRow, Role
from hongyan.wire.heads import Heads
from hongyan.wire.session import heads_digest

A, B, BIG = LogId("main/g/a"), LogId("main/g/b"), LogId("main/g/big")


def row(
    log: LogId, head: int, useq: int, *, large: bool = False, role: Role = Role.MEMBER
) -> InboxRow:
    return InboxRow(log, useq, Seq(head), head, 0, 0, role, Seq(1), Seq(0), Seq(0), large=large)


def entry(seq: int) -> Entry:
    return Entry(Seq(seq), "message", UserId("bob"), 1, seq, msgspec.Raw(b"{}"))


def heads(*pairs: tuple[LogId, int]) -> int:
    return heads_digest((log, Seq(head)) for log, head in pairs)


def test_S16_the_digest_is_what_the_protocol_page_says() -> None:
    """CRC-32 of the text, summed. The numbers of single logs are what gzip computes."""
    assert heads_digest([]) == 0
    assert heads((A, 1)) == 2155684603
    assert heads((A, 1), (B, 7)) == heads((B, 7), (A, 1)) == 2155684603 + 1800944023
    many = [(LogId(f"main/g/{n}"), Seq(n)) for n in range(100)]
    assert heads_digest(many) == 210282810620  # beyond 32 bits


def test_S16_a_deliver_counts_from_the_token_on() -> None:
    mirror = Heads(token=5)
    mirror.entries(A, [entry(1), entry(2)])
    mirror.entries(A, [entry(2)])
    mirror.entries(B, [])
    assert mirror.digest() == heads((A, 2))


@pytest.mark.parametrize("useq", [4, 5])
def test_S16_a_pushed_row_up_to_the_token_says_nothing_new(useq: int) -> None:
    mirror = Heads(token=5)
    mirror.pushed(row(A, 2, useq))
    assert mirror.digest() == 0


def test_S16_a_pushed_row_counts() -> None:
    mirror = Heads(token=5)
    mirror.pushed(row(A, 2, 6))
    mirror.reached(A, Seq(4))
    mirror.pushed(row(A, 3, 7))
    assert mirror.digest() == heads((A, 4))


def test_S16_a_sync_covers_what_its_rows_show() -> None:
    mirror = Heads(token=5)
    mirror.reached(A, Seq(4))
    mirror.reached(B, Seq(4))
    mirror.synced(row(A, 4, 6))
    mirror.finish(7)
    assert (mirror.token, mirror.digest()) == (7, heads((B, 4)))


def test_S16_what_came_while_the_sync_ran_stays() -> None:
    """Entry 5 was committed after the row was read: the server counts it, so do we."""
    mirror = Heads(token=5)
    mirror.synced(row(A, 4, 6))
    mirror.synced(row(B, 4, 7))
    mirror.entries(A, [entry(5)])
    mirror.pushed(row(B, 4, 9))  # settings changed meanwhile
    mirror.finish(8)
    assert mirror.digest() == heads((A, 5), (B, 4))


def test_S16_an_abandoned_sync_covers_nothing() -> None:
    mirror = Heads(token=5)
    mirror.reached(A, Seq(4))
    mirror.synced(row(A, 4, 6))
    mirror.abandon()
    mirror.finish(7)
    assert mirror.digest() == heads((A, 4))


def test_S16_large_logs_always_count() -> None:
    mirror = Heads(token=5, large={BIG: Seq(10)})
    assert mirror.digest() == mirror.large_digest() == heads((BIG, 10))
    mirror.entries(BIG, [entry(11)])
    mirror.entries(A, [entry(1)])
    assert mirror.large_digest() == heads((BIG, 11))
    assert mirror.digest() == heads((BIG, 11), (A, 1))
    mirror.finish(9)
    assert mirror.large == {BIG: 11}


def test_S16_a_list_of_large_logs_replaces_the_old_one() -> None:
    mirror = Heads(large={BIG: Seq(10), B: Seq(3)})
    mirror.reached(A, Seq(9))
    mirror.list_large([(BIG, Seq(9)), (A, Seq(4))])
    assert mirror.large == {BIG: 10, A: 9}
    assert mirror.digest() == mirror.large_digest()
    mirror.list_large([])  # as you know them
    assert mirror.large == {BIG: 10, A: 9}


@pytest.mark.parametrize("how", ["pushed", "synced"])
def test_S16_rows_say_what_is_large(how: str) -> None:
    """A log grows large, and a member leaves one."""
    mirror = Heads(token=5)
    mirror.reached(A, Seq(3))
    getattr(mirror, how)(row(A, 600, 6, large=True))
    assert (mirror.large, mirror.digest()) == ({A: 600}, heads((A, 600)))
    getattr(mirror, how)(row(A, 700, 7, large=True, role=Role.NONE))
    assert mirror.large == {}
    mirror.finish(6)
    assert mirror.digest() == (heads((A, 700)) if how == "pushed" else 0)


def test_S16_a_deliver_that_came_late_costs_one_sync_not_one_per_heartbeat() -> None:
    """The row told of seq 2 already; the push of it comes after the sync, and no row follows."""
    mirror = Heads(token=5)
    mirror.begin()
    mirror.synced(row(A, 2, 6))
    mirror.finish(6)
    mirror.entries(A, [entry(2)])  # late
    assert mirror.digest() == heads((A, 2))  # differs from the server's: sync
    mirror.begin()
    mirror.entries(B, [entry(1)])  # moved while the sync ran: not covered
    mirror.finish(6)
    assert mirror.digest() == heads((B, 1))
