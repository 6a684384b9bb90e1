-- zstd frames, each of many records' heads, or of many records' bodies, and when the newest of them started. They are not
-- compressed again.
CREATE TABLE sidelog.blocks (
    id bigint PRIMARY KEY,  -- Its upper bits are a day.
    newest_started_at_us bigint NOT NULL,
    kind smallint NOT NULL,
    raw_bytes integer NOT NULL,
    data bytea NOT NULL
) PARTITION BY RANGE (id);
ALTER TABLE sidelog.blocks ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE TABLE sidelog.blocks_default PARTITION OF sidelog.blocks DEFAULT;

CREATE INDEX blocks_age ON sidelog.blocks (kind, newest_started_at_us);

CREATE SEQUENCE sidelog.block_reservation;
