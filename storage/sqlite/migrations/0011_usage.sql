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
    calls INTEGER NOT NULL,
    counted INTEGER NOT NULL,
    priced INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    cost_nano_usd INTEGER NOT NULL,
    PRIMARY KEY (hour, project, container, client, service, route_id, key_id, provider, model)
) WITHOUT ROWID;

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
FROM records WHERE provider <> 0 AND kind = 0
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9;
