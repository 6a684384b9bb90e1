-- What the cap on size has taken: how far bodies are gone, how often rows went, and when the newest of those started.
ALTER TABLE sidelog.state
    ADD COLUMN bodies_through_seq bigint NOT NULL DEFAULT 0,
    ADD COLUMN trims bigint NOT NULL DEFAULT 0,
    ADD COLUMN trimmed_until_us bigint NOT NULL DEFAULT 0;
