-- zstd frames, each of many records' heads, or of many records' bodies; whose, and when the newest of them started.
CREATE TABLE blocks (
    id INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    newest_started_at_us INTEGER NOT NULL,
    raw_bytes INTEGER NOT NULL,
    data BLOB NOT NULL
);

CREATE INDEX blocks_age ON blocks (kind, newest_started_at_us);
