-- Version 5. People are found by the beginning of their id or of a word of their name; the starts
-- of a person are those of `adapters/people.py`. Disabled accounts have none.
CREATE TABLE people (
    tenant TEXT NOT NULL,
    start TEXT NOT NULL,
    user TEXT NOT NULL,
    PRIMARY KEY (tenant, start, user)
) WITHOUT ROWID;
INSERT OR IGNORE INTO people(tenant, start, user)
    SELECT u.tenant, s.value, u.user FROM users u, json_each(person_starts(u.user, u.name)) s
    WHERE u.disabled = 0;

ALTER TABLE users ADD COLUMN made TEXT NOT NULL DEFAULT '';      -- digest of what created it
ALTER TABLE users ADD COLUMN erased INTEGER NOT NULL DEFAULT 0;  -- ms; the person's data is gone
ALTER TABLE keys ADD COLUMN user TEXT NOT NULL DEFAULT '';       -- the service user it speaks for
