-- Live items that are kept for the replay. No log of the service refers to them and nothing is
-- counted by them: they may be dropped by age at any time.
CREATE TABLE live_archive (
  log    TEXT NOT NULL,
  epoch  INTEGER NOT NULL,
  off    INTEGER NOT NULL,
  at     INTEGER NOT NULL,  -- ms
  media  INTEGER NOT NULL,  -- ms of the recording, -1 = none
  type   TEXT NOT NULL,
  sender TEXT NOT NULL,
  body   TEXT NOT NULL,     -- JSON
  PRIMARY KEY (log, epoch, off)
) WITHOUT ROWID;
CREATE INDEX live_archive_by_time ON live_archive (log, at, epoch, off);
CREATE INDEX live_archive_by_media ON live_archive (log, media, epoch, off) WHERE media >= 0;
CREATE INDEX live_archive_by_sender ON live_archive (sender);
CREATE INDEX live_archive_by_age ON live_archive (at);
