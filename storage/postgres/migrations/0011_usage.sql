-- LLM calls per combination of dimensions, by hour since the epoch; 0 for null, -1 for "other" as in the rollups.
-- What erasure takes off, and what was there before, is under any instance: that only keeps writers apart.
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
    PRIMARY KEY (hour, project, container, client, service, route_id, key_id, provider, model, instance)
) WITH (fillfactor = 70);

INSERT INTO sidelog.usage_rollups
SELECT floor(started_at_us / 3600000000.0)::bigint, coalesce(project, 0), coalesce(container, 0), coalesce(client, 0), coalesce(service, 0),
    coalesce(route_id, 0), coalesce(key_id, 0), coalesce(provider, 0), coalesce(model, 0), instance,
    count(*),
    sum(CASE WHEN coalesce(input_tokens, output_tokens, cache_read_tokens,
        cache_write_tokens, reasoning_tokens) IS NULL THEN 0 ELSE 1 END),
    count(cost_usd),
    sum(least(coalesce(input_tokens, 0), 1000000000000)),
    sum(least(coalesce(output_tokens, 0), 1000000000000)),
    sum(least(coalesce(cache_read_tokens, 0), 1000000000000)),
    sum(least(coalesce(cache_write_tokens, 0), 1000000000000)),
    sum(least(coalesce(reasoning_tokens, 0), 1000000000000)),
    sum(CAST(round(least(coalesce(cost_usd, 0), 1000) * 1000000000) AS BIGINT))
FROM sidelog.records WHERE provider IS NOT NULL AND kind = 0
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10;
