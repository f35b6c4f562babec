-- Version 1. Times are ms since 1970; bodies, states and settings are JSON kept as bytes.
-- `ukey` is tenant/user; a log id carries its tenant, so every key below belongs to one tenant.

CREATE TABLE logs (
    lid INTEGER PRIMARY KEY,
    log TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    state BLOB NOT NULL
);

-- What changes with every commit, apart from the rest and small: a page holds a hundred logs.
CREATE TABLE heads (
    lid INTEGER PRIMARY KEY,
    head INTEGER NOT NULL,
    ord INTEGER NOT NULL,        -- countable entries up to head
    floor INTEGER NOT NULL,      -- first seq still kept
    floor_ord INTEGER NOT NULL,  -- countable entries before floor
    epoch INTEGER NOT NULL,
    version INTEGER NOT NULL,
    roster INTEGER NOT NULL,
    count INTEGER NOT NULL,      -- members now
    large INTEGER NOT NULL,
    counted INTEGER NOT NULL     -- seq of the newest countable entry
);

-- `pos` is commit order over all logs: the feed.
CREATE TABLE entries (
    pos INTEGER PRIMARY KEY,
    lid INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    ord INTEGER NOT NULL,
    type TEXT NOT NULL,
    sender TEXT NOT NULL,
    device TEXT NOT NULL,
    at INTEGER NOT NULL,
    count INTEGER NOT NULL,
    target INTEGER NOT NULL,
    slot TEXT NOT NULL,
    op TEXT NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX entries_by_target ON entries (lid, target, slot) WHERE target > 0;

-- Where the entry (lid, seq) stands, and what was done by which op (a retry gets the first answer
-- again). Both are ordered by log, so every commit would dirty an own page of each: rows wait in
-- the small _new tables and move over log by log, many at a time. All rows of a log move together,
-- so those in _new are its newest.
CREATE TABLE places (
    lid INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    pos INTEGER NOT NULL,
    PRIMARY KEY (lid, seq)
) WITHOUT ROWID;
CREATE TABLE places_new (
    lid INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    pos INTEGER NOT NULL,
    PRIMARY KEY (lid, seq)
) WITHOUT ROWID;
CREATE TABLE ops (
    lid INTEGER NOT NULL,
    sender TEXT NOT NULL,
    op TEXT NOT NULL,
    hash BLOB NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (lid, sender, op)
) WITHOUT ROWID;
CREATE TABLE ops_new (
    lid INTEGER NOT NULL,
    sender TEXT NOT NULL,
    op TEXT NOT NULL,
    hash BLOB NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (lid, sender, op)
) WITHOUT ROWID;

-- A member of a log, or one who left (role 0). `x_ord` counts the countable entries up to x
-- (since_ord: before since), so unread is a subtraction. `useq` is the row's place in the inbox.
CREATE TABLE members (
    lid INTEGER NOT NULL,
    ukey TEXT NOT NULL,
    role INTEGER NOT NULL,
    since INTEGER NOT NULL,
    since_ord INTEGER NOT NULL,
    until INTEGER NOT NULL,
    until_ord INTEGER NOT NULL,
    muted_until INTEGER NOT NULL,
    joined_at INTEGER NOT NULL,
    read INTEGER NOT NULL,
    read_ord INTEGER NOT NULL,
    delivered INTEGER NOT NULL,
    sent INTEGER NOT NULL,
    sent_ord INTEGER NOT NULL,
    cleared INTEGER NOT NULL,
    cleared_ord INTEGER NOT NULL,
    marked INTEGER NOT NULL,
    mark INTEGER NOT NULL,
    large INTEGER NOT NULL,      -- the log is large
    useq INTEGER NOT NULL,
    settings BLOB NOT NULL,
    PRIMARY KEY (lid, ukey)
) WITHOUT ROWID;
CREATE INDEX members_inbox ON members (ukey, useq);
CREATE INDEX members_large ON members (ukey) WHERE large = 1;

-- Who is named by an entry; ukey * = everybody. Rows of erased entries are removed.
CREATE TABLE mentions (
    lid INTEGER NOT NULL,
    ukey TEXT NOT NULL,
    seq INTEGER NOT NULL,
    sender TEXT NOT NULL,
    PRIMARY KEY (lid, ukey, seq)
) WITHOUT ROWID;

-- Entries whose body was blanked for all, and entries one user deleted for himself.
CREATE TABLE erased (
    lid INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    count INTEGER NOT NULL,      -- it was countable
    PRIMARY KEY (lid, seq)
) WITHOUT ROWID;
CREATE TABLE hidden (
    lid INTEGER NOT NULL,
    ukey TEXT NOT NULL,
    seq INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (lid, ukey, seq)
) WITHOUT ROWID;

CREATE TABLE consumers (
    name TEXT PRIMARY KEY,
    pos INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE users (
    tenant TEXT NOT NULL,
    user TEXT NOT NULL,
    name TEXT NOT NULL,
    avatar TEXT NOT NULL,
    admin INTEGER NOT NULL,
    disabled INTEGER NOT NULL,
    password TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    valid_from INTEGER NOT NULL, -- tokens of logins before are refused
    PRIMARY KEY (tenant, user)
) WITHOUT ROWID;

-- A login is active while its epoch is above `kicked`.
CREATE TABLE devices (
    tenant TEXT NOT NULL,
    user TEXT NOT NULL,
    device TEXT NOT NULL,
    cls TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    kicked INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, user, device)
) WITHOUT ROWID;

CREATE TABLE keys (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    digest BLOB NOT NULL UNIQUE,
    scopes TEXT NOT NULL,        -- a JSON array
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) WITHOUT ROWID;
