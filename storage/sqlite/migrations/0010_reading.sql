-- Rises with every slice that is erased: sums that readers remember are compared with it.
INSERT INTO meta (name, value) VALUES ('erasures', 0);

-- LLM calls of a provider, and of a model; other rows cost nothing.
CREATE INDEX records_provider ON records (provider, seq) WHERE provider <> 0;
CREATE INDEX records_model ON records (model, seq) WHERE model <> 0;
