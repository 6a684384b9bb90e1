-- Sums by hour and day once more, without the two dimensions that make most rows, key and method, but by status, host
-- and error type: a twentieth of the rows of `rollups`, and read instead wherever they can tell. They replace
-- `failures`.
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
        day, project, container, client, service, route_id, source, level, kind, instance, host, error_type, keyed,
        status, status_class
    )
) WITHOUT ROWID;

-- Of rows there are already, a span at a time, which takes little memory.
CREATE TABLE spans_left (
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL
);

CREATE TRIGGER spans_left_counted AFTER INSERT ON spans_left BEGIN
    INSERT INTO status_rollups
    SELECT
        started_at_us / 3600000000, project, container, client, service, route_id, source, level, kind, instance, host,
        error_type, keyed, max(status, 0), max(status, 0) / 100, sum(kind = 0), sum(kind = 1), sum(request_bytes),
        sum(response_bytes), sum(kind = 0 AND duration_us BETWEEN 0 AND 1000),
        sum(kind = 0 AND duration_us BETWEEN 1001 AND 2500), sum(kind = 0 AND duration_us BETWEEN 2501 AND 5000),
        sum(kind = 0 AND duration_us BETWEEN 5001 AND 10000), sum(kind = 0 AND duration_us BETWEEN 10001 AND 25000),
        sum(kind = 0 AND duration_us BETWEEN 25001 AND 50000), sum(kind = 0 AND duration_us BETWEEN 50001 AND 100000),
        sum(kind = 0 AND duration_us BETWEEN 100001 AND 250000),
        sum(kind = 0 AND duration_us BETWEEN 250001 AND 500000),
        sum(kind = 0 AND duration_us BETWEEN 500001 AND 1000000),
        sum(kind = 0 AND duration_us BETWEEN 1000001 AND 2500000),
        sum(kind = 0 AND duration_us BETWEEN 2500001 AND 5000000),
        sum(kind = 0 AND duration_us BETWEEN 5000001 AND 10000000),
        sum(kind = 0 AND duration_us BETWEEN 10000001 AND 30000000),
        sum(kind = 0 AND duration_us BETWEEN 30000001 AND 60000000),
        sum(kind = 0 AND duration_us BETWEEN 60000001 AND 120000000),
        sum(kind = 0 AND duration_us BETWEEN 120000001 AND 300000000), sum(kind = 0 AND duration_us > 300000000),
        sum(kind = 0 AND first_byte_us BETWEEN 0 AND 1000), sum(kind = 0 AND first_byte_us BETWEEN 1001 AND 2500),
        sum(kind = 0 AND first_byte_us BETWEEN 2501 AND 5000), sum(kind = 0 AND first_byte_us BETWEEN 5001 AND 10000),
        sum(kind = 0 AND first_byte_us BETWEEN 10001 AND 25000),
        sum(kind = 0 AND first_byte_us BETWEEN 25001 AND 50000),
        sum(kind = 0 AND first_byte_us BETWEEN 50001 AND 100000),
        sum(kind = 0 AND first_byte_us BETWEEN 100001 AND 250000),
        sum(kind = 0 AND first_byte_us BETWEEN 250001 AND 500000),
        sum(kind = 0 AND first_byte_us BETWEEN 500001 AND 1000000),
        sum(kind = 0 AND first_byte_us BETWEEN 1000001 AND 2500000),
        sum(kind = 0 AND first_byte_us BETWEEN 2500001 AND 5000000),
        sum(kind = 0 AND first_byte_us BETWEEN 5000001 AND 10000000),
        sum(kind = 0 AND first_byte_us BETWEEN 10000001 AND 30000000),
        sum(kind = 0 AND first_byte_us BETWEEN 30000001 AND 60000000),
        sum(kind = 0 AND first_byte_us BETWEEN 60000001 AND 120000000),
        sum(kind = 0 AND first_byte_us BETWEEN 120000001 AND 300000000), sum(kind = 0 AND first_byte_us > 300000000)
    FROM records WHERE seq BETWEEN new.first_seq AND new.last_seq
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    ON CONFLICT DO UPDATE SET
        exchanges = exchanges + excluded.exchanges, events = events + excluded.events,
        request_bytes = request_bytes + excluded.request_bytes,
        response_bytes = response_bytes + excluded.response_bytes, duration_00 = duration_00 + excluded.duration_00,
        duration_01 = duration_01 + excluded.duration_01, duration_02 = duration_02 + excluded.duration_02,
        duration_03 = duration_03 + excluded.duration_03, duration_04 = duration_04 + excluded.duration_04,
        duration_05 = duration_05 + excluded.duration_05, duration_06 = duration_06 + excluded.duration_06,
        duration_07 = duration_07 + excluded.duration_07, duration_08 = duration_08 + excluded.duration_08,
        duration_09 = duration_09 + excluded.duration_09, duration_10 = duration_10 + excluded.duration_10,
        duration_11 = duration_11 + excluded.duration_11, duration_12 = duration_12 + excluded.duration_12,
        duration_13 = duration_13 + excluded.duration_13, duration_14 = duration_14 + excluded.duration_14,
        duration_15 = duration_15 + excluded.duration_15, duration_16 = duration_16 + excluded.duration_16,
        duration_17 = duration_17 + excluded.duration_17, first_byte_00 = first_byte_00 + excluded.first_byte_00,
        first_byte_01 = first_byte_01 + excluded.first_byte_01, first_byte_02 = first_byte_02 + excluded.first_byte_02,
        first_byte_03 = first_byte_03 + excluded.first_byte_03, first_byte_04 = first_byte_04 + excluded.first_byte_04,
        first_byte_05 = first_byte_05 + excluded.first_byte_05, first_byte_06 = first_byte_06 + excluded.first_byte_06,
        first_byte_07 = first_byte_07 + excluded.first_byte_07, first_byte_08 = first_byte_08 + excluded.first_byte_08,
        first_byte_09 = first_byte_09 + excluded.first_byte_09, first_byte_10 = first_byte_10 + excluded.first_byte_10,
        first_byte_11 = first_byte_11 + excluded.first_byte_11, first_byte_12 = first_byte_12 + excluded.first_byte_12,
        first_byte_13 = first_byte_13 + excluded.first_byte_13, first_byte_14 = first_byte_14 + excluded.first_byte_14,
        first_byte_15 = first_byte_15 + excluded.first_byte_15, first_byte_16 = first_byte_16 + excluded.first_byte_16,
        first_byte_17 = first_byte_17 + excluded.first_byte_17;
END;

INSERT INTO spans_left SELECT first_seq, last_seq FROM spans;
DROP TABLE spans_left;
DROP TABLE failures;

INSERT INTO status_rollups_daily
SELECT
    hour / 24, project, container, client, service, route_id, source, level, kind, instance, host, error_type, keyed,
    status, status_class, sum(exchanges), sum(events), sum(request_bytes), sum(response_bytes), sum(duration_00),
    sum(duration_01), sum(duration_02), sum(duration_03), sum(duration_04), sum(duration_05), sum(duration_06),
    sum(duration_07), sum(duration_08), sum(duration_09), sum(duration_10), sum(duration_11), sum(duration_12),
    sum(duration_13), sum(duration_14), sum(duration_15), sum(duration_16), sum(duration_17), sum(first_byte_00),
    sum(first_byte_01), sum(first_byte_02), sum(first_byte_03), sum(first_byte_04), sum(first_byte_05),
    sum(first_byte_06), sum(first_byte_07), sum(first_byte_08), sum(first_byte_09), sum(first_byte_10),
    sum(first_byte_11), sum(first_byte_12), sum(first_byte_13), sum(first_byte_14), sum(first_byte_15),
    sum(first_byte_16), sum(first_byte_17)
FROM status_rollups
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15;

-- What names a model without a provider is counted by model from now on.
INSERT INTO usage_rollups
SELECT started_at_us / 3600000000, project, container, client, service, route_id, key_id, provider, model,
    count(*),
    sum(CASE WHEN coalesce(input_tokens, output_tokens, cache_read_tokens,
        cache_write_tokens, reasoning_tokens) IS NULL THEN 0 ELSE 1 END),
    count(cost_usd),
    sum(min(coalesce(input_tokens, 0), 1000000000000)),
    sum(min(coalesce(output_tokens, 0), 1000000000000)),
    sum(min(coalesce(cache_read_tokens, 0), 1000000000000)),
    sum(min(coalesce(cache_write_tokens, 0), 1000000000000)),
    sum(min(coalesce(reasoning_tokens, 0), 1000000000000)),
    sum(CAST(round(min(coalesce(cost_usd, 0), 1000) * 1000000000) AS BIGINT))
FROM records WHERE model <> 0 AND provider = 0 AND kind = 0
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9;
