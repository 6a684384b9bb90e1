-- Tool calls whose answer will come on another stream, until it comes: what the collector needs to know again after a
-- kill, msgpack. Readers are shown those by the collector itself.
CREATE TABLE waiting_calls (
    record_id BLOB NOT NULL,
    position INTEGER NOT NULL,
    instance TEXT NOT NULL,
    started_at_us INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (record_id, position)
) WITHOUT ROWID;

CREATE TRIGGER waiting_calls_orphaned AFTER DELETE ON records BEGIN
    DELETE FROM waiting_calls WHERE record_id = old.id;
END;
