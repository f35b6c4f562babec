"""Migrations are applied by number above the file's version: a hole, or a number that comes later
than a higher one was released, would never be applied."""

from __future__ import annotations

import sqlite3

from hongyan.adapters.sqlite.files import migrate, migrations, pending, version_of


def test_migrations_have_no_hole() -> None:
    versions = [version for version, _ in migrations()]
    assert versions == list(range(1, len(versions) + 1))


def test_every_version_can_be_brought_to_the_newest() -> None:
    """Step by step or at once: the same tables."""
    newest = migrations()[-1][0]
    found = set()
    for start in range(newest):
        db = sqlite3.connect(":memory:", isolation_level=None)
        db.create_function("person_starts", 2, lambda user, name: "[]", deterministic=True)
        for version, script in migrations()[:start]:
            db.executescript(f"BEGIN;\n{script}\nPRAGMA user_version = {version};\nCOMMIT;")
        if start:
            db.execute("PRAGMA application_id = 0x686F6E67")
        assert migrate(db) == list(range(start + 1, newest + 1))
        assert (version_of(db), pending(db)) == (newest, [])
        found.add(tuple(db.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name")))
        db.close()
    assert len(found) == 1
