-- Sums by hour and day once more, without the two dimensions that make most rows, key and method, but by status, host
-- and error type: a twentieth of the rows of `rollups`, and read instead wherever they can tell.
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
    host integer NOT NULL,
    error_type integer NOT NULL,
    keyed integer NOT NULL,
    status bigint NOT NULL,
    status_class bigint NOT NULL,
    exchanges bigint NOT NULL,
    events bigint NOT NULL,
    request_bytes bigint NOT NULL,
    response_bytes bigint NOT NULL,
    duration_00 bigint NOT NULL, duration_01 bigint NOT NULL, duration_02 bigint NOT NULL, duration_03 bigint NOT NULL,
    duration_04 bigint NOT NULL, duration_05 bigint NOT NULL, duration_06 bigint NOT NULL, duration_07 bigint NOT NULL,
    duration_08 bigint NOT NULL, duration_09 bigint NOT NULL, duration_10 bigint NOT NULL, duration_11 bigint NOT NULL,
    duration_12 bigint NOT NULL, duration_13 bigint NOT NULL, duration_14 bigint NOT NULL, duration_15 bigint NOT NULL,
    duration_16 bigint NOT NULL, duration_17 bigint NOT NULL, first_byte_00 bigint NOT NULL,
    first_byte_01 bigint NOT NULL, first_byte_02 bigint NOT NULL, first_byte_03 bigint NOT NULL,
    first_byte_04 bigint NOT NULL, first_byte_05 bigint NOT NULL, first_byte_06 bigint NOT NULL,
    first_byte_07 bigint NOT NULL, first_byte_08 bigint NOT NULL, first_byte_09 bigint NOT NULL,
    first_byte_10 bigint NOT NULL, first_byte_11 bigint NOT NULL, first_byte_12 bigint NOT NULL,
    first_byte_13 bigint NOT NULL, first_byte_14 bigint NOT NULL, first_byte_15 bigint NOT NULL,
    first_byte_16 bigint NOT NULL, first_byte_17 bigint NOT NULL,
    PRIMARY KEY (
        hour, project, container, client, service, route_id, source, level, kind, instance, host, error_type, keyed,
        status, status_class
    )
) WITH (fillfactor = 70);

CREATE TABLE sidelog.status_rollups_daily (
    day bigint NOT NULL,
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
    exchanges bigint NOT NULL,
    events bigint NOT NULL,
    request_bytes bigint NOT NULL,
    response_bytes bigint NOT NULL,
    duration_00 bigint NOT NULL, duration_01 bigint NOT NULL, duration_02 bigint NOT NULL, duration_03 bigint NOT NULL,
    duration_04 bigint NOT NULL, duration_05 bigint NOT NULL, duration_06 bigint NOT NULL, duration_07 bigint NOT NULL,
    duration_08 bigint NOT NULL, duration_09 bigint NOT NULL, duration_10 bigint NOT NULL, duration_11 bigint NOT NULL,
    duration_12 bigint NOT NULL, duration_13 bigint NOT NULL, duration_14 bigint NOT NULL, duration_15 bigint NOT NULL,
    duration_16 bigint NOT NULL, duration_17 bigint NOT NULL, first_byte_00 bigint NOT NULL,
    first_byte_01 bigint NOT NULL, first_byte_02 bigint NOT NULL, first_byte_03 bigint NOT NULL,
    first_byte_04 bigint NOT NULL, first_byte_05 bigint NOT NULL, first_byte_06 bigint NOT NULL,
    first_byte_07 bigint NOT NULL, first_byte_08 bigint NOT NULL, first_byte_09 bigint NOT NULL,
    first_byte_10 bigint NOT NULL, first_byte_11 bigint NOT NULL, first_byte_12 bigint NOT NULL,
    first_byte_13 bigint NOT NULL, first_byte_14 bigint NOT NULL, first_byte_15 bigint NOT NULL,
    first_byte_16 bigint NOT NULL, first_byte_17 bigint NOT NULL,
    PRIMARY KEY (
        day, project, container, client, service, route_id, source, level, kind, instance, host, error_type, keyed,
        status, status_class
    )
) WITH (fillfactor = 70);

-- Of rows there are already.
INSERT INTO sidelog.status_rollups
SELECT
    started_at_us / 3600000000, coalesce(project, 0), coalesce(container, 0), coalesce(client, 0), coalesce(service, 0),
    coalesce(route_id, 0), coalesce(source, 0), level, kind, instance, coalesce(host, 0), coalesce(error_type, 0),
    keyed, coalesce(status, 0), coalesce(status, 0) / 100, count(*) FILTER (WHERE kind = 0),
    count(*) FILTER (WHERE kind = 1), sum(request_bytes), sum(response_bytes),
    count(*) FILTER (WHERE kind = 0 AND duration_us BETWEEN 0 AND 1000),
    count(*) FILTER (WHERE kind = 0 AND duration_us BETWEEN 1001 AND 2500),
    count(*) FILTER (WHERE kind = 0 AND duration_us BETWEEN 2501 AND 5000),
    count(*) FILTER (WHERE kind = 0 AND duration_us BETWEEN 5001 AND 10000),
    count(*) FILTER (WHERE kind = 0 AND duration_us BETWEEN 10001 AND 25000),
    count(*) FILTER (WHERE kind = 0 AND duration_us BETWEEN 25001 AND 50000),
    count(*) FILTER (WHERE kind = 0 AND duration_us BETWEEN 50001 AND 100000),
    count(*) FILTER (WHERE kind = 0 AND duration_us BETWEEN 100001 AND 250000),
    count(*) FILTER (WHERE kind = 0 AND duration_us BETWEEN 250001 AND 500000),
    count(*) FILTER (WHERE kind = 0 AND duration_us BETWEEN 500001 AND 1000000),
    count(*) FILTER (WHERE kind = 0 AND duration_us BETWEEN 1000001 AND 2500000),
    count(*) FILTER (WHERE kind = 0 AND duration_us BETWEEN 2500001 AND 5000000),
    count(*) FILTER (WHERE kind = 0 AND duration_us BETWEEN 5000001 AND 10000000),
    count(*) FILTER (WHERE kind = 0 AND duration_us BETWEEN 10000001 AND 30000000),
    count(*) FILTER (WHERE kind = 0 AND duration_us BETWEEN 30000001 AND 60000000),
    count(*) FILTER (WHERE kind = 0 AND duration_us BETWEEN 60000001 AND 120000000),
    count(*) FILTER (WHERE kind = 0 AND duration_us BETWEEN 120000001 AND 300000000),
    count(*) FILTER (WHERE kind = 0 AND duration_us > 300000000),
    count(*) FILTER (WHERE kind = 0 AND first_byte_us BETWEEN 0 AND 1000),
    count(*) FILTER (WHERE kind = 0 AND first_byte_us BETWEEN 1001 AND 2500),
    count(*) FILTER (WHERE kind = 0 AND first_byte_us BETWEEN 2501 AND 5000),
    count(*) FILTER (WHERE kind = 0 AND first_byte_us BETWEEN 5001 AND 10000),
    count(*) FILTER (WHERE kind = 0 AND first_byte_us BETWEEN 10001 AND 25000),
    count(*) FILTER (WHERE kind = 0 AND first_byte_us BETWEEN 25001 AND 50000),
    count(*) FILTER (WHERE kind = 0 AND first_byte_us BETWEEN 50001 AND 100000),
    count(*) FILTER (WHERE kind = 0 AND first_byte_us BETWEEN 100001 AND 250000),
    count(*) FILTER (WHERE kind = 0 AND first_byte_us BETWEEN 250001 AND 500000),
    count(*) FILTER (WHERE kind = 0 AND first_byte_us BETWEEN 500001 AND 1000000),
    count(*) FILTER (WHERE kind = 0 AND first_byte_us BETWEEN 1000001 AND 2500000),
    count(*) FILTER (WHERE kind = 0 AND first_byte_us BETWEEN 2500001 AND 5000000),
    count(*) FILTER (WHERE kind = 0 AND first_byte_us BETWEEN 5000001 AND 10000000),
    count(*) FILTER (WHERE kind = 0 AND first_byte_us BETWEEN 10000001 AND 30000000),
    count(*) FILTER (WHERE kind = 0 AND first_byte_us BETWEEN 30000001 AND 60000000),
    count(*) FILTER (WHERE kind = 0 AND first_byte_us BETWEEN 60000001 AND 120000000),
    count(*) FILTER (WHERE kind = 0 AND first_byte_us BETWEEN 120000001 AND 300000000),
    count(*) FILTER (WHERE kind = 0 AND first_byte_us > 300000000)
FROM sidelog.records
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15;

INSERT INTO sidelog.status_rollups_daily
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
FROM sidelog.status_rollups
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15;

-- They go with `rollups`: whatever deletes those need not know about these.
CREATE FUNCTION sidelog.delete_status_rollups() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    first_hour bigint := (SELECT purge_floor_us FROM sidelog.state) / 3600000000;
BEGIN
    DELETE FROM sidelog.status_rollups WHERE hour < first_hour;
    DELETE FROM sidelog.status_rollups_daily WHERE day < first_hour / 24;
    RETURN NULL;
END
$$;

CREATE TRIGGER rollups_deleted AFTER DELETE ON sidelog.rollups
FOR EACH STATEMENT EXECUTE FUNCTION sidelog.delete_status_rollups();

-- What names a model without a provider is counted by model from now on.
INSERT INTO sidelog.usage_rollups
SELECT started_at_us / 3600000000, coalesce(project, 0), coalesce(container, 0), coalesce(client, 0),
    coalesce(service, 0), coalesce(route_id, 0), coalesce(key_id, 0), 0, model, instance,
    count(*),
    count(coalesce(input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens)),
    count(cost_usd),
    sum(least(coalesce(input_tokens, 0), 1000000000000)),
    sum(least(coalesce(output_tokens, 0), 1000000000000)),
    sum(least(coalesce(cache_read_tokens, 0), 1000000000000)),
    sum(least(coalesce(cache_write_tokens, 0), 1000000000000)),
    sum(least(coalesce(reasoning_tokens, 0), 1000000000000)),
    sum(round(least(coalesce(cost_usd, 0), 1000) * 1000000000)::bigint)
FROM sidelog.records WHERE model IS NOT NULL AND provider IS NULL AND kind = 0
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10;
