-- The day since the epoch that a value was last looked up for: no row that uses it started on a later one. Of values there
-- are already, the newest day of all rows.
ALTER TABLE sidelog.dictionary ADD COLUMN used_day bigint NOT NULL DEFAULT 0;
UPDATE sidelog.dictionary SET used_day = greatest(
    extract(epoch FROM now())::bigint / 86400,
    coalesce((SELECT max(max_started_at_us) FROM sidelog.spans), 0) / 86400000000
);
CREATE INDEX dictionary_used ON sidelog.dictionary (used_day);
