-- Tool calls whose answer will come on another stream, until it comes: what a collector needs to know again after a
-- kill, msgpack. Readers are shown those by the collector itself.
CREATE TABLE sidelog.waiting_calls (
    record_id uuid NOT NULL,
    position bigint NOT NULL,
    instance text NOT NULL,
    started_at_us bigint NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (record_id, position)
);
