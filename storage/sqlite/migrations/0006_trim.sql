-- What the cap on size has taken: how far bodies are gone, how often rows went, and when the newest of those started.
INSERT INTO meta (name, value) VALUES
    ('bodies_through_seq', 0),
    ('trims', 0),
    ('trimmed_until_us', 0);
