-- The log, what must outlive its records, and the directory. Times are UTC nanoseconds.

-- epoch; floor: highest removed offset; reserved: no offset above it was ever given out by a commit that was not
-- synced; counted, counted_through: how many records there were up to an offset; revision: the directory's last;
-- first_seq: where new streams begin to count (moves ahead with a restore); repaired: times the file was reopened.
CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO meta (name, value)
VALUES ('floor', 0), ('reserved', 0), ('counted', 0), ('counted_through', 0), ('revision', 0), ('first_seq', 1), ('repaired', 0);

-- Types and sources, so that a record holds a number for each.
CREATE TABLE names (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- last_seq and last_offset say what retention has removed (or a restore has skipped); what is kept is above.
CREATE TABLE streams (
    id INTEGER PRIMARY KEY,
    feed TEXT NOT NULL,
    subject TEXT NOT NULL,
    last_seq INTEGER NOT NULL,
    last_offset INTEGER NOT NULL,
    UNIQUE (feed, subject)
) STRICT;

-- lane: 0 event, 1 state. time, state_key and extensions (JSON) only where there is one.
CREATE TABLE records (
    offset INTEGER PRIMARY KEY,
    stream INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    type INTEGER NOT NULL,
    source INTEGER NOT NULL,
    id TEXT NOT NULL,
    appended_at INTEGER NOT NULL,
    occurred_at INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    document INTEGER NOT NULL,
    time TEXT,
    state_key TEXT,
    extensions TEXT,
    data BLOB NOT NULL
) STRICT;

-- The offset is the row's number and so the last column of every index.
CREATE UNIQUE INDEX records_by_id ON records (source, id) WHERE lane = 0;
CREATE INDEX records_by_stream ON records (stream, lane);

-- The newest record of each document type and stream; when retention takes it, it moves to kept_records.
CREATE TABLE documents (
    type INTEGER NOT NULL,
    stream INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    PRIMARY KEY (type, stream)
) STRICT, WITHOUT ROWID;

CREATE TABLE kept_records (
    offset INTEGER PRIMARY KEY,
    stream INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    type INTEGER NOT NULL,
    source INTEGER NOT NULL,
    id TEXT NOT NULL,
    appended_at INTEGER NOT NULL,
    occurred_at INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    document INTEGER NOT NULL,
    time TEXT,
    state_key TEXT,
    extensions TEXT,
    data BLOB NOT NULL
) STRICT;

CREATE TABLE checkpoints (
    feed TEXT NOT NULL,
    subject TEXT NOT NULL,
    offset INTEGER NOT NULL,
    version INTEGER NOT NULL,
    state BLOB NOT NULL,
    PRIMARY KEY (feed, subject)
) STRICT;

CREATE TABLE directory (
    bucket TEXT NOT NULL,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    revision INTEGER NOT NULL,
    PRIMARY KEY (bucket, key)
) STRICT, WITHOUT ROWID;
