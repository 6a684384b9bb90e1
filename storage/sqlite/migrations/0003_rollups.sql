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
    duration_least_us INTEGER,
    first_byte_least_us INTEGER,
    duration_most_us INTEGER,
    first_byte_most_us INTEGER,
    durations BLOB NOT NULL,
    first_bytes BLOB NOT NULL,
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
    duration_least_us INTEGER,
    first_byte_least_us INTEGER,
    duration_most_us INTEGER,
    first_byte_most_us INTEGER,
    durations BLOB NOT NULL,
    first_bytes BLOB NOT NULL,
    PRIMARY KEY (
        day, project, container, client, service, route_id, key_id, source, level, method, kind, instance,
        status_class
    )
) WITHOUT ROWID;

-- The same without the two dimensions that make most rows, key and method, but by status, host and error type: a
-- twentieth of the rows, and read instead wherever they can tell.
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
    host INTEGER NOT NULL,
    error_type INTEGER NOT NULL,
    keyed INTEGER NOT NULL,
    status INTEGER NOT NULL,
    status_class INTEGER NOT NULL,
    exchanges INTEGER NOT NULL,
    events INTEGER NOT NULL,
    request_bytes INTEGER NOT NULL,
    response_bytes INTEGER NOT NULL,
    duration_least_us INTEGER,
    first_byte_least_us INTEGER,
    duration_most_us INTEGER,
    first_byte_most_us INTEGER,
    durations BLOB NOT NULL,
    first_bytes BLOB NOT NULL,
    PRIMARY KEY (
        hour, project, container, client, service, route_id, source, level, kind, instance, host, error_type, keyed,
        status, status_class
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
    host INTEGER NOT NULL,
    error_type INTEGER NOT NULL,
    keyed INTEGER NOT NULL,
    status INTEGER NOT NULL,
    status_class INTEGER NOT NULL,
    exchanges INTEGER NOT NULL,
    events INTEGER NOT NULL,
    request_bytes INTEGER NOT NULL,
    response_bytes INTEGER NOT NULL,
    duration_least_us INTEGER,
    first_byte_least_us INTEGER,
    duration_most_us INTEGER,
    first_byte_most_us INTEGER,
    durations BLOB NOT NULL,
    first_bytes BLOB NOT NULL,
    PRIMARY KEY (
        day, project, container, client, service, route_id, source, level, kind, instance, host, error_type, keyed,
        status, status_class
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
    calls INTEGER NOT NULL,
    counted INTEGER NOT NULL,
    priced INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    cost_nano_usd INTEGER NOT NULL,
    PRIMARY KEY (hour, project, container, client, service, route_id, key_id, provider, model, resolved_model)
) WITHOUT ROWID;
