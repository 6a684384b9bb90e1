-- Searches with a name: which scope they belong to, and what they are, as JSON.
CREATE TABLE views (
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (owner, name)
) WITHOUT ROWID;
