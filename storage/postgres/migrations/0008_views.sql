-- Searches with a name: which scope they belong to, and what they are, as JSON.
CREATE TABLE sidelog.views (
    owner text NOT NULL,
    name text NOT NULL,
    content text NOT NULL,
    PRIMARY KEY (owner, name)
);
