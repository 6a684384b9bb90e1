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
