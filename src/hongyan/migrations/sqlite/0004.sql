-- Version 4: who did which administrative thing. A line is added before the thing is done, and how
-- it ended is filled in once; after that nothing changes it. Lines go only by age.

CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice, also after lines have gone
    tenant TEXT NOT NULL,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    ip TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    outcome INTEGER NOT NULL,    -- -1 begun, 0 done, else the code of the refusal
    detail TEXT NOT NULL         -- a JSON object
);
CREATE INDEX audit_by_tenant ON audit (tenant, id);
CREATE INDEX audit_by_target ON audit (tenant, target, id);
CREATE INDEX audit_by_actor ON audit (tenant, actor, id);
CREATE INDEX audit_by_time ON audit (at);

CREATE TRIGGER audit_is_final BEFORE UPDATE ON audit
WHEN OLD.outcome <> -1 OR NEW.id <> OLD.id OR NEW.tenant <> OLD.tenant OR NEW.at <> OLD.at
    OR NEW.actor <> OLD.actor OR NEW.ip <> OLD.ip OR NEW.action <> OLD.action
BEGIN
    SELECT raise(ABORT, 'a line of the audit list does not change');
END;
