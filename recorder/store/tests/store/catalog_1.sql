-- The tables as SQLite's first version had them.
CREATE TABLE recordings (
    recording INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,            -- UUID, lower case, with hyphens
    start_time INTEGER NOT NULL,        -- microseconds since 1970
    duration INTEGER NOT NULL,          -- milliseconds
    complete INTEGER NOT NULL,
    caller TEXT NOT NULL,
    caller_address TEXT,                -- of the From header: user@host
    callee TEXT NOT NULL,
    callee_address TEXT                 -- of the To header
) STRICT;
CREATE INDEX recordings_by_time ON recordings (start_time, id);
CREATE TABLE documents (
    recording INTEGER PRIMARY KEY REFERENCES recordings ON DELETE CASCADE,
    json TEXT NOT NULL                  -- recording.json
) STRICT;
CREATE TABLE calls (
    call_id TEXT NOT NULL,
    recording INTEGER NOT NULL REFERENCES recordings ON DELETE CASCADE,
    PRIMARY KEY (call_id, recording)
) STRICT, WITHOUT ROWID;
CREATE INDEX calls_of_recording ON calls (recording);
PRAGMA application_id = 0x5350524C;
PRAGMA user_version = 1;
PRAGMA journal_mode = wal;
