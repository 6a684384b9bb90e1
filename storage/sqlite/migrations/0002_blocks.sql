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

-- The index of words (storage/relational/reads/text_index/tables.py): neighbouring records and the hashes of all words
-- in them, which become segments; parts of a segment that say of each hash where it is.
CREATE TABLE text_cells (
    first_seq INTEGER PRIMARY KEY,
    last_seq INTEGER NOT NULL,
    newest_body_us INTEGER NOT NULL,
    signature BLOB NOT NULL
);

CREATE TABLE text_segments (
    first_seq INTEGER PRIMARY KEY,
    last_seq INTEGER NOT NULL,
    newest_body_us INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    starts BLOB NOT NULL  -- Packed offsets of its cells (storage/search/index/segment.py).
);

CREATE TABLE text_parts (
    id INTEGER PRIMARY KEY,
    data BLOB NOT NULL
);
