-- Everything is in a schema of its own, so that a database can be shared. Text that repeats is a dictionary id. Columns
-- are in order of their alignment, the widest first, so that no row has gaps; what is never searched for is packed.

CREATE TABLE sidelog.dictionary (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind smallint NOT NULL,
    digest uuid NOT NULL UNIQUE,  -- Of kind and value: a value may be longer than an index can hold.
    value text NOT NULL,
    -- The day since the epoch that it was last looked up for: no row that uses it started on a later one.
    used_day bigint NOT NULL
);

CREATE INDEX dictionary_used ON sidelog.dictionary (used_day);
CREATE INDEX dictionary_called_tools ON sidelog.dictionary (id) WHERE kind = 211;
CREATE INDEX dictionary_failed_tools ON sidelog.dictionary (id) WHERE kind = 214;
CREATE INDEX dictionary_redactions ON sidelog.dictionary (id) WHERE kind = 213;

-- A day drops whole; the default partition takes ids of other days: skewed clocks, and streams that outlive their day.
CREATE TABLE sidelog.records (
    seq bigint NOT NULL,
    started_at_us bigint NOT NULL,
    duration_us bigint NOT NULL,
    first_byte_us bigint,
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
    weight bigint,  -- For how many exchanges it stands, in millionths above 1; null: for itself.
    status integer,
    heads_offset integer,
    heads_length integer,
    bodies_offset integer,
    bodies_length integer,
    id_bucket integer NOT NULL,  -- Of the id's milliseconds, see storage/postgres/index_keys.py.
    project integer,
    container integer,
    client integer,
    service integer,
    route_id integer,
    key_id integer,
    source integer,
    method integer,
    instance integer NOT NULL,
    origin integer NOT NULL,  -- Several fields as one value, see storage/relational/writes/packing.py.
    outcome integer,
    stage integer,
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
    finish_reason integer,  -- What `stream` says of the output, once more for filters: the tools are one text, see
    called_tools integer,   -- storage/relational/combinations.py.
    failed_tools integer,
    grpc_status integer,  -- The name of the status in `grpc`, once more for filters.
    redactions integer,  -- Ids of rules, as one text like the tools; in how many places each found something is in `times`.
    endpoint integer,
    message integer,  -- What was said when it failed, see storage/failure_message.py.
    level smallint NOT NULL,
    kind smallint NOT NULL,
    direction smallint NOT NULL,
    keyed smallint NOT NULL,
    request_complete boolean NOT NULL,
    id uuid NOT NULL,
    conversation uuid,
    times bytea NOT NULL,  -- When the other things happened: msgpack, see storage/relational/writes/packing.py.
    client_ip bytea,  -- 4 or 16 bytes, see there.
    path text,
    query text,
    trace_id text,
    span_id text,
    request_id text,
    data bytea,
    stream bytea,
    marks bytea,  -- Hashes of 16 bytes, one after the other.
    grpc bytea,
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);

CREATE TABLE sidelog.records_default PARTITION OF sidelog.records DEFAULT;

-- Keys are coarse, so that many rows share one and an entry is little more than the row's place: 7 to 12 bytes a row
-- where (project, seq) takes 32. Within a key rows are sorted when they are read (storage/postgres/index_keys.py).
CREATE INDEX records_seq ON sidelog.records ((seq >> 10), (seq >> 5));
CREATE INDEX records_project ON sidelog.records (project, (seq >> 10));
CREATE INDEX records_status ON sidelog.records ((status / 100), (seq >> 10)) WHERE status >= 400;
CREATE INDEX records_level ON sidelog.records (level, (seq >> 10)) WHERE level >= 2;
CREATE INDEX records_service ON sidelog.records (service, (seq >> 10));
CREATE INDEX records_service_level ON sidelog.records (service, level, (seq >> 10)) WHERE level >= 2;
CREATE INDEX records_endpoint ON sidelog.records (endpoint, (seq >> 10)) WHERE endpoint IS NOT NULL;
CREATE INDEX records_keyed ON sidelog.records ((seq >> 10)) WHERE keyed = 1;
CREATE INDEX records_outgoing ON sidelog.records ((seq >> 10)) WHERE direction = 1;
CREATE INDEX records_key ON sidelog.records (key_id, (seq >> 10)) WHERE key_id IS NOT NULL;
-- LLM calls of a provider, and of a model; other rows cost nothing.
CREATE INDEX records_provider ON sidelog.records (provider, (seq >> 10)) WHERE provider IS NOT NULL;
CREATE INDEX records_model ON sidelog.records (model, (seq >> 10)) WHERE model IS NOT NULL;
CREATE INDEX records_resolved_model ON sidelog.records (resolved_model, (seq >> 10)) WHERE resolved_model IS NOT NULL;
CREATE INDEX records_finish_reason ON sidelog.records (finish_reason, (seq >> 10)) WHERE finish_reason IS NOT NULL;
CREATE INDEX records_called_tools ON sidelog.records (called_tools, (seq >> 10)) WHERE called_tools IS NOT NULL;
CREATE INDEX records_failed_tools ON sidelog.records (failed_tools, (seq >> 10)) WHERE failed_tools IS NOT NULL;
CREATE INDEX records_message ON sidelog.records (message, (seq >> 10)) WHERE message IS NOT NULL;
CREATE INDEX records_grpc_status ON sidelog.records (grpc_status, (seq >> 10)) WHERE grpc_status IS NOT NULL;
CREATE INDEX records_redactions ON sidelog.records (redactions, (seq >> 10)) WHERE redactions IS NOT NULL;
-- Conversations: each with its calls, and the calls of all; other rows cost nothing.
CREATE INDEX records_conversation ON sidelog.records (conversation, (seq >> 10)) WHERE conversation IS NOT NULL;
CREATE INDEX records_conversations ON sidelog.records ((seq >> 10)) WHERE conversation IS NOT NULL;
-- What sidelog did by itself: few rows among many. Exchanges and WebSocket messages, of level debug, cost nothing.
CREATE INDEX records_events ON sidelog.records ((seq >> 10)) WHERE kind = 1 AND level >= 1;
-- By hash: clients choose the text, and may choose it longer than an index can hold.
CREATE INDEX records_trace ON sidelog.records (hashtextextended(trace_id, 0)) WHERE trace_id IS NOT NULL;
-- Lists in the order of receipt, by id: of a project, and of a route of a client. Rows without either cost nothing.
CREATE INDEX records_project_id ON sidelog.records (project, id_bucket) WHERE project IS NOT NULL;
CREATE INDEX records_route_id ON sidelog.records (route_id, id_bucket) WHERE client IS NOT NULL;

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

-- What every table of sums counts, of the rows of a key: copied into each of them, then dropped.
CREATE TABLE sidelog.measures (
    exchanges bigint NOT NULL,
    events bigint NOT NULL,
    request_bytes bigint NOT NULL,
    response_bytes bigint NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cost_nano_usd bigint NOT NULL,
    duration_least_us bigint,
    first_byte_least_us bigint,
    duration_most_us bigint,
    first_byte_most_us bigint,
    durations numeric NOT NULL,
    first_bytes numeric NOT NULL
);

-- Sums per combination of dimensions, 0 for null: by hour since the epoch, and again by day. Instance is one of them, so
-- that sidecars that share a database never wait for each other's rows. -1 in a dimension is "other": an hour counts
-- 10 000 values of it apart. Sums are of what is stored, apart by weight in millionths above 1.
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
    weight bigint NOT NULL,
    LIKE sidelog.measures,
    PRIMARY KEY (
        hour, project, container, client, service, route_id, key_id, source, level, method, kind, instance,
        status_class, weight
    )
) WITH (fillfactor = 70);

CREATE TABLE sidelog.rollups_daily (LIKE sidelog.rollups INCLUDING INDEXES) WITH (fillfactor = 70);
ALTER TABLE sidelog.rollups_daily RENAME hour TO day;

-- The same without the two dimensions that make most rows, key and method, but by status and error type: a twentieth of
-- the rows, and read instead wherever they can tell.
CREATE TABLE sidelog.status_rollups (
    hour bigint NOT NULL,
    project integer NOT NULL,
    container integer NOT NULL,
    client integer NOT NULL,
    service integer NOT NULL,
    route_id integer NOT NULL,
    source integer NOT NULL,
    level integer NOT NULL,
    kind integer NOT NULL,
    instance integer NOT NULL,
    error_type integer NOT NULL,
    keyed integer NOT NULL,
    status bigint NOT NULL,
    status_class bigint NOT NULL,
    weight bigint NOT NULL,
    LIKE sidelog.measures,
    PRIMARY KEY (
        hour, project, container, client, service, route_id, source, level, kind, instance, error_type, keyed, status,
        status_class, weight
    )
) WITH (fillfactor = 70);

CREATE TABLE sidelog.status_rollups_daily (LIKE sidelog.status_rollups INCLUDING INDEXES) WITH (fillfactor = 70);
ALTER TABLE sidelog.status_rollups_daily RENAME hour TO day;

-- The same by host, too: rows for each of the hosts that traffic names.
CREATE TABLE sidelog.host_rollups (
    hour bigint NOT NULL,
    project integer NOT NULL,
    container integer NOT NULL,
    client integer NOT NULL,
    service integer NOT NULL,
    route_id integer NOT NULL,
    source integer NOT NULL,
    level integer NOT NULL,
    kind integer NOT NULL,
    instance integer NOT NULL,
    host integer NOT NULL,
    error_type integer NOT NULL,
    keyed integer NOT NULL,
    status bigint NOT NULL,
    status_class bigint NOT NULL,
    weight bigint NOT NULL,
    LIKE sidelog.measures,
    PRIMARY KEY (
        hour, project, container, client, service, route_id, source, level, kind, instance, host, error_type, keyed,
        status, status_class, weight
    )
) WITH (fillfactor = 70);

CREATE TABLE sidelog.host_rollups_daily (LIKE sidelog.host_rollups INCLUDING INDEXES) WITH (fillfactor = 70);
ALTER TABLE sidelog.host_rollups_daily RENAME hour TO day;

-- The same by called model, without status and error type: of calls, and of all others together.
CREATE TABLE sidelog.model_rollups (
    hour bigint NOT NULL,
    project integer NOT NULL,
    container integer NOT NULL,
    client integer NOT NULL,
    service integer NOT NULL,
    route_id integer NOT NULL,
    source integer NOT NULL,
    level integer NOT NULL,
    kind integer NOT NULL,
    instance integer NOT NULL,
    provider integer NOT NULL,
    model integer NOT NULL,
    resolved_model integer NOT NULL,
    status_class bigint NOT NULL,
    weight bigint NOT NULL,
    LIKE sidelog.measures,
    PRIMARY KEY (
        hour, project, container, client, service, route_id, source, level, kind, instance, provider, model,
        resolved_model, status_class, weight
    )
) WITH (fillfactor = 70);

CREATE TABLE sidelog.model_rollups_daily (LIKE sidelog.model_rollups INCLUDING INDEXES) WITH (fillfactor = 70);
ALTER TABLE sidelog.model_rollups_daily RENAME hour TO day;

-- The same by user.
CREATE TABLE sidelog.user_rollups (
    hour bigint NOT NULL,
    project integer NOT NULL,
    container integer NOT NULL,
    client integer NOT NULL,
    service integer NOT NULL,
    route_id integer NOT NULL,
    source integer NOT NULL,
    level integer NOT NULL,
    kind integer NOT NULL,
    instance integer NOT NULL,
    user_id integer NOT NULL,
    status_class bigint NOT NULL,
    weight bigint NOT NULL,
    LIKE sidelog.measures,
    PRIMARY KEY (
        hour, project, container, client, service, route_id, source, level, kind, instance, user_id, status_class,
        weight
    )
) WITH (fillfactor = 70);

CREATE TABLE sidelog.user_rollups_daily (LIKE sidelog.user_rollups INCLUDING INDEXES) WITH (fillfactor = 70);
ALTER TABLE sidelog.user_rollups_daily RENAME hour TO day;

-- The same without the key, but by endpoint: a route has up to some hundred.
CREATE TABLE sidelog.endpoint_rollups (
    hour bigint NOT NULL,
    project integer NOT NULL,
    container integer NOT NULL,
    client integer NOT NULL,
    service integer NOT NULL,
    route_id integer NOT NULL,
    source integer NOT NULL,
    level integer NOT NULL,
    method integer NOT NULL,
    kind integer NOT NULL,
    instance integer NOT NULL,
    endpoint integer NOT NULL,
    status_class bigint NOT NULL,
    weight bigint NOT NULL,
    LIKE sidelog.measures,
    PRIMARY KEY (
        hour, project, container, client, service, route_id, source, level, method, kind, instance, endpoint,
        status_class, weight
    )
) WITH (fillfactor = 70);

CREATE TABLE sidelog.endpoint_rollups_daily (LIKE sidelog.endpoint_rollups INCLUDING INDEXES) WITH (fillfactor = 70);
ALTER TABLE sidelog.endpoint_rollups_daily RENAME hour TO day;

DROP TABLE sidelog.measures;

-- LLM calls per combination of dimensions, by hour since the epoch; 0 for null, -1 for "other" as in the rollups.
-- What erasure takes off is under any instance: that only keeps writers apart.
CREATE TABLE sidelog.usage_rollups (
    hour bigint NOT NULL,
    project integer NOT NULL,
    container integer NOT NULL,
    client integer NOT NULL,
    service integer NOT NULL,
    route_id integer NOT NULL,
    key_id integer NOT NULL,
    provider integer NOT NULL,
    model integer NOT NULL,
    resolved_model integer NOT NULL,
    weight bigint NOT NULL,
    instance integer NOT NULL,
    calls bigint NOT NULL,
    counted bigint NOT NULL,
    priced bigint NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cache_read_tokens bigint NOT NULL,
    cache_write_tokens bigint NOT NULL,
    reasoning_tokens bigint NOT NULL,
    cost_nano_usd bigint NOT NULL,
    PRIMARY KEY (
        hour, project, container, client, service, route_id, key_id, provider, model, resolved_model, weight, instance
    )
) WITH (fillfactor = 70);

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
    erasures bigint NOT NULL,
    -- How far bodies are gone for the cap on size.
    bodies_through_seq bigint NOT NULL,
    -- How often the cap on size took rows, and when the newest of those started.
    trims bigint NOT NULL,
    trimmed_until_us bigint NOT NULL
);

INSERT INTO sidelog.state VALUES (0, 0, 0, 0, 0, 0, 0, 0, 0);

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
    weight bigint NOT NULL,  -- As that of records, 0 for null.
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
    weight bigint NOT NULL,
    instance integer NOT NULL,
    calls bigint NOT NULL,
    timed bigint NOT NULL,
    latency_us bigint NOT NULL,
    cost_usd double precision NOT NULL,
    PRIMARY KEY (hour, project, container, client, server_label, tool_name, key_id, key_name, status, weight, instance)
) WITH (fillfactor = 70);

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

-- Jobs by the hash of their name: who began them, and who has their tokens and cost, so that nobody counts them again.
CREATE TABLE sidelog.jobs (
    id uuid PRIMARY KEY,
    begun_by uuid NOT NULL,
    started_at_us bigint NOT NULL,
    counted_by uuid
);

CREATE INDEX jobs_begun ON sidelog.jobs (begun_by);
CREATE INDEX jobs_started ON sidelog.jobs (started_at_us);

-- Who uses the name of an instance, and since when it was last heard of: two would count each other's records.
CREATE TABLE sidelog.leases (
    instance text PRIMARY KEY,
    holder text NOT NULL,
    session text NOT NULL,
    renewed_at timestamptz NOT NULL
) WITH (fillfactor = 50);

-- Searches with a name: which scope they belong to, and what they are, as JSON.
CREATE TABLE sidelog.views (
    owner text NOT NULL,
    name text NOT NULL,
    content text NOT NULL,
    PRIMARY KEY (owner, name)
);
