-- How far each source of each sidecar is stored: moved in the transaction of what it brought.
CREATE TABLE sidelog.ingest_position (
    instance text NOT NULL,
    source bytea NOT NULL,
    end_offset bigint NOT NULL,
    taken bigint NOT NULL,
    stored bigint NOT NULL,
    received bigint NOT NULL,
    dropped text NOT NULL,
    closed boolean NOT NULL,
    PRIMARY KEY (instance, source)
) WITH (fillfactor = 50);

-- One row: what is true of the store as a whole.
CREATE TABLE sidelog.state (
    -- Rows that started before are purged, or will be: no reader sees them any more.
    purge_floor_us bigint NOT NULL,
    -- The same for bodies.
    body_floor_us bigint NOT NULL,
    -- No row at or below it was left by retention.
    purged_through_seq bigint NOT NULL,
    -- Bit per dimension of which rollups hold "other".
    capped_dimensions bigint NOT NULL,
    -- Rises with every change of a key.
    key_version bigint NOT NULL,
    -- Rises with every slice that is erased: sums that readers remember are compared with it.
    erasures bigint NOT NULL
);

INSERT INTO sidelog.state VALUES (0, 0, 0, 0, 0, 0);

-- One row: the rollups by day hold the hours before it. Whoever adds to rollups holds the row shared, so that an hour is
-- folded into its day when nobody adds to it.
CREATE TABLE sidelog.folded (
    until_hour bigint NOT NULL
);

INSERT INTO sidelog.folded VALUES (0);

-- Single values that the program keeps about the store.
CREATE TABLE sidelog.meta (
    name text PRIMARY KEY,
    value text NOT NULL
);

-- API keys of the proxied service. Only the hash of a secret is kept; a deleted key keeps its name for the rows it made.
CREATE TABLE sidelog.api_keys (
    id text PRIMARY KEY,
    name text NOT NULL,
    last4 text NOT NULL,
    secret_sha256 bytea UNIQUE,
    scopes text,
    agents text,
    expires_at_us bigint,
    disabled boolean NOT NULL,
    project text,
    user_id text,
    created_at_us bigint NOT NULL,
    last_used_at_us bigint,
    deleted_at_us bigint
);
