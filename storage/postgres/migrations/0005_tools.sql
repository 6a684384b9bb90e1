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
