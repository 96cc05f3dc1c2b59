-- Named queries; see queries.py. Parameters are by place in the hot ones, by name elsewhere.

-- name: get_meta
SELECT value FROM meta WHERE name = ?;

-- name: set_meta
INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- name: last_record
SELECT offset, appended_at FROM records ORDER BY offset DESC LIMIT 1;

-- name: count_after
SELECT count(*) FROM records WHERE offset > ?;

-- name: next_ids
SELECT (SELECT coalesce(max(id), 0) + 1 FROM streams), (SELECT coalesce(max(id), 0) + 1 FROM names);

-- name: find_stream
SELECT id, last_seq FROM streams WHERE feed = ? AND subject = ?;

-- name: last_kept_seq
SELECT seq FROM records WHERE stream = ? AND lane = 0 ORDER BY offset DESC LIMIT 1;

-- name: find_name
SELECT id FROM names WHERE name = ?;

-- name: name_of
SELECT name FROM names WHERE id = ?;

-- name: stream_of
SELECT feed, subject FROM streams WHERE id = ?;

-- name: insert_streams
INSERT INTO streams (id, feed, subject, last_seq, last_offset) VALUES (?, ?, ?, ?, ?);

-- name: insert_names
INSERT INTO names (id, name) VALUES (?, ?);

-- name: insert_records
INSERT INTO records (offset, stream, lane, seq, type, source, id, appended_at, occurred_at, received_at, document,
    time, state_key, extensions, data)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: set_documents
INSERT OR REPLACE INTO documents (type, stream, offset) VALUES (?, ?, ?);

-- name: find_ids
WITH asked (source, id) AS (VALUES (?, ?))
SELECT r.source, r.id, r.type, s.subject, r.data
FROM asked
CROSS JOIN records AS r ON r.source = asked.source AND r.id = asked.id AND r.lane = 0
JOIN streams AS s ON s.id = r.stream;

-- One row for a whole page, because each row stepped by itself would wait for the interpreter when it is busy.
-- name: page
SELECT
    json_group_array(json_array(offset, stream, lane, seq, type, source, id, appended_at, occurred_at, received_at,
        document, time, state_key, json(extensions), length(data))),
    CAST(coalesce(group_concat(data, ''), '') AS BLOB)
FROM (
    SELECT * FROM records
    WHERE offset > :after AND offset <= :last
        AND (:events_only = 0 OR lane = 0)
        AND (:feed IS NULL OR +stream IN (SELECT id FROM streams WHERE feed = :feed))
        AND (:types IS NULL OR type IN (SELECT value FROM json_each(:types)))
    ORDER BY offset LIMIT :limit
);

-- name: stream_page
SELECT
    json_group_array(json_array(offset, stream, lane, seq, type, source, id, appended_at, occurred_at, received_at,
        document, time, state_key, json(extensions), length(data))),
    CAST(coalesce(group_concat(data, ''), '') AS BLOB)
FROM (
    SELECT * FROM records
    WHERE stream = :stream AND lane = 0 AND offset > :after AND offset <= :last
        AND (:types IS NULL OR type IN (SELECT value FROM json_each(:types)))
    UNION ALL
    SELECT * FROM records
    WHERE :events_only = 0 AND stream = :stream AND lane = 1 AND offset > :after AND offset <= :last
        AND (:types IS NULL OR type IN (SELECT value FROM json_each(:types)))
    ORDER BY offset LIMIT :limit
);

-- name: latest_states
SELECT
    json_group_array(json_array(offset, stream, lane, seq, type, source, id, appended_at, occurred_at, received_at,
        document, time, state_key, json(extensions), length(data))),
    CAST(coalesce(group_concat(data, ''), '') AS BLOB)
FROM (
    SELECT * FROM (
        SELECT *, row_number() OVER (PARTITION BY type, state_key ORDER BY offset DESC) AS age FROM (
            SELECT * FROM records
            WHERE stream = :stream AND lane = 1 AND offset <= :last
            ORDER BY offset DESC LIMIT :limit
        )
    ) WHERE age = 1 ORDER BY offset
);

-- name: documents
SELECT
    json_group_array(json_array(offset, stream, lane, seq, type, source, id, appended_at, occurred_at, received_at,
        document, time, state_key, json(extensions), length(data))),
    CAST(coalesce(group_concat(data, ''), '') AS BLOB)
FROM (
    SELECT * FROM (
        SELECT r.* FROM documents AS d
        JOIN streams AS s ON s.id = d.stream
        JOIN records AS r ON r.offset = d.offset
        WHERE d.type = :type AND s.feed = :feed AND (:subject IS NULL OR s.subject = :subject)
        UNION ALL
        SELECT r.* FROM documents AS d
        JOIN streams AS s ON s.id = d.stream
        JOIN kept_records AS r ON r.offset = d.offset
        WHERE d.type = :type AND s.feed = :feed AND (:subject IS NULL OR s.subject = :subject)
    ) ORDER BY offset
);

-- name: streams
SELECT json_group_array(json_array(
    s.feed,
    s.subject,
    (SELECT seq FROM records WHERE stream = s.id AND lane = 0 ORDER BY offset LIMIT 1),
    max(s.last_seq, coalesce((SELECT seq FROM records WHERE stream = s.id AND lane = 0 ORDER BY offset DESC LIMIT 1), 0)),
    max(
        s.last_offset,
        coalesce((SELECT max(offset) FROM records WHERE stream = s.id AND lane = 0), 0),
        coalesce((SELECT max(offset) FROM records WHERE stream = s.id AND lane = 1), 0)
    )
))
FROM streams AS s
WHERE s.feed = :feed AND (:subject IS NULL OR s.subject = :subject);

-- name: streams_to_trim
SELECT json_group_array(json_array(
    s.feed,
    s.subject,
    (SELECT seq FROM records WHERE stream = s.id AND lane = 0 ORDER BY offset LIMIT 1),
    max(s.last_seq, coalesce((SELECT seq FROM records WHERE stream = s.id AND lane = 0 ORDER BY offset DESC LIMIT 1), 0)),
    max(
        s.last_offset,
        coalesce((SELECT max(offset) FROM records WHERE stream = s.id AND lane = 0), 0),
        coalesce((SELECT max(offset) FROM records WHERE stream = s.id AND lane = 1), 0)
    )
))
FROM streams AS s
LEFT JOIN checkpoints AS c ON c.feed = s.feed AND c.subject = s.subject
WHERE EXISTS (
        SELECT 1 FROM records
        WHERE stream = s.id AND lane = 0 AND offset > coalesce(c.offset, 0) AND offset <= :through
    )
    OR EXISTS (
        SELECT 1 FROM records
        WHERE stream = s.id AND lane = 1 AND offset > coalesce(c.offset, 0) AND offset <= :through
    );

-- name: first_event_from
SELECT offset, seq FROM records WHERE stream = ? AND lane = 0 AND offset >= ? ORDER BY offset LIMIT 1;

-- name: last_event
SELECT offset, seq FROM records WHERE stream = ? AND lane = 0 ORDER BY offset DESC LIMIT 1;

-- name: first_from
SELECT offset, appended_at FROM records WHERE offset >= ? ORDER BY offset LIMIT 1;

-- name: last_through
SELECT max(offset) FROM records WHERE offset <= ?;

-- name: sizes
SELECT json_group_array(json_array(offset, bytes)) FROM (
    SELECT offset, 60 + 2 * length(id) + coalesce(length(time), 0) + coalesce(length(extensions), 0) + length(data) AS bytes
    FROM records WHERE offset > ? ORDER BY offset LIMIT ?
);

-- name: trim_boundary
SELECT max(offset), count(*) FROM (SELECT offset FROM records WHERE offset <= ? ORDER BY offset LIMIT ?);

-- name: keep_documents
INSERT OR REPLACE INTO kept_records
SELECT r.* FROM records AS r JOIN documents AS d ON d.offset = r.offset
WHERE d.offset <= ?;

-- name: drop_old_documents
DELETE FROM kept_records WHERE NOT EXISTS (
    SELECT 1 FROM documents AS d
    WHERE d.type = kept_records.type AND d.stream = kept_records.stream AND d.offset = kept_records.offset
);

-- name: keep_counters
UPDATE streams SET last_seq = max(last_seq, gone.seq), last_offset = max(last_offset, gone.offset)
FROM (SELECT stream, max(seq) AS seq, max(offset) AS offset FROM records NOT INDEXED WHERE offset <= ? GROUP BY stream) AS gone
WHERE streams.id = gone.stream;

-- name: delete_through
DELETE FROM records WHERE offset <= ?;

-- name: load_checkpoint
SELECT offset, version, state FROM checkpoints WHERE feed = ? AND subject = ?;

-- name: save_checkpoint
INSERT INTO checkpoints (feed, subject, offset, version, state) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (feed, subject) DO UPDATE
SET offset = excluded.offset, version = excluded.version, state = excluded.state
WHERE excluded.offset >= checkpoints.offset;

-- name: get_entry
SELECT value, revision FROM directory WHERE bucket = ? AND key = ?;

-- name: list_entries
SELECT key, value, revision FROM directory WHERE bucket = ?;

-- name: put_entry
INSERT INTO directory (bucket, key, value, revision) VALUES (?, ?, ?, ?)
ON CONFLICT (bucket, key) DO UPDATE SET value = excluded.value, revision = excluded.revision;

-- name: delete_entry
DELETE FROM directory WHERE bucket = ? AND key = ?;

-- name: skip_seqs
UPDATE streams SET last_seq = :ahead + max(
    last_seq,
    coalesce((SELECT seq FROM records WHERE stream = streams.id AND lane = 0 ORDER BY offset DESC LIMIT 1), 0)
);
