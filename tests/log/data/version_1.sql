-- A hub's file of schema version 1, as the first release wrote it.

BEGIN TRANSACTION;

-- Table  checkpoints
CREATE TABLE checkpoints (
    feed TEXT NOT NULL,
    subject TEXT NOT NULL,
    offset INTEGER NOT NULL,
    version INTEGER NOT NULL,
    state BLOB NOT NULL,
    PRIMARY KEY (feed, subject)
) STRICT;
INSERT INTO checkpoints VALUES('shottracker','game-1',3,1,X'7374617465');

-- Table  directory
CREATE TABLE directory (
    bucket TEXT NOT NULL,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    revision INTEGER NOT NULL,
    PRIMARY KEY (bucket, key)
) STRICT, WITHOUT ROWID;
INSERT INTO directory VALUES('partners','acme',X'7B7D',1);

-- Table  documents
CREATE TABLE documents (
    type INTEGER NOT NULL,
    stream INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    PRIMARY KEY (type, stream)
) STRICT, WITHOUT ROWID;
INSERT INTO documents VALUES(1,1,6);
INSERT INTO documents VALUES(3,2,2);
INSERT INTO documents VALUES(3,3,5);

-- Table  kept_records
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
INSERT INTO kept_records VALUES(2,2,0,1,3,2,'g-1',1700000000000000001,1700000000000000000,1700000000500000000,1,NULL,NULL,NULL,X'7B226964223A22672D31227D');

-- Table  meta
CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES('counted',4);
INSERT INTO meta VALUES('counted_through',6);
INSERT INTO meta VALUES('epoch','0123456789abcdef');
INSERT INTO meta VALUES('first_seq',1);
INSERT INTO meta VALUES('floor',2);
INSERT INTO meta VALUES('repaired',0);
INSERT INTO meta VALUES('reserved',6);
INSERT INTO meta VALUES('revision',1);

-- Table  names
CREATE TABLE names (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;
INSERT INTO names VALUES(1,'shottracker.shot');
INSERT INTO names VALUES(2,'/venue/12');
INSERT INTO names VALUES(3,'shottracker.game');
INSERT INTO names VALUES(4,'shottracker.location');

-- Table  records
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
INSERT INTO records VALUES(3,1,0,2,1,2,'e-2',1700000000000000002,1700000000000000000,1700000000500000000,0,NULL,NULL,NULL,X'7B226964223A22652D32227D');
INSERT INTO records VALUES(4,1,1,0,4,2,'s-1',1700000000000000003,1700000000000000000,1700000000500000000,0,NULL,'k',NULL,X'7B226964223A22732D31227D');
INSERT INTO records VALUES(5,3,0,1,3,2,'g-2',1700000000000000004,1700000000000000000,1700000000500000000,1,NULL,NULL,NULL,X'7B226964223A22672D32227D');
INSERT INTO records VALUES(6,1,0,3,1,2,'full',1700000000000000005,1700000000000000000,1700000000500000000,1,'2026-01-02T03:04:05Z',NULL,'{"partner":"p","n":1}',X'7B226964223A2266756C6C227D');
-- Triggers and indices on  records
CREATE UNIQUE INDEX records_by_id ON records (source, id) WHERE lane = 0;
CREATE INDEX records_by_stream ON records (stream, lane);

-- Table  streams
CREATE TABLE streams (
    id INTEGER PRIMARY KEY,
    feed TEXT NOT NULL,
    subject TEXT NOT NULL,
    last_seq INTEGER NOT NULL,
    last_offset INTEGER NOT NULL,
    UNIQUE (feed, subject)
) STRICT;
INSERT INTO streams VALUES(1,'shottracker','game-1',1,1);
INSERT INTO streams VALUES(2,'shottracker','1',1,2);
INSERT INTO streams VALUES(3,'shottracker','2',0,0);

-- Database header
pragma user_version=1;
pragma application_id=1414286917;

COMMIT TRANSACTION;
