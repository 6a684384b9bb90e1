-- Text that repeats is a dictionary id, 0 for null. Other nullable columns of every row hold a cheap stand-in, because
-- binding null costs ten times an integer: 0 for text, -1 for numbers. Columns without a type keep both as they are.

CREATE TABLE dictionary (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind INTEGER NOT NULL,
    value TEXT NOT NULL,
    UNIQUE (kind, value)
);

CREATE TABLE records (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL,
    started_at_us INTEGER NOT NULL,
    ended_at_us INTEGER NOT NULL,
    status INTEGER NOT NULL,
    duration_us INTEGER NOT NULL,
    project INTEGER NOT NULL,
    container INTEGER NOT NULL,
    client INTEGER NOT NULL,
    service INTEGER NOT NULL,
    route_id INTEGER NOT NULL,
    key_id INTEGER NOT NULL,
    source INTEGER NOT NULL,
    level INTEGER NOT NULL,
    method INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    instance INTEGER NOT NULL,
    scheme INTEGER NOT NULL,
    http_version INTEGER NOT NULL,
    upstream INTEGER NOT NULL,
    outcome INTEGER NOT NULL,
    stage INTEGER NOT NULL,
    key_name INTEGER NOT NULL,
    key_last4 INTEGER NOT NULL,
    shed INTEGER NOT NULL,
    error_type INTEGER NOT NULL,
    host INTEGER NOT NULL,
    user_agent INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    connect_us INTEGER NOT NULL,
    first_byte_us INTEGER NOT NULL,
    upstream_us INTEGER NOT NULL,
    upstream_sent_at_us INTEGER NOT NULL,
    upstream_done_at_us INTEGER NOT NULL,
    request_bytes INTEGER NOT NULL,
    response_bytes INTEGER NOT NULL,
    request_complete INTEGER NOT NULL,
    heads_block INTEGER NOT NULL,
    heads_offset INTEGER NOT NULL,
    heads_length INTEGER NOT NULL,
    bodies_block INTEGER NOT NULL,
    bodies_offset INTEGER NOT NULL,
    bodies_length INTEGER NOT NULL,
    client_ip NOT NULL,
    path NOT NULL,
    query NOT NULL,
    trace_id NOT NULL,
    span_id NOT NULL,
    request_id NOT NULL,
    name INTEGER NOT NULL DEFAULT 0,
    data BLOB,
    auth_code INTEGER NOT NULL DEFAULT 0,
    provider INTEGER NOT NULL DEFAULT 0,
    model INTEGER NOT NULL DEFAULT 0,
    resolved_model INTEGER NOT NULL DEFAULT 0,
    input_tokens INTEGER,
    output_tokens INTEGER,
    cache_read_tokens INTEGER,
    cache_write_tokens INTEGER,
    reasoning_tokens INTEGER,
    usage_state INTEGER NOT NULL DEFAULT 0,
    cost_usd REAL,
    price_source INTEGER NOT NULL DEFAULT 0,
    stream BLOB
);

CREATE UNIQUE INDEX records_id ON records (id);
CREATE INDEX records_project ON records (project, seq);
CREATE INDEX records_status ON records (status / 100, seq) WHERE status >= 400;
CREATE INDEX records_level ON records (level, seq) WHERE level >= 2;
CREATE INDEX records_service ON records (service, seq);
CREATE INDEX records_service_level ON records (service, level, seq) WHERE level >= 2;
CREATE INDEX records_trace ON records (trace_id) WHERE trace_id <> 0;

-- Neighbouring rows and the times they started, so that a range of time becomes a range of seq. One row may cover
-- several batches.
CREATE TABLE spans (
    last_seq INTEGER PRIMARY KEY,
    first_seq INTEGER NOT NULL,
    min_started_at_us INTEGER NOT NULL,
    max_started_at_us INTEGER NOT NULL
);

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

-- Sums per combination of dimensions: by hour since the epoch, and again by day. -1 in a dimension is "other": an hour
-- counts 10 000 values of it apart.
CREATE TABLE rollups (
    hour INTEGER NOT NULL,
    project INTEGER NOT NULL,
    container INTEGER NOT NULL,
    client INTEGER NOT NULL,
    service INTEGER NOT NULL,
    route_id INTEGER NOT NULL,
    key_id INTEGER NOT NULL,
    source INTEGER NOT NULL,
    level INTEGER NOT NULL,
    method INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    instance INTEGER NOT NULL,
    status_class INTEGER NOT NULL,
    exchanges INTEGER NOT NULL,
    events INTEGER NOT NULL,
    request_bytes INTEGER NOT NULL,
    response_bytes INTEGER NOT NULL,
    duration_00 INTEGER NOT NULL, duration_01 INTEGER NOT NULL, duration_02 INTEGER NOT NULL,
    duration_03 INTEGER NOT NULL, duration_04 INTEGER NOT NULL, duration_05 INTEGER NOT NULL,
    duration_06 INTEGER NOT NULL, duration_07 INTEGER NOT NULL, duration_08 INTEGER NOT NULL,
    duration_09 INTEGER NOT NULL, duration_10 INTEGER NOT NULL, duration_11 INTEGER NOT NULL,
    duration_12 INTEGER NOT NULL, duration_13 INTEGER NOT NULL, duration_14 INTEGER NOT NULL,
    duration_15 INTEGER NOT NULL, duration_16 INTEGER NOT NULL, duration_17 INTEGER NOT NULL,
    first_byte_00 INTEGER NOT NULL, first_byte_01 INTEGER NOT NULL, first_byte_02 INTEGER NOT NULL,
    first_byte_03 INTEGER NOT NULL, first_byte_04 INTEGER NOT NULL, first_byte_05 INTEGER NOT NULL,
    first_byte_06 INTEGER NOT NULL, first_byte_07 INTEGER NOT NULL, first_byte_08 INTEGER NOT NULL,
    first_byte_09 INTEGER NOT NULL, first_byte_10 INTEGER NOT NULL, first_byte_11 INTEGER NOT NULL,
    first_byte_12 INTEGER NOT NULL, first_byte_13 INTEGER NOT NULL, first_byte_14 INTEGER NOT NULL,
    first_byte_15 INTEGER NOT NULL, first_byte_16 INTEGER NOT NULL, first_byte_17 INTEGER NOT NULL,
    PRIMARY KEY (
        hour, project, container, client, service, route_id, key_id, source, level, method, kind, instance,
        status_class
    )
) WITHOUT ROWID;

CREATE TABLE rollups_daily (
    day INTEGER NOT NULL,
    project INTEGER NOT NULL,
    container INTEGER NOT NULL,
    client INTEGER NOT NULL,
    service INTEGER NOT NULL,
    route_id INTEGER NOT NULL,
    key_id INTEGER NOT NULL,
    source INTEGER NOT NULL,
    level INTEGER NOT NULL,
    method INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    instance INTEGER NOT NULL,
    status_class INTEGER NOT NULL,
    exchanges INTEGER NOT NULL,
    events INTEGER NOT NULL,
    request_bytes INTEGER NOT NULL,
    response_bytes INTEGER NOT NULL,
    duration_00 INTEGER NOT NULL, duration_01 INTEGER NOT NULL, duration_02 INTEGER NOT NULL,
    duration_03 INTEGER NOT NULL, duration_04 INTEGER NOT NULL, duration_05 INTEGER NOT NULL,
    duration_06 INTEGER NOT NULL, duration_07 INTEGER NOT NULL, duration_08 INTEGER NOT NULL,
    duration_09 INTEGER NOT NULL, duration_10 INTEGER NOT NULL, duration_11 INTEGER NOT NULL,
    duration_12 INTEGER NOT NULL, duration_13 INTEGER NOT NULL, duration_14 INTEGER NOT NULL,
    duration_15 INTEGER NOT NULL, duration_16 INTEGER NOT NULL, duration_17 INTEGER NOT NULL,
    first_byte_00 INTEGER NOT NULL, first_byte_01 INTEGER NOT NULL, first_byte_02 INTEGER NOT NULL,
    first_byte_03 INTEGER NOT NULL, first_byte_04 INTEGER NOT NULL, first_byte_05 INTEGER NOT NULL,
    first_byte_06 INTEGER NOT NULL, first_byte_07 INTEGER NOT NULL, first_byte_08 INTEGER NOT NULL,
    first_byte_09 INTEGER NOT NULL, first_byte_10 INTEGER NOT NULL, first_byte_11 INTEGER NOT NULL,
    first_byte_12 INTEGER NOT NULL, first_byte_13 INTEGER NOT NULL, first_byte_14 INTEGER NOT NULL,
    first_byte_15 INTEGER NOT NULL, first_byte_16 INTEGER NOT NULL, first_byte_17 INTEGER NOT NULL,
    PRIMARY KEY (
        day, project, container, client, service, route_id, key_id, source, level, method, kind, instance,
        status_class
    )
) WITHOUT ROWID;

-- What is failing: exchanges of level warn and error.
CREATE TABLE failures (
    hour INTEGER NOT NULL,
    project INTEGER NOT NULL,
    route_id INTEGER NOT NULL,
    status INTEGER NOT NULL,
    error_type INTEGER NOT NULL,
    exchanges INTEGER NOT NULL,
    PRIMARY KEY (hour, project, route_id, status, error_type)
) WITHOUT ROWID;

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
    ('capped_dimensions', 0);
