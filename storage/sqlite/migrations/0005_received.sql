-- Lists in the order of receipt, by id: of a project, and of a route of a client. Rows without either cost nothing.
CREATE INDEX records_project_id ON records (project, id) WHERE project <> 0;
CREATE INDEX records_route_id ON records (route_id, id) WHERE client <> 0;

-- The milliseconds of the smallest and the largest id, so that a range of time becomes a range of ids. Of rows there
-- are already, any id.
ALTER TABLE spans ADD COLUMN min_id_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE spans ADD COLUMN max_id_ms INTEGER NOT NULL DEFAULT 281474976710655;
