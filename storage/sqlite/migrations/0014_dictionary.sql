-- The day since the epoch that a value was last looked up for: no row that uses it started on a later one. Of values there
-- are already, the newest day of all rows.
ALTER TABLE dictionary ADD COLUMN used_day INTEGER NOT NULL DEFAULT 0;
UPDATE dictionary SET used_day = max(
    CAST(strftime('%s', 'now') AS INTEGER) / 86400,
    coalesce((SELECT max(max_started_at_us) FROM spans), 0) / 86400000000
);
CREATE INDEX dictionary_used ON dictionary (used_day);
