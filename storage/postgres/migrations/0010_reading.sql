-- Rises with every slice that is erased: sums that readers remember are compared with it.
ALTER TABLE sidelog.state ADD COLUMN erasures bigint NOT NULL DEFAULT 0;

-- LLM calls of a provider, and of a model; other rows cost nothing.
CREATE INDEX records_provider ON sidelog.records (provider, seq) WHERE provider IS NOT NULL;
CREATE INDEX records_model ON sidelog.records (model, seq) WHERE model IS NOT NULL;
