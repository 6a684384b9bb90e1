-- Everything is in a schema of its own, so that a database can be shared. Text that repeats is a dictionary id. Columns
-- are in order of their alignment: the widest first, so that no row has gaps.

CREATE TABLE sidelog.dictionary (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind smallint NOT NULL,
    digest uuid NOT NULL UNIQUE,  -- Of kind and value: a value may be longer than an index can hold.
    value text NOT NULL
);

-- A day drops whole; the default partition takes ids of other days: skewed clocks, and streams that outlive their day.
CREATE TABLE sidelog.records (
    seq bigint NOT NULL,
    started_at_us bigint NOT NULL,
    ended_at_us bigint NOT NULL,
    duration_us bigint NOT NULL,
    connect_us bigint,
    first_byte_us bigint,
    upstream_us bigint,
    upstream_sent_at_us bigint,
    upstream_done_at_us bigint,
    request_bytes bigint NOT NULL,
    response_bytes bigint NOT NULL,
    heads_block bigint,
    bodies_block bigint,
    input_tokens bigint,
    output_tokens bigint,
    cache_read_tokens bigint,
    cache_write_tokens bigint,
    reasoning_tokens bigint,
    cost_usd double precision,
    status integer,
    heads_offset integer,
    heads_length integer,
    bodies_offset integer,
    bodies_length integer,
    project integer,
    container integer,
    client integer,
    service integer,
    route_id integer,
    key_id integer,
    source integer,
    method integer,
    instance integer NOT NULL,
    scheme integer,
    http_version integer,
    upstream integer,
    outcome integer,
    stage integer,
    key_name integer,
    key_last4 integer,
    error_type integer,
    host integer,
    user_agent integer,
    user_id integer,
    name integer,
    auth_code integer,
    provider integer,
    model integer,
    resolved_model integer,
    usage_state integer,
    price_source integer,
    level smallint NOT NULL,
    kind smallint NOT NULL,
    shed smallint NOT NULL,
    keyed smallint NOT NULL,
    request_complete boolean NOT NULL,
    id uuid NOT NULL,
    client_ip text,
    path text,
    query text,
    trace_id text,
    span_id text,
    request_id text,
    data bytea,
    stream bytea,
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);

CREATE TABLE sidelog.records_default PARTITION OF sidelog.records DEFAULT;

CREATE INDEX records_seq ON sidelog.records (seq);
CREATE INDEX records_project ON sidelog.records (project, seq);
CREATE INDEX records_status ON sidelog.records ((status / 100), seq) WHERE status >= 400;
CREATE INDEX records_level ON sidelog.records (level, seq) WHERE level >= 2;
CREATE INDEX records_service ON sidelog.records (service, seq);
CREATE INDEX records_service_level ON sidelog.records (service, level, seq) WHERE level >= 2;
CREATE INDEX records_keyed ON sidelog.records (seq) WHERE keyed = 1;
CREATE INDEX records_key ON sidelog.records (key_id, seq) WHERE key_id IS NOT NULL;
-- By hash: clients choose the text, and may choose it longer than an index can hold.
CREATE INDEX records_trace ON sidelog.records (hashtextextended(trace_id, 0), seq) WHERE trace_id IS NOT NULL;

-- One row, locked by each batch until it is committed: that makes seq dense and commit order seq order.
CREATE TABLE sidelog.counter (
    last_seq bigint NOT NULL,
    span_first_seq bigint NOT NULL,
    block_bytes bigint NOT NULL
) WITH (fillfactor = 10);

INSERT INTO sidelog.counter (last_seq, span_first_seq, block_bytes) VALUES (0, 1, 0);

-- Neighbouring rows and the times in them, so that a range of time becomes a range of seq, and a range of seq a range
-- of partitions. One row may cover several batches.
CREATE TABLE sidelog.spans (
    first_seq bigint PRIMARY KEY,
    last_seq bigint NOT NULL,
    min_started_at_us bigint NOT NULL,
    max_started_at_us bigint NOT NULL,
    min_id_ms bigint NOT NULL,
    max_id_ms bigint NOT NULL
) WITH (fillfactor = 70);

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

-- Sums per combination of dimensions, 0 for null: by hour since the epoch, and again by day. Instance is one of them, so
-- that sidecars that share a database never wait for each other's rows. -1 in a dimension is "other": an hour counts
-- 10 000 values of it apart.
CREATE TABLE sidelog.rollups (
    hour bigint NOT NULL,
    project integer NOT NULL,
    container integer NOT NULL,
    client integer NOT NULL,
    service integer NOT NULL,
    route_id integer NOT NULL,
    key_id integer NOT NULL,
    source integer NOT NULL,
    level integer NOT NULL,
    method integer NOT NULL,
    kind integer NOT NULL,
    instance integer NOT NULL,
    status_class bigint NOT NULL,
    exchanges bigint NOT NULL,
    events bigint NOT NULL,
    request_bytes bigint NOT NULL,
    response_bytes bigint NOT NULL,
    duration_00 bigint NOT NULL, duration_01 bigint NOT NULL, duration_02 bigint NOT NULL,
    duration_03 bigint NOT NULL, duration_04 bigint NOT NULL, duration_05 bigint NOT NULL,
    duration_06 bigint NOT NULL, duration_07 bigint NOT NULL, duration_08 bigint NOT NULL,
    duration_09 bigint NOT NULL, duration_10 bigint NOT NULL, duration_11 bigint NOT NULL,
    duration_12 bigint NOT NULL, duration_13 bigint NOT NULL, duration_14 bigint NOT NULL,
    duration_15 bigint NOT NULL, duration_16 bigint NOT NULL, duration_17 bigint NOT NULL,
    first_byte_00 bigint NOT NULL, first_byte_01 bigint NOT NULL, first_byte_02 bigint NOT NULL,
    first_byte_03 bigint NOT NULL, first_byte_04 bigint NOT NULL, first_byte_05 bigint NOT NULL,
    first_byte_06 bigint NOT NULL, first_byte_07 bigint NOT NULL, first_byte_08 bigint NOT NULL,
    first_byte_09 bigint NOT NULL, first_byte_10 bigint NOT NULL, first_byte_11 bigint NOT NULL,
    first_byte_12 bigint NOT NULL, first_byte_13 bigint NOT NULL, first_byte_14 bigint NOT NULL,
    first_byte_15 bigint NOT NULL, first_byte_16 bigint NOT NULL, first_byte_17 bigint NOT NULL,
    PRIMARY KEY (
        hour, project, container, client, service, route_id, key_id, source, level, method, kind, instance,
        status_class
    )
) WITH (fillfactor = 70);

CREATE TABLE sidelog.rollups_daily (
    day bigint NOT NULL,
    project integer NOT NULL,
    container integer NOT NULL,
    client integer NOT NULL,
    service integer NOT NULL,
    route_id integer NOT NULL,
    key_id integer NOT NULL,
    source integer NOT NULL,
    level integer NOT NULL,
    method integer NOT NULL,
    kind integer NOT NULL,
    instance integer NOT NULL,
    status_class bigint NOT NULL,
    exchanges bigint NOT NULL,
    events bigint NOT NULL,
    request_bytes bigint NOT NULL,
    response_bytes bigint NOT NULL,
    duration_00 bigint NOT NULL, duration_01 bigint NOT NULL, duration_02 bigint NOT NULL,
    duration_03 bigint NOT NULL, duration_04 bigint NOT NULL, duration_05 bigint NOT NULL,
    duration_06 bigint NOT NULL, duration_07 bigint NOT NULL, duration_08 bigint NOT NULL,
    duration_09 bigint NOT NULL, duration_10 bigint NOT NULL, duration_11 bigint NOT NULL,
    duration_12 bigint NOT NULL, duration_13 bigint NOT NULL, duration_14 bigint NOT NULL,
    duration_15 bigint NOT NULL, duration_16 bigint NOT NULL, duration_17 bigint NOT NULL,
    first_byte_00 bigint NOT NULL, first_byte_01 bigint NOT NULL, first_byte_02 bigint NOT NULL,
    first_byte_03 bigint NOT NULL, first_byte_04 bigint NOT NULL, first_byte_05 bigint NOT NULL,
    first_byte_06 bigint NOT NULL, first_byte_07 bigint NOT NULL, first_byte_08 bigint NOT NULL,
    first_byte_09 bigint NOT NULL, first_byte_10 bigint NOT NULL, first_byte_11 bigint NOT NULL,
    first_byte_12 bigint NOT NULL, first_byte_13 bigint NOT NULL, first_byte_14 bigint NOT NULL,
    first_byte_15 bigint NOT NULL, first_byte_16 bigint NOT NULL, first_byte_17 bigint NOT NULL,
    PRIMARY KEY (
        day, project, container, client, service, route_id, key_id, source, level, method, kind, instance,
        status_class
    )
) WITH (fillfactor = 70);

-- What is failing: exchanges of level warn and error.
CREATE TABLE sidelog.failures (
    hour bigint NOT NULL,
    project integer NOT NULL,
    route_id integer NOT NULL,
    status integer NOT NULL,
    error_type integer NOT NULL,
    instance integer NOT NULL,
    exchanges bigint NOT NULL,
    PRIMARY KEY (hour, project, route_id, status, error_type, instance)
) WITH (fillfactor = 70);

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
    key_version bigint NOT NULL
);

INSERT INTO sidelog.state VALUES (0, 0, 0, 0, 0);

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

-- Tool calls, deleted with the record they were stored with, or with what is as old. No latency is -1, so that such
-- calls are sorted before all others.
CREATE TABLE sidelog.tool_calls (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    record_seq bigint NOT NULL,
    position bigint NOT NULL,
    started_at_us bigint NOT NULL,
    created_at_us bigint NOT NULL,
    latency_us bigint NOT NULL,
    cost_usd double precision NOT NULL,
    tool_name integer,
    server_label integer,
    project integer,
    container integer,
    client integer,
    key_id integer,
    key_name integer,
    key_last4 integer,
    status smallint NOT NULL,
    record_id uuid NOT NULL,
    llm_request_id text,
    rpc_id text,
    session text,
    search text NOT NULL,
    detail bytea NOT NULL,
    UNIQUE (record_id, position)
);
ALTER TABLE sidelog.tool_calls ALTER COLUMN detail SET STORAGE EXTERNAL;

CREATE INDEX tool_calls_record ON sidelog.tool_calls (record_seq);
CREATE INDEX tool_calls_tool ON sidelog.tool_calls (tool_name, record_seq);
CREATE INDEX tool_calls_started ON sidelog.tool_calls (started_at_us, id);
CREATE INDEX tool_calls_latency ON sidelog.tool_calls (latency_us, id);
CREATE INDEX tool_calls_cost ON sidelog.tool_calls (cost_usd, id);
CREATE INDEX tool_calls_llm ON sidelog.tool_calls (hashtextextended(llm_request_id, 0))
    WHERE llm_request_id IS NOT NULL;
CREATE INDEX tool_calls_detail ON sidelog.tool_calls (started_at_us) WHERE detail <> '';

-- 0 for null; what erasure takes off is under instance 0.
CREATE TABLE sidelog.tool_rollups (
    hour bigint NOT NULL,
    project integer NOT NULL,
    container integer NOT NULL,
    client integer NOT NULL,
    server_label integer NOT NULL,
    tool_name integer NOT NULL,
    key_id integer NOT NULL,
    key_name integer NOT NULL,
    status integer NOT NULL,
    instance integer NOT NULL,
    calls bigint NOT NULL,
    timed bigint NOT NULL,
    latency_us bigint NOT NULL,
    cost_usd double precision NOT NULL,
    PRIMARY KEY (hour, project, container, client, server_label, tool_name, key_id, key_name, status, instance)
) WITH (fillfactor = 70);
