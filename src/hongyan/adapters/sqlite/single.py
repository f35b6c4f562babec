"""Any commit, one at a time: creation, state, members, erasure, retries and refusals.

Everything that can refuse comes before the first write, so a refused commit leaves nothing behind
in the transaction it shares with others.
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
from hongyan.adapters.sqlite.places import Places, at, next_pos
from hongyan.adapters.sqlite.touches import Touches
from hongyan.adapters.sqlite.values import array, run
from hongyan.model.errors import Clash, Conflict, Full
from hongyan.model.ids import Seq, UserId, tenant_of
from hongyan.model.log import EDIT, Commit, Committed, MemberChange, Role, merge_settings


class Row(msgspec.Struct):
    """A member as stored; the columns of `members` in order."""

    lid: int
    ukey: str
    role: int = 0
    since: int = 1
    since_ord: int = 0
    until: int = 0
    until_ord: int = 0
    muted_until: int = 0
    joined_at: int = 0
    read: int = 0
    read_ord: int = 0
    delivered: int = 0
    sent: int = 0
    sent_ord: int = 0
    cleared: int = 0
    cleared_ord: int = 0
    marked: int = 0
    mark: int = 0
    large: int = 0
    useq: int = 0
    settings: bytes = b"{}"


_users = msgspec.json.Decoder(set[UserId]).decode
ROW_COLUMNS = ",".join(Row.__struct_fields__)


# size: the order of the checks is the promise; it reads as one list
def commit_one(
    db: sqlite3.Connection,
    logs: Logs,
    touches: Touches,
    places: Places,
    commit: Commit,
    large_above: int,
) -> Committed:
    """Commit inside the open transaction.

    Raises:
        Clash, Conflict, Full: nothing was written.
    """
    lid = logs.lids(db, [commit.log]).get(commit.log)
    head = heads(db, [lid])[lid] if lid is not None else Head(0)
    if (repeat := _repeat(db, head, commit)) is not None:
        return repeat
    if commit.expect >= 0 and commit.expect != head.version:
        raise Conflict(f"version is {head.version}, not {commit.expect}")
    tenant = tenant_of(commit.log)
    rows = _rows(db, head.lid, tenant, commit.members)
    _check_room(head, rows, commit)

    if lid is None:
        head.lid = logs.create(db, commit.log, commit.at)
    before = msgspec.structs.replace(head)
    _append(db, places, tenant, head, commit)
    for change in commit.members:
        _change(db, rows, tenant, head, before, change, commit.at)
    if commit.state is not None:
        db.execute("UPDATE logs SET state=? WHERE lid=?", (commit.state, head.lid))
    if before.version == 0 or commit.raises_version:
        head.version += 1
    if not head.large and head.count > large_above:
        head.large = 1
        db.execute("UPDATE members SET large=1 WHERE lid=?", (head.lid,))
    _save_rows(db, rows, head)
    if head.counted > before.head:
        db.execute(
            "UPDATE members SET sent=?, sent_ord=? WHERE lid=? AND ukey=?",
            (head.counted, head.ord, head.lid, f"{tenant}/{commit.sender}"),
        )
    save_heads(db, [head])
    op = (head.lid, commit.owner, commit.op, commit.hash, before.head + 1, head.head, commit.at)
    places.add_ops(db, [op])  # no repeat: looked for above
    users = touches.claim(tenant, head.lid, _whom(db, head, before, commit, set(rows)))
    done = touches.write(db, [(tenant, head.lid, users)] if users else [])
    committed = answer(commit, head, before.head + 1)
    return msgspec.structs.replace(committed, touched=done[0]) if done else committed


def _repeat(db: sqlite3.Connection, head: Head, commit: Commit) -> Committed | None:
    """The first answer of this op again, if there was one."""
    found = db.execute(
        "SELECT hash, first, last, at,"
        f" coalesce((SELECT ord FROM entries WHERE pos={at('o.lid', 'o.last')}), 0)"
        " FROM (SELECT * FROM ops_new WHERE lid=?1 AND sender=?2 AND op=?3"
        "  UNION ALL SELECT * FROM ops WHERE lid=?1 AND sender=?2 AND op=?3) o",
        (head.lid, commit.owner, commit.op),
    ).fetchone()
    if found is None:
        return None
    if found[0] != commit.hash:
        raise Clash()
    return Committed(
        Seq(found[1]),
        Seq(found[2]),
        found[4],
        found[3],
        head.version,
        head.roster,
        head.count,
        bool(head.large),
        True,
    )


def _rows(
    db: sqlite3.Connection, lid: int, tenant: str, changes: Sequence[MemberChange]
) -> dict[UserId, Row]:
    """The rows of those that change, by user, as far as they have one."""
    if not changes:
        return {}
    found = db.execute(
        f"SELECT {ROW_COLUMNS} FROM members WHERE lid=?"
        " AND ukey IN (SELECT value FROM json_each(?))",
        (lid, array({f"{tenant}/{change.user}" for change in changes})),
    )
    start = len(tenant) + 1
    return {UserId(values[1][start:]): Row(*values) for values in found}


def _check_room(head: Head, rows: dict[UserId, Row], commit: Commit) -> None:
    active = {user for user, row in rows.items() if row.role}
    others, joined = head.count - len(active), False
    for change in commit.members:
        if change.join and change.user not in active:
            active.add(change.user)
            joined = True
        if change.leaves:
            active.discard(change.user)
    if commit.max_members and joined and others + len(active) > commit.max_members:
        raise Full(f"at most {commit.max_members} members")


def _append(
    db: sqlite3.Connection, places: Places, tenant: str, head: Head, commit: Commit
) -> None:
    first = head.head + 1
    entries, mentions = [], []
    for pos, write in enumerate(commit.writes, start=next_pos(db)):
        entries.append(head.add(write, commit, pos))
        mentions += mention_rows(tenant, head, write, commit.sender)
    run(db, ENTRY, entries)
    places.add_entries(db, entries)
    run(db, MENTION, mentions)
    for seq, write in enumerate(commit.writes, start=first):
        if write.slot == EDIT:  # one that lost the race against the erasure of its target
            db.execute(
                f"UPDATE entries SET body=?1 WHERE pos={at('?2', '?3')}"
                " AND EXISTS (SELECT 1 FROM erased WHERE lid=entries.lid AND seq=entries.target)",
                (b"{}", head.lid, seq),
            )
        if write.erases and 1 <= write.target < seq:
            _erase(db, head.lid, write.target, seq)


def _erase(db: sqlite3.Connection, lid: int, target: int, by: int) -> None:
    """Blank an entry and the edits made of it before `by`: they held the text too."""
    db.execute(
        "INSERT OR IGNORE INTO erased(lid,seq,count)"
        f" SELECT lid, seq, count FROM entries WHERE pos={at('?1', '?2')}",
        (lid, target),
    )
    db.execute(f"UPDATE entries SET body=?3 WHERE pos={at('?1', '?2')}", (lid, target, b"{}"))
    db.execute(
        "UPDATE entries SET body=? WHERE lid=? AND target=? AND target>0 AND slot=? AND seq<?",
        (b"{}", lid, target, EDIT, by),
    )
    db.execute("DELETE FROM mentions WHERE lid=? AND seq=?", (lid, target))


# size: one branch per field of a change, in the order in which they apply
def _change(
    db: sqlite3.Connection,
    rows: dict[UserId, Row],
    tenant: str,
    head: Head,
    before: Head,
    change: MemberChange,
    now_ms: int,
) -> None:
    """Apply one member change to `rows` and to the counts of `head`."""
    row = rows.get(change.user)
    if change.join and (row is None or not row.role):
        if row is None:
            row = rows[change.user] = Row(head.lid, f"{tenant}/{change.user}")
        row.role = change.role or Role.MEMBER
        row.since, row.since_ord = (1, 0) if change.history else (before.head + 1, before.ord)
        row.until, row.until_ord, row.joined_at = 0, 0, now_ms
        head.roster += 1
        head.count += 1
    elif row is None:
        return  # there is nothing to change of one who never joined
    elif change.role and row.role and not change.join:
        row.role = change.role
    if change.leaves and row.role:
        row.role, row.until, row.until_ord = Role.NONE, head.head, head.ord
        head.roster += 1
        head.count -= 1
    if change.muted_until is not None:
        row.muted_until = change.muted_until
    if change.settings is not None:
        row.settings = bytes(merge_settings(msgspec.Raw(row.settings), change.settings))
    if change.marked is not None:
        row.marked, row.mark = change.marked, row.mark + 1
    top, top_ord = (head.head, head.ord) if row.role else (row.until, row.until_ord)
    if change.clear and top > row.cleared:
        row.cleared, row.cleared_ord = top, top_ord
    if change.hide:
        low = max(row.since, row.cleared + 1, head.floor)
        db.execute(
            "INSERT OR IGNORE INTO hidden(lid,ukey,seq,count) SELECT lid, ?1, seq, count"
            f" FROM entries WHERE pos IN (SELECT {at('?2', 'value')} FROM json_each(?3)"
            "  WHERE value BETWEEN ?4 AND ?5)",
            (row.ukey, row.lid, array(change.hide), low, top),
        )


def _save_rows(db: sqlite3.Connection, rows: dict[UserId, Row], head: Head) -> None:
    for row in rows.values():
        row.large = head.large
    run(
        db,
        f"INSERT OR REPLACE INTO members({ROW_COLUMNS}) VALUES",
        [msgspec.structs.astuple(row) for row in rows.values()],
    )


def _whom(
    db: sqlite3.Connection, head: Head, before: Head, commit: Commit, changed: set[UserId]
) -> set[UserId]:
    """Whose inbox must say that the log changed."""
    if before.large or commit.touch is None or not commit.concerns_all:
        return changed
    if commit.roster == before.roster:
        return changed | set(commit.touch)
    start = len(tenant_of(commit.log)) + 2  # SQL counts from 1
    found = db.execute(
        "SELECT json_group_array(substr(ukey,?)) FROM members WHERE lid=? AND role>0",
        (start, head.lid),
    ).fetchone()[0]
    return changed | _users(found)
