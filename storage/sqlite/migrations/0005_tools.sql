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
    llm_request_id NOT NULL,
    rpc_id NOT NULL,
    session NOT NULL,
    search TEXT NOT NULL,
    detail BLOB NOT NULL,
    weight INTEGER NOT NULL  -- As that of records.
);

CREATE UNIQUE INDEX tool_calls_call ON tool_calls (record_id, position);
CREATE INDEX tool_calls_record ON tool_calls (record_seq);
CREATE INDEX tool_calls_started ON tool_calls (started_at_us, id);
CREATE INDEX tool_calls_latency ON tool_calls (latency_us, id);
CREATE INDEX tool_calls_cost ON tool_calls (cost_usd, id);
CREATE INDEX tool_calls_llm ON tool_calls (llm_request_id) WHERE llm_request_id <> 0;
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
    calls INTEGER NOT NULL,
    timed INTEGER NOT NULL,
    latency_us INTEGER NOT NULL,
    cost_usd REAL NOT NULL,
    PRIMARY KEY (hour, project, container, client, server_label, tool_name, key_id, key_name, status, weight)
) WITHOUT ROWID;

CREATE TRIGGER tool_calls_added AFTER INSERT ON tool_calls BEGIN
    INSERT INTO tool_rollups VALUES (
        new.started_at_us / 3600000000, new.project, new.container, new.client, new.server_label, new.tool_name,
        new.key_id, new.key_name, new.status, new.weight, 1, new.latency_us >= 0, max(new.latency_us, 0), new.cost_usd
    ) ON CONFLICT DO UPDATE SET
        calls = calls + 1, timed = timed + excluded.timed, latency_us = latency_us + excluded.latency_us,
        cost_usd = cost_usd + excluded.cost_usd;
END;

CREATE TRIGGER tool_calls_removed AFTER DELETE ON tool_calls BEGIN
    UPDATE tool_rollups SET
        calls = calls - 1, timed = timed - (old.latency_us >= 0), latency_us = latency_us - max(old.latency_us, 0),
        cost_usd = cost_usd - old.cost_usd
    WHERE hour = old.started_at_us / 3600000000 AND project = old.project AND container = old.container
        AND client = old.client AND server_label = old.server_label AND tool_name = old.tool_name
        AND key_id = old.key_id AND key_name = old.key_name AND status = old.status AND weight = old.weight;
    DELETE FROM tool_rollups
    WHERE hour = old.started_at_us / 3600000000 AND calls = 0;
END;

CREATE TRIGGER tool_calls_orphaned AFTER DELETE ON records BEGIN
    DELETE FROM tool_calls WHERE record_seq = old.seq;
END;

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

-- Jobs by the hash of their name: who began them, and who has their tokens and cost, so that nobody counts them again.
CREATE TABLE jobs (
    id BLOB PRIMARY KEY,
    begun_by BLOB NOT NULL,
    started_at_us INTEGER NOT NULL,
    counted_by BLOB
) WITHOUT ROWID;

CREATE INDEX jobs_begun ON jobs (begun_by);
CREATE INDEX jobs_started ON jobs (started_at_us);

CREATE TRIGGER jobs_orphaned AFTER DELETE ON records BEGIN
    DELETE FROM jobs WHERE begun_by = old.id;
END;
