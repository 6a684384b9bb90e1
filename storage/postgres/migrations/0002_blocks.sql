-- zstd frames, each of many records' heads, or of many records' bodies, and when the newest of them started. They are not
-- compressed again.
CREATE TABLE sidelog.blocks (
    id bigint PRIMARY KEY,  -- Its upper bits are a day.
    newest_started_at_us bigint NOT NULL,
    kind smallint NOT NULL,  -- Heads, bodies, or bodies of one conversation, which grow.
    raw_bytes integer NOT NULL,
    data bytea NOT NULL
) PARTITION BY RANGE (id);
ALTER TABLE sidelog.blocks ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE TABLE sidelog.blocks_default PARTITION OF sidelog.blocks DEFAULT;

CREATE INDEX blocks_age ON sidelog.blocks (kind, newest_started_at_us);

CREATE SEQUENCE sidelog.block_reservation;

-- The index of words (storage/relational/reads/text_index/tables.py): neighbouring records and the hashes of all words
-- in them, which become segments; parts of a segment that say of each hash where it is. They are compressed already.
CREATE TABLE sidelog.text_cells (
    first_seq bigint PRIMARY KEY,
    last_seq bigint NOT NULL,
    newest_body_us bigint NOT NULL,
    signature bytea NOT NULL
);
ALTER TABLE sidelog.text_cells ALTER COLUMN signature SET STORAGE EXTERNAL;

CREATE TABLE sidelog.text_segments (
    first_seq bigint PRIMARY KEY,
    last_seq bigint NOT NULL,
    newest_body_us bigint NOT NULL,
    size_bytes bigint NOT NULL,
    starts bytea NOT NULL  -- Packed offsets of its cells (storage/search/index/segment.py).
);

CREATE TABLE sidelog.text_parts (
    id bigint PRIMARY KEY,
    data bytea NOT NULL
);
ALTER TABLE sidelog.text_parts ALTER COLUMN data SET STORAGE EXTERNAL;
