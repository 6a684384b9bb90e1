-- How far each source is stored: moved in the transaction of what it brought.
CREATE TABLE ingest_position (
    instance TEXT NOT NULL,
    source BLOB NOT NULL,
    end_offset INTEGER NOT NULL,
    taken INTEGER NOT NULL,
    stored INTEGER NOT NULL,
    received INTEGER NOT NULL,
    dropped TEXT NOT NULL,
    closed INTEGER NOT NULL,
    PRIMARY KEY (instance, source)
) WITHOUT ROWID;

-- Single values: the numbers given last, and what the program keeps about the store.
CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value NOT NULL
) WITHOUT ROWID;

INSERT INTO meta (name, value) VALUES
    ('last_seq', 0),
    ('last_block', 0),
    -- Rows that started before are purged, or will be: no reader sees them any more.
    ('purge_floor_us', 0),
    -- The same for bodies.
    ('body_floor_us', 0),
    -- No row at or below it was left by retention.
    ('purged_through_seq', 0),
    -- Bit per dimension of which rollups hold "other".
    ('capped_dimensions', 0),
    -- The rollups by day hold the hours before it.
    ('folded_until', 0),
    -- Rises with every change of a key.
    ('key_version', 0),
    -- Rises with every slice that is erased: sums that readers remember are compared with it.
    ('erasures', 0);

-- API keys of the proxied service. Only the hash of a secret is kept; a deleted key keeps its name for the rows it made.
CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    last4 TEXT NOT NULL,
    secret_sha256 BLOB UNIQUE,
    scopes TEXT,
    agents TEXT,
    expires_at_us INTEGER,
    disabled INTEGER NOT NULL,
    project TEXT,
    user_id TEXT,
    created_at_us INTEGER NOT NULL,
    last_used_at_us INTEGER,
    deleted_at_us INTEGER
) WITHOUT ROWID;
