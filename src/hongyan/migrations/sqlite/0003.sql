-- Version 3. Files: uploads on their way, what each tenant holds, and where it is referred to.

-- `at` bytes are durable. `result` is what the uploader is told at the end, as JSON. Rows stay for
-- a day after the end, since what a user uploads in a day is bounded.
CREATE TABLE uploads (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    user TEXT NOT NULL,
    size INTEGER NOT NULL,
    at INTEGER NOT NULL,
    name TEXT NOT NULL,
    media_type TEXT NOT NULL,    -- as claimed
    state TEXT NOT NULL,         -- uploading, processing, ready, refused, ended
    result BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX uploads_by_user ON uploads (tenant, user, created_at, size, at, state);
CREATE INDEX uploads_by_tenant ON uploads (tenant, created_at, size, at, state);
CREATE INDEX uploads_by_expiry ON uploads (expires_at);

-- The same bytes may be held by several tenants and are kept once; without a holder they go.
CREATE TABLE files (
    tenant TEXT NOT NULL,
    digest TEXT NOT NULL,
    size INTEGER NOT NULL,
    media_type TEXT NOT NULL,    -- as found in the bytes
    touched_at INTEGER NOT NULL, -- uploaded last
    PRIMARY KEY (tenant, digest)
) WITHOUT ROWID;
CREATE INDEX files_by_digest ON files (digest);
CREATE INDEX files_by_touch ON files (touched_at, tenant, digest);

-- Entries that name a digest; seq 0 = the state of the log. `target`: of an edit, what it edits.
CREATE TABLE file_refs (
    tenant TEXT NOT NULL,
    digest TEXT NOT NULL,
    log TEXT NOT NULL,
    seq INTEGER NOT NULL,
    target INTEGER NOT NULL,
    PRIMARY KEY (tenant, digest, log, seq)
) WITHOUT ROWID;
CREATE INDEX file_refs_by_log ON file_refs (log, seq);
CREATE INDEX file_refs_by_target ON file_refs (log, target) WHERE target > 0;

-- Bytes that nobody holds any more and that have to be removed, also after a crash.
CREATE TABLE file_drops (
    digest TEXT PRIMARY KEY
) WITHOUT ROWID;

CREATE INDEX users_by_avatar ON users (tenant, avatar) WHERE avatar <> '';
