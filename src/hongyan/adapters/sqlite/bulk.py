"""The plain commits of a group, all at once.

Plain: entries into an existing log, with no change of state or members, nothing erased or edited.
That is nearly everything at load, so these pay for a handful of big statements together. Whatever
is out of the ordinary (a retry, a failed fence, a roster that moved on) makes all commits of that
log in the group go one by one through `single.py`, in their order; other logs are not disturbed.

Measured by bench/store.py; the budget stands in docs/hot-path.md.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from hongyan.adapters.sqlite.logs import (
    ENTRY,
    MENTION,
    Head,
    Logs,
    answer,
    heads,
    mention_rows,
    save_heads,
)
from hongyan.adapters.sqlite.places import OpRow, Places, next_pos
from hongyan.adapters.sqlite.touches import Touches
from hongyan.adapters.sqlite.values import run
from hongyan.model.ids import LogId, tenant_of
from hongyan.model.log import EDIT, Commit, Committed

Picked = tuple[int, Commit, Head]  # place in the group, what, and the head it will move


def commit_plain(
    db: sqlite3.Connection,
    logs: Logs,
    touches: Touches,
    places: Places,
    commits: Sequence[Commit],
) -> list[Committed | None]:
    """Commit what is plain; None stands where `single.py` has to do it."""
    answers: list[Committed | None] = [None] * len(commits)
    aside = {c.log for c in commits if not _is_plain(c)}
    lids = logs.lids(db, {c.log for c in commits} - aside)
    known = heads(db, lids.values())
    picked: list[Picked] = []
    seen: set[tuple[LogId, str, str]] = set()
    for i, commit in enumerate(commits):
        if commit.log in aside:
            continue
        lid = lids.get(commit.log)
        key = (commit.log, commit.owner, commit.op)
        if lid is None or key in seen or not _fits(commit, known[lid]):
            aside.add(commit.log)
            continue
        seen.add(key)
        picked.append((i, commit, known[lid]))
    while picked:
        picked = [item for item in picked if item[1].log not in aside]
        repeated = places.add_ops(db, _ops(picked))
        if not repeated:
            break
        aside.update(commit.log for _, commit, head in picked if head.lid in repeated)
    if picked:
        _write(db, touches, places, picked, answers)
    return answers


def _is_plain(commit: Commit) -> bool:
    if commit.members or commit.state is not None or commit.expect == 0:
        return False
    return not any(write.erases or write.slot == EDIT for write in commit.writes)


def _fits(commit: Commit, head: Head) -> bool:
    if commit.expect not in (-1, head.version):
        return False
    needs_roster = commit.touch is not None and commit.writes and not head.large
    return not needs_roster or commit.roster == head.roster


def _ops(picked: Sequence[Picked]) -> list[OpRow]:
    """The ops of all, with the seqs they will take."""
    at = {head.lid: head.head for _, _, head in picked}
    rows: list[OpRow] = []
    for _, c, head in picked:
        first = at[head.lid] + 1
        at[head.lid] += len(c.writes)
        rows.append((head.lid, c.owner, c.op, c.hash, first, at[head.lid], c.at))
    return rows


def _write(
    db: sqlite3.Connection,
    touches: Touches,
    places: Places,
    picked: Sequence[Picked],
    answers: list[Committed | None],
) -> None:
    """Write entries, heads, own cursors, mentions and inbox rows of commits that all fit."""
    entries, mentions, wanted, touching = [], [], [], []
    sent: dict[tuple[int, str], tuple[int, int]] = {}
    changed: dict[int, Head] = {}
    pos = next_pos(db)
    for i, c, head in picked:
        first, tenant = head.head + 1, tenant_of(c.log)
        for write in c.writes:
            entries.append(head.add(write, c, pos))
            pos += 1
            if write.count:
                sent[head.lid, f"{tenant}/{c.sender}"] = (head.head, head.ord)
            if write.mentions or write.mention_all:
                mentions += mention_rows(tenant, head, write, c.sender)
        changed[head.lid] = head
        committed = answers[i] = answer(c, head, first)
        mine = c.touch if c.touch and c.writes and not head.large else ()
        if mine and (users := touches.claim(tenant, head.lid, mine)):
            touching.append((i, committed))
            wanted.append((tenant, head.lid, users))
    run(db, ENTRY, entries)
    places.add_entries(db, entries)
    save_heads(db, changed.values())
    run(
        db,
        "WITH v(lid,ukey,sent,ord) AS (VALUES",
        sorted((*key, *value) for key, value in sent.items()),
        ") UPDATE members SET sent=v.sent, sent_ord=v.ord FROM v"
        " WHERE members.lid=v.lid AND members.ukey=v.ukey",
    )
    run(db, MENTION, mentions)
    for (i, committed), done in zip(touching, touches.write(db, wanted), strict=True):
        answers[i] = msgspec.structs.replace(committed, touched=done)
