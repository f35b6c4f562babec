-- Version 2: what leaves the server by itself (webhooks), who is asked before a call is decided
-- (hooks), and who fetches (pulls). Times are ms since 1970; `data` is JSON kept as bytes.

CREATE TABLE webhooks (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL UNIQUE,
    data BLOB NOT NULL,          -- what the administrator set, with the secrets
    pos INTEGER NOT NULL,        -- of the feed: all before is delivered, held back or dead
    progress BLOB NOT NULL,      -- how it went
    PRIMARY KEY (tenant, id)
) WITHOUT ROWID;

-- Logs that a failed delivery holds back: the first entry that was not delivered, and when it is
-- tried again. Entries of the log up to the position of the webhook follow by seq.
CREATE TABLE webhook_holds (
    webhook TEXT NOT NULL,
    log TEXT NOT NULL,
    seq INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    since INTEGER NOT NULL,
    next_at INTEGER NOT NULL,
    PRIMARY KEY (webhook, log)
) WITHOUT ROWID;

-- Entries given up. `replay` 1 = asked to be sent again.
CREATE TABLE webhook_dead (
    webhook TEXT NOT NULL,
    pos INTEGER NOT NULL,
    log TEXT NOT NULL,
    seq INTEGER NOT NULL,
    type TEXT NOT NULL,
    at INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    error TEXT NOT NULL,
    replay INTEGER NOT NULL,
    PRIMARY KEY (webhook, pos)
) WITHOUT ROWID;
CREATE INDEX webhook_dead_replay ON webhook_dead (webhook, pos) WHERE replay = 1;

CREATE TABLE hooks (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (tenant, id)
) WITHOUT ROWID;

CREATE TABLE pulls (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    pos INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (tenant, name)
) WITHOUT ROWID;
