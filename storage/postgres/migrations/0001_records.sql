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
