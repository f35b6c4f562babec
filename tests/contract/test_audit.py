"""The Audit port, on every adapter."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from hongyan.adapters.memory.audit import MemoryAudit
from hongyan.adapters.sqlite import SqliteStore
from hongyan.adapters.sqlite.audit import SqliteAudit
from hongyan.model.ids import TenantId
from hongyan.ports import Audit, AuditEnd, AuditFilter, AuditLine

MAIN, OTHER = TenantId("main"), TenantId("other")
ALL = AuditFilter()
TOP = 1 << 62


@pytest.fixture(params=["memory", "sqlite"])
async def audit(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Audit]:
    if request.param == "memory":
        yield MemoryAudit()
        return
    store = SqliteStore(tmp_path / "data")
    yield SqliteAudit(store)
    await store.close()


def line(at: int = 5, actor: str = "root", action: str = "users.kick", **more: object) -> AuditLine:
    return AuditLine(
        **{"tenant": MAIN, "at": at, "actor": actor, "ip": "::1", "action": action} | more
    )  # type: ignore[arg-type]


def ended(outcome: int = 0, target: str = "bob", detail: bytes = b'{"device":"*"}') -> AuditEnd:
    return AuditEnd(outcome, target, msgspec.Raw(detail))


async def test_CO4_a_line_is_ended_once(audit: Audit) -> None:
    first = await audit.begin(line(id=99))

    [begun] = await audit.page(MAIN, before=TOP, limit=9, only=ALL)
    assert (begun.id, begun.outcome, begun.target) == (first, -1, "")
    assert await audit.end(first, ended())
    assert not await audit.end(first, ended(outcome=202, target="ann"))
    assert not await audit.end(first + 1, ended())

    [kept] = await audit.page(MAIN, before=TOP, limit=9, only=ALL)
    assert (kept.outcome, kept.target, bytes(kept.detail)) == (0, "bob", b'{"device":"*"}')


async def test_CO4_lines_go_by_age_and_their_ids_are_not_given_again(audit: Audit) -> None:
    ids = [await audit.begin(line(at=at)) for at in (1, 2, 3)]

    assert await audit.forget(3) == 2
    assert [one.id for one in await audit.page(MAIN, before=TOP, limit=9, only=ALL)] == ids[2:]
    assert await audit.forget(9) == 1
    assert await audit.begin(line()) > ids[-1]


async def test_CO5_pages_are_newest_first_without_hole_or_repeat(audit: Audit) -> None:
    ids = [await audit.begin(line(at=at)) for at in range(7)]
    foreign = await audit.begin(line(tenant=OTHER))
    seen: list[int] = []
    before = TOP
    while page := await audit.page(MAIN, before=before, limit=3, only=ALL):
        seen += [one.id for one in page]
        before = seen[-1]

    assert seen == ids[::-1]
    assert [one.id for one in await audit.page(OTHER, before=TOP, limit=9, only=ALL)] == [foreign]


@pytest.mark.parametrize(
    ("only", "wanted"),
    [
        (AuditFilter(actor="ann"), [2]),
        (AuditFilter(action="keys."), [3, 2]),
        (AuditFilter(action="keys.drop"), [3]),
        (AuditFilter(target="bob"), [1]),
        (AuditFilter(since=20), [3, 2]),
        (AuditFilter(until=20), [1]),
        (AuditFilter(actor="root", action="keys", since=30, until=31), [3]),
        (AuditFilter(action="%"), []),
    ],
)
async def test_CO5_lines_are_found_by_what_they_say(
    audit: Audit, only: AuditFilter, wanted: list[int]
) -> None:
    first = await audit.begin(line(at=10))
    await audit.begin(line(at=20, actor="ann", action="keys.create"))
    await audit.begin(line(at=30, action="keys.drop"))
    await audit.end(first, ended())

    found = await audit.page(MAIN, before=TOP, limit=9, only=only)

    assert [one.id - first + 1 for one in found] == wanted


async def test_CO4_the_file_itself_refuses_to_change_a_line(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "data")
    audit = SqliteAudit(store)
    await audit.end(await audit.begin(line()), ended())
    open_one = await audit.begin(line())
    await store.close()

    with sqlite3.connect(tmp_path / "data" / "hongyan.db") as db:
        for change in ("actor='x'", "outcome=0", "at=1", "detail='{}'"):
            with pytest.raises(sqlite3.IntegrityError, match="does not change"):
                db.execute(f"UPDATE audit SET {change} WHERE id<?", (open_one,))
        with pytest.raises(sqlite3.IntegrityError, match="does not change"):
            db.execute("UPDATE audit SET actor='x' WHERE id=?", (open_one,))
    db.close()
