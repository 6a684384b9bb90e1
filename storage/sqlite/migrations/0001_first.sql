-- Text that repeats is a dictionary id, 0 for null. Other nullable columns of every row hold a cheap stand-in, because
-- binding null costs ten times an integer: 0 for text, -1 for numbers. Columns without a type keep both as they are. A
-- request id that is the record's own is 1.

CREATE TABLE dictionary (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind INTEGER NOT NULL,
    value TEXT NOT NULL,
    -- The day since the epoch that it was last looked up for: no row that uses it started on a later one.
    used_day INTEGER NOT NULL,
    UNIQUE (kind, value)
);

CREATE INDEX dictionary_used ON dictionary (used_day);

CREATE TABLE records (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL,
    started_at_us INTEGER NOT NULL,
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
    outcome INTEGER NOT NULL,
    stage INTEGER NOT NULL,
    direction INTEGER NOT NULL,
    error_type INTEGER NOT NULL,
    origin INTEGER NOT NULL,  -- Several fields as one value, see storage/relational/writes/packing.py.
    host INTEGER NOT NULL,
    user_agent INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    endpoint INTEGER NOT NULL,
    first_byte_us INTEGER NOT NULL,
    times BLOB NOT NULL,  -- When the other things happened, see there.
    request_bytes INTEGER NOT NULL,
    response_bytes INTEGER NOT NULL,
    request_complete INTEGER NOT NULL,
    heads_block INTEGER NOT NULL,
    heads_offset INTEGER NOT NULL,
    heads_length INTEGER NOT NULL,
    bodies_block INTEGER NOT NULL,
    bodies_offset INTEGER NOT NULL,
    bodies_length INTEGER NOT NULL,
    client_ip NOT NULL,  -- 4 or 16 bytes, see there.
    path NOT NULL,
    query NOT NULL,
    trace_id NOT NULL,
    span_id NOT NULL,
    request_id NOT NULL,
    -- Ids of rules, as one text like the tools below; in how many places each found something is in `times`.
    redactions INTEGER NOT NULL,
    -- For how many exchanges it stands, in millionths above 1: 0 unless a rule of capture keeps a share of them.
    weight INTEGER NOT NULL,
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
    stream BLOB,
    -- Whether its route asked for a key: the rows of the request logs page, refused ones included.
    keyed INTEGER NOT NULL DEFAULT 0,
    -- What the stream says of the output, once more for filters: the tools are one text, see
    -- storage/relational/combinations.py.
    finish_reason INTEGER NOT NULL DEFAULT 0,
    called_tools INTEGER NOT NULL DEFAULT 0,
    failed_tools INTEGER NOT NULL DEFAULT 0,
    conversation BLOB,
    marks BLOB,
    -- What was said when it failed, see storage/failure_message.py.
    message INTEGER NOT NULL DEFAULT 0,
    grpc BLOB,
    -- The name of its status, once more for filters.
    grpc_status INTEGER NOT NULL DEFAULT 0
);

CREATE UNIQUE INDEX records_id ON records (id);
CREATE INDEX records_project ON records (project, seq) WHERE project <> 0;
CREATE INDEX records_status ON records (status / 100, seq) WHERE status >= 400;
CREATE INDEX records_level ON records (level, seq) WHERE level >= 2;
CREATE INDEX records_service ON records (service, seq) WHERE service <> 0;
CREATE INDEX records_service_level ON records (service, level, seq) WHERE level >= 2;
CREATE INDEX records_endpoint ON records (endpoint, seq) WHERE endpoint <> 0;
CREATE INDEX records_keyed ON records (seq) WHERE keyed = 1;
CREATE INDEX records_outgoing ON records (seq) WHERE direction = 1;
CREATE INDEX records_key ON records (key_id, seq) WHERE key_id <> 0;
-- LLM calls of a provider, and of a model; other rows cost nothing.
CREATE INDEX records_provider ON records (provider, seq) WHERE provider <> 0;
CREATE INDEX records_model ON records (model, seq) WHERE model <> 0;
CREATE INDEX records_resolved_model ON records (resolved_model, seq) WHERE resolved_model <> 0;
CREATE INDEX records_finish_reason ON records (finish_reason, seq) WHERE finish_reason <> 0;
CREATE INDEX records_called_tools ON records (called_tools, seq) WHERE called_tools <> 0;
CREATE INDEX records_failed_tools ON records (failed_tools, seq) WHERE failed_tools <> 0;
CREATE INDEX records_message ON records (message, seq) WHERE message <> 0;
CREATE INDEX records_grpc_status ON records (grpc_status, seq) WHERE grpc_status <> 0;
CREATE INDEX records_redactions ON records (redactions, seq) WHERE redactions <> 0;
-- Conversations: each with its calls, and the calls of all; other rows cost nothing. What a conversation costs, and whether
-- a call of it failed, is read without the rows, of which a hundred thousand are in as many places.
CREATE INDEX records_conversation ON records (conversation, seq, started_at_us, kind, level, error_type, cost_usd) WHERE conversation IS NOT NULL;
CREATE INDEX records_conversations ON records (seq, conversation, started_at_us, kind) WHERE conversation IS NOT NULL;
-- What sidelog did by itself: few rows among many. Exchanges and WebSocket messages, of level debug, cost nothing.
CREATE INDEX records_events ON records (seq) WHERE kind = 1 AND level >= 1;
CREATE INDEX records_trace ON records (trace_id) WHERE trace_id <> 0;
-- Lists in the order of receipt, by id: of a project, and of a route of a client. Rows without either cost nothing.
CREATE INDEX records_project_id ON records (project, id) WHERE project <> 0;
CREATE INDEX records_route_id ON records (route_id, id) WHERE client <> 0;

-- Neighbouring rows, the times they started and the milliseconds of their ids, so that a range of time becomes a range
-- of seq, or of ids. One row may cover several batches.
CREATE TABLE spans (
    last_seq INTEGER PRIMARY KEY,
    first_seq INTEGER NOT NULL,
    min_started_at_us INTEGER NOT NULL,
    max_started_at_us INTEGER NOT NULL,
    min_id_ms INTEGER NOT NULL,
    max_id_ms INTEGER NOT NULL
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

-- Sums per combination of dimensions: by hour since the epoch, and again by day. -1 in a dimension is "other": an hour
-- counts 10 000 values of it apart. Sums are of what is stored, apart by weight, which is as in `records`.
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
    weight INTEGER NOT NULL,
    exchanges INTEGER NOT NULL,
    events INTEGER NOT NULL,
    request_bytes INTEGER NOT NULL,
    response_bytes INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cost_nano_usd INTEGER NOT NULL,
    duration_least_us INTEGER,
    first_byte_least_us INTEGER,
    duration_most_us INTEGER,
    first_byte_most_us INTEGER,
    durations BLOB NOT NULL,
    first_bytes BLOB NOT NULL,
    PRIMARY KEY (
        hour, project, container, client, service, route_id, key_id, source, level, method, kind, instance,
        status_class, weight
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
    weight INTEGER NOT NULL,
    exchanges INTEGER NOT NULL,
    events INTEGER NOT NULL,
    request_bytes INTEGER NOT NULL,
    response_bytes INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cost_nano_usd INTEGER NOT NULL,
    duration_least_us INTEGER,
    first_byte_least_us INTEGER,
    duration_most_us INTEGER,
    first_byte_most_us INTEGER,
    durations BLOB NOT NULL,
    first_bytes BLOB NOT NULL,
    PRIMARY KEY (
        day, project, container, client, service, route_id, key_id, source, level, method, kind, instance,
        status_class, weight
    )
) WITHOUT ROWID;

-- The same without the two dimensions that make most rows, key and method, but by status and error type: a twentieth of
-- the rows, and read instead wherever they can tell.
CREATE TABLE status_rollups (
    hour INTEGER NOT NULL,
    project INTEGER NOT NULL,
    container INTEGER NOT NULL,
    client INTEGER NOT NULL,
    service INTEGER NOT NULL,
    route_id INTEGER NOT NULL,
    source INTEGER NOT NULL,
    level INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    instance INTEGER NOT NULL,
    error_type INTEGER NOT NULL,
    keyed INTEGER NOT NULL,
    status INTEGER NOT NULL,
    status_class INTEGER NOT NULL,
    weight INTEGER NOT NULL,
    exchanges INTEGER NOT NULL,
    events INTEGER NOT NULL,
    request_bytes INTEGER NOT NULL,
    response_bytes INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cost_nano_usd INTEGER NOT NULL,
    duration_least_us INTEGER,
    first_byte_least_us INTEGER,
    duration_most_us INTEGER,
    first_byte_most_us INTEGER,
    durations BLOB NOT NULL,
    first_bytes BLOB NOT NULL,
    PRIMARY KEY (
        hour, project, container, client, service, route_id, source, level, kind, instance, error_type, keyed, status,
        status_class, weight
    )
) WITHOUT ROWID;

CREATE TABLE status_rollups_daily (
    day INTEGER NOT NULL,
    project INTEGER NOT NULL,
    container INTEGER NOT NULL,
    client INTEGER NOT NULL,
    service INTEGER NOT NULL,
    route_id INTEGER NOT NULL,
    source INTEGER NOT NULL,
    level INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    instance INTEGER NOT NULL,
    error_type INTEGER NOT NULL,
    keyed INTEGER NOT NULL,
    status INTEGER NOT NULL,
    status_class INTEGER NOT NULL,
    weight INTEGER NOT NULL,
    exchanges INTEGER NOT NULL,
    events INTEGER NOT NULL,
    request_bytes INTEGER NOT NULL,
    response_bytes INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cost_nano_usd INTEGER NOT NULL,
    duration_least_us INTEGER,
    first_byte_least_us INTEGER,
    duration_most_us INTEGER,
    first_byte_most_us INTEGER,
    durations BLOB NOT NULL,
    first_bytes BLOB NOT NULL,
    PRIMARY KEY (
        day, project, container, client, service, route_id, source, level, kind, instance, error_type, keyed, status,
        status_class, weight
    )
) WITHOUT ROWID;

-- The same by host, too: rows for each of the hosts that traffic names.
CREATE TABLE host_rollups (
    hour INTEGER NOT NULL,
    project INTEGER NOT NULL,
    container INTEGER NOT NULL,
    client INTEGER NOT NULL,
    service INTEGER NOT NULL,
    route_id INTEGER NOT NULL,
    source INTEGER NOT NULL,
    level INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    instance INTEGER NOT NULL,
    host INTEGER NOT NULL,
    error_type INTEGER NOT NULL,
    keyed INTEGER NOT NULL,
    status INTEGER NOT NULL,
    status_class INTEGER NOT NULL,
    weight INTEGER NOT NULL,
    exchanges INTEGER NOT NULL,
    events INTEGER NOT NULL,
    request_bytes INTEGER NOT NULL,
    response_bytes INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cost_nano_usd INTEGER NOT NULL,
    duration_least_us INTEGER,
    first_byte_least_us INTEGER,
    duration_most_us INTEGER,
    first_byte_most_us INTEGER,
    durations BLOB NOT NULL,
    first_bytes BLOB NOT NULL,
    PRIMARY KEY (
        hour, project, container, client, service, route_id, source, level, kind, instance, host, error_type, keyed,
        status, status_class, weight
    )
) WITHOUT ROWID;

CREATE TABLE host_rollups_daily (
    day INTEGER NOT NULL,
    project INTEGER NOT NULL,
    container INTEGER NOT NULL,
    client INTEGER NOT NULL,
    service INTEGER NOT NULL,
    route_id INTEGER NOT NULL,
    source INTEGER NOT NULL,
    level INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    instance INTEGER NOT NULL,
    host INTEGER NOT NULL,
    error_type INTEGER NOT NULL,
    keyed INTEGER NOT NULL,
    status INTEGER NOT NULL,
    status_class INTEGER NOT NULL,
    weight INTEGER NOT NULL,
    exchanges INTEGER NOT NULL,
    events INTEGER NOT NULL,
    request_bytes INTEGER NOT NULL,
    response_bytes INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cost_nano_usd INTEGER NOT NULL,
    duration_least_us INTEGER,
    first_byte_least_us INTEGER,
    duration_most_us INTEGER,
    first_byte_most_us INTEGER,
    durations BLOB NOT NULL,
    first_bytes BLOB NOT NULL,
    PRIMARY KEY (
        day, project, container, client, service, route_id, source, level, kind, instance, host, error_type, keyed,
        status, status_class, weight
    )
) WITHOUT ROWID;

-- The same by called model, without status and error type: of calls, and of all others together.
CREATE TABLE model_rollups (
    hour INTEGER NOT NULL,
    project INTEGER NOT NULL,
    container INTEGER NOT NULL,
    client INTEGER NOT NULL,
    service INTEGER NOT NULL,
    route_id INTEGER NOT NULL,
    source INTEGER NOT NULL,
    level INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    instance INTEGER NOT NULL,
    provider INTEGER NOT NULL,
    model INTEGER NOT NULL,
    resolved_model INTEGER NOT NULL,
    status_class INTEGER NOT NULL,
    weight INTEGER NOT NULL,
    exchanges INTEGER NOT NULL,
    events INTEGER NOT NULL,
    request_bytes INTEGER NOT NULL,
    response_bytes INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cost_nano_usd INTEGER NOT NULL,
    duration_least_us INTEGER,
    first_byte_least_us INTEGER,
    duration_most_us INTEGER,
    first_byte_most_us INTEGER,
    durations BLOB NOT NULL,
    first_bytes BLOB NOT NULL,
    PRIMARY KEY (
        hour, project, container, client, service, route_id, source, level, kind, instance, provider, model,
        resolved_model, status_class, weight
    )
) WITHOUT ROWID;

CREATE TABLE model_rollups_daily (
    day INTEGER NOT NULL,
    project INTEGER NOT NULL,
    container INTEGER NOT NULL,
    client INTEGER NOT NULL,
    service INTEGER NOT NULL,
    route_id INTEGER NOT NULL,
    source INTEGER NOT NULL,
    level INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    instance INTEGER NOT NULL,
    provider INTEGER NOT NULL,
    model INTEGER NOT NULL,
    resolved_model INTEGER NOT NULL,
    status_class INTEGER NOT NULL,
    weight INTEGER NOT NULL,
    exchanges INTEGER NOT NULL,
    events INTEGER NOT NULL,
    request_bytes INTEGER NOT NULL,
    response_bytes INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cost_nano_usd INTEGER NOT NULL,
    duration_least_us INTEGER,
    first_byte_least_us INTEGER,
    duration_most_us INTEGER,
    first_byte_most_us INTEGER,
    durations BLOB NOT NULL,
    first_bytes BLOB NOT NULL,
    PRIMARY KEY (
        day, project, container, client, service, route_id, source, level, kind, instance, provider, model,
        resolved_model, status_class, weight
    )
) WITHOUT ROWID;

-- The same by user.
CREATE TABLE user_rollups (
    hour INTEGER NOT NULL,
    project INTEGER NOT NULL,
    container INTEGER NOT NULL,
    client INTEGER NOT NULL,
    service INTEGER NOT NULL,
    route_id INTEGER NOT NULL,
    source INTEGER NOT NULL,
    level INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    instance INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    status_class INTEGER NOT NULL,
    weight INTEGER NOT NULL,
    exchanges INTEGER NOT NULL,
    events INTEGER NOT NULL,
    request_bytes INTEGER NOT NULL,
    response_bytes INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cost_nano_usd INTEGER NOT NULL,
    duration_least_us INTEGER,
    first_byte_least_us INTEGER,
    duration_most_us INTEGER,
    first_byte_most_us INTEGER,
    durations BLOB NOT NULL,
    first_bytes BLOB NOT NULL,
    PRIMARY KEY (
        hour, project, container, client, service, route_id, source, level, kind, instance, user_id, status_class,
        weight
    )
) WITHOUT ROWID;

CREATE TABLE user_rollups_daily (
    day INTEGER NOT NULL,
    project INTEGER NOT NULL,
    container INTEGER NOT NULL,
    client INTEGER NOT NULL,
    service INTEGER NOT NULL,
    route_id INTEGER NOT NULL,
    source INTEGER NOT NULL,
    level INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    instance INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    status_class INTEGER NOT NULL,
    weight INTEGER NOT NULL,
    exchanges INTEGER NOT NULL,
    events INTEGER NOT NULL,
    request_bytes INTEGER NOT NULL,
    response_bytes INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cost_nano_usd INTEGER NOT NULL,
    duration_least_us INTEGER,
    first_byte_least_us INTEGER,
    duration_most_us INTEGER,
    first_byte_most_us INTEGER,
    durations BLOB NOT NULL,
    first_bytes BLOB NOT NULL,
    PRIMARY KEY (
        day, project, container, client, service, route_id, source, level, kind, instance, user_id, status_class,
        weight
    )
) WITHOUT ROWID;

-- The same without the key, but by endpoint: a route has up to some hundred.
CREATE TABLE endpoint_rollups (
    hour INTEGER NOT NULL,
    project INTEGER NOT NULL,
    container INTEGER NOT NULL,
    client INTEGER NOT NULL,
    service INTEGER NOT NULL,
    route_id INTEGER NOT NULL,
    source INTEGER NOT NULL,
    level INTEGER NOT NULL,
    method INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    instance INTEGER NOT NULL,
    endpoint INTEGER NOT NULL,
    status_class INTEGER NOT NULL,
    weight INTEGER NOT NULL,
    exchanges INTEGER NOT NULL,
    events INTEGER NOT NULL,
    request_bytes INTEGER NOT NULL,
    response_bytes INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cost_nano_usd INTEGER NOT NULL,
    duration_least_us INTEGER,
    first_byte_least_us INTEGER,
    duration_most_us INTEGER,
    first_byte_most_us INTEGER,
    durations BLOB NOT NULL,
    first_bytes BLOB NOT NULL,
    PRIMARY KEY (
        hour, project, container, client, service, route_id, source, level, method, kind, instance, endpoint,
        status_class, weight
    )
) WITHOUT ROWID;

CREATE TABLE endpoint_rollups_daily (
    day INTEGER NOT NULL,
    project INTEGER NOT NULL,
    container INTEGER NOT NULL,
    client INTEGER NOT NULL,
    service INTEGER NOT NULL,
    route_id INTEGER NOT NULL,
    source INTEGER NOT NULL,
    level INTEGER NOT NULL,
    method INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    instance INTEGER NOT NULL,
    endpoint INTEGER NOT NULL,
    status_class INTEGER NOT NULL,
    weight INTEGER NOT NULL,
    exchanges INTEGER NOT NULL,
    events INTEGER NOT NULL,
    request_bytes INTEGER NOT NULL,
    response_bytes INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cost_nano_usd INTEGER NOT NULL,
    duration_least_us INTEGER,
    first_byte_least_us INTEGER,
    duration_most_us INTEGER,
    first_byte_most_us INTEGER,
    durations BLOB NOT NULL,
    first_bytes BLOB NOT NULL,
    PRIMARY KEY (
        day, project, container, client, service, route_id, source, level, method, kind, instance, endpoint,
        status_class, weight
    )
) WITHOUT ROWID;

-- LLM calls per combination of dimensions, by hour since the epoch; 0 for null, -1 for "other" as in the rollups.
CREATE TABLE usage_rollups (
    hour INTEGER NOT NULL,
    project INTEGER NOT NULL,
    container INTEGER NOT NULL,
    client INTEGER NOT NULL,
    service INTEGER NOT NULL,
    route_id INTEGER NOT NULL,
    key_id INTEGER NOT NULL,
    provider INTEGER NOT NULL,
    model INTEGER NOT NULL,
    resolved_model INTEGER NOT NULL,
    weight INTEGER NOT NULL,
    calls INTEGER NOT NULL,
    counted INTEGER NOT NULL,
    priced INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    cost_nano_usd INTEGER NOT NULL,
    PRIMARY KEY (
        hour, project, container, client, service, route_id, key_id, provider, model, resolved_model, weight
    )
) WITHOUT ROWID;

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
    -- The rollups count the rows up to it.
    ('counted_through', 0),
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
    ('erasures', 0),
    -- How far bodies are gone for the cap on size.
    ('bodies_through_seq', 0),
    -- How often the cap on size took rows, and when the newest of those started.
    ('trims', 0),
    ('trimmed_until_us', 0);

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

-- Tool calls. Rows go with the record they were stored with, and keep their own rollups, both by triggers: whatever
-- deletes records need not know about them. Null numbers are -1, null text and dictionary ids 0, as in `records`.

CREATE TABLE tool_calls (
    id INTEGER PRIMARY KEY,
    record_seq INTEGER NOT NULL,
    record_id BLOB NOT NULL,
    position INTEGER NOT NULL,
    started_at_us INTEGER NOT NULL,
    created_at_us INTEGER NOT NULL,
    tool_name INTEGER NOT NULL,
    server_label INTEGER NOT NULL,
    status INTEGER NOT NULL,
    latency_us INTEGER NOT NULL,
    cost_usd REAL NOT NULL,
    project INTEGER NOT NULL,
    container INTEGER NOT NULL,
    client INTEGER NOT NULL,
    key_id INTEGER NOT NULL,
    key_name INTEGER NOT NULL,
    key_last4 INTEGER NOT NULL,
    llm_request_id TEXT,
    rpc_id TEXT,
    session TEXT,
    search TEXT NOT NULL,
    detail BLOB NOT NULL,
    weight INTEGER NOT NULL  -- As that of records.
);

CREATE UNIQUE INDEX tool_calls_call ON tool_calls (record_id, position);
CREATE INDEX tool_calls_record ON tool_calls (record_seq);
CREATE INDEX tool_calls_started ON tool_calls (started_at_us, id);
CREATE INDEX tool_calls_latency ON tool_calls (latency_us, id);
CREATE INDEX tool_calls_cost ON tool_calls (cost_usd, id);
CREATE INDEX tool_calls_llm ON tool_calls (llm_request_id) WHERE llm_request_id IS NOT NULL;
CREATE INDEX tool_calls_detail ON tool_calls (started_at_us) WHERE detail <> x'';

CREATE TABLE tool_rollups (
    hour INTEGER NOT NULL,
    project INTEGER NOT NULL,
    container INTEGER NOT NULL,
    client INTEGER NOT NULL,
    server_label INTEGER NOT NULL,
    tool_name INTEGER NOT NULL,
    key_id INTEGER NOT NULL,
    key_name INTEGER NOT NULL,
    status INTEGER NOT NULL,
    weight INTEGER NOT NULL,
    instance INTEGER NOT NULL,
    calls INTEGER NOT NULL,
    timed INTEGER NOT NULL,
    latency_us INTEGER NOT NULL,
    cost_usd REAL NOT NULL,
    PRIMARY KEY (hour, project, container, client, server_label, tool_name, key_id, key_name, status, weight, instance)
) WITHOUT ROWID;

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

-- Jobs by the hash of their name: who began them, and who has their tokens and cost, so that nobody counts them again.
CREATE TABLE jobs (
    id BLOB PRIMARY KEY,
    begun_by BLOB NOT NULL,
    started_at_us INTEGER NOT NULL,
    counted_by BLOB
) WITHOUT ROWID;

CREATE INDEX jobs_begun ON jobs (begun_by);
CREATE INDEX jobs_started ON jobs (started_at_us);

-- Searches with a name: which scope they belong to, and what they are, as JSON.
CREATE TABLE views (
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (owner, name)
) WITHOUT ROWID;
