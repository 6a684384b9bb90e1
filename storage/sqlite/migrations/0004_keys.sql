-- API keys of the proxied service. Only the hash of a secret is kept; a deleted key keeps its name for the rows it made.
CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    last4 TEXT NOT NULL,
    secret_sha256 BLOB UNIQUE,
    scopes TEXT,
    agents TEXT,
    expires_at_us INTEGER,
    disabled INTEGER NOT NULL,
    project TEXT,
    user_id TEXT,
    created_at_us INTEGER NOT NULL,
    last_used_at_us INTEGER,
    deleted_at_us INTEGER
) WITHOUT ROWID;

INSERT INTO meta (name, value) VALUES ('key_version', 0);

-- Whether the route of an exchange asked for a key: the rows of the request logs page, refused ones included.
ALTER TABLE records ADD COLUMN keyed INTEGER NOT NULL DEFAULT 0;

CREATE INDEX records_keyed ON records (seq) WHERE keyed = 1;
CREATE INDEX records_key ON records (key_id, seq) WHERE key_id <> 0;
