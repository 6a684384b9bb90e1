-- Who uses the name of an instance, and since when it was last heard of: two would count each other's records.
CREATE TABLE sidelog.leases (
    instance text PRIMARY KEY,
    holder text NOT NULL,
    session text NOT NULL,
    renewed_at timestamptz NOT NULL
) WITH (fillfactor = 50);
