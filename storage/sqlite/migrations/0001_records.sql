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
